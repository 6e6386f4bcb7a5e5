package simulated_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"nacre/internal/blockdev"
	"nacre/internal/blockdev/blockdevtest"
	"nacre/internal/blockdev/simulated"
)

func open(t *testing.T, state string) *simulated.Host {
	t.Helper()
	host, err := simulated.New(simulated.Options{State: state})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func TestSuite(t *testing.T) {
	blockdevtest.Run(t, func(t *testing.T) blockdevtest.Fixture {
		state := filepath.Join(t.TempDir(), "host", "volumes.json")
		return blockdevtest.Fixture{
			Host:    open(t, state),
			Restart: func(t *testing.T) blockdev.Host { return open(t, state) },
			Image:   "any",
		}
	})
}

func TestFaultsBeforeAndAfterTheEffect(t *testing.T) {
	ctx := context.Background()
	broken := errors.New("disk on fire")
	for _, late := range []bool{false, true} {
		host := open(t, "")
		host.SetFault(func(call, volume string, done bool) error {
			if call == "Ensure" && volume == "v" && done == late {
				return broken
			}
			return nil
		})
		err := host.Ensure(ctx, blockdev.Volume{ID: "v", SizeGB: 1})
		if !errors.Is(err, broken) {
			t.Errorf("late %t: got %v, want the fault", late, err)
		}
		states, err := host.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if (len(states) == 1) != late {
			t.Errorf("late %t: got volumes %+v", late, states)
		}
		host.SetFault(nil)
		err = host.Ensure(ctx, blockdev.Volume{ID: "v", SizeGB: 1})
		if err != nil {
			t.Errorf("late %t: got %v after the fault ended", late, err)
		}
	}
}

func BenchmarkEnsure(b *testing.B) {
	host, err := simulated.New(simulated.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for n := range b.N {
		err = host.Ensure(context.Background(), blockdev.Volume{ID: fmt.Sprint(n % 1000), SizeGB: 1})
		if err != nil {
			b.Fatal(err)
		}
	}
}
