// Package api is the HTTP kernel all services speak through.
//
// A service is a literal table of routes. The kernel finds the row, learns who
// is asking, negotiates the microversion, checks the body against the request
// type, calls the handler, and renders what it returns: a view in the shape of
// the negotiated microversion, or an error in the envelope of the service. A
// handler finds, authorizes, acts and returns; it never writes to the wire.
//
// The kernel fails closed: a success that no handler authorized is a 500.
// Paths are matched as they were sent, escaped, never cleaned or redirected.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"nacre/internal/auth"
	"nacre/internal/bus"
	"nacre/internal/clock"
	"nacre/internal/errs"
)

// Tokens turns a token into its bearer. The identity service implements it.
type Tokens interface {
	// Caller returns who bears the token. An invalid token is errs.Unauthorized.
	Caller(ctx context.Context, token string) (auth.Caller, error)
}

// Policy decides rules. *auth.Policy implements it.
type Policy interface {
	Allows(rule string, caller auth.Caller, target auth.Target) bool
}

// Service is one API as it is mounted.
type Service struct {
	Name    string   // as in the reference tables: keystone, nova …
	Type    string   // service type: identity, compute …
	Mount   string   // path prefix here: /compute/v2.1
	Aliases []string // further prefixes with the same routes
	Spec    string   // path prefix in the public reference: /v2.1

	// ProjectInPath also accepts every path behind /{project_id}, as Nova and
	// Cinder do; the id must be the one of the token's scope. A row may give that
	// parameter another name, or have none (Route.Scope).
	ProjectInPath bool

	// TrailingSlash serves each path with a slash behind it, too, as Keystone does.
	TrailingSlash bool

	// RawNames leaves it to the handlers to refuse what is no text in a path or a
	// query. Elsewhere nothing has such a name.
	RawNames bool

	// MediaType insists that a body names its media type, and that whoever names the
	// types it reads names JSON among them, as Placement does.
	MediaType bool

	// Identify finds the caller where requests carry no token but a proof of their
	// own, such as a signature; nil looks for a token. Nobody is the zero Caller.
	Identify func(c *Call) (auth.Caller, error)

	Versions *Microversions // nil: the API has none
	Strict   Version        // since when GETs refuse parameters that they don't know; 0 is never
	Envelope Envelope
	Routes   []Route

	// Removed are calls that the API once had: method, path and action. Whoever asks
	// with a token hears that they are gone, at any microversion.
	Removed []Route
}

// Route is one row of a service's table.
type Route struct {
	Method  string
	Path    string // below the mount, parameters named as in the public reference
	Action  string // key of the body for POST …/action: os-start
	Variant string // what else a request must have; see variant.go
	Rule    string // policy rule
	Public  bool   // needs no token and no rule
	Scope   string // what ProjectInPath calls its parameter; "" is project_id, NoScope leaves it out
	// Anonymous lets requests without a token reach the handler, which must
	// authorize them all the same: by an access list or a signature.
	Anonymous bool
	Since     Version
	Until     Version
	Query     Params  // what it knows in the query, where that is told
	Strict    Version // since when it refuses other parameters; 0 is the service's for GET, Loose never
	OK        int     // status of a success; 0 is 200
	MaxBody   int64   // bytes; 0 is DefaultMaxBody, -1 no limit (streams)
	Do        Handler

	needs needs // Variant, read
}

// NoScope is the Scope of rows that are not behind a project's id.
const NoScope = "-"

// ScopeName is the parameter with the project that the token is for, "" when the
// row has none.
func (r Route) ScopeName() string {
	if r.Scope == NoScope {
		return ""
	}
	return cmp.Or(r.Scope, "project_id")
}

// DefaultMaxBody is the largest JSON body, oslo.middleware's default.
const DefaultMaxBody = 114688

// requestTime bounds a request that is not a stream.
const requestTime = 60 * time.Second

// Options are what a kernel needs.
type Options struct {
	Tokens    Tokens
	Policy    Policy
	Clock     clock.Clock
	Log       *slog.Logger
	PublicURL string // http://host:port without a path, for links; "" takes it from each request
}

// Kernel serves the APIs that were added to it.
type Kernel struct {
	tokens   Tokens
	policy   Policy
	clock    clock.Clock
	log      *slog.Logger
	public   string
	services []*Service
	root     node
}

// New makes a kernel without services.
func New(o Options) *Kernel {
	return &Kernel{tokens: o.Tokens, policy: o.Policy, clock: o.Clock, log: o.Log, public: strings.TrimSuffix(o.PublicURL, "/")}
}

// Add mounts a service. Two rows that answer the same request are a mistake of
// ours and panic at start.
func (k *Kernel) Add(s Service) {
	k.services = append(k.services, &s)
	for i := range s.Routes {
		row := &s.Routes[i]
		if row.OK == 0 {
			row.OK = http.StatusOK
		}
		row.needs = parseVariant(row.Variant)
		if row.Rule == "" && !row.Public {
			panic(fmt.Sprintf("route %s %s%s has no policy rule", row.Method, s.Mount, row.Path))
		}
		k.mount(&s, row)
	}
	for i := range s.Removed {
		s.Removed[i].Do = gone
		k.mount(&s, &s.Removed[i])
	}
}

func (k *Kernel) mount(s *Service, row *Route) {
	for _, mount := range append([]string{s.Mount}, s.Aliases...) {
		k.root.add(mount+row.Path, &endpoint{service: s, route: row})
		if s.TrailingSlash && row.Path != "" && !strings.HasSuffix(row.Path, "/") {
			k.root.add(mount+row.Path+"/", &endpoint{service: s, route: row})
		}
		if s.ProjectInPath && row.ScopeName() != "" && row.Path != "" && row.Path != "/" {
			k.root.add(mount+"/{"+row.ScopeName()+"}"+row.Path, &endpoint{service: s, route: row, scoped: true})
		}
	}
}

// gone answers calls that the API once had.
func gone(*Call) (any, error) {
	return nil, errs.New(errs.Gone, "This resource is no longer available. No forwarding address is given.")
}

// Services lists what was added, for nacre describe.
func (k *Kernel) Services() []*Service { return k.services }

// ServeHTTP implements http.Handler.
func (k *Kernel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &Call{kernel: k, request: r, writer: w, began: k.clock.Now(), header: http.Header{}}
	c.id = "req-" + clock.UUID()
	c.globalID = globalRequestID(r.Header.Get("X-OpenStack-Request-ID"))
	defer c.report()
	defer func() {
		if c.written != nil {
			c.written.making.Wait() // they look at the request
		}
	}()
	c.serve()
}

func (c *Call) serve() {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			panic(p)
		}
		c.fail(fmt.Errorf("panic: %v\n%s", p, stack()))
	}()
	found, params := c.kernel.root.find(c.request.URL.EscapedPath())
	if found == nil {
		c.service = c.kernel.nearest(c.request.URL.EscapedPath())
		err := c.negotiate() // the error's form depends on the version
		if err == nil {
			err = errs.NotFoundf("The resource could not be found.")
		}
		c.fail(err)
		return
	}
	c.params = params
	c.service = found[0].service
	err := c.negotiate()
	if err != nil {
		c.fail(err)
		return
	}
	err = c.identify(found)
	if err != nil {
		c.fail(err)
		return
	}
	e, err := c.choose(found)
	if err != nil {
		c.fail(err)
		return
	}
	c.service, c.route = e.service, e.route
	err = c.legible()
	if err == nil {
		err = c.strictQuery()
	}
	if err != nil {
		c.fail(err)
		return
	}
	if !c.route.Public && !c.Caller.Permits(c.service.Type, c.request.Method, c.service.specPath(c.request.URL.EscapedPath())) {
		c.fail(c.unauthorized(errors.New("the access rules of the application credential don't permit the call")))
		return
	}
	if e.scoped && c.PathValue(e.route.ScopeName()) != c.Caller.Project && !c.Caller.Admin() {
		c.fail(c.service.Envelope.wrongProject())
		return
	}
	if c.route.MaxBody == -1 {
		c.unhurried()
	} else {
		ctx, cancel := context.WithTimeout(c.request.Context(), requestTime)
		defer cancel()
		c.request = c.request.WithContext(ctx)
	}
	c.request = c.request.WithContext(bus.WithInitiator(c.request.Context(), c.initiator()))
	if c.service.MediaType && c.request.Method == http.MethodGet && !acceptsJSON(c.request.Header.Values("Accept")) {
		c.fail(errs.New(errs.NotAcceptable, "Only application/json is provided"))
		return
	}
	reply, err := c.route.Do(c)
	if err != nil {
		c.fail(err)
		return
	}
	if !c.authorized && !c.route.Public {
		c.fail(fmt.Errorf("%s %s answered without authorization", c.route.Method, c.service.Mount+c.route.Path))
		return
	}
	c.render(reply)
}

// acceptsJSON tells whether a client that names the media types it reads, or none,
// reads JSON.
func acceptsJSON(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		weight, weighed := params["q"]
		refused := weighed && strings.Trim(weight, "0.") == ""
		if err == nil && !refused && (media == "application/json" || media == "application/*" || media == "*/*") {
			return true
		}
	}
	return false
}

// initiator is the caller as events name it.
func (c *Call) initiator() bus.Initiator {
	address, _, err := net.SplitHostPort(c.request.RemoteAddr)
	if err != nil {
		address = "" // a test that calls the handler itself
	}
	return bus.Initiator{
		RequestID: c.id, GlobalRequestID: c.globalID, Address: address, Agent: c.agent(),
		User: c.Caller.User, UserName: c.Caller.UserName, UserDomain: c.Caller.UserDomain,
		Project: c.Caller.Project, ProjectName: c.Caller.ProjectName, ProjectDomain: c.Caller.ProjectDomain,
		Domain: c.Caller.Domain, Roles: c.Caller.Roles,
	}
}

// agent is the program that has sent the request, as it calls itself; events keep
// the beginning of that.
func (c *Call) agent() string {
	name := c.Header("User-Agent")
	return strings.ToValidUTF8(name[:min(len(name), 256)], "")
}

// specPath is a path as the public reference has it.
func (s *Service) specPath(path string) string {
	mounted := ""
	for _, mount := range append([]string{s.Mount}, s.Aliases...) {
		if strings.HasPrefix(path, mount) && len(mount) > len(mounted) {
			mounted = mount
		}
	}
	return s.Spec + strings.TrimPrefix(path, mounted)
}

// nearest finds whose error envelope an unknown path gets.
func (k *Kernel) nearest(path string) *Service {
	var best *Service
	length := -1
	for _, s := range k.services {
		for _, mount := range append([]string{s.Mount}, s.Aliases...) {
			if strings.HasPrefix(path, mount) && len(mount) > length {
				best, length = s, len(mount)
			}
		}
	}
	if best == nil {
		return &Service{Envelope: Keystone}
	}
	return best
}

// identify finds the caller. Only public routes are served to nobody.
func (c *Call) identify(found []*endpoint) error {
	if c.service.Identify != nil {
		caller, err := c.service.Identify(c)
		c.Caller = caller
		return err
	}
	public := true
	for _, e := range found {
		method := e.route.Method
		asked := method == c.request.Method || (method == http.MethodGet && c.request.Method == http.MethodHead)
		public = public && (e.route.Public || e.route.Anonymous || !asked)
	}
	token := c.request.Header.Get("X-Auth-Token")
	if token == "" {
		token = c.request.Header.Get("X-Storage-Token")
	}
	if token == "" {
		token = bearer(c.request.Header.Get("Authorization"))
	}
	if token == "" {
		if public {
			return nil
		}
		return c.unauthorized(nil)
	}
	caller, err := c.kernel.tokens.Caller(c.Context(), token)
	if err == nil && !c.shows(caller.Thumbprint) {
		err = errs.Unauthorizedf("The token is bound to a certificate that this connection has not shown.")
	}
	if err == nil {
		c.Caller = caller
		return nil
	}
	if !errs.Is(err, errs.Unauthorized) && !errs.Is(err, errs.NotFound) {
		return fmt.Errorf("validate token: %w", err)
	}
	if public {
		return nil
	}
	return c.unauthorized(err)
}

// shows tells whether the other end of the connection has shown, and so has the key
// of, the certificate that a token is bound to. What headers say of certificates
// counts for nothing.
func (c *Call) shows(thumbprint string) bool {
	state := c.request.TLS
	return thumbprint == "" || state != nil && len(state.PeerCertificates) > 0 && auth.Thumbprint(state.PeerCertificates[0]) == thumbprint
}

// bearer is the token of OAuth 2.0 clients, "" for other headers.
func bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// legible refuses paths and queries with what no column takes: a zero byte and
// bytes that are no UTF-8.
func (c *Call) legible() error {
	_, err := readQuery(c.request.URL.RawQuery)
	if err != nil {
		return errs.BadRequestf("The query string cannot be read: %v.", err)
	}
	if c.service.RawNames {
		return nil
	}
	for _, value := range c.params {
		if !isText(value) {
			return errs.NotFoundf("The resource could not be found.")
		}
	}
	if !strings.Contains(c.request.URL.RawQuery, "%") {
		return nil
	}
	for name, values := range c.Query() {
		if !isText(name) || !isText(strings.Join(values, "")) {
			return errs.BadRequestf("The query string is not valid UTF-8, or holds a zero byte.")
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func (c *Call) unauthorized(cause error) error {
	return errs.Unauthorizedf("The request you have made requires authentication.").
		With("WWW-Authenticate", `Keystone uri="`+c.Base()+`/identity"`).Because(cause)
}

// choose picks the row by method, action and microversion.
func (c *Call) choose(found []*endpoint) (*endpoint, error) {
	var methods []string
	var candidates []*endpoint
	action := false
	for _, e := range found {
		if e.route.Method == c.request.Method || (c.request.Method == http.MethodHead && e.route.Method == http.MethodGet && !hasHead(found)) {
			candidates = append(candidates, e)
			action = action || e.route.Action != ""
		}
		methods = append(methods, e.route.Method)
	}
	if len(candidates) == 0 {
		return nil, errs.New(errs.MethodNotAllowed, "The method %s is not allowed for this resource.", c.request.Method).
			With("Allow", strings.Join(unique(methods), ", "))
	}
	name := ""
	if action {
		c.route = candidates[0].route
		var err error
		name, err = c.readAction()
		if err != nil {
			return nil, err
		}
	}
	var best *endpoint
	known := false // at whichever version
	query := c.variantQuery(candidates)
	for _, e := range candidates {
		known = known || e.route.Action == name
		if e.route.Action != name || !c.Version.within(e.route.Since, e.route.Until) || !e.route.needs.met(c, query) {
			continue
		}
		if best == nil || e.route.needs.count() > best.route.needs.count() {
			best = e
		}
	}
	if best != nil {
		return best, nil
	}
	if action && !known {
		return nil, errs.BadRequestf("There is no such action: %s", name)
	}
	return nil, errs.NotFoundf("The resource could not be found.")
}

func hasHead(found []*endpoint) bool {
	for _, e := range found {
		if e.route.Method == http.MethodHead {
			return true
		}
	}
	return false
}

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
