package compute

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"nacre/internal/compute/numa"
	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// How much of a decision is kept: the best hosts and some of the refused.
const (
	keepPassed  = 10
	keepRefused = 20
)

// Decision is why a server is where it is, or nowhere.
type Decision struct {
	Server      string
	Chosen      string // host name, "" for none
	DecidedAt   time.Time
	Explanation scheduler.Explanation
}

// destination is the only host to take, "" for any; Anyway says that it is to be taken
// whatever its rules are, if it is up and has room.
type destination struct {
	Host   string
	Anyway bool
}

// claimHost chooses a host and takes room on it, and cores of its own where the
// server wants some. A host that turns out to be full in the database is left out
// and the next best one tried; so are the hosts except.
func (s *Service) claimHost(ctx context.Context, tx *db.Tx, server Server, to destination, except ...string) (Server, error) {
	q, err := s.ask(ctx, tx, server, to)
	if err != nil {
		return server, err
	}
	return s.claimAs(ctx, tx, server, q, except...)
}

// claimAs is claimHost for a question that is made. That there is no host is a
// decision too: it is kept although the plan's step fails with it.
func (s *Service) claimAs(ctx context.Context, tx *db.Tx, server Server, q question, except ...string) (Server, error) {
	s.mu.RLock()
	for _, name := range except {
		host, known := s.snapshot.Named(name)
		if known {
			q.Exclude = append(q.Exclude, host.ID)
		}
	}
	s.mu.RUnlock()
	for {
		best, explanation := s.decide(q.Request)
		if best == nil {
			return server, work.Leaving(noValidHost(explanation), func(ctx context.Context, tx *db.Tx) error {
				return s.keepDecision(ctx, tx, server.ID, "", explanation)
			})
		}
		err := s.claim(ctx, tx, server, best.ID, q.demand)
		if errs.Is(err, errs.Conflict) {
			s.letGo(server.ID)
			q.Exclude = append(q.Exclude, best.ID)
			continue
		}
		fits := false
		if err == nil {
			fits, err = s.claimCells(ctx, tx, server, best.Host, &q.Request)
		}
		if err != nil || !fits {
			s.letGo(server.ID)
		}
		if err != nil {
			return server, err
		}
		if !fits {
			continue // the question knows by now what others have there
		}
		tx.After(func() { s.letGo(server.ID) })
		server.Host = best.Host
		return server, s.keepDecision(ctx, tx, server.ID, best.Host, explanation)
	}
}

func noValidHost(e scheduler.Explanation) error {
	return errs.New(errs.Internal, "No valid host was found. %s", e.Summary())
}

// decide ranks the hosts and holds the best one's room until the claim is in
// the database (or letGo), so that decisions made meanwhile look elsewhere.
func (s *Service) decide(r scheduler.Request) (*scheduler.Verdict, scheduler.Explanation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	explanation := s.snapshot.Explain(r, keepPassed, keepRefused)
	if explanation.Passed == 0 {
		return nil, explanation
	}
	best := &explanation.Hosts[0]
	s.snapshot.Hold(r.Server, best.ID, r.Amounts)
	return best, explanation
}

func (s *Service) letGo(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshot.Release(server)
}

// question is where a server may go: what the scheduler is asked, and what placement
// is asked for.
type question struct {
	scheduler.Request
	demand ResourceRequest
	take   func(host string) bool // see askHosts
}

// ask translates a server into a question.
func (s *Service) ask(ctx context.Context, tx *db.Tx, server Server, to destination) (question, error) {
	flavor := server.Flavor.V
	r := question{Request: s.askImage(server)}
	r.Server, r.Zone, r.Project, r.Flavor = server.ID, server.Zone, server.Project, flavor.Name
	r.Host, r.Anyway = to.Host, to.Anyway
	var err error
	r.demand, r.NUMA, err = server.demand(flavor)
	if err != nil {
		return r, err
	}
	if r.NUMA != nil {
		r.Used, err = s.cellsUsed(ctx, tx, server.ID, "")
		if err != nil {
			return r, err
		}
	}
	r.Weighers = s.weighers
	r.Capabilities, r.AggregateSpecs = specsOf(flavor.ExtraSpecs.V, "capabilities:"), specsOf(flavor.ExtraSpecs.V, "aggregate_instance_extra_specs:")
	r.Unscoped = specsOf(flavor.ExtraSpecs.V, "")
	err = s.askHosts(ctx, tx, &r)
	if err != nil {
		return r, err
	}
	needHardware(server, &r.Request)
	switch {
	case r.NUMA == nil:
	case r.NUMA.Threads == numa.Require:
		r.Required = append(r.Required, threadsTrait)
	case r.NUMA.Threads == numa.Isolate:
		r.Forbidden = append(r.Forbidden, threadsTrait)
	}
	err = s.hear(ctx, tx, server.SchedulerHints.V, &r.Request)
	if err != nil || server.ServerGroup == "" {
		return r, err
	}
	group, err := serverGroup(ctx, tx, "", server.ServerGroup)
	if errs.Is(err, errs.NotFound) {
		return r, nil // deleted meanwhile: its rule is gone with it
	}
	if err != nil {
		return r, err
	}
	r.Group = &scheduler.Group{Policy: scheduler.Policy(group.Policy), MaxPerHost: group.Rules.V.MaxServerPerHost, Members: map[string]int{}}
	var rows []struct {
		Host string
		N    int
	}
	err = tx.All(ctx, &rows, `
		SELECT host, COUNT(*) AS n FROM servers
		WHERE server_group = ? AND server_group <> '' AND host <> '' AND deleted_at = 0 AND id <> ? GROUP BY host`, group.ID, server.ID)
	if err != nil {
		return r, fmt.Errorf("read members of server group %s: %w", group.ID, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, row := range rows {
		host, known := s.snapshot.Named(row.Host)
		if known {
			r.Group.Members[host.ID] = row.N
		}
	}
	return r, nil
}

// askImage is what the image of a server asks of hosts, but for traits.
func (s *Service) askImage(server Server) scheduler.Request {
	properties := server.ImageProperties.V
	return scheduler.Request{
		Image: properties, ImageID: server.Image, Rules: s.rules,
		Arch: cmp.Or(properties["hw_architecture"], properties["architecture"]), Hypervisor: properties["img_hv_type"],
		Versions: properties["img_hv_requested_version"], VMMode: properties["hw_vm_mode"],
	}
}

// takesImage asks whether the host of a server takes it with another image.
func (s *Service) takesImage(server Server, image string) error {
	r := s.askImage(server)
	r.Server, r.Host, r.Keep, r.ImageID = server.ID, server.Host, true, image
	needHardware(server, &r)
	demand, _, err := server.demand(server.Flavor.V)
	if err != nil {
		return err
	}
	if plain(demand) { // else what is below the host may have them
		r.Required = append(r.Required, imageTraits(server.ImageProperties.V)...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	explanation := s.snapshot.Explain(r, 1, 1)
	if explanation.Passed == 0 {
		return noValidHost(explanation)
	}
	return nil
}

// specsOf picks the extra specs of a scope, without it; those of the scope "" have none.
func specsOf(specs map[string]string, scope string) map[string]string {
	var out map[string]string
	for key, value := range specs {
		name, of := strings.CutPrefix(key, scope)
		if of && (scope != "" || !strings.Contains(key, ":")) {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}

// hear puts hints into the request: to be on a host of certain servers or on none
// of theirs, and a condition on hosts.
func (s *Service) hear(ctx context.Context, tx *db.Tx, hints map[string]any, r *scheduler.Request) error {
	var err error
	r.Different, err = hostsOf(ctx, tx, hints["different_host"])
	if err != nil {
		return err
	}
	if hints["same_host"] != nil {
		r.Same, err = hostsOf(ctx, tx, hints["same_host"])
		if err != nil {
			return err
		}
		r.Same = append([]string{}, r.Same...) // none is not any
	}
	switch query := hints["query"].(type) {
	case string:
		r.Query = query
	case map[string]any, []any:
		text, err := json.Marshal(query)
		if err != nil {
			return fmt.Errorf("write hint query: %w", err)
		}
		r.Query = string(text)
	}
	r.Near = near(hints)
	s.mu.RLock()
	needed := s.snapshot.NeedsLoads(*r)
	s.mu.RUnlock()
	if !needed {
		return nil
	}
	r.Loads, err = loads(ctx, tx)
	return err
}

// near is the network of the host in the hint build_near_host_ip, whose size is in
// the hint cidr; it is not valid when there is no such hint.
func near(hints map[string]any) netip.Prefix {
	address, _ := hints["build_near_host_ip"].(string)
	size, _ := hints["cidr"].(string)
	network, _ := netip.ParsePrefix(address + cmp.Or(size, "/24"))
	return network.Masked()
}

// checkNear refuses a hint cidr that is the size of no network.
func checkNear(hints map[string]any) error {
	size, said := hints["cidr"].(string)
	address, _ := hints["build_near_host_ip"].(string)
	_, err := netip.ParsePrefix(cmp.Or(address, "::") + size)
	if said && err != nil {
		return errs.BadRequestf("Invalid scheduler hint cidr: %s is the size of no network.", size)
	}
	return nil
}

// hostsOf finds the hosts of servers: one id or a list of them.
func hostsOf(ctx context.Context, tx *db.Tx, hint any) ([]string, error) {
	var ids []string
	switch hint := hint.(type) {
	case string:
		ids = []string{hint}
	case []any:
		for _, one := range hint {
			id, _ := one.(string)
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var names []string
	err := tx.All(ctx, &names, "SELECT DISTINCT host FROM servers WHERE id IN (?) AND host <> '' AND deleted_at = 0", db.In(ids))
	if err != nil {
		return nil, fmt.Errorf("read hosts of servers in hints: %w", err)
	}
	return names, nil
}

// loads counts the servers of each host, and those that are in the middle of
// something.
func loads(ctx context.Context, tx *db.Tx) (map[string]scheduler.Load, error) {
	var rows []struct {
		Host          string
		Servers, Busy int
	}
	err := tx.All(ctx, &rows, `
		SELECT host, COUNT(*) AS servers, SUM(CASE WHEN task_state <> '' OR vm_state = 'building' THEN 1 ELSE 0 END) AS busy
		FROM servers WHERE host <> '' AND deleted_at = 0 GROUP BY host`)
	if err != nil {
		return nil, fmt.Errorf("count servers of hosts: %w", err)
	}
	out := make(map[string]scheduler.Load, len(rows))
	for _, row := range rows {
		out[row.Host] = scheduler.Load{Servers: row.Servers, Busy: row.Busy}
	}
	var failed []struct {
		Host string
		N    int
	}
	err = tx.All(ctx, &failed, "SELECT host, n FROM failed_builds")
	if err != nil {
		return nil, fmt.Errorf("read failed builds: %w", err)
	}
	for _, row := range failed {
		load := out[row.Host]
		load.Failed = row.N
		out[row.Host] = load
	}
	return out, nil
}

func (s *Service) keepDecision(ctx context.Context, tx *db.Tx, server, chosen string, e scheduler.Explanation) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO schedules (server, chosen, explanation, decided_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (server) DO UPDATE SET
			chosen = excluded.chosen, explanation = excluded.explanation, decided_at = excluded.decided_at`,
		server, chosen, db.Of(e), db.At(s.clock.Now()))
	if err != nil {
		return fmt.Errorf("keep decision about server %s: %w", server, err)
	}
	return nil
}

// Decision returns the newest scheduling decision about a server.
func (s *Service) Decision(ctx context.Context, server string) (Decision, error) {
	var row struct {
		Chosen      string
		Explanation db.JSON[scheduler.Explanation]
		DecidedAt   db.Time
	}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &row, "SELECT chosen, explanation, decided_at FROM schedules WHERE server = ?", server)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Decision{}, errs.NotFoundf("No host was chosen for server %s yet.", server)
	}
	if err != nil {
		return Decision{}, fmt.Errorf("read decision about server %s: %w", server, err)
	}
	return Decision{Server: server, Chosen: row.Chosen, DecidedAt: row.DecidedAt.Time(), Explanation: row.Explanation.V}, nil
}

// Explain renders the newest decision about a server for people to read.
func (s *Service) Explain(ctx context.Context, server string) (json.RawMessage, error) {
	d, err := s.Decision(ctx, server)
	if err != nil {
		return nil, err
	}
	summary := ""
	if d.Chosen == "" {
		summary = d.Explanation.Summary()
	}
	return json.Marshal(struct {
		Server    string    `json:"server"`
		Chosen    string    `json:"chosen"`
		DecidedAt time.Time `json:"decided_at"`
		Summary   string    `json:"summary,omitempty"`
		scheduler.Explanation
	}{server, d.Chosen, d.DecidedAt, summary, d.Explanation})
}
