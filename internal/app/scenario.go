package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"nacre/internal/atomicfile"
	"nacre/internal/clock"
	"nacre/internal/scenario"
)

// clockFile keeps how the clock of a cloud runs whose time is not the machine's.
// A cloud that is started again goes on from it, since what it has written must not
// lie in the future.
const clockFile = "clock.json"

type clockState struct {
	Scenario time.Time `json:"scenario"` // began
	Began    time.Time `json:"began"`    // by the machine's clock
	Shown    time.Time `json:"shown"`    // by the cloud's clock then
	Speed    float64   `json:"speed"`
}

func (s clockState) clock(of clock.Clock) clock.Clock {
	return clock.NewFast(of, s.Began, s.Shown, s.Speed)
}

// openScenario reads the scenario that the settings name, and sets the cloud's
// clock to what it was told by this or by an earlier one.
func (cloud *Cloud) openScenario() error {
	c := &cloud.Config
	speed := 1.0
	if c.Scenario != "" {
		if c.Real || c.Server {
			return errors.New("only simulated hosts have a scenario")
		}
		s, err := scenario.Read(c.Scenario, c.Hosts)
		if err != nil {
			return err
		}
		cloud.scenario, c.Hosts, speed = s, len(s.Hosts), s.Speed
	}
	path := filepath.Join(c.DataDir, clockFile)
	now := c.Clock.Now()
	state := clockState{Scenario: now, Began: now, Shown: now, Speed: speed}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Scenario == "":
		return nil
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read the cloud's time: %w", err)
	default:
		var before clockState
		err = json.Unmarshal(text, &before)
		if err != nil {
			return fmt.Errorf("read the cloud's time in %s: %w", path, err)
		}
		state.Scenario, state.Shown = before.Scenario, before.clock(c.Clock).Now()
	}
	text, err = json.Marshal(state)
	if err == nil {
		err = atomicfile.Write(path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the cloud's time: %w", err)
	}
	c.Clock, cloud.began = state.clock(c.Clock), state.Scenario
	return nil
}
