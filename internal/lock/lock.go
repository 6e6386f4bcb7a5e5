// Package lock lets one process at a time have a file.
//
// A lock belongs to the open file: it ends when the file is closed, also when
// the process is killed, so nobody ever has to clear one up. It keeps out only
// those who ask for it; whoever just reads the file may.
package lock

import (
	"errors"
	"os"
)

// ErrHeld says that somebody else has the file.
var ErrHeld = errors.New("the file is locked")

// Wait takes the file for itself alone, when everybody else has let go of it.
func Wait(f *os.File) error { return take(f, true, true) }

// Try takes the file for itself alone, or returns ErrHeld at once.
func Try(f *os.File) error { return take(f, true, false) }

// Look takes the file beside others who look, or returns ErrHeld at once when
// somebody has it for himself.
func Look(f *os.File) error { return take(f, false, false) }
