package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"nacre/internal/errs"
)

// guard is the header that a page of another origin cannot send along.
const guard = "X-Nacre-Dashboard"

// WithSession gives requests of the dashboard's page their token. Requests
// that bring a token of their own, or that the page cannot have sent, pass
// through as they are: to the API they are strangers.
func (d *Dashboard) WithSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != "" || !ours(r) {
			next.ServeHTTP(w, r)
			return
		}
		s, ok, err := d.sessions.get(r.Context(), sessionID(r))
		if err != nil {
			d.unknown(w, err)
			return
		}
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		inner := r.WithContext(r.Context())
		inner.Header = r.Header.Clone()
		inner.Header.Set("X-Auth-Token", s.Now.Token)
		inner.Header.Del("Cookie")
		next.ServeHTTP(w, inner)
	})
}

// ours tells whether the request was made by a page of this very origin. The
// header alone would do in today's browsers, since sending it across origins
// needs our consent; the other two don't depend on that.
func ours(r *http.Request) bool {
	return r.Header.Get(guard) == "1" && sameOrigin(r)
}

// sameOrigin tells whether the browser says nothing against it.
func sameOrigin(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if site != "" && site != "same-origin" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// serveSession is who am I, another project, and sign-out.
func (d *Dashboard) serveSession(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !ours(r) {
		refuse(w, http.StatusForbidden, "This address is for the dashboard's own page. Other programs ask /identity/v3 for a token.")
		return
	}
	switch r.Method {
	case http.MethodGet:
		d.whoAmI(w, r)
	case http.MethodPatch:
		d.changeProject(w, r)
	case http.MethodDelete:
		d.signOut(w, r)
	default:
		w.Header().Set("Allow", "GET, PATCH, DELETE")
		refuse(w, http.StatusMethodNotAllowed, "A session can be read, changed and ended. It is begun at /dashboard/session/start.")
	}
}

// choose finds the project that a fresh session works in: the wished one if
// the user still has a role there, else the one identity gave, else the first
// by name. A user without any project stays without.
func (d *Dashboard) choose(r *http.Request, first grant, wish string) (grant, error) {
	if first.Who.Project != nil && (wish == "" || wish == first.Who.Project.ID) {
		return first, nil
	}
	projects, err := d.identity.projects(r, first.Token)
	if err != nil {
		return grant{}, err
	}
	slices.SortFunc(projects, func(a, b name) int { return cmp.Compare(a.Name, b.Name) })
	wished := slices.IndexFunc(projects, func(p name) bool { return p.ID == wish })
	if wished < 0 && (first.Who.Project != nil || len(projects) == 0) {
		return first, nil
	}
	return d.identity.scoped(r, first.Token, projects[max(wished, 0)].ID)
}

func (d *Dashboard) whoAmI(w http.ResponseWriter, r *http.Request) {
	s, ok := d.session(w, r)
	if !ok {
		return
	}
	reply(w, http.StatusOK, s.Now.Who)
}

func (d *Dashboard) changeProject(w http.ResponseWriter, r *http.Request) {
	s, ok := d.session(w, r)
	if !ok {
		return
	}
	var in struct {
		Project string `json:"project"`
	}
	if !read(w, r, &in) {
		return
	}
	if in.Project == "" {
		refuse(w, http.StatusBadRequest, "The project's id is needed.")
		return
	}
	now, err := d.identity.scoped(r, s.First.Token, in.Project)
	if err != nil {
		d.fail(w, "change project", err)
		return
	}
	changed, spent, ok, err := d.sessions.rescope(r.Context(), s.key, now)
	if err != nil {
		d.revoke(r, now.Token) // it went nowhere
		d.fail(w, "change project", err)
		return
	}
	if !ok {
		d.revoke(r, now.Token)
		refuse(w, http.StatusUnauthorized, "The session has ended.")
		return
	}
	if spent != "" {
		d.revoke(r, spent)
	}
	http.SetCookie(w, d.cookie(r, changed.cookie(), d.sessions.left(changed)))
	reply(w, http.StatusOK, now.Who)
}

// signOut ends the session first: whatever happens to the tokens, this
// browser has nothing any more.
func (d *Dashboard) signOut(w http.ResponseWriter, r *http.Request) {
	s, ok, err := d.sessions.remove(r.Context(), sessionID(r))
	if err != nil {
		d.fail(w, "sign out", err) // the browser still has its cookie, and can try again
		return
	}
	http.SetCookie(w, d.cookie(r, "", -time.Second))
	if ok {
		for _, token := range s.tokens() {
			d.revoke(r, token)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (d *Dashboard) revoke(r *http.Request, token string) {
	err := d.identity.revoke(r, token)
	var refused *refusal
	if err == nil || errors.As(err, &refused) && refused.status < 500 {
		return // it had ended by itself
	}
	d.log.Warn("dashboard token stays valid until it expires", "error", err)
}

// session finds the session of a request as it is in the table, or answers that
// there is none and is false.
func (d *Dashboard) session(w http.ResponseWriter, r *http.Request) (session, bool) {
	k, _, ok := parseCookie(sessionID(r))
	var found session
	var err error
	if ok {
		found, ok, err = d.sessions.look(r.Context(), k)
	}
	switch {
	case err != nil:
		d.unknown(w, err)
	case !ok:
		refuse(w, http.StatusUnauthorized, "Nobody is signed in.")
	}
	return found, ok && err == nil
}

// unknown says that nobody can tell now who is asking: that is no success, and
// no reason to sign in again.
func (d *Dashboard) unknown(w http.ResponseWriter, err error) {
	d.log.Error("dashboard session cannot be read", "error", err)
	refuse(w, http.StatusServiceUnavailable, "The cloud cannot look up your session now. Try again in a moment.")
}

// cookie carries a session for as long as the session can live. That is a
// number of seconds, not a date: the browser's clock may be off.
func (d *Dashboard) cookie(r *http.Request, value string, left time.Duration) *http.Cookie {
	return &http.Cookie{
		Name:     cookieName(r),
		Value:    value,
		Path:     "/",
		MaxAge:   int(left / time.Second),
		HttpOnly: true,
		Secure:   d.secure || r.TLS != nil,
		SameSite: http.SameSiteStrictMode,
	}
}

// cookieName holds the port, because cookies don't know ports: without it two
// clouds on one machine would sign each other's users out.
func cookieName(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		return "nacre_session"
	}
	return "nacre_session_" + port
}

func sessionID(r *http.Request) string {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return ""
	}
	return c.Value
}

// read decodes a small JSON body, or answers 400 and is false.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err != nil {
		refuse(w, http.StatusBadRequest, "The body is not the JSON object that this call takes: "+err.Error())
		return false
	}
	return true
}

// fail passes on what identity said; anything else is a fault of ours.
func (d *Dashboard) fail(w http.ResponseWriter, doing string, err error) {
	var refused *refusal
	if errs.Is(err, errs.Conflict) {
		e, _ := errs.As(err)
		refuse(w, http.StatusConflict, e.Message)
		return
	}
	if !errors.As(err, &refused) {
		d.log.Error("dashboard session", "doing", doing, "error", err)
		refuse(w, http.StatusInternalServerError, "An unexpected error prevented the server from fulfilling your request.")
		return
	}
	for _, key := range []string{"Retry-After", "X-Openstack-Request-Id"} {
		value := refused.header.Get(key)
		if value != "" {
			w.Header().Set(key, value)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(refused.status)
	_, _ = w.Write(refused.body) // see asset.serve
}

// refuse answers with identity's error envelope.
func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]any{"error": map[string]any{
		"code": status, "title": http.StatusText(status), "message": message,
	}})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // see asset.serve
}
