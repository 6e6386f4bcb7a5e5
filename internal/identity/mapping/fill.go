package mapping

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// filler writes the values of attributes into the places {0}, {1} and so on of
// rules, once: what a value holds is no place to fill in. It keeps the first
// error.
type filler struct {
	values [][]string
	err    error
}

// place matches a place, and doubled braces, which stand for themselves.
var place = regexp.MustCompile(`\{\{|\}\}|\{\d+\}|[{}]`)

// at gives the values for a place.
func (f *filler) at(text string) []string {
	n, err := strconv.Atoi(strings.Trim(text, "{}"))
	if err != nil || n >= len(f.values) {
		f.fail("the mapping has a place %s for which its rule has no attribute", text)
		return nil
	}
	return f.values[n]
}

func (f *filler) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// optional fills in a text; it is empty when a place in it has not one value.
func (f *filler) optional(text string) string {
	whole := true
	filled := place.ReplaceAllStringFunc(text, func(found string) string {
		switch found {
		case "{{", "}}":
			return found[:1]
		}
		values := f.at(found)
		if len(values) != 1 {
			whole = false
			return ""
		}
		return values[0]
	})
	if !whole {
		return ""
	}
	return filled
}

// one fills in a text whose places have one value each.
func (f *filler) one(text string) string {
	filled := f.optional(text)
	if filled == "" && text != "" {
		f.fail("the mapping's %q wants one value of each attribute", text)
	}
	return filled
}

// list fills in a text that may be a place alone, and so stand for all values.
func (f *filler) list(text string) []string {
	if place.FindString(text) == text && len(text) > 2 {
		return f.at(text)
	}
	filled := f.one(text)
	if filled == "" {
		return nil
	}
	return []string{filled}
}

// ref fills in a reference; nil stays nil.
func (f *filler) ref(r *Ref) *Ref {
	if r == nil {
		return nil
	}
	return &Ref{ID: f.one(r.ID), Name: f.one(r.Name)}
}
