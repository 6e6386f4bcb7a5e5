package scheduler

import (
	"maps"
	"slices"

	"github.com/google/btree"
)

// place is where a host stands in the order of scores.
type place struct {
	score float64
	ring  uint64
	row   int
}

// better orders places by score, the highest first; equal scores by their place on
// the ring.
func better(a, b place) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	if a.ring != b.ring {
		return a.ring < b.ring
	}
	return a.row < b.row
}

// order is the hosts by score.
type order struct{ tree *btree.BTreeG[place] }

func (o *order) add(p place) {
	if o.tree == nil {
		o.tree = btree.NewG(32, better)
	}
	o.tree.ReplaceOrInsert(p)
}

func (o *order) remove(p place) { o.tree.Delete(p) }

// from visits all rows, the best first and equal ones from a point of the ring
// around it, until visit has seen enough.
func (o *order) from(point uint64, visit func(row int) (more bool)) {
	if o.tree == nil {
		return
	}
	next, left := o.tree.Min()
	for more := true; left && more; {
		score := next.score
		left = false
		o.tree.AscendGreaterOrEqual(place{score, point, -1}, func(p place) bool {
			if p.score != score {
				next, left = p, true
				return false
			}
			more = visit(p.row)
			return more
		})
		if !more {
			return
		}
		o.tree.AscendGreaterOrEqual(place{score, 0, -1}, func(p place) bool {
			if p.score != score || p.ring >= point {
				return false
			}
			more = visit(p.row)
			return more
		})
	}
}

// each visits the rows of all hosts, the best for the request first, until visit
// has seen enough. What goes before the score concerns few hosts, which are sorted
// by hand.
func (s *Snapshot) each(q *query, visit func(row int) (more bool)) {
	ranks := q.ranks(s)
	if len(ranks) == 0 {
		s.order.from(q.point, visit)
		return
	}
	rows := slices.SortedFunc(maps.Keys(ranks), func(i, j int) int {
		if q.before(s, i, j) {
			return -1
		}
		return 1
	})
	first := 0
	for first < len(rows) && ranks[rows[first]].before(none) {
		first++
	}
	some := func(rows []int) (more bool) {
		return !slices.ContainsFunc(rows, func(i int) bool { return !visit(i) })
	}
	more := some(rows[:first])
	if !more {
		return
	}
	s.order.from(q.point, func(i int) bool {
		_, ranked := ranks[i]
		more = ranked || visit(i)
		return more
	})
	if more {
		some(rows[first:])
	}
}
