// Package qemuimg runs qemu-img on what strangers have made.
//
// It runs within limits on memory, processor time and the size of what it
// writes, without network when we may take that away, with an empty environment,
// and never beyond our own death. Whoever calls it names every format and has
// looked at the image before (internal/image/inspect): the limits are for what
// is malformed, not for what leads elsewhere.
package qemuimg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const (
	memory  = 2 << 30
	seconds = 3600 // of the processor, not of the clock
)

// Tool runs a few at a time.
type Tool struct{ tokens chan struct{} }

// New makes a tool that runs n at a time.
func New(n int) *Tool { return &Tool{make(chan struct{}, n)} }

// Run runs qemu-img for a disk of the given size.
func (t *Tool) Run(ctx context.Context, disk int64, args ...string) error {
	select {
	case t.tokens <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-t.tokens }()

	limits := []string{
		"--as=" + strconv.Itoa(memory),
		"--cpu=" + strconv.Itoa(seconds),
		"--fsize=" + strconv.FormatInt(disk+disk/64+64<<20, 10),
		"--nofile=64",
		"--core=0",
		"--", "qemu-img",
	}
	cmd := exec.CommandContext(ctx, "prlimit", append(limits, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	// The kernel takes the death of the thread that started a child for ours.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		text := strings.TrimSpace(string(out[:min(len(out), 2000)]))
		return fmt.Errorf("qemu-img %s: %w: %s", args[0], err, text)
	}
	return nil
}
