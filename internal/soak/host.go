package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host is the namespaces that a real node runs in, kept by a process of their
// own.
type Host struct {
	Name string
	PID  int

	orders io.WriteCloser // to the keeper
	said   *bufio.Reader
}

// NewHost makes a host that lasts until the test ends.
func NewHost(t testing.TB, name string, room Room) *Host {
	t.Helper()
	text, err := json.Marshal(Part{Host: &room})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), partVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	life, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		life.Close()
		err := cmd.Wait()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	h := &Host{Name: name, PID: cmd.Process.Pid, orders: life, said: bufio.NewReader(said)}
	line, err := h.said.ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("%s says %q, %v", name, line, err)
	}
	return h
}

// Fill leaves no space on the host's disk.
func (h *Host) Fill() error { return h.order("fill") }

// Free gives the host its disk back.
func (h *Host) Free() error { return h.order("free") }

func (h *Host) order(word string) error {
	_, err := fmt.Fprintln(h.orders, word)
	if err != nil {
		return err
	}
	line, err := h.said.ReadString('\n')
	if err != nil || line != "done\n" {
		return fmt.Errorf("%s: %s: %q, %w", h.Name, word, line, err)
	}
	return nil
}

// Inside hands out the host's devices.
func (h *Host) Inside(do func(n *netlink.Handle) error) error {
	space, err := netns.GetFromPid(h.PID)
	if err != nil {
		return err
	}
	defer space.Close()
	devices, err := netlink.NewHandleAt(space, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer devices.Close()
	return do(devices)
}

// Path is where a file of the host is for those outside.
func (h *Host) Path(path string) string { return fmt.Sprintf("/proc/%d/root%s", h.PID, path) }

// KillAll kills everything that runs on the host, at once. What keeps its
// namespaces stays.
func (h *Host) KillAll() error {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", h.PID))
	if err != nil {
		return err
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return err
	}
	for _, link := range links {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(link))))
		space, gone := os.Readlink(link)
		if err != nil || gone != nil || space != own || pid == h.PID {
			continue
		}
		err = unix.Kill(pid, unix.SIGKILL)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// OursIn is Ours in a host. What the process starts there outlives it.
func OursIn(t testing.TB, name string, h *Host, p func() Part) *Process {
	t.Helper()
	r := NewProcess(t, name, func() *exec.Cmd {
		own, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("nsenter", "--target", fmt.Sprint(h.PID), "--net", "--mount", "--", own)
		cmd.Env = append(os.Environ(), partVariable+"="+variable(t, p()))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return cmd
	})
	r.Alone = true
	return r
}
