package virttest

import (
	"bytes"
	"io"
	"testing"

	"nacre/internal/nodeapi"
)

// rest: a guest stands still and goes on in the same power cycle, its disk can be
// read while it runs and while it does not, and is made anew once.
func rest(t *testing.T, s *suite) {
	m := s.machine()
	s.ensure(t, m)
	s.expect(t, m, true, false)
	first := s.Run(t, m.ID)

	m.Paused = true
	s.ensure(t, m)
	s.paused(t, m.ID, true)
	s.readDisk(t, m.ID, nodeapi.RootDisk)
	s.paused(t, m.ID, true)
	s.Host = s.Reopen(t)
	s.paused(t, m.ID, true)
	m.Paused = false
	s.ensure(t, m)
	s.paused(t, m.ID, false)
	s.readDisk(t, m.ID, nodeapi.RootDisk)
	s.paused(t, m.ID, false)
	if s.Run(t, m.ID) != first {
		t.Error("a pause started the machine again")
	}

	root := *m.Root
	root.Rebuilds = 1
	m.Root = &root
	s.ensure(t, m)
	s.expect(t, m, true, false)
	second := s.Run(t, m.ID)
	if second == first {
		t.Error("the guest runs on a disk that was thrown away")
	}
	s.Host = s.Reopen(t)
	s.ensure(t, m)
	if s.Run(t, m.ID) != second {
		t.Error("asking again for a new disk made another")
	}

	m.Running = false
	s.ensure(t, m)
	s.expect(t, m, false, false)
	s.readDisk(t, m.ID, nodeapi.RootDisk)
	_, err := s.Host.Disk(t.Context(), "00000000-0000-4000-8000-000000000000", nodeapi.RootDisk)
	if err == nil {
		t.Error("the disk of an unknown machine can be read, want an error")
	}
}

func (s *suite) paused(t *testing.T, id string, want bool) {
	t.Helper()
	state, found := s.state(t, id)
	if !found || state.Paused != want || !state.Running {
		t.Errorf("the machine is %+v, want it running and paused %v", state, want)
	}
}

// readDisk reads a machine's disk whole.
func (s *suite) readDisk(t *testing.T, id, name string) {
	t.Helper()
	disk, err := s.Host.Disk(t.Context(), id, name)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	content, err := io.ReadAll(disk)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(content, []byte("QFI\xfb")) {
		t.Errorf("the disk begins with %q, want a qcow2 file", content[:min(len(content), 8)])
	}
}
