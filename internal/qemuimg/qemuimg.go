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

	"golang.org/x/sys/unix"
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
	return t.run(ctx, disk, nil, args...)
}

// Secret is the name of the secret of RunWith.
const Secret = "key"

// RunWith is Run with a secret, which qemu-img knows by the name Secret. It is in
// no argument, no environment and no file.
func (t *Tool) RunWith(ctx context.Context, disk int64, secret, command string, args ...string) error {
	f, err := SecretFile(secret)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.run(ctx, disk, f, append([]string{command, "--object", SecretObject(3)}, args...)...)
}

// SecretObject describes the secret to a program of QEMU that inherits it.
func SecretObject(descriptor int) string {
	return fmt.Sprintf("secret,id=%s,file=/dev/fd/%d", Secret, descriptor)
}

// SecretFile is a file in memory for a program to inherit.
func SecretFile(secret string) (*os.File, error) {
	fd, err := unix.MemfdCreate("secret", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("keep a secret in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "secret")
	_, err = f.WriteString(secret)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("keep a secret in memory: %w", err)
	}
	return f, nil
}

func (t *Tool) run(ctx context.Context, disk int64, secret *os.File, args ...string) error {
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
	if secret != nil {
		cmd.ExtraFiles = []*os.File{secret} // 3
	}
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
