package db_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"nacre/internal/db"
)

func TestExclusive(t *testing.T) {
	t.Parallel()
	d := open(t)
	inside, most := 0, 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := d.Exclusive(t.Context(), "fill", func(context.Context) error {
				inside++ // the race detector watches, too
				most = max(most, inside)
				inside--
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d were inside at once, want 1", most)
	}
	err := d.Exclusive(t.Context(), "fill", func(ctx context.Context) error {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		err := d.Exclusive(gone, "fill", func(context.Context) error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a second turn: got %v, want that the context ended", err)
		}
		return d.Exclusive(ctx, "other", func(context.Context) error { return nil })
	})
	if err != nil {
		t.Error(err)
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	d := open(t)
	var heard, forwarded []string
	stop := d.Listen("plans", func(key string) { heard = append(heard, key) })
	defer stop()
	announce := func(key string) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			tx.Notify("plans", key)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	d.Forward(func(channel, key string) { forwarded = append(forwarded, channel+" "+key) })
	announce("a")
	d.Hear("plans", "b") // from elsewhere: not forwarded again
	d.Forward(nil)
	announce("c")
	if got := len(heard); got != 3 || heard[0] != "a" || heard[1] != "b" || heard[2] != "c" {
		t.Errorf("heard %q, want a, b, c", heard)
	}
	if len(forwarded) != 1 || forwarded[0] != "plans a" {
		t.Errorf("forwarded %q, want plans a", forwarded)
	}
}
