package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// maxDepth bounds how deep parentheses and nots may nest. Real files need four.
const maxDepth = 64

// parse turns one rule of the oslo.policy language into a tree of checks.
//
// The language: checks such as role:admin, joined by not, and, or (binding in
// this order) and parentheses. "@" or nothing at all lets everybody pass, "!"
// nobody. Words are set apart by spaces; parentheses may touch a check, since
// those inside one (%(project_id)s) never stand at its ends.
func parse(text string) (*check, error) {
	if text == "" {
		return &check{op: always, text: "@"}, nil
	}
	p := parser{words: split(text)}
	c, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.next < len(p.words) {
		return nil, fmt.Errorf("unexpected %q", p.words[p.next])
	}
	return c, nil
}

// split cuts a rule into parentheses, operators and checks.
func split(text string) []string {
	var words []string
	for _, field := range strings.FieldsFunc(text, unicode.IsSpace) {
		body := strings.TrimLeft(field, "(")
		for range len(field) - len(body) {
			words = append(words, "(")
		}
		word := strings.TrimRight(body, ")")
		if word != "" {
			words = append(words, word)
		}
		for range len(body) - len(word) {
			words = append(words, ")")
		}
	}
	return words
}

// parser descends through the words: or, then and, then not, then one check.
type parser struct {
	words []string
	next  int
}

func (p *parser) or(depth int) (*check, error) {
	return p.chain(anyOf, "or", depth, p.and)
}

func (p *parser) and(depth int) (*check, error) {
	return p.chain(allOf, "and", depth, p.not)
}

// chain reads operands joined by one operator.
func (p *parser) chain(op op, word string, depth int, operand func(int) (*check, error)) (*check, error) {
	first, err := operand(depth)
	if err != nil {
		return nil, err
	}
	parts := []*check{first}
	for p.at(word) {
		p.next++
		part, err := operand(depth)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if len(parts) == 1 {
		return first, nil
	}
	return &check{op: op, parts: parts}, nil
}

func (p *parser) not(depth int) (*check, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	if !p.at("not") {
		return p.one(depth)
	}
	p.next++
	part, err := p.not(depth + 1)
	if err != nil {
		return nil, err
	}
	return &check{op: negate, parts: []*check{part}}, nil
}

func (p *parser) one(depth int) (*check, error) {
	if p.next == len(p.words) {
		return nil, errors.New("a check is missing at the end")
	}
	word := p.words[p.next]
	p.next++
	switch {
	case word == "(":
		inner, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.at(")") {
			return nil, errors.New("a closing parenthesis is missing")
		}
		p.next++
		return inner, nil
	case word == ")" || operator(word):
		return nil, fmt.Errorf("unexpected %q", word)
	}
	return leaf(word)
}

// at tells whether the next word is this operator or parenthesis.
func (p *parser) at(word string) bool {
	return p.next < len(p.words) && strings.EqualFold(p.words[p.next], word)
}

func operator(word string) bool {
	return strings.EqualFold(word, "and") || strings.EqualFold(word, "or") || strings.EqualFold(word, "not")
}

// joinLists rewrites the legacy form of a rule, an outer list of alternatives
// each of which is a check or a list of checks that must all pass.
func joinLists(outer []any) (string, error) {
	if len(outer) == 0 {
		return "@", nil
	}
	var alternatives []string
	for _, inner := range outer {
		list, ok := inner.([]any)
		if !ok {
			list = []any{inner}
		}
		if len(list) == 0 {
			continue
		}
		var checks []string
		for _, item := range list {
			word, ok := item.(string)
			if !ok || word == "" || operator(word) || strings.ContainsFunc(word, unicode.IsSpace) {
				return "", fmt.Errorf("%v is not a check", item)
			}
			checks = append(checks, word)
		}
		alternatives = append(alternatives, "("+strings.Join(checks, " and ")+")")
	}
	if len(alternatives) == 0 {
		return "!", nil
	}
	return strings.Join(alternatives, " or "), nil
}
