package simulated

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nacre/internal/virt"
)

func (h *Host) stateFile() string { return filepath.Join(h.options.Dir, "machines.json") }

func (h *Host) load() error {
	if h.options.Dir == "" {
		return nil
	}
	err := os.MkdirAll(h.options.Dir, 0o700)
	if err != nil {
		return fmt.Errorf("make folder of simulated host: %w", err)
	}
	data, err := os.ReadFile(h.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read simulated host: %w", err)
	}
	err = json.Unmarshal(data, &h.machines)
	if err != nil {
		return fmt.Errorf("read simulated host %s: %w", h.stateFile(), err)
	}
	for _, m := range h.machines {
		if m.Move != nil && m.Move.Phase == virt.MoveMoving { // whoever took it away is gone
			m.Move.Phase, m.Move.Problem = virt.MoveStays, "the host's agent has ended"
		}
	}
	return nil
}

// save replaces the state file. The caller holds mu, so the order of the files
// is the order of the changes.
func (h *Host) save() error {
	if h.options.Dir == "" {
		return nil
	}
	for _, m := range h.machines {
		m.Frozen = false
	}
	for _, id := range h.frozen {
		if m := h.machines[id]; m != nil {
			m.Frozen = true
		}
	}
	data, err := json.Marshal(h.machines)
	if err != nil {
		return fmt.Errorf("write simulated host: %w", err)
	}
	fresh := h.stateFile() + ".new"
	err = os.WriteFile(fresh, data, 0o600)
	if err != nil {
		return fmt.Errorf("write simulated host: %w", err)
	}
	err = os.Rename(fresh, h.stateFile())
	if err != nil {
		return fmt.Errorf("write simulated host: %w", err)
	}
	return nil
}
