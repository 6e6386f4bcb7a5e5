package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Limits of what a file may ask for.
const (
	maxSpeed = 100
	maxHosts = 10000
	maxSlow  = 1000
)

// Read reads the scenario of a file, whose hosts are called name-1 and so on. One
// that has no hosts gets so many usual ones. An error says in which line, and why.
func Read(path, name string, hosts int) (*Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	s, err := parse(text, name, hosts)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", path, err)
	}
	return s, nil
}

// mistake is what is wrong with a place of the file.
func mistake(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", n.Line, fmt.Errorf(format, args...))
}

func parse(text []byte, name string, hosts int) (*Scenario, error) {
	s := &Scenario{Speed: 1, Seed: 1}
	r := reader{s: s, name: name}
	var file yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&file)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(file.Content) > 0 {
		err = words(file.Content[0], map[string]read{
			"speed":  number(&s.Speed, 1, maxSpeed),
			"seed":   whole(&s.Seed, 0, 1<<53),
			"hosts":  each(r.host),
			"events": each(r.event),
		})
		if err != nil {
			return nil, err
		}
	}
	for len(s.Hosts) < hosts && !r.named {
		s.Hosts = append(s.Hosts, Host{Name: r.next()})
	}
	for i, at := range r.hosts { // they may stand below the events
		name := s.Events[i].Host
		_, known := s.Host(name)
		if name != "" && !known {
			return nil, mistake(at, "there is no host %s; %s", name, s.names())
		}
	}
	return s, nil
}

// names says which hosts there are.
func (s *Scenario) names() string {
	first, last := s.Hosts[0].Name, s.Hosts[len(s.Hosts)-1].Name
	if first == last {
		return "the only one is " + first
	}
	return fmt.Sprintf("there are %s to %s", first, last)
}

// reader reads hosts and events into a scenario.
type reader struct {
	s     *Scenario
	name  string       // that all hosts begin with
	named bool         // the file has hosts
	hosts []*yaml.Node // where each event names its host
}

// next is the name of the next host.
func (r *reader) next() string { return fmt.Sprintf("%s-%d", r.name, len(r.s.Hosts)+1) }

// host reads a host, or several of a kind.
func (r *reader) host(n *yaml.Node) error {
	h, count := Host{}, 1
	err := words(n, map[string]read{
		"count":     whole(&count, 1, maxHosts),
		"vcpus":     whole(&h.VCPUs, 1, 1<<16),
		"memory_mb": whole(&h.MemoryMB, 1, 1<<30),
		"disk_gb":   whole(&h.DiskGB, 1, 1<<30),
		"takes":     byOp(&h.Takes, span),
		"fails":     byOp(&h.Fails, share),
	})
	if err != nil {
		return err
	}
	r.named = true
	for range count {
		h.Name = r.next()
		r.s.Hosts = append(r.s.Hosts, h)
	}
	if len(r.s.Hosts) > maxHosts {
		return mistake(n, "these are more than %d hosts", maxHosts)
	}
	return nil
}

func (r *reader) event(n *yaml.Node) error {
	var e Event
	var where *yaml.Node
	err := words(n, map[string]read{
		"host": func(n *yaml.Node) (err error) {
			where, e.Host = n, n.Value
			return text(n)
		},
		"fault": func(n *yaml.Node) error {
			if !slices.Contains(faults, n.Value) {
				return mistake(n, "there is no fault %q; there are %s", n.Value, strings.Join(faults, ", "))
			}
			e.Fault = Fault(n.Value)
			return nil
		},
		"at": duration(&e.At), "for": duration(&e.For), "every": duration(&e.Every), "by": number(&e.By, 1, maxSlow),
	})
	switch {
	case err != nil:
		return err
	case where == nil:
		return mistake(n, "an event needs a host: one of them, or any")
	case e.Fault == "":
		return mistake(n, "an event needs a fault: %s", strings.Join(faults, ", "))
	case (e.Fault == Slow) != (e.By > 0):
		return mistake(n, "by says how many times as slow a host becomes by the fault slow, which needs it")
	case e.Every > 0 && (e.For == 0 || e.For >= e.Every):
		return mistake(n, "an event that comes again needs a shorter time in for than in every")
	}
	if e.Host == "any" {
		e.Host = ""
	}
	r.s.Events, r.hosts = append(r.s.Events, e), append(r.hosts, where)
	return nil
}

// read reads a part of the file.
type read func(n *yaml.Node) error

// words reads what stands behind words, and refuses those that nobody knows.
func words(n *yaml.Node, known map[string]read) error {
	if n.Kind != yaml.MappingNode {
		return mistake(n, "here should be words and what they are: %s", listed(known))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		word, value := n.Content[i], n.Content[i+1]
		do := known[word.Value]
		switch {
		case do == nil:
			return mistake(word, "there is no %q here; there are %s", word.Value, listed(known))
		case seen[word.Value]:
			return mistake(word, "%s is here for the second time", word.Value)
		}
		seen[word.Value] = true
		err := do(value)
		if err != nil {
			return err
		}
	}
	return nil
}

func listed(known map[string]read) string {
	var list []string
	for word := range known {
		list = append(list, word)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func each(do read) read {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			return mistake(n, "here should be a list")
		}
		for _, part := range n.Content {
			err := do(part)
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// byOp reads something for each operation.
func byOp[V any](into *map[Op]V, of func(n *yaml.Node) (V, error)) read {
	return func(n *yaml.Node) error {
		*into = map[Op]V{}
		known := map[string]read{}
		for _, op := range ops {
			known[op] = func(n *yaml.Node) (err error) {
				(*into)[Op(op)], err = of(n)
				return err
			}
		}
		return words(n, known)
	}
}

func text(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return mistake(n, "here should be a word")
	}
	return nil
}

func number(into *float64, from, to float64) read {
	return func(n *yaml.Node) (err error) {
		*into, err = strconv.ParseFloat(n.Value, 64)
		if err != nil || !(*into >= from && *into <= to) {
			return mistake(n, "%q is no number from %v to %v", n.Value, from, to)
		}
		return nil
	}
}

func whole[N int | uint64](into *N, from, to N) read {
	return func(n *yaml.Node) error {
		v, err := strconv.ParseUint(n.Value, 10, 62)
		if err != nil || N(v) < from || N(v) > to {
			return mistake(n, "%q is no whole number from %d to %d", n.Value, from, to)
		}
		*into = N(v)
		return nil
	}
}

func duration(into *time.Duration) read {
	return func(n *yaml.Node) (err error) {
		*into, err = time.ParseDuration(n.Value)
		if err != nil || *into < 0 {
			return mistake(n, "%q is no time such as 300ms, 20s, 5m or 1h30m", n.Value)
		}
		return nil
	}
}

// span reads a time, or two with "to" between them.
func span(n *yaml.Node) (s Span, err error) {
	from, to, two := strings.Cut(n.Value, " to ")
	if !two {
		to = from
	}
	s.From, err = time.ParseDuration(strings.TrimSpace(from))
	if err == nil {
		s.To, err = time.ParseDuration(strings.TrimSpace(to))
	}
	if err != nil || s.From < 0 || s.To < s.From {
		return s, mistake(n, "%q is no time such as 2s, or two such as 2s to 5s", n.Value)
	}
	return s, nil
}

// share reads a percentage.
func share(n *yaml.Node) (float64, error) {
	digits, percent := strings.CutSuffix(n.Value, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || !percent || !(v >= 0 && v <= 100) {
		return 0, mistake(n, "%q is no percentage from 0%% to 100%%", n.Value)
	}
	return v / 100, nil
}
