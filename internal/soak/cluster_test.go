package soak

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Two servers on PostgreSQL and RabbitMQ, and two processes of simulated hosts,
// lose processes and links at random moments while users work.
func TestClusterUnderFaults(t *testing.T) {
	seed := Seeded(t)
	l := newLab(t)
	day := NewDay(t, seed, l.client)
	day.Work(3, 4, 45*time.Millisecond)
	f := l.wreck(seed, 200)
	day.End()
	l.repair()
	t.Log(f)
	day.Enough(10, 10)
	admin := l.admin()
	auditHosts(t, l.dir, Audit(t, admin, day, NoExcuse))
	day.Tidy()
	Empty(t, admin, l.client("demo"), l.left)
}

// wreck breaks things until so many processes were killed, and as long as the run
// is meant to last. Everything runs when it returns.
func (l *lab) wreck(seed uint64, kills int64) *Faults {
	l.t.Helper()
	f := NewFaults(l.t, kills)
	var wreckers sync.WaitGroup
	for i, s := range l.servers {
		wreckers.Go(func() {
			f.Often(Dice(seed, uint64(100+i)), 600*time.Millisecond, func(r *rand.Rand) {
				f.Hurt(r, s.Process)
				s.Ready("https://" + s.listen)
			})
		})
	}
	for i, n := range l.nodes {
		wreckers.Go(func() {
			f.Often(Dice(seed, uint64(200+i)), 500*time.Millisecond, func(r *rand.Rand) { f.Hurt(r, n) })
		})
	}
	wreckers.Go(func() {
		f.Often(Dice(seed, 300), 12*time.Second, func(r *rand.Rand) {
			f.Hurt(r, l.postgres.Process)
			l.postgres.Revive()
		})
	})
	wreckers.Go(func() {
		f.Often(Dice(seed, 301), 12*time.Second, func(r *rand.Rand) { f.HurtBroker(l.t, r, l.broker) })
	})
	wreckers.Go(func() {
		f.Often(Dice(seed, 302), 3*time.Second, func(r *rand.Rand) {
			way := l.links[r.IntN(len(l.links))]
			way.Cut()
			Pause(r, 2*time.Second)
			way.Mend()
			f.Cuts.Add(1)
		})
	})
	wreckers.Wait()
	return f
}

// repair waits until the cluster is whole again.
func (l *lab) repair() {
	l.t.Helper()
	for _, s := range l.servers {
		s.Ready("https://" + s.listen)
	}
	l.awaitHosts()
}
