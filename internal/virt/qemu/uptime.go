package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/nodeapi"
)

// Uptime implements virt.Host.
func (h *Host) Uptime(context.Context) (nodeapi.Uptime, error) {
	var info unix.Sysinfo_t
	err := unix.Sysinfo(&info)
	if err != nil {
		return nodeapi.Uptime{}, fmt.Errorf("ask the kernel: %w", err)
	}
	up := nodeapi.Uptime{Now: time.Now().Unix(), Seconds: int64(info.Uptime)}
	for i, load := range info.Loads {
		up.Load[i] = float64(load) / (1 << 16)
	}
	up.Users, err = sessions("/run/systemd/sessions")
	return up, err
}

// sessions counts the sessions of users that systemd's login manager keeps, each
// in a file. Where there is no such manager there are none.
func sessions(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("count sessions: %w", err)
	}
	users := 0
	for _, entry := range entries {
		if !entry.Type().IsRegular() { // the pipes there would keep a reader waiting
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err == nil && bytes.Contains(text, []byte("\nCLASS=user\n")) { // else it has ended meanwhile
			users++
		}
	}
	return users, nil
}
