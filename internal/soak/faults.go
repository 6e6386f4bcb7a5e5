package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/bus/rabbit/rabbittest"
)

// Faults breaks things and counts them.
type Faults struct {
	Kills, Freezes, Cuts, Fills atomic.Int64

	until, latest time.Time
	wanted        int64
	enough        func() bool
}

// overtime is how much longer things break for the users to get enough done.
const overtime = 3 * time.Minute

// NewFaults breaks things until so many processes were killed and the users got
// enough done, and as long as NACRE_SOAK_MINUTES says.
func NewFaults(t *testing.T, kills int64, enough func() bool) *Faults {
	t.Helper()
	f := &Faults{wanted: kills, enough: enough, until: time.Now()}
	text := os.Getenv("NACRE_SOAK_MINUTES")
	if text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		f.until = f.until.Add(time.Duration(n) * time.Minute)
	}
	f.latest = f.until.Add(overtime)
	return f
}

// String implements fmt.Stringer.
func (f *Faults) String() string {
	return fmt.Sprintf("%d kills, %d freezes, %d cut links, %d full disks", f.Kills.Load(), f.Freezes.Load(), f.Cuts.Load(), f.Fills.Load())
}

// More tells whether to break more things.
func (f *Faults) More() bool { return f.killing() || !f.enough() && time.Now().Before(f.latest) }

func (f *Faults) killing() bool { return f.Kills.Load() < f.wanted || time.Now().Before(f.until) }

// Often does harm again and again, with a pause of up to max before each; a longer
// one when only the users are behind, whose machine is slow.
func (f *Faults) Often(r *rand.Rand, max time.Duration, harm func(r *rand.Rand)) {
	for f.More() {
		if !f.killing() {
			max = min(5*max, 12*time.Second)
		}
		Pause(r, max)
		harm(r)
	}
}

// Pause waits for up to max.
func Pause(r *rand.Rand, max time.Duration) { <-time.After(time.Duration(r.Int64N(int64(max)))) }

// Hurt kills a process and starts it again, or freezes it for a while.
func (f *Faults) Hurt(r *rand.Rand, p *Process) {
	if r.IntN(5) == 0 {
		p.Signal(unix.SIGSTOP)
		Pause(r, 2*time.Second)
		p.Signal(unix.SIGCONT)
		f.Freezes.Add(1)
		return
	}
	p.Kill()
	p.Start()
	f.Kills.Add(1)
}

// HurtBroker mostly freezes it: its start takes long.
func (f *Faults) HurtBroker(t *testing.T, r *rand.Rand, b *rabbittest.Broker) {
	if r.IntN(4) > 0 {
		b.Freeze()
		Pause(r, 4*time.Second)
		b.Thaw()
		f.Freezes.Add(1)
		return
	}
	b.Kill()
	err := b.Run()
	if err != nil {
		t.Error(err)
	}
	f.Kills.Add(1)
}
