package volume_test

import (
	"testing"

	"nacre/internal/volume"
	"nacre/internal/work/worktest"
)

// group makes a group with a volume of 2 GiB in it, and returns both.
func (r *rig) group(t *testing.T) (group, member string) {
	t.Helper()
	_, err := r.service.CreateGroupType(r.ctx, "together", "", true, nil)
	must(t, err)
	g, err := r.service.CreateGroup(r.ctx, r.who, volume.NewGroup{Type: "together", VolumeTypes: []string{kind}})
	must(t, err)
	r.finish(t)
	v, err := r.service.CreateVolume(r.ctx, r.who, volume.NewVolume{SizeGB: 2, Type: kind, Group: g.ID})
	must(t, err)
	r.finish(t)
	return g.ID, v.ID
}

func (r *rig) groupSnapshot(t *testing.T, group string) string {
	t.Helper()
	made, err := r.service.CreateGroupSnapshot(r.ctx, r.who, group, "now", "")
	must(t, err)
	return made.ID
}

func TestGroupPlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		source, _ := r.group(t)
		return r.newCase("group.create", func(t *testing.T) {
			_, err := r.service.CreateGroup(r.ctx, r.who, volume.NewGroup{SourceGroup: source})
			must(t, err)
		}, func(w *world) {
			w.Groups = append(w.Groups, "id-4 error on h")
			w.Used[2] = "groups 2"
		})
	})
}

func TestDeleteGroupPlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		group, _ := r.group(t)
		return r.newCase("group.delete", func(t *testing.T) {
			must(t, r.service.DeleteGroup(r.ctx, r.who, group, true))
		}, func(w *world) { w.Groups = []string{"id-2 error on h"} })
	})
}

func TestGroupSnapshotPlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		group, _ := r.group(t)
		return r.newCase("group_snapshot.create", func(t *testing.T) { r.groupSnapshot(t, group) }, func(w *world) {
			w.Groups = append(w.Groups, "id-4 error of "+group)
		})
	})
}

func TestDeleteGroupSnapshotPlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		group, _ := r.group(t)
		id := r.groupSnapshot(t, group)
		r.finish(t)
		return r.newCase("group_snapshot.delete", func(t *testing.T) {
			must(t, r.service.DeleteGroupSnapshot(r.ctx, r.who, id))
		}, func(w *world) { w.Groups[1] = "id-4 error of " + group })
	})
}
