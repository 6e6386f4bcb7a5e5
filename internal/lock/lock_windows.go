package lock

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// take locks the last byte that a file could have: Windows keeps everybody from
// reading what is locked, and the content is nobody's secret.
func take(f *os.File, alone, wait bool) error {
	var how uint32
	if alone {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	if !wait {
		how |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	last := windows.Overlapped{Offset: math.MaxUint32, OffsetHigh: math.MaxInt32}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &last)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrHeld
	}
	return err
}
