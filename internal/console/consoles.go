package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/errs"
)

// The kinds of consoles.
const (
	VNC    = "vnc"    // the guest's screen, in RFB; its URL is a page
	Serial = "serial" // the guest's serial port; its URL is a WebSocket
)

// Lifetime is how long a console's URL waits to be opened.
const Lifetime = 10 * time.Minute

// perServer bounds the URLs of one server that wait to be opened, so that nobody
// can use up everybody's.
const perServer = 16

// errShutdown is told to the browser when this process ends.
var errShutdown = errors.New("the cloud's server is stopping; ask for a new console in a moment")

// Dial connects to a guest's console.
type Dial func(ctx context.Context) (io.ReadWriteCloser, error)

// ConsolesOptions is what Consoles needs.
type ConsolesOptions struct {
	// Public is the address that users reach this server at, such as
	// http://127.0.0.1:5000.
	Public string
	// MaxTokens bounds the URLs that wait to be opened; 0 means 10,000.
	MaxTokens int
	// Clock tells when tokens end; nil means the machine's.
	Clock clock.Clock
	// Log gets one event per connection; nil means slog's default.
	Log *slog.Logger
}

// Consoles makes URLs for consoles and connects those who open them. Its
// methods may be called concurrently.
type Consoles struct {
	public string
	max    int
	clock  clock.Clock
	log    *slog.Logger

	mu      sync.Mutex          // guards what follows
	waiting map[[32]byte]ticket // by hash of the token
	live    map[*connection]struct{}
	closed  bool
	ended   sync.WaitGroup // counts live
}

// ticket is the right to one connection. It is kept under a hash of its token,
// so that how long a look-up takes says nothing about tokens.
type ticket struct {
	kind    string
	server  string
	expires time.Time
	dial    Dial
}

// connection is one open console.
type connection struct {
	end context.CancelCauseFunc // its cause is told to the browser
}

// NewConsoles makes a Consoles without any console.
func NewConsoles(o ConsolesOptions) *Consoles {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxTokens <= 0 {
		o.MaxTokens = 10_000
	}
	return &Consoles{
		public:  strings.TrimSuffix(o.Public, "/"),
		max:     o.MaxTokens,
		clock:   o.Clock,
		log:     o.Log,
		waiting: map[[32]byte]ticket{},
		live:    map[*connection]struct{}{},
	}
}

// New makes a URL that connects whoever opens it first, until it expires, to
// the server's console. dial is called then, not now.
func (c *Consoles) New(_ context.Context, kind, server string, dial func(ctx context.Context) (io.ReadWriteCloser, error)) (string, time.Time, error) {
	if kind != VNC && kind != Serial {
		return "", time.Time{}, errs.BadRequestf("Unsupported console type %s.", kind)
	}
	token := secret()
	t := ticket{
		kind:    kind,
		server:  server,
		expires: c.clock.Now().Add(Lifetime),
		dial:    dial,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return "", time.Time{}, errs.Unavailablef("The server is shutting down.")
	}
	c.dropExpired()
	c.makeRoom(server)
	if len(c.waiting) >= c.max {
		return "", time.Time{}, errs.New(errs.TooMany, "Too many consoles wait to be opened. Try again in a few minutes.")
	}
	c.waiting[sha256.Sum256([]byte(token))] = t
	return c.address(kind, token), t.expires, nil
}

// address is what the user opens: a page for the screen, the bare WebSocket
// for the serial port, since that is what each kind's clients expect.
func (c *Consoles) address(kind, token string) string {
	query := "?token=" + url.QueryEscape(token)
	if kind == VNC {
		return c.public + "/dashboard/vnc" + query
	}
	// http becomes ws, https becomes wss.
	return "ws" + strings.TrimPrefix(c.public, "http") + "/console/serial" + query
}

// Close ends all consoles and waits until they have ended.
func (c *Consoles) Close() {
	c.mu.Lock()
	c.closed = true
	clear(c.waiting)
	for conn := range c.live {
		conn.end(errShutdown)
	}
	c.mu.Unlock()
	c.ended.Wait()
}

// take uses a token up.
func (c *Consoles) take(kind, token string) (ticket, bool) {
	hash := sha256.Sum256([]byte(token))
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.waiting[hash]
	if !ok || t.kind != kind {
		return ticket{}, false
	}
	delete(c.waiting, hash)
	return t, t.expires.After(c.clock.Now())
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

// makeRoom forgets the server's oldest token when it has many. The caller holds
// mu.
func (c *Consoles) makeRoom(server string) {
	var oldest [32]byte
	n := 0
	for hash, t := range c.waiting {
		if t.server != server {
			continue
		}
		if n == 0 || t.expires.Before(c.waiting[oldest].expires) {
			oldest = hash
		}
		n++
	}
	if n >= perServer {
		delete(c.waiting, oldest)
	}
}

// dropExpired forgets tokens that nobody opened. The caller holds mu.
func (c *Consoles) dropExpired() {
	now := c.clock.Now()
	for hash, t := range c.waiting {
		if !t.expires.After(now) {
			delete(c.waiting, hash)
		}
	}
}
