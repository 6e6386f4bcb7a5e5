package scheduler

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// What Nova's operators and users say about hosts besides: the metadata of
// aggregates, capabilities in flavors, and hints.

// telling is a host that is asked about itself.
type telling struct {
	*Host
	used Amounts
	load Load
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// ratio is written as OpenStack writes it: 4 is 4.0.
func (t telling) ratio(r Resource) string {
	text := strconv.FormatFloat(t.Inventory[r].Ratio, 'f', -1, 64)
	if strings.Contains(text, ".") {
		return text
	}
	return text + ".0"
}

func (t telling) name() string           { return t.Name }
func (t telling) arch() string           { return t.Arch }
func (t telling) total(r Resource) int64 { return t.Inventory[r].Total }
func (t telling) free(r Resource) int64  { return t.total(r) - t.used[r] }

// attributes are what hosts tell of themselves by the names that flavors
// (capabilities:…, and without a scope) and queries ($…) use; memory is in MB, disk
// in GB where the name says so and else in MB.
var attributes = map[string]func(telling) string{
	"host":                  telling.name,
	"nodename":              telling.name,
	"hypervisor_hostname":   telling.name,
	"uuid":                  func(t telling) string { return t.ID },
	"host_ip":               func(t telling) string { return t.Address },
	"hypervisor_type":       func(t telling) string { return t.Hypervisor },
	"hypervisor_version":    func(t telling) string { return number(t.Version) },
	"cpu_arch":              telling.arch,
	"cpu_info:arch":         telling.arch,
	"vcpus_total":           func(t telling) string { return number(t.total(VCPU)) },
	"vcpus_used":            func(t telling) string { return number(t.used[VCPU]) },
	"total_usable_ram_mb":   func(t telling) string { return number(t.total(MemoryMB)) },
	"free_ram_mb":           func(t telling) string { return number(t.free(MemoryMB)) },
	"total_usable_disk_gb":  func(t telling) string { return number(t.total(DiskGB)) },
	"disk_mb_used":          func(t telling) string { return number(t.used[DiskGB] * 1024) },
	"free_disk_mb":          func(t telling) string { return number(t.free(DiskGB) * 1024) },
	"cpu_allocation_ratio":  func(t telling) string { return t.ratio(VCPU) },
	"ram_allocation_ratio":  func(t telling) string { return t.ratio(MemoryMB) },
	"disk_allocation_ratio": func(t telling) string { return t.ratio(DiskGB) },
	"num_instances":         func(t telling) string { return number(int64(t.load.Servers)) },
	"num_io_ops":            func(t telling) string { return number(int64(t.load.Busy)) },
	"failed_builds":         func(t telling) string { return number(int64(t.load.Failed)) },
}

// counted are the attributes that come from Loads.
var counted = []string{"num_instances", "num_io_ops", "failed_builds"}

func (q *query) attribute(s *Snapshot, i int, name string) (string, bool) {
	tell, known := attributes[name]
	if !known {
		return "", false
	}
	h := &s.host[i]
	return tell(telling{h, h.Used.Add(s.held[i]), q.Loads[h.Name]}), true
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
	if q.Keep {
		f, why := q.isolation(h, reason)
		if f == "" {
			f, why = q.imageWish(h, reason)
		}
		return f, why
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
	for _, want := range q.capabilities {
		value, known := q.attribute(s, i, want.name)
		if !known || !matches(value, want.value) {
			return FilterCapabilities, reason("the flavor wants %s %s, the host has %s", want.name, want.value, orNone(value))
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
	for _, want := range q.specs {
		values := h.Metadata[want.name]
		if !slices.ContainsFunc(values, func(value string) bool { return matches(value, want.value) }) {
			return FilterAggregateSpecs, reason("the flavor wants an aggregate with %s %s, the host's have %s", want.name, want.value, orNone(strings.Join(values, ", ")))
		}
	}
	f, why := q.isolation(h, reason)
	if f == "" {
		f, why = q.aggregateWish(h, reason)
	}
	if f == "" {
		f, why = q.limit(h, reason)
	}
	return f, why
}

// isolation asks whether host and image are kept for each other.
func (q *query) isolation(h *Host, reason func(string, ...any) string) (Filter, string) {
	isolated := slices.Contains(q.Rules.IsolatedHosts, h.Name)
	switch {
	case q.isolated && !isolated:
		return FilterIsolated, reason("the image is for isolated hosts, the host is none of them")
	case isolated && !q.isolated && !q.Rules.Shared:
		return FilterIsolated, reason("the host is kept for isolated images")
	}
	return "", ""
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
	return q.imageWish(h, reason)
}

// imageWish asks which images a host's aggregates are for.
func (q *query) imageWish(h *Host, reason func(string, ...any) string) (Filter, string) {
	for _, key := range q.imageNames {
		if strings.HasPrefix(key, traitPrefix) {
			continue // what it requires was asked for already
		}
		values := h.Metadata[key]
		if len(values) > 0 && q.Image[key] != "" && !slices.Contains(values, q.Image[key]) {
			return FilterImage, reason("the image has %s %s, the host's aggregate is for %s", key, q.Image[key], strings.Join(values, ", "))
		}
	}
	return "", ""
}

// limit asks how many servers a host may have: as its aggregates say, the least of
// them, or else as the operator does.
func (q *query) limit(h *Host, reason func(string, ...any) string) (Filter, string) {
	load := q.Loads[h.Name]
	for _, limit := range []struct {
		key        string
		most, have int
		what       string
	}{{busyKey, q.Rules.MaxBusy, load.Busy, "busy servers"}, {serversKey, q.Rules.MaxServers, load.Servers, "servers"}} {
		most, who, limited := limit.most, "the operator", limit.most > 0
		for _, text := range h.Metadata[limit.key] {
			n, err := strconv.Atoi(text)
			if err == nil && (who == "the operator" || n < most) {
				most, who, limited = n, "its aggregate", true
			}
		}
		if limited && limit.have >= most {
			return FilterLoad, reason("the host has %d %s, %s allows %d", limit.have, limit.what, who, most)
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
	asked := slices.ContainsFunc(counted, func(name string) bool {
		_, capability := r.Capabilities[name]
		_, unscoped := r.Unscoped[name]
		return capability || unscoped || strings.Contains(r.Query, "$"+name)
	})
	return asked || len(r.Weighers) > 0 || s.limited > 0 || r.Rules.MaxServers > 0 || r.Rules.MaxBusy > 0
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
