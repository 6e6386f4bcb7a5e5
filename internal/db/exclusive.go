package db

import (
	"context"
	"fmt"
	"sync"
)

// turns lets one caller at a time have each name.
type turns struct {
	mu    sync.Mutex // guards taken
	taken map[string]chan struct{}
}

// take waits for the name and returns how to give it back.
func (t *turns) take(ctx context.Context, name string) (give func(), err error) {
	t.mu.Lock()
	if t.taken == nil {
		t.taken = map[string]chan struct{}{}
	}
	turn, found := t.taken[name]
	if !found {
		turn = make(chan struct{}, 1)
		t.taken[name] = turn
	}
	t.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Exclusive runs the function while no other caller runs one of the same name,
// in any process that has this database open. It waits for its turn until the
// context ends. It is no transaction: the function opens its own. An SQLite
// database is open in one process only.
func (d *DB) Exclusive(ctx context.Context, name string, do func(ctx context.Context) error) error {
	give, err := d.turns.take(ctx, name)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", name, err)
	}
	defer give()
	return do(ctx)
}
