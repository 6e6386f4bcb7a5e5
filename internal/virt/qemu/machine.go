package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"nacre/internal/atomicfile"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// machine is one machine of this host.
type machine struct {
	id   string
	dir  string
	busy chan struct{} // holds a token while somebody works on the machine

	// Guarded by Host.mu; record is changed only by whoever holds busy.
	record   record
	recorded bool               // machine.json has the record
	guest    *guest             // the running process, nil if there is none
	wentOff  bool               // its last process ended after the guest had turned itself off
	held     bool               // somebody wants its file systems frozen
	exists   bool               // its folder exists
	removed  bool               // whoever waits for busy must look it up again
	cancel   context.CancelFunc // ends the Ensure that is under way
	sending  *sending           // its way to another host, in this life of ours
	move     *virt.Move         // how far that is
	arrived  bool               // it came from another host and was let run
}

// record is what survives in machine.json.
type record struct {
	Machine virt.Machine // as last ensured, without the config drive

	SoftReboots int64 // acts that were performed
	HardReboots int64
	CrashDumps  int64 `json:",omitempty"`

	// Started is set from before the process exists until somebody asks for a
	// stop. Started without a process is a crash.
	Started bool

	RootBytes int64 // size of root.qcow2; 0: not made yet
	Rebuilds  int64 // Root.Rebuilds that root.qcow2 was made for

	Blanks []virt.Blank `json:",omitempty"` // disks that are there
	Base   string       `json:",omitempty"` // image that root.qcow2 is based on, "" when it stands alone

	Frozen bool `json:",omitempty"` // the guest's file systems may be

	Rescue *virt.Rescue     `json:",omitempty"` // that rescue.qcow2 is for, and a guest that runs boots from
	Kept   map[place]string `json:",omitempty"` // where the devices sit of the guest whose memory is in memory.state

	// Swapped are volumes that have taken the place of others, which they are named
	// by, for as long as the definition still names both.
	Swapped map[string]string `json:",omitempty"`

	ConfigDrive bool   // the process was started with one
	Arriving    string // move by which it comes from another host, once all is ready for it
	Moved       string // move by which it was to go to another host
}

// localDisks are the names of the disks that live with the machine and that its guest
// takes along. A firmware has its variables in the guest's memory, too: QEMU writes
// them from there as soon as the guest runs on the other host.
func (r *record) localDisks() []string {
	var names []string
	if r.Machine.Root != nil {
		names = append(names, nodeapi.RootDisk)
	}
	for _, b := range r.Blanks {
		if b.Name != nodeapi.Variables {
			names = append(names, b.Name)
		}
	}
	return names
}

// acted says that a start or a stop has made up for every act that was asked for.
func (r *record) acted() {
	r.Frozen = false // the kernel that had frozen its file systems is no more
	r.SoftReboots, r.HardReboots, r.CrashDumps = r.Machine.SoftReboots, r.Machine.HardReboots, r.Machine.CrashDumps
}

func (h *Host) newMachine(id string) *machine {
	return &machine{id: id, dir: filepath.Join(h.options.Dir, id), busy: make(chan struct{}, 1), exists: true}
}

// acquire returns the machine, with its token taken. With make unset, nil
// stands for a machine that does not exist.
func (h *Host) acquire(ctx context.Context, id string, create bool) (*machine, error) {
	for {
		h.mu.Lock()
		m := h.machines[id]
		if m == nil && create {
			m = h.newMachine(id)
			m.exists = false
			h.machines[id] = m
		}
		h.mu.Unlock()
		if m == nil {
			return nil, nil
		}
		select {
		case m.busy <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		h.mu.Lock()
		gone := m.removed
		h.mu.Unlock()
		if !gone {
			return m, nil
		}
		<-m.busy
	}
}

// note changes the record, on disk first.
func (h *Host) note(m *machine, change func(*record)) error {
	h.mu.Lock()
	before, known := m.record, m.recorded
	h.mu.Unlock()
	rec := before
	change(&rec)
	if known && reflect.DeepEqual(rec, before) {
		return nil // what has not changed is not synced to the disk again
	}
	err := writeRecord(m.dir, rec)
	if err != nil {
		return err
	}
	h.mu.Lock()
	m.record = rec
	m.exists, m.recorded = true, true
	h.mu.Unlock()
	return nil
}

func readRecord(dir string) (record, error) {
	var rec record
	path := filepath.Join(dir, "machine.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return rec, fmt.Errorf("read machine: %w", err)
	}
	err = json.Unmarshal(data, &rec)
	if err != nil {
		return rec, fmt.Errorf("read %s: %w", path, err)
	}
	return rec, nil
}

func writeRecord(dir string, rec record) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("write machine: %w", err)
	}
	err = atomicfile.Write(filepath.Join(dir, "machine.json"), data, 0o600)
	if err != nil {
		return fmt.Errorf("write machine: %w", err)
	}
	return nil
}
