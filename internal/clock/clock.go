// Package clock is where time and ids come from.
//
// Both are replaceable, so that a test owns them: it advances a Manual clock
// instead of sleeping, and reads ids it knows beforehand. Services, plans
// and loops read no other clock and make no random ids; drivers, which wait for
// real programs, do.
package clock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// Clock tells the time and wakes sleepers.
type Clock interface {
	// Now is the current time in UTC, cut to microseconds, since that is what
	// the database keeps.
	Now() time.Time
	// After is a channel that receives once, when d has passed.
	After(d time.Duration) <-chan time.Time
}

// Wait waits until d has passed, if that is any time, or the context ends.
func Wait(ctx context.Context, c Clock, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-c.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Real is the machine's clock.
type Real struct{}

// Now implements Clock.
func (Real) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// After implements Clock.
func (Real) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Manual is a clock that moves only when a test says so.
type Manual struct {
	mu      sync.Mutex // guards now and waiters
	now     time.Time
	waiters []waiter
}

type waiter struct {
	at time.Time
	ch chan time.Time
}

// NewManual makes a clock that stands at the given time.
func NewManual(start time.Time) *Manual { return &Manual{now: start.UTC()} }

// Now implements Clock.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// After implements Clock.
func (m *Manual) After(d time.Duration) <-chan time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	ch := make(chan time.Time, 1)
	at := m.now.Add(d)
	if d <= 0 {
		ch <- m.now
		return ch
	}
	m.waiters = append(m.waiters, waiter{at, ch})
	return ch
}

// Next is the earliest time that somebody waits for, the zero time for none.
func (m *Manual) Next() (at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.waiters {
		if at.IsZero() || w.at.Before(at) {
			at = w.at
		}
	}
	return at
}

// Advance moves the clock on and wakes whoever waited for less.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	rest := m.waiters[:0]
	for _, w := range m.waiters {
		if w.at.After(m.now) {
			rest = append(rest, w)
			continue
		}
		w.ch <- m.now
	}
	m.waiters = rest
}

// UUID makes a version 4 UUID with dashes. Its first byte counts quarters of a second,
// the rest is random: what is made together stands together in the indexes of a
// database, so that a transaction changes few of their pages.
func UUID() string {
	b := random()
	b[0] = byte(time.Now().UnixMilli() >> 8)
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Hex makes a random UUID as 32 hex digits, the form of identity's ids.
func Hex() string {
	b := random()
	return hex.EncodeToString(b[:])
}

func random() (b [16]byte) {
	_, err := rand.Read(b[:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return b
}
