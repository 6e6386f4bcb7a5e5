package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/app"
	"nacre/internal/fabric/fabrictest"
)

// Part is what a test binary is when it is not the tests: one process of a
// cloud, which they kill.
type Part struct {
	Version string          `json:",omitempty"` // of the program, "" for this one's
	Cloud   *app.Config     `json:",omitempty"` // nacre dev, or nacre server
	Node    *app.NodeConfig `json:",omitempty"`
	Fabric  string          `json:",omitempty"` // where the simulated network is served
	Down    string          `json:",omitempty"` // ends all that a real node of this folder has started
	Host    *Room           `json:",omitempty"` // keeps the namespaces of a host until its input ends
}

const partVariable = "NACRE_SOAK_PART"

// Main is the part that the environment names, if it names one: then it does
// not return. TestMain calls it first.
func Main() {
	text := os.Getenv(partVariable)
	if text == "" {
		return
	}
	var p Part
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ended:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (p Part) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if p.Version != "" {
		app.Version = p.Version
	}
	switch {
	case p.Cloud != nil:
		return app.Run(ctx, *p.Cloud)
	case p.Node != nil:
		return app.RunNode(ctx, *p.Node)
	case p.Host != nil:
		return p.Host.keep()
	case p.Down != "":
		return app.Down(ctx, app.Config{Real: true, DataDir: p.Down}, app.DownOptions{All: true, Yes: true, Out: io.Discard})
	}
	return app.RunSimFabric(ctx, p.Fabric)
}

// Room is what a host has to itself besides its network.
type Room struct {
	Disk   string // a folder that becomes a disk of this host's own; "" for none
	DiskMB int
}

// keep makes the namespaces of this process fit for a host, until its input
// ends.
func (r Room) keep() error {
	err := fabrictest.MoveIn()
	if err == nil && r.Disk != "" {
		err = r.mount()
	}
	if err != nil {
		return fmt.Errorf("give the host names and a disk of its own: %w", err)
	}
	fmt.Println("ready")
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		switch orders.Text() {
		case "fill":
			err = r.Fill()
		case "free":
			err = r.Free()
		}
		if err != nil {
			return err
		}
		fmt.Println("done")
	}
	return orders.Err()
}

// Fill leaves no space on the disk: it becomes as small as what is on it.
func (r Room) Fill() error {
	var now unix.Statfs_t
	err := unix.Statfs(r.Disk, &now)
	if err != nil {
		return err
	}
	return r.size(unix.MS_REMOUNT, max(1, int64(now.Blocks-now.Bfree)*now.Bsize))
}

func (r Room) mount() error {
	return errors.Join(os.MkdirAll(r.Disk, 0o755), r.size(0, int64(r.DiskMB)<<20))
}

func (r Room) size(flags uintptr, bytes int64) error {
	err := unix.Mount("tmpfs", r.Disk, "tmpfs", flags, fmt.Sprintf("size=%d,mode=755", bytes))
	if err != nil {
		return fmt.Errorf("size the disk %s: %w", r.Disk, err)
	}
	return nil
}

// Mount makes the disk for the processes of the tests themselves, which run in a
// mount namespace of their own.
func (r Room) Mount(t testing.TB) {
	t.Helper()
	err := r.mount()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := unix.Unmount(r.Disk, unix.MNT_DETACH)
		if err != nil {
			t.Error(err)
		}
	})
}

// Free gives the disk its space back.
func (r Room) Free() error { return r.size(unix.MS_REMOUNT, int64(r.DiskMB)<<20) }

// Seeded gives a run's seed, and says how to repeat it.
func Seeded(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	text := os.Getenv("NACRE_TEST_SEED")
	if text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d: NACRE_TEST_SEED=%d repeats the run's choices", seed, seed)
	return seed
}

// Dice are the choices of one actor of a run.
func Dice(seed, actor uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, actor)) }
