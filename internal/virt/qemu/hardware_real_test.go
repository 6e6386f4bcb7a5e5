package qemu

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// TestHardwareStarts: QEMU takes what it is told for each kind of hardware, with a
// card that comes while the guest runs.
func TestHardwareStarts(t *testing.T) {
	l := newLab(t)
	h := l.open()
	for _, hardware := range []nodeapi.Hardware{
		{MachineType: "pc-q35-6.2", BootMenu: true, Video: "cirrus", VideoMB: 16, Watchdog: "reset", NoRNG: true, NIC: "e1000e", Tablet: true},
		{Video: "qxl", VideoMB: 20, Watchdog: "pause", RNGBytes: 2048, RNGPeriod: 500, NIC: "vmxnet3"},
		{Video: "bochs", VideoMB: 64, Watchdog: "poweroff"},
		{Video: "virtio", Watchdog: "none"}, {Video: "none", NIC: "e1000"}, {NIC: "rtl8139"}, {NIC: "ne2k_pci"},
		{MachineType: "pc", Watchdog: "reset", Tablet: true, NIC: "pcnet", DiskBus: "scsi", SCSI: "lsisas1068"},
		{DiskBus: "scsi", SCSI: "lsisas1078"},
	} {
		m := virt.Machine{
			ID: clock.UUID(), VCPUs: 1, MemoryMB: 64, Running: true, Root: &virt.Root{SizeGB: 1}, Hardware: hardware,
			NICs: []virt.NIC{l.nic(t, clock.UUID())},
		}
		for range 2 {
			err := h.Ensure(t.Context(), m)
			if err != nil {
				t.Fatalf("%+v: %v", hardware, err)
			}
			m.NICs = append(m.NICs, l.nic(t, clock.UUID()))
		}
		err := h.Remove(t.Context(), m.ID)
		if err != nil {
			t.Error(err)
		}
	}
}

// TestFirmware boots a machine by each UEFI firmware from a disk whose loader nobody
// has signed, which the one runs and the other refuses to. Both keep their variables
// over a restart, and begin anew with a rebuild.
func TestFirmware(t *testing.T) {
	for format, says := range map[string]string{"uefi": loaderSays, "secure": "Access Denied"} {
		t.Run(format, func(t *testing.T) {
			l := newLab(t)
			l.image = unsigned(t, l.dir)
			h := l.open()
			m := virt.Machine{
				ID: clock.UUID(), VCPUs: 1, MemoryMB: 256, Running: true, Root: &virt.Root{Image: "loader", SizeGB: 1},
				Blanks: []virt.Blank{{Name: nodeapi.Variables, Format: format}},
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
			boots := func(times int) {
				t.Helper()
				eventually(t, 180*time.Second, "word of the firmware on the serial line", func() bool {
					log, err := h.Log(t.Context(), m.ID, -1)
					if format == "secure" && strings.Contains(string(log), loaderSays) {
						t.Fatal("the firmware runs a loader that nobody has signed")
					}
					return err == nil && strings.Count(string(log), says) >= times
				})
			}
			variables := func() []byte {
				t.Helper()
				raw := filepath.Join(l.dir, "variables.raw")
				record, err := readRecord(filepath.Join(h.options.Dir, m.ID))
				if err != nil || len(record.Blanks) != 1 {
					t.Fatalf("the machine's record is %+v, %v", record, err)
				}
				err = h.imageTool(t.Context(), &machine{dir: filepath.Join(h.options.Dir, m.ID)}, "convert", "-f", "qcow2", "-O", "raw", "nvram.qcow2", "run/variables.raw")
				if err == nil {
					err = os.Rename(filepath.Join(h.options.Dir, m.ID, "run/variables.raw"), raw)
				}
				if err != nil {
					t.Fatal(err)
				}
				content, err := os.ReadFile(raw)
				if err != nil {
					t.Fatal(err)
				}
				return content
			}
			boots(1)
			m.Running = false
			ensure()
			first := variables()
			begun, err := os.ReadFile(firmwares[format].variables)
			if err != nil || bytes.Equal(first, begun) || len(first) != len(begun) {
				t.Errorf("the firmware has written no variables: %v", err)
			}
			h = l.open()
			ensure()
			if !bytes.Equal(variables(), first) {
				t.Error("the variables are lost")
			}
			copied, err := h.Disk(t.Context(), m.ID, nodeapi.Variables)
			if err != nil {
				t.Errorf("the variables cannot go to another host: %v", err)
			} else {
				copied.Close()
			}
			m.Running = true
			ensure()
			boots(2)
			m.Running = false
			ensure()
			m.Blanks = []virt.Blank{{Name: nodeapi.Variables, Format: format, Rebuilds: 1}}
			ensure()
			if !bytes.Equal(variables(), begun) {
				t.Error("after a rebuild the firmware does not begin anew")
			}
		})
	}
}
