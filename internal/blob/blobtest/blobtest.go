// Package blobtest holds the suite that every driver of blob passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"nacre/internal/blob"
)

// Run runs the suite; each test gets an empty store.
func Run(t *testing.T, make func(t *testing.T) blob.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s blob.Store)
	}{
		{"a blob reads as it was put", reads},
		{"a missing blob", missing},
		{"a second put replaces the first", replaces},
		{"an open blob stays as it is", openStays},
		{"a reader that fails stores nothing", brokenReader},
		{"an ended context stores nothing", endedContext},
		{"list by prefix", list},
		{"puts may be concurrent", concurrent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, make(t)) })
	}
}

var ctx = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s blob.Store, key, text string) {
	t.Helper()
	size, err := s.Put(ctx, key, strings.NewReader(text))
	must(t, err)
	if size != int64(len(text)) {
		t.Errorf("%s: got size %d, want %d", key, size, len(text))
	}
}

func wantBlob(t *testing.T, s blob.Store, key, want string) {
	t.Helper()
	r, err := s.Open(ctx, key)
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	must(t, err)
	if string(got) != want || r.Size() != int64(len(want)) {
		t.Errorf("%s: got %.40q of size %d, want %.40q", key, got, r.Size(), want)
	}
}

func wantKeys(t *testing.T, s blob.Store, prefix string, want ...string) {
	t.Helper()
	var got []string
	must(t, s.List(ctx, prefix, func(key string) error {
		got = append(got, key)
		return nil
	}))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got keys %q with prefix %q, want %q", got, prefix, want)
	}
}

func reads(t *testing.T, s blob.Store) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	put(t, s, "images/1", large)
	put(t, s, "empty", "")
	wantBlob(t, s, "images/1", large)
	wantBlob(t, s, "empty", "")

	r, err := s.Open(ctx, "images/1")
	must(t, err)
	defer r.Close()
	piece := make([]byte, 4)
	_, err = r.ReadAt(piece, 1<<19+10)
	if err != nil || string(piece) != "abcd" {
		t.Errorf("got %q, %v in the middle", piece, err)
	}
	_, err = r.Seek(-6, io.SeekEnd)
	must(t, err)
	rest, err := io.ReadAll(r)
	if err != nil || string(rest) != "abcdef" {
		t.Errorf("got %q, %v at the end", rest, err)
	}
}

func missing(t *testing.T, s blob.Store) {
	_, err := s.Open(ctx, "none")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	must(t, s.Remove(ctx, "none"))
	put(t, s, "some", "text")
	for range 2 {
		must(t, s.Remove(ctx, "some"))
	}
	_, err = s.Open(ctx, "some")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v after the removal, want fs.ErrNotExist", err)
	}
	wantKeys(t, s, "")
}

func replaces(t *testing.T, s blob.Store) {
	put(t, s, "a", "first, and longer")
	put(t, s, "a", "second")
	wantBlob(t, s, "a", "second")
	wantKeys(t, s, "", "a")
}

func openStays(t *testing.T, s blob.Store) {
	put(t, s, "a", "first")
	r, err := s.Open(ctx, "a")
	must(t, err)
	defer r.Close()
	put(t, s, "a", "second")
	got, err := io.ReadAll(r)
	if err != nil || string(got) != "first" {
		t.Errorf("got %q, %v from a blob opened before it was replaced, want %q", got, err, "first")
	}
}

func brokenReader(t *testing.T, s blob.Store) {
	broken := errors.New("line cut")
	half := func() io.Reader {
		return io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(broken))
	}
	_, err := s.Put(ctx, "a", half())
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
	wantKeys(t, s, "")
	put(t, s, "a", "whole")
	_, err = s.Put(ctx, "a", half())
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
	wantBlob(t, s, "a", "whole")
}

// ending is a reader during which the context ends.
type ending struct {
	end  context.CancelFunc
	left int
}

func (e *ending) Read(p []byte) (int, error) {
	if e.left == 0 {
		e.end()
		return 0, io.EOF
	}
	e.left--
	return len(p), nil
}

func endedContext(t *testing.T, s blob.Store) {
	ended, cancel := context.WithCancel(ctx)
	_, err := s.Put(ended, "a", &ending{end: cancel, left: 5})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it given up", err)
	}
	wantKeys(t, s, "")
}

func list(t *testing.T, s blob.Store) {
	for _, key := range []string{"images/1", "images/2-x", "objects/1", "objects/1/2"} {
		put(t, s, key, key)
	}
	wantKeys(t, s, "", "images/1", "images/2-x", "objects/1", "objects/1/2")
	wantKeys(t, s, "images/", "images/1", "images/2-x")
	wantKeys(t, s, "objects/1", "objects/1", "objects/1/2")
	wantKeys(t, s, "none")
	enough := errors.New("enough")
	calls := 0
	err := s.List(ctx, "", func(string) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("got %v after %d calls, want an end after the first", err, calls)
	}
}

func concurrent(t *testing.T, s blob.Store) {
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			text := strings.Repeat(fmt.Sprint(n%10), 100_000)
			_, err := s.Put(ctx, "shared", strings.NewReader(text))
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r, err := s.Open(ctx, "shared")
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	must(t, err)
	if len(got) != 100_000 || strings.Count(string(got), string(got[:1])) != len(got) {
		t.Errorf("got %d mixed bytes, want those of one writer", len(got))
	}
	wantKeys(t, s, "", "shared")
}
