package compute

import (
	"testing"

	"nacre/internal/nodeapi"
)

func TestUptimeText(t *testing.T) {
	const minute, hour, day = 60, 60 * 60, 24 * 60 * 60
	for _, test := range []struct {
		up   nodeapi.Uptime
		want string
	}{
		{nodeapi.Uptime{}, " 00:00:00 up 0 min,  0 users,  load average: 0.00, 0.00, 0.00"},
		{nodeapi.Uptime{Now: 8*hour + 32*minute + 11, Seconds: 93*day + 18*hour + 25*minute + 59, Users: 12, Load: [3]float64{0.2, 0.12, 0.145}},
			" 08:32:11 up 93 days, 18:25, 12 users,  load average: 0.20, 0.12, 0.14"},
		{nodeapi.Uptime{Seconds: day + 5*minute, Users: 1, Load: [3]float64{10, 1, 0}}, " 00:00:00 up 1 day, 5 min,  1 user,  load average: 10.00, 1.00, 0.00"},
		{nodeapi.Uptime{Seconds: 2*hour + 3*minute}, " 00:00:00 up  2:03,  0 users,  load average: 0.00, 0.00, 0.00"},
	} {
		got := uptimeText(test.up)
		if got != test.want {
			t.Errorf("%+v: got %q, want %q", test.up, got, test.want)
		}
	}
}
