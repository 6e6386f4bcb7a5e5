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
// A host is up while it is connected, to whichever server, or was seen a moment
// ago. Being seen is written for all hosts of a server in one statement. Time in
// which no server could hear anybody, since all were away, counts for no host's
// silence: who was up then has a moment to come back. Which
// server holds a host's connection stands in its row, with an epoch that grows
// with each connection: what comes over an older one is not written any more. A
// question to a host that another server holds goes there by the bus, a stream
// of bytes by a tunnel between the servers (Peers).
package hosts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

const (
	gather   = 100 * time.Millisecond // hosts that change in this time are looked at together
	together = 200                    // hosts are written at a time: requests wait that long, two milliseconds
)

// Channels on which transactions announce hosts.
const (
	channel        = "hosts.documents" // has a newer document
	changedChannel = "hosts.changed"   // has connected, or changed what it has
)

// Peers are the other servers of the cloud.
type Peers interface {
	// Tunnel opens a stream of bytes to something on a host that the server holds.
	Tunnel(ctx context.Context, server, host, kind, id string) (io.ReadWriteCloser, error)
	// URLs are where nodes reach the servers that are alive.
	URLs() []string
}

// Options is what the service needs. New fills in what is missing but DB.
type Options struct {
	DB    *db.DB
	Clock clock.Clock
	NewID func() string
	Log   *slog.Logger

	Server string  // the id of this server; "" for a cloud in one process
	Bus    bus.Bus // carries questions to hosts that other servers hold; nil: there are none
	Peers  Peers   // nil: there are none
}

// Service knows the hosts. Its methods may be called concurrently. Hooks and
// handlers are registered before the first Serve.
type Service struct {
	db    *db.DB
	clock clock.Clock
	newID func() string
	log   *slog.Logger

	server string
	bus    bus.Bus
	peers  Peers
	kick   chan struct{} // some host changed, on whichever server

	onHost     []func(Host)
	onObserved map[string][]func(id string)
	queries    map[string]QueryFunc
	streams    map[string]StreamFunc

	deaf bool // Run's: it could not look, the last time

	mu     sync.Mutex // guards all below
	links  map[string]*link
	told   map[string]state // as the hooks were told last
	newest db.Time          // when any host was seen last, before
	away   time.Duration    // in which nobody could see hosts
}

// state is what makes a host worth telling about.
type state struct {
	up      bool
	updated db.Time
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
	Here      bool   // this server holds its connection
	Server    string // that holds its connection, or did last
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
	Server    string // that holds its connection, or did last
	Epoch     int64  // of that connection
	CreatedAt db.Time
	UpdatedAt db.Time // when it last connected or changed what it has
}

// New makes the service.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{
		db:         o.DB,
		clock:      o.Clock,
		newID:      o.NewID,
		log:        o.Log,
		server:     o.Server,
		bus:        o.Bus,
		peers:      o.Peers,
		kick:       make(chan struct{}, 1),
		onObserved: map[string][]func(string){},
		queries:    map[string]QueryFunc{},
		streams:    map[string]StreamFunc{},
		links:      map[string]*link{},
		told:       map[string]state{},
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
	s.db.Listen(changedChannel, func(string) {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	})
	return s, s.hearAgain(ctx)
}

// hearAgain notes for how long nobody could hear the hosts: there was no server, or
// none that reached the database.
func (s *Service) hearAgain(ctx context.Context) error {
	var newest db.Time
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &newest, "SELECT COALESCE(MAX(seen_at), 0) FROM hosts")
	})
	if err != nil {
		return fmt.Errorf("read when hosts were seen last: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest, s.away = newest, max(0, s.clock.Now().Sub(newest.Time()))
	return nil
}

// up tells whether a host is up that was seen last at that moment, or has the
// connection. The lock is held.
func (s *Service) up(l *link, seen db.Time) bool {
	silence := s.clock.Now().Sub(seen.Time())
	if seen <= s.newest {
		silence -= s.away
	}
	return l != nil || silence < nodeapi.HostSilent
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
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.links[row.Name]
	return Host{
		ID:        row.ID,
		Name:      row.Name,
		Up:        s.up(l, row.SeenAt),
		Here:      l != nil,
		Server:    row.Server,
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
	if s.bus != nil {
		stop := s.bus.Answer(topicOf(s.server), s.answerPeer)
		defer stop()
	}
	next := s.clock.After(0)
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
			next = s.clock.After(nodeapi.Look)
			err = s.attend(ctx, s.look)
		case <-s.kick:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.clock.After(gather):
			}
			err = s.attend(ctx, s.tellChanges)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("look after hosts", "error", err)
		}
	}
}

// attend looks after the hosts, and first for how long nobody could when the time
// before came to nothing.
func (s *Service) attend(ctx context.Context, look func(context.Context) error) error {
	if s.deaf {
		err := s.hearAgain(ctx)
		if err != nil {
			return err
		}
	}
	err := look(ctx)
	s.deaf = err != nil
	return err
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
	for part := range slices.Chunk(here, together) {
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE hosts SET seen_at = ? WHERE server = ? AND name IN (?)", db.At(now), s.server, db.In(part))
			return err
		})
		if err != nil {
			return fmt.Errorf("write who was seen: %w", err)
		}
	}
	s.tellServers()
	return s.tellChanges(ctx)
}

// tellChanges compares the hosts, on whichever server, with what the hooks were
// told. It also makes up for hints that were lost: a host that is connected
// elsewhere by now is let go, and one that has newer documents gets them.
func (s *Service) tellChanges(ctx context.Context) error {
	var rows []hostRow
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, "SELECT name, sequence, seen_at, server, epoch, updated_at FROM hosts")
	})
	if err != nil {
		return fmt.Errorf("read who was seen: %w", err)
	}
	var changed []string
	s.mu.Lock()
	for _, row := range rows {
		l := s.links[row.Name]
		if l != nil && l.epoch < row.Epoch {
			l.conn.Close()
		}
		if l != nil && l.looked < row.Sequence {
			l.looked = row.Sequence
			if l.sent.Load() < row.Sequence {
				l.send()
			}
		}
		now := state{up: s.up(l, row.SeenAt), updated: row.UpdatedAt}
		if s.told[row.Name] != now {
			s.told[row.Name] = now
			changed = append(changed, row.Name)
		}
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

// tellServers tells the nodes where the servers are, when that changed.
func (s *Service) tellServers() {
	if s.peers == nil {
		return
	}
	urls := s.peers.URLs()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		l.tellServers(urls)
	}
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
