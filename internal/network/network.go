// Package network owns networks, subnets, ports, security groups, routers and
// floating IPs. It speaks to users as Neutron.
//
// A use case is one transaction: it writes the rows and, beside them, which
// objects of the fabric they change (dirty.go). A loop, nudged by the commit,
// turns those objects into fabric.Topology and has the fabric make them so
// (loop_fabric.go); ports go ACTIVE when the fabric reports them up
// (loop_status.go). What the fabric has and nobody asked for is removed when we
// start. So the database is never ahead of a promise: what was answered will be
// made, and what was refused left no trace.
//
// Addresses are taken by the unique key of port_ips, so that two requests can
// never get the same one; where to look for a free one is only a hint in
// memory (address.go). A port's row repeats its addresses and groups, since
// that is what every list shows.
//
// Whoever is not an administrator sees what belongs to the own project, what
// is shared, and external networks. Everything else is not found.
package network

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/loop"
	"nacre/internal/quota"
)

// MTUs of networks: what the overlay's headers leave, and plain Ethernet.
const (
	overlayMTU  = 1442
	physicalMTU = 1500
)

// Options are what the service needs. Zero values of the settings work.
type Options struct {
	DB     *db.DB
	Fabric fabric.Cluster
	Clock  clock.Clock   // nil: the machine's
	NewID  func() string // nil: clock.UUID
	Log    *slog.Logger  // nil: slog.Default
	// Nudge asks a loop of Loops to look at once: loop.Runner.Nudge.
	Nudge func(loop string)

	// Hosts lists the machines of the cloud; nil: none.
	Hosts func(ctx context.Context) ([]Host, error)

	// Physical are the names of provider networks that hosts are connected to;
	// nil is the one called public.
	Physical []string
	// Zone is the one availability zone; "" is nova.
	Zone string
	// DNS are the name servers of the first subnet.
	DNS []string
}

// Service is the network service.
type Service struct {
	db       *db.DB
	fabric   fabric.Cluster
	clock    clock.Clock
	newID    func() string
	log      *slog.Logger
	physical []string
	zone     string
	dns      []string
	hosts    func(ctx context.Context) ([]Host, error)
	nudge    func(loop string)
	stop     func()

	mu      sync.Mutex // guards cursors and stale
	cursors map[string]int64
	stale   map[string]bool // ports whose status is to be looked at again

	resynced bool            // tellFabric's
	up       map[string]bool // followFabric's: ports that the fabric last reported up, nil at first
	compared time.Time       // with all of them
}

// New makes the service. Close ends what it listens to.
func New(o Options) *Service {
	s := &Service{
		db: o.DB, fabric: o.Fabric, clock: o.Clock, newID: o.NewID, log: o.Log,
		physical: o.Physical, zone: o.Zone, dns: o.DNS, hosts: o.Hosts, cursors: map[string]int64{},
		stale: map[string]bool{},
	}
	if s.clock == nil {
		s.clock = clock.Real{}
	}
	if s.newID == nil {
		s.newID = clock.UUID
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.physical == nil {
		s.physical = []string{"public"}
	}
	if s.zone == "" {
		s.zone = "nova"
	}
	s.nudge = o.Nudge
	if s.nudge == nil {
		s.nudge = func(string) {}
	}
	deaf := []func(){
		s.db.Listen(dirtyChannel, func(string) { s.nudge(fabricLoop) }),
		s.db.Listen(recheckChannel, s.recheck),
	}
	s.stop = func() {
		for _, stop := range deaf {
			stop()
		}
	}
	return s
}

// Loops keep the fabric as the rows say, ports' status as the fabric says, and
// quotas as the rows are.
func (s *Service) Loops() []loop.Loop {
	return []loop.Loop{
		{Name: fabricLoop, Every: 10 * time.Second, Once: s.tellFabric},
		{Name: statusLoop, Every: statusEvery, Once: s.followFabric},
		{Name: "network.quota", Every: 10 * time.Minute, Once: s.recount},
	}
}

// Run passes the fabric's hints on until the context ends.
func (s *Service) Run(ctx context.Context) {
	changed := s.fabric.Changed()
	for {
		select {
		case <-ctx.Done():
			return
		case port := <-changed:
			s.recheck(port)
		}
	}
}

// Close ends what the service listens to.
func (s *Service) Close() { s.stop() }

// Zone is the availability zone of everything.
func (s *Service) Zone() string { return s.zone }

// Common is what all resources have.
type Common struct {
	ID          string            `bun:"id,pk"`
	Project     string            `bun:"project_id"`
	Description string            `bun:"description"`
	Tags        db.JSON[[]string] `bun:"tags"`
	Revision    int64             `bun:"revision"`
	CreatedAt   db.Time           `bun:"created_at"`
	UpdatedAt   db.Time           `bun:"updated_at"`
}

// Key names the row, for links to pages.
func (c Common) Key() string { return c.ID }

// common begins a row.
func (s *Service) common(tx *db.Tx, project, description string, tags []string) Common {
	now := db.At(tx.Now())
	if tags == nil {
		tags = []string{}
	}
	return Common{
		ID: s.newID(), Project: project, Description: description, Tags: db.Of(tags),
		Revision: 1, CreatedAt: now, UpdatedAt: now,
	}
}

// touch marks the row changed; its columns are revision and updated_at.
func (c *Common) touch(tx *db.Tx) {
	c.Revision++
	c.UpdatedAt = db.At(tx.Now())
}

// AnyRevision is the revision to give to a change without a condition.
const AnyRevision = -1

// revised checks the revision that a client made its change conditional on.
func (c Common) revised(want int64) error {
	if want == AnyRevision || want == c.Revision {
		return nil
	}
	return errs.New(errs.Precondition, "Constrained to %d, but current revision is %d", want, c.Revision).
		Typed("RevisionNumberConstraintFailed")
}

// Scope says whose resources a query is about.
type Scope struct {
	All     bool   // everybody's
	Project string // else this project's, and what others let it see
}

// Query selects rows for a list.
type Query struct {
	Scope
	Page   db.Page
	Shared *bool // nil: either
	// OfDefault narrows rules to those of default groups, or of others; nil: either.
	OfDefault *bool
	Where     []db.Cond
	Tags      TagQuery
	// In narrows a list by columns that hold several values, such as a port's
	// fixed_ips; the keys are known to each resource.
	In map[string][]string
}

// TagQuery selects rows by their tags, as the four query parameters do.
type TagQuery struct {
	All, Any, NotAll, NotAny []string
}

// has is true for rows with the tag. It compares case-sensitively in every
// dialect, which LIKE doesn't.
func has(table, tag string) (condition string, args []any) {
	quoted, err := db.JSON[string]{V: tag}.Value()
	if err != nil {
		quoted = ""
	}
	return "REPLACE(?.tags, ?, '') <> ?.tags", []any{bun.Ident(table), quoted, bun.Ident(table)}
}

func (t TagQuery) where(q *bun.SelectQuery, table string) *bun.SelectQuery {
	group := func(q *bun.SelectQuery, tags []string, separator string, not bool) *bun.SelectQuery {
		if len(tags) == 0 {
			return q
		}
		text, args := "", []any{}
		for i, tag := range tags {
			if i > 0 {
				text += separator
			}
			condition, more := has(table, tag)
			text += condition
			args = append(args, more...)
		}
		if not {
			text = "NOT (" + text + ")"
		}
		return q.Where("("+text+")", args...)
	}
	q = group(q, t.All, " AND ", false)
	q = group(q, t.Any, " OR ", false)
	q = group(q, t.NotAll, " AND ", true)
	return group(q, t.NotAny, " OR ", true)
}

// overQuota words a refused reservation as Neutron does.
func overQuota(err error, items ...quota.Item) error {
	if err == nil || !errs.Is(err, errs.Forbidden) {
		return err
	}
	name := ""
	if len(items) > 0 {
		name = items[0].Resource
	}
	return errs.Conflictf("Quota exceeded for resources: ['%s'].", name).Typed("OverQuota").Because(err)
}

// reserve takes one kind of quota.
func reserve(ctx context.Context, tx *db.Tx, project string, item quota.Item) error {
	return overQuota(quota.Reserve(ctx, tx, project, item), item)
}
