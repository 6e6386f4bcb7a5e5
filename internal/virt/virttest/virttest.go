// Package virttest is the suite that every hypervisor driver passes.
//
// It checks the promises of virt.Host from the outside: definitions that are
// asked for twice, power, reboots counted once, volumes and cards that come and
// go while the guest runs, machines that nobody asked for, and a driver that
// dies and finds its guests again. A driver's own test makes a Rig and calls
// Run. The suite boots a guest fully only in one story, so that real
// hypervisors without hardware support get through it in reasonable time.
package virttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/virt"
)

// Rig is a driver under test and the world around it.
type Rig struct {
	Host virt.Host

	// Reopen makes a second driver object over the state of the first, which
	// is abandoned as if its process had been killed.
	Reopen func(t *testing.T) virt.Host

	Image    string        // an image that boots
	MemoryMB int           // what it needs
	BootMark string        // stands in the console log once per boot, early
	Ready    string        // stands in the console log once a boot is complete: the guest waits for a login on its serial line
	Patience time.Duration // how long a boot may take

	// Disk makes a volume that can be attached, NIC a card.
	Disk func(t *testing.T, id string) virt.Disk
	NIC  func(t *testing.T, id string) virt.NIC

	// Run identifies the machine's current power cycle.
	Run func(t *testing.T, id string) string
	// PowerOff makes the guest shut down by itself; it has booted.
	PowerOff func(t *testing.T, id string)
	// Crash makes the machine end as nobody asked for.
	Crash func(t *testing.T, id string)
}

// Run runs the suite. Each test gets a rig of its own.
func Run(t *testing.T, open func(t *testing.T) Rig) {
	tests := []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"Stopped", stopped},
		{"Power", power},
		{"Rest", rest},
		{"Rescue", rescue},
		{"Blank", blank},
		{"Suspend", suspend},
		{"Swap", swap},
		{"Buses", buses},
		{"Strangers", strangers},
		{"Unknown", unknown},
		{"Uptime", uptime},
		{"Concurrent", concurrent},
		{"Crash", crash},
		{"Life", life},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rig := open(t)
			s := &suite{Rig: rig}
			t.Cleanup(func() { s.sweep(t) })
			test.run(t, s)
		})
	}
}

type suite struct {
	Rig
	made []string
}

// machine makes a definition, which the suite removes at the end.
func (s *suite) machine() virt.Machine {
	id := clock.UUID()
	s.made = append(s.made, id)
	return virt.Machine{
		ID: id, Name: "test", Project: clock.Hex(),
		VCPUs: 1, MemoryMB: s.MemoryMB, Running: true,
		Root: &virt.Root{Image: s.Image},
	}
}

func (s *suite) sweep(t *testing.T) {
	ctx := t.Context()
	if ctx.Err() != nil {
		ctx = context.Background()
	}
	for _, id := range s.made {
		err := s.Host.Remove(ctx, id)
		if err != nil {
			t.Errorf("remove %s at the end: %v", id, err)
		}
	}
}

func (s *suite) ensure(t *testing.T, m virt.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.Patience)
	defer cancel()
	err := s.Host.Ensure(ctx, m)
	if err != nil {
		t.Fatalf("ensure: %v", err)
	}
}

// state returns what List has about one machine.
func (s *suite) state(t *testing.T, id string) (virt.State, bool) {
	t.Helper()
	all, err := s.Host.List(t.Context())
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	i := slices.IndexFunc(all, func(st virt.State) bool { return st.ID == id })
	if i < 0 {
		return virt.State{}, false
	}
	return all[i], true
}

// expect compares the listed state with the definition, power apart.
func (s *suite) expect(t *testing.T, m virt.Machine, running, crashed bool) {
	t.Helper()
	got, ok := s.state(t, m.ID)
	if !ok {
		t.Fatalf("machine %s is not listed", m.ID)
	}
	if got.Running != running || got.Crashed != crashed || got.Paused {
		t.Errorf("got running %v crashed %v paused %v, want running %v crashed %v paused false",
			got.Running, got.Crashed, got.Paused, running, crashed)
	}
	if got.SoftReboots != m.SoftReboots || got.HardReboots != m.HardReboots {
		t.Errorf("got reboots %d soft %d hard, want %d and %d", got.SoftReboots, got.HardReboots, m.SoftReboots, m.HardReboots)
	}
	var images []string
	if m.Root != nil && !m.Root.Arrives {
		images = append(images, m.Root.Image)
	}
	if m.Rescue != nil {
		images = append(images, m.Rescue.Image)
	}
	same(t, "images", got.Images, images)
	if !running {
		return
	}
	var disks, nics []string
	for _, d := range m.Disks {
		disks = append(disks, d.ID)
	}
	for _, n := range m.NICs {
		nics = append(nics, n.ID)
	}
	same(t, "disks", got.Disks, disks)
	same(t, "cards", got.NICs, nics)
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("guest has %s %v, want %v", what, got, want)
	}
}

func (s *suite) log(t *testing.T, id string, lines int) string {
	t.Helper()
	data, err := s.Host.Log(t.Context(), id, lines)
	if err != nil {
		t.Fatalf("log: %v", err)
	}
	return string(data)
}

// waitLog waits until the console log has the text that many times.
func (s *suite) waitLog(t *testing.T, id, text string, times int) {
	t.Helper()
	s.wait(t, fmt.Sprintf("%q ×%d in the console log", text, times), func() (bool, string) {
		log := s.log(t, id, -1)
		return strings.Count(log, text) >= times, log
	})
}

// wait looks at a condition until it holds or patience ends.
func (s *suite) wait(t *testing.T, what string, look func() (bool, string)) {
	t.Helper()
	deadline := time.NewTimer(s.Patience)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, seen := look()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("no %s within %v; last seen: %s", what, s.Patience, seen)
		}
	}
}

// ends waits for hints about a machine until one says that it runs no more. Others may
// have come before, of devices that its guest let go.
func (s *suite) ends(t *testing.T, id string) {
	t.Helper()
	deadline := time.NewTimer(s.Patience)
	defer deadline.Stop()
	for {
		select {
		case got := <-s.Host.Changed():
			if got != id {
				continue
			}
			state, _ := s.state(t, id)
			if !state.Running {
				return
			}
		case <-deadline.C:
			t.Fatalf("no hint that %s has ended within %v", id, s.Patience)
		}
	}
}

// greeting reads the first bytes of the machine's screen.
func (s *suite) greeting(t *testing.T, id string) {
	t.Helper()
	conn, err := s.Host.VNC(t.Context(), id)
	if err != nil {
		t.Fatalf("vnc: %v", err)
	}
	defer conn.Close()
	got := make([]byte, 12)
	_, err = io.ReadFull(conn, got)
	if err != nil {
		t.Fatalf("read from vnc: %v", err)
	}
	if !bytes.HasPrefix(got, []byte("RFB 003.00")) {
		t.Errorf("vnc says %q, want an RFB version", got)
	}
}

// serial connects to the machine's serial line, until the test is over.
func (s *suite) serial(t *testing.T, id string) io.ReadWriteCloser {
	t.Helper()
	conn, err := s.Host.Serial(t.Context(), id)
	if err != nil {
		t.Fatalf("serial: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// typeAndSee types a word, which the guest echoes, and finds it at all readers.
func (s *suite) typeAndSee(t *testing.T, at io.Writer, word string, readers ...io.ReadWriteCloser) {
	t.Helper()
	_, err := io.WriteString(at, word)
	if err != nil {
		t.Fatalf("type: %v", err)
	}
	for _, r := range readers {
		stop := time.AfterFunc(s.Patience, func() { r.Close() })
		var seen []byte
		buf := make([]byte, 256)
		for !bytes.Contains(seen, []byte(word)) {
			n, err := r.Read(buf)
			seen = append(seen, buf[:n]...)
			if err != nil {
				t.Fatalf("no %q on the serial line: %v; seen: %q", word, err, seen)
			}
		}
		stop.Stop()
	}
}

// hungUp reads from a serial line until its end.
func (s *suite) hungUp(t *testing.T, line io.ReadWriteCloser) {
	t.Helper()
	stop := time.AfterFunc(s.Patience, func() { line.Close() })
	_, err := io.Copy(io.Discard, line)
	if err != nil || !stop.Stop() {
		t.Errorf("the serial line has not ended with its machine; %v", err)
	}
}

// each calls f with the numbers below n at the same time and waits for all.
func each(n int, f func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
