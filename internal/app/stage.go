package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/node"
	"nacre/internal/scenario"
	virtsim "nacre/internal/virt/simulated"
)

// stage is a simulated host in a scenario: its drivers are as slow and as
// unreliable as that says, its way to the servers can be cut, and it loses its
// power.
type stage struct {
	kind     scenario.Host
	machines *virtsim.Host
	plugs    fabric.Host
	link     *scenario.Link
	way      func(ctx context.Context) (io.ReadWriteCloser, error) // to the servers, while the link is whole
	log      *slog.Logger
	changed  chan struct{} // a hint that now has changed

	mu   sync.Mutex // guards what follows
	dice *rand.Rand
	now  scenario.Condition
	off  context.CancelFunc // ends the life of its agent; nil while there is none
}

// newStage puts a host into the play. Its link ends with Close.
func (p *play) newStage(kind scenario.Host, machines *virtsim.Host, disks *blocksim.Host, plugs fabric.Host, way func(ctx context.Context) (io.ReadWriteCloser, error)) *stage {
	h := &stage{
		kind: kind, machines: machines, plugs: plugs, link: scenario.NewLink(), way: way, log: p.log, changed: make(chan struct{}, 1),
		dice: p.of.Dice(kind.Name),
	}
	machines.SetTrouble(func(op string) (time.Duration, error) { return h.trouble(machineOps[op]) })
	disks.SetTrouble(func(call string) (time.Duration, error) { return h.trouble(diskOps[call]) })
	p.enter(h)
	return h
}

var (
	machineOps = map[string]scenario.Op{
		virtsim.OpBoot: scenario.Boot, virtsim.OpEnsure: scenario.Change, virtsim.OpRemove: scenario.Remove, virtsim.OpDisk: scenario.Snapshot,
		virtsim.OpMove: scenario.Move, virtsim.OpSwap: scenario.Snapshot,
	}
	diskOps = map[string]scenario.Op{"Ensure": scenario.Volume, "Remove": scenario.Remove}
)

// trouble is what an operation of a driver takes, and how it fails.
func (h *stage) trouble(op scenario.Op) (takes time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	takes, fails := h.kind.Throw(h.dice, op, h.now)
	switch {
	case h.now.Full && (op == scenario.Boot || op == scenario.Volume):
		err = fmt.Errorf("write to the disk of %s: %w", h.kind.Name, syscall.ENOSPC)
	case fails && op == scenario.Remove:
		err = errors.New("the scenario has this removal fail") // it is tried again
	case fails:
		err = errs.Conflictf("The scenario has this %s fail.", op)
	}
	return takes, err
}

// set has the host be in a condition from now on.
func (h *stage) set(c scenario.Condition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c == h.now {
		return
	}
	h.now = c
	// Who is connected to a host that dies is not told.
	h.link.Set(c.Cut || c.Down)
	if c.Down && h.off != nil {
		h.off()
	}
	select {
	case h.changed <- struct{}{}:
	default:
	}
	h.log.Info("scenario", "host", h.kind.Name, "down", c.Down, "cut", c.Cut, "full", c.Full, "slow", c.Slow)
}

// powered begins a life of the host, which ends with its power; nil while it has
// none.
func (h *stage) powered(ctx context.Context) (context.Context, context.CancelFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now.Down {
		return nil, nil
	}
	life, off := context.WithCancel(ctx)
	h.off = off
	return life, off
}

// run runs an agent whenever the host has power, until the context ends. Each time
// the host has booted anew.
func (h *stage) run(ctx context.Context, o node.Options) {
	o.Dial = func(context.Context) (io.ReadWriteCloser, error) { return h.dial(ctx) }
	for ctx.Err() == nil {
		life, off := h.powered(ctx)
		if life == nil {
			select {
			case <-h.changed:
			case <-ctx.Done():
			}
			continue
		}
		o.BootID = clock.UUID()
		agent, err := node.New(o)
		if err == nil {
			err = agent.Run(life)
		}
		lost := life.Err() != nil
		off()
		if ctx.Err() == nil && lost {
			err = h.losePower(ctx)
		}
		report(h.log, "node "+h.kind.Name, err)
	}
}

// losePower ends the guests and unplugs them.
func (h *stage) losePower(ctx context.Context) error {
	err := h.machines.LosePower()
	ports, listErr := h.plugs.Plugged(ctx)
	err = errors.Join(err, listErr)
	for _, port := range ports {
		err = errors.Join(err, h.plugs.Unplug(ctx, port))
	}
	return err
}

// dial connects the host with the servers, through its link. Their end lives on
// when the host dies, until they notice.
func (h *stage) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	if h.link.Broken() {
		return nil, errors.New("no way leads to the servers")
	}
	far, err := h.way(ctx)
	if err != nil {
		return nil, err
	}
	ours, near := net.Pipe()
	h.link.Go(func() { h.link.Join(near, far) })
	return ours, nil
}
