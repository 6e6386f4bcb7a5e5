package configdrive

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nacre/internal/image/inspect"
)

func sample() map[string][]byte {
	files := map[string][]byte{
		"openstack/latest/meta_data.json":         []byte(`{"uuid": "1"}`),
		"openstack/latest/network_data.json":      []byte(`{"links": []}`),
		"openstack/latest/user_data":              bytes.Repeat([]byte("#cloud-config\n"), 1000),
		"openstack/latest/vendor_data2.json":      nil,
		"openstack/2018-08-27/meta_data.json":     bytes.Repeat([]byte{7}, 2048),
		"openstack/content/0000":                  []byte("file"),
		"openstack/" + strings.Repeat("n", 64):    []byte("long"),
		"openstack.d/between":                     []byte("sorts between openstack and openstack/"),
		"ec2/latest/meta-data.json":               []byte("{}"),
		"ec2/" + strings.Repeat("deep/", 7) + "x": []byte("deep"),
		"README": []byte("top"),
	}
	// More than one sector of records and of path table.
	for n := range 150 {
		files[fmt.Sprintf("many/file-with-a-long-name-%04d.json", n)] = fmt.Append(nil, n)
		files[fmt.Sprintf("folders/folder-with-a-long-name-%04d/f", n)] = fmt.Append(nil, n)
	}
	return files
}

func run(t *testing.T, what, program string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("this test needs %s (Debian package %s): %v", program, what, err)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// TestReadBack has another program read both trees.
func TestReadBack(t *testing.T) {
	files := sample()
	image, err := Build(files)
	if err != nil {
		t.Fatal(err)
	}
	iso := filepath.Join(t.TempDir(), "drive.iso")
	err = os.WriteFile(iso, image, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range []string{"nojoliet", "norock"} { // Rock Ridge, Joliet
		dir := t.TempDir()
		out := run(t, "xorriso", "xorriso", "-abort_on", "WARNING", "-read_fs", names, "-osirrox", "on:auto_chmod_on", "-indev", iso, "-extract", "/", dir, "-chmod_r", "u+w", "/", "--", "-rollback_end")
		got := map[string][]byte{}
		err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() {
				return os.Chmod(path, 0o700) // so that the folder can be removed
			}
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			got[name], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !maps.EqualFunc(got, files, bytes.Equal) {
			t.Errorf("%s: got %d files, want %d the same\n%s", names, len(got), len(files), out)
			for name := range files {
				if !bytes.Equal(got[name], files[name]) {
					t.Errorf("%s: %s: got %.40q, want %.40q", names, name, got[name], files[name])
				}
			}
		}
	}
	label := strings.TrimSpace(run(t, "util-linux", "blkid", "-p", "-o", "value", "-s", "LABEL", iso))
	if label != "config-2" {
		t.Errorf("got label %q, want config-2", label)
	}
	kind := strings.TrimSpace(run(t, "util-linux", "blkid", "-p", "-o", "value", "-s", "TYPE", iso))
	if kind != "iso9660" {
		t.Errorf("got type %q, want iso9660", kind)
	}
	result, err := inspect.File(bytes.NewReader(image), int64(len(image)))
	if err != nil || result.Matches("iso") != nil {
		t.Errorf("got %+v, %v from the inspector, want an iso", result, err)
	}
}

func TestSameFilesGiveSameBytes(t *testing.T) {
	first, err := Build(sample())
	if err != nil {
		t.Fatal(err)
	}
	second, err := Build(sample())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("got two different drives from the same files")
	}
}

func TestWrongNames(t *testing.T) {
	for _, path := range []string{"", "/a", "a/", "a//b", "../a", "a/./b", "a b", "a;1", strings.Repeat("a", 65), "ä"} {
		_, err := Build(map[string][]byte{path: nil})
		if err == nil {
			t.Errorf("%q: got a drive, want it refused", path)
		}
	}
	_, err := Build(map[string][]byte{"a": nil, "a/b": nil})
	if err == nil {
		t.Error("got a drive with a name that is file and folder, want it refused")
	}
}

func BenchmarkBuild(b *testing.B) {
	files := sample()
	for b.Loop() {
		_, err := Build(files)
		if err != nil {
			b.Fatal(err)
		}
	}
}
