package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nacre/internal/testcloud"
)

// newImage makes an image of the project demo.
func newImage(t *testing.T, who testcloud.User, format string) (path string) {
	t.Helper()
	var reply struct{ ID string }
	who.Must(t, 201, "POST", "/image/v2/images", map[string]any{"name": "i", "disk_format": format, "container_format": "bare"}).JSON(t, &reply)
	return "/image/v2/images/" + reply.ID
}

func imported(t *testing.T, cloud *testcloud.Cloud, path string, content []byte) (image struct {
	Status string
	Format string `json:"disk_format"`
	Size   int
}) {
	t.Helper()
	who := cloud.Demo()
	who.Must(t, 204, "PUT", path+"/stage", content)
	who.Must(t, 202, "POST", path+"/import", map[string]any{"method": map[string]any{"name": "glance-direct"}})
	cloud.Settle(t)
	who.Must(t, 200, "GET", path, nil).JSON(t, &image)
	return image
}

// An imported image becomes raw when the settings say so, with the bytes that a
// guest would see; what is not what it claims is refused.
func TestImportedImagesAreConverted(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Converted())
	demo := cloud.Demo()
	dir := t.TempDir()
	raw, qcow2 := filepath.Join(dir, "raw"), filepath.Join(dir, "qcow2")
	disk := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	err := os.WriteFile(raw, disk, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, qcow2).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img (Debian package qemu-utils): %v: %s", err, out)
	}
	content, err := os.ReadFile(qcow2)
	if err != nil {
		t.Fatal(err)
	}
	path := newImage(t, demo, "qcow2")
	image := imported(t, cloud, path, content)
	if image.Status != "active" || image.Format != "raw" || image.Size != len(disk) {
		t.Errorf("got %+v, want an active raw image of %d bytes", image, len(disk))
	}
	got := demo.Must(t, 200, "GET", path+"/file", nil).Body
	if !bytes.Equal(got, disk) {
		t.Error("the converted image has other bytes than the disk")
	}
	wrong := newImage(t, demo, "vmdk")
	image = imported(t, cloud, wrong, content)
	if image.Status != "uploading" {
		t.Errorf("a qcow2 that says it is a vmdk: got %+v, want it left in the staging area", image)
	}
	demo.Must(t, 204, "DELETE", path, nil)
	demo.Must(t, 204, "DELETE", wrong, nil)
	left, err := os.ReadDir(filepath.Join(cloud.App.Config.DataDir, "image-work"))
	if err != nil || len(left) > 0 {
		t.Errorf("got %v (%v) left of conversions, want nothing", left, err)
	}
}

// Limits that operators register hold for images.
func TestUnifiedLimitsOfImages(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t)
	admin, demo := cloud.Admin(), cloud.Demo()
	var services struct{ Services []struct{ ID string } }
	admin.Must(t, 200, "GET", "/identity/v3/services?type=image", nil).JSON(t, &services)
	admin.Must(t, 201, "POST", "/identity/v3/registered_limits", fmt.Sprintf(
		`{"registered_limits":[{"service_id":%q,"resource_name":"image_count_total","default_limit":1}]}`, services.Services[0].ID))
	newImage(t, demo, "raw")
	reply := demo.Do(t, "POST", "/image/v2/images", `{"name":"second"}`)
	if reply.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("the second image: got %d %s, want 413", reply.Status, reply.Body)
	}
	admin.Must(t, 201, "POST", "/identity/v3/limits", fmt.Sprintf(
		`{"limits":[{"service_id":%q,"resource_name":"image_count_total","project_id":%q,"resource_limit":2}]}`, services.Services[0].ID, demo.Project(t)))
	newImage(t, demo, "raw")
	var usage struct {
		Usage map[string]struct{ Usage, Limit int }
	}
	demo.Must(t, 200, "GET", "/image/v2/info/usage", nil).JSON(t, &usage)
	got := usage.Usage["image_count_total"]
	if got.Usage != 2 || got.Limit != 2 {
		t.Errorf("got the usage %+v, want 2 of 2", got)
	}
}
