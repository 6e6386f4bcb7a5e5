package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nacre/internal/qmp"
	"nacre/internal/virt"
)

// actor plays QEMU by a script: the answers to each command, in order, of which the
// last is given again and again. An answer that is not JSON is a refusal.
type actor struct {
	script map[string][]string
	heard  []string // commands that are no questions
}

func (a *actor) answer(command string) string {
	if !strings.HasPrefix(command, "query-") {
		a.heard = append(a.heard, command)
	}
	lines := a.script[command]
	if len(lines) == 0 {
		return "{}"
	}
	if len(lines) > 1 {
		a.script[command] = lines[1:]
	}
	return lines[0]
}

// serve speaks with one client until it ends. What it gets to send a guest by, it
// fills with the guest.
func (a *actor) serve(conn *net.UnixConn) {
	defer conn.Close()
	fmt.Fprintln(conn, `{"QMP": {}}`)
	line, rights := make([]byte, 4096), make([]byte, 256)
	for {
		n, oob, _, _, err := conn.ReadMsgUnix(line, rights)
		if err != nil || n == 0 {
			return
		}
		messages, err := unix.ParseSocketControlMessage(rights[:oob])
		if err == nil && len(messages) > 0 {
			fds, err := unix.ParseUnixRights(&messages[0])
			if err != nil {
				return
			}
			out := os.NewFile(uintptr(fds[0]), "memory")
			defer out.Close()
			fmt.Fprint(out, wholeGuest)
		}
		var m struct {
			Execute string
			ID      int64
		}
		err = json.Unmarshal(line[:n], &m)
		if err != nil {
			return
		}
		answer := a.answer(m.Execute)
		if !json.Valid([]byte(answer)) {
			fmt.Fprintf(conn, `{"error": {"class": "GenericError", "desc": %q}, "id": %d}`+"\n", answer, m.ID)
			continue
		}
		fmt.Fprintf(conn, `{"return": %s, "id": %d}`+"\n", answer, m.ID)
	}
}

const wholeGuest = "all of a guest"

// stage is a host whose only guest is played.
func stage(t *testing.T, a *actor) (*Host, *machine, *guest) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "q")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err == nil {
			a.serve(conn.(*net.UnixConn))
		}
	}()
	client, err := qmp.Dial(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); listener.Close(); <-done })
	h := &Host{changed: make(chan string, 1), machines: map[string]*machine{}, ctx: t.Context(), options: Options{Log: slog.New(slog.DiscardHandler)}}
	g := &guest{gone: make(chan struct{}), news: make(chan struct{}, 1), qmp: client}
	m := &machine{id: "mover", guest: g}
	m.record.Machine.Outgoing = &virt.Outgoing{Move: "move-1"}
	h.machines[m.id] = m
	return h, m, g
}

// other is the host that a guest goes to, as this one sees it.
type other struct {
	virt.Elsewhere
	word, memory       net.Conn // this host's ends
	farWord, farMemory net.Conn
}

func newOther() *other {
	o := &other{}
	o.word, o.farWord = net.Pipe()
	o.memory, o.farMemory = net.Pipe()
	return o
}

func (o *other) Send(_ context.Context, _, _, channel string) (io.ReadWriteCloser, error) {
	if channel == channelWord {
		return o.word, nil
	}
	return o.memory, nil
}

// takeIn lets a guest run as soon as it hears the word and has all of it.
func (o *other) takeIn() error {
	said := make([]byte, 1)
	_, err := io.ReadFull(o.farWord, said)
	if err != nil {
		return fmt.Errorf("there is no word: %w", err)
	}
	got := make([]byte, len(wholeGuest))
	n, err := io.ReadFull(o.farMemory, got)
	if err != nil {
		return fmt.Errorf("after %q there is no more of it: %w", got[:n], err)
	}
	_, err = o.farWord.Write(said)
	o.farMemory.Close()
	return err
}

// run runs the move of a guest to the other host, and returns what that made of it.
func run(t *testing.T, h *Host, m *machine, g *guest) error {
	t.Helper()
	o := newOther()
	h.elsewhere = o
	taken := make(chan error, 1)
	go func() { taken <- o.takeIn() }()
	s := &sending{move: "move-1"}
	s.ctx, s.stop = context.WithCancel(t.Context())
	defer s.stop()
	h.runMove(m, g, s)
	return <-taken
}

// QEMU leaves the state in which the guest stands still some time after it has heard
// that it may go on: the copying of its disks is ended once.
func TestSwitchOverOnce(t *testing.T) {
	a := &actor{script: map[string][]string{
		"query-migrate": {
			`{"status":"active"}`, `{"status":"pre-switchover"}`, `{"status":"pre-switchover"}`, `{"status":"pre-switchover"}`,
			`{"status":"device"}`, `{"status":"completed","downtime":7}`,
		},
		"query-block-jobs": {`[{"device":"move-root"},{"device":"move-swap"}]`, `[{"device":"move-swap"}]`, `[]`},
		"block-job-cancel": {`{}`, `{}`, "Block job 'move-root' not found"},
	}}
	h, m, g := stage(t, a)
	err := h.follow(t.Context(), m, g, g.qmp, &sending{move: "move-1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"qmp_capabilities", "block-job-cancel", "block-job-cancel", "blockdev-del", "blockdev-del", "migrate-continue"}
	if !slices.Equal(a.heard, want) {
		t.Errorf("QEMU heard %q, want %q", a.heard, want)
	}
	if move := m.leaving(); move.Phase != virt.MoveGone || move.Downtime != 7 {
		t.Errorf("the move is %+v", move)
	}
}

// A guest that is found to have gone when its move was broken off is let run on the
// other host, like any other, and the last of it still gets there. QEMU says that all is over before it says that the
// guest is.
func TestGoneAllTheSame(t *testing.T) {
	a := &actor{script: map[string][]string{
		"query-migrate": {"the monitor is out of order", `{"status":"completed"}`},
		"query-status":  {`{"status":"finish-migrate"}`, `{"status":"finish-migrate"}`, `{"status":"postmigrate"}`},
	}}
	h, m, g := stage(t, a)
	err := run(t, h, m, g)
	if err != nil {
		t.Errorf("the guest is nowhere: %v", err)
	}
	if slices.Contains(a.heard, "migrate_cancel") {
		t.Error("what was over was broken off")
	}
	if move := m.leaving(); move.Phase != virt.MoveGone {
		t.Errorf("the move is %+v", move)
	}
}

// A guest that stays is not let run on the other host.
func TestStays(t *testing.T) {
	a := &actor{script: map[string][]string{
		"query-migrate":    {`{"status":"failed","error-desc":"no way"}`},
		"query-status":     {`{"status":"running"}`},
		"query-block-jobs": {`[]`},
	}}
	h, m, g := stage(t, a)
	err := run(t, h, m, g)
	if !errors.Is(err, io.EOF) {
		t.Errorf("the other host was told that it may let the guest run: %v", err)
	}
	if move := m.leaving(); move.Phase != virt.MoveStays || !strings.Contains(move.Problem, "no way") {
		t.Errorf("the move is %+v", move)
	}
}

// An emulated guest's memory is never of whole groups of 64 pages, in which QEMU 7.2
// loses track of what the guest writes while it moves.
func TestMemoryOfEmulatedGuests(t *testing.T) {
	for mb, want := range map[int]int{64: 65544, 512: 524296, 4096: 4194312} {
		if got := emulation.memory(mb); got != want {
			t.Errorf("memory of %d MiB is %d KiB, want %d", mb, got, want)
		}
	}
	if got := virtualization[0].memory(512); got != 512<<10 {
		t.Errorf("with KVM memory of 512 MiB is %d KiB", got)
	}
}
