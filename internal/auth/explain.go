package auth

// Reason is why a check holds for a caller and a target, or does not.
type Reason struct {
	Check   string   `json:"check"` // as the rule has it: role:admin, rule:project_reader, and, or, not
	Holds   bool     `json:"holds"`
	Because []Reason `json:"because,omitempty"` // the operands, or what a named rule says
}

// Explain evaluates a rule as Allows does and tells how each part of it came
// out. Every part is looked at, also where the answer is clear before. There is
// nothing to tell about an unknown rule.
func (p *Policy) Explain(rule string, caller Caller, target Target) (why Reason, known bool) {
	c := p.table.Load().checks[rule]
	if c == nil {
		return Reason{}, false
	}
	return c.explain(&caller, &target), true
}

func (c *check) explain(caller *Caller, target *Target) Reason {
	r := Reason{Check: c.text, Holds: c.allows(caller, target)}
	switch c.op {
	case negate:
		r.Check = "not"
	case allOf:
		r.Check = "and"
	case anyOf:
		r.Check = "or"
	}
	for _, part := range c.parts {
		r.Because = append(r.Because, part.explain(caller, target))
	}
	return r
}
