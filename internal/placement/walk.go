package placement

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A request is satisfied in a tree by filling slots with providers: one slot for
// each group with a suffix, and one for each class of the group without, which may
// be spread. A walk goes through all ways to fill them without ever holding more
// than one, so that the first costs nothing of the millionth.
//
// Better is what leaves more room. Each slot tries its providers in the order of
// the share that is free of what it takes, those shares multiplied as the
// scheduler does for hosts; trees are visited in the order of what their best
// providers have. The slot with the fewest providers is filled first, and a choice
// is dropped as soon as something forbids it. That alone would still try each order
// of equal providers in vain when the last of eight groups finds no room, so dead
// ends are remembered by what was taken, whoever took it.

type amount struct {
	class string
	n     int64
}

// slot is something to find a provider for.
type slot struct {
	suffix  string
	takes   []amount
	kind    int // slots of one kind take the same, and nothing tells them apart
	options []*node
}

// fits tells whether the provider has room for the slot alone.
func (s slot) fits(p *node) bool {
	for _, a := range s.takes {
		i, has := p.Inventories[a.class]
		if !has || i.fits(a.n) != "" {
			return false
		}
	}
	return true
}

// label tells the slots of one suffix apart.
func (s slot) label() string { return fmt.Sprint(s.takes) }

// room is the share that is free of what the slot takes.
func (s slot) room(p *node) float64 {
	room := 1.0
	for _, a := range s.takes {
		i := p.Inventories[a.class]
		capacity := float64(i.Capacity())
		room *= (capacity - float64(i.Used)) / capacity
	}
	return room
}

// demand is a condition on several slots, judged when the last one is filled.
type demand struct {
	slots []int
	met   func(picks []*node) bool
}

// walk goes through the candidates of one tree.
type walk struct {
	ask     *Ask
	slots   []slot
	demands [][]demand // by their last slot
	room    float64    // of the best option of each slot, multiplied

	picks []*node // one for each slot that is filled
	tried []int   // by slot, how many options were tried
	found []bool  // by slot, whether filling it led to a candidate
	dead  map[string]bool
	steps int
}

// mostDead bounds how many dead ends the walks of a request remember together.
const mostDead = 1 << 16

// newWalk is nil when some group finds no provider in the tree.
func (f *forest) newWalk(root *node, ask Ask) *walk {
	w := &walk{ask: &ask, room: 1}
	for suffix, need := range ask.Groups {
		takes := make([]amount, 0, len(need.Resources))
		for class, n := range need.Resources {
			takes = append(takes, amount{class, n})
		}
		slices.SortFunc(takes, func(a, b amount) int { return cmp.Compare(a.class, b.class) })
		parts := [][]amount{takes}
		if suffix == "" {
			parts = slices.Collect(slices.Chunk(takes, 1))
		}
		for _, part := range parts {
			s := slot{suffix: suffix, takes: part}
			s.options = f.options(root, need, s)
			if len(s.options) == 0 {
				return nil
			}
			w.room *= s.room(s.options[0])
			w.slots = append(w.slots, s)
		}
	}
	if len(w.slots) == 0 {
		return nil
	}
	slices.SortFunc(w.slots, func(a, b slot) int {
		return cmp.Or(cmp.Compare(len(a.options), len(b.options)), cmp.Compare(a.suffix, b.suffix), cmp.Compare(a.label(), b.label()))
	})
	kinds := map[string]int{}
	for i := range w.slots {
		s := &w.slots[i]
		label := fmt.Sprint(s.suffix != "", s.takes)
		kind, known := kinds[label]
		if !known {
			kind = i
			kinds[label] = i
		}
		s.kind = kind
	}
	w.demands = make([][]demand, len(w.slots))
	required := ask.Groups[""].Required
	if len(required) > 0 {
		w.demand([]string{""}, func(picks []*node) bool {
			var traits []string
			for _, p := range picks {
				traits = append(traits, p.Traits...)
			}
			return hasOneOfEach(traits, required)
		})
	}
	for _, suffixes := range ask.Together {
		w.demand(suffixes, together)
	}
	w.tried, w.found = make([]int, len(w.slots)), make([]bool, len(w.slots))
	return w
}

// demand adds a condition on the slots of some suffixes, which it tells apart.
func (w *walk) demand(suffixes []string, met func([]*node) bool) {
	var on []int
	for i := range w.slots {
		s := &w.slots[i]
		if slices.Contains(suffixes, s.suffix) {
			on = append(on, i)
			s.kind = len(w.slots) + i
		}
	}
	last := on[len(on)-1]
	w.demands[last] = append(w.demands[last], demand{on, met})
}

// next fills the slots in the next way, and tells whether there was one. Dead is how
// many dead ends may still be remembered.
func (w *walk) next(ctx context.Context, dead *int) (bool, error) {
	if len(w.picks) == len(w.slots) {
		w.picks = w.picks[:len(w.picks)-1] // go on from the last one
	}
	for {
		w.steps++
		if w.steps%4096 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		at := len(w.picks)
		s := &w.slots[at]
		if w.tried[at] == len(s.options) {
			w.leave(at, dead)
			if at == 0 {
				w.slots[0].options = nil // for good
				*dead += len(w.dead)
				w.dead = nil
				return false, nil
			}
			w.picks = w.picks[:at-1]
			continue
		}
		p := s.options[w.tried[at]]
		w.tried[at]++
		if !w.admits(at, p) {
			continue
		}
		w.picks = append(w.picks, p)
		if len(w.picks) == len(w.slots) {
			for i := range w.found {
				w.found[i] = true
			}
			return true, nil
		}
		if len(w.dead) > 0 && w.dead[w.state()] {
			w.picks = w.picks[:at]
		}
	}
}

// leave forgets what was tried for a slot, and remembers when all was in vain.
func (w *walk) leave(at int, dead *int) {
	if !w.found[at] && at > 1 && *dead > 0 {
		if w.dead == nil {
			w.dead = map[string]bool{}
		}
		w.dead[w.state()] = true
		*dead--
	}
	w.tried[at], w.found[at] = 0, false
}

// state is all that matters of the picks for the slots that are still to fill.
func (w *walk) state() string {
	list := make([]uint64, len(w.picks))
	for i, p := range w.picks {
		list[i] = uint64(w.slots[i].kind)<<32 | uint64(p.at)
	}
	slices.Sort(list)
	text := make([]byte, 0, 8*len(list))
	for _, n := range list {
		text = binary.BigEndian.AppendUint64(text, n)
	}
	return string(text)
}

// admits tells whether a provider may fill the slot beside those picked before.
func (w *walk) admits(at int, p *node) bool {
	s := &w.slots[at]
	for i, other := range w.picks {
		if other != p {
			if w.ask.Flat && other.Provider.Root == p.Provider.Root {
				return false
			}
			continue
		}
		if w.ask.Isolate && s.suffix != "" && w.slots[i].suffix != "" {
			return false
		}
	}
	for _, a := range s.takes {
		sum := a.n
		for i, other := range w.picks {
			if other != p {
				continue
			}
			for _, b := range w.slots[i].takes {
				if b.class == a.class {
					sum += b.n
				}
			}
		}
		i := p.Inventories[a.class]
		if i.Used+sum > i.Capacity() || sum > i.MaxUnit {
			return false
		}
	}
	for _, d := range w.demands[at] {
		picks := make([]*node, 0, len(d.slots))
		for _, i := range d.slots {
			if i != at {
				picks = append(picks, w.picks[i])
			}
		}
		if !d.met(append(picks, p)) {
			return false
		}
	}
	return true
}

// shared tells whether all that is picked could be picked from other trees, too.
func (w *walk) shared() bool {
	return !slices.ContainsFunc(w.picks, func(p *node) bool { return !p.shares })
}

// name tells the picks apart from all others.
func (w *walk) name() string {
	parts := make([]string, len(w.picks))
	for i, p := range w.picks {
		parts[i] = fmt.Sprint(w.slots[i].suffix, " ", w.slots[i].takes, " ", p.Provider.ID)
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// candidate is what is picked now.
func (w *walk) candidate() Candidate {
	c := Candidate{Takes: map[string]Resources{}, Groups: map[string][]string{}}
	for i, p := range w.picks {
		s, id := w.slots[i], p.Provider.ID
		if !slices.Contains(c.Groups[s.suffix], id) {
			c.Groups[s.suffix] = append(c.Groups[s.suffix], id)
		}
		for _, a := range s.takes {
			if c.Takes[id] == nil {
				c.Takes[id] = Resources{}
			}
			c.Takes[id][a.class] += a.n
		}
	}
	return c
}
