package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"nacre/internal/app"
	"nacre/internal/golden"
	"nacre/internal/testcloud"
)

// Every group of compute calls that the three clients have.
func TestComputeCalls(t *testing.T) {
	t.Parallel()
	seen := &witness{calls: map[string]map[string]bool{}}
	cloud := testcloud.Start(t, testcloud.Nodes(4), testcloud.Reclaimed(3600), testcloud.ShelvedFor(-1), testcloud.Read(seen))
	for _, machines := range cloud.App.Simulated.Machines {
		machines.Busy(true) // a guest on its way stays there until something is done about it
	}
	admin := append(clouds(cloud)("nacre"), "OS_COMPUTE_API_VERSION=2.90")
	seen.run(t, "compute", []example{
		{"openstack", admin, []string{"/usr/bin/python3", "../daily/run.py", "compute.txt"}},
		{"sdk", admin, []string{"/usr/bin/python3", "compute.py"}},
		{"gophercloud", admin, []string{"go", "run", "./compute.go"}},
	})
	seen.table(t, cloud.App, "nova")
}

// Every placement call that the three clients have.
func TestPlacementCalls(t *testing.T) {
	t.Parallel()
	seen := &witness{calls: map[string]map[string]bool{}}
	cloud := testcloud.Start(t, testcloud.Nodes(1), testcloud.Read(seen))
	admin := append(clouds(cloud)("nacre"), "OS_PLACEMENT_API_VERSION=1.39")
	seen.run(t, "placement", []example{
		{"openstack", admin, []string{"/usr/bin/python3", "../daily/run.py", "placement.txt"}},
		{"sdk", admin, []string{"/usr/bin/python3", "placement.py"}},
		{"gophercloud", admin, []string{"go", "run", "./placement.go"}},
	})
	seen.table(t, cloud.App, "placement")
}

// witness is a log that keeps which calls succeeded, and whose they were.
type witness struct {
	mu    sync.Mutex                 // guards what follows
	who   string                     // calls now
	calls map[string]map[string]bool // by method, route and action: by whom
}

func (w *witness) Enabled(context.Context, slog.Level) bool { return true }
func (w *witness) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *witness) WithGroup(string) slog.Handler            { return w }

func (w *witness) Handle(_ context.Context, record slog.Record) error {
	if record.Message != "request" {
		return nil
	}
	var method, route, action string
	fine := false
	record.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "method":
			method = a.Value.String()
		case "route":
			route = a.Value.String()
		case "action":
			action = a.Value.String()
		case "status":
			fine = a.Value.Int64() < 300
		}
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if fine && w.who != "" {
		call := method + " " + route + " " + action
		if w.calls[call] == nil {
			w.calls[call] = map[string]bool{}
		}
		w.calls[call][w.who] = true
	}
	return nil
}

// run runs clients one after the other.
func (w *witness) run(t *testing.T, folder string, clients []example) {
	for _, c := range clients {
		w.mu.Lock()
		w.who = c.name
		w.mu.Unlock()
		t.Run(c.name, func(t *testing.T) { c.run(t, folder) })
	}
}

// unheard are calls that no client makes with success, each with its reason.
var unheard = map[string]string{
	"placement POST /reshaper":                          "for services alone",
	"nova POST /v2.1/servers/{}/shares":                 "no host can give a guest a share",
	"nova GET /v2.1/servers/{}/shares/{}":               "no host can give a guest a share",
	"nova DELETE /v2.1/servers/{}/shares/{}":            "no host can give a guest a share",
	"nova POST /v2.1/os-assisted-volume-snapshots":      "for volumes in files of hosts, which there are none of",
	"nova DELETE /v2.1/os-assisted-volume-snapshots/{}": "for volumes in files of hosts, which there are none of",
}

// table compares who made which of a service's calls with a table, so that no
// call gets lost unseen, and wants each current one to be somebody's.
func (w *witness) table(t *testing.T, cloud *app.Cloud, service string) {
	t.Helper()
	state := map[string]string{}
	for _, o := range operations(t) {
		if o.status == "current" || state[o.key()] == "" {
			state[o.key()] = o.status
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	by := map[string]map[string]bool{} // rows of the table
	for _, s := range cloud.Kernel.Services() {
		for _, r := range s.Routes {
			key := rowOf(s, r)
			if s.Name != service || state[key] == "" || state[key] == "removed" {
				continue
			}
			if by[key] == nil {
				by[key] = map[string]bool{}
			}
			maps.Copy(by[key], w.calls[r.Method+" "+s.Mount+r.Path+" "+r.Action])
		}
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(by)) {
		for _, who := range []string{"openstack", "sdk", "gophercloud"} {
			if !by[key][who] {
				who = "-"
			}
			fmt.Fprintf(&text, "%-12s", who)
		}
		fmt.Fprintln(&text, strings.TrimPrefix(key, service+" "))
		if len(by[key]) == 0 && state[key] == "current" && unheard[key] == "" {
			t.Errorf("no client calls %s", key)
		}
	}
	golden.Compare(t, service+"-clients.txt", text.String())
}
