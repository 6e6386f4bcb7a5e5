package db

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"

	"github.com/uptrace/bun"
)

// keeper copies what the journal of an SQLite database has into its file, beside
// the writer. SQLite would do so inside of a commit, and everybody who writes would
// wait for the disk to take thousands of pages. Only what was written meanwhile is
// left to the writer, between two groups, so that the journal begins anew.
type keeper struct {
	own     *sql.DB
	due     chan struct{}
	once    sync.Once // closes due
	ended   sync.WaitGroup
	written int         // jobs since a checkpoint was due; the writer's
	rest    atomic.Bool // the writer is to copy what is left
}

// A checkpoint is due after so many jobs, of which each leaves some eight pages, and
// is left to the writer when fewer than restPages are to be copied, or after a few tries.
const (
	manyJobs  = 1000
	restPages = 300
	copyTries = 4
)

func startKeeper(own *sql.DB) *keeper {
	k := &keeper{own: own, due: make(chan struct{}, 1)}
	k.ended.Go(func() {
		for range k.due {
			k.copy()
		}
	})
	return k
}

func (k *keeper) copy() {
	for range copyTries {
		left, err := checkpoint(k.own.QueryRowContext)
		if err != nil {
			return // a full disk, say: the writer hears of that by itself
		}
		if left < restPages {
			break
		}
	}
	k.rest.Store(true)
}

// finish copies the rest, by the writer's connection, when there is one.
func (k *keeper) finish(writer bun.Conn) {
	if k.rest.Swap(false) {
		_, _ = checkpoint(writer.QueryRowContext) // what is left now is there the next time
	}
}

// wrote counts the jobs that the writer has committed. While nothing writes there is
// nothing to copy either.
func (k *keeper) wrote(jobs int) {
	k.written += jobs
	if k.written < manyJobs {
		return
	}
	k.written = 0
	select {
	case k.due <- struct{}{}:
	default:
	}
}

func (k *keeper) close() error {
	k.once.Do(func() { close(k.due) })
	k.ended.Wait()
	return k.own.Close()
}

// checkpoint copies what no reader is in the way of, and tells how many pages are left.
func checkpoint(query func(ctx context.Context, text string, args ...any) *sql.Row) (left int, err error) {
	var busy, journal, copied int
	err = query(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &journal, &copied)
	return journal - copied, err
}
