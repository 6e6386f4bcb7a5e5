package fulldisk

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nacre/internal/blob/files"
)

// A blob for which there is no room leaves nothing behind, and what was there
// stays whole.
func TestBlobs(t *testing.T) {
	disk := newDisk(t, 4<<20)
	store, err := files.New(disk.path("blobs"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(text string) error {
		_, err := store.Put(t.Context(), "a", strings.NewReader(text))
		return err
	}
	whole := func(want string) {
		t.Helper()
		r, err := store.Open(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil || string(got) != want {
			t.Errorf("the blob has %d bytes, %v, want the %d that were acknowledged", len(got), err, len(want))
		}
		left, err := os.ReadDir(disk.path("blobs/new"))
		if err != nil || len(left) != 0 {
			t.Errorf("%d unfinished files are left, %v", len(left), err)
		}
	}
	err = put("first")
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 2*files.BufferSize)
	for _, but := range []int64{0, 4 << 10, files.BufferSize, 2*files.BufferSize - 1} {
		disk.fill(but)
		err = put(large)
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("with %d bytes left: %v, want that there is no space", but, err)
		}
		whole("first")
		disk.free()
	}
	err = put(large)
	if err != nil {
		t.Errorf("with space again: %v", err)
	}
	whole(large)
}
