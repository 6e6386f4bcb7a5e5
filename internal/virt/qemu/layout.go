package qemu

import (
	"encoding/json"
	"fmt"
	"maps"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// layout is how a guest's machine is built. A guest that comes from another host
// finds every device where it was, also those that were plugged in and out since it
// started.
type layout struct {
	Version     int // of QEMU
	Accel, CPU  string
	Ports       []string         // which device sits in which port, "" for none
	Units       map[place]string `json:",omitempty"` // which device sits elsewhere
	PC          bool             `json:",omitempty"` // its machine is of type pc
	RootBytes   int64
	Blanks      []virt.Blank `json:",omitempty"` // as large as they are
	ConfigDrive bool
}

// layoutOf is the layout of a machine that runs, "" for one that does not. The
// mutex is held.
func (h *Host) layoutOf(m *machine) string {
	g := m.guest
	if g == nil || g.off || len(g.ports) == 0 {
		return ""
	}
	l := layout{
		Version: h.version, Accel: h.accel.accel, CPU: h.accel.cpu, Ports: make([]string, portsOf(g.ports)), Units: map[place]string{}, PC: g.pc,
		RootBytes: m.record.RootBytes, Blanks: m.record.Blanks, ConfigDrive: m.record.ConfigDrive,
	}
	for port, device := range g.ports {
		if port.bus == "" {
			l.Ports[port.unit] = device
		} else {
			l.Units[port] = device
		}
	}
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // numbers and strings always encode
	}
	return string(text)
}

// readLayout reads the layout of a machine that comes from another host, which it
// must be possible to build here.
func (h *Host) readLayout(want virt.Machine) (*layout, error) {
	var l layout
	err := json.Unmarshal([]byte(want.Incoming.Layout), &l)
	if err != nil {
		return nil, fmt.Errorf("the other host does not tell how machine %s is built", want.ID)
	}
	if l.Version != h.version || l.Accel != h.accel.accel || l.CPU != h.accel.cpu {
		return nil, errs.Conflictf("Unacceptable CPU info: this host has another hypervisor or processor (QEMU %d, %s, %s) than the one that instance %s comes from (QEMU %d, %s, %s).",
			h.version, h.accel.accel, h.accel.cpu, want.ID, l.Version, l.Accel, l.CPU)
	}
	if l.PC != isPC(want.Hardware.MachineType) {
		return nil, errs.Conflictf("The guest of instance %s still runs on a machine of another type: it has to be stopped and started.", want.ID)
	}
	devices := map[string]bool{}
	if want.Root != nil {
		devices["root"] = true
	}
	for _, b := range l.Blanks {
		if !blankName.MatchString(b.Name) {
			return nil, fmt.Errorf("%q is no name of a disk", b.Name)
		}
		if b.Name != nodeapi.Variables { // which are in no port
			devices[b.Name] = true
		}
	}
	for _, d := range want.Disks {
		devices[diskPrefix+d.ID] = true
	}
	for _, n := range want.NICs {
		devices[nicPrefix+n.ID] = true
	}
	for _, device := range l.kept() {
		if device != "" && device != configName && !devices[device] {
			return nil, fmt.Errorf("the guest of machine %s still has %s", want.ID, device)
		}
		delete(devices, device)
	}
	if len(devices) > 0 {
		return nil, fmt.Errorf("the guest of machine %s does not have %d of its devices yet", want.ID, len(devices))
	}
	return &l, nil
}

// kept is which device sits where.
func (l *layout) kept() map[place]string {
	ports := make(map[place]string, len(l.Ports)+len(l.Units))
	maps.Copy(ports, l.Units)
	for i, device := range l.Ports {
		ports[place{unit: i}] = device
	}
	return ports
}
