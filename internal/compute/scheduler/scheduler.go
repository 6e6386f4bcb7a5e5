// Package scheduler chooses hosts. It is a pure function from a snapshot and a
// request to a ranked list with reasons: no clock, no database, no network.
//
// Filters come first: host up and enabled, availability zone, a host that was
// asked for by name, aggregates, traits and image properties, server group
// rules, capacity with allocation ratios, and what Nova's operators and users say
// besides (wishes.go): capabilities, metadata of aggregates, hints. What is left is ordered by
//
//	score = available_cores/total_cores × available_memory/total_memory × available_disk/total_disk
//
// where total = (inventory total − reserved) × allocation ratio and available =
// total − used; a resource with total 0 counts as factor 1. Equal scores are
// settled on a ring of host ids: the first tied host at or after hash(server)
// wins, so that a run can be repeated and equal hosts share the load.
//
// A snapshot keeps the hosts in the order of their scores, so that a decision looks
// at the best ones until enough have passed: over a hundred thousand hosts it
// costs what it costs over ten, unless most of the best are refused. Weighers that an
// operator selects go before the score (weigh.go).
package scheduler

import (
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"

	"nacre/internal/compute/numa"
)

// Resource is one of the resources that servers take.
type Resource int

// The resources, in the order of the score's factors. Dedicated processors count
// as cores there, like the others.
const (
	VCPU Resource = iota
	MemoryMB
	DiskGB
	PCPU
	resources

	factors = PCPU
)

// Classes are the resources' names in placement.
var Classes = [resources]string{"VCPU", "MEMORY_MB", "DISK_GB", "PCPU"}

// Amounts is how much of each resource.
type Amounts [resources]int64

// Add returns a + b.
func (a Amounts) Add(b Amounts) Amounts {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

// Sub returns a − b.
func (a Amounts) Sub(b Amounts) Amounts {
	for i := range a {
		a[i] -= b[i]
	}
	return a
}

// Inventory is what a host offers of one resource.
type Inventory struct {
	Total    int64
	Reserved int64
	Ratio    float64 // allocation ratio
	MaxUnit  int64   // most that one server may take; 0 for no bound
}

// capacity is the total of the score.
func (i Inventory) capacity() float64 { return float64(i.Total-i.Reserved) * i.Ratio }

// Policy is a server group's rule.
type Policy string

// The policies of server groups.
const (
	Affinity         Policy = "affinity"
	AntiAffinity     Policy = "anti-affinity"
	SoftAffinity     Policy = "soft-affinity"
	SoftAntiAffinity Policy = "soft-anti-affinity"
)

// Group is the server group that the request belongs to.
type Group struct {
	Policy     Policy
	MaxPerHost int            // anti-affinity: how many may share a host; 0 counts as 1
	Members    map[string]int // host id → members there
}

// Request is what a server asks for.
type Request struct {
	Server string // id; decides ties
	Amounts

	Zone       string   // availability zone, "" for any
	Host       string   // name of the only host to take, "" for any
	Anyway     bool     // Host is to take it whatever else is asked for, if it is up and has room
	Keep       bool     // Host has the server already: only what its image asks of hosts counts
	Exclude    []string // ids of hosts that were tried already
	Aggregates []string // the host must be in one of these; empty for any
	Required   []string // traits that the host must have
	Forbidden  []string // traits that it must not have
	Arch       string   // image property hw_architecture, "" for any
	Hypervisor string   // image property img_hv_type, "" for any
	Versions   string   // image property img_hv_requested_version: conditions with commas, "" for any
	VMMode     string   // image property hw_vm_mode, "" for any
	Group      *Group

	// Able are the ids of the hosts that have what was Asked for besides, where
	// somebody else knows that; nil is all.
	Able  map[string]bool
	Asked string

	Traits         []string          // that are required of the host or of what is below it
	Project        string            // who asks
	Flavor         string            // name
	Capabilities   map[string]string // what attributes of the host must be
	AggregateSpecs map[string]string // what metadata of the host's aggregates must be
	Unscoped       map[string]string // extra specs without a scope: capabilities, where hosts have some of that name
	Image          map[string]string // properties
	ImageID        string            // "" for none
	Rules          Rules             // of the operator
	Same           []string          // names of hosts, one of which it must be; nil for any
	Different      []string          // names of hosts that it must not be
	Query          string            // a condition in JSON, "" for none
	Near           netip.Prefix      // the host's address must be in it; not valid for any
	Weighers       []Weigher         // that go before the score, in this order
	Loads          map[string]Load   // by host name; nil where nobody asks for them (NeedsLoads)

	NUMA *numa.Want            // nil: it floats
	Used map[string]numa.Usage // by host name, what others with a topology have there; nil without NUMA
}

// Load is how many servers a host has, how many of them are being built, moved or
// saved, and how many builds failed there since one worked.
type Load struct{ Servers, Busy, Failed int }

// Rules are what an operator says of hosts for all requests.
type Rules struct {
	// Unscoped is whether extra specs of flavors without a scope must be in the
	// metadata of a host's aggregates.
	Unscoped bool
	// IsolatedHosts, by name, are the only ones for IsolatedImages, by id, and for
	// nothing else unless Shared.
	IsolatedHosts  []string
	IsolatedImages []string
	Shared         bool
	// MaxServers and MaxBusy are how many servers a host may have, and how many of
	// them being built, moved or saved, where its aggregates do not say; 0 is any number.
	MaxServers, MaxBusy int
}

// Filter names a reason for refusal.
type Filter string

// The filters, in the order in which they are asked.
const (
	FilterState          Filter = "state"
	FilterTried          Filter = "tried"
	FilterHost           Filter = "host"
	FilterZone           Filter = "availability zone"
	FilterAggregates     Filter = "aggregates"
	FilterTraits         Filter = "traits"
	FilterImage          Filter = "image properties"
	FilterGroup          Filter = "server group"
	FilterResources      Filter = "resources"
	FilterCapacity       Filter = "capacity"
	FilterHint           Filter = "scheduler hint"
	FilterCapabilities   Filter = "capabilities"
	FilterAggregateSpecs Filter = "aggregate properties"
	FilterTenants        Filter = "aggregate projects"
	FilterIsolated       Filter = "isolated hosts"
	FilterLoad           Filter = "load"
	FilterNUMA           Filter = "NUMA topology"
)

// Candidate is a host that passed.
type Candidate struct {
	ID      string
	Host    string // name
	Score   float64
	Factors [factors]float64
}

// Rank returns the best hosts, at most n of them, best first.
func (s *Snapshot) Rank(r Request, n int) []Candidate {
	q := s.compile(r)
	var list []Candidate
	s.each(&q, func(i int) bool {
		if s.refuse(&q, i) == "" {
			list = append(list, s.candidate(i))
		}
		return len(list) < n
	})
	return list
}

// before tells whether host i is a better choice than host j.
func (q *query) before(s *Snapshot, i, j int) bool {
	a, b := q.rank(s, i), q.rank(s, j)
	if a != b {
		return a.before(b)
	}
	if s.score[i] != s.score[j] {
		return s.score[i] > s.score[j]
	}
	// Distance on the ring, from the server's point forward.
	return s.ring[i]-q.point < s.ring[j]-q.point
}

// query is a request translated into the snapshot's numbers.
type query struct {
	Request
	point      uint64
	exclude    map[int]bool
	zone       int
	aggregates []int
	required   bits
	forbidden  bits
	unknown    string // a required trait that no host has
	soft       int    // +1 soft-affinity, −1 soft-anti-affinity, 0 neither
	max        int    // anti-affinity

	ask                 *ask
	capabilities, specs []spec   // in the order of their names
	imageNames          []string // in order
	isolated            bool     // the image is for isolated hosts
}

// spec is one that a flavor has.
type spec struct{ name, value string }

// specs are those of a map, in the order of their names.
func specs(m map[string]string) []spec {
	if len(m) == 0 {
		return nil // most requests have none, and walking an empty map has its price
	}
	var list []spec
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, spec{name, m[name]})
	}
	return list
}

func (s *Snapshot) compile(r Request) query {
	q := query{Request: r, point: point(r.Server), zone: anyZone}
	if r.Zone != "" {
		q.zone = s.zones.find(r.Zone)
	}
	for _, id := range r.Exclude {
		i, ok := s.index[id]
		if !ok {
			continue
		}
		if q.exclude == nil {
			q.exclude = map[int]bool{}
		}
		q.exclude[i] = true
	}
	for _, a := range r.Aggregates {
		q.aggregates = append(q.aggregates, s.aggregateNames.find(a))
	}
	for _, t := range r.Required {
		at := s.traitNames.find(t)
		if at < 0 {
			q.unknown = t
			continue
		}
		q.required = q.required.with(at)
	}
	for _, t := range r.Forbidden {
		at := s.traitNames.find(t)
		if at >= 0 {
			q.forbidden = q.forbidden.with(at)
		}
	}
	q.ask = parseAsk(r.Query)
	q.capabilities, q.specs, q.imageNames = specs(r.Capabilities), specs(r.AggregateSpecs), slices.Sorted(maps.Keys(r.Image))
	for _, one := range specs(r.Unscoped) {
		if attributes[one.name] != nil {
			q.capabilities = append(q.capabilities, one)
		}
		if r.Rules.Unscoped {
			q.specs = append(q.specs, one)
		}
	}
	q.isolated = r.ImageID != "" && slices.Contains(r.Rules.IsolatedImages, r.ImageID)
	if r.Group != nil {
		switch r.Group.Policy {
		case SoftAffinity:
			q.soft = 1
		case SoftAntiAffinity:
			q.soft = -1
		case AntiAffinity:
			q.max = max(r.Group.MaxPerHost, 1)
		}
	}
	return q
}

// point is a place on the ring.
func point(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	// FNV leaves the high bits of similar texts alike; this spreads them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
