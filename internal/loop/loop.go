// Package loop runs what must stay true.
//
// A loop looks at the world, compares it with what should be, and closes the
// gap. It has no input: it does the same after its period and when nudged, so
// a lost nudge costs a period and a needless one nothing. After an error it
// simply runs again, soon at first.
//
// Of several servers one runs a loop (see Leases), and another takes it over
// when that one dies. A loop that remembers something between its turns begins
// anew when the turn is Fresh. A loop that looks after the process itself runs
// Everywhere.
//
// Each turn that did something or failed leaves one wide event. A loop tells
// what it did by Did.
package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sort"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/db"
)

// Loop is something kept true.
type Loop struct {
	Name  string                          // "compute.orphans"
	Every time.Duration                   // at the latest
	Once  func(ctx context.Context) error // one look, and whatever is to be done about it

	Everywhere bool // on every server, since it is about what the process has in memory
}

// Leases say which of the loops this process runs.
type Leases interface {
	// Held tells in a transaction whether the loop is still this process's as it
	// was when Lead gave it the context.
	Held(ctx context.Context, tx *db.Tx) (bool, error)

	// Lead runs the function if the loop of the name is this process's, and tells
	// whether it was. Fresh says that another one may have run it meanwhile. The
	// context ends when another one may run it from now on.
	Lead(ctx context.Context, name string, do func(ctx context.Context, fresh bool) error) (led bool, err error)
}

// Options are what a runner is made of.
type Options struct {
	Clock clock.Clock  // the machine's, if nil
	Log   *slog.Logger // slog.Default, if nil

	Leases Leases // nil: this is the only process
}

// Runner runs loops. Make it, add loops, then Run it.
type Runner struct {
	clock  clock.Clock
	log    *slog.Logger
	leases Leases
	loops  map[string]*runner // complete before the first run
}

type runner struct {
	Loop
	nudged chan struct{}
	turn   sync.Mutex // held while Once runs
	begun  bool       // Once has succeeded in this process; guarded by turn

	mu     sync.Mutex // guards status
	status Status
}

// Status is how a loop is doing.
type Status struct {
	Name     string        `json:"name"`
	Every    time.Duration `json:"every"`
	Turns    int           `json:"turns"`
	Acted    int           `json:"acted"`    // turns that did something
	Failures int           `json:"failures"` // turns that failed
	InARow   int           `json:"failures_in_a_row"`
	LastAt   time.Time     `json:"last_at"`
	LastTook time.Duration `json:"last_took"`
	Error    string        `json:"error,omitempty"` // of the last turn
}

// New makes a runner.
func New(o Options) *Runner {
	r := &Runner{clock: o.Clock, log: o.Log, leases: o.Leases, loops: map[string]*runner{}}
	if r.clock == nil {
		r.clock = clock.Real{}
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	return r
}

// Add adds loops, before Run. It panics on a malformed or doubled one, since
// that is a mistake in the program.
func (r *Runner) Add(loops ...Loop) {
	for _, l := range loops {
		if l.Name == "" || l.Every <= 0 || l.Once == nil || r.loops[l.Name] != nil {
			panic(fmt.Sprintf("loop: %q is malformed or added twice", l.Name))
		}
		r.loops[l.Name] = &runner{
			Loop: l, nudged: make(chan struct{}, 1), status: Status{Name: l.Name, Every: l.Every},
		}
	}
}

// Run runs all loops until the context ends, and returns when they have.
func (r *Runner) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, l := range r.loops {
		running.Go(func() { r.keep(ctx, l) })
	}
	running.Wait()
}

// Nudge lets a loop look at once. It never blocks; nudges that come while one
// is waiting are one.
func (r *Runner) Nudge(name string) {
	l := r.loops[name]
	if l == nil {
		panic("loop: no loop " + name)
	}
	select {
	case l.nudged <- struct{}{}:
	default:
	}
}

// Leased are the names of the loops that one process at a time runs.
func (r *Runner) Leased() []string {
	return slices.DeleteFunc(r.names(), func(name string) bool { return r.loops[name].Everywhere })
}

// Turn runs every loop once, in the order of their names, and tells whether any
// did something. It returns the first error. Tests call it.
func (r *Runner) Turn(ctx context.Context) (moved bool, err error) {
	for _, name := range r.names() {
		acted, failed := r.once(ctx, r.loops[name])
		moved = moved || acted
		if err == nil && failed != nil {
			err = fmt.Errorf("loop %s: %w", name, failed)
		}
	}
	return moved, err
}

// Status tells how the loops are doing, sorted by name.
func (r *Runner) Status() []Status {
	var list []Status
	for _, name := range r.names() {
		l := r.loops[name]
		l.mu.Lock()
		list = append(list, l.status)
		l.mu.Unlock()
	}
	return list
}

func (r *Runner) names() []string {
	var names []string
	for name := range r.loops {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (r *Runner) keep(ctx context.Context, l *runner) {
	for ctx.Err() == nil {
		_, err := r.once(ctx, l)
		pause := l.Every - time.Duration(rand.Int64N(int64(l.Every)/10+1)) // so that loops don't march in step
		if err != nil {
			pause = min(pause, l.backoff())
		}
		select {
		case <-ctx.Done():
		case <-l.nudged:
		case <-r.clock.After(pause):
		}
	}
}

// backoff is the pause after failures: 100 ms, doubled by each in a row.
func (l *runner) backoff() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 100 * time.Millisecond << min(max(l.status.InARow-1, 0), 12)
}

// errStopped ends a turn whose context has ended.
var errStopped = errors.New("stopped")

type freshKey struct{}

// Fresh tells whether another process may have run the loop since this one did,
// or none at all: what the loop remembers is not to be relied on.
func Fresh(ctx context.Context) bool {
	fresh, _ := ctx.Value(freshKey{}).(bool)
	return fresh
}

type leasesKey struct{}

// Held tells in a transaction whether the turn of this context is still its
// process's: one that stood still for long may have been followed by another. A
// loop asks that acts on something which does not know generations.
func Held(ctx context.Context, tx *db.Tx) (bool, error) {
	leases, several := ctx.Value(leasesKey{}).(Leases)
	if !several {
		return true, nil
	}
	return leases.Held(ctx, tx)
}

type didKey struct{}

type did struct {
	mu     sync.Mutex // guards fields
	fields []any
}

// Did records what a turn did, as slog's keys and values. Turns that did
// nothing leave no event.
func Did(ctx context.Context, fields ...any) {
	d, ok := ctx.Value(didKey{}).(*did)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fields = append(d.fields, fields...)
}

func (r *Runner) once(ctx context.Context, l *runner) (acted bool, err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	d := &did{}
	started := r.clock.Now()
	led := true
	do := func(ctx context.Context, fresh bool) error {
		ctx = context.WithValue(ctx, freshKey{}, fresh || !l.begun)
		err := guarded(context.WithValue(db.Patient(ctx), didKey{}, d), l.Once)
		if err != nil && ctx.Err() != nil {
			return errStopped // which is not the loop's fault
		}
		l.begun = l.begun || err == nil
		return err
	}
	if r.leases == nil || l.Everywhere {
		err = do(ctx, false)
	} else {
		led, err = r.leases.Lead(context.WithValue(ctx, leasesKey{}, r.leases), l.Name, do)
	}
	if !led || errors.Is(err, errStopped) {
		return false, err
	}
	took := r.clock.Now().Sub(started)
	d.mu.Lock()
	fields := append([]any{"loop", l.Name, "duration", took}, d.fields...)
	acted = len(d.fields) > 0
	d.mu.Unlock()
	l.note(started, took, acted, err)
	if err != nil {
		r.log.Error("loop", append(fields, "error", err)...)
	} else if acted {
		r.log.Info("loop", fields...)
	}
	return acted, err
}

func (l *runner) note(started time.Time, took time.Duration, acted bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.status
	s.Turns++
	s.LastAt, s.LastTook = started, took
	s.Error = ""
	if acted {
		s.Acted++
	}
	if err == nil {
		s.InARow = 0
		return
	}
	s.Failures++
	s.InARow++
	s.Error = err.Error()
}

func guarded(ctx context.Context, once func(context.Context) error) (err error) {
	defer func() {
		caught := recover()
		if caught != nil {
			err = fmt.Errorf("panic: %v\n%s", caught, debug.Stack())
		}
	}()
	return once(ctx)
}
