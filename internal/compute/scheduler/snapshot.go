package scheduler

import (
	"nacre/internal/compute/numa"
	"nacre/internal/nodeapi"
)

// Host is one compute host as the snapshot takes it.
type Host struct {
	ID         string
	Name       string
	Revision   int64 // of the inventories and the usage; an older one is ignored
	Up         bool
	Enabled    bool
	Why        string // why it is down or disabled, for the explanation
	Zone       string
	Aggregates []string
	Traits     []string
	Arch       string
	Hypervisor string
	Version    int64               // of the hypervisor, with three digits for each part but the first
	Address    string              // IP
	Metadata   map[string][]string // of its aggregates (MergeMetadata)
	Inventory  [resources]Inventory
	Used       Amounts
	Cells      []nodeapi.Cell // NUMA cells, nil when it does not tell

	isolates []string // traits that servers must require; from Metadata
}

// Ratios are how often the host's cells may be promised.
func (h *Host) Ratios() numa.Ratios {
	return numa.Ratios{CPU: h.Inventory[VCPU].Ratio, Memory: h.Inventory[MemoryMB].Ratio}
}

// Snapshot is what is known of all hosts, in columns. The zero value is empty.
// It is not safe for concurrent use: its owner guards it.
type Snapshot struct {
	index map[string]int // host id → row
	names map[string]int // host name → row

	ids        []string
	ring       []uint64 // place of the host's id
	host       []Host
	ready      []bool // up and enabled
	zone       []int
	aggregates []bits
	traits     []bits
	room       []Amounts // capacity − used − held, whole units
	score      []float64
	order      order
	held       []Amounts
	holds      map[string]hold // by server
	limited    int             // hosts whose aggregates limit their servers

	zones          names
	aggregateNames names
	traitNames     names
}

// hold is a claim that was decided and is not yet in the host's usage.
type hold struct {
	host string // id
	Amounts
}

const anyZone = -2 // a zone nobody knows is -1

// Put adds a host or replaces what is known of it. Inventories and usage of a
// lower revision than known are ignored, since reports may overtake each other.
func (s *Snapshot) Put(h Host) {
	if s.index == nil {
		s.index, s.names, s.holds = map[string]int{}, map[string]int{}, map[string]hold{}
	}
	i, known := s.index[h.ID]
	if !known {
		i = len(s.ids)
		s.index[h.ID] = i
		s.ids = append(s.ids, h.ID)
		s.ring = append(s.ring, point(h.ID))
		s.host = append(s.host, Host{})
		s.ready = append(s.ready, false)
		s.zone = append(s.zone, 0)
		s.aggregates = append(s.aggregates, nil)
		s.traits = append(s.traits, nil)
		s.room = append(s.room, Amounts{})
		s.score = append(s.score, 0)
		s.order.add(s.place(i))
		s.held = append(s.held, Amounts{})
	}
	old := s.host[i]
	if known && old.Revision > h.Revision {
		h.Revision, h.Inventory, h.Used = old.Revision, old.Inventory, old.Used
	}
	if known && old.Name != h.Name {
		delete(s.names, old.Name)
	}
	s.names[h.Name] = i
	h.isolates = isolates(h.Metadata)
	s.limited += count(h.limits()) - count(old.limits())
	s.host[i] = h
	s.ready[i] = h.Up && h.Enabled
	s.zone[i] = s.zones.add(h.Zone)
	s.aggregates[i] = s.aggregateNames.set(h.Aggregates)
	s.traits[i] = s.traitNames.set(h.Traits)
	s.rescore(i)
}

// Offer sets a host's inventories and usage as of a revision. An unknown
// host and an older revision are ignored.
func (s *Snapshot) Offer(id string, revision int64, inventory [resources]Inventory, used Amounts) {
	i, ok := s.index[id]
	if !ok || s.host[i].Revision > revision {
		return
	}
	h := &s.host[i]
	h.Revision, h.Inventory, h.Used = revision, inventory, used
	s.rescore(i)
}

// Host returns what is known of the host with that id.
func (s *Snapshot) Host(id string) (Host, bool) {
	i, ok := s.index[id]
	if !ok {
		return Host{}, false
	}
	return s.host[i], true
}

// Named returns what is known of the host with that name.
func (s *Snapshot) Named(name string) (Host, bool) {
	i, ok := s.names[name]
	if !ok {
		return Host{}, false
	}
	return s.host[i], true
}

// Remove forgets a host and the holds on it.
func (s *Snapshot) Remove(id string) {
	i, ok := s.index[id]
	if !ok {
		return
	}
	for server, h := range s.holds {
		if h.host == id {
			delete(s.holds, server)
		}
	}
	last := len(s.ids) - 1
	delete(s.index, id)
	delete(s.names, s.host[i].Name)
	s.order.remove(s.place(i))
	s.limited -= count(s.host[i].limits())
	if i != last {
		s.order.remove(s.place(last))
		s.index[s.ids[last]] = i
		s.names[s.host[last].Name] = i
	}
	s.ids = swapOut(s.ids, i)
	s.ring = swapOut(s.ring, i)
	s.host = swapOut(s.host, i)
	s.ready = swapOut(s.ready, i)
	s.zone = swapOut(s.zone, i)
	s.aggregates = swapOut(s.aggregates, i)
	s.traits = swapOut(s.traits, i)
	s.room = swapOut(s.room, i)
	s.score = swapOut(s.score, i)
	s.held = swapOut(s.held, i)
	if i != last {
		s.order.add(s.place(i))
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (s *Snapshot) place(i int) place { return place{s.score[i], s.ring[i], i} }

func swapOut[T any](list []T, i int) []T {
	last := len(list) - 1
	list[i] = list[last]
	return list[:last]
}

// Hold counts a decision as used until Release, so that decisions made while
// the claim is on its way to the database don't pile up on one host. A server
// has at most one hold: a new one replaces it.
func (s *Snapshot) Hold(server, host string, a Amounts) {
	s.Release(server)
	i, ok := s.index[host]
	if !ok {
		return
	}
	s.holds[server] = hold{host, a}
	s.held[i] = s.held[i].Add(a)
	s.rescore(i)
}

// Release ends a server's hold: its claim is in the usage now, or came to nothing.
func (s *Snapshot) Release(server string) {
	h, ok := s.holds[server]
	if !ok {
		return
	}
	delete(s.holds, server)
	i := s.index[h.host]
	s.held[i] = s.held[i].Sub(h.Amounts)
	s.rescore(i)
}

func (s *Snapshot) rescore(i int) {
	h := &s.host[i]
	taken := h.Used.Add(s.held[i])
	score := 1.0
	for r, inv := range h.Inventory {
		s.room[i][r] = int64(inv.capacity()) - taken[r]
	}
	for r := range factors {
		score *= h.factor(r, &taken)
	}
	if score != s.score[i] {
		s.order.remove(s.place(i))
		s.score[i] = score
		s.order.add(s.place(i))
	}
}

// factor is what part of a resource is free; cores are those that guests share and
// those that they have alone.
func (h *Host) factor(r Resource, taken *Amounts) float64 {
	total, used := h.Inventory[r].capacity(), taken[r]
	if r == VCPU {
		total, used = total+h.Inventory[PCPU].capacity(), used+taken[PCPU]
	}
	if total <= 0 {
		return 1
	}
	return max(0, total-float64(used)) / total
}

func (s *Snapshot) candidate(i int) Candidate {
	h := &s.host[i]
	c := Candidate{ID: h.ID, Host: h.Name, Score: s.score[i]}
	taken := h.Used.Add(s.held[i])
	for r := range factors {
		c.Factors[r] = h.factor(r, &taken)
	}
	return c
}

// names gives texts small numbers.
type names struct {
	number map[string]int
	text   []string
}

func (n *names) add(text string) int {
	i, ok := n.number[text]
	if ok {
		return i
	}
	if n.number == nil {
		n.number = map[string]int{}
	}
	i = len(n.text)
	n.number[text] = i
	n.text = append(n.text, text)
	return i
}

// find returns -1 for a text that was never added.
func (n *names) find(text string) int {
	i, ok := n.number[text]
	if !ok {
		return -1
	}
	return i
}

func (n *names) set(texts []string) bits {
	var b bits
	for _, t := range texts {
		b = b.with(n.add(t))
	}
	return b
}

// bits is a set of small numbers.
type bits []uint64

func (b bits) with(i int) bits {
	for len(b) <= i/64 {
		b = append(b, 0)
	}
	b[i/64] |= 1 << (i % 64)
	return b
}

func (b bits) has(i int) bool {
	return i >= 0 && i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0
}

// contains tells whether all of other is in b.
func (b bits) contains(other bits) bool {
	for i, w := range other {
		if w == 0 {
			continue
		}
		if i >= len(b) || b[i]&w != w {
			return false
		}
	}
	return true
}

func (b bits) meets(other bits) bool {
	for i := range min(len(b), len(other)) {
		if b[i]&other[i] != 0 {
			return true
		}
	}
	return false
}
