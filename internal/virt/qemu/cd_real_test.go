package qemu

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/virt"
	"nacre/internal/virt/virttest"
)

type isoImage string

func (i isoImage) Path(context.Context, string) (string, string, error) { return string(i), "iso", nil }

// A machine whose image is that of a CD boots from it, as it is: it is not grown.
func TestBootsFromCD(t *testing.T) {
	for _, bus := range []string{"scsi", "sata"} {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			file := filepath.Join(l.dir, "cd.iso")
			content := virttest.CD()
			err := os.WriteFile(file, content, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			o := l.options()
			o.Images = isoImage(file)
			h, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			m := virt.Machine{
				ID: clock.UUID(), VCPUs: 1, MemoryMB: 64, Running: true,
				Root: &virt.Root{Image: "cd", Bus: bus, CDROM: true}, Disks: []virt.Disk{l.disk(t, clock.UUID())},
			}
			err = h.Ensure(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Remove(context.Background(), m.ID)
			eventually(t, 2*time.Minute, "line of the CD on the console", func() bool {
				log, err := h.Log(t.Context(), m.ID, -1)
				return err == nil && strings.Contains(string(log), virttest.CDSays)
			})
			size, err := virtualSize(filepath.Join(o.Dir, m.ID, "root.qcow2"), "qcow2")
			if err != nil || size != int64(len(content)) {
				t.Errorf("the CD has %d bytes, %v, want the %d of its image", size, err, len(content))
			}
		})
	}
}
