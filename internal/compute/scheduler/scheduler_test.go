package scheduler

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// host has 10 cores at ratio 2, 1000 MB, 100 GB.
func host(id string, change ...func(*Host)) Host {
	h := Host{
		ID: id, Name: "name-" + id, Up: true, Enabled: true, Zone: "nova", Arch: "x86_64", Hypervisor: "QEMU",
		Inventory: [resources]Inventory{{Total: 10, Ratio: 2}, {Total: 1512, Reserved: 512, Ratio: 1}, {Total: 100, Ratio: 1}},
	}
	for _, c := range change {
		c(&h)
	}
	return h
}

func snapshot(hosts ...Host) *Snapshot {
	s := &Snapshot{}
	for _, h := range hosts {
		s.Put(h)
	}
	return s
}

func TestFilters(t *testing.T) {
	testFilters(t, []filterTest{
		{"passes", nil, Request{Amounts: Amounts{20, 1000, 100}}, "", ""},
		{"down", func(h *Host) { h.Up = false }, Request{}, FilterState, "the host is down"},
		{"disabled", func(h *Host) { h.Enabled = false }, Request{}, FilterState, "the host is disabled"},
		{"disabled for a reason", func(h *Host) { h.Enabled = false; h.Why = "disabled: new disks" }, Request{}, FilterState, "disabled: new disks"},
		{"other zone", nil, Request{Zone: "east"}, FilterZone, "the host is in availability zone nova, not in east"},
		{"own zone", nil, Request{Zone: "nova"}, "", ""},
		{"other host", nil, Request{Host: "b"}, FilterHost, "only host b was asked for"},
		{"this host", nil, Request{Host: "name-a"}, "", ""},
		{"tried", nil, Request{Exclude: []string{"a"}}, FilterTried, "the host was tried before and could not take the server"},
		{"no aggregate", nil, Request{Aggregates: []string{"x", "y"}}, FilterAggregates, "the host is in none of the aggregates x, y"},
		{"one aggregate", func(h *Host) { h.Aggregates = []string{"y"} }, Request{Aggregates: []string{"x", "y"}}, "", ""},
		{"unknown trait", nil, Request{Required: []string{"T"}}, FilterTraits, "the host lacks trait T"},
		{"one trait of two", func(h *Host) { h.Traits = []string{"T"} }, Request{Required: []string{"T", "U"}}, FilterTraits, "the host lacks trait U"},
		{"both traits", func(h *Host) { h.Traits = []string{"T", "U"} }, Request{Required: []string{"T", "U"}}, "", ""},
		{"forbidden trait", func(h *Host) { h.Traits = []string{"T"} }, Request{Forbidden: []string{"T"}}, FilterTraits, "the host has the forbidden trait T"},
		{"other architecture", nil, Request{Arch: "aarch64"}, FilterImage, "the image is for aarch64, the host is x86_64"},
		{"other hypervisor", nil, Request{Hypervisor: "vmware"}, FilterImage, "the image is for hypervisor vmware, the host has QEMU"},
		{"hypervisor in lower case", nil, Request{Hypervisor: "qemu"}, "", ""},
		{"affinity elsewhere", nil, Request{Group: &Group{Policy: Affinity, Members: map[string]int{"b": 1}}}, FilterGroup, "the server group's members are on another host"},
		{"affinity here", nil, Request{Group: &Group{Policy: Affinity, Members: map[string]int{"a": 1}}}, "", ""},
		{"affinity, first member", nil, Request{Group: &Group{Policy: Affinity}}, "", ""},
		{"anti-affinity", nil, Request{Group: &Group{Policy: AntiAffinity, Members: map[string]int{"a": 1}}}, FilterGroup, "1 of 1 allowed members of the server group are on the host"},
		{"anti-affinity, two may", nil, Request{Group: &Group{Policy: AntiAffinity, MaxPerHost: 2, Members: map[string]int{"a": 1}}}, "", ""},
		{"too many cores", nil, Request{Amounts: Amounts{21, 0, 0}}, FilterCapacity, "VCPU: 21 asked for, 20 of 20 free"},
		{"too much memory", func(h *Host) { h.Used = Amounts{0, 600, 0} }, Request{Amounts: Amounts{0, 401, 0}}, FilterCapacity, "MEMORY_MB: 401 asked for, 400 of 1000 free"},
		{"over-committed, asks for none of it", func(h *Host) { h.Used = Amounts{0, 0, 900} }, Request{Amounts: Amounts{1, 1, 0}}, "", ""},
		{"over-committed", func(h *Host) { h.Used = Amounts{0, 0, 900} }, Request{Amounts: Amounts{1, 1, 1}}, FilterCapacity, "DISK_GB: 1 asked for, 0 of 100 free"},
		{"anyway, though much is against it", func(h *Host) { h.Enabled = false }, Request{Host: "name-a", Anyway: true, Zone: "east",
			Required: []string{"T"}, Arch: "aarch64", Same: []string{"b"}, Group: &Group{Policy: AntiAffinity, Members: map[string]int{"a": 1}}}, "", ""},
		{"anyway, and down", func(h *Host) { h.Up = false }, Request{Host: "name-a", Anyway: true}, FilterState, "the host is down"},
		{"anyway, and full", nil, Request{Host: "name-a", Anyway: true, Amounts: Amounts{21, 0, 0}}, FilterCapacity, "VCPU: 21 asked for, 20 of 20 free"},
		{"anyway, and another", nil, Request{Host: "b", Anyway: true}, FilterHost, "only host b was asked for"},
		{"max unit", func(h *Host) { h.Inventory[VCPU].MaxUnit = 10 }, Request{Amounts: Amounts{11, 0, 0}}, FilterCapacity, "VCPU: 11 asked for, one server may take 10"},
	})
}

// filterTest is what one host is refused for, or "" where it is not.
type filterTest struct {
	name    string
	host    func(*Host)
	request Request
	filter  Filter
	reason  string
}

func testFilters(t *testing.T, tests []filterTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := host("a")
			if test.host != nil {
				test.host(&h)
			}
			got := snapshot(h).Explain(test.request, 1, 1).Hosts[0]
			if got.Refused != test.filter || got.Reason != test.reason {
				t.Errorf("got %q, %q, want %q, %q", got.Refused, got.Reason, test.filter, test.reason)
			}
		})
	}
}

func TestScore(t *testing.T) {
	s := snapshot(host("a", func(h *Host) { h.Used = Amounts{5, 250, 20} }))
	got := s.Rank(Request{}, 1)[0]
	want := Candidate{ID: "a", Host: "name-a", Score: 0.75 * 0.75 * 0.8, Factors: [factors]float64{0.75, 0.75, 0.8}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("candidate (-want +got):\n%s", diff)
	}
}

func TestTotalZeroIsFactorOne(t *testing.T) {
	s := snapshot(host("a", func(h *Host) { h.Inventory[DiskGB] = Inventory{} }))
	got := s.Rank(Request{Amounts: Amounts{1, 1, 0}}, 1)
	if len(got) != 1 || got[0].Score != 1 {
		t.Errorf("got %+v, want one host of score 1", got)
	}
}

func TestSoftGroups(t *testing.T) {
	s := snapshot(host("a"), host("b"), host("c", func(h *Host) { h.Used = Amounts{10, 0, 0} }))
	group := &Group{Policy: SoftAffinity, Members: map[string]int{"c": 1}}
	got := s.Rank(Request{Group: group}, 1)[0].ID
	if got != "c" {
		t.Errorf("soft affinity took %s, want c", got)
	}
	group = &Group{Policy: SoftAntiAffinity, Members: map[string]int{"a": 2, "b": 1, "c": 3}}
	got = s.Rank(Request{Group: group}, 1)[0].ID
	if got != "b" {
		t.Errorf("soft anti-affinity took %s, want b", got)
	}
}

func TestOldReportsAreIgnored(t *testing.T) {
	s := snapshot(host("a", func(h *Host) { h.Revision = 5; h.Used = Amounts{5, 0, 0} }))
	s.Offer("a", 4, host("a").Inventory, Amounts{})
	s.Put(host("a", func(h *Host) { h.Revision = 3; h.Enabled = false }))
	got, _ := s.Host("a")
	if got.Used[VCPU] != 5 || got.Revision != 5 || got.Enabled {
		t.Errorf("got %+v, want the usage of revision 5, disabled", got)
	}
}

func TestHolds(t *testing.T) {
	s := snapshot(host("a"))
	s.Hold("s1", "a", Amounts{15, 0, 0})
	s.Hold("s1", "a", Amounts{15, 0, 0})
	if got := s.Rank(Request{Amounts: Amounts{6, 0, 0}}, 1); len(got) != 0 {
		t.Errorf("got %v, want no host while 15 of 20 are held", got)
	}
	s.Release("s1")
	s.Release("s1")
	if got := s.Rank(Request{Amounts: Amounts{20, 0, 0}}, 1); len(got) != 1 || got[0].Score != 1 {
		t.Errorf("got %v, want the free host", got)
	}
}

func TestSummary(t *testing.T) {
	s := snapshot(host("a", func(h *Host) { h.Up = false }), host("b"), host("c"))
	got := s.Explain(Request{Amounts: Amounts{99, 0, 0}}, 5, 5).Summary()
	want := "3 of 3 hosts refused: 2 by capacity (name-b: VCPU: 99 asked for, 20 of 20 free), 1 by state (name-a: the host is down)."
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRankAgainstPlainSort compares with the definition written down naively,
// while hosts come, change and go.
func TestRankAgainstPlainSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Snapshot{}
		model := map[string]Host{}
		held := map[string]hold{}
		id := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "n")) })
		amounts := rapid.Custom(func(t *rapid.T) Amounts {
			return Amounts{rapid.Int64Range(0, 8).Draw(t, "vcpu"), rapid.Int64Range(0, 400).Draw(t, "mb"), rapid.Int64Range(0, 50).Draw(t, "gb"), rapid.Int64Range(0, 2).Draw(t, "pcpu")}
		})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				h := host(id.Draw(t, "id"), func(h *Host) {
					h.Inventory[PCPU] = Inventory{Total: rapid.Int64Range(0, 3).Draw(t, "cores"), Ratio: 1}
					h.Up = rapid.Bool().Draw(t, "up")
					h.Zone = rapid.SampledFrom([]string{"nova", "east"}).Draw(t, "zone")
					h.Used = amounts.Draw(t, "used")
				})
				model[h.ID] = h
				s.Put(h)
			},
			"remove": func(t *rapid.T) {
				h := id.Draw(t, "id")
				delete(model, h)
				for server, x := range held {
					if x.host == h {
						delete(held, server)
					}
				}
				s.Remove(h)
			},
			"hold": func(t *rapid.T) {
				h, server, a := id.Draw(t, "id"), "s"+id.Draw(t, "server"), amounts.Draw(t, "amounts")
				s.Hold(server, h, a)
				delete(held, server)
				if _, ok := model[h]; ok {
					held[server] = hold{h, a}
				}
			},
			"release": func(t *rapid.T) {
				server := "s" + id.Draw(t, "server")
				delete(held, server)
				s.Release(server)
			},
			"": func(t *rapid.T) {
				r := Request{Server: "s" + id.Draw(t, "asks"), Amounts: amounts.Draw(t, "asked"), Zone: rapid.SampledFrom([]string{"", "nova", "west"}).Draw(t, "zone")}
				policy := rapid.SampledFrom([]Policy{"", SoftAffinity, SoftAntiAffinity}).Draw(t, "policy")
				if policy != "" {
					r.Group = &Group{Policy: policy, Members: rapid.MapOfN(id, rapid.IntRange(0, 3), 0, 4).Draw(t, "members")}
				}
				var want, got []string
				for _, c := range naive(model, held, r) {
					want = append(want, c.ID)
				}
				n := rapid.IntRange(1, 15).Draw(t, "n")
				for _, c := range s.Rank(r, n) {
					got = append(got, c.ID)
				}
				want = want[:min(n, len(want))]
				if !slices.Equal(got, want) {
					t.Fatalf("got %v, want %v", got, want)
				}
			},
		})
	})
}

func naive(model map[string]Host, held map[string]hold, r Request) []Candidate {
	var list []Candidate
	for _, h := range model {
		used := h.Used
		for _, x := range held {
			if x.host == h.ID {
				used = used.Add(x.Amounts)
			}
		}
		fits := h.Up && (r.Zone == "" || r.Zone == h.Zone)
		c := Candidate{ID: h.ID, Score: 1}
		var total, taken [resources]float64
		for i, inv := range h.Inventory {
			total[i], taken[i] = float64(inv.Total-inv.Reserved)*inv.Ratio, float64(used[i])
			fits = fits && (r.Amounts[i] == 0 || float64(used[i]+r.Amounts[i]) <= total[i])
		}
		total[VCPU], taken[VCPU] = total[VCPU]+total[PCPU], taken[VCPU]+taken[PCPU]
		for i := range factors {
			c.Score *= math.Max(0, total[i]-taken[i]) / total[i]
		}
		if fits {
			list = append(list, c)
		}
	}
	start := point(r.Server)
	wish := func(c Candidate) int {
		switch {
		case r.Group == nil:
			return 0
		case r.Group.Policy == SoftAffinity:
			return -r.Group.Members[c.ID]
		}
		return r.Group.Members[c.ID]
	}
	slices.SortFunc(list, func(a, b Candidate) int {
		switch {
		case wish(a) != wish(b):
			return wish(a) - wish(b)
		case a.Score != b.Score && a.Score > b.Score:
			return -1
		case a.Score != b.Score:
			return 1
		case point(a.ID)-start < point(b.ID)-start:
			return -1
		}
		return 1
	})
	return list
}

// TestTiesSpread places many servers on equal hosts: the ring shares them out.
func TestTiesSpread(t *testing.T) {
	s := &Snapshot{}
	for i := range 100 {
		s.Put(host(fmt.Sprintf("host-%d", i)))
	}
	counts := map[string]int{}
	for i := range 10000 {
		counts[s.Rank(Request{Server: fmt.Sprintf("server-%d", i)}, 1)[0].ID]++
	}
	if len(counts) < 95 {
		t.Errorf("10,000 servers went to %d of 100 equal hosts", len(counts))
	}
}

// Weighers go before the score in their order, and a soft group before them.
func TestWeighers(t *testing.T) {
	s := &Snapshot{}
	for name, used := range map[string]int64{"busy": 0, "failing": 1, "full": 8, "quiet": 4} {
		s.Put(host(name, func(h *Host) { h.Used[VCPU] = used }))
	}
	loads := map[string]Load{"name-busy": {Busy: 3}, "name-failing": {Failed: 1}, "gone": {Failed: 9}}
	for _, test := range []struct {
		why      string
		weighers []Weigher
		group    *Group
		want     []string
	}{
		{"none: the score alone", nil, nil, []string{"busy", "failing", "quiet", "full"}},
		{"failures", []Weigher{BuildFailure}, nil, []string{"busy", "quiet", "full", "failing"}},
		{"failures, then load", []Weigher{BuildFailure, IOOps}, nil, []string{"quiet", "full", "busy", "failing"}},
		{"load, then failures", []Weigher{IOOps, BuildFailure}, nil, []string{"quiet", "full", "failing", "busy"}},
		{"a soft group first", []Weigher{IOOps}, &Group{Policy: SoftAffinity, Members: map[string]int{"busy": 1}}, []string{"busy", "failing", "quiet", "full"}},
		{"a soft group last", []Weigher{IOOps}, &Group{Policy: SoftAntiAffinity, Members: map[string]int{"failing": 1}}, []string{"quiet", "full", "busy", "failing"}},
	} {
		r := Request{Server: "s", Weighers: test.weighers, Group: test.group, Loads: loads}
		var got []string
		for _, c := range s.Rank(r, 10) {
			got = append(got, c.ID)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.why, got, test.want)
		}
	}
}

// What goes before the score of a host is said in its order.
func TestWhatGoesBeforeTheScoreIsExplained(t *testing.T) {
	s := snapshot(host("a"), host("b"), host("full", func(h *Host) { h.Used[VCPU] = 20 }))
	members := map[string]int{"a": 2}
	loads := map[string]Load{"name-b": {Busy: 3}}
	for _, test := range []struct {
		why     string
		request Request
		want    [][]Count // of the hosts that pass, the best first
	}{
		{"the score alone", Request{}, [][]Count{nil, nil}},
		{"a rule that refuses", Request{Group: &Group{Policy: AntiAffinity, MaxPerHost: 3, Members: members}}, [][]Count{nil, nil}},
		{"more of the group", Request{Group: &Group{Policy: SoftAffinity, Members: members}},
			[][]Count{{{"soft-affinity", 2}}, {{"soft-affinity", 0}}}},
		{"less of the group, then weighers", Request{Group: &Group{Policy: SoftAntiAffinity, Members: members}, Weighers: []Weigher{IOOps, BuildFailure}, Loads: loads},
			[][]Count{{{"soft-anti-affinity", 0}, {"io_ops", 3}, {"build_failure", 0}}, {{"soft-anti-affinity", 2}, {"io_ops", 0}, {"build_failure", 0}}}},
	} {
		test.request.Amounts = Amounts{1, 1, 1}
		var got [][]Count
		for _, v := range s.Explain(test.request, 2, 2).Hosts {
			switch {
			case v.Score != nil:
				got = append(got, v.Before)
			case v.Before != nil:
				t.Errorf("%s: a refused host has %v before its score, want nothing", test.why, v.Before)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.why, diff)
		}
	}
}

// Each decision takes room, so that the order changes with it. The winner is the
// score's: TestRankAgainstPlainSort compares.
func BenchmarkDecision(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n, "-hosts"), func(b *testing.B) {
			s := &Snapshot{}
			for i := range n {
				s.Put(host(fmt.Sprintf("host-%d", i), func(h *Host) {
					h.Inventory[VCPU].Total = 1000
					h.Inventory[MemoryMB].Total = 1 << 20
					h.Inventory[DiskGB].Total = 1 << 20
					h.Traits = []string{"HW_CPU_X86_AVX2", "COMPUTE_NODE"}
				}))
			}
			r := Request{Amounts: Amounts{1, 512, 1}, Zone: "nova", Required: []string{"HW_CPU_X86_AVX2"}}
			took := make([]time.Duration, 0, 1_000_000)
			b.ResetTimer()
			for i := range b.N {
				began := time.Now()
				r.Server = fmt.Sprintf("server-%d", i)
				best := s.Rank(r, 1)
				s.Hold(r.Server, best[0].ID, r.Amounts)
				took = append(took, time.Since(began))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "placements/s")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "us-p99")
		})
	}
}

func BenchmarkExplained(b *testing.B) {
	s := &Snapshot{}
	for i := range 10_000 {
		s.Put(host(fmt.Sprintf("host-%d", i), func(h *Host) { h.Up = i%10 != 0 }))
	}
	for i := range b.N {
		s.Explain(Request{Server: fmt.Sprint(i), Amounts: Amounts{1, 512, 1}}, 10, 20)
	}
}
