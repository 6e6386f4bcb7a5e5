package auth

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"go.yaml.in/yaml/v4"
)

// Policy answers whether a caller may. It is safe for concurrent use, and an
// override replaces all its rules at once.
type Policy struct {
	defaults []Rule
	table    atomic.Pointer[table]
}

// table is one consistent set of rules, immutable once it is in use.
type table struct {
	order  []string // as registered, then what only the operator's file names
	text   map[string]string
	checks map[string]*check
}

// NewPolicy compiles rules. A name given twice, a reference to an unknown
// rule, a circle or bad syntax is an error that names the rule.
func NewPolicy(rules []Rule) (*Policy, error) {
	p := &Policy{defaults: slices.Clone(rules)}
	seen := make(map[string]bool, len(rules))
	for _, r := range rules {
		if seen[r.Name] {
			return nil, fmt.Errorf("policy rule %q is registered twice", r.Name)
		}
		seen[r.Name] = true
	}
	t, err := compile(p.defaults, nil)
	if err != nil {
		return nil, err
	}
	p.table.Store(t)
	return p, nil
}

// Override lays an operator's file over the defaults: YAML or JSON, a mapping
// of rule names to checks, in the oslo.policy format. Names that no service
// registered are helpers for other lines of the file. The file counts whole or,
// when anything in it is wrong, not at all. A later Override forgets an earlier one.
func (p *Policy) Override(file []byte) error {
	var raw map[string]any
	err := yaml.Unmarshal(file, &raw)
	if err != nil {
		return fmt.Errorf("read policy file: %w", err)
	}
	over := make(map[string]string, len(raw))
	for name, value := range raw {
		switch v := value.(type) {
		case string:
			over[name] = v
		case []any:
			over[name], err = joinLists(v)
			if err != nil {
				return fmt.Errorf("policy rule %q: %w", name, err)
			}
		default:
			return fmt.Errorf("policy rule %q: want text or a list, got %T", name, value)
		}
	}
	t, err := compile(p.defaults, over)
	if err != nil {
		return err
	}
	p.table.Store(t)
	return nil
}

// Allows tells whether the caller may do to the target what the rule guards.
// An unknown rule allows nobody.
func (p *Policy) Allows(rule string, caller Caller, target Target) bool {
	c := p.table.Load().checks[rule]
	return c != nil && c.allows(&caller, &target)
}

// Has tells whether a rule of that name exists.
func (p *Policy) Has(rule string) bool { return p.table.Load().checks[rule] != nil }

// Rules lists the rules in force, in the order they were registered.
func (p *Policy) Rules() []Rule {
	t := p.table.Load()
	rules := make([]Rule, 0, len(t.order))
	for _, name := range t.order {
		rules = append(rules, Rule{Name: name, Check: t.text[name]})
	}
	return rules
}

func compile(defaults []Rule, over map[string]string) (*table, error) {
	t := &table{text: make(map[string]string, len(defaults)+len(over))}
	for _, r := range defaults {
		t.order = append(t.order, r.Name)
		t.text[r.Name] = r.Check
	}
	for _, name := range slices.Sorted(maps.Keys(over)) {
		_, registered := t.text[name]
		if !registered {
			t.order = append(t.order, name)
		}
		t.text[name] = over[name]
	}
	t.checks = make(map[string]*check, len(t.text))
	for _, name := range t.order {
		c, err := parse(t.text[name])
		if err != nil {
			return nil, fmt.Errorf("policy rule %q: %w", name, err)
		}
		t.checks[name] = c
	}
	done := make(map[string]bool, len(t.text))
	for _, name := range t.order {
		err := t.resolve(name, t.checks[name], []string{name}, done)
		if err != nil {
			return nil, fmt.Errorf("policy rule %q: %w", name, err)
		}
	}
	return t, nil
}

// resolve links rule:NAME checks to what they name, and refuses circles.
func (t *table) resolve(name string, c *check, path []string, done map[string]bool) error {
	if done[name] {
		return nil
	}
	err := t.link(c, path, done)
	if err != nil {
		return err
	}
	done[name] = true
	return nil
}

func (t *table) link(c *check, path []string, done map[string]bool) error {
	if c.op != rule {
		for _, part := range c.parts {
			err := t.link(part, path, done)
			if err != nil {
				return err
			}
		}
		return nil
	}
	named := t.checks[c.name]
	if named == nil {
		return fmt.Errorf("refers to unknown rule %q", c.name)
	}
	if slices.Contains(path, c.name) {
		return fmt.Errorf("refers to itself through %q", c.name)
	}
	err := t.resolve(c.name, named, append(slices.Clone(path), c.name), done)
	if err != nil {
		return err
	}
	c.parts = []*check{named}
	return nil
}
