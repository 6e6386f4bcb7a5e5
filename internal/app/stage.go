package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/clock"
	"nacre/internal/errs"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/node"
	"nacre/internal/scenario"
	virtsim "nacre/internal/virt/simulated"
)

// stage is a simulated host in a scenario: its drivers are as slow and as
// unreliable as that says, its way to the servers can be cut, and it loses its
// power.
type stage struct {
	cloud    *Cloud
	kind     scenario.Host
	machines *virtsim.Host
	plugs    *fabricsim.Host
	link     *scenario.Link
	changed  chan struct{} // a hint that now has changed

	mu   sync.Mutex // guards what follows
	dice *rand.Rand
	now  scenario.Condition
	off  context.CancelFunc // ends the life of its agent; nil while there is none
}

// newStage puts a host into the scenario.
func (cloud *Cloud) newStage(kind scenario.Host, machines *virtsim.Host, disks *blocksim.Host, plugs *fabricsim.Host) *stage {
	h := &stage{
		cloud: cloud, kind: kind, machines: machines, plugs: plugs, link: scenario.NewLink(), changed: make(chan struct{}, 1),
		dice: cloud.scenario.Dice(kind.Name),
	}
	machines.SetTrouble(func(op string) (time.Duration, error) { return h.trouble(machineOps[op]) })
	disks.SetTrouble(func(call string) (time.Duration, error) { return h.trouble(diskOps[call]) })
	cloud.closers = append(cloud.closers, h.link.Close)
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
	h.cloud.Config.Log.Info("scenario", "host", h.kind.Name, "down", c.Down, "cut", c.Cut, "full", c.Full, "slow", c.Slow)
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
		h.cloud.report("node "+h.kind.Name, err)
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

// dial connects the host with the cloud, through its link. The cloud's end lives on
// when the host dies, until the cloud notices.
func (h *stage) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	if h.link.Broken() {
		return nil, errors.New("no way leads to the servers")
	}
	ours, near := net.Pipe()
	far, theirs := net.Pipe()
	h.link.Go(func() { h.link.Join(near, far) })
	go func() {
		err := h.cloud.Hosts.Serve(ctx, h.kind.Name, theirs)
		h.cloud.Config.Log.Info("connection of simulated host ended", "host", h.kind.Name, "error", err)
	}()
	return ours, nil
}

// Befall has a host of the scenario be in a condition from now on, until the scenario
// says otherwise. It is for tests that choose the moment.
func (cloud *Cloud) Befall(host string, c scenario.Condition) {
	for _, h := range cloud.stages {
		if h.kind.Name == host {
			h.set(c)
		}
	}
}

// play has the hosts be as the scenario says, until the context ends or nothing
// changes any more.
func (cloud *Cloud) play(ctx context.Context) {
	for {
		wait := cloud.setScene()
		if wait == 0 {
			return
		}
		select {
		case <-cloud.Config.Clock.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// setScene has the hosts be as they are to be now, and says for how long; 0 is for
// ever.
func (cloud *Cloud) setScene() time.Duration {
	now := cloud.Config.Clock.Now().Sub(cloud.began)
	hosts, next := cloud.scenario.At(now)
	for _, h := range cloud.stages {
		h.set(hosts[h.kind.Name])
	}
	if next == 0 {
		return 0
	}
	return next - now
}
