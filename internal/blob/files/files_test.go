package files

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nacre/internal/blob"
	"nacre/internal/blob/blobtest"
)

var ctx = context.Background()

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

func TestKeysCannotLeaveTheFolder(t *testing.T) {
	s := open(t, t.TempDir())
	for _, key := range []string{"", "../x", "a.b", "A", "a+b", "a\x00", strings.Repeat("a", 201)} {
		_, err := s.Put(ctx, key, strings.NewReader("x"))
		if err == nil {
			t.Errorf("key %q: stored", key)
		}
		_, err = s.Open(ctx, key)
		if err == nil {
			t.Errorf("key %q: opened", key)
		}
		err = s.Remove(ctx, key)
		if err == nil {
			t.Errorf("key %q: removed", key)
		}
	}
	wantUnfinished(t, s, 0)
}

func wantUnfinished(t *testing.T, s *Store, want int) {
	t.Helper()
	entries, err := os.ReadDir(s.unfinished)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != want {
		t.Errorf("got %d unfinished files, want %d", len(entries), want)
	}
}

// TestWriterIsNotSwept opens the store while a blob is being written.
func TestWriterIsNotSwept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.at = func(point string) {
		if point == "written" {
			wantUnfinished(t, open(t, dir), 1)
		}
	}
	_, err := s.Put(ctx, "a", strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	wantUnfinished(t, s, 0)
	wantText(t, s, "text")
}

func wantText(t *testing.T, s *Store, want string) {
	t.Helper()
	path, err := s.Path("a")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

const killVariable = "NACRE_TEST_KILL" // point:folder

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	stop, dir, ok := strings.Cut(os.Getenv(killVariable), ":")
	if !ok {
		os.Exit(m.Run())
	}
	s, err := New(dir)
	if err != nil {
		os.Exit(1)
	}
	s.at = func(point string) {
		if point == stop {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	_, _ = s.Put(ctx, "a", strings.NewReader("second"))
	os.Exit(1)
}

func TestKilledPut(t *testing.T) {
	for _, point := range []string{"created", "written", "flushed", "renamed"} {
		dir := filepath.Join(t.TempDir(), "blobs")
		_, err := open(t, dir).Put(ctx, "a", strings.NewReader("first"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killVariable+"="+point+":"+dir)
		err = cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: got %v, want it killed", point, err)
		}
		s := open(t, dir)
		wantUnfinished(t, s, 0)
		want := "first"
		if point == "renamed" {
			want = "second"
		}
		wantText(t, s, want)
	}
}

func BenchmarkPut4K(b *testing.B) {
	s, err := New(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("x", 4096)
	for b.Loop() {
		_, err = s.Put(ctx, "a", strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
	}
}
