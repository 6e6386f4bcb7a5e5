package scheduler

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// matches tells whether a value meets a requirement as flavors and images write
// them: "s== text", ">= 4", "<in> part", "<all-in> a b", "<or> a <or> b", or
// without an operator the text itself. "= 4" means at least 4, as in Nova.
func matches(value, requirement string) bool {
	words := strings.Fields(requirement)
	if len(words) == 0 || !slices.Contains(operators, words[0]) {
		return value == requirement
	}
	rest := words[1:]
	if len(rest) == 0 {
		return false
	}
	switch words[0] {
	case "<or>":
		return slices.Contains(strings.Fields(strings.ReplaceAll(requirement, "<or>", " ")), value)
	case "<in>":
		return strings.Contains(value, rest[0])
	case "<all-in>":
		return !slices.ContainsFunc(rest, func(part string) bool { return !strings.Contains(value, part) })
	}
	text, isText := strings.CutPrefix(words[0], "s")
	if isText {
		return compares(text, strings.Compare(value, rest[0]))
	}
	have, haveErr := strconv.ParseFloat(value, 64)
	want, wantErr := strconv.ParseFloat(rest[0], 64)
	if haveErr != nil || wantErr != nil {
		return false
	}
	sign := cmp.Compare(have, want)
	if words[0] == "=" {
		return sign >= 0
	}
	return compares(words[0], sign)
}

var operators = strings.Fields("= == != >= <= > < s== s!= s>= s<= s> s< <in> <all-in> <or>")

// compares tells whether an operator holds of a comparison.
func compares(operator string, sign int) bool {
	switch operator {
	case "==":
		return sign == 0
	case "!=":
		return sign != 0
	case "<":
		return sign < 0
	case "<=":
		return sign <= 0
	case ">":
		return sign > 0
	case ">=":
		return sign >= 0
	}
	return false
}
