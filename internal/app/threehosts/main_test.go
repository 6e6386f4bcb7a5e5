package threehosts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"nacre/internal/bus/rabbit/rabbittest"
	"nacre/internal/fabric/fabrictest"
	"nacre/internal/guest"
	"nacre/internal/soak"
)

// TestMain lets this binary be the tests outside, which build the guest image
// while there is a network; the tests inside namespaces of their own; and the
// processes that these start and kill.
func TestMain(m *testing.M) {
	soak.Main()
	_, err := buildGuest()
	if err != nil {
		fmt.Fprintln(os.Stderr, "the guest image cannot be built:", err)
		os.Exit(1)
	}
	fabrictest.Main(m)
}

// buildGuest builds the image of guests, unless it is there.
func buildGuest() (path string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return guest.Build(context.Background(), guest.Options{Dir: filepath.Join(cache, "nacre")})
}

// running counts processes that match; there are none but ours.
func running(t *testing.T, match string) (count int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && bytes.Contains(line, []byte(match)) {
			count++
		}
	}
	return count
}

// broker is a RabbitMQ of the test's own.
func broker(t *testing.T) *rabbittest.Broker { return rabbittest.Start(t) }
