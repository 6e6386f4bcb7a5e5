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

// Count is a number that goes before the score of a host: the members of a soft
// group there, by its policy, or what a weigher counts. Of soft affinity the most is
// best, of the others the least.
type Count struct {
	Of string `json:"of"`
	N  int    `json:"n"`
}

// counts are those that make the rank of a host.
func (q *query) counts(s *Snapshot, i int) []Count {
	var list []Count
	if q.soft != 0 {
		list = append(list, Count{string(q.Group.Policy), q.Group.Members[s.ids[i]]})
	}
	for _, w := range q.Weighers {
		list = append(list, Count{string(w), w.count(q.Loads[s.host[i].Name])})
	}
	return list
}
