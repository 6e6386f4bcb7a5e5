package work

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/db"
)

// How long an engine may be silent before others take its plans over, how
// often it speaks, and how often it looks for plans that others left. So a dead
// engine's plans go on after leaseTime + lookAgain at most.
const (
	leaseTime = 6 * time.Second
	heartbeat = 2 * time.Second
	lookAgain = time.Second

	lookAround = 10 * time.Second // for plans that are ours and unknown to us
)

// Options are what an engine is made of.
type Options struct {
	DB      *db.DB
	Clock   clock.Clock  // the machine's, if nil
	Log     *slog.Logger // slog.Default, if nil
	Owner   string       // names this process among those on the database, the same after a restart; "nacre" if empty
	Workers int          // steps at a time; 64 if zero
}

// Engine runs plans. Make it, register plans, then Run it.
type Engine struct {
	db      *db.DB
	clock   clock.Clock
	log     *slog.Logger
	owner   string
	workers int
	plans   map[string]*plan // complete before the first run
	early   chan struct{}    // a run was parked for earlier than the timekeeper sleeps
	deaf    []func()         // ends listening to the database

	mu       sync.Mutex // guards what follows
	live     bool       // between the begin and the end of Run
	begun    bool       // leases of an earlier life were released
	runs     map[string]*run
	about    map[string]map[string]*run // by resource, by id
	ready    []*run
	parked   parkedHeap
	active   int             // workers
	finished sync.WaitGroup  // waits for workers
	ctx      context.Context // of Run
	idle     chan struct{}   // closed when the last worker ends; replaced when one begins
	hook     func(Point) error
}

// New makes an engine. Close it, or end its Run.
func New(o Options) *Engine {
	e := &Engine{
		db: o.DB, clock: o.Clock, log: o.Log, owner: o.Owner, workers: o.Workers,
		plans: map[string]*plan{}, early: make(chan struct{}, 1),
		runs: map[string]*run{}, about: map[string]map[string]*run{},
	}
	if e.clock == nil {
		e.clock = clock.Real{}
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	if e.owner == "" {
		e.owner = "nacre"
	}
	if e.workers == 0 {
		e.workers = 64
	}
	e.deaf = []func(){
		e.db.Listen(startedChannel, func(key string) { e.look(announced(key)) }),
		e.db.Listen(cancelledChannel, func(key string) { e.heed(announced(key)) }),
		e.db.Listen(wokenChannel, e.Wake),
	}
	return e
}

func (e *Engine) register(p *plan) {
	if e.plans[p.name] != nil {
		panic("work: plan " + p.name + " is registered twice")
	}
	e.plans[p.name] = p
}

// Plans describes the registered plans, sorted by name.
func (e *Engine) Plans() []Description {
	var list []Description
	for _, p := range e.plans {
		list = append(list, p.describe())
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

// Run runs plans until the context ends, then waits for its workers and gives
// back what it holds.
func (e *Engine) Run(ctx context.Context) error {
	err := e.begin(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.live, e.ctx = true, ctx
	for range e.ready {
		e.dispatch()
	}
	e.mu.Unlock()
	var keepers sync.WaitGroup
	keepers.Go(func() { e.keepTime(ctx) })
	keepers.Go(func() { e.every(ctx, lookAgain, e.find) })
	keepers.Go(func() { e.every(ctx, heartbeat, e.renew) })
	keepers.Go(func() { e.every(ctx, lookAround, e.giveBack) })
	<-ctx.Done()
	e.mu.Lock()
	e.live = false
	e.mu.Unlock()
	keepers.Wait()
	e.finished.Wait()
	for _, stop := range e.deaf {
		stop()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return e.release(last)
}

// begin releases, once, what an earlier life of this owner still holds.
func (e *Engine) begin(ctx context.Context) error {
	e.mu.Lock()
	begun := e.begun
	e.begun = true
	e.mu.Unlock()
	if begun {
		return nil
	}
	err := e.release(ctx)
	if err != nil {
		return err
	}
	return e.find(ctx)
}

func (e *Engine) release(ctx context.Context) error {
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		// Hints were lost meanwhile, so what waits looks again at once.
		_, err := tx.Exec(ctx, `UPDATE plans SET owner = '', lease = 0, wake = ? WHERE `+held, db.At(tx.Now()), e.owner)
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM plan_engines WHERE owner = ?`, e.owner)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("release plans of %s: %w", e.owner, err)
	}
	return nil
}

// Restart drops all the engine holds in memory and begins anew, as a process
// does that was killed. It is for tests; call it between turns.
func (e *Engine) Restart(ctx context.Context) error {
	e.mu.Lock()
	e.begun = false
	e.runs, e.about = map[string]*run{}, map[string]map[string]*run{}
	e.ready, e.parked = nil, nil
	e.mu.Unlock()
	return e.begin(ctx)
}

// every calls the function at once and then after each period.
func (e *Engine) every(ctx context.Context, period time.Duration, do func(context.Context) error) {
	for {
		err := do(ctx)
		if err != nil && ctx.Err() == nil {
			e.log.Error("work", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-e.clock.After(period):
		}
	}
}

// find looks in the database for plans that nobody told us of.
func (e *Engine) find(ctx context.Context) error {
	var rows []brief
	err := e.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		rows, err = due(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("find plans: %w", err)
	}
	for _, r := range rows {
		e.look(r.ID, r.Resource)
	}
	return nil
}

// renew says that we are alive, if we have any plan, and learns of cancellations made
// elsewhere.
func (e *Engine) renew(ctx context.Context) error {
	e.mu.Lock()
	none := len(e.runs) == 0
	e.mu.Unlock()
	if none {
		return nil
	}
	var cancelled []brief
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO plan_engines (owner, lease) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET lease = excluded.lease`,
			e.owner, db.At(e.clock.Now().Add(leaseTime)))
		if err != nil {
			return err
		}
		return tx.All(ctx, &cancelled, `SELECT id, resource FROM plans WHERE `+held+` AND cancelled = 1 AND phase = 'doing'`, e.owner)
	})
	if err != nil {
		return fmt.Errorf("say that this engine lives: %w", err)
	}
	for _, r := range cancelled {
		e.heed(r.ID, r.Resource)
	}
	return nil
}

// giveBack gives back the plans that are ours by the database and unknown to us: by a
// claim that was committed after we had begun anew, in a transaction of our former
// life, or one whose commit was not answered. They would be held for ever.
func (e *Engine) giveBack(ctx context.Context) error {
	var ours []string
	err := e.db.Read(ctx, func(tx *db.Tx) error { return tx.All(ctx, &ours, `SELECT id FROM plans WHERE `+held, e.owner) })
	if err != nil {
		return fmt.Errorf("look for stray plans: %w", err)
	}
	e.mu.Lock()
	strays := slices.DeleteFunc(ours, func(id string) bool { return e.runs[id] != nil })
	e.mu.Unlock()
	if len(strays) == 0 {
		return nil
	}
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE plans SET owner = '', lease = 0 WHERE `+held+` AND id IN (?)`, e.owner, db.In(strays))
		return err
	})
	if err != nil {
		return fmt.Errorf("give stray plans back: %w", err)
	}
	return nil // find takes them up, as any that are free
}

// Wake hints that steps about the resource that said NotYet should look again.
func (e *Engine) Wake(resource string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.about[resource] {
		e.nudge(r)
	}
}

// look takes up a plan that may be due.
func (e *Engine) look(id, resource string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.runs[id] != nil {
		return
	}
	r := &run{row: row{ID: id, Resource: resource}, place: inReady}
	e.runs[id] = r
	if e.about[resource] == nil {
		e.about[resource] = map[string]*run{}
	}
	e.about[resource][id] = r
	e.ready = append(e.ready, r)
	e.dispatch()
}

// heed tells a run that it was cancelled.
func (e *Engine) heed(id, resource string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil {
		return
	}
	r.cancelled = true
	if r.interrupt != nil {
		r.interrupt()
	}
	e.nudge(r)
}

// nudge makes a parked run ready. The caller holds mu.
func (e *Engine) nudge(r *run) {
	switch r.place {
	case inWorker:
		r.again = true
	case inParked:
		r.place = inReady
		e.ready = append(e.ready, r)
		e.dispatch()
	}
}

// dispatch starts a worker if there may be one more. It ends when nothing is
// ready. The caller holds mu.
func (e *Engine) dispatch() {
	if !e.live || e.active >= e.workers {
		return
	}
	e.active++
	if e.active == 1 {
		e.idle = make(chan struct{})
	}
	ctx := e.ctx
	e.finished.Go(func() {
		for {
			r := e.next(true)
			if r == nil {
				return
			}
			e.turn(ctx, r)
		}
	})
}

// next takes a ready run. A worker that gets none has ended.
func (e *Engine) next(worker bool) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.ready) > 0 && (!worker || e.live) {
		r := e.ready[0]
		e.ready[0] = nil // else what has run stays as long as the queue does
		e.ready = e.ready[1:]
		if e.runs[r.ID] != r || r.place != inReady {
			continue
		}
		r.place, r.again = inWorker, false
		return r
	}
	if worker {
		e.active--
		if e.active == 0 {
			close(e.idle)
		}
	}
	return nil
}

// park lays a run aside until the time, or until it is woken.
func (e *Engine) park(r *run, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.runs[r.ID] != r {
		return
	}
	if r.again {
		r.place = inReady
		e.ready = append(e.ready, r)
		e.dispatch()
		return
	}
	r.place, r.until = inParked, until
	heap.Push(&e.parked, parkedRun{until, r})
	if e.parked[0].run == r {
		select {
		case e.early <- struct{}{}:
		default:
		}
	}
}

// drop forgets a run that is finished or not ours.
func (e *Engine) drop(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.runs[r.ID] != r {
		return
	}
	delete(e.runs, r.ID)
	delete(e.about[r.Resource], r.ID)
	if len(e.about[r.Resource]) == 0 {
		delete(e.about, r.Resource)
	}
}

// keepTime makes parked runs ready when their time has come.
func (e *Engine) keepTime(ctx context.Context) {
	for {
		next := e.rouse()
		var alarm <-chan time.Time
		if !next.IsZero() {
			alarm = e.clock.After(next.Sub(e.clock.Now()))
		}
		select {
		case <-ctx.Done():
			return
		case <-e.early:
		case <-alarm:
		}
	}
}

// rouse makes the parked runs that are due ready and tells when the next one is.
func (e *Engine) rouse() (next time.Time) {
	now := e.clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.parked) > 0 {
		first := e.parked[0]
		current := first.run.place == inParked && first.run.until.Equal(first.until)
		if current && first.until.After(now) {
			return first.until
		}
		heap.Pop(&e.parked)
		if current && e.runs[first.run.ID] == first.run {
			e.nudge(first.run)
		}
	}
	return time.Time{}
}

// Turn runs everything that is due, and has every waiting step look once, until
// nothing moves. It tells whether anything did. Tests call it instead of Run;
// beside Run it also waits for the workers.
func (e *Engine) Turn(ctx context.Context) (moved bool, err error) {
	err = e.begin(ctx)
	if err != nil {
		return false, err
	}
	e.mu.Lock()
	for _, r := range e.runs {
		e.nudge(r)
	}
	e.mu.Unlock()
	for {
		err = errors.Join(ctx.Err(), e.find(ctx))
		if err != nil {
			return moved, err
		}
		e.rouse()
		r := e.next(false)
		for r != nil {
			stepped := e.turn(ctx, r)
			moved = moved || stepped
			r = e.next(false)
		}
		e.mu.Lock()
		idle, busy := e.idle, e.active > 0
		e.mu.Unlock()
		if busy {
			moved = true
			select {
			case <-idle:
				continue
			case <-ctx.Done():
				return moved, ctx.Err()
			}
		}
		e.mu.Lock()
		rest := len(e.ready)
		e.mu.Unlock()
		if rest == 0 {
			return moved, nil
		}
	}
}

// Prune deletes finished plans and their journals that ended before the age,
// some thousand at a time. Loops call it.
func (e *Engine) Prune(ctx context.Context, age time.Duration) error {
	before := db.At(e.clock.Now().Add(-age))
	for {
		var n int64
		err := e.db.Write(ctx, func(tx *db.Tx) error {
			var err error
			n, err = tx.Exec(ctx, `
				DELETE FROM plans WHERE id IN (
					SELECT id FROM plans WHERE phase IN ('done', 'undone') AND updated_at < ? LIMIT 1000)`, before)
			return err
		})
		if err != nil {
			return fmt.Errorf("prune plans: %w", err)
		}
		if n < 1000 {
			return nil
		}
	}
}

type parkedRun struct {
	until time.Time
	run   *run
}

// parkedHeap has the earliest first.
type parkedHeap []parkedRun

func (h parkedHeap) Len() int           { return len(h) }
func (h parkedHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h parkedHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *parkedHeap) Push(x any)        { *h = append(*h, x.(parkedRun)) }
func (h *parkedHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = parkedRun{}
	*h = old[:len(old)-1]
	return last
}
