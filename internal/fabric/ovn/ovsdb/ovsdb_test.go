package ovsdb

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const testSchema = `{"name": "T", "tables": {"Row": {"columns": {
	"name":  {"type": "string"},
	"count": {"type": "integer"},
	"on":    {"type": {"key": "boolean", "min": 0, "max": 1}},
	"owner": {"type": {"key": {"type": "uuid", "refTable": "Row"}}},
	"refs":  {"type": {"key": {"type": "uuid", "refTable": "Row"}, "min": 0, "max": "unlimited"}},
	"tags":  {"type": {"key": {"type": "integer", "minInteger": 0}, "min": 0, "max": 3}},
	"ids":   {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}}}}`

func columns(t *testing.T) map[string]column {
	t.Helper()
	s, err := parseSchema([]byte(testSchema))
	if err != nil {
		t.Fatal(err)
	}
	return s["Row"]
}

// Every kind of value looks the same after a way to the wire and back.
func TestValues(t *testing.T) {
	cols := columns(t)
	for _, c := range []struct {
		column string
		value  any
		wire   string
	}{
		{"name", "a\"b", `"a\"b"`},
		{"count", "-42", `-42`},
		{"on", Set{}, `["set",[]]`},
		{"on", SetOf("true"), `["set",[true]]`},
		{"owner", "0a", `["uuid","0a"]`},
		{"refs", SetOf("0a"), `["set",[["uuid","0a"]]]`},
		{"tags", SetOf("7"), `["set",[7]]`},
		{"ids", Map{"k": "v"}, `["map",[["k","v"]]]`},
		{"ids", Map{}, `["map",[]]`},
	} {
		encoded, err := cols[c.column].encode(c.value)
		if err != nil {
			t.Errorf("encode %s %v: %v", c.column, c.value, err)
			continue
		}
		wire, err := json.Marshal(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if string(wire) != c.wire {
			t.Errorf("%s %v is %s on the wire, want %s", c.column, c.value, wire, c.wire)
		}
		back, err := cols[c.column].decode(wire)
		if err != nil || !Equal(back, c.value) {
			t.Errorf("%s comes back as %v, %v, want %v", wire, back, err, c.value)
		}
	}
	// The server sends sets of one without their brackets.
	for column, wire := range map[string]string{"on": `true`, "refs": `["uuid","0a"]`, "tags": `7`} {
		value, err := cols[column].decode(json.RawMessage(wire))
		if err != nil || len(value.(Set)) != 1 {
			t.Errorf("%s %s is %v, %v, want a set of one", column, wire, value, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	cols := columns(t)
	for column, value := range map[string]any{
		"name": SetOf("x"), "refs": "x", "ids": SetOf("x"), "count": "many", "on": SetOf("perhaps"), "tags": Map{},
	} {
		encoded, err := cols[column].encode(value)
		if err == nil {
			t.Errorf("%s takes %#v as %v, want an error", column, value, encoded)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	cols := columns(t)
	for _, wire := range []string{``, `[`, `["set"]`, `["set",7]`, `["map",[["k"`, `["map",7]`, `[7,7]`} {
		for _, name := range []string{"refs", "ids"} {
			value, err := cols[name].decode(json.RawMessage(wire))
			if err == nil {
				t.Errorf("%s reads %q as %v, want an error", name, wire, value)
			}
		}
	}
}

func TestApply(t *testing.T) {
	cols := columns(t)
	for _, c := range []struct {
		column          string
		old, diff, want any
	}{
		{"name", "a", "b", "b"},
		{"on", SetOf("true"), SetOf("false"), SetOf("false")},
		{"on", SetOf("true"), Set{}, Set{}},
		{"refs", SetOf("a", "b"), SetOf("b", "c"), SetOf("a", "c")},
		{"refs", nil, SetOf("c"), SetOf("c")},
		{"ids", Map{"gone": "1", "kept": "2", "new": "old"}, Map{"gone": "1", "new": "3", "more": "4"}, Map{"kept": "2", "new": "3", "more": "4"}},
	} {
		before := fmt.Sprint(c.old)
		got := cols[c.column].apply(c.old, c.diff)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %v with %v (-want +got):\n%s", c.column, c.old, c.diff, diff)
		}
		if fmt.Sprint(c.old) != before {
			t.Errorf("%s: the old value has changed from %s to %v", c.column, before, c.old)
		}
	}
}
