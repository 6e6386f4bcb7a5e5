package compute

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/auth"
	"nacre/internal/compute/numa"
	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// MostDry is how many servers a dry run may be about.
const MostDry = 10000

// DryRun asks whether servers would find room, without making any.
type DryRun struct {
	Caller      auth.Caller
	Flavor      string // id or name
	Image       string // id, "" for one without properties
	Zone        string
	ServerGroup string
	Hints       map[string]any
	Count       int
}

// Share is how many of the servers a host would take.
type Share struct {
	Host    string `json:"host"`
	Servers int    `json:"servers"`
}

// DryResult is what would become of them. The explanation is of the first that
// finds no room, or else of the last.
type DryResult struct {
	Fits        int                   `json:"fits"`
	Hosts       []Share               `json:"hosts"`
	Summary     string                `json:"summary,omitempty"`
	Explanation scheduler.Explanation `json:"explanation"`
}

// DryRun places servers one after the other, as if each had got its room, and
// gives the room back.
func (s *Service) DryRun(ctx context.Context, d DryRun) (DryResult, error) {
	if d.Count < 1 || d.Count > MostDry {
		return DryResult{}, errs.BadRequestf("A dry run is about 1 to %d servers, not %d.", MostDry, d.Count)
	}
	f, err := s.flavorNamed(ctx, flavorScope(d.Caller), d.Flavor)
	if err != nil {
		return DryResult{}, err
	}
	server := Server{
		Project: d.Caller.Project, Flavor: flavorColumn{f}, Zone: d.Zone, ServerGroup: d.ServerGroup, SchedulerHints: db.Of(d.Hints),
		Image: cmp.Or(d.Image, "any"), // no volume is meant
	}
	if d.Zone != "" && !s.zoneExists(d.Zone) {
		return DryResult{}, errs.BadRequestf("The requested availability zone is not available")
	}
	if d.Image != "" {
		image, err := s.images.Image(ctx, d.Caller, d.Image)
		if err != nil {
			return DryResult{}, err
		}
		server.ImageProperties = db.Of(image.Properties)
	}
	var q question
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		q, err = s.ask(ctx, tx, server, destination{})
		return err
	})
	if err != nil {
		return DryResult{}, err
	}
	return s.place(q, d.Count), nil
}

// place decides about servers that take room only while it decides.
func (s *Service) place(r question, count int) DryResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	shares := map[string]int{}
	result := DryResult{Hosts: []Share{}}
	for result.Fits < count {
		r.Server = fmt.Sprint("dry-run-", result.Fits)
		best := s.snapshot.Rank(r.Request, 1)
		if len(best) == 0 {
			break
		}
		if r.take != nil && !r.take(best[0].ID) {
			delete(r.Able, best[0].ID)
			continue
		}
		if result.Fits == count-1 {
			result.Explanation = s.snapshot.Explain(r.Request, keepPassed, keepRefused)
		}
		shares[best[0].Host]++
		if r.Group != nil {
			r.Group.Members[best[0].ID]++
		}
		if r.Loads != nil {
			load := r.Loads[best[0].Host]
			load.Servers++
			load.Busy++
			r.Loads[best[0].Host] = load
		}
		s.snapshot.Hold(r.Server, best[0].ID, r.Amounts)
		s.lay(r.Request, best[0].Host)
		result.Fits++
	}
	if result.Fits < count {
		result.Explanation = s.snapshot.Explain(r.Request, keepPassed, keepRefused)
		result.Summary = result.Explanation.Summary()
	}
	for i := range result.Fits {
		s.snapshot.Release(fmt.Sprint("dry-run-", i))
	}
	for host, n := range shares {
		result.Hosts = append(result.Hosts, Share{host, n})
	}
	slices.SortFunc(result.Hosts, func(a, b Share) int {
		if a.Servers != b.Servers {
			return b.Servers - a.Servers
		}
		return strings.Compare(a.Host, b.Host)
	})
	return result
}

// lay counts the cells of one more server on a host. The mutex is held.
func (s *Service) lay(r scheduler.Request, host string) {
	if r.NUMA == nil {
		return
	}
	h, _ := s.snapshot.Named(host)
	used := r.Used[host]
	topology, why := numa.Fit(h.Cells, used, h.Ratios(), r.NUMA)
	if why == "" {
		used.Add(topology)
		r.Used[host] = used
	}
}

// flavorNamed finds a flavor by its id, or else by its name.
func (s *Service) flavorNamed(ctx context.Context, project, text string) (Flavor, error) {
	f, err := s.Flavor(ctx, project, text)
	if !errs.Is(err, errs.NotFound) {
		return f, err
	}
	var id string
	found := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &id, "SELECT id FROM flavors WHERE name = ?", text)
	})
	if errors.Is(found, sql.ErrNoRows) {
		return f, err
	}
	if found != nil {
		return f, fmt.Errorf("find flavor %q: %w", text, found)
	}
	return s.Flavor(ctx, project, id)
}
