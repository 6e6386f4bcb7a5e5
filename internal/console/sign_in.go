package console

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// The dashboard is a client of the cloud's own OpenID Connect provider: by the
// authorization code flow with PKCE, state and nonce, and by libraries that know
// nothing of us. Whoever signs in does so on the provider's page, where a second
// factor, too, is asked for; the password never comes here.
//
// What a sign-in that is under way needs is in a cookie of its own: a secret,
// from which state, nonce and verifier are derived, and where its user wants to
// go. So any server can finish what another one began, and several tabs can sign
// in at once.

const (
	clientID     = "dashboard"
	callbackPath = "/dashboard/session/callback"
	// signInTime is how long a sign-in may take.
	signInTime = 10 * time.Minute
)

// trip is a sign-in that is under way.
type trip struct {
	Secret  string `json:"s"`
	To      string `json:"t"` // where the user wants to go
	Project string `json:"p"` // that the user wants to work in
}

// derive makes one of the values that only this sign-in has.
func (t trip) derive(what string) string {
	out, err := hkdf.Key(sha256.New, []byte(t.Secret), nil, "nacre dashboard sign-in: "+what, 32)
	if err != nil {
		panic(err) // the lengths are constants
	}
	return base64.RawURLEncoding.EncodeToString(out)
}

// cookieOf names the cookie of the sign-in with a state.
func cookieOf(r *http.Request, state string) string {
	return cookieName(r) + "_" + state[:min(len(state), 10)]
}

func (d *Dashboard) tripCookie(r *http.Request, state, value string, left time.Duration) *http.Cookie {
	c := d.cookie(r, value, left)
	c.Name, c.Path = cookieOf(r, state), callbackPath
	// Not Strict: the user may come back here from a provider elsewhere.
	c.SameSite = http.SameSiteLaxMode
	return c
}

// serveSignIn answers the addresses that the browser itself is led to.
func (d *Dashboard) serveSignIn(w http.ResponseWriter, r *http.Request, path string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	allowed := http.MethodGet
	if path == "/websso" {
		allowed = http.MethodPost
	}
	switch {
	case r.Method != allowed:
		h.Set("Allow", allowed)
		refuse(w, http.StatusMethodNotAllowed, "A sign-in is begun by going to /dashboard/session/start.")
	case path == "/websso":
		d.takeToken(w, r)
	case path == "/session/start":
		d.startSignIn(w, r)
	default:
		d.finishSignIn(w, r)
	}
}

// startSignIn sends the browser to the provider's page. Of what the address
// says, to is where to go then, project where to work, and the rest are hints
// for the page.
func (d *Dashboard) startSignIn(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	t := trip{Secret: secret(), To: local(q.Get("to")), Project: q.Get("project")}
	text, err := json.Marshal(t)
	if err != nil {
		d.fail(w, "start sign-in", err)
		return
	}
	state := t.derive("state")
	config := oauth2.Config{ClientID: clientID, RedirectURL: callbackPath, Scopes: []string{oidc.ScopeOpenID, "profile"},
		Endpoint: oauth2.Endpoint{AuthURL: "/oidc/authorize"}}
	options := []oauth2.AuthCodeOption{oidc.Nonce(t.derive("nonce")), oauth2.S256ChallengeOption(t.derive("verifier"))}
	for _, hint := range []string{"ui_locales", "login_hint", "domain_hint"} {
		if q.Get(hint) != "" {
			options = append(options, oauth2.SetAuthURLParam(hint, q.Get(hint)))
		}
	}
	http.SetCookie(w, d.tripCookie(r, state, base64.RawURLEncoding.EncodeToString(text), signInTime))
	http.Redirect(w, r, config.AuthCodeURL(state, options...), http.StatusSeeOther)
}

// local is a place of the dashboard, and its start for whatever else is asked
// for: nobody is led away from here.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || strings.ContainsAny(to, "\\\r\n\t") || u.Path != "/dashboard" && !strings.HasPrefix(u.Path, "/dashboard/") {
		return "/dashboard/"
	}
	return to
}

// tripOf finds the sign-in that an answer of the provider is for.
func tripOf(r *http.Request, state string) (trip, error) {
	c, err := r.Cookie(cookieOf(r, state))
	if err != nil {
		return trip{}, errors.New("this browser has begun no such sign-in, or too long ago")
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return trip{}, err
	}
	var t trip
	err = json.Unmarshal(raw, &t)
	if err == nil && (len(t.Secret) != secretLength || t.derive("state") != state) {
		err = errors.New("the state is of another sign-in")
	}
	return t, err
}

// finishSignIn takes the provider's answer and begins the session.
func (d *Dashboard) finishSignIn(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	state := q.Get("state")
	http.SetCookie(w, d.tripCookie(r, state, "", -time.Second))
	t, err := tripOf(r, state)
	if err != nil {
		d.notSignedIn(w, r, "late", err)
		return
	}
	if q.Get("error") != "" {
		d.notSignedIn(w, r, "refused", fmt.Errorf("the provider answers %s: %s", q.Get("error"), q.Get("error_description")))
		return
	}
	first, err := d.redeem(r, t, q.Get("code"), q.Get("iss"))
	if err != nil {
		d.notSignedIn(w, r, "failed", err)
		return
	}
	d.begin(w, r, first, t)
}

// takeToken begins the session of somebody who has signed in at a provider
// elsewhere. The token comes by a form of our own page, as Keystone's web single
// sign-on has it; from any other page it could make the user somebody else.
func (d *Dashboard) takeToken(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" || !sameOrigin(r) {
		refuse(w, http.StatusForbidden, "This form was not sent by a page of this cloud.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	first, err := d.identity.whose(r, r.PostFormValue("token"))
	if err != nil {
		d.notSignedIn(w, r, "failed", err)
		return
	}
	d.begin(w, r, first, trip{})
}

// begin makes the session of somebody who has signed in.
func (d *Dashboard) begin(w http.ResponseWriter, r *http.Request, first grant, t trip) {
	now, err := d.choose(r, first, t.Project)
	if err != nil {
		d.revoke(r, first.Token)
		d.notSignedIn(w, r, "failed", err)
		return
	}
	s, err := d.sessions.add(r.Context(), first, now)
	if err != nil {
		d.notSignedIn(w, r, "failed", err)
		return
	}
	http.SetCookie(w, d.cookie(r, s.cookie(), d.sessions.left(s)))
	http.Redirect(w, r, local(t.To), http.StatusSeeOther)
}

// notSignedIn leads to the page that says so; why is for the log.
func (d *Dashboard) notSignedIn(w http.ResponseWriter, r *http.Request, problem string, why error) {
	d.log.Info("dashboard sign-in", "problem", problem, "error", why)
	http.Redirect(w, r, "/dashboard/sign-in?problem="+problem, http.StatusSeeOther)
}

// redeem trades a code for the user's token, and checks the ID token that comes
// with it.
func (d *Dashboard) redeem(r *http.Request, t trip, code, issuer string) (grant, error) {
	asked, err := d.identity.call(r, http.MethodGet, "/oidc/.well-known/openid-configuration", nil, nil)
	if err != nil {
		return grant{}, err
	}
	var found struct {
		Issuer string `json:"issuer"`
		Token  string `json:"token_endpoint"`
		Keys   string `json:"jwks_uri"`
	}
	err = json.Unmarshal(asked.body, &found)
	if err != nil {
		return grant{}, fmt.Errorf("read configuration of provider: %w", err)
	}
	if issuer != found.Issuer {
		return grant{}, fmt.Errorf("the answer is of %q, not of our provider", issuer)
	}
	ctx := oidc.ClientContext(r.Context(), &http.Client{Transport: inProcess{d.identity, r}})
	config := oauth2.Config{ClientID: clientID, ClientSecret: d.clientSecret, RedirectURL: callbackPath,
		Endpoint: oauth2.Endpoint{TokenURL: found.Token, AuthStyle: oauth2.AuthStyleInHeader}}
	tokens, err := config.Exchange(ctx, code, oauth2.VerifierOption(t.derive("verifier")))
	if err != nil {
		return grant{}, fmt.Errorf("trade code for tokens: %w", err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	keys := (&oidc.ProviderConfig{IssuerURL: found.Issuer, JWKSURL: found.Keys, Algorithms: []string{oidc.ES256}}).NewProvider(ctx)
	verified, err := keys.VerifierContext(ctx, &oidc.Config{ClientID: clientID, Now: d.sessions.clock.Now}).Verify(ctx, raw)
	if err == nil {
		err = verified.VerifyAccessToken(tokens.AccessToken)
	}
	if err == nil && verified.Nonce != t.derive("nonce") {
		err = errors.New("its nonce is of another sign-in")
	}
	if err != nil {
		d.revoke(r, tokens.AccessToken) // it went nowhere
		return grant{}, fmt.Errorf("verify ID token: %w", err)
	}
	return d.identity.whose(r, tokens.AccessToken)
}

// inProcess sends what a library asks of the provider to the API of this very
// process, as if the browser's request had asked.
type inProcess struct {
	identity identity
	from     *http.Request
}

// RoundTrip implements http.RoundTripper.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	inner := r.Clone(context.WithoutCancel(r.Context()))
	inner.RequestURI = r.URL.RequestURI()
	inner.RemoteAddr, inner.Host, inner.TLS = p.from.RemoteAddr, p.from.Host, p.from.TLS
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	return p.identity.serve(inner).response(r), nil
}
