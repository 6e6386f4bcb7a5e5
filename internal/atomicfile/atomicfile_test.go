package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteReplacesContentAndMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, step := range []struct {
		content string
		mode    os.FileMode
	}{{"a long content", 0o600}, {"short", 0o444}, {"", 0o640}} {
		err := Write(path, []byte(step.content), step.mode)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != step.content || info.Mode() != step.mode {
			t.Errorf("the file holds %q with mode %v, want %q with %v", got, info.Mode(), step.content, step.mode)
		}
	}
}

func TestWriteLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	// A folder cannot be replaced by a file.
	err := os.Mkdir(filepath.Join(dir, "taken"), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	err = Write(filepath.Join(dir, "taken"), []byte("x"), 0o600)
	if err == nil {
		t.Error("a folder was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "taken" {
		t.Errorf("the folder holds %v, want only the folder that was there", entries)
	}
	err = Write(filepath.Join(dir, "missing", "file"), nil, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("writing into a missing folder: got %v, want that it does not exist", err)
	}
}
