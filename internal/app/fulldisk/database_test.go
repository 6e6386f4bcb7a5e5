package fulldisk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// The disk of an SQLite database gets full at some point of a commit.
func TestDatabase(t *testing.T) {
	for _, but := range []int64{0, 4 << 10, 12 << 10, 40 << 10, 300 << 10} {
		t.Run(fmt.Sprint(but), func(t *testing.T) {
			disk := newDisk(t, 64<<20)
			d := dbtest.OpenFile(t, disk.path("nacre.db"))
			w := &writer{t: t, d: d, acknowledged: map[string]bool{}}
			w.write("before", 3)
			disk.fill(but)
			done := w.write("during", 120)
			if done == 120 {
				t.Fatal("the disk did not get full")
			}
			disk.free()
			done = w.write("after", 3)
			if done != 3 {
				t.Errorf("with space again, %d of 3 writes succeed", done)
			}
			err := d.Close()
			if err != nil {
				t.Fatal(err)
			}
			w.d = dbtest.OpenFile(t, disk.path("nacre.db"))
			w.check()
		})
	}
}

// writer writes rows, and remembers which were acknowledged.
type writer struct {
	t *testing.T
	d *db.DB

	mu           sync.Mutex // guards acknowledged
	acknowledged map[string]bool
}

// write writes so many rows at once, and tells how many were acknowledged.
func (w *writer) write(when string, count int) (done int) {
	w.t.Helper()
	ctx := context.Background()
	var all sync.WaitGroup
	for i := range count {
		name := fmt.Sprintf("%s %d ", when, i) + strings.Repeat("x", 6000)
		all.Go(func() {
			err := w.d.Write(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO quota_usages (project, resource, used) VALUES (?, 'r', 1)", name)
				return err
			})
			w.mu.Lock()
			defer w.mu.Unlock()
			switch {
			case err == nil:
				done++
				w.acknowledged[name] = true
			case !db.IsFull(err):
				w.t.Errorf("write on a full disk: %v, want an error that says so", err)
			}
		})
	}
	all.Wait()
	return done
}

// check compares what is there with what was acknowledged.
func (w *writer) check() {
	w.t.Helper()
	var names []string
	err := w.d.Read(w.t.Context(), func(tx *db.Tx) error {
		return tx.All(w.t.Context(), &names, "SELECT project FROM quota_usages")
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names {
		if !w.acknowledged[name] {
			w.t.Errorf("%.20s was refused, and is there", name)
		}
	}
	for _, name := range slices.Collect(maps.Keys(w.acknowledged)) {
		if !slices.Contains(names, name) {
			w.t.Errorf("%.20s was acknowledged, and is gone", name)
		}
	}
}
