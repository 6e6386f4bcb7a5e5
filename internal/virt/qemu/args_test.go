package qemu

import (
	"slices"
	"strings"
	"testing"

	"nacre/internal/virt"
)

// TestForeignText: names and paths that come from users cannot add options.
func TestForeignText(t *testing.T) {
	m := virt.Machine{
		ID: "3f0c1b1e-0000-4000-8000-000000000001", Name: "web,process=x -drive file=/etc/shadow", MemoryMB: 64,
		Root:  &virt.Root{},
		Disks: []virt.Disk{{ID: "v", Socket: "/a,b", Export: `x","driver":"file`}},
	}
	args := arguments(m, settings{accel: emulation, consoleFD: 4})
	name := args[slices.Index(args, "-name")+1]
	if strings.ContainsAny(strings.TrimPrefix(name, "guest="), ",= /") {
		t.Errorf("name is %q", name)
	}
	if !slices.Contains(args, diskNode(m.Disks[0]).String()) || !strings.Contains(diskNode(m.Disks[0]).String(), `"x\",\"driver\":\"file"`) {
		t.Errorf("the export's name is not quoted in %q", args)
	}
}

// TestPorts: there are always eight free places, each with its own number.
func TestPorts(t *testing.T) {
	for devices := 1; devices < 30; devices++ {
		n := portsFor(devices)
		if n-devices < sparePorts {
			t.Errorf("%d devices leave %d ports, want at least %d", devices, n-devices, sparePorts)
		}
	}
	seen := map[any]bool{}
	for i := range 32 {
		addr := rootPort(i, "")["addr"]
		if seen[addr] {
			t.Errorf("address %v is given twice", addr)
		}
		seen[addr] = true
	}
}

func TestNodeNames(t *testing.T) {
	name := diskNodeName("3f0c1b1e-1234-4000-8000-abcdefabcdef")
	if len(name) > 31 {
		t.Errorf("%q has %d characters, QEMU allows 31", name, len(name))
	}
}
