package db

import (
	"errors"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/boolean"
)

// Match says how a filter compares.
type Match int

// The ways to compare.
const (
	Equal    Match = iota // one of the values
	Flag                  // a truth value, kept as 0 or 1
	Number                // an integer, one of the values
	Contains              // the text occurs in the column, in capitals or not
	Matches               // a regular expression, which the column as text matches somewhere, in any case
	Dated                 // the same for a time, as 2026-01-01 00:00:00
	Since                 // a time at or after the value (ISO 8601)
	AtLeast               // an integer not below the value
	AtMost                // an integer not above the value
	Compared              // times, as gt:2026-01-01T00:00:00,lte:…; one without an operator is equal
)

// Filter is one column that a list can be filtered by.
type Filter struct {
	Column string
	Match  Match
}

// Cond is a filter with the values asked for.
type Cond struct {
	Filter
	Values []any
}

// Cond checks the values of a filter. The error says to the user what a value is not.
func (f Filter) Cond(values []string) (Cond, error) {
	c := Cond{Filter: f}
	for _, text := range values {
		switch f.Match {
		case Flag:
			value, ok := boolean.Parse(text)
			if !ok {
				return Cond{}, errors.New("it is not a truth value")
			}
			bit := 0
			if value {
				bit = 1
			}
			c.Values = append(c.Values, bit)
		case Number, AtLeast, AtMost:
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return Cond{}, errors.New("it is not an integer")
			}
			c.Values = append(c.Values, n)
		case Since:
			t, err := ParseTime(text)
			if err != nil {
				return Cond{}, errors.New("it is not a time")
			}
			c.Values = append(c.Values, At(t))
		case Matches, Dated:
			err := CheckPattern(text)
			if err != nil {
				return Cond{}, err
			}
			c.Values = []any{text} // the last one counts
		case Compared:
			for _, part := range strings.Split(text, ",") {
				b, err := readBound(part)
				if err != nil {
					return Cond{}, err
				}
				c.Values = append(c.Values, b)
			}
		default:
			c.Values = append(c.Values, text)
		}
	}
	return c, nil
}

// bound is one side of a comparison.
type bound struct {
	operator string // of SQL
	value    Time
}

var operators = map[string]string{"gt": ">", "gte": ">=", "eq": "=", "neq": "<>", "lt": "<", "lte": "<="}

func readBound(text string) (bound, error) {
	word, rest, found := strings.Cut(text, ":")
	operator, known := operators[word]
	if !found || !known {
		operator, rest = "=", text
	}
	t, err := ParseTime(rest)
	if err != nil {
		return bound{}, errors.New("it is not a time")
	}
	return bound{operator, At(t)}, nil
}

// Where adds the conditions to a query.
func Where(q *bun.SelectQuery, conds []Cond) *bun.SelectQuery {
	for _, c := range conds {
		column := bun.Ident(c.Column)
		switch c.Match {
		case Contains:
			q = q.Where(`LOWER(?) LIKE ? ESCAPE '\'`, column, AnyCase(Like(c.Values[0].(string))))
		case Matches:
			q = Matching(q, c.Column, c.Values[0].(string))
		case Dated:
			q = matchingTime(q, c.Column, c.Values[0].(string))
		case Since, AtLeast:
			q = q.Where("? >= ?", column, c.Values[0])
		case AtMost:
			q = q.Where("? <= ?", column, c.Values[0])
		case Compared:
			for _, value := range c.Values {
				b := value.(bound)
				q = q.Where("? "+b.operator+" ?", column, b.value)
			}
		default:
			q = q.Where("? IN (?)", column, In(c.Values))
		}
	}
	return q
}
