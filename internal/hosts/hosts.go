// Package hosts is the servers' side of the node contract: which hosts there
// are, what we want of each, and what they made of it.
//
// A service that wants something on a host writes a document in the
// transaction of its own change (Want, Forget). The document has a generation
// from a counter of its host, so that the order of generations is the order of
// changes. Whatever was committed reaches the node: at once when it is
// connected, since the commit wakes the sender, which sends all generations
// after the last one it sent; and with the whole set whenever the node
// connects. Nothing is lost, because nothing is only in a message.
//
// What a node observes is written to the document's row together with the
// generation it answers, many at a time, and then the hooks of the document's
// kind hear the id. A node speaks for its own host only: its name comes from
// whoever accepted the connection, never from the node.
//
// A host is up while it is connected, or was seen a moment ago. Being seen is
// written for all hosts in one statement.
package hosts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// Timing of liveness.
const (
	tick   = 2 * time.Second  // how often we look after connections and write who was seen
	silent = 10 * time.Second // how long a host may say nothing before it is down
)

// channel announces hosts that have a newer document.
const channel = "hosts.documents"

// Options is what the service needs. New fills in what is missing but DB.
type Options struct {
	DB    *db.DB
	Clock clock.Clock
	NewID func() string
	Log   *slog.Logger
}

// Service knows the hosts. Its methods may be called concurrently. Hooks and
// handlers are registered before the first Serve.
type Service struct {
	db    *db.DB
	clock clock.Clock
	newID func() string
	log   *slog.Logger

	onHost     []func(Host)
	onObserved map[string][]func(id string)
	queries    map[string]QueryFunc
	streams    map[string]StreamFunc

	mu    sync.Mutex // guards links and up
	links map[string]*link
	up    map[string]bool // as the hooks were told last
}

// QueryFunc answers a node's question. The host is the one that asks.
type QueryFunc func(ctx context.Context, host string, payload json.RawMessage) (any, error)

// StreamFunc accepts a stream that a node opens and returns what serves it.
type StreamFunc func(ctx context.Context, host, id string) (func(s *nodeapi.Stream) error, error)

// Host is a machine that runs a node.
type Host struct {
	ID        string // UUID
	Name      string
	Up        bool
	SeenAt    time.Time
	CreatedAt time.Time
	Info      nodeapi.HostInfo
}

type hostRow struct {
	bun.BaseModel `bun:"table:hosts"`

	Name      string `bun:",pk"`
	ID        string
	Sequence  int64
	SeenAt    db.Time
	Info      db.JSON[nodeapi.HostInfo]
	CreatedAt db.Time
}

// New makes the service.
func New(o Options) *Service {
	s := &Service{
		db:         o.DB,
		clock:      o.Clock,
		newID:      o.NewID,
		log:        o.Log,
		onObserved: map[string][]func(string){},
		queries:    map[string]QueryFunc{},
		streams:    map[string]StreamFunc{},
		links:      map[string]*link{},
		up:         map[string]bool{},
	}
	if s.clock == nil {
		s.clock = clock.Real{}
	}
	if s.newID == nil {
		s.newID = clock.UUID
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.db.Listen(channel, s.hint)
	return s
}

// OnHost calls the function whenever a host came up, went down or changed
// what it has. It must be quick.
func (s *Service) OnHost(hook func(Host)) { s.onHost = append(s.onHost, hook) }

// OnObserved calls the function with the id of each document of the kind whose
// observation changed, after that is on disk. It must be quick.
func (s *Service) OnObserved(kind string, hook func(id string)) {
	s.onObserved[kind] = append(s.onObserved[kind], hook)
}

// OnQuery answers a question that nodes ask.
func (s *Service) OnQuery(name string, answer QueryFunc) { s.queries[name] = answer }

// OnStream serves streams that nodes open.
func (s *Service) OnStream(kind string, accept StreamFunc) { s.streams[kind] = accept }

// List returns all hosts by name.
func (s *Service) List(ctx context.Context) ([]Host, error) {
	var rows []hostRow
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, "SELECT * FROM hosts ORDER BY name")
	})
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	list := make([]Host, len(rows))
	for i, row := range rows {
		list[i] = s.host(row)
	}
	return list, nil
}

// Get returns one host by its name.
func (s *Service) Get(ctx context.Context, name string) (Host, error) {
	var row hostRow
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &row, "SELECT * FROM hosts WHERE name = ?", name)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Host{}, errs.NotFoundf("Host %s could not be found.", name)
	}
	if err != nil {
		return Host{}, fmt.Errorf("read host %s: %w", name, err)
	}
	return s.host(row), nil
}

func (s *Service) host(row hostRow) Host {
	return Host{
		ID:        row.ID,
		Name:      row.Name,
		Up:        s.link(row.Name) != nil || s.clock.Now().Sub(row.SeenAt.Time()) < silent,
		SeenAt:    row.SeenAt.Time(),
		CreatedAt: row.CreatedAt.Time(),
		Info:      row.Info.V,
	}
}

// link returns the connection of the host, nil when it has none.
func (s *Service) link(host string) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[host]
}

// Run looks after the connections until the context ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		err := s.look(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Error("look after hosts", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.clock.After(tick):
		}
	}
}

// look cuts off connections that have gone silent, writes who is there, and
// tells the hooks who came and went.
func (s *Service) look(ctx context.Context) error {
	now := s.clock.Now()
	s.mu.Lock()
	var here []string
	for name, l := range s.links {
		if l.alive(now) {
			here = append(here, name)
			continue
		}
		s.log.Warn("node is silent", "host", name)
		l.conn.Close()
	}
	s.mu.Unlock()
	if len(here) > 0 {
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			for start := 0; start < len(here); start += 500 {
				part := here[start:min(start+500, len(here))]
				_, err := tx.Exec(ctx, "UPDATE hosts SET seen_at = ? WHERE name IN (?)", db.At(now), db.In(part))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write who was seen: %w", err)
		}
	}
	return s.tellChanges(ctx, now)
}

// tellChanges compares who is up, on whichever server, with what the hooks
// were told.
func (s *Service) tellChanges(ctx context.Context, now time.Time) error {
	var seen []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &seen, "SELECT name FROM hosts WHERE seen_at > ?", db.At(now.Add(-silent)))
	})
	if err != nil {
		return fmt.Errorf("read who was seen: %w", err)
	}
	s.mu.Lock()
	up := make(map[string]bool, len(seen))
	var changed []string
	for _, name := range seen {
		up[name] = true
		if !s.up[name] {
			changed = append(changed, name)
		}
	}
	for name := range s.up {
		if !up[name] && s.links[name] == nil {
			changed = append(changed, name)
			delete(s.up, name)
		}
	}
	for _, name := range seen {
		s.up[name] = true
	}
	s.mu.Unlock()
	for _, name := range changed {
		err := s.tell(ctx, name)
		if err != nil {
			return err
		}
	}
	return nil
}

// tell calls the host hooks.
func (s *Service) tell(ctx context.Context, name string) error {
	if len(s.onHost) == 0 {
		return nil
	}
	host, err := s.Get(ctx, name)
	if err != nil {
		return fmt.Errorf("tell about host %s: %w", name, err)
	}
	for _, hook := range s.onHost {
		hook(host)
	}
	return nil
}
