package db

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nacre/internal/await"
)

// The journal is copied beside the writer, to its end, and begins anew.
func TestJournalBeginsAnew(t *testing.T) {
	t.Parallel()
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "nacre.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	write := func() {
		err := d.Write(t.Context(), func(tx *Tx) error {
			_, err := tx.Exec(t.Context(), "UPDATE quota_usages SET used = used + 1")
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	pages := func() (journal int) {
		var busy, copied int
		row := d.store.(*group).keep.own.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(NOOP)")
		err := row.Scan(&busy, &journal, &copied)
		if err != nil {
			t.Fatal(err)
		}
		return journal
	}
	err = d.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO quota_usages (project, resource, used) VALUES ('p', 'r', 0)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := pages()
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 2 * manyJobs / 8 {
				write()
			}
		})
	}
	writers.Wait()
	await.Until(t, "the journal to begin anew", 10*time.Second, func() bool {
		write()
		return pages() < before
	})
}
