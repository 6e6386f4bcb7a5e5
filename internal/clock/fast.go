package clock

import "time"

// Fast is a clock that runs several times as fast as another one, from a time on.
type Fast struct {
	of    Clock
	began time.Time // by the other one
	shown time.Time // then
	speed float64
}

// NewFast makes a clock that shows a time when the other one shows began.
func NewFast(of Clock, began, shown time.Time, speed float64) Fast {
	return Fast{of, began, shown, speed}
}

// Now implements Clock.
func (f Fast) Now() time.Time {
	passed := float64(f.of.Now().Sub(f.began)) * f.speed
	return f.shown.Add(time.Duration(passed)).UTC().Truncate(time.Microsecond)
}

// After implements Clock.
func (f Fast) After(d time.Duration) <-chan time.Time {
	return f.of.After(time.Duration(float64(d) / f.speed))
}
