package s3_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	kernel "nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/blob/files"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/golden"
	"nacre/internal/object"
	"nacre/internal/object/s3"
)

var ctx = context.Background()

// keys are access keys by name: the project that each is of. Its secret is
// secret-<name>.
var keys = map[string]string{"demo": "demo", "other": "other", "reader": "demo", "none": "demo"}

func lookup(_ context.Context, access string) (s3.Key, error) {
	project, known := keys[access]
	if !known {
		return s3.Key{}, errs.NotFoundf("EC2 access key not found.")
	}
	return s3.Key{Secret: "secret-" + access, Caller: func(context.Context) (auth.Caller, error) {
		c := auth.Caller{User: access, Project: project, ProjectName: project}
		switch access {
		case "none":
			return auth.Caller{}, errs.Unauthorizedf("disabled")
		case "reader":
			c.Roles = []string{"reader"}
		default:
			c.Roles = []string{"member", "reader"}
		}
		return c, nil
	}}, nil
}

// service is S3 behind the real kernel.
type service struct {
	objects *object.Service
	blobs   *files.Store
	clock   *clock.Manual
	url     string
}

func start(t testing.TB) *service {
	t.Helper()
	// Clients sign with the time of the machine.
	s := &service{clock: clock.NewManual(time.Now().Truncate(time.Second))}
	database, err := db.Open(ctx, dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { database.Close() })
	database.UseClock(s.clock)
	s.blobs, err = files.New(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	s.objects = object.New(object.Options{DB: database, Blobs: s.blobs, Clock: s.clock, Log: slog.New(slog.DiscardHandler)})
	policy, err := auth.NewPolicy(append(append([]auth.Rule{}, auth.BaseRules...), object.Policy...))
	if err != nil {
		t.Fatal(err)
	}
	k := kernel.New(kernel.Options{Policy: policy, Clock: s.clock, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	k.Add(s3.New(s.objects, lookup))
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// client signs as an access key, by version 2 or 4.
func (s *service) client(t testing.TB, access string, old bool) *minio.Client {
	t.Helper()
	sign := credentials.NewStaticV4
	if old {
		sign = credentials.NewStaticV2
	}
	c, err := minio.New(strings.TrimPrefix(s.url, "http://"), &minio.Options{Creds: sign(access, "secret-"+access, ""), BucketLookup: minio.BucketLookupPath, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type reply struct {
	status int
	header http.Header
	body   string
}

// call sends a request, signed as an access key for a minute, "" for nobody.
// Headers are "Name: value".
func (s *service) call(t testing.TB, access, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	if access != "" {
		s.sign(r, access)
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

var changing = regexp.MustCompile(`<RequestId>[^<]*</RequestId>|\d{4}-\d\d-\d\dT[^<]*Z|http://127\.0\.0\.1:\d+|[0-9a-f]{32}</UploadId>|\d{10}\.\d{5}`)

// same compares a reply with the file of that name.
func same(t *testing.T, name string, r reply) {
	t.Helper()
	text := http.StatusText(r.status) + "\n" + r.header.Get("Content-Type") + "\n\n" + strings.ReplaceAll(r.body, "><", ">\n<") + "\n"
	golden.Compare(t, name+".golden", changing.ReplaceAllString(text, "…"))
}
