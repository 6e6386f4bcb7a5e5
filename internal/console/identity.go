package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// name is a thing with an id and a name, as identity shows it.
type name struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Domain *name  `json:"domain,omitempty"`
}

// who is what the page is told about its session.
type who struct {
	User      name      `json:"user"`
	Project   *name     `json:"project"`
	Roles     []string  `json:"roles"`
	ExpiresAt time.Time `json:"expires_at"`
}

// grant is a token and what it stands for. The token never leaves the server.
type grant struct {
	Token string
	Who   who
}

// refusal is an answer of identity that is not a success, kept as it came.
type refusal struct {
	status int
	header http.Header
	body   []byte
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("identity answers %d: %s", r.status, r.body) }

// identity asks the identity service through its public API, in process.
type identity struct {
	api http.Handler
}

// scoped trades a token for one of a project.
func (i identity) scoped(r *http.Request, token, project string) (grant, error) {
	return i.token(r, map[string]any{
		"identity": map[string]any{
			"methods": []string{"token"},
			"token":   map[string]any{"id": token},
		},
		"scope": map[string]any{"project": map[string]any{"id": project}},
	})
}

func (i identity) token(r *http.Request, auth any) (grant, error) {
	body, err := json.Marshal(map[string]any{"auth": auth})
	if err != nil {
		return grant{}, err
	}
	reply, err := i.call(r, http.MethodPost, "/identity/v3/auth/tokens?nocatalog", nil, body)
	if err != nil {
		return grant{}, err
	}
	return readGrant(reply)
}

// whose tells what a token stands for.
func (i identity) whose(r *http.Request, token string) (grant, error) {
	reply, err := i.call(r, http.MethodGet, "/identity/v3/auth/tokens?nocatalog",
		http.Header{"X-Auth-Token": {token}, "X-Subject-Token": {token}}, nil)
	if err != nil {
		return grant{}, err
	}
	return readGrant(reply)
}

func readGrant(reply *answer) (grant, error) {
	var in struct {
		Token struct {
			User      name      `json:"user"`
			Project   *name     `json:"project"`
			Roles     []name    `json:"roles"`
			ExpiresAt time.Time `json:"expires_at"`
		} `json:"token"`
	}
	err := json.Unmarshal(reply.body, &in)
	if err != nil {
		return grant{}, fmt.Errorf("read token: %w", err)
	}
	g := grant{
		Token: reply.header.Get("X-Subject-Token"),
		Who:   who{User: in.Token.User, Project: in.Token.Project, Roles: []string{}, ExpiresAt: in.Token.ExpiresAt},
	}
	for _, role := range in.Token.Roles {
		g.Who.Roles = append(g.Who.Roles, role.Name)
	}
	if g.Token == "" {
		return grant{}, errors.New("identity answers without a token")
	}
	return g, nil
}

// projects lists what the token's user may work in.
func (i identity) projects(r *http.Request, token string) ([]name, error) {
	reply, err := i.call(r, http.MethodGet, "/identity/v3/auth/projects",
		http.Header{"X-Auth-Token": {token}}, nil)
	if err != nil {
		return nil, err
	}
	var in struct {
		Projects []name `json:"projects"`
	}
	err = json.Unmarshal(reply.body, &in)
	if err != nil {
		return nil, fmt.Errorf("read projects: %w", err)
	}
	return in.Projects, nil
}

// revoke ends a token.
func (i identity) revoke(r *http.Request, token string) error {
	_, err := i.call(r, http.MethodDelete, "/identity/v3/auth/tokens",
		http.Header{"X-Auth-Token": {token}, "X-Subject-Token": {token}}, nil)
	return err
}

// call asks the API as if the request had come from r's client.
func (i identity) call(r *http.Request, method, target string, header http.Header, body []byte) (*answer, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	// The sign-out must finish also when the browser is already gone.
	ctx := context.WithoutCancel(r.Context())
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	inner, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	inner.RequestURI = target
	inner.RemoteAddr = r.RemoteAddr
	inner.Host = r.Host
	inner.TLS = r.TLS
	for key, values := range header {
		inner.Header[key] = values
	}
	inner.Header.Set("Accept", "application/json")
	if len(body) > 0 {
		inner.Header.Set("Content-Type", "application/json")
	}
	got := i.serve(inner)
	if got.status >= 300 {
		return nil, &refusal{status: got.status, header: got.header, body: got.body}
	}
	return got, nil
}

// serve has the API answer a request.
func (i identity) serve(r *http.Request) *answer {
	got := &answer{header: http.Header{}}
	i.api.ServeHTTP(got, r)
	if got.status == 0 {
		got.status = http.StatusOK
	}
	return got
}

// answer collects what a handler writes.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	const most = 4 << 20
	if len(a.body)+len(p) > most {
		return 0, errors.New("answer is too long")
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

// response is the answer as a client of HTTP gets it.
func (a *answer) response(to *http.Request) *http.Response {
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Header: a.header, Request: to,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)),
	}
}
