package scheduler

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is what became of one host.
type Verdict struct {
	ID      string             `json:"id"`
	Host    string             `json:"host"`
	Score   *float64           `json:"score"`   // nil when refused
	Factors map[string]float64 `json:"factors"` // nil when refused
	Refused Filter             `json:"refused_by,omitempty"`
	Reason  string             `json:"reason,omitempty"`
}

// Explanation is a decision with its reasons. In a large cloud it names the
// best hosts and some refused ones; the counts are always about all.
type Explanation struct {
	Considered int            `json:"considered"`
	Passed     int            `json:"passed"`
	Refused    map[Filter]int `json:"refused"`
	Hosts      []Verdict      `json:"hosts"` // passed ones first, best first
}

// Explain decides again, at leisure, and gives the reasons: the best hosts, at
// most passed of them, and at most refused others.
func (s *Snapshot) Explain(r Request, passed, refused int) Explanation {
	q := s.compile(r)
	e := Explanation{Considered: len(s.ids), Refused: map[Filter]int{}}
	var others []int
	for i := range s.ids {
		f := s.refuse(&q, i)
		if f == "" {
			e.Passed++
			continue
		}
		e.Refused[f]++
		others = append(others, i)
	}
	for _, c := range s.Rank(r, min(passed, e.Passed)) {
		e.Hosts = append(e.Hosts, Verdict{
			ID: c.ID, Host: c.Host, Score: &c.Score,
			Factors: map[string]float64{"VCPU": c.Factors[VCPU], "MEMORY_MB": c.Factors[MemoryMB], "DISK_GB": c.Factors[DiskGB]},
		})
	}
	slices.SortFunc(others, func(i, j int) int { return strings.Compare(s.host[i].Name, s.host[j].Name) })
	for _, i := range others[:min(refused, len(others))] {
		f := s.refuse(&q, i)
		e.Hosts = append(e.Hosts, Verdict{ID: s.ids[i], Host: s.host[i].Name, Refused: f, Reason: s.why(&q, i, f)})
	}
	return e
}

// Summary says in one sentence why no host passed.
func (e Explanation) Summary() string {
	if e.Considered == 0 {
		return "There are no compute hosts."
	}
	filters := make([]Filter, 0, len(e.Refused))
	for f := range e.Refused {
		filters = append(filters, f)
	}
	slices.SortFunc(filters, func(a, b Filter) int {
		if e.Refused[a] != e.Refused[b] {
			return e.Refused[b] - e.Refused[a]
		}
		return strings.Compare(string(a), string(b))
	})
	parts := make([]string, len(filters))
	for i, f := range filters {
		parts[i] = fmt.Sprintf("%d by %s", e.Refused[f], f)
		for _, v := range e.Hosts {
			if v.Refused == f {
				parts[i] += fmt.Sprintf(" (%s: %s)", v.Host, v.Reason)
				break
			}
		}
	}
	return fmt.Sprintf("%d of %d hosts refused: %s.", e.Considered-e.Passed, e.Considered, strings.Join(parts, ", "))
}
