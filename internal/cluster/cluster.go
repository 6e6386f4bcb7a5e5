// Package cluster is what the servers of a cloud have in common and who
// belongs to it.
//
// A server keeps nothing that another one would miss. What all of them must
// agree on once (the cloud's id, its certificate authority, the passwords it
// was born with) is a fact in the database: the first to come settles it.
// Secrets among the facts are sealed with the cloud's key file, which every
// server has: a copy of the database alone signs nothing and opens nothing.
// Which servers there are, who runs which loop, and which certificates are
// good stands in the database as well. A cloud in one process uses the same
// mechanisms; it is a cluster of one.
//
// The authority signs the certificates of listeners and of nodes. A node joins
// with a token that carries the authority's fingerprint, so that both sides
// know each other before anything is said; its private key never leaves it.
// Each connection of a node asks the database whether its certificate still
// counts, and a revoked one is cut off at once on every server.
//
// A server that dies is noticed by its silence: it says every two seconds that
// it is there. Its loops and plans are then taken over, its nodes go elsewhere
// by themselves. There is no leader.
package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/db"
)

// Timing. A loop of a dead server is taken over after silent + beat at most.
const (
	beat   = 2 * time.Second
	silent = 5 * time.Second
)

// revokedChannel announces hosts whose certificates were revoked.
const revokedChannel = "cluster.revoked"

// Options are what a server's part in the cluster is made of.
type Options struct {
	DB     *db.DB
	Sealer *auth.Sealer
	Clock  clock.Clock
	Log    *slog.Logger

	ID    string   // of this server, the same after a restart
	URL   string   // where nodes and other servers reach it; "" for a cloud that takes none in
	Names []string // what clients call it, for its certificate

	// Clients are authorities of users' certificates, which the listener takes
	// besides those of nodes and servers.
	Clients []*x509.Certificate

	// AuthorityFile is the authority of a data folder from before there was one
	// in the database: it is taken over.
	AuthorityFile string
	NodeLife      time.Duration // of nodes' certificates; 0: 30 days

	// Serve talks to the node of a host until its connection ends.
	Serve func(ctx context.Context, host string, stream io.ReadWriteCloser) error
	// Open opens a byte stream to something on a host that this server holds.
	Open func(ctx context.Context, host, kind, id string) (io.ReadWriteCloser, error)

	// Southbound is told to nodes that join (see nodeapi.JoinReply).
	Southbound string
}

// Cluster is this server's part in the cluster. Its methods may be called
// concurrently.
type Cluster struct {
	Options
	authority authority
	listener  leaf // the certificate of the listener, and towards other servers

	mu      sync.Mutex // guards all below
	servers []Server   // as the database told last
	leases  map[string]*lease
	gained  func(name string)
	streams map[*stream]struct{} // of nodes
	ctx     context.Context      // of Run; nil before
	serving sync.WaitGroup       // counts streams
}

// New joins the cluster of the database: it finds the authority, or settles it.
func New(ctx context.Context, o Options) (*Cluster, error) {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.NodeLife == 0 {
		o.NodeLife = 30 * 24 * time.Hour
	}
	c := &Cluster{Options: o, leases: map[string]*lease{}, streams: map[*stream]struct{}{}}
	var err error
	c.authority, err = c.openAuthority(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the certificate authority: %w", err)
	}
	err = c.announce(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Run says that this server is there, keeps its leases and watches the
// certificates of connected nodes, until the context ends. Then it lets go of
// everything, so that others need not wait.
func (c *Cluster) Run(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	revoked := make(chan struct{}, 1)
	stop := c.DB.Listen(revokedChannel, func(string) {
		select {
		case revoked <- struct{}{}:
		default:
		}
	})
	defer stop()
	next := c.Clock.After(0)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-revoked:
			c.do(ctx, "look for revoked certificates", c.cutRevoked)
		case <-next:
			next = c.Clock.After(beat)
			c.do(ctx, "announce this server", c.announce)
			c.do(ctx, "keep the leases of loops", c.keepLeases)
			c.do(ctx, "look for revoked certificates", c.cutRevoked)
		}
	}
	c.cut(func(*stream) bool { return true }, "the server is stopping")
	c.serving.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := c.leave(last)
	if err != nil {
		c.Log.Warn("leave the cluster", "error", err)
	}
}

// do has the time that leases have left: a database that hangs must not keep us
// from noticing that they have ended.
func (c *Cluster) do(ctx context.Context, what string, do func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, silent-beat)
	defer cancel()
	err := do(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		c.Log.Error("cluster", "what", what, "error", err)
	}
}

// Fact returns what the servers agreed on under a name. When nobody has said
// anything yet, it settles what make returns, or what another server settles
// at the same moment.
func Fact(ctx context.Context, d *db.DB, name string, make func() (string, error)) (string, error) {
	value, known, err := Known(ctx, d, name)
	if err != nil || known {
		return value, err
	}
	made, err := make()
	if err != nil {
		return "", err
	}
	err = d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO cloud_facts (name, value, created_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING`,
			name, made, db.At(tx.Now()))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("settle %s: %w", name, err)
	}
	value, _, err = Known(ctx, d, name)
	return value, err
}

// Secret is Fact for what nobody may read who has the database alone.
func Secret(ctx context.Context, d *db.DB, sealer *auth.Sealer, name string, make func() (string, error)) (string, error) {
	sealed, err := Fact(ctx, d, name, func() (string, error) {
		plain, err := make()
		return sealer.Seal(name, plain), err
	})
	if err != nil {
		return "", err
	}
	plain, err := sealer.Open(name, sealed)
	if err != nil {
		return "", fmt.Errorf("%w (is the key file the one that the cloud's other servers have?)", err)
	}
	again, err := sealer.Renew(name, sealed)
	if err != nil || again == sealed {
		return plain, err
	}
	err = d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE cloud_facts SET value = ? WHERE name = ? AND value = ?", again, name, sealed)
		return err
	})
	return plain, err
}

// Known returns a fact that may not have been settled yet.
func Known(ctx context.Context, d *db.DB, name string) (value string, known bool, err error) {
	var values []string
	err = d.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &values, "SELECT value FROM cloud_facts WHERE name = ?", name)
	})
	if err != nil {
		return "", false, fmt.Errorf("look for %s: %w", name, err)
	}
	return strings.Join(values, ""), len(values) > 0, nil
}
