package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"nacre/internal/lock"
)

// MaxActive is how many keys there are at most.
func (k *Keys) MaxActive() int { return k.max }

// RotateAfter rotates when the last rotation is at least that long ago, and
// tells whether it did. In either case it reads the keys anew, since another
// process that shares the folder may have rotated.
//
// The staged key was written at the last rotation, so its time says when that
// was; the primary's doesn't, since it was staged a period earlier. The times
// are the caller's clock's.
func (k *Keys) RotateAfter(period time.Duration, now time.Time) (rotated bool, err error) {
	rotated, err = k.lockedRotate(period, now)
	if err != nil {
		return rotated, fmt.Errorf("rotate key repository %s: %w", k.dir, err)
	}
	return rotated, nil
}

// lockedRotate lets one process at a time look, rotate and read, so that two
// don't rotate for the same reason and none reads half a rotation. The lock
// ends with its file, also when the process is killed.
func (k *Keys) lockedRotate(period time.Duration, now time.Time) (bool, error) {
	held, err := os.OpenFile(filepath.Join(k.dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	defer held.Close()
	err = lock.Wait(held)
	if err != nil {
		return false, err
	}
	rotated, err := k.rotateIfDue(period, now)
	if err != nil {
		return rotated, err
	}
	return rotated, k.Reload()
}

func (k *Keys) rotateIfDue(period time.Duration, now time.Time) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	staged, err := os.Stat(k.path(0))
	if errors.Is(err, fs.ErrNotExist) {
		// A process stopped between the two halves of a rotation.
		err = k.stage()
		if err != nil {
			return false, err
		}
		return false, os.Chtimes(k.path(0), now, now)
	}
	if err != nil {
		return false, err
	}
	if now.Sub(staged.ModTime()) < period {
		return false, nil
	}
	err = k.rotate()
	if err != nil {
		return false, err
	}
	return true, os.Chtimes(k.path(0), now, now)
}
