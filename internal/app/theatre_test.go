package app_test

import (
	"maps"
	"testing"

	"nacre/internal/testcloud"
)

// lines are the lines of all plans: some have several, by what goes before.
func lines() map[string]planCase {
	all := maps.Clone(planCases)
	maps.Copy(all, lifeCases)
	maps.Copy(all, pinnedCases)
	for name, line := range all {
		if line.plan == "" {
			line.plan = name
			all[name] = line
		}
	}
	return all
}

// theatre is a cloud for the runs of a line, one after the other.
type theatre struct {
	cloud *testcloud.Cloud
	line  planCase
	clean testcloud.World
}

func newTheatre(t *testing.T, line planCase) *theatre {
	options := []testcloud.Option{testcloud.Still(), testcloud.MayFail(), testcloud.Stores("second=blobs/second"),
		testcloud.Nodes(max(line.hosts, 1)), testcloud.ShelvedFor(line.shelved)}
	if line.pinned {
		options = append(options, testcloud.CPUs("2-7,10-15", "0-1,8-9"))
	}
	cloud := testcloud.Start(t, options...)
	cloud.Settle(t)
	addGroupType(t, cloud)
	if line.pinned {
		addPinned(t, cloud)
	}
	return &theatre{cloud: cloud, line: line, clean: cloud.Snapshot(t)}
}

// stage is made ready for a run. At its end everything can be removed, and then
// the world is as it was at the beginning.
func (h *theatre) stage(t *testing.T) *stage {
	cloud := h.cloud
	s := &stage{cloud: cloud, demo: cloud.Demo(), net: cloud.Demo().Network(t, "private")}
	t.Cleanup(func() {
		cloud.App.Engine.Interfere(nil)
		cloud.Demo().RemoveAll(t)
		if h.line.givenUp.ofAdmin {
			cloud.Admin().RemoveVolumes(t)
		}
		cloud.Same(t, h.clean, func() testcloud.World { return cloud.Snapshot(t) })
	})
	if h.line.prepare != nil {
		h.line.prepare(t, s)
	}
	return s
}
