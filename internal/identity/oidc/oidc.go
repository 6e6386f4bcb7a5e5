// Package oidc asks OpenID Connect providers who somebody is: it is the relying
// party. Keystone leaves this to a module of Apache, which tells it by variables;
// here nothing of a request but the token, or the code that a browser brings
// back, is ever believed.
//
// A browser is sent to a provider with PKCE, state and nonce, and the ID token
// that comes of it must be signed by one of the provider's published keys, for
// us, for this attempt. A program presents an access token (or an ID token) that
// it got by itself: as a JWT it must be signed likewise and name us in its
// audience; anything else is shown to the provider (RFC 7662), whose answer must
// name us too. What the provider says of its own addresses counts only when
// they are as safe as its issuer's.
package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Settings say how to speak with a provider.
type Settings struct {
	IDP      string `json:"identity_provider"` // ids of the provider and its protocol in OS-FEDERATION
	Protocol string `json:"protocol"`          // "" is openid
	Name     string `json:"name"`              // for people who sign in; "" is the provider's id
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	// ClientSecret or the file with it; neither for a public client.
	ClientSecret     string   `json:"client_secret"`
	ClientSecretFile string   `json:"client_secret_file"`
	Scopes           []string `json:"scopes"` // none: openid, profile, email
	// Audiences are what tokens that programs present must be for, one of them;
	// none: the client id.
	Audiences []string `json:"audiences"`
	CAFile    string   `json:"ca_file"` // of the provider's certificate, if not a usual authority's
}

const (
	timeout = 10 * time.Second
	maxBody = 1 << 20
	// keepFor is how long what a provider says of itself is believed, and retryAfter
	// how long nobody asks again when it didn't answer.
	keepFor    = time.Hour
	retryAfter = 5 * time.Second
)

// Parties are the providers that are set up.
type Parties []*Party

// Open sets up providers; nobody is asked yet.
func Open(settings []Settings, now func() time.Time) (Parties, error) {
	var all Parties
	for _, s := range settings {
		p, err := open(s, now)
		if err != nil {
			return nil, fmt.Errorf("set up identity provider %q: %w", s.IDP, err)
		}
		if all.Find(p.IDP, p.Protocol) != nil {
			return nil, fmt.Errorf("set up identity provider %q: its protocol %s is there twice", p.IDP, p.Protocol)
		}
		all = append(all, p)
	}
	return all, nil
}

// Find gives a provider's protocol, nil when it isn't set up.
func (all Parties) Find(idp, protocol string) *Party {
	for _, p := range all {
		if p.IDP == idp && p.Protocol == protocol {
			return p
		}
	}
	return nil
}

// Party is a provider that is set up.
type Party struct {
	Settings

	client *http.Client
	now    func() time.Time

	mu       sync.Mutex // guards what is below
	found    *found
	failure  error
	failedAt time.Time
}

// found is what a provider says of itself.
type found struct {
	*oidc.Provider

	at time.Time

	Introspection string   `json:"introspection_endpoint"`
	UserInfo      string   `json:"userinfo_endpoint"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	ClientAuth    []string `json:"token_endpoint_auth_methods_supported"`
	IssuerInReply bool     `json:"authorization_response_iss_parameter_supported"`
}

func open(s Settings, now func() time.Time) (*Party, error) {
	if s.IDP == "" || s.Issuer == "" || s.ClientID == "" {
		return nil, errors.New("identity_provider, issuer and client_id are needed")
	}
	if s.ClientSecretFile != "" {
		secret, err := os.ReadFile(s.ClientSecretFile)
		if err != nil {
			return nil, err
		}
		s.ClientSecret = strings.TrimSpace(string(secret))
	}
	if s.Protocol == "" {
		s.Protocol = "openid"
	}
	if s.Name == "" {
		s.Name = s.IDP
	}
	if len(s.Scopes) == 0 {
		s.Scopes = []string{oidc.ScopeOpenID, "profile", "email"}
	}
	if !slices.Contains(s.Scopes, oidc.ScopeOpenID) {
		return nil, errors.New("the scopes lack openid")
	}
	if len(s.Audiences) == 0 {
		s.Audiences = []string{s.ClientID}
	}
	err := safe(s.Issuer)
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		trust.RootCAs, err = authorities(s.CAFile)
		if err != nil {
			return nil, err
		}
	}
	p := &Party{Settings: s, now: now}
	p.client = &http.Client{
		Timeout:   timeout,
		Transport: bounded{&http.Transport{TLSClientConfig: trust, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}},
		// No place of a provider leads elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

func authorities(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// safe refuses an address whose answers others could write.
func safe(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Host == "" || (u.Scheme != "https" && (u.Scheme != "http" || !here)) {
		return fmt.Errorf("%s is no https address", address)
	}
	return nil
}

// bounded reads no answer without end.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = limited{io.LimitReader(answer.Body, maxBody), answer.Body}
	return answer, nil
}

type limited struct {
	io.Reader
	io.Closer
}

// UnreachableError says that a provider does not answer, or not as one.
type UnreachableError struct {
	IDP string
	Err error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	return "identity provider " + e.IDP + " does not answer: " + e.Err.Error()
}

// Unwrap gives what went wrong.
func (e *UnreachableError) Unwrap() error { return e.Err }

func (p *Party) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

// discover gives what a provider says of itself, asked for when it is time.
func (p *Party) discover(ctx context.Context) (*found, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil && p.now().Sub(p.found.at) < keepFor {
		return p.found, nil
	}
	if p.failure == nil || p.now().Sub(p.failedAt) >= retryAfter {
		p.found, p.failure = p.askItself(ctx)
		p.failedAt = p.now()
	}
	if p.found != nil {
		return p.found, nil
	}
	return nil, &UnreachableError{p.IDP, p.failure}
}

// askItself asks a provider for what it says of itself. What was known stays with
// the error.
func (p *Party) askItself(ctx context.Context) (*found, error) {
	provider, err := oidc.NewProvider(p.context(ctx), p.Issuer)
	if err != nil {
		return p.found, err
	}
	f := &found{Provider: provider, at: p.now()}
	err = provider.Claims(f)
	if err != nil {
		return p.found, err
	}
	for _, address := range []string{f.Introspection, f.UserInfo, f.Authorization, f.Token, f.Keys} {
		if address == "" {
			continue
		}
		err = safe(address)
		if err != nil {
			return p.found, err
		}
	}
	return f, nil
}

func (p *Party) oauth(f *found, redirect string) *oauth2.Config {
	endpoint := f.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if len(f.ClientAuth) > 0 && !slices.Contains(f.ClientAuth, "client_secret_basic") || p.ClientSecret == "" {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: endpoint, RedirectURL: redirect, Scopes: p.Scopes}
}
