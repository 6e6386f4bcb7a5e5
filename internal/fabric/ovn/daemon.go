package ovn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/fabric/ovn/ovsdb"
)

// A daemon is one of the programs that make up OVN. It detaches, so that it
// outlives us, and is known by its pidfile. A process counts as ours when it runs
// the right program and was told this very pidfile: process ids come round
// again.
type daemon struct {
	name    string // of its files
	program string
	dir     string
	args    []string
	exit    []string // what to say to its control socket
}

func (d daemon) path(suffix string) string {
	return filepath.Join(d.dir, d.name+suffix)
}

// pid returns the running process, 0 for none.
func (d daemon) pid() int {
	data, err := os.ReadFile(d.path(".pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	// A program that was upgraded since shows as "… (deleted)".
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || filepath.Base(strings.TrimSuffix(exe, " (deleted)")) != d.program {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !slices.Contains(strings.Split(string(line), "\x00"), "--pidfile="+d.path(".pid")) {
		return 0
	}
	return pid
}

// start makes the daemon run. It returns when the daemon answers.
func (d daemon) start(ctx context.Context, log *slog.Logger) error {
	if pid := d.pid(); pid != 0 {
		log.Debug("network daemon runs already", "daemon", d.name, "pid", pid)
		return nil
	}
	began := time.Now()
	args := append([]string{
		"--detach", "--no-chdir",
		"--pidfile=" + d.path(".pid"), "--log-file=" + d.path(".log"),
		"-vconsole:off", "-vsyslog:off",
	}, d.args...)
	err := run(ctx, d.dir, d.program, args...)
	if err != nil && d.pid() == 0 { // else it was on its way already, started before we were
		return fmt.Errorf("start %s (see %s): %w", d.program, d.path(".log"), err)
	}
	log.Info("network daemon started", "daemon", d.name, "pid", d.pid(), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// stop ends the daemon: asked politely, then by signal.
func (d daemon) stop(ctx context.Context, log *slog.Logger) error {
	pid := d.pid()
	if pid == 0 {
		return nil
	}
	process, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(process)

	polite, cancel := context.WithTimeout(ctx, 10*time.Second)
	_, err = ovsdb.Call(polite, d.control(pid), d.exit[0], d.exit[1:]...)
	cancel()
	if err != nil && !errors.Is(err, ovsdb.ErrDisconnected) {
		log.Warn("network daemon does not answer, sending a signal", "daemon", d.name, "pid", pid, "error", err)
		err = unix.PidfdSendSignal(process, unix.SIGTERM, nil, 0)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end %s: %w", d.name, err)
		}
	}
	if ended(process, 10*time.Second) {
		return nil
	}
	err = unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill %s: %w", d.name, err)
	}
	if !ended(process, 10*time.Second) {
		return fmt.Errorf("end %s: process %d is still there", d.name, pid)
	}
	return nil
}

// control is the daemon's control socket. ovn-controller 23.03 cannot be told
// where to put it, so all of them use the place they choose by themselves.
func (d daemon) control(pid int) string {
	return filepath.Join(d.dir, fmt.Sprintf("%s.%d.ctl", d.program, pid))
}

// ended waits for the process behind the descriptor.
func ended(process int, patience time.Duration) bool {
	deadline := time.Now().Add(patience)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0
	}
}

// run runs a program of Open vSwitch or OVN to its end, or until it has detached
// itself. Everything it writes stays in dir.
func run(ctx context.Context, dir, program string, args ...string) error {
	_, err := output(ctx, dir, program, args...)
	return err
}

func output(ctx context.Context, dir, program string, args ...string) (string, error) {
	path, err := find(program)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	for _, name := range []string{"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "OVN_RUNDIR", "OVN_LOGDIR", "OVN_DBDIR", "OVN_SYSCONFDIR"} {
		cmd.Env = append(cmd.Env, name+"="+dir)
	}
	cmd.Env = append(cmd.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	cmd.WaitDelay = 2 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// packages says where the programs come from.
var packages = map[string]string{
	"ovsdb-tool":     "openvswitch-common",
	"ovsdb-server":   "openvswitch-common",
	"ovs-vswitchd":   "openvswitch-switch",
	"ovn-northd":     "ovn-central",
	"ovn-controller": "ovn-host",
}

func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
		path = filepath.Join(folder, program)
		_, err = os.Stat(path)
		if err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("program %s is missing: install package %s", program, packages[program])
}

// Missing returns the packages that Start needs and this machine lacks.
func Missing() []string {
	var missing []string
	for program, pkg := range packages {
		_, err := find(program)
		if err != nil && !slices.Contains(missing, pkg) {
			missing = append(missing, pkg)
		}
	}
	slices.Sort(missing)
	return missing
}
