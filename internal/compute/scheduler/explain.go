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
	Score   *float64           `json:"score"`            // nil when refused
	Factors map[string]float64 `json:"factors"`          // nil when refused
	Before  []Count            `json:"before,omitempty"` // what goes before the score, in its order
	Refused Filter             `json:"refused_by,omitempty"`
	Reason  string             `json:"reason,omitempty"`
}

// Explanation is a decision with its reasons. In a large cloud it names the
// best hosts and some refused ones, and may leave out hosts with lower scores;
// the counts are about all that were considered.
type Explanation struct {
	Considered int            `json:"considered"`
	Left       int            `json:"not_considered,omitempty"` // enough of the hosts before them had passed
	Passed     int            `json:"passed"`
	Refused    map[Filter]int `json:"refused"`
	Hosts      []Verdict      `json:"hosts"` // passed ones first, best first
}

// explainedWhole is how many hosts a cloud may have for each to be considered,
// though the best have passed.
const explainedWhole = 256

// Explain decides and gives the reasons: the best hosts, at most passed of them,
// and at most refused others.
func (s *Snapshot) Explain(r Request, passed, refused int) Explanation {
	q := s.compile(r)
	e := Explanation{Refused: map[Filter]int{}}
	whole := len(s.ids) <= explainedWhole
	var others []int
	s.each(&q, func(i int) bool {
		e.Considered++
		f := s.refuse(&q, i)
		switch {
		case f == "":
			e.Passed++
			if e.Passed <= passed {
				e.Hosts = append(e.Hosts, s.passed(&q, i))
			}
		default:
			e.Refused[f]++
			if whole || len(others) < refused {
				others = append(others, i)
			}
		}
		return whole || e.Passed < passed
	})
	e.Left = len(s.ids) - e.Considered
	slices.SortFunc(others, func(i, j int) int { return strings.Compare(s.host[i].Name, s.host[j].Name) })
	for _, i := range others[:min(refused, len(others))] {
		f := s.refuse(&q, i)
		e.Hosts = append(e.Hosts, Verdict{ID: s.ids[i], Host: s.host[i].Name, Refused: f, Reason: s.why(&q, i, f)})
	}
	return e
}

func (s *Snapshot) passed(q *query, i int) Verdict {
	c := s.candidate(i)
	return Verdict{
		ID: c.ID, Host: c.Host, Score: &c.Score, Before: q.counts(s, i),
		Factors: map[string]float64{"VCPU": c.Factors[VCPU], "MEMORY_MB": c.Factors[MemoryMB], "DISK_GB": c.Factors[DiskGB]},
	}
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
