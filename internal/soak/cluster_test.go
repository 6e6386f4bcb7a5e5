package soak

import (
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/await"
)

// Two servers on PostgreSQL and RabbitMQ, and two processes of simulated hosts,
// lose processes and links at random moments while users work.
func TestClusterUnderFaults(t *testing.T) {
	seed := Seeded(t)
	l := newLab(t)
	day := NewDay(t, seed, l.client)
	day.Work(3, 4, 45*time.Millisecond)
	f := NewFaults(t, 200, func() bool { return day.Enough(10, 10) })
	l.wreck(seed, f)
	day.End()
	l.repair()
	t.Log(f)
	day.MustEnough(10, 10)
	admin := l.admin()
	auditHosts(t, l.dir, Audit(t, admin, day, NoExcuse))
	day.Tidy()
	Empty(t, admin, l.client("demo"), l.left)
	l.noOrphanBytes()
}

// noOrphanBytes waits until each object's file is one that the sweep knows: all
// objects are gone.
func (l *lab) noOrphanBytes() {
	l.t.Helper()
	known, err := sql.Open("pgx", "postgres://postgres@/nacre?host="+l.postgres.Folder)
	if err != nil {
		l.t.Fatal(err)
	}
	defer known.Close()
	var orphans []string
	defer func() {
		if len(orphans) > 0 {
			l.t.Logf("files that nobody knows: %q", orphans)
		}
	}()
	await.Until(l.t, "no file of an object to be an orphan", time.Minute, func() bool {
		orphans = nil
		files, err := filepath.Glob(filepath.Join(l.dir, "blobs", "*", "objects+*"))
		if err != nil {
			l.t.Fatal(err)
		}
		for _, path := range files {
			var count int
			err = known.QueryRow("SELECT COUNT(*) FROM object_blobs WHERE blob = $1", strings.Replace(filepath.Base(path), "+", "/", 1)).Scan(&count)
			if err != nil {
				l.t.Fatal(err)
			}
			if count == 0 {
				orphans = append(orphans, path)
			}
		}
		return len(orphans) == 0
	})
}

// wreck breaks things as long as that is wanted. Everything runs when it returns.
func (l *lab) wreck(seed uint64, f *Faults) {
	l.t.Helper()
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
}

// repair waits until the cluster is whole again.
func (l *lab) repair() {
	l.t.Helper()
	for _, s := range l.servers {
		s.Ready("https://" + s.listen)
	}
	l.awaitHosts()
}
