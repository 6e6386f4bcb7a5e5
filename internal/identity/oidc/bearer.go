package oidc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Bearer finds out whom a token stands for that a program presents.
func (p *Party) Bearer(ctx context.Context, token string) (Claims, error) {
	if token == "" {
		return Claims{}, errors.New("there is no token")
	}
	f, err := p.discover(ctx)
	if err != nil {
		return Claims{}, err
	}
	if strings.Count(token, ".") == 2 {
		return p.signed(ctx, f, token)
	}
	return p.introspect(ctx, f, token)
}

// kinds are the types of JWT that stand for somebody. Others, such as those by
// which a provider signs people out, are for something else.
var kinds = []string{"", "jwt", "at+jwt", "application/at+jwt"}

func kindOf(token string) string {
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	var header struct {
		Type string `json:"typ"`
	}
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return "-"
	}
	return strings.ToLower(header.Type)
}

func (p *Party) signed(ctx context.Context, f *found, token string) (Claims, error) {
	if !slices.Contains(kinds, kindOf(token)) {
		return Claims{}, errors.New("the token is of a kind that stands for nobody")
	}
	ctx = p.context(ctx)
	verifier := f.VerifierContext(ctx, &oidc.Config{SkipClientIDCheck: true, Now: p.now}) // any of the audiences will do, below
	id, err := verifier.Verify(ctx, token)
	if err != nil {
		return Claims{}, err
	}
	if !slices.ContainsFunc(id.Audience, p.isAudience) {
		return Claims{}, fmt.Errorf("the token is for %v", id.Audience)
	}
	said, err := object(id)
	if err != nil {
		return Claims{}, err
	}
	if said["events"] != nil {
		return Claims{}, errors.New("the token tells of an event")
	}
	return claimsOf(said)
}

func (p *Party) isAudience(name string) bool { return slices.Contains(p.Audiences, name) }

// introspect asks the provider what a token is worth.
func (p *Party) introspect(ctx context.Context, f *found, token string) (Claims, error) {
	if f.Introspection == "" {
		return Claims{}, errors.New("the token is no JWT, and the provider tells nothing of others")
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.Introspection, strings.NewReader(form.Encode()))
	if err != nil {
		return Claims{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret))
	said, err := p.ask(r)
	if err != nil {
		return Claims{}, err
	}
	if said["active"] != true {
		return Claims{}, errors.New("the provider says that the token is not active")
	}
	issuer, there := said["iss"]
	if there && issuer != p.Issuer {
		return Claims{}, errors.New("the token is of another provider")
	}
	audience := texts(said["aud"])
	if len(audience) == 0 {
		audience = texts(said["client_id"])
	}
	if !slices.ContainsFunc(audience, p.isAudience) {
		return Claims{}, fmt.Errorf("the token is for %v", audience)
	}
	if kind, _ := said["token_type"].(string); strings.EqualFold(kind, "refresh_token") {
		return Claims{}, errors.New("the token is one to get others with")
	}
	said["iss"] = p.Issuer
	if scope, _ := said["scope"].(string); !slices.Contains(strings.Fields(scope), oidc.ScopeOpenID) {
		return claimsOf(said)
	}
	return p.complete(ctx, f, said, token)
}

// complete adds what the provider tells of the user besides. What it has said
// first counts.
func (p *Party) complete(ctx context.Context, f *found, said map[string]any, token string) (Claims, error) {
	if f.UserInfo == "" || token == "" {
		return claimsOf(said)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.UserInfo, nil)
	if err != nil {
		return Claims{}, err
	}
	(&oauth2.Token{AccessToken: token}).SetAuthHeader(r)
	more, err := p.ask(r)
	if err != nil {
		return Claims{}, err
	}
	if more["sub"] != said["sub"] {
		return Claims{}, errors.New("the provider tells of another user")
	}
	for name, value := range more {
		if _, there := said[name]; !there {
			said[name] = value
		}
	}
	return claimsOf(said)
}

// ask sends a request to the provider and reads the object that it answers with.
func (p *Party) ask(r *http.Request) (map[string]any, error) {
	answer, err := p.client.Do(r)
	if err != nil {
		return nil, &UnreachableError{p.IDP, err}
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusInternalServerError {
		return nil, &UnreachableError{p.IDP, errors.New(answer.Status)}
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider refuses: %s", answer.Status)
	}
	var body bytes.Buffer
	_, err = body.ReadFrom(answer.Body)
	if err != nil {
		return nil, &UnreachableError{p.IDP, err}
	}
	said, err := decode(body.Bytes())
	if err != nil {
		return nil, fmt.Errorf("the provider answers with no object: %w", err)
	}
	return said, nil
}

// object are the claims of a token.
func object(id *oidc.IDToken) (map[string]any, error) {
	var raw json.RawMessage
	err := id.Claims(&raw)
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

// decode keeps numbers as they are written: they may be ids.
func decode(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var said map[string]any
	err := d.Decode(&said)
	return said, err
}

// network tells a provider that refuses from one that does not answer.
func (p *Party) network(what string, err error) error {
	var broken *url.Error
	var refused *oauth2.RetrieveError
	if errors.As(err, &broken) || errors.As(err, &refused) && refused.Response.StatusCode >= http.StatusInternalServerError {
		return &UnreachableError{p.IDP, err}
	}
	return fmt.Errorf("%s: %w", what, err)
}
