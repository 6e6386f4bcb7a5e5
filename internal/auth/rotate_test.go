package auth

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestProcessesRotateOnce lets several processes find at once that it is time.
func TestProcessesRotateOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	processes := make([]*Keys, 8)
	for i := range processes {
		var err error
		processes[i], err = OpenKeys(dir, 3)
		if err != nil {
			t.Fatal(err)
		}
	}
	token := Token{User: "u", IssuedAt: time.Now().Truncate(time.Second), ExpiresAt: time.Now().Add(time.Hour).Truncate(time.Second), Methods: []string{"password"}, AuditIDs: []string{"AAAAAAAAAAAAAAAAAAAAAA"}}
	before, err := processes[0].Encode(token)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(2 * time.Hour)
	var rotations atomic.Int32
	var all sync.WaitGroup
	for _, k := range processes {
		all.Go(func() {
			rotated, err := k.RotateAfter(time.Hour, now)
			if err != nil {
				t.Error(err)
			}
			if rotated {
				rotations.Add(1)
			}
		})
	}
	all.Wait()
	if rotations.Load() != 1 {
		t.Errorf("%d rotations, want 1", rotations.Load())
	}
	after, err := processes[0].Encode(token)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range processes {
		for what, text := range map[string]string{"before": before, "after": after} {
			_, err := k.Decode(text)
			if err != nil {
				t.Errorf("process %d doesn't open a token from %s the rotation: %v", i, what, err)
			}
		}
	}
}

// TestStoppedRotationIsFinished looks at a folder of a process that stopped
// between promoting the staged key and staging a new one.
func TestStoppedRotationIsFinished(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	k, err := OpenKeys(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	err = os.Rename(filepath.Join(dir, "0"), filepath.Join(dir, "2"))
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := k.RotateAfter(time.Hour, time.Now())
	if err != nil || rotated {
		t.Errorf("got %v, %v, want no rotation", rotated, err)
	}
	_, err = os.Stat(filepath.Join(dir, "0"))
	if err != nil {
		t.Errorf("no key is staged: %v", err)
	}
}
