package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// A guest whose processors are limited has a control group of its own, below one that
// is ours. Both forms that kernels have of them will do. The group is set again with
// each look at the guest, and goes with it.

// cpuGroups is where the kernel limits processors of groups.
type cpuGroups struct {
	root    string // below which groups are made
	unified bool   // in the second form
}

const (
	unifiedGroups = "/sys/fs/cgroup"
	cpuController = "/sys/fs/cgroup/cpu"
	ourGroup      = "nacre"
)

// findCPUGroups finds the form that this host has, nil when it has none.
func findCPUGroups() *cpuGroups {
	controllers, err := os.ReadFile(filepath.Join(unifiedGroups, "cgroup.controllers"))
	if err == nil {
		for _, name := range strings.Fields(string(controllers)) {
			if name == "cpu" {
				return &cpuGroups{unifiedGroups, true}
			}
		}
	}
	_, err = os.Stat(filepath.Join(cpuController, "cgroup.procs"))
	if err == nil {
		return &cpuGroups{cpuController, false}
	}
	return nil
}

// limit has a guest's process take no more than its quotas, of which its processors
// share one.
func (c *cpuGroups) limit(id string, pid, vcpus int, q nodeapi.Quotas) error {
	if c == nil {
		return errs.Conflictf("Requested CPU control policy not supported by host: it has no control groups for processors.")
	}
	dir := filepath.Join(c.root, ourGroup, id)
	err := os.MkdirAll(dir, 0o755)
	if err != nil {
		return errs.Conflictf("Requested CPU control policy not supported by host: %v", err)
	}
	for _, set := range c.settings(int64(max(vcpus, 1)), q) {
		err = writeControl(filepath.Join(dir, set.file), set.value)
		if err != nil {
			return fmt.Errorf("limit the processors of machine %s: %w", id, err)
		}
	}
	err = writeControl(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
	if err != nil {
		return fmt.Errorf("limit the processors of machine %s: %w", id, err)
	}
	return nil
}

// setting is a file of a group and what it is to say.
type setting struct{ file, value string }

// settings are those of a group, after those by which it can have any.
func (c *cpuGroups) settings(vcpus int64, q nodeapi.Quotas) []setting {
	shares, period := q.CPUShares, q.CPUPeriod
	if shares == 0 {
		shares = 1024
	}
	if period == 0 {
		period = 100000
	}
	quota := q.CPUQuota * vcpus
	if c.unified {
		most := "max"
		if quota > 0 {
			most = strconv.FormatInt(quota, 10)
		}
		const enable = "+cpu"
		return []setting{
			{"../../cgroup.subtree_control", enable}, {"../cgroup.subtree_control", enable},
			{"cpu.max", fmt.Sprintf("%s %d", most, period)},
			{"cpu.weight", strconv.FormatInt(1+(shares-2)*9999/262142, 10)},
		}
	}
	if quota == 0 {
		quota = -1
	}
	return []setting{
		{"cpu.cfs_period_us", strconv.FormatInt(period, 10)}, {"cpu.cfs_quota_us", strconv.FormatInt(quota, 10)},
		{"cpu.shares", strconv.FormatInt(shares, 10)},
	}
}

func writeControl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value)
	return err
}

// forget removes the group of a guest that has ended.
func (c *cpuGroups) forget(id string) error {
	if c == nil {
		return nil
	}
	err := os.Remove(filepath.Join(c.root, ourGroup, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// limitCPU keeps a guest that runs within its quotas. A guest gets others with its next
// start.
func (h *Host) limitCPU(m *machine, g *guest) error {
	h.mu.Lock()
	want := m.record.Machine
	h.mu.Unlock()
	if q := want.Quotas; q != nil && (q.CPUShares > 0 || q.CPUQuota > 0) {
		return h.groups.limit(m.id, g.pid, want.VCPUs, *q)
	}
	return nil
}
