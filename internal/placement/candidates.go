package placement

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Ask is a request for candidates: ways to give a consumer what it needs.
type Ask struct {
	// Groups are the parts of the request by their suffix. One provider serves all
	// of a group, but for the group without a suffix: that may be spread over the
	// providers of a tree and those that share with it.
	Groups map[string]Need

	Isolate   bool       // each group with a suffix is served by a provider of its own
	Together  [][]string // the providers of such suffixes are all below one of them
	RootHas   []string   // traits of the tree's root
	RootLacks []string   // traits that it must not have
	Flat      bool       // nobody gets something from two providers of one tree
	Limit     int        // 0: as many as the service gives at most
}

// Candidate is one way to satisfy an Ask.
type Candidate struct {
	Takes  map[string]Resources // by provider
	Groups map[string][]string  // by suffix, the providers that serve the group
}

// Candidates returns the best ways to satisfy the request, and all that is known
// of the trees they take from. What makes one better than another stands in
// walk.go; beyond the limit nothing is made.
func (s *Service) Candidates(ctx context.Context, ask Ask) ([]Candidate, []Found, error) {
	var trees *forest
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		trees, err = askedForest(ctx, tx, ask, nil)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	limit := s.maxCandidates
	if ask.Limit > 0 {
		limit = min(limit, ask.Limit)
	}
	chosen := []Candidate{}
	used, roots := map[string]bool{}, map[string]bool{}
	for c, err := range trees.candidates(ctx, ask) {
		if err != nil {
			return nil, nil, fmt.Errorf("find candidates: %w", err)
		}
		chosen = append(chosen, c)
		for id := range c.Takes {
			used[id], roots[trees.nodes[id].Provider.Root] = true, true
		}
		if len(chosen) == limit {
			break
		}
	}
	all := slices.DeleteFunc(trees.all, func(f Found) bool {
		return !roots[f.Provider.Root] || (ask.Flat && trees.nested && !used[f.Provider.ID])
	})
	return chosen, all, nil
}

// sharing is the trait of a provider that gives to all trees with which it has an
// aggregate in common.
const sharing = "MISC_SHARES_VIA_AGGREGATE"

// node is a provider among the others.
type node struct {
	*Found
	at     int // in the forest
	parent *node
	shares bool
}

// forest is what there is to choose from.
type forest struct {
	all     []Found
	nodes   map[string]*node
	roots   []*node
	trees   map[string][]*node // by root
	sharers map[string][]*node // by root, the providers of other trees that share with it
	nested  bool               // some provider has a parent
}

func newForest(all []Found) *forest {
	f := &forest{all: all, nodes: make(map[string]*node, len(all)), trees: make(map[string][]*node, len(all)), sharers: map[string][]*node{}}
	list := make([]node, len(all))
	members := map[string][]*node{} // by aggregate
	for i := range all {
		p := &list[i]
		*p = node{Found: &all[i], at: i, shares: slices.Contains(all[i].Traits, sharing)}
		root := p.Provider.Root
		f.nodes[p.Provider.ID] = p
		f.trees[root] = append(f.trees[root], p)
		if p.Provider.Parent == "" {
			f.roots = append(f.roots, p)
		}
		for _, a := range p.Aggregates {
			members[a] = append(members[a], p)
		}
	}
	for i := range list {
		p := &list[i]
		p.parent = f.nodes[p.Provider.Parent]
		f.nested = f.nested || p.parent != nil
		if !p.shares {
			continue
		}
		with := map[string]bool{p.Provider.Root: true} // the own tree has it already
		for _, a := range p.Aggregates {
			for _, other := range members[a] {
				root := other.Provider.Root
				if !with[root] {
					with[root] = true
					f.sharers[root] = append(f.sharers[root], p)
				}
			}
		}
	}
	return f
}

// candidates yields all ways to satisfy the request, the best one of each tree
// before the second of any, and never two that are the same.
func (f *forest) candidates(ctx context.Context, ask Ask) iter.Seq2[Candidate, error] {
	return func(yield func(Candidate, error) bool) {
		var walks []*walk
		for _, root := range f.roots {
			if !hasAll(root.Traits, ask.RootHas) || meets(root.Traits, ask.RootLacks) {
				continue
			}
			w := f.newWalk(root, ask)
			if w != nil {
				walks = append(walks, w)
			}
		}
		slices.SortStableFunc(walks, func(a, b *walk) int { return cmp.Compare(b.room, a.room) })
		// What is taken from sharing providers alone is found from every tree they
		// share with. Nothing else is found twice.
		seen := map[string]bool{}
		dead := mostDead
		for len(walks) > 0 {
			live := walks[:0]
			for _, w := range walks {
				found, err := w.next(ctx, &dead)
				for found && w.shared() && seen[w.name()] {
					found, err = w.next(ctx, &dead)
				}
				if err != nil {
					yield(Candidate{}, err)
					return
				}
				if !found {
					continue
				}
				if w.shared() {
					seen[w.name()] = true
				}
				if !yield(w.candidate(), nil) {
					return
				}
				live = append(live, w)
			}
			walks = live
		}
	}
}

// options are the providers that can serve a slot in a tree, those with the most
// room first.
func (f *forest) options(root *node, need Need, s slot) []*node {
	var out []*node
	for _, list := range [][]*node{f.trees[root.Provider.ID], f.sharers[root.Provider.ID]} {
		for _, p := range list {
			if s.fits(p) && f.serves(p, root, need, s.suffix == "") {
				out = append(out, p)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *node) int { return cmp.Compare(s.room(b), s.room(a)) })
	return out
}

// serves tells whether a provider of the tree, or one that shares with it, may
// serve the group. Of a group that is spread the tree's root may be in the
// aggregates instead, and the traits are looked for on all its providers
// together.
func (f *forest) serves(p, root *node, need Need, spread bool) bool {
	own := p.Provider.Root == root.Provider.ID
	if need.InTree != "" {
		in, known := f.nodes[need.InTree]
		if !known || in.Provider.Root != p.Provider.Root || (spread && !own) {
			return false
		}
	}
	if meets(p.Traits, need.Forbidden) || meets(p.Aggregates, need.Outside) {
		return false
	}
	if spread {
		return !meets(root.Aggregates, need.Outside) &&
			(hasOneOfEach(p.Aggregates, need.MemberOf) || own && hasOneOfEach(root.Aggregates, need.MemberOf))
	}
	return hasOneOfEach(p.Aggregates, need.MemberOf) && hasOneOfEach(p.Traits, need.Required)
}

// together tells whether all providers are one of them or below it.
func together(list []*node) bool {
	return slices.ContainsFunc(list, func(top *node) bool {
		return !slices.ContainsFunc(list, func(p *node) bool {
			for p != nil && p != top {
				p = p.parent
			}
			return p == nil
		})
	})
}

// knownAsk is an error when the request names a trait or a class that nobody knows.
func knownAsk(ctx context.Context, tx *db.Tx, ask Ask) error {
	traits := slices.Concat(ask.RootHas, ask.RootLacks)
	var classes []string
	for _, need := range ask.Groups {
		traits = append(append(traits, slices.Concat(need.Required...)...), need.Forbidden...)
		classes = slices.AppendSeq(classes, maps.Keys(need.Resources))
	}
	return knownNames(ctx, tx, "", traits, classes)
}

// knownNames is an error that names the traits, after a prefix, or the class that
// nobody knows.
func knownNames(ctx context.Context, tx *db.Tx, prefix string, traits, classes []string) error {
	var unknown []string
	for _, trait := range slices.Compact(slices.Sorted(slices.Values(traits))) {
		err := knownTrait(ctx, tx, trait)
		if errs.Is(err, errs.NotFound) {
			unknown = append(unknown, trait)
			continue
		}
		if err != nil {
			return err
		}
	}
	if unknown != nil {
		return errs.BadRequestf("%s%s", prefix, noTraits(unknown))
	}
	for _, class := range slices.Sorted(slices.Values(classes)) {
		err := knownClass(ctx, tx, class)
		if errs.Is(err, errs.NotFound) {
			return errs.BadRequestf("Invalid resource class in resources parameter: No such resource class %s.", class)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
