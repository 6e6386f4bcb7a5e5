package fabrictest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nacre/internal/db/dbtest"
)

// isolated marks the process that runs in namespaces of its own.
const isolated = "NACRE_TEST_ISOLATED"

// Main runs a package's tests in network, mount and process namespaces of their
// own, so that they neither see nor touch the machine's network, and every process
// they start ends with them. It is what TestMain calls, and exits.
func Main(m *testing.M) {
	code, err := runIsolated(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests on a real network need root, to make namespaces:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func runIsolated(m *testing.M) (int, error) {
	if os.Getenv(isolated) != "" {
		err := MoveIn()
		if err == nil {
			err = unix.Mount("proc", "/proc", "proc", 0, "") // which shows our processes
		}
		if err != nil {
			return 0, err
		}
		code := m.Run()
		dbtest.End() // its keeper would be killed with this process
		return code, nil
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), isolated+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// MoveIn makes new network and mount namespaces usable: mounts and the names of
// network namespaces, which are files, stay inside, the loopback device is up.
func MoveIn() error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if errors.Is(err, unix.EINVAL) {
		return errors.New("the root folder is no mount point, as in a plain chroot: mount it onto itself (mount --bind) before entering it")
	}
	if err != nil {
		return fmt.Errorf("keep mounts inside: %w", err)
	}
	const names = "/run/netns"
	err = os.MkdirAll(names, 0o755)
	if err == nil {
		err = unix.Mount("tmpfs", names, "tmpfs", 0, "")
	}
	if err != nil {
		return fmt.Errorf("keep names of namespaces inside: %w", err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(loopback)
}
