package qemu

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/virt"
)

// agentScript answers as a guest agent does, and writes down what it was asked.
const agentScript = `for port in /dev/vport*p1; do exec 3<>$port; done
while :; do
	read -r line <&3 || { sleep 1; continue; } # nobody is at the other end
	echo "$line" >> /tmp/asked
	case "$line" in
	*guest-sync*) echo "{\"return\": $(echo "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')}" >&3 ;;
	*) echo '{"return": {}}' >&3 ;;
	esac
done
`

// login signs in on the serial line of a guest that boots.
func login(t *testing.T, h *Host, id string) *typist {
	t.Helper()
	conn, err := h.Serial(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &typist{t: t, conn: conn}
	s.await(" login: ", 120*time.Second)
	s.send("cirros")
	s.await("assword: ", 60*time.Second)
	s.send("gocubsgo")
	s.await("$ ", 60*time.Second)
	return s
}

// TestLifeInside follows a guest through what happens to it, with its own eyes:
// its memory survives a suspension, an agent in it hears of a new password, a
// rescue boots from another disk beside its own, and an order to crash reaches its
// kernel.
func TestLifeInside(t *testing.T) {
	l := newLab(t)
	h := l.open()
	m := virt.Machine{
		ID: clock.UUID(), Name: "life", VCPUs: 1, MemoryMB: 192, Running: true, Agent: true,
		Root: &virt.Root{Image: "guest", SizeGB: 3},
	}
	ensure := func() {
		t.Helper()
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	t.Cleanup(func() { l.host.Remove(context.Background(), m.ID) })
	s := login(t, h, m.ID)

	// Memory.
	s.run("word=kept; echo there > /dev/shm/file; sudo touch /mark; sync")
	m.Running, m.Suspended = false, true
	ensure()
	if pid := l.pid(t, m.ID); pid != 0 {
		t.Errorf("a suspended guest is process %d, want none", pid)
	}
	h = l.open()
	m.Running, m.Suspended = true, false
	ensure()
	conn, err := h.Serial(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	s = &typist{t: t, conn: conn}
	if got := s.run("echo $word; cat /dev/shm/file"); !strings.Contains(got, "kept") || !strings.Contains(got, "there") {
		t.Errorf("after a suspension the guest remembers %q", got)
	}

	// The agent.
	err = h.SetPassword(t.Context(), m.ID, "root", "secret")
	if !errs.Is(err, errs.Conflict) {
		t.Errorf("a guest without an agent takes a password: %v, want a conflict", err)
	}
	s.run("echo " + base64.StdEncoding.EncodeToString([]byte(agentScript)) + " | base64 -d > /tmp/agent")
	s.run("(sudo sh /tmp/agent > /dev/null 2>&1 < /dev/null &)")
	eventually(t, 60*time.Second, "an agent that takes the password", func() bool {
		return h.SetPassword(t.Context(), m.ID, "root", "secret") == nil
	})
	if got := s.run("cat /tmp/asked"); !strings.Contains(got, "guest-set-user-password") || !strings.Contains(got, "c2VjcmV0") {
		t.Errorf("the agent was asked %q, want a password in base 64", got)
	}
	d, err := h.Diagnose(t.Context(), m.ID)
	if err != nil || len(d.CPUs) != 1 || d.CPUs[0].Time == 0 || d.Disks[0].ReadBytes+d.Disks[0].WriteBytes == 0 || d.RSSKB == nil {
		t.Errorf("diagnosed %+v, %v, want work of the processor and the disk", d, err)
	}

	// The rescue.
	h.options.StopTimeout = time.Minute
	m.Rescue = &virt.Rescue{Image: "guest"}
	ensure()
	s = login(t, h, m.ID)
	if got := s.run("sudo mount /dev/vdb2 /mnt && ls /mnt/mark; ls /mark"); !strings.Contains(got, "/mnt/mark") || strings.Contains(got, "\n/mark") {
		t.Errorf("a rescued guest sees %q, want its own disk as the second", got)
	}
	if got := s.run("cat /sys/block/vdb/size"); !strings.Contains(got, "6291456") {
		t.Errorf("its second disk has %s sectors, want those of its own", got)
	}

	// The crash.
	s.run("echo 1 | sudo tee /proc/sys/kernel/unknown_nmi_panic /proc/sys/kernel/panic_on_unrecovered_nmi")
	m.CrashDumps = 1
	ensure()
	eventually(t, 60*time.Second, "a panic in the console log", func() bool {
		log, err := h.Log(t.Context(), m.ID, -1)
		return err == nil && strings.Contains(string(log), "Kernel panic")
	})
	m.Rescue = nil
	h.options.StopTimeout = time.Second // it is past shutting down
	ensure()
	s = login(t, h, m.ID)
	if got := s.run("ls /mark"); !strings.Contains(got, "/mark") || strings.Contains(got, "No such") {
		t.Errorf("after the rescue the guest sees %q, want its own disk again", got)
	}
}

// TestStableRescue: a machine whose own disk does not boot boots from a disk behind
// it, on whichever bus.
func TestStableRescue(t *testing.T) {
	for _, r := range []virt.Rescue{{Image: "guest", Device: "disk", Bus: "scsi"}, {Image: "guest", Device: "disk", Bus: "usb"}, {Image: "guest", Device: "disk", Bus: "ide"}} {
		l := newLab(t)
		h := l.open()
		m := virt.Machine{ID: clock.UUID(), Name: "blank", VCPUs: 1, MemoryMB: 192, Running: true, Root: &virt.Root{SizeGB: 1}, Rescue: &r}
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		eventually(t, 120*time.Second, "boot from the rescue disk on "+r.Bus, func() bool {
			log, err := h.Log(t.Context(), m.ID, -1)
			return err == nil && strings.Contains(string(log), "SYSLINUX")
		})
		err = h.Remove(t.Context(), m.ID)
		if err != nil {
			t.Error(err)
		}
	}
}
