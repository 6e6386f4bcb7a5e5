package soak

import (
	"encoding/json"
	"fmt"
	"slices"
)

// act is something that is done with a server.
type act struct {
	name  string
	with  any
	admin bool
	good  int // status; 202 if 0

	// A call on the live migration that is under way; an action on the server if the
	// method is "".
	method, below string
}

// acts are what can be done with a server by its status, besides what every worker
// does.
var acts = map[string][]act{
	"ACTIVE": {
		{name: "pause"}, {name: "suspend"}, rescue, {name: "shelve"}, {name: "createImage", with: object{"name": "copy"}}, {name: "rebuild"},
		{name: "reboot", with: object{"type": "SOFT"}}, {name: "reboot", with: object{"type": "HARD"}}, {name: "trigger_crash_dump"},
		{name: "resize", with: object{"flavorRef": "2"}}, {name: "migrate", admin: true}, {name: "migrate", admin: true}, liveMigrate,
	},
	"SHUTOFF": {
		rescue, {name: "shelve"}, {name: "resize", with: object{"flavorRef": "2"}}, {name: "migrate", admin: true},
		{name: "reboot", with: object{"type": "HARD"}},
	},
	"PAUSED":            {{name: "unpause"}, {name: "shelve"}, liveMigrate},
	"MIGRATING":         {{name: "force_complete", admin: true, method: "POST", below: "/action"}, {name: "abort", admin: true, method: "DELETE"}},
	"SUSPENDED":         {{name: "resume"}, {name: "shelve"}},
	"RESCUE":            {{name: "unrescue"}},
	"SHELVED":           {{name: "unshelve"}, {name: "shelveOffload", admin: true}},
	"SHELVED_OFFLOADED": {{name: "unshelve"}},
	"VERIFY_RESIZE":     {{name: "confirmResize", good: 204}, {name: "revertResize"}},
	"ERROR":             {{name: "reboot", with: object{"type": "HARD"}}, {name: "rebuild"}},
}

var (
	rescue      = act{name: "rescue", with: object{}, good: 200}
	liveMigrate = act{name: "os-migrateLive", with: object{"host": nil, "block_migration": "auto"}, admin: true}
)

type object = map[string]any

// live does something with a server that its status allows.
func (w *worker) live(server string, has *things) {
	status, shown, err := w.c.Do("GET", "/compute/v2.1/servers/"+server, nil)
	if err != nil || status != 200 {
		return
	}
	possible := acts[fieldOf(shown, "server", "status")]
	if len(possible) == 0 {
		return
	}
	a := possible[w.r.IntN(len(possible))]
	if a.name == "createImage" && len(has.images) >= 3 {
		return
	}
	as := *w
	if a.admin {
		as.c = w.admin
	}
	if a.name == "rebuild" {
		a.with = object{"imageRef": w.image}
	}
	if a.good == 0 {
		a.good = 202
	}
	method, path, body := "POST", "/compute/v2.1/servers/"+server+"/action", any(object{a.name: a.with})
	if a.method != "" {
		var under struct{ Migrations []struct{ ID int64 } }
		if !as.read("/compute/v2.1/servers/"+server+"/migrations", &under) || len(under.Migrations) == 0 {
			return // it is over
		}
		method, path = a.method, fmt.Sprintf("/compute/v2.1/servers/%s/migrations/%d%s", server, under.Migrations[0].ID, a.below)
	}
	if method == "DELETE" {
		body = nil
	}
	as.ask(method, path, body, []int{a.good, 400, 403, 404, 409}, func(body []byte) {
		w.did(a.name)
		var made struct {
			Image string `json:"image_id"`
		}
		if json.Unmarshal(body, &made) == nil && made.Image != "" {
			has.images = append(has.images, made.Image)
		}
	})
}

// operator is an administrator who evacuates hosts that are down.
type operator struct{ worker }

func (o *operator) turn() {
	var services struct {
		Services []struct{ Host, State string }
	}
	o.read("/compute/v2.1/os-services?binary=nova-compute", &services)
	for _, s := range services.Services {
		var hit struct{ Servers []struct{ ID string } }
		if s.State == "down" && o.read("/compute/v2.1/servers?all_tenants=1&host="+s.Host, &hit) && len(hit.Servers) > 0 {
			id := hit.Servers[o.r.IntN(len(hit.Servers))].ID
			o.ask("POST", "/compute/v2.1/servers/"+id+"/action", object{"evacuate": object{}}, []int{200, 400, 404, 409}, func([]byte) { o.did("evacuate") })
		}
	}
}

func (w *worker) read(path string, into any) bool {
	status, body, err := w.c.Do("GET", path, nil)
	return err == nil && status == 200 && json.Unmarshal(body, into) == nil
}

// did counts what was done with servers.
func (d *Day) did(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done[name]++
}

// undone names what can be done with a server and was never done.
func (d *Day) undone() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := []string{"evacuate"}
	for _, list := range acts {
		for _, a := range list {
			names = append(names, a.name)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return d.done[name] > 0 || slices.Contains(rare, name) })
}

// rare needs a server that waits on its host with its disk in an image.
var rare = []string{"shelveOffload"}
