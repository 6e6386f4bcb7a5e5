package volume_test

import (
	"fmt"
	"testing"

	"nacre/internal/volume"
	"nacre/internal/work/worktest"
)

// strays lists what is in the host's store and is no volume.
func (r *rig) strays(t *testing.T) []string {
	t.Helper()
	list, err := r.disks.Strays(r.ctx)
	must(t, err)
	var names []string
	for _, s := range list {
		names = append(names, fmt.Sprintf("%s %d is nobody's", s.Name, s.SizeGB))
	}
	return names
}

// withStrays is a case whose world has the strays among the bytes.
func (r *rig) withStrays(c worktest.Case) worktest.Case {
	c.World = func(t *testing.T) any {
		w, _ := r.world(t).(world)
		w.Bytes = append(w.Bytes, r.strays(t)...)
		return w
	}
	return c
}

func TestManagePlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		r.disks.AddStray("disk.img", 3)
		return r.withStrays(r.newCase("volume.manage", func(t *testing.T) {
			_, err := r.service.ManageVolume(r.ctx, r.who, volume.NewManaged{Host: "h", Reference: "disk.img"})
			must(t, err)
		}, func(w *world) {
			w.Volumes = []string{"id-1 error_managing 3 on h"}
			w.Used = []string{"gigabytes 3", "gigabytes_" + kind + " 3", "volumes 1", "volumes_" + kind + " 1"}
		}))
	})
}

func TestManageSnapshotPlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		id := r.volume(t)
		r.disks.AddStray("disk.img", 3)
		return r.withStrays(r.newCase("volume.manage", func(t *testing.T) {
			_, err := r.service.ManageSnapshot(r.ctx, r.who, volume.NewManaged{Volume: id, Reference: "disk.img"})
			must(t, err)
		}, func(w *world) {
			w.Snapshots = []string{"id-2 error_managing 3 of id-1"}
			w.Used = []string{"gigabytes 5", "gigabytes_" + kind + " 5", "snapshots 1", "snapshots_" + kind + " 1",
				"volumes 1", "volumes_" + kind + " 1"}
		}))
	})
}

func TestUnmanagePlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		id := r.volume(t)
		return r.withStrays(r.newCase("volume.unmanage", func(t *testing.T) {
			must(t, r.service.UnmanageVolume(r.ctx, r.who, id))
		}, func(w *world) { w.Volumes = []string{"id-1 error_unmanaging 2 on h"} }))
	})
}
