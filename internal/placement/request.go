package placement

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Request is what a server wants that one provider and three classes cannot say, in
// words that need no type of ours: groups by suffix as in Ask. Traits are all
// required, or all forbidden.
type Request = struct {
	Groups   map[string]RequestGroup
	Isolate  bool
	Together [][]string
}

// RequestGroup is a part of a Request.
type RequestGroup = struct {
	Resources           map[string]int64
	Required, Forbidden []string
}

func askOf(r Request) Ask {
	ask := Ask{Groups: map[string]Need{}, Isolate: r.Isolate, Together: r.Together}
	for suffix, g := range r.Groups {
		need := Need{Resources: g.Resources, Forbidden: g.Forbidden}
		for _, trait := range g.Required {
			need.Required = append(need.Required, []string{trait})
		}
		ask.Groups[suffix] = need
	}
	return ask
}

// Rehearse tells which hosts, by the ids of their providers, could serve the request
// now. Take lets one of them serve it in memory alone, until it is full: so servers
// can be placed one after the other that nobody makes.
func (s *Service) Rehearse(ctx context.Context, tx *db.Tx, r Request) (able map[string]bool, take func(host string) bool, err error) {
	ask := askOf(r)
	f, err := askedForest(ctx, tx, ask, nil)
	if err != nil {
		return nil, nil, err
	}
	best := func(host string) (Candidate, bool) {
		root, known := f.nodes[host]
		if !known {
			return Candidate{}, false
		}
		c, found, _ := f.best(ctx, root, ask) // a search that the call's end cuts off has found nothing
		return c, found
	}
	able = map[string]bool{}
	for _, root := range f.roots {
		_, found := best(root.Provider.ID)
		if found {
			able[root.Provider.ID] = true
		}
	}
	take = func(host string) bool {
		c, found := best(host)
		for id, takes := range c.Takes {
			f.nodes[id].use(takes, 1)
		}
		return found
	}
	return able, take, ctx.Err()
}

// ClaimRequest takes for a server what the best candidate of a host takes, or
// nothing. Claiming again what the server has already is a success; a host without a
// candidate is a conflict. It runs inside the caller's transaction.
func (s *Service) ClaimRequest(ctx context.Context, tx *db.Tx, server, project, user, host string, r Request) error {
	ask := askOf(r)
	// The providers are held before anybody looks at what is left on them: whoever
	// comes second chooses among what the first has left.
	var near []string
	err := tx.All(ctx, &near, `
		SELECT id FROM resource_providers
		WHERE root = ? OR id IN (SELECT provider FROM provider_traits WHERE trait = ?)
		ORDER BY id`+tx.Hold(), host, sharing)
	if err != nil {
		return fmt.Errorf("read providers near %s: %w", host, err)
	}
	f, err := askedForest(ctx, tx, ask, near)
	if err != nil {
		return err
	}
	root, known := f.nodes[host]
	if !known {
		return errs.Conflictf("Resource provider %s is gone.", host)
	}
	have, err := allocations(ctx, tx, server)
	if err != nil {
		return err
	}
	if f.serve(have, ask, root) {
		return nil
	}
	for id, takes := range have {
		p, known := f.nodes[id]
		if known {
			p.use(takes, -1) // what it has is given back first
		}
	}
	c, found, err := f.best(ctx, root, ask)
	if err != nil {
		return err
	}
	if !found {
		return errs.Conflictf("Unable to allocate inventory: resource provider %s and those of its tree have no room for the request.", host)
	}
	return s.replace(ctx, tx, Claim{Consumer: server, Project: project, User: user, Type: "INSTANCE", From: c.Takes, Generation: Any})
}

// askedForest reads the providers, all when ids is nil, once it is clear that the
// request names nothing that is unknown.
func askedForest(ctx context.Context, tx *db.Tx, ask Ask, ids []string) (*forest, error) {
	err := knownAsk(ctx, tx, ask)
	if err != nil {
		return nil, err
	}
	all, err := changes(ctx, tx, ids)
	if err != nil {
		return nil, fmt.Errorf("find candidates: %w", err)
	}
	return newForest(all), nil
}

// best is the best candidate of one tree.
func (f *forest) best(ctx context.Context, root *node, ask Ask) (Candidate, bool, error) {
	w := f.newWalk(root, ask)
	if w == nil {
		return Candidate{}, false, nil
	}
	dead := mostDead
	found, err := w.next(ctx, &dead)
	if err != nil || !found {
		return Candidate{}, false, err
	}
	return w.candidate(), true, nil
}

// serve tells whether allocations are what the request asks for, in sum, and come
// from the tree.
func (f *forest) serve(have map[string]Resources, ask Ask, root *node) bool {
	sum, own := Resources{}, false
	for id, takes := range have {
		p, near := f.nodes[id]
		if !near {
			return false
		}
		own = own || p.Provider.Root == root.Provider.ID
		for class, n := range takes {
			sum[class] += n
		}
	}
	for _, need := range ask.Groups {
		for class, n := range need.Resources {
			sum[class] -= n
		}
	}
	return own && !slices.ContainsFunc(slices.Collect(maps.Values(sum)), func(n int64) bool { return n != 0 })
}

// use counts resources as taken, so many times.
func (p *node) use(takes Resources, times int64) {
	for class, n := range takes {
		i := p.Inventories[class]
		i.Used += n * times
		p.Inventories[class] = i
	}
}

// SetHostTrait gives a host's provider a trait, or takes it away. A missing provider
// is a success, and so is what is so already.
func (s *Service) SetHostTrait(ctx context.Context, tx *db.Tx, id, trait string, has bool) error {
	p, err := provider(ctx, tx, id)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	traits, err := traitsOf(ctx, tx, id)
	if err != nil || slices.Contains(traits, trait) == has {
		return err
	}
	change := "DELETE FROM provider_traits WHERE provider = ? AND trait = ?"
	if has {
		change = "INSERT INTO provider_traits (provider, trait) VALUES (?, ?)"
	}
	_, err = tx.Exec(ctx, change, id, trait)
	if err != nil {
		return fmt.Errorf("set trait %s of provider %s: %w", trait, id, err)
	}
	err = bump(ctx, tx, &p, s.clock.Now())
	if err != nil {
		return err
	}
	return s.tellAfter(ctx, tx, true, id)
}
