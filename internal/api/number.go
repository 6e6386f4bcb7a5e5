package api

import (
	"encoding/json"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// wholes writes numbers as digits where the type has integers. JSON knows one kind of
// number, so 1.0 and 1e2 are integers for OpenStack; Go's decoder wants digits. So is a
// text of digits where either is allowed: limits then hold for both.
func wholes(value any, t reflect.Type, v Version) any {
	t = pointed(t)
	switch x := value.(type) {
	case json.Number:
		if integral(t) {
			return whole(x)
		}
	case string:
		if integral(t) && digits.MatchString(x) && len(x) <= mostNumber && takesText(t, v) {
			return whole(json.Number(x))
		}
	case []any:
		if t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
			for i, item := range x {
				x[i] = wholes(item, t.Elem(), v)
			}
		}
	case map[string]any:
		switch t.Kind() {
		case reflect.Map:
			for name, member := range x {
				x[name] = wholes(member, t.Elem(), v)
			}
		case reflect.Struct:
			eachField(t, v, func(name string, f reflect.StructField) {
				member, has := x[name]
				if has {
					x[name] = wholes(member, f.Type, v)
				}
			})
		}
	}
	return value
}

var digits = regexp.MustCompile(`^-?[0-9]+$`)

// pointed is the type behind pointers and Opts.
func pointed(t reflect.Type) reflect.Type {
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case isOpt(t):
			t = t.Field(2).Type
		default:
			return t
		}
	}
}

func integral(t reflect.Type) bool { return reflect.Int <= t.Kind() && t.Kind() <= reflect.Uint64 }

func takesText(t reflect.Type, v Version) bool {
	kinds, _ := schemaOf(t, "", v)["type"].([]any)
	return slices.Contains(kinds, any("string"))
}

func whole(n json.Number) json.Number {
	exact, ok := new(big.Rat).SetString(string(n))
	if !ok || !exact.IsInt() {
		return n
	}
	return json.Number(exact.Num().String())
}

// span limits an integer to what its type can hold.
func span(s map[string]any, t reflect.Type) {
	one, bits := big.NewInt(1), uint(t.Bits())
	least := new(big.Int)
	if t.Kind() <= reflect.Int64 {
		bits--
		least.Neg(least.Lsh(one, bits))
	}
	most := new(big.Int).Lsh(one, bits)
	s["minimum"], s["maximum"] = json.Number(least.String()), json.Number(most.Sub(most, one).String())
}

// mismatched is what the decoder refuses though the schema does not, in words that leave
// out our types.
func mismatched(e *json.UnmarshalTypeError) Violation {
	return Violation{Path: e.Field, Field: e.Field[strings.LastIndexByte(e.Field, '.')+1:], Value: e.Value, Text: e.Value + " is not valid", Rule: "type"}
}
