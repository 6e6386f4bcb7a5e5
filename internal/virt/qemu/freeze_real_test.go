package qemu

import (
	"context"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/errs"
	"nacre/internal/virt"
)

// TestQuiesceInside: an agent in a guest is told to freeze before its disk is copied,
// and to thaw after; also when we die in between; and a guest that must be frozen
// is not copied without.
func TestQuiesceInside(t *testing.T) {
	l := newLab(t)
	h := l.open()
	m := virt.Machine{
		ID: clock.UUID(), Name: "quiet", VCPUs: 1, MemoryMB: 192, Running: true, Agent: true, Quiesce: true,
		Root: &virt.Root{Image: "guest", SizeGB: 3},
	}
	ensure := func() {
		t.Helper()
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	t.Cleanup(func() { l.host.Remove(context.Background(), m.ID) })
	s := login(t, h, m.ID)
	read := func() error {
		t.Helper()
		disk, err := h.Disk(t.Context(), m.ID, "root")
		if err != nil {
			return err
		}
		defer disk.Close()
		_, err = io.Copy(io.Discard, disk)
		return err
	}
	paused := func() bool {
		list, err := h.List(t.Context())
		return err != nil || list[0].Paused
	}
	err := read()
	if !errs.Is(err, errs.Conflict) || paused() {
		t.Errorf("a guest that must be frozen and has no agent is copied: %v, paused %v, want a conflict", err, paused())
	}
	m.Quiesce = false
	ensure()
	err = read()
	if err != nil {
		t.Errorf("a guest without an agent that need not be frozen is not copied: %v", err)
	}

	s.run("echo " + base64.StdEncoding.EncodeToString([]byte(agentScript)) + " | base64 -d > /tmp/agent")
	s.run("(sudo sh /tmp/agent > /dev/null 2>&1 < /dev/null &)")
	eventually(t, 60*time.Second, "an agent that listens", func() bool { return h.SetPassword(t.Context(), m.ID, "root", "secret") == nil })
	asked := func(want string) {
		t.Helper()
		eventually(t, 60*time.Second, "an agent that was asked "+want, func() bool {
			got := s.run(`sed -n 's/.*"guest-fsfreeze-\([a-z]*\)".*/\1/p' /tmp/asked | tr '\n' ' '`)
			return strings.Contains(got, "\n"+want+" ") || strings.Contains(got, "\r"+want+" ")
		})
	}
	m.Quiesce = true
	ensure()
	err = read()
	if err != nil || paused() {
		t.Errorf("a guest with an agent is not copied: %v, paused %v", err, paused())
	}
	asked("freeze thaw")

	// We end in between: the next of us thaws.
	held, err := h.Freeze(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Freeze(t.Context(), m.ID)
	if !errs.Is(err, errs.Conflict) {
		t.Errorf("a frozen guest is frozen again: %v, want a conflict", err)
	}
	asked("freeze thaw freeze")
	h = l.open()
	held.Close()
	conn, err := h.Serial(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s = &typist{t: t, conn: conn}
	s.send("")
	s.await("$ ", 60*time.Second)
	asked("freeze thaw freeze thaw")
	eventually(t, 20*time.Second, "record of a guest that is not frozen", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return !h.machines[m.ID].record.Frozen
	})
	err = h.Ensure(t.Context(), m)
	if err != nil || paused() {
		t.Errorf("after our restart the guest does not go on: %v, paused %v", err, paused())
	}
}
