package db_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nacre/internal/db"
)

// TestCallerThatGoesAwayLeavesTheRestOfTheGroup: a statement that is
// interrupted would make SQLite roll back the transaction of the whole group.
func TestCallerThatGoesAwayLeavesTheRestOfTheGroup(t *testing.T) {
	d := open(t)
	inGroup, queued := make(chan struct{}), make(chan struct{})
	results := make(chan error, 2)
	go func() {
		results <- d.Write(t.Context(), func(tx *db.Tx) error {
			close(inGroup)
			<-queued
			return add(t.Context(), tx, "before", 1)
		})
	}()
	<-inGroup
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	undo := errors.New("undo")
	left := make(chan error, 1)
	go func() {
		left <- d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `
				INSERT INTO quota_usages (project, resource, used)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
				SELECT 'left ' || i, 'r', 1 FROM n`)
			return errors.Join(err, undo)
		})
	}()
	go func() {
		results <- d.Write(t.Context(), func(tx *db.Tx) error { return add(t.Context(), tx, "behind", 1) })
	}()
	close(queued)
	for range 2 {
		err := <-results
		if err != nil {
			t.Errorf("another caller of the group got %v", err)
		}
	}
	err := <-left
	if !errors.Is(err, undo) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who went away got %v, want its own error", err)
	}
	if got := count(t, d); got != 2 {
		t.Errorf("got %d rows, want the 2 of the others", got)
	}
}

// TestWhatWasRolledBackIsNotAnswered: a full disk, for one, makes SQLite roll
// back the transaction of the whole group. Whoever hears of a success is on disk,
// whoever hears of a failure is not.
func TestWhatWasRolledBackIsNotAnswered(t *testing.T) {
	d := open(t)
	inGroup, queued := make(chan struct{}), make(chan struct{})
	type answer struct {
		project string
		err     error
	}
	answers := make(chan answer, 40)
	write := func(project string, do func(tx *db.Tx) error) {
		go func() { answers <- answer{project, d.Write(t.Context(), do)} }()
	}
	write("first", func(tx *db.Tx) error {
		close(inGroup)
		<-queued
		return add(t.Context(), tx, "first", 1)
	})
	<-inGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		write(name, func(tx *db.Tx) error { return add(t.Context(), tx, name, 1) })
		write("lost "+name, func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), "ROLLBACK") // what SQLite does by itself
			return errors.Join(err, errors.New("disk is full"))
		})
	}
	close(queued)
	kept := 0
	for range 9 {
		a := <-answers
		var rows int
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.Get(t.Context(), &rows, `SELECT COUNT(*) FROM quota_usages WHERE project = ?`, a.project)
		})
		if err != nil {
			t.Fatal(err)
		}
		if (a.err == nil) != (rows == 1) {
			t.Errorf("%s: got %v and %d rows", a.project, a.err, rows)
		}
		kept += rows
	}
	if got := count(t, d); got != kept {
		t.Errorf("got %d rows, want the %d that were answered", got, kept)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "100%25?#.db") // the name means nothing else either
	err := os.WriteFile(file, nil, 0o644)             // as an earlier version made it
	if err != nil {
		t.Fatal(err)
	}
	d := openSource(t, file)
	err = d.Write(t.Context(), func(tx *db.Tx) error { return add(t.Context(), tx, "p", 1) })
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(file + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("the file%s has mode %o, want 600", suffix, got)
		}
	}
}
