package scheduler

import "slices"

// Weigher is one of Nova's weighers that goes before the score: hosts that it counts
// less for are better, whatever their scores.
type Weigher string

// The weighers that an operator may select.
const (
	BuildFailure Weigher = "build_failure" // builds that failed on the host since one worked there
	IOOps        Weigher = "io_ops"        // servers there that are being built, moved or saved
)

// Weighers are all of them.
var Weighers = []Weigher{BuildFailure, IOOps}

func (w Weigher) count(l Load) int {
	if w == BuildFailure {
		return l.Failed
	}
	return l.Busy
}

// rank is what goes before the score of a host, the least first: what a soft group
// wants, and the counts of the weighers in their order.
type rank [1 + 2]int

// none is the rank of hosts that nothing is to be said of, which are most.
var none rank

func (r rank) before(other rank) bool { return slices.Compare(r[:], other[:]) < 0 }

func (q *query) rank(s *Snapshot, i int) rank {
	var r rank
	if q.soft != 0 {
		r[0] = -q.soft * q.Group.Members[s.ids[i]]
	}
	for n, w := range q.Weighers {
		r[1+n] = w.count(q.Loads[s.host[i].Name])
	}
	return r
}

// ranks are those of the hosts that have one.
func (q *query) ranks(s *Snapshot) map[int]rank {
	if q.soft == 0 && len(q.Weighers) == 0 {
		return nil
	}
	ranks := map[int]rank{}
	put := func(i int, known bool) {
		if !known {
			return
		}
		r := q.rank(s, i)
		if r != none {
			ranks[i] = r
		}
	}
	if q.soft != 0 {
		for id := range q.Group.Members {
			i, known := s.index[id]
			put(i, known)
		}
	}
	if len(q.Weighers) > 0 {
		for name := range q.Loads {
			i, known := s.names[name]
			put(i, known)
		}
	}
	return ranks
}

// weighed says what the weighers count for a host, nil when none is selected.
func (q *query) weighed(s *Snapshot, i int) map[Weigher]int {
	var out map[Weigher]int
	for _, w := range q.Weighers {
		if out == nil {
			out = map[Weigher]int{}
		}
		out[w] = w.count(q.Loads[s.host[i].Name])
	}
	return out
}
