//go:build linux

package app

import (
	"bufio"
	"context"
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

	"nacre/internal/lock"
)

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
	err = lock.Look(f)
	if !errors.Is(err, lock.ErrHeld) {
		return 0, err
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
		fmt.Fprintln(o.Out, "guests and networks keep running: the next start goes on with them, nacre down --all (make down ALL=1) ends them")
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
