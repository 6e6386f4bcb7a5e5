// Package vendordata is what an operator tells the guests of the cloud, as Nova has
// it: static data, the same for all, from a file; and dynamic data, which services of
// the operator say of one server when they are asked about it.
//
// A service is a target: a name and a URL. It gets a question by POST and answers with
// JSON, which guests find under the name. A service that is slow, down, leads elsewhere,
// or says too much or no JSON gives an empty object; where the operator wants, it is an
// error instead. Nobody waits for a service longer than the settings say, and none is
// asked within a transaction.
package vendordata

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"nacre/internal/errs"
)

// Bounds of what guests are told: a config drive has several copies, and a host gets
// it in one message.
const (
	MaxBytes   = 64 << 10 // of the static data, and of each answer
	maxTargets = 8
)

// StaticName is what static data stand under beside the answers.
const StaticName = "static"

// defaultTime is Nova's for either timeout.
const defaultTime = 5 * time.Second

var empty = json.RawMessage("{}")

// Target is a service that is asked.
type Target struct {
	Name string
	URL  string
}

// ParseTargets reads targets that are written name@URL.
func ParseTargets(list []string) ([]Target, error) {
	if len(list) > maxTargets {
		return nil, fmt.Errorf("there are %d targets, more than %d", len(list), maxTargets)
	}
	taken := map[string]bool{StaticName: true}
	var targets []Target
	for _, text := range list {
		name, at, _ := strings.Cut(text, "@")
		u, err := url.Parse(at)
		switch {
		case err != nil || name == "" || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
			return nil, fmt.Errorf("a target is NAME@URL, by http or https; %q is none", name)
		case taken[name]:
			return nil, fmt.Errorf("the name %q is taken", name)
		}
		taken[name] = true
		targets = append(targets, Target{name, at})
	}
	return targets, nil
}

// Options are what a Source is made of.
type Options struct {
	Static  json.RawMessage // nil: an empty object
	Targets []Target
	Connect time.Duration  // how long a connection may take; 0 is 5 seconds
	Read    time.Duration  // and an answer from then on; 0 is 5 seconds
	Roots   *x509.CertPool // of the services' certificates; nil: the usual ones
	Fatal   bool           // a target that fails is an error
	Log     *slog.Logger   // nil: the default

	// Token is what the services know the cloud by, another one than the refused; nil:
	// they are sent none.
	Token func(ctx context.Context, refused string) (string, error)
}

// Source has the static data and asks for the dynamic ones. The zero value has none.
type Source struct {
	static  json.RawMessage
	targets []Target
	fatal   bool
	client  *http.Client
	log     *slog.Logger
	token   func(ctx context.Context, refused string) (string, error)
}

// New makes a source.
func New(o Options) *Source {
	connect, read := cmp.Or(o.Connect, defaultTime), cmp.Or(o.Read, defaultTime)
	return &Source{
		static: o.Static, targets: o.Targets, fatal: o.Fatal, log: cmp.Or(o.Log, slog.Default()), token: o.Token,
		client: &http.Client{
			Timeout: connect + read,
			Transport: &http.Transport{
				DialContext: (&net.Dialer{Timeout: connect}).DialContext, TLSHandshakeTimeout: connect, ResponseHeaderTimeout: read,
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
				MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			},
			// What is said of servers is for nobody but the target.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Static are the data that are the same for all.
func (s *Source) Static() json.RawMessage {
	if s.static == nil {
		return empty
	}
	return s.static
}

// Asks tells whether there is anybody to ask.
func (s *Source) Asks() bool { return len(s.targets) > 0 }

// Question is what the services are told of a server.
type Question struct {
	Project  string            `json:"project-id"`
	Instance string            `json:"instance-id"`
	Image    string            `json:"image-id"`
	UserData *string           `json:"user-data"` // base64
	Hostname string            `json:"hostname"`
	Metadata map[string]string `json:"metadata"`
	Roles    string            `json:"boot-roles"` // of who made it, with commas
}

// Answers are what services say, by their names.
type Answers map[string]json.RawMessage

// Ask asks all services at once.
func (s *Source) Ask(ctx context.Context, q Question) (Answers, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("write question for vendor data: %w", err)
	}
	said := make([]json.RawMessage, len(s.targets))
	failed := make([]error, len(s.targets))
	var asking sync.WaitGroup
	for i, t := range s.targets {
		asking.Go(func() { said[i], failed[i] = s.ask(ctx, t, body) })
	}
	asking.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err() // it was us who did not wait
	}
	answers := Answers{}
	for i, t := range s.targets {
		answers[t.Name] = said[i]
		if failed[i] == nil {
			continue
		}
		s.log.Warn("a vendor data target has not answered", "target", t.Name, "server", q.Instance, "error", failed[i])
		if s.fatal {
			return nil, errs.New(errs.Internal, "There is no vendor data from %s.", t.Name).Because(failed[i])
		}
		answers[t.Name] = empty
	}
	return answers, nil
}

func (s *Source) ask(ctx context.Context, t Target, question []byte) (json.RawMessage, error) {
	reply, err := s.post(ctx, t, question)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	if reply.StatusCode < 200 || reply.StatusCode > 299 {
		return nil, fmt.Errorf("it answers %s", reply.Status)
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return empty, nil
	}
	return Check(body)
}

// post sends the question, with a token of ours where services want one. A token that
// a service refuses may have been revoked: it gets another one, once.
func (s *Source) post(ctx context.Context, t Target, question []byte) (*http.Response, error) {
	token := ""
	for again := false; ; again = true {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(question))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json")
		request.Header.Set("User-Agent", "openstack-nova-vendordata")
		if s.token != nil {
			token, err = s.token(ctx, token)
			if err != nil {
				return nil, fmt.Errorf("there is no token for it: %w", err)
			}
			request.Header.Set("X-Auth-Token", token)
		}
		reply, err := s.client.Do(request)
		if err != nil {
			var about *url.Error
			if errors.As(err, &about) {
				err = about.Err // the URL may be a secret
			}
			return nil, err
		}
		if again || s.token == nil || reply.StatusCode != http.StatusUnauthorized {
			return reply, nil
		}
		reply.Body.Close()
	}
}

// Check takes what is JSON and not too much.
func Check(text []byte) (json.RawMessage, error) {
	if len(text) > MaxBytes {
		return nil, errTooMuch
	}
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errors.New("it is not JSON")
	}
	text, err := json.Marshal(json.RawMessage(text)) // as it is told to guests
	if err != nil {
		return nil, err
	}
	if len(text) > MaxBytes {
		return nil, errTooMuch
	}
	return text, nil
}

var errTooMuch = fmt.Errorf("it is more than %d bytes", MaxBytes)
