package simulated

import (
	"errors"
	"slices"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// Each operation meets the trouble of its kind, and one that failed has had no
// effect.
func TestTrouble(t *testing.T) {
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var met []string
	var trouble error
	h.SetTrouble(func(op string) (time.Duration, error) {
		met = append(met, op)
		return 0, trouble
	})
	m := virt.Machine{ID: "a", Running: true, Root: &virt.Root{}}
	ensure := func() {
		t.Helper()
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
	}
	trouble = errors.New("no luck")
	err = h.Ensure(t.Context(), m)
	if !errors.Is(err, trouble) || h.Run("a") != 0 {
		t.Errorf("the boot fails with %v, and the guest runs: %v, want neither success nor guest", err, h.Run("a") != 0)
	}
	trouble = nil
	ensure()
	m.Suspended = true
	ensure()
	m.Suspended = false
	ensure()
	m.Running = false
	ensure()
	m.Running = true
	ensure()
	disk, err := h.Disk(t.Context(), "a", nodeapi.RootDisk)
	if err != nil {
		t.Fatal(err)
	}
	disk.Close()
	err = h.Remove(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{OpBoot, OpBoot, OpEnsure, OpEnsure, OpEnsure, OpBoot, OpDisk, OpRemove}
	if !slices.Equal(met, want) {
		t.Errorf("met %v, want %v", met, want)
	}
}

// What takes time takes it by the host's clock.
func TestTroubleTakesTime(t *testing.T) {
	now := clock.NewManual(time.Unix(0, 0))
	h, err := New(Options{Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	begun := make(chan bool, 1)
	h.SetTrouble(func(string) (time.Duration, error) {
		begun <- true
		return time.Minute, nil
	})
	booted := make(chan error)
	go func() { booted <- h.Ensure(t.Context(), virt.Machine{ID: "a", Running: true}) }()
	<-begun
	for done := false; !done; {
		now.Advance(time.Minute) // it may not have begun to wait yet
		select {
		case err = <-booted:
			done = true
		default:
		}
	}
	if err != nil || h.Run("a") != 1 {
		t.Errorf("got %v, run %d, want a guest that runs", err, h.Run("a"))
	}
}

// A host that loses its power has its machines, and none of them runs.
func TestLosePower(t *testing.T) {
	h, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, id := range []string{"a", "b"} {
		err = h.Ensure(t.Context(), virt.Machine{ID: id, Running: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	err = h.LosePower()
	states, listErr := h.List(t.Context())
	if err != nil || listErr != nil || len(states) != 2 || states[0].Running || states[1].Running || states[0].Crashed {
		t.Errorf("got %+v, %v, %v, want two machines that are off", states, err, listErr)
	}
	err = h.Ensure(t.Context(), virt.Machine{ID: "a", Running: true})
	if err != nil || h.Run("a") != 2 {
		t.Errorf("got %v, run %d, want a second boot", err, h.Run("a"))
	}
}
