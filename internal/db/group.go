package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/uptrace/bun"

	"nacre/internal/db/lite"
)

// group is the one writer of an SQLite database. It takes whatever waits, runs
// it inside one BEGIN IMMEDIATE with a SAVEPOINT per use case, and commits all
// with one flush to disk. While the disk flushes, the next group gathers.
type group struct {
	home  *DB
	own   *bun.DB
	conn  bun.Conn
	forms *prepared // of the query builder
	queue *queue
	keep  *keeper
	done  chan struct{} // closed when the writer has ended

	turns turns
}

type job struct {
	ctx      context.Context
	patient  bool
	do       func(tx *Tx) error
	tx       *Tx
	err      error
	panicked any
	done     chan struct{}
}

// maxGroup bounds how long the first of a group waits for the last. One in which
// somebody waits takes no more than patientShare of those that nobody waits for;
// and it takes those, so that they go on however many requests come.
const (
	maxGroup     = 256
	patientShare = 2
)

var (
	errClosed     = errors.New("database is closed")
	errRolledBack = errors.New("another caller's failure rolled the transaction back")
)

func startGroup(ctx context.Context, home *DB, own *bun.DB, keeping *sql.DB) (*group, error) {
	conn, err := own.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("take the writing connection: %w", err)
	}
	g := &group{
		home: home, own: own, conn: conn, queue: newQueue(), keep: startKeeper(keeping), done: make(chan struct{}),
		forms: &prepared{prepare: conn.Conn.PrepareContext, steady: true},
	}
	go g.run()
	return g, nil
}

func (g *group) close() error {
	g.queue.close()
	<-g.done
	return errors.Join(g.keep.close(), g.own.Close())
}

// lock implements store: the one writer is alone.
func (g *group) lock(context.Context, *Tx, string) error { return nil }

// freeze implements store: nobody changes anything meanwhile.
func (g *group) freeze(context.Context, *Tx) error { return nil }

// catalog implements store.
func (g *group) catalog() string {
	return "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'goose_db_version' ORDER BY rowid"
}

// snapshot implements store: the first SELECT fixes what is seen.
func (g *group) snapshot() string { return "BEGIN" }

// filled implements store: SQLite counts on from the largest number by itself.
func (g *group) filled(context.Context, *Tx) error { return nil }

// exclusive implements store: the one process has to agree with itself.
func (g *group) exclusive(ctx context.Context, name string, do func(ctx context.Context) error) error {
	give, err := g.turns.take(ctx, name)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", name, err)
	}
	defer give()
	return do(ctx)
}

func (g *group) write(ctx context.Context, do func(tx *Tx) error) error {
	j := &job{ctx: ctx, patient: isPatient(ctx), do: do, done: make(chan struct{})}
	if !g.queue.push(j) {
		return errClosed
	}
	<-j.done
	if j.panicked != nil {
		panic(j.panicked)
	}
	if j.err != nil {
		return j.err
	}
	for _, after := range j.tx.after {
		after()
	}
	return nil
}

func (g *group) run() {
	defer close(g.done)
	defer g.conn.Close()
	defer g.forms.close()
	for j := g.queue.first(); j != nil; j = g.queue.first() {
		g.keep.finish(g.conn)
		jobs := g.commit(j)
		g.keep.wrote(len(jobs))
		for _, j := range jobs {
			close(j.done)
		}
		runtime.Gosched() // who has its answer goes on, before the next group takes the processor
	}
}

// commit runs the job and all that wait behind it in one transaction. After a
// failed BEGIN or COMMIT each of them has an error.
func (g *group) commit(first *job) []*job {
	jobs := []*job{first}
	ctx := context.Background() // a caller that goes away must not end the others' transaction
	_, err := g.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	if err != nil {
		first.err = fmt.Errorf("begin: %w", err)
		return jobs
	}
	whole, patients := true, 0
	for j := first; j != nil; {
		if j.patient {
			patients++
		}
		whole = g.runJob(ctx, j)
		if !whole || len(jobs) == maxGroup {
			break
		}
		j = g.queue.next(patients == len(jobs) || patients < patientShare)
		if j != nil {
			jobs = append(jobs, j)
		}
	}
	switch broken := jobs[len(jobs)-1].err; {
	case whole:
		_, err = g.conn.ExecContext(ctx, "COMMIT")
	case IsFull(broken):
		err = errors.Join(errRolledBack, syscall.ENOSPC) // all of them ought to know
	default:
		err = errRolledBack
	}
	if err == nil {
		return jobs
	}
	_, rollbackErr := g.conn.ExecContext(ctx, "ROLLBACK")
	for _, j := range jobs {
		if j.err == nil && j.panicked == nil {
			j.err = errors.Join(fmt.Errorf("commit: %w", err), rollbackErr)
		}
	}
	return jobs
}

// runJob runs one job of the transaction and tells whether the transaction is
// still there: a full disk, for one, makes SQLite roll back all of it, and what
// ran behind that would be committed on its own, whatever we answer.
func (g *group) runJob(ctx context.Context, j *job) (whole bool) {
	j.err = j.ctx.Err()
	if j.err != nil {
		return true
	}
	_, j.err = lite.Exec(ctx, g.conn.Conn, "SAVEPOINT job", nil)
	if j.err != nil {
		return false
	}
	j.tx = &Tx{IDB: built{g.conn, g.forms}, home: g.home, conn: g.conn.Conn}
	g.call(j)
	if j.err == nil && j.panicked == nil {
		_, j.err = lite.Exec(ctx, g.conn.Conn, "RELEASE job", nil)
		return j.err == nil
	}
	_, err := lite.Exec(ctx, g.conn.Conn, "ROLLBACK TO job", nil)
	if err == nil {
		_, err = lite.Exec(ctx, g.conn.Conn, "RELEASE job", nil)
	}
	if err != nil {
		j.err = errors.Join(j.err, fmt.Errorf("undo: %w", err))
	}
	return err == nil
}

// call hands a panic of the job to the goroutine that asked for it.
func (g *group) call(j *job) {
	defer func() { j.panicked = recover() }()
	j.err = j.do(j.tx)
}
