package identity

import (
	"context"
	"hash/maphash"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"nacre/internal/bus"
	"nacre/internal/errs"
)

// Guessing passwords, passcodes and secrets is slowed down, per server: for one account from one source,
// for one source, and for one account from everywhere. Whoever has signed in to
// an account from a source before is not touched by what others do there or
// elsewhere, so that nobody is locked out by somebody else's guessing. Who is
// slowed down hears so before anything is looked up: the answer tells nothing of
// the account, and costs no hashing.
//
// Failures are counted in tables of a fixed size, however many names and sources
// are tried: each key has one cell in each of four rows, which it shares with
// others, and counts as its lowest cell does.

// budget is how many failures there may be at once, and how many more a second.
type budget struct{ burst, perSecond float64 }

var (
	pairBudget    = budget{30, 0.2}
	sourceBudget  = budget{600, 10}
	accountBudget = budget{300, 1}
)

const (
	attemptRows  = 4
	attemptCells = 8192
	// knownPairs is how many accounts with their sources are remembered as good,
	// at least.
	knownPairs = 8192
)

// cell leaks: its level is that of the time it was touched last.
type cell struct {
	level float32
	at    int64 // microseconds
}

type attempts struct {
	seed maphash.Seed

	mu         sync.Mutex // guards all below
	rows       [attemptRows][attemptCells]cell
	good, past map[uint64]bool // pairs that have signed in; past is dropped when good is full
}

func newAttempts() *attempts { return &attempts{seed: maphash.MakeSeed(), good: map[uint64]bool{}} }

// cells finds the cells of a key, leaked until now.
func (a *attempts) cells(key string, b budget, now int64) [attemptRows]*cell {
	var out [attemptRows]*cell
	for i := range out {
		out[i] = &a.rows[i][maphash.String(a.seed, strconv.Itoa(i)+key)%attemptCells]
		out[i].leak(b, now)
	}
	return out
}

// leak lowers the level to what it is now.
func (c *cell) leak(b budget, now int64) {
	passed := max(0, now-c.at)
	c.level = float32(max(0, float64(c.level)-float64(passed)/1e6*b.perSecond))
	c.at = max(now, c.at)
}

func lowest(cells [attemptRows]*cell) float64 {
	low := math.Inf(1)
	for _, c := range cells {
		low = min(low, float64(c.level))
	}
	return low
}

// attempt is one that was counted.
type attempt struct {
	table *attempts
	pair  uint64
	keys  map[string]budget
}

// begin counts an attempt as a failure until it is known to be none. When there
// were too many it counts nothing, and says how long to wait.
func (a *attempts) begin(source, account string, now time.Time) (attempt, time.Duration) {
	pair := source + " " + account
	t := attempt{table: a, pair: maphash.String(a.seed, pair), keys: map[string]budget{"pair " + pair: pairBudget}}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.good[t.pair] && !a.past[t.pair] {
		t.keys["source "+source], t.keys["account "+account] = sourceBudget, accountBudget
	}
	for key, b := range t.keys {
		over := lowest(a.cells(key, b, now.UnixMicro())) + 1 - b.burst
		if over > 0 {
			return t, time.Duration(math.Ceil(over/b.perSecond)) * time.Second
		}
	}
	t.add(1, now)
	return t, 0
}

// add changes what the attempt counts. The caller has the lock.
func (t attempt) add(by float32, now time.Time) {
	for key, b := range t.keys {
		for _, c := range t.table.cells(key, b, now.UnixMicro()) {
			c.level = max(0, c.level+by)
		}
	}
}

// right says that the attempt was none to guess.
func (t attempt) right(now time.Time) {
	if t.table == nil {
		return
	}
	a := t.table
	a.mu.Lock()
	defer a.mu.Unlock()
	t.add(-1, now)
	if len(a.good) >= knownPairs {
		a.good, a.past = map[uint64]bool{}, a.good
	}
	a.good[t.pair] = true
}

// attempt counts an attempt to sign in, or refuses it. What the cloud does by
// itself has no source, and is not counted.
func (s *Service) attempt(ctx context.Context, account string) (attempt, error) {
	source := bus.InitiatorOf(ctx).Address
	if source == "" {
		return attempt{}, nil
	}
	t, wait := s.attempts.begin(source, account, s.clock.Now())
	if wait > 0 {
		return t, errs.New(errs.TooMany, "Too many attempts to sign in have failed. Try again in %d seconds.", int(wait.Seconds())).
			With("Retry-After", strconv.Itoa(int(wait.Seconds())))
	}
	return t, nil
}

// key names what a reference means, as far as one can tell without looking.
func (r Ref) key() string {
	if r.ID != "" {
		return "id " + r.ID
	}
	domain := ""
	if r.Domain != nil {
		domain = r.Domain.key() // what beside an id is not looked at does not count
	}
	return "name " + strings.ToLower(r.Name) + " in " + domain
}
