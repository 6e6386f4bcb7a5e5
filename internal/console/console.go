// Package console serves the dashboard and the consoles of servers.
//
// The dashboard is a page that speaks the public API like any other client. It
// has one thing that other clients don't: instead of a token it holds a cookie.
// The token stays with the servers, so that a script which gets into the page
// cannot carry it away. A request that has the cookie and the guard header
// X-Nacre-Dashboard, and comes from our own origin, is given its token on the
// way in (WithSession); to the API it then looks like everybody else's.
// Users sign in at the cloud's
// own OpenID Connect provider (sign_in.go). Sessions end with their token. They are rows, so that any server of a cluster
// can be asked; what a row holds is opened by the cookie alone, so that a copy
// of the database lets nobody in.
//
// Consoles lets a browser reach a guest's screen or serial port: compute hands
// it a way to dial the guest, the user gets a URL with a random token. The
// token is good for one connection, to one guest, for ten minutes, on any
// server. Having it the permission, as in OpenStack, so that the URL also works where
// nobody is signed in.
package console

import (
	"log/slog"
	"net/http"
	"strings"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/loop"
)

// Options is what a Dashboard needs.
type Options struct {
	// API is the public API, asked in process. Its identity service is at
	// /identity/v3. It must not be wrapped in WithSession.
	API http.Handler
	DB  *db.DB
	// ClientSecret is what the dashboard says to the cloud's OpenID Connect
	// provider, in process.
	ClientSecret string
	// Secure marks the cookie for TLS only. It is implied when a request comes by TLS.
	Secure bool
	// MaxRemembered bounds the sessions that are remembered between requests;
	// 0 means 4096. Others are read for each request.
	MaxRemembered int
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

	clientSecret string
	log          *slog.Logger
}

// New makes the dashboard from the build that is embedded in the binary.
func New(o Options) *Dashboard {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxRemembered <= 0 {
		o.MaxRemembered = 4096
	}
	return &Dashboard{
		site:     embeddedSite(),
		sessions: newSessions(o.DB, o.Clock, o.MaxRemembered),
		identity: identity{api: o.API},
		secure:   o.Secure,

		clientSecret: o.ClientSecret,
		log:          o.Log,
	}
}

// Loops forget sessions that have ended by themselves.
func (d *Dashboard) Loops() []loop.Loop {
	return []loop.Loop{prune("console.prune-sessions", "dashboard_sessions", d.sessions.db, d.sessions.clock)}
}

// ServeHTTP implements http.Handler for /dashboard and all below it.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/dashboard")
	switch path {
	case "/session":
		d.serveSession(w, r)
		return
	case "/session/start", "/session/callback", "/websso":
		d.serveSignIn(w, r, path)
		return
	}
	d.site.serve(w, r, strings.TrimPrefix(path, "/"))
}
