package placement

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/errs"
)

// text tells a candidate apart from all others.
func (c Candidate) text() string {
	groups := map[string][]string{}
	for suffix, ids := range c.Groups {
		groups[suffix] = slices.Sorted(slices.Values(ids))
	}
	return fmt.Sprint(c.Takes, groups)
}

// every says what candidates are in the plainest way: each choice of a provider for
// each class of each group is made, and afterwards judged.
func every(all []Found, ask Ask) map[string]bool {
	byID := map[string]Found{}
	for _, p := range all {
		byID[p.Provider.ID] = p
	}
	out := map[string]bool{}
	for _, root := range all {
		if root.Provider.Parent != "" || !hasAll(root.Traits, ask.RootHas) || meets(root.Traits, ask.RootLacks) {
			continue
		}
		reachable := slices.DeleteFunc(slices.Clone(all), func(p Found) bool {
			return p.Provider.Root != root.Provider.ID && !sharesWith(all, p, root.Provider.ID)
		})
		choices := []map[string]map[string]string{{}} // suffix → class → provider
		for suffix, need := range ask.Groups {
			var longer []map[string]map[string]string
			for _, choice := range choices {
				for _, one := range waysOfGroup(reachable, suffix, need, root, byID) {
					more := maps.Clone(choice)
					more[suffix] = one
					longer = append(longer, more)
				}
			}
			choices = longer
		}
		for _, choice := range choices {
			c, good := judge(choice, ask, byID)
			if good {
				out[c.text()] = true
			}
		}
	}
	return out
}

func sharesWith(all []Found, p Found, root string) bool {
	return slices.Contains(p.Traits, sharing) && slices.ContainsFunc(all, func(other Found) bool {
		return other.Provider.Root == root && meets(other.Aggregates, p.Aggregates)
	})
}

// waysOfGroup lists the ways to serve one group. A group without resources has the
// class "".
func waysOfGroup(reachable []Found, suffix string, need Need, root Found, byID map[string]Found) []map[string]string {
	classes := slices.Sorted(maps.Keys(need.Resources))
	if len(classes) == 0 {
		classes = []string{""}
	}
	ways := []map[string]string{{}}
	for _, class := range classes {
		var longer []map[string]string
		for _, way := range ways {
			for _, p := range reachable {
				more := maps.Clone(way)
				more[class] = p.Provider.ID
				longer = append(longer, more)
			}
		}
		ways = longer
	}
	return slices.DeleteFunc(ways, func(way map[string]string) bool {
		var traits []string
		for class, id := range way {
			p := byID[id]
			own := p.Provider.Root == root.Provider.ID
			traits = append(traits, p.Traits...)
			i, has := p.Inventories[class]
			if class != "" && (!has || i.fits(need.Resources[class]) != "") {
				return true
			}
			if meets(p.Traits, need.Forbidden) || meets(p.Aggregates, need.Outside) {
				return true
			}
			if need.InTree != "" && (byID[need.InTree].Provider.Root != p.Provider.Root || suffix == "" && !own) {
				return true
			}
			member := hasOneOfEach(p.Aggregates, need.MemberOf)
			if suffix == "" {
				member = member || own && hasOneOfEach(root.Aggregates, need.MemberOf)
				if meets(root.Aggregates, need.Outside) {
					return true
				}
			}
			if !member {
				return true
			}
			if suffix != "" && id != way[classes[0]] {
				return true
			}
		}
		return !hasOneOfEach(traits, need.Required)
	})
}

func judge(choice map[string]map[string]string, ask Ask, byID map[string]Found) (Candidate, bool) {
	c := Candidate{Takes: map[string]Resources{}, Groups: map[string][]string{}}
	named := map[string]bool{}
	for suffix, way := range choice {
		ids := slices.Compact(slices.Sorted(maps.Values(way)))
		c.Groups[suffix] = ids
		if ask.Isolate && suffix != "" {
			if named[ids[0]] {
				return c, false
			}
			named[ids[0]] = true
		}
		for class, id := range way {
			if class == "" {
				continue
			}
			if c.Takes[id] == nil {
				c.Takes[id] = Resources{}
			}
			c.Takes[id][class] += ask.Groups[suffix].Resources[class]
		}
	}
	roots := map[string]string{}
	for id, takes := range c.Takes {
		root := byID[id].Provider.Root
		if ask.Flat && roots[root] != "" {
			return c, false
		}
		roots[root] = id
		for class, n := range takes {
			i := byID[id].Inventories[class]
			if i.Used+n > i.Capacity() || n > i.MaxUnit {
				return c, false
			}
		}
	}
	for _, suffixes := range ask.Together {
		var ids []string
		for _, suffix := range suffixes {
			ids = append(ids, c.Groups[suffix]...)
		}
		if !slices.ContainsFunc(ids, func(top string) bool { return allBelow(byID, ids, top) }) {
			return c, false
		}
	}
	return c, true
}

func allBelow(byID map[string]Found, ids []string, top string) bool {
	for _, id := range ids {
		for id != "" && id != top {
			id = byID[id].Provider.Parent
		}
		if id == "" {
			return false
		}
	}
	return true
}

func pick[T any](r *rand.Rand, chance float64, list ...T) []T {
	var out []T
	for _, one := range list {
		if r.Float64() < chance {
			out = append(out, one)
		}
	}
	return out
}

// randomForest has a few small trees that share with one another.
func randomForest(r *rand.Rand) []Found {
	all := make([]Found, 3+r.IntN(5))
	for i := range all {
		p := Provider{ID: fmt.Sprint("p", i), Root: fmt.Sprint("p", i)}
		if i > 0 && r.IntN(3) > 0 {
			above := all[r.IntN(i)].Provider
			p.Parent, p.Root = above.ID, above.Root
		}
		all[i] = Found{Provider: p, Inventories: map[string]Inventory{}, Traits: pick(r, 0.4, "T1", "T2"), Aggregates: pick(r, 0.4, "A1", "A2")}
		if r.IntN(4) == 0 {
			all[i].Traits = append(all[i].Traits, sharing)
		}
		for _, class := range pick(r, 0.6, "X", "Y", "Z") {
			in := Inventory{Total: 1 + r.Int64N(5), Used: r.Int64N(2), MaxUnit: 1 + r.Int64N(4)}
			in.StepSize = 1 + r.Int64N(2)
			all[i].Inventories[class] = in.whole(p.ID, class)
		}
	}
	return all
}

func randomAsk(r *rand.Rand) Ask {
	ask := Ask{Groups: map[string]Need{}, Isolate: r.IntN(2) == 0, RootHas: pick(r, 0.1, "T1"), RootLacks: pick(r, 0.1, "T2")}
	for _, suffix := range pick(r, 0.5, "", "1", "2", "3") {
		need := Need{Resources: Resources{}, Forbidden: pick(r, 0.1, "T2"), Outside: pick(r, 0.1, "A2")}
		for _, class := range pick(r, 0.4, "X", "Y", "Z") {
			need.Resources[class] = 1 + r.Int64N(2)
		}
		need.Required = pick(r, 0.15, []string{"T1"}, []string{"T1", "T2"})
		need.MemberOf = pick(r, 0.1, []string{"A1"}, []string{"A1", "A2"})
		if r.IntN(10) == 0 {
			need.InTree = "p0"
		}
		if suffix != "" || len(need.Resources) > 0 {
			ask.Groups[suffix] = need
		}
	}
	var named []string
	for suffix := range ask.Groups {
		if suffix != "" {
			named = append(named, suffix)
		}
	}
	if len(named) > 1 && r.IntN(2) == 0 {
		ask.Together = [][]string{named[:2]}
	}
	bare := slices.ContainsFunc(named, func(suffix string) bool { return len(ask.Groups[suffix].Resources) == 0 })
	ask.Flat = !bare && r.IntN(5) == 0
	return ask
}

// The walk finds each candidate that there is, once.
func TestCandidatesAreAll(t *testing.T) {
	some := 0
	for seed := range uint64(4_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		all, ask := randomForest(r), randomAsk(r)
		want := every(all, ask)
		if len(ask.Groups) == 0 {
			want = map[string]bool{}
		}
		got := map[string]bool{}
		for c, err := range newForest(all).candidates(t.Context(), ask) {
			if err != nil {
				t.Fatal(err)
			}
			if got[c.text()] {
				t.Errorf("seed %d: %s twice", seed, c.text())
			}
			got[c.text()] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: candidates (-want +got):\n%s\nask %+v\nproviders %+v", seed, diff, ask, all)
		}
		if len(got) > 1 {
			some++
		}
	}
	if some < 400 {
		t.Errorf("only %d requests had a choice", some)
	}
}

// wide is a host with equal children, each with so many of X.
func wide(children int, each int64) []Found {
	all := []Found{{Provider: Provider{ID: "host", Root: "host"}}}
	for i := range children {
		id := fmt.Sprintf("child%02d", i)
		all = append(all, Found{Provider: Provider{ID: id, Parent: "host", Root: "host"},
			Inventories: map[string]Inventory{"X": Inventory{Total: each}.whole(id, "X")}})
	}
	return all
}

// groups asks for so many times one of X.
func groups(n int) Ask {
	ask := Ask{Groups: map[string]Need{}}
	for i := range n {
		ask.Groups[fmt.Sprint(i)] = Need{Resources: Resources{"X": 1}}
	}
	return ask
}

// What has more candidates than anybody could hold, or none that is not to be found
// by trying all, is answered in a number of steps that grows gently.
func TestWideTrees(t *testing.T) {
	tests := []struct {
		name             string
		children, groups int
		isolate          bool
		limit, want      int
	}{
		{"six of eight", 8, 6, true, 0, 20160}, // 8!/2!
		{"eight of eight, the first", 8, 8, false, 1, 1},
		{"twenty of twenty", 20, 20, true, 1000, 1000},
		{"one too many", 15, 16, true, 0, 0},
		{"one too many by capacity", 15, 16, false, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ask := groups(test.groups)
			ask.Isolate = test.isolate
			n := 0
			for _, err := range newForest(wide(test.children, 1)).candidates(t.Context(), ask) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				if n == test.limit {
					break
				}
			}
			if n != test.want {
				t.Errorf("got %d candidates, want %d", n, test.want)
			}
		})
	}
}

// Nobody waits for an answer that comes too late.
func TestCandidatesEndWithTheCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range newForest(wide(12, 1)).candidates(ctx, groups(13)) {
		if err == nil {
			t.Error("got a candidate where there is none")
		}
		return
	}
	t.Error("the search went on to its end")
}

// The emptiest tree comes first, each tree before the second candidate of any, and
// what is left decides among the providers of a tree.
func TestBestCandidateFirst(t *testing.T) {
	var all []Found
	for i, free := range []int64{2, 9, 5} {
		root := fmt.Sprint("host", i)
		all = append(all, Found{Provider: Provider{ID: root, Root: root}})
		for j := range int64(2) {
			id := fmt.Sprint(root, "-", j)
			in := Inventory{Total: 10}.whole(id, "X")
			in.Used = 10 - free + j
			all = append(all, Found{Provider: Provider{ID: id, Root: root, Parent: root}, Inventories: map[string]Inventory{"X": in}})
		}
	}
	var got []string
	for c, err := range newForest(all).candidates(t.Context(), groups(1)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c.Groups["0"][0])
	}
	want := "host1-0 host2-0 host0-0 host1-1 host2-1 host0-1"
	if strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, " "), want)
	}
}

// The service gives no more than it is set to give, and tells of no other trees.
func TestCandidatesHaveALimit(t *testing.T) {
	s := open(t)
	for i := range 5 {
		report(t, s, fmt.Sprint("host", i), 2)
	}
	ask := Ask{Groups: map[string]Need{"": {Resources: Resources{VCPU: 1}}}}
	for _, test := range []struct{ most, limit, want int }{{10_000, 0, 5}, {10_000, 2, 2}, {3, 0, 3}, {3, 4, 3}} {
		s.maxCandidates, ask.Limit = test.most, test.limit
		chosen, trees, err := s.Candidates(t.Context(), ask)
		if err != nil || len(chosen) != test.want || len(trees) != test.want {
			t.Errorf("at most %d, limit %d: got %d candidates of %d trees and %v, want %d", test.most, test.limit, len(chosen), len(trees), err, test.want)
		}
	}
	ask.Groups[""] = Need{Resources: Resources{VCPU: 1}, Required: [][]string{{"CUSTOM_NONE"}}}
	_, _, err := s.Candidates(t.Context(), ask)
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("an unknown trait: got %v, want a bad request", err)
	}
}

// BenchmarkCandidatesWide is OpenStack's known explosion: eight equal devices, six
// groups that each want one of their own.
func BenchmarkCandidatesWide(b *testing.B) {
	all := wide(8, 1)
	ask := groups(6)
	ask.Isolate = true
	for b.Loop() {
		n := 0
		for _, err := range newForest(all).candidates(b.Context(), ask) {
			if err != nil {
				b.Fatal(err)
			}
			n++
			if n == 1000 {
				break
			}
		}
	}
}
