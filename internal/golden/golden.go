// Package golden compares what a test got with a file that people have read and
// found right.
//
// To accept a change on purpose, run the test with UPDATE_GOLDEN=1, and read the
// difference before you commit it.
package golden

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Compare fails the test when the file of that name below testdata holds
// anything else.
func Compare(t testing.TB, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		err := os.WriteFile(file, []byte(got), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(string(want), got)
	if diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}
