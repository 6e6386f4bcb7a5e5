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
	"nacre/internal/nbd"
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
		{"a volume in use grows and is copied", inUse},
		{"several share a volume", shared},
		{"a volume that nobody has is opened", opened},
		{"bytes are made anew once", remade},
		{"everything survives a restart", survivesRestart},
		{"calls may be concurrent", concurrent},
		{"an ended context ends the call", endedContext},
		{"strays", strays},
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
	return share(t, host, volume, blockdev.Share{Epoch: epoch})[0]
}

// share exports a volume to several attachments.
func share(t *testing.T, host blockdev.Host, volume string, shares ...blockdev.Share) []blockdev.Address {
	t.Helper()
	list, err := host.Export(ctx, blockdev.Export{Volume: volume, Shares: shares})
	must(t, err)
	if len(list) != len(shares) {
		t.Fatalf("got %d addresses, want one for each of %d shares", len(list), len(shares))
	}
	for i, address := range list {
		if address.Socket == "" || address.Name == "" || address.Epoch != shares[i].Epoch {
			t.Errorf("got address %+v, want a socket and a name for epoch %d", address, shares[i].Epoch)
		}
	}
	return list
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
	_, err := f.Host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{{Epoch: 2}}})
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
	_, err := f.Host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{{Epoch: 3}}})
	wantKind(t, "an older epoch", err, errs.Conflict)
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1, Exported: true, Epoch: 4})

	next := export(t, f.Host, "a", 5)
	if next.Name == old.Name {
		t.Errorf("got export name %q again, want one that the former user does not know", next.Name)
	}
	must(t, f.Host.Unexport(ctx, "a"))
	_, err = f.Host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{{Epoch: 4}}})
	wantKind(t, "an older epoch of a free volume", err, errs.Conflict)
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1, Epoch: 5})
}

func inUse(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	export(t, f.Host, "a", 1)
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2}))
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 2, Source: blockdev.Source{Volume: "a"}}))
	export(t, f.Host, "a", 1)
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 2, Exported: true, Epoch: 1}, blockdev.State{ID: "b", SizeGB: 2})
	wantKind(t, "making it anew", f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2, Revision: 1}), errs.Conflict)
	_, err := f.Host.Open(ctx, "a", false)
	wantKind(t, "opening it", err, errs.Conflict)
}

func shared(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	one, two, three := blockdev.Share{Epoch: 1}, blockdev.Share{Epoch: 2, ReadOnly: true}, blockdev.Share{Epoch: 3}
	share(t, f.Host, "a", one)
	list := share(t, f.Host, "a", one, two)
	if list[0].Name == list[1].Name {
		t.Errorf("two shares have one name: %+v", list)
	}
	share(t, f.Host, "a", two, three)
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 1, Exported: true, Epoch: 3})
	_, err := f.Host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{one, two}})
	wantKind(t, "a share that was dropped", err, errs.Conflict)
	share(t, f.Host, "a", two)
	host := f.Restart(t)
	share(t, host, "a", two)
	wantStates(t, host, blockdev.State{ID: "a", SizeGB: 1, Exported: true, Epoch: 3})
	_, err = host.Export(ctx, blockdev.Export{Volume: "a"})
	wantKind(t, "an export to nobody", err, errs.BadRequest)
}

// disk opens a volume and hands it to the test.
func disk(t *testing.T, host blockdev.Host, id string, write bool, use func(c *nbd.Client)) {
	t.Helper()
	conn, err := host.Open(ctx, id, write)
	must(t, err)
	c, err := nbd.Connect(conn, blockdev.Opened)
	must(t, err)
	use(c)
	must(t, c.Close())
}

func content(t *testing.T, host blockdev.Host, id string) string {
	t.Helper()
	var text string
	disk(t, host, id, false, func(c *nbd.Client) {
		bytes := make([]byte, 4)
		_, err := c.ReadAt(bytes, 1<<20)
		must(t, err)
		text = string(bytes)
	})
	return text
}

func fill(t *testing.T, host blockdev.Host, id, text string) {
	t.Helper()
	disk(t, host, id, true, func(c *nbd.Client) {
		_, err := c.WriteAt([]byte(text), 1<<20)
		must(t, err)
		must(t, c.Flush())
	})
}

func opened(t *testing.T, f Fixture) {
	_, err := f.Host.Open(ctx, "a", false)
	wantKind(t, "a missing volume", err, errs.NotFound)
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	fill(t, f.Host, "a", "here")
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "copy", SizeGB: 2, Source: blockdev.Source{Volume: "a"}}))
	for _, id := range []string{"a", "copy"} {
		got := content(t, f.Host, id)
		if got != "here" {
			t.Errorf("volume %s: got %q, want what was written", id, got)
		}
	}
	disk(t, f.Host, "copy", false, func(c *nbd.Client) {
		if c.Size() != 2<<30 {
			t.Errorf("got a disk of %d bytes, want 2 GiB", c.Size())
		}
		extents, err := c.Extents(0, c.Size())
		must(t, err)
		if len(extents) != 3 || !extents[0].Zero || extents[1].Zero || !extents[2].Zero {
			t.Errorf("got extents %+v, want one of data amid nothing", extents)
		}
		_, err = c.WriteAt([]byte("no"), 0)
		if err == nil {
			t.Error("a volume opened to read was written to")
		}
	})
	// The next one cuts the former off.
	conn, err := f.Host.Open(ctx, "a", true)
	must(t, err)
	former, err := nbd.Connect(conn, blockdev.Opened)
	must(t, err)
	fill(t, f.Host, "a", "then")
	_, err = former.WriteAt([]byte("late"), 1<<20)
	if err == nil {
		t.Error("who was cut off has written")
	}
	former.Close()
	conn, err = f.Host.Open(ctx, "a", true)
	must(t, err)
	former, err = nbd.Connect(conn, blockdev.Opened)
	must(t, err)
	export(t, f.Host, "a", 1)
	_, err = former.WriteAt([]byte("late"), 1<<20)
	if err == nil {
		t.Error("who was cut off by an export has written")
	}
	former.Close()
	must(t, f.Host.Unexport(ctx, "a"))
	got := content(t, f.Host, "a")
	if got != "then" {
		t.Errorf("got %q, want what was written last", got)
	}
}

func remade(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	fill(t, f.Host, "a", "then")
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 1, Source: blockdev.Source{Volume: "a"}}))
	fill(t, f.Host, "a", "now!")
	again := blockdev.Volume{ID: "a", SizeGB: 2, Source: blockdev.Source{Volume: "b"}, Revision: 1}
	must(t, f.Host.Ensure(ctx, again))
	if got := content(t, f.Host, "a"); got != "then" {
		t.Errorf("got %q, want the source's bytes", got)
	}
	fill(t, f.Host, "a", "kept")
	must(t, f.Restart(t).Ensure(ctx, again))
	if got := content(t, f.Host, "a"); got != "kept" {
		t.Errorf("got %q, want what was written since", got)
	}
	wantStates(t, f.Host, blockdev.State{ID: "a", SizeGB: 2}, blockdev.State{ID: "b", SizeGB: 1})
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
	_, err := host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{{Epoch: 6}}})
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
			_, err = f.Host.Export(ctx, blockdev.Export{Volume: id, Shares: []blockdev.Share{{Epoch: 1}}})
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

func strays(t *testing.T, f Fixture) {
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2}))
	export(t, f.Host, "a", 3)
	for range 2 { // what was let go may be let go again
		must(t, f.Host.Release(ctx, "a", "volume-a"))
	}
	wantStates(t, f.Host)
	list, err := f.Host.Strays(ctx)
	must(t, err)
	if len(list) != 1 || list[0] != (blockdev.Stray{Name: "volume-a", SizeGB: 2}) {
		t.Errorf("strays are %+v, want volume-a of 2 GiB", list)
	}
	must(t, f.Host.Ensure(ctx, blockdev.Volume{ID: "c", SizeGB: 1}))
	err = f.Host.Release(ctx, "c", "volume-a")
	if err == nil {
		t.Error("a volume took the place of a stray")
	}
	must(t, f.Host.Remove(ctx, "c"))

	host := f.Restart(t)
	err = host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 1, Source: blockdev.Source{Stray: "volume-a"}})
	wantKind(t, "a stray into a smaller volume", err, errs.BadRequest)
	for range 2 {
		must(t, host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 3, Source: blockdev.Source{Stray: "volume-a"}}))
	}
	wantStates(t, host, blockdev.State{ID: "b", SizeGB: 3})
	list, err = host.Strays(ctx)
	must(t, err)
	if len(list) != 0 {
		t.Errorf("an adopted stray is still there: %+v", list)
	}
	for _, name := range []string{"volume-a", "../volumes/b.qcow2", "b"} {
		err = host.Ensure(ctx, blockdev.Volume{ID: "d", SizeGB: 3, Source: blockdev.Source{Stray: name}})
		wantKind(t, "a volume of the stray "+name, err, errs.NotFound)
	}
}

func usage(t *testing.T, f Fixture) {
	got, err := f.Host.Usage(ctx)
	must(t, err)
	if got.TotalGB <= 0 || got.FreeGB < 0 || got.FreeGB > got.TotalGB {
		t.Errorf("got usage %+v, want a free part of a total", got)
	}
}
