// Package blockdevtest holds the suite that every driver of blockdev passes:
// what a node relies on, whatever keeps the bytes. What a driver does with real
// bytes is for its own tests.
package blockdevtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"nacre/internal/blockdev"
	"nacre/internal/errs"
)

// Fixture is one driver, ready to be tested.
type Fixture struct {
	Host blockdev.Host // empty
	// Restart gives the same store as a new process sees it. The one before was
	// killed: nothing of it was closed.
	Restart func(t *testing.T) blockdev.Host
	Image   string // id of an image of at most 1 GiB
}

// Run runs the suite; make is called once for each test.
func Run(t *testing.T, make func(t *testing.T) Fixture) {
	tests := []struct {
		name string
		run  func(t *testing.T, f Fixture)
	}{
		{"ensure is idempotent", ensureIsIdempotent},
		{"volumes grow and never shrink", volumesGrow},
		{"sources", sources},
		{"remove", remove},
		{"export is idempotent", exportIsIdempotent},
		{"an older epoch is refused", epochFences},
		{"a volume in use is left alone", inUse},
		{"everything survives a restart", survivesRestart},
		{"calls may be concurrent", concurrent},
		{"an ended context ends the call", endedContext},
		{"usage", usage},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, make(t)) })
	}
}

var ctx = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, err error, kind errs.Kind) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Errorf("%s: got %v, want an error of kind %d", what, err, kind)
	}
}

func wantStates(t *testing.T, host blockdev.Host, want ...blockdev.State) {
	t.Helper()
	got, err := host.List(ctx)
	must(t, err)
	slices.SortFunc(got, func(a, b blockdev.State) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	if !slices.Equal(got, want) {
		t.Errorf("got volumes %+v, want %+v", got, want)
	}
}

func export(t *testing.T, host blockdev.Host, volume string, epoch int64) blockdev.Address {
	t.Helper()
	address, err := host.Export(ctx, blockdev.Export{Volume: volume, Epoch: epoch})
	must(t, err)
	if address.Socket == "" || address.Name == "" {
		t.Errorf("got address %+v, want a socket and a name", address)
	}
	return address
}

func ensureIsIdempotent(t *testing.T, f Fixture) {
	wantStates(t, f.Host)
	for range 2 {
		must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	}
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 2}))
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1}, blockdev.State{ID: "b", SizeGB: 2})
	wantKind(t, "a volume without a size", f.Host.Ensure(ctx, blockdev.Volume{ID: "c"}), errs.BadRequest)
}

func volumesGrow(t *testing.T, f Fixture) {
	for _, size := range []int{1, 3, 2} {
		must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: size}))
	}
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 3})
}

func sources(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2, Source: blockdev.Source{Image: f.Image}}))
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 3, Source: blockdev.Source{Volume: "a"}}))
	// A source is ignored once the volume exists.
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 3, Source: blockdev.Source{Volume: "gone"}}))
	err := f.Host.Ensure(ctx, blockdev.Volume{ID: "c", SizeGB: 3, Source: blockdev.Source{Volume: "gone"}})
	wantKind(t, "a missing source", err, errs.NotFound)
	err = f.Host.Ensure(ctx, blockdev.Volume{ID: "c", SizeGB: 1, Source: blockdev.Source{Volume: "b"}})
	wantKind(t, "a larger source", err, errs.BadRequest)
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 2}, blockdev.State{ID: "b", SizeGB: 3})
}

func remove(t *testing.T, f Fixture) {
	must(t, f.Host.Remove(ctx, "a"))
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	export(t, f.Host, "a", 1)
	for range 2 {
		must(t, f.Host.Remove(ctx, "a"))
		wantStates(t, f.Host)
	}
	_, err := f.Host.Export(ctx, blockdev.Export{Volume: "a", Epoch: 2})
	wantKind(t, "export of a removed volume", err, errs.NotFound)
	must(t, f.Host.Unexport(ctx, "a"))
}

func exportIsIdempotent(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	must(t, f.Host.Unexport(ctx, "a"))
	first := export(t, f.Host, "a", 4)
	second := export(t, f.Host, "a", 4)
	if first != second {
		t.Errorf("got %+v, then %+v, want the same address", first, second)
	}
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1, Exported: true, Epoch: 4})
	for range 2 {
		must(t, f.Host.Unexport(ctx, "a"))
		wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1, Epoch: 4})
	}
	export(t, f.Host, "a", 4)
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1, Exported: true, Epoch: 4})
}

func epochFences(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	old := export(t, f.Host, "a", 4)
	_, err := f.Host.Export(ctx, blockdev.Export{Volume: "a", Epoch: 3})
	wantKind(t, "an older epoch", err, errs.Conflict)
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1, Exported: true, Epoch: 4})

	next := export(t, f.Host, "a", 5)
	if next.Name == old.Name {
		t.Errorf("got export name %q again, want one that the former user does not know", next.Name)
	}
	must(t, f.Host.Unexport(ctx, "a"))
	_, err = f.Host.Export(ctx, blockdev.Export{Volume: "a", Epoch: 4})
	wantKind(t, "an older epoch of a free volume", err, errs.Conflict)
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1, Epoch: 5})
}

func inUse(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	export(t, f.Host, "a", 1)
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	wantKind(t, "growing it", f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2}), errs.Conflict)
	err := f.Host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 1, Source: blockdev.Source{Volume: "a"}})
	wantKind(t, "copying it", err, errs.Conflict)
	must(t, f.Host.Unexport(ctx, "a"))
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2}))
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 2, Epoch: 1})
}

func survivesRestart(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 1}))
	before := export(t, f.Host, "a", 7)
	export(t, f.Host, "b", 2)
	must(t, f.Host.Unexport(ctx, "b"))

	host := f.Restart(t)
	wantStates(t, host,
		blockdev.State{ID: "a", SizeGB: 1, Exported: true, Epoch: 7},
		blockdev.State{ID: "b", SizeGB: 1, Epoch: 2})
	_, err := host.Export(ctx, blockdev.Export{Volume: "a", Epoch: 6})
	wantKind(t, "an older epoch", err, errs.Conflict)
	after := export(t, host, "a", 7)
	if before != after {
		t.Errorf("got %+v after the restart, want %+v", after, before)
	}
	must(t, host.Unexport(ctx, "a"))
	must(t, host.Remove(ctx, "b"))
	wantStates(t, host, blockdev.State{ID: "a", SizeGB: 1, Epoch: 7})
}

func concurrent(t *testing.T, f Fixture) {
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			id := fmt.Sprintf("v%d", n%2)
			err := f.Host.Ensure(ctx, blockdev.Volume{ID: id, SizeGB: 1})
			if err != nil {
				t.Errorf("ensure %s: %v", id, err)
			}
			_, err = f.Host.Export(ctx, blockdev.Export{Volume: id, Epoch: 1})
			if err != nil {
				t.Errorf("export %s: %v", id, err)
			}
			_, err = f.Host.List(ctx)
			if err != nil {
				t.Errorf("list: %v", err)
			}
		})
	}
	all.Wait()
	wantStates(t, f.Host,
		blockdev.State{ID: "v0", SizeGB: 1, Exported: true, Epoch: 1},
		blockdev.State{ID: "v1", SizeGB: 1, Exported: true, Epoch: 1})
}

func endedContext(t *testing.T, f Fixture) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	err := f.Host.Ensure(ended, blockdev.Volume{ID: "a", SizeGB: 1})
	if err == nil {
		t.Error("got a volume by a call that was given up")
	}
	wantStates(t, f.Host)
}

func usage(t *testing.T, f Fixture) {
	got, err := f.Host.Usage(ctx)
	must(t, err)
	if got.TotalGB <= 0 || got.FreeGB < 0 || got.FreeGB > got.TotalGB {
		t.Errorf("got usage %+v, want a free part of a total", got)
	}
}
