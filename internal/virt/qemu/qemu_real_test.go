package qemu

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nacre/internal/virt"
	"nacre/internal/virt/virttest"
)

// TestSuite runs the driver suite on real guests.
func TestSuite(t *testing.T) {
	virttest.Run(t, func(t *testing.T) virttest.Rig {
		l := newLab(t)
		l.open()
		return virttest.Rig{
			Host:   l.host,
			Reopen: func(*testing.T) virt.Host { return l.open() },
			Image:  "guest", MemoryMB: 128, Patience: 120 * time.Second,
			BootMark: "SYSLINUX", Ready: "guest login:",
			Disk: l.disk, NIC: l.nic,
			Run: func(t *testing.T, id string) string { return fmt.Sprint(l.pid(t, id)) },
			PowerOff: func(t *testing.T, id string) {
				m := l.host.machines[id]
				client, err := l.host.monitor(t.Context(), m, m.guest)
				if err != nil {
					t.Fatal(err)
				}
				err = client.Execute(t.Context(), "system_powerdown", nil, nil)
				if err != nil {
					t.Fatal(err)
				}
			},
			Crash: func(t *testing.T, id string) {
				pid := l.pid(t, id)
				if pid == 0 {
					t.Fatal("there is no process to crash")
				}
				err := unix.Kill(pid, unix.SIGKILL)
				if err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
