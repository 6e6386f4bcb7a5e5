package threehosts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// process is a part of the cluster, which can be killed and started again. Its
// output goes to one file over all its lives.
type process struct {
	t    testing.TB
	name string
	part part
	host *host // whose namespaces it runs in; nil for the tests' own
	log  *os.File
	cmd  *exec.Cmd
}

func newProcess(t testing.TB, dir, name string, h *host, p part) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	r := &process{t: t, name: name, part: p, host: h, log: log}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of the log of %s:\n%s", name, text[max(0, len(text)-6000):])
		}
		log.Close()
	})
	return r
}

func (p *process) command() *exec.Cmd {
	p.t.Helper()
	own, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(p.part)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(own)
	if p.host != nil {
		cmd = exec.Command("nsenter", "--target", fmt.Sprint(p.host.pid), "--net", "--mount", "--", own)
	}
	cmd.Env = append(os.Environ(), partVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = p.command()
	err := p.cmd.Start()
	if err != nil {
		p.t.Fatal(err)
	}
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended by itself
	_ = p.cmd.Wait()
	p.cmd = nil
}

// host is the namespaces that a node runs in, kept by a process of their own.
type host struct {
	name string
	pid  int
	dir  string // the node's data folder
	node *process
}

func newHost(t testing.TB, name, dir string) *host {
	t.Helper()
	text, err := json.Marshal(part{Host: true})
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
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("%s says %q, %v", name, line, err)
	}
	return &host{name: name, pid: cmd.Process.Pid, dir: filepath.Join(dir, name)}
}

// inside hands out the host's devices.
func (h *host) inside(do func(n *netlink.Handle) error) error {
	space, err := netns.GetFromPid(h.pid)
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

// running counts processes that match; there are none but ours.
func running(t *testing.T, match string) (count int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && bytes.Contains(line, []byte(match)) {
			count++
		}
	}
	return count
}
