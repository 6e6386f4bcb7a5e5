package onehost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nacre/internal/app"
	"nacre/internal/db/dbtest"
	"nacre/internal/fabric/fabrictest"
	"nacre/internal/guest"
)

// TestMain lets this binary be three things: the tests outside, which build
// the guest image while there is a network; the tests inside their namespaces;
// and the cloud that these start and kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv("NACRE_TEST_CLOUD"); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err := app.Run(ctx, app.Config{Real: true, DataDir: dir, DB: os.Getenv("NACRE_TEST_CLOUD_DB"), Listen: listen, GuestDir: guestDir()})
		if err != nil {
			fmt.Fprintln(os.Stderr, "cloud:", err)
			os.Exit(1)
		}
		return
	}
	_, err := guest.Build(context.Background(), guest.Options{Dir: guestDir()})
	if err != nil {
		fmt.Fprintln(os.Stderr, "the guest image cannot be built:", err)
		os.Exit(1)
	}
	fabrictest.Main(m)
}

const listen = "127.0.0.1:5000"

func guestDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		panic(err)
	}
	return filepath.Join(cache, "nacre")
}

// cloud is nacre up in a process of its own.
type cloud struct {
	t   testing.TB
	dir string
	log *os.File
	cmd *exec.Cmd
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	// A short path, since unix sockets are below it.
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	err = os.Chmod(dir, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, dir: dir}
	c.log, err = os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			text, _ := os.ReadFile(c.log.Name())
			t.Logf("the cloud's log:\n%s", text[max(0, len(text)-12000):])
		}
		err := errors.Join(c.log.Close(), os.RemoveAll(dir))
		if err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *cloud) data() string { return filepath.Join(c.dir, "c") }

func (c *cloud) start() {
	c.t.Helper()
	c.cmd = exec.Command("/proc/self/exe")
	c.cmd.Env = append(os.Environ(), "NACRE_TEST_CLOUD="+c.data(), "NACRE_TEST_CLOUD_DB="+dbtest.SourceIn(c.t, c.data()))
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err := c.cmd.Start()
	if err != nil {
		c.t.Fatal(err)
	}
	c.waitHealthy()
}

// kill is kill -9.
func (c *cloud) kill() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it may have ended by itself
	_ = c.cmd.Wait()
	c.cmd = nil
}

// processes lists the commands of the processes in our namespace that match.
func processes(t *testing.T, match string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended meanwhile
		}
		line := strings.ReplaceAll(string(content), "\x00", " ")
		if strings.Contains(line, match) {
			out = append(out, line)
		}
	}
	return out
}
