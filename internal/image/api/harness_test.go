package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	"nacre/internal/fetch"
	"nacre/internal/golden"
	"nacre/internal/image"
	imageapi "nacre/internal/image/api"
	"nacre/internal/work"
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

// service is the image service behind the real kernel.
type service struct {
	images *image.Service
	engine *work.Engine
	db     *db.DB
	blobs  *files.Store   // of the default store
	stores []*files.Store // of all

	protection *image.Protection
	clock      *clock.Manual
	url        string
}

// start serves from a folder. The clock stands still. Imports may come from the
// addresses.
func start(t testing.TB, dir string, own ...string) *service {
	t.Helper()
	s, err := assemble(dir, dbtest.SourceIn(t, dir), own...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func assemble(dir, source string, own ...string) (*service, error) {
	s := &service{clock: clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))}
	var err error
	s.db, err = db.Open(ctx, source)
	if err != nil {
		return nil, err
	}
	s.db.UseClock(s.clock)
	s.engine = work.New(work.Options{DB: s.db, Clock: s.clock, Log: slog.New(slog.DiscardHandler)})
	o := image.Options{DB: s.db, Engine: s.engine, Clock: s.clock, Log: slog.New(slog.DiscardHandler), Fetcher: fetch.New(fetch.Options{Own: own})}
	for _, id := range []string{"local", "second"} {
		store, err := files.New(filepath.Join(dir, id))
		if err != nil {
			return nil, err
		}
		o.Stores = append(o.Stores, image.Store{ID: id, Type: "file", Blobs: store})
		s.stores = append(s.stores, store)
	}
	o.Cache, err = files.New(filepath.Join(dir, "cache"))
	if err != nil {
		return nil, err
	}
	s.blobs = s.stores[0]
	s.images, err = image.New(o)
	return s, err
}

func (s *service) handler() http.Handler {
	policy, err := auth.NewPolicy(append(append([]auth.Rule{}, auth.BaseRules...), image.Policy...))
	if err != nil {
		panic(err)
	}
	k := kernel.New(kernel.Options{
		Tokens: words{}, Policy: policy, Clock: clock.Real{}, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), PublicURL: "http://cloud.example:5000",
	})
	k.Add(imageapi.New(s.images, s.protection))
	return k
}

type reply struct {
	status int
	header http.Header
	body   string
}

// call makes a request. Headers are "Name: value".
func (s *service) call(t testing.TB, token, method, path, body string, headers ...string) reply {
	t.Helper()
	return s.send(t, token, method, path, strings.NewReader(body), headers...)
}

func (s *service) send(t testing.TB, token, method, path string, body io.Reader, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequest(method, s.url+"/image"+path, body)
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
	answer, err := http.DefaultClient.Do(r)
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

const octets = "Content-Type: application/octet-stream"

// create makes an image and returns its id.
func (s *service) create(t testing.TB, token, body string) string {
	t.Helper()
	made := s.call(t, token, "POST", "/v2/images", body).must(t, 201)
	var view struct{ ID string }
	err := json.Unmarshal([]byte(made.body), &view)
	if err != nil {
		t.Fatal(err)
	}
	return view.ID
}

// show reads an image as its owner or whoever it is.
func (s *service) show(t testing.TB, token, id string) map[string]any {
	t.Helper()
	var view map[string]any
	err := json.Unmarshal([]byte(s.call(t, token, "GET", "/v2/images/"+id, "").must(t, 200).body), &view)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// same compares a reply with the file of that name: status, the headers that
// matter, the body.
func same(t *testing.T, name string, r reply) {
	t.Helper()
	var got bytes.Buffer
	got.WriteString(http.StatusText(r.status) + "\n")
	for _, header := range []string{"Content-Type", "Location", "Www-Authenticate", "Accept-Patch", "Content-Md5", "Content-Range", "Content-Length"} {
		if r.header.Get(header) != "" {
			got.WriteString(header + ": " + r.header.Get(header) + "\n")
		}
	}
	got.WriteString("\n")
	if json.Indent(&got, []byte(r.body), "", "  ") != nil {
		got.WriteString(r.body)
	}
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
	for _, l := range s.images.Loops() {
		err := l.Once(ctx)
		if err != nil {
			t.Fatalf("%s: %v", l.Name, err)
		}
	}
}
