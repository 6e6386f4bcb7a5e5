package qemu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	testguest "nacre/internal/guest"
	"nacre/internal/virt"
)

const (
	namespaceMark = "NACRE_TEST_IN_NAMESPACE"
	childMark     = "NACRE_TEST_CHILD"
)

// TestMain moves the tests into a network namespace of their own, where they
// may make tap devices.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childMark); dir != "" {
		runChild(dir)
		return
	}
	if os.Getenv(namespaceMark) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), namespaceMark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	err := cmd.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a network namespace for the tests (needs root or user namespaces):", err)
		os.Exit(1)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	cmd.Wait()
	code := cmd.ProcessState.ExitCode()
	if code < 0 {
		code = 1
	}
	os.Exit(code)
}

// lab is a folder with the guest image and what the guests need around them.
type lab struct {
	t     *testing.T
	dir   string
	image string
	user  string
	host  *Host
}

// oneImage is an image cache with a single image.
type oneImage struct{ path string }

func (o oneImage) Path(context.Context, string) (string, string, error) { return o.path, "qcow2", nil }

func newLab(t *testing.T) *lab {
	t.Helper()
	return newLabOf(t, false)
}

// newLabOf may have a guest that knows more devices than usual. (The image is built
// by the tests of package guest: here is no network to get its kernel by.)
func newLabOf(t *testing.T, drivers bool) *lab {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	built, err := testguest.Build(ctx, testguest.Options{Dir: filepath.Join(cache, "nacre"), Drivers: drivers})
	if err != nil {
		t.Fatal(err)
	}
	// t.TempDir is closed to the user that guests run as.
	dir, err := os.MkdirTemp("", "nacre-qemu-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	err = os.Chmod(dir, 0o711)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(dir, "image.qcow2")
	err = os.WriteFile(image, data, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: dir, image: image}
	if os.Geteuid() == 0 && wholeUserSpace() {
		l.user = "nobody"
	}
	t.Cleanup(func() {
		if l.host != nil {
			l.host.Close()
		}
		l.killLeft()
	})
	return l
}

// killLeft ends what a failed test has left running.
func (l *lab) killLeft() {
	files, err := filepath.Glob(filepath.Join(l.options().Dir, "*/run/pid"))
	if err != nil {
		return
	}
	for _, file := range files {
		pid, err := lockHolder(file)
		if err == nil && pid > 0 {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// wholeUserSpace tells whether root here can become somebody else.
func wholeUserSpace() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	var inside, outside, size uint64
	_, err = fmt.Sscan(string(data), &inside, &outside, &size)
	return err == nil && size > 65534
}

// options are those of the lab's host.
func (l *lab) options() Options {
	return Options{
		Dir: filepath.Join(l.dir, "machines"), Images: oneImage{l.image}, User: l.user,
		StopTimeout: 4 * time.Second, UnplugTimeout: 30 * time.Second,
	}
}

// open opens the driver, a second time as after a crash.
func (l *lab) open() *Host {
	l.t.Helper()
	if l.host != nil {
		l.host.Close()
	}
	h, err := New(l.options())
	if err != nil {
		l.t.Fatal(err)
	}
	l.host = h
	return h
}

// disk serves a volume of 64 MiB by NBD.
func (l *lab) disk(t *testing.T, id string) virt.Disk { return l.diskOf(t, id, 64<<20) }

func (l *lab) diskOf(t *testing.T, id string, size int64) virt.Disk {
	t.Helper()
	file := filepath.Join(l.dir, id+".raw")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Truncate(size)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	socket := filepath.Join(l.dir, id[:8]+".nbd")
	cmd := exec.Command("qemu-nbd", "--socket="+socket, "--format=raw", "--persistent", "--shared=4", "--export-name="+id, file)
	cmd.Stderr = os.Stderr
	err = cmd.Start()
	if err != nil {
		t.Fatalf("serve a volume (Debian package qemu-utils): %v", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, 10*time.Second, "NBD socket", func() bool {
		err := os.Chmod(socket, 0o666)
		return err == nil
	})
	return virt.Disk{ID: id, Socket: socket, Export: id, Device: "/dev/vdb"}
}

// nic makes a tap device that stays.
func (l *lab) nic(t *testing.T, id string) virt.NIC {
	t.Helper()
	name := "tap" + id[:8]
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	if err != nil {
		t.Fatalf("make tap: %v", err)
	}
	err = unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
	if err != nil {
		t.Fatal(err)
	}
	return virt.NIC{ID: id, MAC: "fa:16:3e:12:34:56", Tap: name, MTU: 1442}
}

// pid is the machine's process, as the kernel knows it.
func (l *lab) pid(t *testing.T, id string) int {
	t.Helper()
	pid, err := lockHolder(filepath.Join(l.options().Dir, id, "run", "pid"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// eventually looks at a condition until it holds.
func eventually(t *testing.T, limit time.Duration, what string, look func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !look() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("no %s within %v", what, limit)
		}
	}
}
