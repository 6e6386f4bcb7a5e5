package app

import (
	"os"
	"slices"
	"testing"
)

// Whoever adds a file to the data folder decides what becomes of it in a backup.
func TestEveryFileIsKeptOrLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cloud, err := Start(t.Context(), Config{DataDir: dir, LogLevel: "error"})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(keptFiles, e.Name()) && !slices.Contains(leftOut, e.Name()) {
			t.Errorf("%s of the data folder is neither kept by backups nor left out", e.Name())
		}
	}
	kept, err := cloud.Config.kept()
	if err != nil {
		t.Fatal(err)
	}
	if kept["credential-keys"] == "" {
		t.Errorf("kept %v, want the keys that seal the secrets in the database among it", kept)
	}
}
