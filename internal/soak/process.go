package soak

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/await"
)

// Process is a program that can be killed, started again, frozen and thawed.
// Its output goes to one file over all its lives.
type Process struct {
	t    testing.TB
	Name string
	make func() *exec.Cmd
	log  *os.File

	// Alone leaves its children alone: a node's guests outlive it.
	Alone bool
	// Again has Ready start it again when it has ended by itself, as systemd does: a
	// server does that which finds the database's disk full.
	Again bool

	mu    sync.Mutex // guards cmd and ended
	cmd   *exec.Cmd
	ended chan struct{}
	how   error // once ended is closed
}

// NewProcess prepares a process, which build starts anew each time. It ends with
// the test.
func NewProcess(t testing.TB, name string, build func() *exec.Cmd) *Process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{t: t, Name: name, make: build, log: log}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, p.Tail(6000))
		}
		log.Close()
	})
	return p
}

// Ours runs this test binary as a part of a cloud. The part is asked for at
// each start.
func Ours(t testing.TB, name string, p func() Part) *Process {
	return NewProcess(t, name, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), partVariable+"="+variable(t, p()))
		return cmd
	})
}

func variable(t testing.TB, p Part) string {
	text, err := json.Marshal(p)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// Start starts the process, which ends with this one. The thread that starts it
// stays, since the kernel takes the thread for the parent.
func (p *Process) Start() {
	cmd, ended, started := p.make(), make(chan struct{}), make(chan error)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.how = cmd.Wait()
		}
	}()
	err := <-started
	if err != nil {
		p.t.Errorf("start %s: %v", p.Name, err)
		return
	}
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
}

// Kill is kill -9.
func (p *Process) Kill() {
	p.Signal(unix.SIGKILL)
	p.mu.Lock()
	ended := p.ended
	p.cmd = nil
	p.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// Signal signals the process and its children, as far as it runs.
func (p *Process) Signal(s unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || !p.alive() {
		return
	}
	pid := p.cmd.Process.Pid
	_ = unix.Kill(pid, s) // it may be ending by itself
	if p.Alone {
		return
	}
	for _, child := range children(pid) {
		_ = unix.Kill(child, s)
	}
}

// alive tells whether the process runs. The caller holds mu.
func (p *Process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Finish waits for the process to end by itself, and says how it did.
func (p *Process) Finish() error {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	<-ended
	return p.how
}

// Died tells whether the process has ended by itself.
func (p *Process) Died() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil && !p.alive()
}

// Ready waits until what the process serves at the URL says that it is ready.
func (p *Process) Ready(url string) {
	p.t.Helper()
	c := http.Client{Timeout: time.Second, Transport: Insecure()}
	defer c.CloseIdleConnections()
	await.Until(p.t, p.Name+" to be ready", time.Minute, func() bool {
		if p.Died() && p.Again {
			p.Start()
		}
		if p.Died() {
			p.t.Errorf("%s has ended: %s", p.Name, p.Tail(2000))
			return true
		}
		reply, err := c.Get(url + "/healthz")
		if err != nil {
			return false
		}
		reply.Body.Close()
		return reply.StatusCode == http.StatusOK
	})
}

func children(pid int) (list []int) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // it has just ended
	}
	for _, word := range strings.Fields(string(content)) {
		child, err := strconv.Atoi(word)
		if err == nil {
			list = append(list, child)
		}
	}
	return list
}

// Tail is the end of what the process has said.
func (p *Process) Tail(size int64) string {
	content, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, int64(len(content))-size):])
}
