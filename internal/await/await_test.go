package await

import (
	"testing"
	"time"
)

type judge struct {
	testing.TB
	failed bool
}

func (j *judge) Helper()               {}
func (j *judge) Fatalf(string, ...any) { j.failed = true }

func TestUntilEndsWithTheCondition(t *testing.T) {
	looks := 0
	j := &judge{TB: t}
	Until(j, "the third look", time.Minute, func() bool { looks++; return looks == 3 })
	if looks != 3 || j.failed {
		t.Errorf("looked %d times, failed is %t; want 3 looks and no failure", looks, j.failed)
	}
}

func TestUntilFailsAtTheDeadline(t *testing.T) {
	j := &judge{TB: t}
	Until(j, "what never comes", 5*time.Millisecond, func() bool { return false })
	if !j.failed {
		t.Error("waiting for what never comes did not fail the test")
	}
}
