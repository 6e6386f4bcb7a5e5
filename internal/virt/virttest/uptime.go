package virttest

import (
	"testing"
	"time"
)

// uptime: a host has been up for a while, and not for longer than there is time.
func uptime(t *testing.T, s *suite) {
	up, err := s.Host.Uptime(t.Context())
	if err != nil {
		t.Fatalf("uptime: %v", err)
	}
	if up.Seconds < 0 || up.Seconds > time.Now().Unix() || up.Now <= 0 {
		t.Errorf("the host has been up for %d seconds at %d", up.Seconds, up.Now)
	}
	for _, load := range up.Load {
		if load < 0 {
			t.Errorf("the host's load is %v", up.Load)
		}
	}
}
