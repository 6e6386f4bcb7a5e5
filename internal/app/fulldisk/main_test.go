package fulldisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nacre/internal/fabric/fabrictest"
)

// TestMain runs the tests in namespaces of their own, where they may mount.
func TestMain(m *testing.M) { fabrictest.Main(m) }

// disk is a file system with little space.
type disk struct {
	t   testing.TB
	dir string // its root folder
}

// newDisk makes a disk of so many bytes.
func newDisk(t testing.TB, size int64) disk {
	t.Helper()
	d := disk{t, t.TempDir()}
	err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprint("size=", size))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := unix.Unmount(d.dir, unix.MNT_DETACH)
		if err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

// fill leaves no space, but for so many bytes.
func (d disk) fill(but int64) {
	d.t.Helper()
	f, err := os.Create(d.path(".filler"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	var size int64
	for page := make([]byte, os.Getpagesize()); err == nil; {
		var n int
		n, err = f.Write(page)
		size += int64(n)
	}
	if !errors.Is(err, unix.ENOSPC) {
		d.t.Fatalf("fill the disk: %v", err)
	}
	err = f.Truncate(max(0, size-but))
	if err != nil {
		d.t.Fatal(err)
	}
}

// free gives the space back.
func (d disk) free() {
	d.t.Helper()
	err := os.Remove(d.path(".filler"))
	if err != nil {
		d.t.Fatal(err)
	}
}
