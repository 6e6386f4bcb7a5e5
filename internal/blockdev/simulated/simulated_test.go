package simulated_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

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

// Making, growing and removing a volume meets trouble, and nothing else does.
func TestTrouble(t *testing.T) {
	h := open(t, "")
	var met []string
	h.SetTrouble(func(call string) (time.Duration, error) {
		met = append(met, call)
		return time.Microsecond, errors.New("no luck")
	})
	v := blockdev.Volume{ID: "a", SizeGB: 1}
	err := h.Ensure(t.Context(), v)
	if err == nil {
		t.Error("a volume was made in spite of the trouble")
	}
	h.SetTrouble(nil)
	err = h.Ensure(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	h.SetTrouble(func(call string) (time.Duration, error) {
		met = append(met, call)
		return 0, nil
	})
	v2 := v
	v2.SizeGB = 2
	for _, err := range []error{h.Ensure(t.Context(), v), h.Ensure(t.Context(), v2), h.Remove(t.Context(), "a"), h.Remove(t.Context(), "a")} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"Ensure", "Ensure", "Remove"}
	if !slices.Equal(met, want) {
		t.Errorf("met %v, want %v", met, want)
	}
}
