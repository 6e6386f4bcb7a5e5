package deb

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// systemd understands every line of the units.
func TestUnits(t *testing.T) {
	units, err := filepath.Glob("files/*.service")
	if err != nil || len(units) != 3 {
		t.Fatalf("got units %v, %v, want 3", units, err)
	}
	root := t.TempDir()
	put := func(file, place string, mode os.FileMode) {
		content, err := os.ReadFile(file)
		if err == nil {
			place = filepath.Join(root, place)
			err = os.MkdirAll(filepath.Dir(place), 0o755)
		}
		if err == nil {
			err = os.WriteFile(place, content, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("/bin/true", "usr/bin/nacre", 0o755)
	for _, u := range units {
		put(u, filepath.Join("lib/systemd/system", filepath.Base(u)), 0o644)
	}
	for _, u := range units {
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--root="+root, filepath.Base(u)).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", u, err, out)
		}
	}
}
