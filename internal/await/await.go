// Package await lets a test wait for what comes in its own time: not by sleeping
// and hoping, but by looking at a condition, with a deadline.
package await

import (
	"testing"
	"time"
)

// Until looks at the condition until it holds, often at first and then ever less,
// and fails the test when it does not hold in time.
func Until(t testing.TB, what string, patience time.Duration, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for pause := time.Millisecond; !holds(); pause = min(pause*5/4, 50*time.Millisecond) {
		select {
		case <-deadline.C:
			t.Fatalf("waited %s in vain: %s", patience, what)
			return
		case <-time.After(pause):
		}
	}
}
