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
			w.Volumes = append(w.Volumes, "id-5 available 2 on h")
			w.Documents = append(w.Documents, `h {"id":"id-5","size_gb":2,"source":"id-3"}`)
			w.Bytes = append(w.Bytes, "id-5 2 exported=false")
			w.Used = []string{"gigabytes 4", "gigabytes_" + kind + " 4", "groups 2", "volumes 2", "volumes_" + kind + " 2"}
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
		group, member := r.group(t)
		return r.newCase("group_snapshot.create", func(t *testing.T) { r.groupSnapshot(t, group) }, func(w *world) {
			w.Groups = append(w.Groups, "id-4 error of "+group)
			w.Snapshots = []string{"id-5 available 2 of " + member}
			w.Documents = append(w.Documents, `h {"id":"id-5","size_gb":2,"source":"id-3"}`)
			w.Bytes = append(w.Bytes, "id-5 2 exported=false")
			w.Used = []string{"gigabytes 4", "gigabytes_" + kind + " 4", "groups 1", "snapshots 1", "snapshots_" + kind + " 1",
				"volumes 1", "volumes_" + kind + " 1"}
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
