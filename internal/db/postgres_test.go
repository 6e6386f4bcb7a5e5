package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// two opens one PostgreSQL database twice, as two servers do.
func two(t *testing.T) (*db.DB, *db.DB) {
	t.Helper()
	source := dbtest.PostgresSource(t)
	return openSource(t, source), openSource(t, source)
}

func used(ctx context.Context, tx *db.Tx, project string) (n int, err error) {
	err = tx.Get(ctx, &n, `SELECT used FROM quota_usages WHERE project = ? AND resource = 'r'`+tx.Hold(), project)
	return n, err
}

// Who reads with Hold, decides and writes, loses nobody's change.
func TestHoldSerialisesReadModifyWrite(t *testing.T) {
	t.Parallel()
	here, there := two(t)
	err := here.Write(t.Context(), func(tx *db.Tx) error { return add(t.Context(), tx, "p", 0) })
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for i := range writers {
		d := []*db.DB{here, there}[i%2]
		wg.Go(func() {
			for range each {
				err := d.Write(t.Context(), func(tx *db.Tx) error {
					n, err := used(t.Context(), tx, "p")
					if err != nil {
						return err
					}
					_, err = tx.Exec(t.Context(), `UPDATE quota_usages SET used = ? WHERE project = 'p'`, n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	err = here.Read(t.Context(), func(tx *db.Tx) error {
		n, err := used(t.Context(), tx, "p")
		if n != writers*each {
			t.Errorf("counted %d, want %d", n, writers*each)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Lock stands in for a row that is not there yet.
func TestLockSerialisesWhatHasNoRow(t *testing.T) {
	t.Parallel()
	here, there := two(t)
	var wg sync.WaitGroup
	for i := range 8 {
		d := []*db.DB{here, there}[i%2]
		wg.Go(func() {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				err := tx.Lock(t.Context(), "numbers")
				if err != nil {
					return err
				}
				var next int
				err = tx.Get(t.Context(), &next, `SELECT COALESCE(MAX(used), 0) + 1 FROM quota_usages`)
				if err != nil {
					return err
				}
				return add(t.Context(), tx, fmt.Sprint("p", i), next)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var numbers []int
	err := here.Read(t.Context(), func(tx *db.Tx) error {
		return tx.All(t.Context(), &numbers, `SELECT used FROM quota_usages ORDER BY used`)
	})
	if err != nil || fmt.Sprint(numbers) != "[1 2 3 4 5 6 7 8]" {
		t.Errorf("got numbers %v and %v, want 1 to 8", numbers, err)
	}
}

// Two transactions that lock in opposite order both succeed: one runs again.
func TestDeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	here, there := two(t)
	var both, done sync.WaitGroup
	both.Add(2)
	runs := make(chan string, 10)
	for name, d := range map[string]*db.DB{"ab": here, "ba": there} {
		done.Go(func() {
			first := true
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				runs <- name
				err := tx.Lock(t.Context(), name[:1])
				if err != nil {
					return err
				}
				if first {
					first = false
					both.Done()
					both.Wait()
				}
				return tx.Lock(t.Context(), name[1:])
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if n := len(runs); n < 3 {
		t.Errorf("ran %d times, want one of them twice", n)
	}
}

// A duplicate that another transaction has just written is found by looking
// again.
func TestDuplicateLooksAgain(t *testing.T) {
	t.Parallel()
	here, there := two(t)
	looked, written := make(chan struct{}), make(chan struct{})
	result := make(chan error, 1)
	found := errors.New("found")
	go func() {
		first := true
		result <- here.Write(t.Context(), func(tx *db.Tx) error {
			_, err := used(t.Context(), tx, "p")
			if err == nil {
				return found
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			if first {
				first = false
				close(looked)
				<-written
			}
			return add(t.Context(), tx, "p", 1)
		})
	}()
	<-looked
	err := there.Write(t.Context(), func(tx *db.Tx) error { return add(t.Context(), tx, "p", 2) })
	close(written)
	if err != nil {
		t.Error(err)
	}
	err = <-result
	if !errors.Is(err, found) {
		t.Errorf("got %v, want that it was found when it looked again", err)
	}
	err = here.Write(t.Context(), func(tx *db.Tx) error { return add(t.Context(), tx, "p", 3) })
	if !db.IsDuplicate(err) {
		t.Errorf("got %v, want a duplicate", err)
	}
}

// Freeze compares two tables as they were at one moment.
func TestFreezeSeesOneMoment(t *testing.T) {
	t.Parallel()
	here, there := two(t)
	err := here.Write(t.Context(), func(tx *db.Tx) error {
		err := tx.Freeze(t.Context())
		if err != nil {
			return err
		}
		var before, after int
		err = tx.Get(t.Context(), &before, `SELECT COUNT(*) FROM quota_usages`)
		if err != nil {
			return err
		}
		err = there.Write(t.Context(), func(tx *db.Tx) error { return add(t.Context(), tx, "p", 1) })
		if err != nil {
			return err
		}
		err = tx.Get(t.Context(), &after, `SELECT COUNT(*) FROM quota_usages`)
		if before != 0 || after != 0 {
			t.Errorf("saw %d and %d rows, want none", before, after)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A connection that breaks before the COMMIT costs another try, no error.
func TestBrokenConnectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	here, there := two(t)
	runs := 0
	err := here.Write(t.Context(), func(tx *db.Tx) error {
		runs++
		err := add(t.Context(), tx, "p", runs)
		if err != nil || runs > 1 {
			return err
		}
		var own int
		err = tx.Get(t.Context(), &own, `SELECT pg_backend_pid()`)
		if err != nil {
			return err
		}
		err = there.Read(t.Context(), func(other *db.Tx) error {
			var ended bool
			return other.Get(t.Context(), &ended, `SELECT pg_terminate_backend(?)`, own)
		})
		if err != nil {
			return err
		}
		return add(t.Context(), tx, "q", 1)
	})
	if err != nil || runs != 2 {
		t.Errorf("got %v after %d runs, want success in the second", err, runs)
	}
	if n := count(t, here); n != 1 {
		t.Errorf("got %d rows, want the one of the second run", n)
	}
}

// Exclusive holds over processes, and ends with the connection that holds it.
func TestExclusiveOverProcesses(t *testing.T) {
	t.Parallel()
	here, there := two(t)
	err := here.Exclusive(t.Context(), "fill", func(ctx context.Context) error {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		err := there.Exclusive(short, "fill", func(context.Context) error { return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the other process got %v, want that it waited in vain", err)
		}
		err = there.Exclusive(ctx, "other", func(context.Context) error { return nil })
		if err != nil {
			t.Error(err)
		}
		err = there.Read(ctx, func(tx *db.Tx) error {
			var ended []bool
			return tx.All(ctx, &ended, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		})
		if err != nil {
			t.Error(err)
		}
		err = there.Exclusive(ctx, "fill", func(context.Context) error { return nil })
		if err != nil {
			t.Errorf("after the turn was lost: %v", err)
		}
		<-ctx.Done() // we hear of the loss
		return context.Cause(ctx)
	})
	if err == nil {
		t.Error("the turn was lost without an error")
	}
}
