package onehost

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nacre/internal/db/lite"
)

// The Debian package is installed, started as systemd would start it, upgraded,
// rolled back and purged, and a guest runs through all of it.
func TestPackage(t *testing.T) {
	c := newCloud(t)
	for _, dir := range []string{"/usr", "/etc", "/var"} {
		cover(t, dir, filepath.Join(c.dir, "over", dir))
	}
	before := traces(t)
	older, newer := buildPackage(t, c.dir, "1.0.0"), buildPackage(t, c.dir, "1.1.0")

	dpkg(t, "--install", older)
	settings := fmt.Sprintf("listen: %s\ndata_dir: %s\nguest_dir: %s\n", listen, c.data(), guestDir())
	err := os.WriteFile("/etc/nacre/nacre.yaml", []byte(settings), 0o640)
	if err != nil {
		t.Fatal(err)
	}
	c.startUnit("nacre.service")
	address := story(t, c)
	guest := c.must(address)
	booted := guest.uptime(t)

	dpkg(t, "--install", newer)
	c.stop()
	c.startUnit("nacre.service")
	version(t, "1.1.0")
	sameGuest(t, c, address, &booted)

	// What a newer version has added to the schema stays when the older one comes
	// back.
	c.stop()
	migrateFurther(t, filepath.Join(c.data(), "nacre.db"))
	dpkg(t, "--install", older)
	c.startUnit("nacre.service")
	version(t, "1.0.0")
	sameGuest(t, c, address, &booted)
	if again := story(t, c); again != address {
		t.Errorf("the story after the rollback has address %s, want %s", again, address)
	}
	content, err := os.ReadFile("/etc/nacre/nacre.yaml")
	if err != nil || string(content) != settings {
		t.Errorf("settings after upgrade and rollback: got %q, %v, want %q", content, err, settings)
	}

	c.stop()
	dpkg(t, "--purge", "nacre")
	for _, gone := range []string{"/usr/bin/nacre", "/etc/nacre", "/etc/default/nacre-node"} {
		_, err = os.Stat(gone)
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after a purge: %v, want nothing there", gone, err)
		}
	}
	_, err = os.Stat(filepath.Join(c.data(), "nacre.db"))
	if err != nil {
		t.Errorf("the data after a purge: %v", err)
	}
	down(t, c, before)
}

// cover lays a folder over one of the machine's. It takes all changes, so that
// the machine keeps none of them.
func cover(t *testing.T, dir, over string) {
	t.Helper()
	upper, work := filepath.Join(over, "upper"), filepath.Join(over, "work")
	err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755))
	if err == nil {
		err = unix.Mount("overlay", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work))
	}
	if err != nil {
		t.Fatalf("lay a folder over %s: %v", dir, err)
	}
	t.Cleanup(func() {
		err := unix.Unmount(dir, unix.MNT_DETACH)
		if err != nil {
			t.Error(err)
		}
	})
}

// buildPackage makes a package of this version.
func buildPackage(t *testing.T, dir, version string) string {
	t.Helper()
	binary := filepath.Join(dir, "nacre-"+version)
	out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X nacre/internal/app.Version="+version, "-o", binary, "nacre/cmd/nacre").CombinedOutput()
	if err != nil {
		t.Fatalf("build version %s: %v: %s", version, err, out)
	}
	out, err = exec.Command("../../../build/deb/build.sh", "amd64", version, binary, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("make the package of version %s: %v: %s", version, err, out)
	}
	return strings.TrimSpace(string(out))
}

func dpkg(t *testing.T, args ...string) {
	t.Helper()
	// Triggers are other packages' business, such as an index of manual pages.
	out, err := exec.Command("dpkg", append([]string{"--no-triggers"}, args...)...).CombinedOutput()
	t.Logf("dpkg %s\n%s", strings.Join(args, " "), out)
	if err != nil {
		t.Fatalf("dpkg: %v", err)
	}
}

func version(t *testing.T, want string) {
	t.Helper()
	out, err := exec.Command("/usr/bin/nacre", "version").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "nacre "+want {
		t.Errorf("version: got %q, %v, want %s", out, err, want)
	}
}

// sameGuest signs in to the guest, which must have gone on since the last look.
func sameGuest(t *testing.T, c *cloud, address string, uptime *float64) {
	t.Helper()
	now := c.must(address).uptime(t)
	if now < *uptime {
		t.Errorf("the guest has been up for %.0f s, before it was %.0f s: it was restarted", now, *uptime)
	}
	*uptime = now
}

// migrateFurther does to the database what a migration of the next version will
// do: it adds, and says so in goose's table.
func migrateFurther(t *testing.T, file string) {
	t.Helper()
	database := sql.OpenDB(lite.Connector{File: file})
	defer database.Close()
	for _, statement := range []string{
		"CREATE TABLE of_the_next_version (id TEXT PRIMARY KEY)",
		"ALTER TABLE servers ADD COLUMN of_the_next_version TEXT",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)",
	} {
		_, err := database.Exec(statement)
		if err != nil {
			t.Fatal(err)
		}
	}
}
