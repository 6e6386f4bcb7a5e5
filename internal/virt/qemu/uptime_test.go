package qemu

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSessions(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1":  "# private\nUID=1000\nUSER=ada\nCLASS=user\nTYPE=tty\n",
		"2":  "# private\nUID=0\nUSER=root\nCLASS=user\nTYPE=tty\n",
		"c1": "# private\nUID=110\nUSER=gdm\nCLASS=greeter\n",
	} {
		err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	err := unix.Mkfifo(filepath.Join(dir, "1.ref"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]int{dir: 2, filepath.Join(dir, "missing"): 0} {
		got, err := sessions(where)
		if err != nil || got != want {
			t.Errorf("%s has %d sessions, %v; want %d", where, got, err, want)
		}
	}
}
