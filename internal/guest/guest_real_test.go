package guest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBuild makes the image, or finds the one that an earlier run has made, in
// the folder that all tests share.
func TestBuild(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: filepath.Join(cache, "nacre"), Progress: func(line string) { t.Log(line) }}
	path, err := Build(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 20<<20 {
		t.Errorf("image has %d bytes, want at most 20 MiB", info.Size())
	}
	t.Logf("%s has %d bytes", path, info.Size())

	again, err := Build(ctx, o)
	if err != nil || again != path {
		t.Errorf("second build gave %q, %v, want the same image", again, err)
	}
	o.Drivers = true
	other, err := Build(ctx, o)
	if err != nil || other == path {
		t.Errorf("with more drivers it is %q, %v, want another image", other, err)
	}
	later, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !later.ModTime().Equal(info.ModTime()) {
		t.Error("second build made the image again")
	}
}
