package lock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, second := open(t, path), open(t, path)
	err := Try(first)
	if err != nil {
		t.Fatalf("take a free file: %v", err)
	}
	_, err = first.WriteString("mine")
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(*os.File) error{"Try": Try, "Look": Look} {
		err = ask(second)
		if !errors.Is(err, ErrHeld) {
			t.Errorf("%s on a file that somebody has: got %v, want ErrHeld", name, err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil || string(content) != "mine" {
		t.Errorf("read a locked file: got %q, %v", content, err)
	}

	waited := make(chan error, 1)
	go func() { waited <- Wait(second) }()
	first.Close()
	err = <-waited
	if err != nil {
		t.Errorf("wait for the file: %v", err)
	}
}

func TestLookersShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, second, third := open(t, path), open(t, path), open(t, path)
	err := errors.Join(Look(first), Look(second))
	if err != nil {
		t.Fatalf("look together: %v", err)
	}
	err = Try(third)
	if !errors.Is(err, ErrHeld) {
		t.Errorf("take a file that others look at: got %v, want ErrHeld", err)
	}
}
