// Package console serves the dashboard and the consoles of servers.
//
// The dashboard is a page that speaks the public API like any other client. It
// has one thing that other clients don't: instead of a token it holds a cookie.
// The token stays here, in memory, so that a script which gets into the page
// cannot carry it away. A request that has the cookie and the guard header
// X-Nacre-Dashboard, and comes from our own origin, is given its token on the
// way in (WithSession); to the API it then looks like everybody else's.
// Sessions end with their token, are bounded in number, and are forgotten by a
// restart: nobody loses more than a sign-in.
//
// Consoles lets a browser reach a guest's screen or serial port: compute hands
// it a way to dial the guest, the user gets a URL with a random token. The
// token is good for one connection, to one server, for ten minutes. Having it
// is the permission, as in OpenStack, so that the URL also works where nobody
// is signed in.
package console

import (
	"log/slog"
	"net/http"
	"strings"

	"nacre/internal/clock"
)

// Options is what a Dashboard needs.
type Options struct {
	// API is the public API, asked in process. Its identity service is at
	// /identity/v3. It must not be wrapped in WithSession.
	API http.Handler
	// Secure marks the cookie for TLS only. It is implied when a request comes by TLS.
	Secure bool
	// MaxSessions bounds the sessions held at a time; 0 means 4096. When it is
	// reached, the session that would end first is dropped.
	MaxSessions int
	// Clock tells when sessions end; nil means the machine's.
	Clock clock.Clock
	// Log gets what users are not shown; nil means slog's default.
	Log *slog.Logger
}

// Dashboard answers everything under /dashboard.
type Dashboard struct {
	site     site
	sessions *sessions
	identity identity
	secure   bool
	log      *slog.Logger
}

// New makes the dashboard from the build that is embedded in the binary.
func New(o Options) *Dashboard {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = 4096
	}
	return &Dashboard{
		site:     embeddedSite(),
		sessions: newSessions(o.Clock, o.MaxSessions),
		identity: identity{api: o.API},
		secure:   o.Secure,
		log:      o.Log,
	}
}

// ServeHTTP implements http.Handler for /dashboard and all below it.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/dashboard")
	if path == "/session" {
		d.serveSession(w, r)
		return
	}
	d.site.serve(w, r, strings.TrimPrefix(path, "/"))
}
