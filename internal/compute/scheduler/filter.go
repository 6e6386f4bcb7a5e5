package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"nacre/internal/compute/numa"
)

// refuse returns the first filter that does not let host i pass, "" when it
// passes. The cheap and selective questions come first.
func (s *Snapshot) refuse(q *query, i int) Filter {
	if q.Keep {
		return s.refuseImage(q, i)
	}
	if !s.ready[i] && !(q.Anyway && s.host[i].Up) {
		return FilterState
	}
	if q.exclude != nil && q.exclude[i] {
		return FilterTried
	}
	if q.Host != "" && s.host[i].Name != q.Host {
		return FilterHost
	}
	if !q.Anyway {
		f := s.unfit(q, i)
		if f != "" {
			return f
		}
	}
	if q.Able != nil && !q.Able[s.ids[i]] {
		return FilterResources
	}
	room := &s.room[i]
	for r, want := range q.Amounts {
		if want > 0 && want > room[r] {
			return FilterCapacity
		}
	}
	inv := &s.host[i].Inventory
	for r, want := range q.Amounts {
		if inv[r].MaxUnit > 0 && want > inv[r].MaxUnit {
			return FilterCapacity
		}
	}
	if !q.Anyway {
		f, _ := q.wish(s, i, false)
		if f != "" {
			return f
		}
	}
	if q.NUMA != nil && q.whyNUMA(s, i) != "" {
		return FilterNUMA
	}
	return ""
}

// unfit is refuse by what the host is, not by what room it has.
func (s *Snapshot) unfit(q *query, i int) Filter {
	if q.zone != anyZone && s.zone[i] != q.zone {
		return FilterZone
	}
	if len(q.aggregates) > 0 && !slices.ContainsFunc(q.aggregates, s.aggregates[i].has) {
		return FilterAggregates
	}
	f := s.unfitImage(q, i)
	if f != "" {
		return f
	}
	if q.Group != nil && !q.groupAllows(s.ids[i]) {
		return FilterGroup
	}
	return ""
}

// refuseImage is refuse for a server that gets another image on the host that it
// has, which may be down, disabled or full. Nova asks the same of its filters
// (those with RUN_ON_REBUILD; the topology stays as it is).
func (s *Snapshot) refuseImage(q *query, i int) Filter {
	if s.host[i].Name != q.Host {
		return FilterHost
	}
	f := s.unfitImage(q, i)
	if f != "" {
		return f
	}
	f, _ = q.wish(s, i, false)
	return f
}

// unfitImage is the part of unfit that the image has a say in.
func (s *Snapshot) unfitImage(q *query, i int) Filter {
	if q.unknown != "" || !s.traits[i].contains(q.required) || s.traits[i].meets(q.forbidden) {
		return FilterTraits
	}
	if q.Arch != "" && s.host[i].Arch != "" && s.host[i].Arch != q.Arch {
		return FilterImage
	}
	if q.Hypervisor != "" && !strings.EqualFold(s.host[i].Hypervisor, q.Hypervisor) {
		return FilterImage
	}
	if q.Versions != "" && !hasVersion(s.host[i].Version, q.Versions) || q.VMMode != "" && q.VMMode != guestMode {
		return FilterImage
	}
	return ""
}

// whyNUMA is why the server's cells do not fit on those of host i, "" when they do.
func (q *query) whyNUMA(s *Snapshot, i int) string {
	h := &s.host[i]
	_, why := numa.Fit(h.Cells, q.Used[h.Name], h.Ratios(), q.NUMA)
	return why
}

func (q *query) groupAllows(host string) bool {
	switch q.Group.Policy {
	case Affinity:
		return len(q.Group.Members) == 0 || q.Group.Members[host] > 0
	case AntiAffinity:
		return q.Group.Members[host] < q.max
	}
	return true
}

// why says in words what refuse decided.
func (s *Snapshot) why(q *query, i int, f Filter) string {
	h := &s.host[i]
	switch f {
	case FilterState:
		if h.Why != "" {
			return h.Why
		}
		if !h.Up {
			return "the host is down"
		}
		return "the host is disabled"
	case FilterTried:
		return "the host was tried before and could not take the server"
	case FilterHost:
		return fmt.Sprintf("only host %s was asked for", q.Host)
	case FilterZone:
		return fmt.Sprintf("the host is in availability zone %s, not in %s", h.Zone, q.Zone)
	case FilterAggregates:
		return "the host is in none of the aggregates " + strings.Join(q.Aggregates, ", ")
	case FilterTraits:
		for _, t := range q.Required {
			if !slices.Contains(h.Traits, t) {
				return "the host lacks trait " + t
			}
		}
		for _, t := range q.Forbidden {
			if slices.Contains(h.Traits, t) {
				return "the host has the forbidden trait " + t
			}
		}
	case FilterHint, FilterCapabilities, FilterAggregateSpecs, FilterTenants, FilterIsolated, FilterLoad:
		_, reason := q.wish(s, i, true)
		return reason
	case FilterImage:
		if q.Arch != "" && h.Arch != "" && h.Arch != q.Arch {
			return fmt.Sprintf("the image is for %s, the host is %s", q.Arch, h.Arch)
		}
		if q.Hypervisor != "" && !strings.EqualFold(h.Hypervisor, q.Hypervisor) {
			return fmt.Sprintf("the image is for hypervisor %s, the host has %s", q.Hypervisor, h.Hypervisor)
		}
		if q.Versions != "" && !hasVersion(h.Version, q.Versions) {
			return fmt.Sprintf("the image is for versions %s of the hypervisor, the host has %d", q.Versions, h.Version)
		}
		if q.VMMode != "" && q.VMMode != guestMode {
			return fmt.Sprintf("the image is for guests of mode %s, the host has %s", q.VMMode, guestMode)
		}
		_, reason := q.wish(s, i, true)
		return reason
	case FilterGroup:
		if q.Group.Policy == Affinity {
			return "the server group's members are on another host"
		}
		return fmt.Sprintf("%d of %d allowed members of the server group are on the host", q.Group.Members[h.ID], q.max)
	case FilterResources:
		return "the host and what is below it or shares with it have no room for " + q.Asked
	case FilterCapacity:
		return s.whyFull(q, i)
	case FilterNUMA:
		return q.whyNUMA(s, i)
	}
	return string(f)
}

func (s *Snapshot) whyFull(q *query, i int) string {
	var parts []string
	for r, want := range q.Amounts {
		inv := s.host[i].Inventory[r]
		switch {
		case want > 0 && want > s.room[i][r]:
			parts = append(parts, fmt.Sprintf("%s: %d asked for, %d of %d free",
				Classes[r], want, max(0, s.room[i][r]), int64(inv.capacity())))
		case inv.MaxUnit > 0 && want > inv.MaxUnit:
			parts = append(parts, fmt.Sprintf("%s: %d asked for, one server may take %d",
				Classes[r], want, inv.MaxUnit))
		}
	}
	return strings.Join(parts, "; ")
}
