package console

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
)

// The kinds of consoles.
const (
	VNC    = "vnc"    // the guest's screen, in RFB; its URL is a page
	SPICE  = "spice"  // the guest's screen, in SPICE; its URL is a page
	Serial = "serial" // the guest's serial port; its URL is a WebSocket
)

// Lifetime is how long a console's URL waits to be opened.
const Lifetime = 10 * time.Minute

// perServer bounds the URLs of one server that wait to be opened, so that nobody
// can fill the table.
const perServer = 16

// errShutdown is told to the browser when this process ends.
var errShutdown = errors.New("the cloud's server is stopping; ask for a new console in a moment")

// Dial connects to a server's console, wherever the server is by now.
type Dial func(ctx context.Context, kind, server string) (io.ReadWriteCloser, error)

// ConsolesOptions is what Consoles needs.
type ConsolesOptions struct {
	DB *db.DB
	// Public is the address that users reach this server at, such as
	// http://127.0.0.1:5000.
	Public string
	// Dial reaches the guests.
	Dial Dial
	// Clock tells when tokens end; nil means the machine's.
	Clock clock.Clock
	// Log gets one event per connection; nil means slog's default.
	Log *slog.Logger
}

// Consoles makes URLs for consoles and connects those who open them, here or
// on another server with the same database. Its methods may be called
// concurrently.
type Consoles struct {
	db     *db.DB
	public string
	dial   Dial
	clock  clock.Clock
	log    *slog.Logger

	mu     sync.Mutex // guards what follows
	live   map[*connection]struct{}
	closed bool
	ended  sync.WaitGroup // counts live
}

// kinds are all of them.
var kinds = []string{VNC, SPICE, Serial}

// ticket is the right to one connection; in SPICE to one session, which has several. It is kept under a hash of its token,
// so that neither the table nor how long a look-up takes says anything about
// tokens.
type ticket struct {
	bun.BaseModel `bun:"table:console_tokens"`

	Hash      string `bun:",pk"`
	Kind      string
	Server    string
	ExpiresAt db.Time
}

// connection is one open console.
type connection struct {
	end context.CancelCauseFunc // its cause is told to the browser
}

// NewConsoles makes a Consoles without any connection.
func NewConsoles(o ConsolesOptions) *Consoles {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Consoles{
		db:     o.DB,
		public: strings.TrimSuffix(o.Public, "/"),
		dial:   o.Dial,
		clock:  o.Clock,
		log:    o.Log,
		live:   map[*connection]struct{}{},
	}
}

// New makes a URL that connects whoever opens it first, until it expires, to
// the server's console. Only the newest few of a server are good.
func (c *Consoles) New(ctx context.Context, kind, server string) (string, time.Time, error) {
	if !slices.Contains(kinds, kind) {
		return "", time.Time{}, errs.BadRequestf("Unsupported console type %s.", kind)
	}
	token := secret()
	expires := c.clock.Now().Add(Lifetime)
	t := ticket{Hash: hashOf(token), Kind: kind, Server: server, ExpiresAt: db.At(expires)}
	err := c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			DELETE FROM console_tokens WHERE server = ? AND hash NOT IN (
				SELECT hash FROM console_tokens WHERE server = ? ORDER BY expires_at DESC, hash LIMIT ?)`,
			server, server, perServer-1)
		if err != nil {
			return err
		}
		return tx.Insert(ctx, &t)
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("make console of server %s: %w", server, err)
	}
	return c.address(kind, token), expires, nil
}

// Revoke forgets the URLs of a server that nobody has opened yet.
func (c *Consoles) Revoke(ctx context.Context, tx *db.Tx, server string) error {
	_, err := tx.Exec(ctx, "DELETE FROM console_tokens WHERE server = ?", server)
	if err != nil {
		return fmt.Errorf("revoke consoles of server %s: %w", server, err)
	}
	return nil
}

// address is what the user opens, as each kind's clients expect it: for a screen a
// page, with the path of the WebSocket as noVNC has it, or with the token as
// spice-html5 has it; for the serial line the bare WebSocket.
func (c *Consoles) address(kind, token string) string {
	query := "?token=" + url.QueryEscape(token)
	path := "console/" + kind + query
	switch kind {
	case VNC:
		return c.public + "/dashboard/vnc?path=" + url.QueryEscape(path)
	case SPICE:
		return c.public + "/dashboard/spice" + query
	}
	// http becomes ws, https becomes wss.
	return "ws" + strings.TrimPrefix(c.public, "http") + "/" + path
}

// Find tells which server a token that waits to be opened is for, and the host
// and port where it is to be opened. It does not use the token up.
func (c *Consoles) Find(ctx context.Context, token string) (server, host string, port int, err error) {
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &server, `SELECT server FROM console_tokens WHERE hash = ? AND expires_at > ?`,
			hashOf(token), db.At(c.clock.Now()))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", 0, errs.NotFoundf("Token not found")
	}
	if err != nil {
		return "", "", 0, fmt.Errorf("find console: %w", err)
	}
	u, err := url.Parse(c.public)
	if err != nil {
		return "", "", 0, fmt.Errorf("find console: %w", err)
	}
	port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	if u.Port() != "" {
		port, err = strconv.Atoi(u.Port())
	}
	return server, u.Hostname(), port, err
}

// take uses a token up and returns the server it is for. Of all who try at the
// same time, on whichever server, one succeeds; the others, and those whose
// token is of another kind, was never made or has expired, get none.
func (c *Consoles) take(ctx context.Context, kind, token string) (server string, err error) {
	err = c.db.Write(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &server, `DELETE FROM console_tokens WHERE hash = ? AND kind = ? AND expires_at > ? RETURNING server`,
			hashOf(token), kind, db.At(c.clock.Now()))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("use console token: %w", err)
	}
	return server, nil
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Loops forget tokens that nobody opened.
func (c *Consoles) Loops() []loop.Loop {
	return []loop.Loop{prune("console.prune-tokens", "console_tokens", c.db, c.clock)}
}

// prune removes rows that have expired.
func prune(name, table string, d *db.DB, now clock.Clock) loop.Loop {
	return loop.Loop{Name: name, Every: 5 * time.Minute, Once: func(ctx context.Context) error {
		var gone int64
		err := d.Write(ctx, func(tx *db.Tx) error {
			var err error
			gone, err = tx.Exec(ctx, `DELETE FROM ? WHERE expires_at <= ?`, bun.Ident(table), db.At(now.Now()))
			return err
		})
		if err != nil {
			return fmt.Errorf("prune %s: %w", table, err)
		}
		if gone > 0 {
			loop.Did(ctx, "rows", int(gone))
		}
		return nil
	}}
}

// Close ends all consoles and waits until they have ended.
func (c *Consoles) Close() {
	c.mu.Lock()
	c.closed = true
	for conn := range c.live {
		conn.end(errShutdown)
	}
	c.mu.Unlock()
	c.ended.Wait()
}

// begin records a connection. It is false when the server shuts down.
func (c *Consoles) begin(end context.CancelCauseFunc) (*connection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false
	}
	conn := &connection{end: end}
	c.live[conn] = struct{}{}
	c.ended.Add(1)
	return conn, true
}

// end forgets a connection.
func (c *Consoles) end(conn *connection) {
	c.mu.Lock()
	delete(c.live, conn)
	c.mu.Unlock()
	c.ended.Done()
}
