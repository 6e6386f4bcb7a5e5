package boolean

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string][2]bool{
		"True": {true, true}, "1": {true, true}, "ON": {true, true}, "t": {true, true}, "y": {true, true}, "Yes": {true, true},
		"false": {false, true}, "0": {false, true}, "off": {false, true}, "F": {false, true}, "n": {false, true}, "NO": {false, true},
		"": {}, "2": {}, "maybe": {}, " true": {},
	} {
		value, ok := Parse(text)
		if value != want[0] || ok != want[1] || Is(text) != want[0] {
			t.Errorf("%q means %t, %t; want %t, %t", text, value, ok, want[0], want[1])
		}
	}
}
