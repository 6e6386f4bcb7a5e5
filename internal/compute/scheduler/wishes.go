package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// What Nova's operators and users say about hosts besides: the metadata of
// aggregates, capabilities in flavors, and hints.

// attribute is what a host tells of itself by the names that flavors
// (capabilities:…) and queries ($…) use; memory is in MB, disk in GB where the name
// says so and else in MB.
func (q *query) attribute(s *Snapshot, i int, name string) (string, bool) {
	h := &s.host[i]
	number := func(n int64) (string, bool) { return strconv.FormatInt(n, 10), true }
	capacity := func(r Resource) int64 { return h.Inventory[r].Total }
	used := func(r Resource) int64 { return h.Used[r] + s.held[i][r] }
	switch name {
	case "host", "hypervisor_hostname":
		return h.Name, true
	case "hypervisor_type":
		return h.Hypervisor, true
	case "hypervisor_version":
		return number(h.Version)
	case "cpu_arch", "cpu_info:arch":
		return h.Arch, true
	case "vcpus_total":
		return number(capacity(VCPU))
	case "vcpus_used":
		return number(used(VCPU))
	case "total_usable_ram_mb":
		return number(capacity(MemoryMB))
	case "free_ram_mb":
		return number(capacity(MemoryMB) - used(MemoryMB))
	case "total_usable_disk_gb":
		return number(capacity(DiskGB))
	case "free_disk_mb":
		return number((capacity(DiskGB) - used(DiskGB)) * 1024)
	case "num_instances":
		return number(int64(q.Loads[h.Name].Servers))
	case "num_io_ops":
		return number(int64(q.Loads[h.Name].Busy))
	}
	return "", false
}

// wish asks the filters of this file. It gives the reason only when asked to.
func (q *query) wish(s *Snapshot, i int, say bool) (Filter, string) {
	h := &s.host[i]
	reason := func(format string, args ...any) string {
		if say {
			return fmt.Sprintf(format, args...)
		}
		return ""
	}
	if q.Same != nil && !slices.Contains(q.Same, h.Name) {
		return FilterHint, reason("only hosts of the servers named in same_host were asked for")
	}
	if slices.Contains(q.Different, h.Name) {
		return FilterHint, reason("a server named in different_host is on the host")
	}
	if q.Near.IsValid() {
		ip, err := netip.ParseAddr(h.Address)
		if err != nil || !q.Near.Contains(ip) {
			return FilterHint, reason("the host's address %s is not in %s", orNone(h.Address), q.Near)
		}
	}
	for _, name := range q.capabilityNames {
		value, known := q.attribute(s, i, name)
		if !known || !matches(value, q.Capabilities[name]) {
			return FilterCapabilities, reason("the flavor wants %s %s, the host has %s", name, q.Capabilities[name], orNone(value))
		}
	}
	if q.ask != nil {
		holds, err := q.ask.holds(q, s, i)
		if err != nil {
			return FilterHint, reason("the hint query is not understood: %v", err)
		}
		if !holds {
			return FilterHint, reason("the hint query does not hold")
		}
	}
	for _, key := range q.specNames {
		if !slices.ContainsFunc(h.Metadata[key], func(value string) bool { return matches(value, q.AggregateSpecs[key]) }) {
			return FilterAggregateSpecs, reason("the flavor wants an aggregate with %s %s, the host's have %s", key, q.AggregateSpecs[key], orNone(strings.Join(h.Metadata[key], ", ")))
		}
	}
	if h.Metadata == nil {
		return "", ""
	}
	return q.aggregateWish(h, reason)
}

// aggregateWish asks what the metadata of a host's aggregates say of servers.
func (q *query) aggregateWish(h *Host, reason func(string, ...any) string) (Filter, string) {
	tenants := h.Metadata[tenantsKey]
	if len(tenants) > 0 && !slices.Contains(tenants, q.Project) {
		return FilterTenants, reason("the host's aggregate is for other projects")
	}
	flavors := h.Metadata[flavorsKey]
	if len(flavors) > 0 && !slices.Contains(flavors, q.Flavor) {
		return FilterAggregateSpecs, reason("the host's aggregate is for flavors %s", strings.Join(flavors, ", "))
	}
	for _, trait := range h.isolates {
		if !slices.Contains(q.Traits, trait) {
			return FilterAggregateSpecs, reason("the host's aggregate is for servers that require trait %s", trait)
		}
	}
	for _, key := range q.imageNames {
		if strings.HasPrefix(key, traitPrefix) {
			continue // what it requires was asked for already
		}
		values := h.Metadata[key]
		if len(values) > 0 && !slices.Contains(values, q.Image[key]) {
			return FilterImage, reason("the image has %s %s, the host's aggregate is for %s", key, q.Image[key], strings.Join(values, ", "))
		}
	}
	for _, limit := range []struct {
		key  string
		have int
		what string
	}{{busyKey, q.Loads[h.Name].Busy, "busy servers"}, {serversKey, q.Loads[h.Name].Servers, "servers"}} {
		for _, text := range h.Metadata[limit.key] {
			most, err := strconv.Atoi(text)
			if err == nil && limit.have >= most {
				return FilterLoad, reason("the host has %d %s, its aggregate allows %d", limit.have, limit.what, most)
			}
		}
	}
	return "", ""
}

// Keys of aggregates' metadata that mean something to the scheduler.
const (
	tenantsKey = "filter_tenant_id" // also with anything after it
	flavorsKey = "instance_type"
	busyKey    = "max_io_ops_per_host"
	serversKey = "max_instances_per_host"
	// traitPrefix with a trait, and "required": servers that don't require it stay
	// away.
	traitPrefix = "trait:"
)

// isolates lists the traits that servers must require to get on a host whose
// aggregates have the metadata.
func isolates(metadata map[string][]string) []string {
	var traits []string
	for key, values := range metadata {
		trait, is := strings.CutPrefix(key, traitPrefix)
		if is && slices.Contains(values, "required") {
			traits = append(traits, trait)
		}
	}
	slices.Sort(traits)
	return traits
}

// NeedsLoads tells whether the decision depends on how many servers hosts have:
// aggregates limit them, or the request asks for it.
func (s *Snapshot) NeedsLoads(r Request) bool {
	_, servers := r.Capabilities["num_instances"]
	_, busy := r.Capabilities["num_io_ops"]
	return servers || busy || len(r.Weighers) > 0 || strings.Contains(r.Query, "$num_") || s.limited > 0
}

// hasVersion tells whether a hypervisor's version meets conditions such as ">=6.0, <8".
func hasVersion(version int64, conditions string) bool {
	for _, condition := range strings.Split(conditions, ",") {
		condition = strings.TrimSpace(condition)
		number := strings.TrimLeft(condition, "<>=! ")
		operator := strings.TrimSpace(strings.TrimSuffix(condition, number))
		var want int64
		parts := strings.Split(number, ".")
		for i := range 3 {
			n := 0
			if i < len(parts) {
				var err error
				n, err = strconv.Atoi(strings.TrimSpace(parts[i]))
				if err != nil {
					return false
				}
			}
			want = want*1000 + int64(n)
		}
		if operator == "" || operator == "=" {
			operator = "=="
		}
		if !compares(operator, cmp.Compare(version, want)) {
			return false
		}
	}
	return true
}

// guestMode is how guests run on every host: as on a machine of their own.
const guestMode = "hvm"

// limits tells whether the host's aggregates limit its servers.
func (h *Host) limits() bool {
	return len(h.Metadata[busyKey]) > 0 || len(h.Metadata[serversKey]) > 0
}

// MergeMetadata adds the metadata of an aggregate to what a host has from its
// others. Values are lists with commas between.
func MergeMetadata(have map[string][]string, metadata map[string]string) map[string][]string {
	for key, value := range metadata {
		if strings.HasPrefix(key, tenantsKey) {
			key = tenantsKey
		}
		if have == nil {
			have = map[string][]string{}
		}
		for _, one := range strings.Split(value, ",") {
			one = strings.TrimSpace(one)
			if !slices.Contains(have[key], one) {
				have[key] = append(have[key], one)
			}
		}
	}
	return have
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
