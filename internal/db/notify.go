package db

import (
	"sync"
	"time"

	"nacre/internal/clock"
)

// hub passes announcements of committed transactions on to listeners in this
// process, and to whoever carries them to other processes.
type hub struct {
	mu        sync.RWMutex // guards all below
	listeners map[string]map[int]func(key string)
	next      int
	forward   func(channel, key string)
	wanted    map[string]func() bool
}

// Listen calls the function with each key that a committed transaction of
// this process announced on the channel, in the goroutine that wrote. It must
// be quick. Stop ends the listening.
func (d *DB) Listen(channel string, hear func(key string)) (stop func()) {
	h := &d.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners == nil {
		h.listeners = map[string]map[int]func(string){}
	}
	if h.listeners[channel] == nil {
		h.listeners[channel] = map[int]func(string){}
	}
	n := h.next
	h.next++
	h.listeners[channel][n] = hear
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners[channel], n)
	}
}

// Want has the function say whether anybody, in whatever process, wants what goes
// by the channel.
func (d *DB) Want(channel string, wanted func() bool) {
	h := &d.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wanted == nil {
		h.wanted = map[string]func() bool{}
	}
	h.wanted[channel] = wanted
}

// Wanted tells whether anybody wants what goes by the channel. Where nothing is
// known of that, somebody might.
func (tx *Tx) Wanted(channel string) bool {
	h := &tx.home.hub
	h.mu.RLock()
	wanted := h.wanted[channel]
	h.mu.RUnlock()
	return wanted == nil || wanted()
}

// Notify announces the key on the channel once the transaction is on disk. It
// is a hint: whoever misses it finds the change in the database.
func (tx *Tx) Notify(channel, key string) {
	tx.After(func() {
		tx.home.Hear(channel, key)
		tx.home.hub.pass(channel, key)
	})
}

// pass hands an announcement to whoever carries it to other processes.
func (h *hub) pass(channel, key string) {
	h.mu.RLock()
	forward := h.forward
	h.mu.RUnlock()
	if forward != nil {
		forward(channel, key)
	}
}

// NotifyHere is Notify for the listeners of this process alone: about what others
// need not all rush to.
func (tx *Tx) NotifyHere(channel, key string) {
	tx.After(func() { tx.home.Hear(channel, key) })
}

// NotifyElsewhere is Notify for other processes alone: this one has been told in
// full.
func (tx *Tx) NotifyElsewhere(channel, key string) {
	tx.After(func() { tx.home.hub.pass(channel, key) })
}

// Forward has the function called with all that committed transactions of this
// process announce, after the listeners here, in the goroutine that wrote, so
// that it can tell other processes. It must be quick. There is one; nil ends it.
func (d *DB) Forward(forward func(channel, key string)) {
	h := &d.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forward = forward
}

// Hear tells the listeners of this process what another process announced.
func (d *DB) Hear(channel, key string) {
	h := &d.hub
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, hear := range h.listeners[channel] {
		hear(key)
	}
}

// UseClock sets the clock behind Tx.Now, before the first transaction.
func (d *DB) UseClock(c clock.Clock) { d.clock = c }

// Now is the time that rows of this transaction are stamped with.
func (tx *Tx) Now() time.Time { return tx.home.clock.Now() }
