package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
	"nacre/internal/virt/virttest"
)

// nextDoor reaches another host without anything in between.
type nextDoor struct {
	host func() *Host
	gate *gate
}

// gate holds up the memory of guests on their way while it is shut.
type gate struct {
	mu      sync.Mutex // guards what follows
	open    chan struct{}
	passing []io.Closer
}

// cut ends what passes, as the end of an agent does.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.passing {
		c.Close()
	}
	g.passing = nil
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
	if open {
		close(g.open)
	}
}

// held is a channel behind the gate.
type held struct {
	io.ReadWriteCloser
	gate   *gate
	closed chan struct{}
	once   *sync.Once
}

func (h held) Write(p []byte) (int, error) {
	h.gate.mu.Lock()
	open := h.gate.open
	h.gate.mu.Unlock()
	select {
	case <-open:
	case <-h.closed:
	}
	return h.ReadWriteCloser.Write(p)
}

func (h held) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.ReadWriteCloser.Close()
}

func (n nextDoor) Disk(ctx context.Context, machine, disk string) (io.ReadCloser, error) {
	return n.host().Disk(ctx, machine, disk)
}

func (n nextDoor) Send(ctx context.Context, machine, move, channel string) (io.ReadWriteCloser, error) {
	conn, err := n.host().Receive(ctx, machine, move, channel)
	if err != nil || channel != channelMemory {
		return conn, err
	}
	h := held{conn, n.gate, make(chan struct{}), &sync.Once{}}
	n.gate.mu.Lock()
	defer n.gate.mu.Unlock()
	n.gate.passing = append(n.gate.passing, h)
	return h, nil
}

// state is what the host tells of a machine.
func state(t *testing.T, h *Host, id string) virt.State {
	t.Helper()
	list, err := h.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.ID == id {
			return s
		}
	}
	return virt.State{}
}

func phase(t *testing.T, h *Host, id string) string {
	t.Helper()
	move := state(t, h, id).Move
	if move == nil {
		return ""
	}
	return move.Phase
}

// two are two hosts that reach each other, with a guest on the first.
type two struct {
	t     *testing.T
	labs  [2]*lab
	nics  [2]virt.NIC
	here  int // where the guest is
	guest virt.Machine
	moves int
	gate  gate
	cores []int // where the guest's processor is pinned on each host, if it is
}

// newTwo starts a guest, other than usual by the changes.
func newTwo(t *testing.T, changes ...func(w *two)) *two {
	w := &two{t: t}
	w.gate.set(true)
	for i := range w.labs {
		w.labs[i] = newLab(t)
	}
	volume, port := w.labs[0].disk(t, clock.UUID()), clock.UUID()
	for i := range w.labs {
		w.open(i)
		w.nics[i] = w.labs[i].nic(t, fmt.Sprint(i)+port[1:])
		w.nics[i].ID = port
	}
	w.guest = virt.Machine{
		ID: clock.UUID(), Name: "mover", VCPUs: 1, MemoryMB: 192, Running: true,
		Root: &virt.Root{Image: "guest", SizeGB: 1}, Blanks: []virt.Blank{{Name: "ephemeral0", SizeMB: 64, Format: "ext4"}},
		Disks: []virt.Disk{volume},
	}
	for _, change := range changes {
		change(w)
	}
	w.ensure(0, nil, nil)
	t.Cleanup(func() {
		for _, l := range w.labs {
			l.host.Remove(context.Background(), w.guest.ID)
		}
	})
	t.Cleanup(w.tell)
	return w
}

// tell tells of a test that has failed what both hosts and their QEMUs make of the
// move.
func (w *two) tell() {
	if !w.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i, l := range w.labs {
		h := l.host
		h.mu.Lock()
		m := h.machines[w.guest.ID]
		h.mu.Unlock()
		if m == nil {
			w.t.Logf("host %d has no guest", i)
			continue
		}
		w.t.Logf("host %d: move %+v; QEMU complains: %s", i, m.move, m.complaints())
		g, err := h.process(ctx, m)
		if err != nil || g == nil {
			w.t.Logf("host %d has no QEMU: %v", i, err)
			continue
		}
		for _, query := range []string{"query-status", "query-migrate", "query-block-jobs"} {
			var answer json.RawMessage
			err = g.qmp.Execute(ctx, query, nil, &answer)
			w.t.Logf("host %d: %s: %s %v", i, query, answer, err)
		}
	}
}

// open opens a host, a second time as after a crash.
func (w *two) open(i int) {
	w.labs[i].open().Reach(nextDoor{func() *Host { return w.labs[1-i].host }, &w.gate})
}

func (w *two) ensure(i int, in *virt.Incoming, out *virt.Outgoing) {
	w.t.Helper()
	m := w.guest
	m.NICs = []virt.NIC{w.nics[i]}
	if w.cores != nil {
		m.Topology = &nodeapi.Topology{Cells: []nodeapi.GuestCell{{CPUs: []int{0}, MemoryMB: m.MemoryMB, Pins: map[int]int{0: w.cores[i]}}}}
	}
	m.Incoming, m.Outgoing = in, out
	err := w.labs[i].host.Ensure(w.t.Context(), m)
	if err != nil {
		w.t.Fatal(err)
	}
}

// begin has the guest go to the other host.
func (w *two) begin(out virt.Outgoing) (from, to *Host) {
	w.t.Helper()
	w.moves++
	out.Move = fmt.Sprint("move-", w.moves)
	from, to = w.labs[w.here].host, w.labs[1-w.here].host
	w.ensure(1-w.here, &virt.Incoming{Move: out.Move, Layout: state(w.t, from, w.guest.ID).Layout}, nil)
	if got := phase(w.t, to, w.guest.ID); got != virt.MoveReady {
		w.t.Fatalf("the other host is %q, want it ready", got)
	}
	w.ensure(w.here, nil, &out)
	return from, to
}

// move takes the guest to the other host.
func (w *two) move() {
	w.t.Helper()
	from, to := w.begin(virt.Outgoing{})
	eventually(w.t, time.Minute, "arrival", func() bool {
		if got := phase(w.t, from, w.guest.ID); got == virt.MoveStays {
			w.t.Fatalf("the guest stays: %+v", state(w.t, from, w.guest.ID).Move)
		}
		return phase(w.t, from, w.guest.ID) == virt.MoveGone && phase(w.t, to, w.guest.ID) == virt.MoveArrived
	})
	w.t.Logf("the guest stood still for %d ms", state(w.t, from, w.guest.ID).Move.Downtime)
	if state(w.t, from, w.guest.ID).Running || !state(w.t, to, w.guest.ID).Running {
		w.t.Error("the guest does not run where it has gone to, and there alone")
	}
	err := from.Remove(w.t.Context(), w.guest.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	w.here = 1 - w.here
	w.ensure(w.here, nil, nil)
}

// line is the guest's serial line, where somebody has signed in, or is about to.
func (w *two) line(signIn bool) *typist {
	w.t.Helper()
	conn, err := w.labs[w.here].host.Serial(w.t.Context(), w.guest.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	s := &typist{t: w.t, conn: conn}
	if !signIn {
		return s
	}
	s.await("login: ", 120*time.Second)
	s.send("cirros")
	s.await("assword: ", 60*time.Second)
	s.send("gocubsgo")
	s.await("$ ", 60*time.Second)
	return s
}

// A guest goes to another host and back while it counts and writes, with disks of its
// own, a volume, devices that were not there when it started, and a core of its own
// on each host.
func TestMove(t *testing.T) {
	w := newTwo(t, func(w *two) { w.cores, w.guest.Hardware.Video = mine(t)[:2], "qxl" })
	s := w.line(true)
	late := w.labs[0].disk(t, clock.UUID())
	w.guest.Disks = append(w.guest.Disks, late)
	w.ensure(0, nil, nil)
	s.run("echo kept > kept; sudo mkfs -t ext4 -q /dev/vdc && sudo mount /dev/vdc /mnt && sudo sh -c 'echo volume > /mnt/kept'; sync")
	s.run("sudo mkdir /ephemeral && sudo mount /dev/vdb /ephemeral && sudo chmod 777 /ephemeral && echo passing > /ephemeral/kept")
	s.run("(while true; do sync; cat /proc/uptime | tee now > /ephemeral/now; sleep 0.1; done) > /dev/null 2>&1 & true")
	before := uptime(t, s)
	for range 2 {
		w.move()
		spice, err := w.labs[w.here].host.SPICE(t.Context(), w.guest.ID)
		if err != nil {
			t.Fatal(err)
		}
		virttest.HelloSPICE(t, spice)
		spice.Close()
		if on, _ := affinity(t, w.labs[w.here].host, w.guest.ID); !slices.Equal(on[0], w.cores[w.here:w.here+1]) {
			t.Errorf("where it has gone to the guest's processor runs on %v, want %d", on, w.cores[w.here])
		}
		s = w.line(false)
		s.run("sync; echo 3 | sudo tee /proc/sys/vm/drop_caches")
		if got := s.run("cat kept /mnt/kept /ephemeral/kept; dd if=/dev/vda of=/dev/null bs=1M count=64 2>&1 | tail -1"); !strings.Contains(got, "kept") || !strings.Contains(got, "volume") || !strings.Contains(got, "passing") || strings.Contains(got, "error") {
			t.Errorf("on its disks the guest finds %q", got)
		}
		now := uptime(t, s)
		if now < before {
			t.Errorf("the guest was started anew: its uptime went from %.1f s to %.1f s", before, now)
		}
		before = now
	}
}

// A firmware goes to another host with its variables, which are in its file there
// from then on: it finds them when it is started anew.
func TestMoveOfFirmware(t *testing.T) {
	w := newTwo(t, func(w *two) {
		w.guest.MemoryMB, w.guest.Root, w.guest.Disks = 256, &virt.Root{SizeGB: 1}, nil
		w.guest.Blanks = append(w.guest.Blanks, virt.Blank{Name: nodeapi.Variables, Format: "uefi"})
	})
	const name = "kept -guid 4a7ec3b5-0d39-4b1c-9d5e-6f1a2b3c4d5e"
	s := w.line(false)
	shell := func(command string) string {
		t.Helper()
		s.send(command + "\r")
		return s.await("Shell> ", time.Minute)
	}
	s.await("Shell> ", 3*time.Minute)
	shell("setvar " + name + " -nv -bs -rt =cafe")
	w.move()
	s = w.line(false)
	if said := shell("setvar " + name); !strings.Contains(said, "CA FE") {
		t.Errorf("after the move the firmware says of its variable %q", said)
	}
	w.guest.Running = false
	w.ensure(w.here, nil, nil)
	w.guest.Running = true
	w.ensure(w.here, nil, nil)
	s = w.line(false)
	s.await("Shell> ", 3*time.Minute)
	if said := shell("setvar " + name); !strings.Contains(said, "CA FE") {
		t.Errorf("started anew, the firmware says of its variable %q", said)
	}
}

func uptime(t *testing.T, s *typist) float64 {
	t.Helper()
	first, _, _ := strings.Cut(strings.TrimSpace(s.run("cat /proc/uptime")), " ")
	n, err := strconv.ParseFloat(strings.TrimSpace(first), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever ends a move early leaves the guest running where it is, and nowhere
// else.
func TestMoveEndsEarly(t *testing.T) {
	w := newTwo(t)
	s := w.line(true)
	before := uptime(t, s)
	stays := func(what string) {
		t.Helper()
		from, to := w.labs[w.here].host, w.labs[1-w.here].host
		eventually(t, time.Minute, "end of the move after "+what, func() bool { return phase(t, from, w.guest.ID) == virt.MoveStays })
		if got := phase(t, to, w.guest.ID); got == virt.MoveArrived {
			t.Errorf("after %s the guest runs on the other host, too", what)
		}
		err := to.Remove(t.Context(), w.guest.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.ensure(w.here, nil, nil)
		if now := uptime(t, w.line(false)); now < before {
			t.Errorf("after %s the guest was started anew", what)
		}
	}
	w.gate.set(false)
	halfway := func() (to *Host) {
		t.Helper()
		from, to := w.begin(virt.Outgoing{})
		eventually(t, time.Minute, "progress", func() bool { return state(t, from, w.guest.ID).Move.MemoryLeft > 0 })
		return to
	}
	halfway()
	w.ensure(w.here, nil, &virt.Outgoing{Move: "move-1", Back: true})
	stays("it was called back")

	halfway()
	w.open(w.here)
	w.ensure(w.here, nil, &virt.Outgoing{Move: "move-2"})
	stays("this host's agent ended")

	halfway()
	w.open(1 - w.here)
	w.gate.cut()
	stays("the other host's agent ended")

	to := halfway()
	m := to.machines[w.guest.ID]
	err := to.end(t.Context(), m, m.guest, false)
	if err != nil {
		t.Fatal(err)
	}
	stays("the other host's QEMU was killed")

	w.gate.set(true)
	w.begin(virt.Outgoing{Hasty: true})
	eventually(t, time.Minute, "arrival in haste", func() bool { return phase(t, to, w.guest.ID) == virt.MoveArrived })
}
