package api_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	kernel "nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/await"
	"nacre/internal/blob/files"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/golden"
	"nacre/internal/object"
	objectapi "nacre/internal/object/api"
)

var ctx = context.Background()

// words makes tokens readable: "alice/demo/member" is user alice of project demo
// with the role member.
type words struct{}

func (words) Caller(_ context.Context, token string) (auth.Caller, error) {
	parts := strings.Split(token, "/")
	if len(parts) != 3 {
		return auth.Caller{}, errs.Unauthorizedf("no such token")
	}
	roles := map[string][]string{
		"admin": {"admin", "manager", "member", "reader"}, "member": {"member", "reader"}, "reader": {"reader"}, "none": nil,
		"reseller": {"ResellerAdmin"},
	}
	return auth.Caller{Token: token, User: parts[0], Project: parts[1], Roles: roles[parts[2]]}, nil
}

// Who calls.
const (
	demo   = "alice/demo/member"
	other  = "bob/other/member"
	reader = "rita/demo/reader"
	admin  = "root/admin/admin"
)

// service is the object store behind the real kernel.
type service struct {
	objects *object.Service
	db      *db.DB
	blobs   *files.Store
	clock   *clock.Manual
	url     string
	dir     string
}

// start serves from a folder. The clock stands still.
func start(t testing.TB, dir string) *service {
	t.Helper()
	s, err := assemble(dir, dbtest.SourceIn(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func assemble(dir, source string) (*service, error) {
	s := &service{dir: dir, clock: clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))}
	var err error
	s.db, err = db.Open(ctx, source)
	if err != nil {
		return nil, err
	}
	s.db.UseClock(s.clock)
	s.blobs, err = files.New(filepath.Join(dir, "blobs"))
	if err != nil {
		return nil, err
	}
	s.objects = object.New(object.Options{DB: s.db, Blobs: s.blobs, Clock: s.clock, Log: slog.New(slog.DiscardHandler)})
	return s, nil
}

func (s *service) handler() http.Handler {
	policy, err := auth.NewPolicy(append(append([]auth.Rule{}, auth.BaseRules...), object.Policy...))
	if err != nil {
		panic(err)
	}
	k := kernel.New(kernel.Options{
		Tokens: words{}, Policy: policy, Clock: s.clock, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), PublicURL: "http://cloud.example:5000",
	})
	k.Add(objectapi.New(s.objects, signIn))
	return k
}

// signIn knows ann, whose password is her project's name.
func signIn(_ context.Context, project, user, password string) (objectapi.Session, error) {
	if user != "ann" || password != project {
		return objectapi.Session{}, errs.Unauthorizedf("The request you have made requires authentication.")
	}
	return objectapi.Session{Token: user + "/" + project + "/member", Project: project, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

type reply struct {
	status int
	header http.Header
	body   string
}

// direct shows redirects instead of following them.
var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// call makes a request. Headers are "Name: value".
func (s *service) call(t testing.TB, token, method, path, body string, headers ...string) reply {
	t.Helper()
	return s.send(t, token, method, path, strings.NewReader(body), headers...)
}

func (s *service) send(t testing.TB, token, method, path string, body io.Reader, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	for _, header := range headers {
		name, value, ok := strings.Cut(header, ": ")
		if ok {
			r.Header.Set(name, value)
		}
	}
	answer, err := direct.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(raw)}
}

// must fails the test unless the reply has the status.
func (r reply) must(t testing.TB, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("got status %d, want %d; body %s", r.status, status, r.body)
	}
	return r
}

// Where things are.
const (
	account = "/v1/AUTH_demo"
	box     = account + "/box"
)

// put stores an object and fails the test when that does not work.
func (s *service) put(t testing.TB, path, body string, headers ...string) reply {
	t.Helper()
	return s.call(t, demo, "PUT", path, body, headers...).must(t, 201)
}

// same compares a reply with the file of that name: status, headers (but ids
// and the date), body.
func same(t *testing.T, name string, r reply) {
	t.Helper()
	var got bytes.Buffer
	got.WriteString(http.StatusText(r.status) + "\n")
	for _, header := range slices.Sorted(maps.Keys(r.header)) {
		if !slices.Contains([]string{"Date", "X-Trans-Id", "X-Openstack-Request-Id"}, header) {
			got.WriteString(header + ": " + r.header.Get(header) + "\n")
		}
	}
	got.WriteString("\n")
	got.WriteString(r.body)
	got.WriteString("\n")
	golden.Compare(t, name+".golden", got.String())
}

// until waits for a condition, and fails when it does not come.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	await.Until(t, what, 20*time.Second, ok)
}

// keys lists the blobs that are kept.
func (s *service) keys(t testing.TB) []string {
	t.Helper()
	var keys []string
	err := s.blobs.List(ctx, "", func(key string) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// turn runs every loop of the service once.
func (s *service) turn(t testing.TB) {
	t.Helper()
	for _, l := range s.objects.Loops() {
		err := l.Once(ctx)
		if err != nil {
			t.Fatalf("%s: %v", l.Name, err)
		}
	}
}
