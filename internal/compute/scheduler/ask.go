package scheduler

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ask is the hint query: a condition on hosts as a list of lists, the operator
// first, such as ["and", [">=", "$free_ram_mb", 1024], ["in", "$host", "a", "b"]].
type ask struct {
	operator string
	args     []any // *ask or a text
	broken   error
}

// askDepth bounds how deep conditions may lie in each other.
const askDepth = 16

// parseAsk reads a query. One that makes no sense is kept with its error, which
// every host is then refused for.
func parseAsk(text string) *ask {
	if text == "" {
		return nil
	}
	var raw any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	err := decoder.Decode(&raw)
	if err != nil {
		return &ask{broken: errors.New("it is not JSON")}
	}
	a, err := newAsk(raw, askDepth)
	if err != nil {
		return &ask{broken: err}
	}
	return a
}

func newAsk(raw any, depth int) (*ask, error) {
	list, isList := raw.([]any)
	if !isList || len(list) == 0 || depth == 0 {
		return nil, errors.New("a condition is a list with an operator")
	}
	a := &ask{}
	a.operator, _ = list[0].(string)
	switch a.operator {
	case "and", "or", "not":
		for _, arg := range list[1:] {
			inner, err := newAsk(arg, depth-1)
			if err != nil {
				return nil, err
			}
			a.args = append(a.args, inner)
		}
		return a, nil
	case "=", "<", ">", "<=", ">=", "in":
		for _, arg := range list[1:] {
			a.args = append(a.args, fmt.Sprint(arg))
		}
		if len(a.args) < 2 {
			return nil, fmt.Errorf("operator %s needs two values", a.operator)
		}
		return a, nil
	}
	return nil, fmt.Errorf("%.32q is no operator", fmt.Sprint(list[0]))
}

// holds tells whether a host meets the condition. A host that does not have what
// is asked for does not.
func (a *ask) holds(q *query, s *Snapshot, i int) (bool, error) {
	if a.broken != nil {
		return false, a.broken
	}
	switch a.operator {
	case "and", "or", "not":
		n := 0
		for _, arg := range a.args {
			yes, err := arg.(*ask).holds(q, s, i)
			if err != nil {
				return false, err
			}
			if yes {
				n++
			}
		}
		switch a.operator {
		case "and":
			return n == len(a.args), nil
		case "or":
			return n > 0, nil
		}
		return n == 0, nil
	}
	values := make([]string, len(a.args))
	for k, arg := range a.args {
		values[k], _ = arg.(string)
		name, isAttribute := strings.CutPrefix(values[k], "$")
		if !isAttribute {
			continue
		}
		value, known := q.attribute(s, i, name)
		if !known {
			return false, nil
		}
		values[k] = value
	}
	any := false
	for _, value := range values[1:] {
		yes := a.compare(values[0], value)
		if a.operator != "in" && !yes {
			return false, nil
		}
		any = any || yes
	}
	return any, nil
}

// compare compares as numbers what are numbers, and else as texts.
func (a *ask) compare(x, y string) bool {
	operator := a.operator
	if operator == "=" || operator == "in" {
		operator = "=="
	}
	sign := strings.Compare(x, y)
	left, leftErr := strconv.ParseFloat(x, 64)
	right, rightErr := strconv.ParseFloat(y, 64)
	if leftErr == nil && rightErr == nil {
		sign = cmp.Compare(left, right)
	}
	return compares(operator, sign)
}
