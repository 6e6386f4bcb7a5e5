package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// requestTimeout bounds one question to a cloud.
const requestTimeout = 10 * time.Second

// startTime bounds how long Detach waits for the cloud to become ready.
const startTime = 2 * time.Minute

// Detach runs this program again in the background, with the same arguments
// but --detach, and returns when the cloud is ready. When it runs already, that
// is a success.
func Detach(ctx context.Context, c Config, args []string) error {
	c, err := c.complete()
	if err != nil {
		return err
	}
	client := &health{url: c.PublicURL + "/healthz", client: &http.Client{Timeout: requestTimeout}, config: c}
	pid, err := running(c.DataDir)
	if err != nil {
		return err
	}
	if pid != 0 {
		err = client.wait(ctx, nil)
		if err == nil {
			fmt.Printf("the cloud runs already (process %d) at %s\n", pid, c.PublicURL)
		}
		return err
	}
	err = os.MkdirAll(c.DataDir, 0o755)
	if err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	logFile := filepath.Join(c.DataDir, "nacre.log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	rest := slices.DeleteFunc(slices.Clone(args[1:]), func(a string) bool { return strings.HasPrefix(a, "--detach") })
	cmd := exec.Command(program, rest...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	if err != nil {
		return fmt.Errorf("start the cloud: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	fmt.Printf("starting the cloud (process %d, log %s)\n", cmd.Process.Pid, logFile)
	err = client.wait(ctx, ended)
	if err != nil {
		return fmt.Errorf("%w\nthe end of %s:\n%s", err, logFile, tail(logFile, 15))
	}
	fmt.Printf("ready at %s\n", c.PublicURL)
	return nil
}

// health asks a cloud whether it is ready.
type health struct {
	url    string
	client *http.Client
	config Config
}

// trust reads the cloud's CA once it is there.
func (h *health) trust() {
	if !h.config.tls() || h.client.Transport != nil {
		return
	}
	ca, err := os.ReadFile(filepath.Join(h.config.DataDir, caFile))
	if err != nil {
		return
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	h.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
}

// wait asks until the cloud answers, the process has ended, or it takes too long.
func (h *health) wait(ctx context.Context, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		h.trust()
		request, err := http.NewRequestWithContext(ctx, "GET", h.url, nil)
		if err != nil {
			return err
		}
		reply, err := h.client.Do(request)
		if err == nil {
			reply.Body.Close()
			if reply.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the cloud ended before it was ready: %v", err)
		case <-ctx.Done():
			return fmt.Errorf("the cloud is not ready after %s: %w", startTime, ctx.Err())
		case <-tick.C:
		}
	}
}

func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// running finds the process that holds a data folder, 0 for none.
func running(dir string) (int, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at %s: %w", path, err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return 0, nil // nobody holds it
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || pid <= 1 { // 0 and less would mean whole groups of processes
		return 0, fmt.Errorf("%s is held, but names no process", path)
	}
	return pid, nil
}

// DownOptions say how far Down goes.
type DownOptions struct {
	All bool // guests, networks, volumes and the data folder too
	Yes bool // without asking
	In  io.Reader
	Out io.Writer
}

// Down ends the cloud of a data folder. Guests, their networks and volumes go
// on unless All.
func Down(ctx context.Context, c Config, o DownOptions) error {
	c, err := c.complete()
	if err != nil {
		return err
	}
	_, err = os.Stat(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(o.Out, "there is no cloud in %s\n", c.DataDir)
		return nil
	}
	if o.All {
		err = isDataDir(c.DataDir)
		if err != nil {
			return err
		}
	}
	if o.All && !o.Yes && !confirmed(o, c.DataDir) {
		return errors.New("nothing was changed")
	}
	pid, err := running(c.DataDir)
	if err != nil {
		return err
	}
	if pid != 0 {
		err = stop(ctx, c.DataDir, pid)
		if err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "stopped the cloud (process %d)\n", pid)
	}
	if !o.All {
		fmt.Fprintln(o.Out, "guests and networks keep running: make up goes on with them, make down ALL=1 ends them")
		return nil
	}
	err = raze(ctx, c, o.Out)
	if err != nil {
		return err
	}
	err = removeDataDir(c.DataDir)
	if err != nil {
		return fmt.Errorf("remove data folder: %w", err)
	}
	fmt.Fprintf(o.Out, "removed %s\n", c.DataDir)
	return nil
}

// marks are files of which a data folder has at least one, from its first start
// until it has been removed.
var marks = []string{"lock", "nacre.log"}

// isDataDir refuses to remove a folder that no cloud has ever run on, named by
// mistake.
func isDataDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look at the data folder: %w", err)
	}
	for _, e := range entries {
		if slices.Contains(marks, e.Name()) {
			return nil
		}
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not the data folder of a cloud: nothing was removed", dir)
	}
	return nil
}

// removeDataDir removes the marks last: stopped in between, it can be repeated.
func removeDataDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(marks, e.Name()) {
			continue
		}
		err = os.RemoveAll(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

func confirmed(o DownOptions, dir string) bool {
	fmt.Fprintf(o.Out, "This ends all guests and deletes all images, volumes and objects in %s. Type yes to go on: ", dir)
	line, err := bufio.NewReader(o.In).ReadString('\n')
	return err == nil && strings.TrimSpace(line) == "yes"
}

// stop ends the process that holds the data folder and waits until it has let go.
func stop(ctx context.Context, dir string, pid int) error {
	err := syscall.Kill(pid, syscall.SIGTERM)
	if err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := running(dir)
		if err != nil || now != pid {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d has not ended after 30 s: look at %s", pid, filepath.Join(dir, "nacre.log"))
		case <-tick.C:
		}
	}
}
