package simulated

import (
	"bytes"
	"fmt"
	"time"
)

// The first and the last line of each boot in a console log.
const (
	bootMark = "Linux version 6.1.0-simulated"
	loginTag = " login: "
)

// console writes what the guest has said on its serial line.
func (m *machine) console() []byte {
	var out bytes.Buffer
	for i, b := range m.Boots {
		if i > 0 {
			fmt.Fprintf(&out, "\n[%12.6f] reboot: Restarting system\n", 3600+float64(b.Boot))
		}
		m.bootLog(&out, b)
	}
	out.WriteString(m.typing)
	n := len(m.Boots)
	switch {
	case n == 0 || m.Running:
	case m.Crashed:
		fmt.Fprintf(&out, "\n[%12.6f] Kernel panic - not syncing: simulated crash\n", 4200.5)
	default:
		fmt.Fprintf(&out, "\n[%12.6f] reboot: Power down\n", 4200.5)
	}
	return out.Bytes()
}

func (m *machine) bootLog(out *bytes.Buffer, b boot) {
	at := 0.0
	say := func(after float64, format string, args ...any) {
		at += after
		fmt.Fprintf(out, "[%12.6f] ", at)
		fmt.Fprintf(out, format, args...)
		out.WriteByte('\n')
	}
	say(0, bootMark+" (nacre@simulated) #%d SMP %s", b.Boot, b.At.UTC().Format(time.UnixDate))
	say(0, "Command line: console=tty1 console=ttyS0,115200n8")
	say(0.004, "DMI: Nacre OpenStack Nova, BIOS simulated")
	say(0.021, "Memory: %dK/%dK available", m.Machine.MemoryMB*1000, m.Machine.MemoryMB*1024)
	say(0.052, "smp: Brought up 1 node, %d CPUs", max(m.Machine.VCPUs, 1))
	letter := 'a'
	if root := m.Machine.Root; root != nil {
		say(0.31, "virtio_blk virtio0: [vd%c] root disk, %d GB, from image %q", letter, root.SizeGB, root.Image)
		letter++
	}
	for _, d := range m.Machine.Disks {
		say(0.02, "virtio_blk: [vd%c] serial %.20s", letter, d.ID)
		letter++
	}
	say(0.11, "EXT4-fs (vda1): mounted filesystem with ordered data mode")
	for i, n := range m.Machine.NICs {
		say(0.08, "virtio_net: eth%d: %s, mtu %d", i, n.MAC, n.MTU)
	}
	say(0.4, "random: crng init done")
	fmt.Fprintf(out, "\nSimulated guest of Nacre. Nothing runs here.\n\n%s%s", m.prompt(), b.Said)
}

// prompt is what the guest writes when it waits for a line.
func (m *machine) prompt() string { return m.hostname() + loginTag }

// hostname is the machine's name as far as it can stand in a prompt.
func (m *machine) hostname() string {
	name := m.Machine.Name
	if name == "" {
		name = m.Machine.ID
	}
	out := make([]rune, 0, len(name))
	for _, r := range name {
		if r >= ' ' && r != 0x7f && len(out) < 63 {
			out = append(out, r)
		}
	}
	return string(out)
}
