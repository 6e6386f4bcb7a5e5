package clock

import (
	"testing"
	"time"
)

// A fast clock goes on from what it showed, and wakes sleepers sooner.
func TestFast(t *testing.T) {
	start := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	base := NewManual(start)
	fast := NewFast(base, start, start.Add(time.Hour), 10)
	if got := fast.Now(); !got.Equal(start.Add(time.Hour)) {
		t.Errorf("it begins at %s, want an hour after %s", got, start)
	}
	woken := fast.After(time.Minute)
	base.Advance(5 * time.Second)
	select {
	case <-woken:
		t.Error("a sleeper was woken after 50 of 60 seconds")
	default:
	}
	base.Advance(time.Second)
	<-woken
	if got := fast.Now(); !got.Equal(start.Add(time.Hour + time.Minute)) {
		t.Errorf("after 6 seconds it shows %s, want a minute later", got)
	}
}
