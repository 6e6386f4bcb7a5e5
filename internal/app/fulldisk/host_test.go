package fulldisk

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nacre/internal/app"
	"nacre/internal/blockdev"
	"nacre/internal/blockdev/file"
	"nacre/internal/testcloud"
)

// image is a cache of one image.
type image string

// Path implements blockdev.Images.
func (i image) Path(context.Context, string) (path, format string, err error) {
	return string(i), "raw", nil
}

// A volume for which the host has no room leaves nothing behind, and is made when
// there is room.
func TestVolumes(t *testing.T) {
	disk := newDisk(t, 32<<20)
	source := filepath.Join(t.TempDir(), "image")
	err := os.WriteFile(source, bytes.Repeat([]byte("text"), 1<<20), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	host, err := file.New(file.Options{Dir: disk.path("store"), Run: disk.path("run"), Images: image(source)})
	if err != nil {
		t.Fatal(err)
	}
	for id, v := range map[string]blockdev.Volume{
		"blank": {ID: "blank", SizeGB: 1},
		"full":  {ID: "full", SizeGB: 1, Source: blockdev.Source{Image: "image"}},
	} {
		for _, but := range []int64{0, 4 << 10, 64 << 10} {
			disk.fill(but)
			err = host.Ensure(t.Context(), v)
			if err != nil && !strings.Contains(err.Error(), "No space left") && !strings.Contains(err.Error(), "no space left") {
				t.Errorf("volume %s with %d bytes left: %v, want an error that says so", id, but, err)
			}
			if err == nil && but == 0 {
				t.Errorf("volume %s was made where no space is", id)
			}
			left, listErr := os.ReadDir(disk.path("store/volumes"))
			if listErr != nil || err != nil && len(left) != 0 {
				t.Errorf("volume %s left %v behind, %v", id, left, listErr)
			}
			disk.free()
			if err == nil {
				err = host.Remove(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		err = host.Ensure(t.Context(), v)
		if err != nil {
			t.Errorf("volume %s with space again: %v", id, err)
		}
		states, err := host.List(t.Context())
		if err != nil || len(states) != 1 || states[0].SizeGB != 1 {
			t.Errorf("with space again there are %+v, %v, want volume %s", states, err, id)
		}
		err = host.Remove(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A backup for which there is no room leaves no file that could be taken for one.
func TestBackup(t *testing.T) {
	cloud := testcloud.Start(t, testcloud.OwnDB())
	demo := cloud.Demo()
	container := "/v1/AUTH_" + demo.Project(t) + "/things"
	demo.Must(t, 201, "PUT", container, nil)
	demo.Must(t, 201, "PUT", container+"/large", bytes.Repeat([]byte("large"), 1<<20))
	disk := newDisk(t, 2<<20)
	config := app.Config{DataDir: cloud.App.Config.DataDir}
	var said bytes.Buffer
	err := app.Backup(t.Context(), config, disk.path("backup"), &said)
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a backup on a full disk: %v, want an error that says so", err)
	}
	left, err := os.ReadDir(disk.dir)
	if err != nil || len(left) != 0 {
		t.Errorf("a backup that failed has left %v, %v", left, err)
	}
	err = app.Backup(t.Context(), config, filepath.Join(t.TempDir(), "backup"), &said)
	if err != nil {
		t.Errorf("a backup where there is room: %v", err)
	}
}
