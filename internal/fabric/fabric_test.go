package fabric_test

import (
	"slices"
	"testing"

	"nacre/internal/fabric"
)

// A reader who lags behind is told that hints were lost, behind what there was room for.
func TestHint(t *testing.T) {
	changed := make(chan string, 2)
	for _, port := range []string{"a", "b", "c", "d"} {
		fabric.Hint(changed, port)
	}
	close(changed)
	var got []string
	for port := range changed {
		got = append(got, port)
	}
	if len(got) != 2 || !slices.Contains(got, "") {
		t.Errorf("a reader with room for two of four hints reads %q, want two, one of them empty", got)
	}
}
