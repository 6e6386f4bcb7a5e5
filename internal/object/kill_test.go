package object_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nacre/internal/blob/files"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/object"
)

var ctx = context.Background()

// What the process that is killed stands on.
const (
	childFolder = "NACRE_TEST_OBJECT_FOLDER"
	childDB     = "NACRE_TEST_OBJECT_DB"
	account     = "AUTH_demo"
)

// store is the object store on a folder.
type store struct {
	*object.Service
	db    *db.DB
	blobs *files.Store
	clock *clock.Manual
}

func open(dir, source string) (*store, error) {
	s := &store{clock: clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))}
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
	s.Service = object.New(object.Options{DB: s.db, Blobs: s.blobs, Clock: s.clock, Log: slog.New(slog.DiscardHandler)})
	for name, versioning := range map[string]object.Versioning{"plain": "", "versioned": object.Enabled} {
		_, err = s.PutContainer(ctx, account, name, object.ContainerChange{Set: func(_ object.Container, s *object.Settings) error {
			s.Versioning = versioning
			return nil
		}})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	dir := os.Getenv(childFolder)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := open(dir, os.Getenv(childDB))
	if err == nil {
		err = s.work()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// work writes and removes for ever, side by side, and tells of each thing that
// was acknowledged.
func (s *store) work() error {
	failed := make(chan error)
	for w := range 4 {
		go func() {
			r := rand.New(rand.NewSource(time.Now().UnixNano() + int64(w)))
			for i := 0; ; i++ {
				p := object.Place{Account: account, Container: []string{"plain", "versioned"}[r.Intn(2)], Object: fmt.Sprintf("w%d-%d", w, r.Intn(4))}
				text := fmt.Sprintf("%s/%s %d %s", p.Container, p.Object, i, strings.Repeat("v", r.Intn(20_000)))
				// What is under way when we are killed may have come through.
				fmt.Println("begin", p.Container, p.Object)
				err := s.one(r, p, text)
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	go func() {
		for {
			for _, l := range s.Loops() {
				err := l.Once(ctx)
				if err != nil {
					failed <- fmt.Errorf("%s: %w", l.Name, err)
					return
				}
			}
			s.clock.Advance(5 * time.Second) // far faster than writers are used to
		}
	}()
	return <-failed
}

func (s *store) one(r *rand.Rand, p object.Place, text string) error {
	o := object.Object{Account: p.Account, Container: p.Container, Name: p.Object}
	var err error
	switch r.Intn(4) {
	case 0:
		_, err = s.Delete(ctx, p, object.Deletion{Promote: true})
		text = ""
	case 1:
		err = s.upload(o, text)
	default:
		_, err = s.Put(ctx, o, nil, strings.NewReader(text))
	}
	if errs.Is(err, errs.Unavailable) {
		return nil // given up by the sweep: nothing was acknowledged
	}
	if err != nil {
		return err
	}
	sum := md5.Sum([]byte(text))
	fmt.Println("done", p.Container, p.Object, hex.EncodeToString(sum[:]), len(text))
	return nil
}

// upload sends an object in parts: one that is left out, one that is sent twice.
func (s *store) upload(o object.Object, text string) error {
	u, err := s.StartUpload(ctx, o)
	if err != nil {
		return err
	}
	p := object.Place{Account: o.Account, Container: o.Container, Object: o.Name}
	for number, part := range []string{"left out", "replaced", text} {
		_, err = s.PutPart(ctx, p, u.ID, number/2+1, "", strings.NewReader(part))
		if err != nil {
			return err
		}
	}
	parts, err := s.Parts(ctx, u.ID, 1, 10)
	if err != nil {
		return err
	}
	_, err = s.CompleteUpload(ctx, p, u.ID, []object.PartRef{{Number: 2, Etag: parts[0].Chunk.V.MD5}}, nil)
	return err
}

// TestKilledStore kills the process again and again: what was acknowledged is
// there and whole, totals are right, and nothing else is left on the disk.
func TestKilledStore(t *testing.T) {
	dir := t.TempDir()
	source := dbtest.SourceIn(t, dir)
	told := map[string][]string{} // place: what was told of it last
	for range 5 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), childFolder+"="+dir, childDB+"="+source)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines, enough := bufio.NewScanner(out), 100+rand.Intn(100)
		for n := 0; lines.Scan(); n++ {
			f := strings.Fields(lines.Text())
			if len(f) < 3 {
				continue // cut off
			}
			told[f[1]+"/"+f[2]] = f
			if n == enough {
				err = c.Process.Kill()
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		var exit *exec.ExitError
		err = c.Wait()
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("got %v, want it killed", err)
		}
	}
	s, err := open(dir, source)
	if err != nil {
		t.Fatal(err)
	}
	defer s.db.Close()
	s.clock.Advance(1e6 * time.Hour)
	for place, f := range told {
		if f[0] == "done" && len(f) == 5 {
			s.check(t, place, f[3], f[4])
		}
	}
	if len(told) < 10 {
		t.Errorf("only %d objects were touched", len(told))
	}
	s.audit(t)
}

// check compares an object with the last write that was acknowledged.
func (s *store) check(t *testing.T, place, sum, size string) {
	t.Helper()
	container, name := object.SplitName(place)
	content, bytes, err := s.Read(ctx, object.Place{Account: account, Container: container, Object: name}, nil)
	if size == "0" {
		if err == nil {
			bytes.Close()
			t.Errorf("%s was deleted, and is there with %d bytes", place, content.Size)
		}
		return
	}
	if err != nil {
		t.Errorf("%s was acknowledged: %v", place, err)
		return
	}
	defer bytes.Close()
	got := md5.New()
	n, err := io.Copy(got, bytes)
	if err != nil || fmt.Sprint(n) != size || hex.EncodeToString(got.Sum(nil)) != sum {
		t.Errorf("%s has %d bytes, %v; acknowledged were %s others", place, n, err, size)
	}
}

// audit compares rows, totals and the disk.
func (s *store) audit(t *testing.T) {
	t.Helper()
	for range 2 {
		for _, l := range s.Loops() {
			err := l.Once(ctx)
			if err != nil {
				t.Fatalf("%s: %v", l.Name, err)
			}
		}
	}
	var versions []object.Object
	var parts []object.Part
	var containers []object.Container
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return errors.Join(tx.All(ctx, &versions, "SELECT * FROM object_versions"), tx.All(ctx, &parts, "SELECT * FROM object_parts"),
			tx.All(ctx, &containers, "SELECT * FROM object_containers"))
	})
	if err != nil {
		t.Fatal(err)
	}
	objects, used := map[string]int64{}, map[string]int64{}
	var owned []string
	for _, o := range versions {
		if o.DamagedAt != 0 {
			t.Errorf("%s/%s is damaged", o.Container, o.Name)
		}
		if o.Latest && !o.Marker {
			objects[o.Container]++
		}
		used[o.Container] += o.Stored
		for _, c := range o.Chunks.V {
			owned = append(owned, c.Blob)
		}
	}
	for _, p := range parts {
		owned = append(owned, p.Chunk.V.Blob)
		u := uploadOf(t, s, p.Upload)
		used[u] += p.Chunk.V.Size
	}
	for _, c := range containers {
		if c.Objects != objects[c.Name] || c.Bytes != used[c.Name] {
			t.Errorf("%s counts %d objects of %d bytes, has %d of %d", c.Name, c.Objects, c.Bytes, objects[c.Name], used[c.Name])
		}
	}
	var kept []string
	err = s.blobs.List(ctx, "", func(key string) error { kept = append(kept, key); return nil })
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(owned)
	slices.Sort(kept)
	if !slices.Equal(owned, kept) {
		t.Errorf("%d blobs are owned, %d are kept", len(owned), len(kept))
	}
	if !bytes.Contains([]byte(strings.Join(kept, " ")), []byte("objects/")) {
		t.Error("no object is left to look at")
	}
}

func uploadOf(t *testing.T, s *store, id string) string {
	t.Helper()
	var container string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &container, "SELECT container FROM object_uploads WHERE id = ?", id)
	})
	if err != nil {
		t.Fatal(err)
	}
	return container
}
