package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nacre/internal/atomicfile"
	"nacre/internal/nodeapi"
)

// stored is a document as it stands on the node's disk.
type stored struct {
	Desired     nodeapi.Document
	Answered    int64
	MachineSeen *nodeapi.MachineObserved   `json:",omitempty"`
	VolumeSeen  *nodeapi.VolumeObserved    `json:",omitempty"`
	Plugged     map[string]string          `json:",omitempty"`
	Exports     map[string]nodeapi.Address `json:",omitempty"`
	Stopped     int64                      `json:",omitempty"`
}

func (n *Node) folder() string { return filepath.Join(n.o.Dir, "documents") }

func (n *Node) file(k key) string { return filepath.Join(n.folder(), k.kind+"-"+k.id+".json") }

// load reads all documents. After a reboot of the host nothing runs that ran
// before, so what was seen is forgotten, but for which volumes there are, and
// everything is made true anew.
func (n *Node) load() error {
	if n.o.Dir == "" {
		return nil
	}
	err := os.MkdirAll(n.folder(), 0o700)
	if err != nil {
		return err
	}
	boot, err := os.ReadFile(n.bootFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n.fenced = string(boot) != n.o.BootID
	entries, err := os.ReadDir(n.folder())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".json") {
			os.Remove(filepath.Join(n.folder(), name)) // half written when we stopped
			continue
		}
		d, err := readDoc(filepath.Join(n.folder(), name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n.fenced {
			d.answered, d.stopped = 0, 0
			d.machineSeen = nodeapi.MachineObserved{}
			d.volumeSeen = nodeapi.VolumeObserved{Present: d.volumeSeen.Present, SizeGB: d.volumeSeen.SizeGB}
			err = n.save(d)
			if err != nil {
				return err
			}
		}
		n.docs[d.key] = d
	}
	return nil
}

// bootFile tells of which life of the host the documents are.
func (n *Node) bootFile() string { return filepath.Join(n.o.Dir, "boot_id") }

// unfence lets machines start again on a host that has rebooted: a server has said
// which of them are still the host's. The lock is held.
func (n *Node) unfence() {
	if !n.fenced {
		return
	}
	err := atomicfile.Write(n.bootFile(), []byte(n.o.BootID), 0o600)
	if err != nil {
		n.log.Error("keep document", "kind", "boot_id", "error", err) // the next start asks a server again
	}
	n.fenced = false
	n.wakeWaiting()
}

func readDoc(file string) (*doc, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var s stored
	err = json.Unmarshal(text, &s)
	if err != nil {
		return nil, err
	}
	d := &doc{
		key:      key{s.Desired.Kind, s.Desired.ID},
		answered: s.Answered,
		plugged:  s.Plugged,
		exports:  s.Exports,
		stopped:  s.Stopped,
		wake:     make(chan struct{}, 1),
	}
	err = d.set(s.Desired)
	if err != nil {
		return nil, err
	}
	if s.MachineSeen != nil {
		d.machineSeen = *s.MachineSeen
	}
	if s.VolumeSeen != nil {
		d.volumeSeen = *s.VolumeSeen
	}
	return d, nil
}

// save writes the document to disk. What cannot be written, since the disk is full
// for one, is tried again: the node works on with what it has in memory. The lock
// is held, or nobody else is there.
func (n *Node) save(d *doc) error {
	if n.o.Dir == "" {
		return nil
	}
	err := n.write(d)
	d.unsaved = err != nil
	return err
}

// saveAgain writes what could not be written before.
func (n *Node) saveAgain() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.docs {
		if !d.unsaved {
			continue
		}
		err := n.save(d)
		if err != nil {
			return // it has been complained about, and the others fare no better
		}
		n.log.Info("document is kept, at last", "kind", d.key.kind, "id", d.key.id)
	}
}

func (n *Node) write(d *doc) error {
	s := stored{Desired: d.desired, Answered: d.answered, Plugged: d.plugged, Exports: d.exports, Stopped: d.stopped}
	if d.key.kind == nodeapi.KindVolume {
		s.VolumeSeen = &d.volumeSeen
	} else {
		s.MachineSeen = &d.machineSeen
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return atomicfile.Write(n.file(d.key), text, 0o600)
}

func (n *Node) unsave(d *doc) error {
	if n.o.Dir == "" {
		return nil
	}
	err := os.Remove(n.file(d.key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
