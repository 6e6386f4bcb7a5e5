package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nacre/internal/testcloud"
)

// crew are the hosts of the campaign. They are calm without the rest.
const crew = `
speed: 5
hosts:
  - count: 4
    vcpus: 8
    memory_mb: 32768
    disk_gb: 400
`

// storms are what happens to them: by the cloud's clock, which is fast.
const storms = `
    takes: {boot: 200ms to 2s, change: 50ms to 500ms, remove: 100ms, snapshot: 500ms, volume: 100ms to 1s, move: 500ms to 5s}
    fails: {boot: 1%, change: 0.2%, snapshot: 1%, remove: 2%, move: 5%}
events:
  - {host: any, fault: down, at: 20s, for: 30s, every: 70s}
  - {host: any, fault: cut, at: 10s, for: 25s, every: 50s}
  - {host: any, fault: full, at: 15s, for: 20s, every: 45s}
  - {host: any, fault: slow, by: 15, at: 5s, for: 20s, every: 40s}
`

// operations is how many changes are to be accepted in a run of some minutes; a
// short one does with fewer.
const operations, few = 10000, 500

// Users do everything that can be done with servers, on hosts that die, are cut
// off, run full and become slow, while the cloud is killed with -9. Afterwards
// nothing is under way, placement counts what there is, and no host has anything
// that nobody wants.
func TestCampaign(t *testing.T) {
	seed := Seeded(t)
	stormy := filepath.Join(t.TempDir(), "stormy.yaml")
	calm := filepath.Join(t.TempDir(), "calm.yaml")
	for path, text := range map[string]string{stormy: crew + storms + fmt.Sprintf("seed: %d\n", seed%(1<<53)), calm: crew} {
		err := os.WriteFile(path, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	v := newVictim(t)
	v.config.Scenario = stormy
	v.Start()
	known, err := ReadSecrets(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + v.listen
	admin, demo := NewClient(t, "", "admin", known.Admin, url), NewClient(t, "", "demo", known.Demo, url)
	day := NewDay(t, seed, func(user string) *Client { return map[string]*Client{"admin": admin, "demo": demo}[user] })
	day.Lives = true
	admin.Must(t, "PUT", "/compute/v2.1/os-quota-sets/"+day.project, object{"quota_set": object{"instances": 40, "cores": 60, "ram": 100000}}, 200, nil)
	day.Work(6, 1, 8*time.Millisecond)
	// What needs a host that is down, with a server, waits for one.
	f, wanted := NewFaults(t, 10, func() bool { return day.Enough(10, 10) && len(day.undone()) == 0 }), int64(few)
	if f.until.After(time.Now()) {
		wanted = operations
	}
	r := Dice(seed, 99)
	for f.More() || day.accepted.Load() < wanted {
		Pause(r, 8*time.Second) // its hosts die from the fourth on
		v.process.Kill()
		v.Start()
		f.Kills.Add(1)
	}
	day.End()
	t.Log(f, ", ", day.accepted.Load(), " changes accepted")
	day.MustEnough(10, 10)
	t.Logf("done with servers: %v", day.done)
	if undone := day.undone(); len(undone) > 0 {
		t.Errorf("never done: %v", undone)
	}
	v.process.Kill()
	v.config.Scenario = calm
	v.Start()
	auditHosts(t, filepath.Dir(v.dir), Audit(t, admin, day, func(fault string) bool {
		return strings.Contains(fault, "The scenario has this") || strings.Contains(fault, "No valid host") || strings.HasPrefix(fault, "Timed out")
	}))
	day.Tidy()
	v.process.Kill()
	autopsy(t, v, testcloud.Scenario(calm), testcloud.Nodes(4))
}
