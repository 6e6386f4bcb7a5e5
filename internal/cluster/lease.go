package cluster

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
)

// lease is this server's right to run a loop. Its fields are guarded by the
// cluster's mutex.
type lease struct {
	term  int64
	until time.Time
	fresh bool            // another server may have run the loop since this one did
	held  context.Context // ends when the right is lost; nil: another server has it
	lose  context.CancelFunc
}

// Lease has this server take part in who runs these loops. gained is told the
// names of those that become its own.
func (c *Cluster) Lease(ctx context.Context, names []string, gained func(name string)) error {
	err := c.DB.Write(ctx, func(tx *db.Tx) error {
		for _, name := range names {
			_, err := tx.Exec(ctx, `
				INSERT INTO loop_leases (name, holder, term, lease) VALUES (?, '', 0, 0) ON CONFLICT (name) DO NOTHING`, name)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note the loops: %w", err)
	}
	c.mu.Lock()
	for _, name := range names {
		c.leases[name] = &lease{}
	}
	c.gained = gained
	c.mu.Unlock()
	return c.keepLeases(ctx)
}

// Lead runs the function when the loop of the name is this server's, and tells
// whether it was. The context ends when another server may have taken it over.
func (c *Cluster) Lead(ctx context.Context, name string, do func(ctx context.Context, fresh bool) error) (led bool, err error) {
	c.mu.Lock()
	l := c.leases[name]
	if l == nil || l.held == nil || !c.Clock.Now().Before(l.until) {
		c.mu.Unlock()
		return false, nil
	}
	held, term, fresh := l.held, l.term, l.fresh
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithValue(ctx, turnKey{}, turn{name, term}))
	defer cancel()
	stop := context.AfterFunc(held, cancel)
	defer stop()
	err = do(ctx, fresh)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && l.term == term {
		l.fresh = false
	}
	return true, err
}

type turnKey struct{}

// turn is the right by which Lead runs a function.
type turn struct {
	name string
	term int64
}

// Held tells in a transaction whether the right of this context still holds.
func (c *Cluster) Held(ctx context.Context, tx *db.Tx) (bool, error) {
	t, ok := ctx.Value(turnKey{}).(turn)
	if !ok {
		return false, fmt.Errorf("this context is not of a loop's turn")
	}
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM loop_leases WHERE name = ? AND holder = ? AND term = ?", t.name, c.ID, t.term)
	if err != nil {
		return false, fmt.Errorf("look at the lease of loop %s: %w", t.name, err)
	}
	return n == 1, nil
}

// keepLeases prolongs what is this server's and takes over what nobody has.
func (c *Cluster) keepLeases(ctx context.Context) error {
	c.mu.Lock()
	names := make([]string, 0, len(c.leases))
	for name := range c.leases {
		names = append(names, name)
	}
	c.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	now := c.Clock.Now()
	until := now.Add(silent)
	var mine []struct {
		Name string
		Term int64
	}
	err := c.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE loop_leases SET lease = ?, term = CASE WHEN holder = ? THEN term ELSE term + 1 END, holder = ?
			WHERE name IN (?) AND (holder = ? OR lease < ?)`, db.At(until), c.ID, c.ID, db.In(names), c.ID, db.At(now))
		if err != nil {
			return err
		}
		mine = nil
		return tx.All(ctx, &mine, "SELECT name, term FROM loop_leases WHERE holder = ?", c.ID)
	})
	if err != nil {
		c.loseExpired()
		return err
	}
	terms := map[string]int64{}
	for _, m := range mine {
		terms[m.Name] = m.Term
	}
	var gained []string
	c.mu.Lock()
	for name, l := range c.leases {
		term, held := terms[name]
		switch {
		case !held:
			l.end()
			continue
		case l.held == nil || l.term != term:
			l.end()
			l.term, l.fresh = term, true
			l.held, l.lose = context.WithCancel(context.Background())
			gained = append(gained, name)
		}
		l.until = until
	}
	c.mu.Unlock()
	for _, name := range gained {
		c.gained(name)
	}
	return nil
}

// end is the loss of the right. The cluster's mutex is held.
func (l *lease) end() {
	if l.held != nil {
		l.lose()
	}
	l.held, l.lose = nil, nil
}

// loseExpired stops the loops whose lease could not be prolonged in time.
func (c *Cluster) loseExpired() {
	now := c.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.leases {
		if !now.Before(l.until) {
			l.end()
		}
	}
}

func (c *Cluster) loseAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.leases {
		l.end()
	}
}
