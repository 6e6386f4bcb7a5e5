package db

import (
	"context"
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
