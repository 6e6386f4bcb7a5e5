package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/scenario"
)

// play is a scenario under way, with the hosts of this process.
type play struct {
	of    *scenario.Scenario
	began time.Time // by the clock
	clock clock.Clock
	log   *slog.Logger

	mu     sync.Mutex // guards stages
	stages []*stage
}

// enter has a host be from now on as the scenario says.
func (p *play) enter(h *stage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stages = append(p.stages, h)
	hosts, _ := p.of.At(p.clock.Now().Sub(p.began))
	h.set(hosts[h.kind.Name])
}

// run has the hosts be as the scenario says, until the context ends or nothing
// changes any more.
func (p *play) run(ctx context.Context) {
	for {
		wait := p.setScene()
		if wait == 0 {
			return
		}
		select {
		case <-p.clock.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// setScene has the hosts be as they are to be now, and says for how long; 0 is for
// ever.
func (p *play) setScene() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now().Sub(p.began)
	hosts, next := p.of.At(now)
	for _, h := range p.stages {
		h.set(hosts[h.kind.Name])
	}
	if next == 0 {
		return 0
	}
	return next - now
}

// Befall has a host of the scenario be in a condition from now on, until the scenario
// says otherwise. It is for tests that choose the moment.
func (cloud *Cloud) Befall(host string, c scenario.Condition) {
	for _, h := range cloud.play.stages {
		if h.kind.Name == host {
			h.set(c)
		}
	}
}
