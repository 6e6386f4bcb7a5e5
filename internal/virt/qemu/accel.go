package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const kvmDevice = "/dev/kvm"

// accelerator is a way to run a guest's processor, and the processor it has then.
type accelerator struct{ accel, cpu string }

func (a accelerator) args() []string { return []string{"-accel", a.accel, "-cpu", a.cpu} }

// memory is how much the guest gets, or one of its cells. An emulator before QEMU 9.0 forgets what a guest
// writes while it goes to another host, which then dies of that, if its memory comes
// in whole groups of 64 pages: only there it does not tell the emulated processors
// that they must note again which pages they write to.
func (a accelerator) memory(mb int) (kb int) {
	if a == emulation {
		return mb<<10 + 8
	}
	return mb << 10
}

// emulation works everywhere, slowly.
var emulation = accelerator{"tcg,thread=multi,tb-size=64", "max"}

// virtualization are the fast ways, the best first. Where the host is a guest
// itself, its KVM may refuse a register that it offers.
var virtualization = []accelerator{
	{"kvm", "host"},
	{"kvm", "host,arch-capabilities=off"},
}

// chooseAccelerator finds what works here for the account that guests run as, by
// starting an empty guest.
func (h *Host) chooseAccelerator(ctx context.Context) accelerator {
	_, err := os.Stat(kvmDevice)
	if errors.Is(err, fs.ErrNotExist) {
		return emulation
	}
	for _, a := range virtualization {
		err = h.try(ctx, a)
		if err == nil {
			return a
		}
	}
	h.options.Log.Warn("guests are emulated, which is slow: they cannot use "+kvmDevice+
		"; where permission is denied, give the device to the group kvm (chgrp kvm "+kvmDevice+" and chmod 660)",
		"account", h.options.User, "error", err)
	return emulation
}

// try runs an empty guest for a moment.
func (h *Host) try(ctx context.Context, a accelerator) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, emulator, append(a.args(),
		"-machine", "q35", "-nodefaults", "-no-user-config", "-display", "none", "-qmp", "stdio")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.owner}
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(`{"execute":"qmp_capabilities"}{"execute":"quit"}`)
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if err != nil {
		return fmt.Errorf("start a guest with %s: %w: %s", a.cpu, err, strings.TrimSpace(said.String()))
	}
	return nil
}
