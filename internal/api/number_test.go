package api

import (
	"fmt"
	"testing"
)

// An integer may be written as 2.0, 2e0 or, where a text is allowed, "2"; of one that is
// too large the field is named, and no type of ours.
func TestIntegers(t *testing.T) {
	type request struct {
		Total int64            `json:"total" check:"max=300"`
		Cores *Int             `json:"cores"`
		Big   Opt[uint32]      `json:"big"`
		Map   map[string][]int `json:"map"`
		Any   any              `json:"any"`
	}
	c := &Call{service: &Service{Envelope: Keystone}}
	for _, test := range []struct{ body, want string }{
		{`{"total": 1e2, "cores": 20.0, "big": 3.0}`, "{100 20 3 map[] <nil>}"},
		{`{"cores": "020", "map": {"a": [1.0, -2e0]}, "any": [2e1]}`, "{0 20 0 map[a:[1 -2]] [2e1]}"},
		{`{"total": 1.5}`, "'total': 1.5 is not of type 'integer'"},
		{`{"total": 301.0}`, "'total': 301 is greater than the maximum of 300"},
		{`{"cores": "99999999999999999999999"}`, "'cores': 99999999999999999999999 is greater than the maximum of 9223372036854775807"},
		{`{"cores": -9223372036854775809}`, "'cores': -9223372036854775809 is less than the minimum of -9223372036854775808"},
		{`{"big": 1e10}`, "'big': 10000000000 is greater than the maximum of 4294967295"},
		{`{"big": -1}`, "'big': -1 is less than the minimum of 0"},
		{`{"map": {"a": [1, 99999999999999999999.0]}}`, "'map.a.1': 99999999999999999999 is greater than the maximum of 9223372036854775807"},
	} {
		var in request
		err := c.DecodeJSON([]byte(test.body), &in)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
			test.want = "Invalid input for field " + test.want
		case in.Cores == nil:
			got = fmt.Sprint(in)
		default:
			got = fmt.Sprint(struct{ a, b, c, d, e any }{in.Total, *in.Cores, in.Big.V, in.Map, in.Any})
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.body, got, test.want)
		}
	}
}
