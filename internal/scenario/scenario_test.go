package scenario

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const s, m = time.Second, time.Minute

func TestRead(t *testing.T) {
	got, err := parse([]byte(`
speed: 10
seed: 7
events:
  - {at: 2m, for: 1m, host: node-1, fault: down}
  - {every: 5m, for: 20s, host: any, fault: slow, by: 8}
hosts:
  - count: 2
    vcpus: 32
    takes: {boot: 2s to 5s, remove: 500ms}
    fails: {boot: 1%}
  - memory_mb: 1024
`), "node", 9)
	if err != nil {
		t.Fatal(err)
	}
	kind := Host{VCPUs: 32, Takes: map[Op]Span{Boot: {2 * s, 5 * s}, Remove: {s / 2, s / 2}}, Fails: map[Op]float64{Boot: 0.01}}
	first, second := kind, kind
	first.Name, second.Name = "node-1", "node-2"
	want := &Scenario{Speed: 10, Seed: 7, Hosts: []Host{first, second, {Name: "node-3", MemoryMB: 1024}}, Events: []Event{
		{Host: "node-1", Fault: Down, At: 2 * m, For: m},
		{Fault: Slow, Every: 5 * m, For: 20 * s, By: 8},
	}}
	diff := cmp.Diff(want, got)
	if diff != "" {
		t.Error(diff)
	}
}

// A file without hosts gets usual ones, and an empty one says nothing.
func TestReadNothing(t *testing.T) {
	got, err := parse(nil, "node", 2)
	if err != nil || got.Speed != 1 || len(got.Hosts) != 2 || got.Hosts[1].Name != "node-2" {
		t.Errorf("got %+v, %v, want two usual hosts", got, err)
	}
}

// The example is one.
func TestReadExample(t *testing.T) {
	got, err := Read("../../examples/scenario.yaml", "node", 2)
	if err != nil || len(got.Hosts) != 3 || len(got.Events) != 4 {
		t.Errorf("got %+v, %v, want three hosts and four events", got, err)
	}
}

// What is wrong is refused with its line and a reason.
func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"sped: 10":                                                  `line 1: there is no "sped" here; there are events, hosts, seed, speed`,
		"speed: fast":                                               `line 1: "fast" is no number from 1 to 100`,
		"speed: .nan":                                               `line 1: ".nan" is no number from 1 to 100`,
		"speed: 2\nspeed: 3":                                        `line 2: speed is here for the second time`,
		"seed: -1":                                                  `line 1: "-1" is no whole number from 0 to 9007199254740992`,
		"hosts: 3":                                                  `line 1: here should be a list`,
		"hosts:\n  - count: 0":                                      `line 2: "0" is no whole number from 1 to 10000`,
		"hosts:\n  - three":                                         `line 2: here should be words and what they are: count, disk_gb, fails, memory_mb, takes, vcpus`,
		"[1, 2]":                                                    `line 1: here should be words and what they are: events, hosts, seed, speed`,
		"hosts:\n- takes: {boot: 5":                                 `yaml: `,
		"hosts:\n  - takes: {boot: 5s to 2s}":                       `line 2: "5s to 2s" is no time such as 2s, or two such as 2s to 5s`,
		"hosts:\n  - takes: {fly: 5s}":                              `line 2: there is no "fly" here; there are boot, change, move, remove, snapshot, volume`,
		"hosts:\n  - fails:\n      boot: 0.5":                       `line 3: "0.5" is no percentage from 0% to 100%`,
		"hosts:\n  - fails:\n      boot: 101%":                      `line 3: "101%" is no percentage from 0% to 100%`,
		"events:\n  - {host: node-3, fault: down}":                  `line 2: there is no host node-3; there are node-1 to node-2`,
		"events:\n  - {host: any, fault: burns}":                    `line 2: there is no fault "burns"; there are down, cut, full, slow`,
		"events:\n  - {fault: down}":                                `line 2: an event needs a host: one of them, or any`,
		"events:\n  - {host: any}":                                  `line 2: an event needs a fault: down, cut, full, slow`,
		"events:\n  - {host: any, fault: slow}":                     `line 2: by says how many times as slow a host becomes by the fault slow, which needs it`,
		"events:\n  - {host: any, fault: full, by: 2}":              `line 2: by says how many times as slow a host becomes by the fault slow, which needs it`,
		"events:\n  - {host: any, fault: full, at: soon}":           `line 2: "soon" is no time such as 300ms, 20s, 5m or 1h30m`,
		"events:\n  - {host: any, fault: full, every: 5m}":          `line 2: an event that comes again needs a shorter time in for than in every`,
		"events:\n  - {host: any, fault: full, every: 5m, for: 5m}": `line 2: an event that comes again needs a shorter time in for than in every`,
		"hosts: [{count: 9999}, {}]\nevents: [{host: node-10001, fault: down}]":     `line 2: there is no host node-10001; there are node-1 to node-10000`,
		"hosts:\n  - count: 9999\n  - count: 2\nevents: [{host: any, fault: down}]": `line 3: these are more than 10000 hosts`,
	} {
		_, err := parse([]byte(text), "node", 2)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "s.yaml")
	err := os.WriteFile(path, []byte("speed: 0"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Read(path, "node", 2)
	if err == nil || err.Error() != "scenario "+path+`: line 1: "0" is no number from 1 to 100` {
		t.Errorf("got %v, want the file, the line and the reason", err)
	}
	_, err = Read(path+".none", "node", 2)
	if err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestConditions(t *testing.T) {
	sc := &Scenario{Hosts: []Host{{Name: "a"}, {Name: "b"}}, Events: []Event{
		{Host: "a", Fault: Down, At: 2 * m, For: m},
		{Host: "a", Fault: Slow, By: 3, At: 150 * s},
		{Host: "b", Fault: Full, At: 4 * m, For: 10 * s, Every: m},
	}}
	for _, c := range []struct {
		at, next time.Duration
		want     map[string]Condition
	}{
		{0, 2 * m, map[string]Condition{}},
		{2 * m, 150 * s, map[string]Condition{"a": {Down: true}}},
		{150 * s, 3 * m, map[string]Condition{"a": {Down: true, Slow: 3}}},
		{3 * m, 4 * m, map[string]Condition{"a": {Slow: 3}}},
		{4 * m, 250 * s, map[string]Condition{"a": {Slow: 3}, "b": {Full: true}}},
		{250 * s, 5 * m, map[string]Condition{"a": {Slow: 3}}},
		{605 * s, 610 * s, map[string]Condition{"a": {Slow: 3}, "b": {Full: true}}},
	} {
		got, next := sc.At(c.at)
		if !maps.Equal(got, c.want) || next != c.next {
			t.Errorf("at %s: got %+v until %s, want %+v until %s", c.at, got, next, c.want, c.next)
		}
	}
	_, next := (&Scenario{Events: sc.Events[:1], Hosts: sc.Hosts}).At(time.Hour)
	if next != 0 {
		t.Errorf("when all is over, something is to change at %s", next)
	}
}

// Whom an event happens to is another one each time, and the same in each run.
func TestAnyHost(t *testing.T) {
	sc := &Scenario{Seed: 3, Events: []Event{{Fault: Cut, For: s, Every: m}}}
	for i := range 4 {
		sc.Hosts = append(sc.Hosts, Host{Name: fmt.Sprintf("node-%d", i+1)})
	}
	run := func() (list []string) {
		for turn := range 40 {
			now, _ := sc.At(time.Duration(turn) * m)
			if len(now) != 1 {
				t.Fatalf("%d hosts are cut off, want one", len(now))
			}
			list = append(list, slices.Collect(maps.Keys(now))...)
		}
		return list
	}
	first := run()
	if !slices.Equal(first, run()) {
		t.Error("a second run chooses others")
	}
	if slices.Sort(first); len(slices.Compact(first)) != 4 {
		t.Errorf("only %v were ever chosen", slices.Compact(first))
	}
}

func TestThrow(t *testing.T) {
	sc := &Scenario{Seed: 1}
	h := Host{Name: "a", Takes: map[Op]Span{Boot: {2 * s, 4 * s}}, Fails: map[Op]float64{Boot: 0.25, Remove: 1}}
	dice, failed := sc.Dice("a"), 0
	for range 1000 {
		takes, fails := h.Throw(dice, Boot, Condition{Slow: 2})
		if takes < 4*s || takes > 8*s {
			t.Fatalf("a boot takes %s, want 4s to 8s", takes)
		}
		if fails {
			failed++
		}
	}
	if failed < 200 || failed > 300 {
		t.Errorf("%d of 1000 boots failed, want about 250", failed)
	}
	takes, fails := h.Throw(dice, Change, Condition{})
	if takes != 0 || fails {
		t.Errorf("a change takes %s and fails: %v, want neither", takes, fails)
	}
	_, fails = h.Throw(dice, Remove, Condition{})
	if !fails {
		t.Error("what always fails did not")
	}
}
