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
		s, err := scenario.Read(c.Scenario, simulatedName, c.Hosts)
		if err != nil {
			return err
		}
		cloud.play, c.Hosts, speed = &play{of: s, log: c.Log}, len(s.Hosts), s.Speed
	}
	now, began, err := openClock(c.DataDir, c.Clock, c.Scenario != "", speed)
	if err != nil {
		return err
	}
	c.Clock = now
	if cloud.play != nil {
		cloud.play.clock, cloud.play.began = now, began
	}
	return nil
}

// openScenario reads the scenario of hosts that join a cluster. What it says of the
// cloud is refused: that is not theirs.
func (c *NodeConfig) openScenario() error {
	if c.Simulated == 0 {
		return errors.New("only simulated hosts have a scenario: use --simulated")
	}
	s, err := scenario.Read(c.Scenario, c.Name, c.Simulated)
	if err != nil {
		return err
	}
	if s.Speed != 1 {
		return fmt.Errorf("scenario %s: the speed is that of the servers' clock, which hosts that join cannot set: leave it out", c.Scenario)
	}
	_, began, err := openClock(c.DataDir, c.Clock, true, s.Speed)
	if err != nil {
		return err
	}
	c.play, c.Simulated = &play{of: s, began: began, clock: c.Clock, log: c.Log}, len(s.Hosts)
	return nil
}

// openClock is the clock that the folder of a cloud has, by the machine's, and when
// its scenario began. A folder without one gets one when there is a scenario.
func openClock(dir string, of clock.Clock, staged bool, speed float64) (clock.Clock, time.Time, error) {
	path := filepath.Join(dir, clockFile)
	now := of.Now()
	state := clockState{Scenario: now, Began: now, Shown: now, Speed: speed}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !staged:
		return of, now, nil
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, now, fmt.Errorf("read the cloud's time: %w", err)
	default:
		var before clockState
		err = json.Unmarshal(text, &before)
		if err != nil {
			return nil, now, fmt.Errorf("read the cloud's time in %s: %w", path, err)
		}
		state.Scenario, state.Shown = before.Scenario, before.clock(of).Now()
	}
	text, err = json.Marshal(state)
	if err == nil {
		err = atomicfile.Write(path, text, 0o600)
	}
	if err != nil {
		return nil, now, fmt.Errorf("keep the cloud's time: %w", err)
	}
	return state.clock(of), state.Scenario, nil
}
