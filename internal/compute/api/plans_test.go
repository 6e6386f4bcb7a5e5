package api_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nacre/internal/db"
	"nacre/internal/hosts/hoststest"
	"nacre/internal/work/worktest"
)

// volatile are parts of rows that differ between runs of the same thing:
// times, random ids, generations.
var volatile = []*regexp.Regexp{
	regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
	regexp.MustCompile(`\br-[0-9a-f]{8}\b`),
	regexp.MustCompile(`"(created|decided_at|since)": ?"?[0-9TZ:.-]+"?`),
}

func plain(text string) string {
	for _, r := range volatile {
		text = r.ReplaceAllString(text, "*")
	}
	return text
}

// worldTables are what compute's plans change, with the columns that matter.
var worldTables = map[string]string{
	"servers":        "name, vm_state, task_state, power_state, host, zone, running, rest, rescue, shelf, CASE WHEN disk_image = '' THEN '' ELSE 'own' END, fault, CASE WHEN deleted_at > 0 THEN 'deleted' ELSE '' END, CASE WHEN launched_at > 0 THEN 'launched' ELSE '' END",
	"server_ports":   "seq, ours, state",
	"server_volumes": "device, state, delete_on_termination",
	"test_ports":     "network, CASE WHEN server = '' THEN 'free' ELSE 'taken' END, host",
	"test_bindings":  "host",
	"test_volumes":   "next_host, status, CASE WHEN server = '' THEN 'free' ELSE 'taken' END, host, size",
	"test_snapshots": "volume",
	"quota_usages":   "project, resource, used",
	"consumers":      "project, user_id, type",
	"allocations":    "class, used",
	"inventories":    "class, total, used",
	"migrations":     "kind, status, source, dest, old_flavor, new_flavor",
}

// world is everything that a plan may leave behind.
func (c *cloud) world(t *testing.T) any {
	t.Helper()
	out := map[string][]string{}
	err := c.db.Read(c.ctx, func(tx *db.Tx) error {
		for table, columns := range worldTables {
			where := map[string]string{
				"quota_usages": " WHERE used <> 0",
				"migrations":   " WHERE status NOT IN ('error', 'cancelled', 'failed')", // what was given up stays to be read
			}[table]
			rows, err := tx.QueryContext(c.ctx, "SELECT "+columns+" FROM "+table+where)
			if err != nil {
				return err
			}
			defer rows.Close()
			names, err := rows.Columns()
			if err != nil {
				return err
			}
			for rows.Next() {
				values := make([]any, len(names))
				for i := range values {
					values[i] = new(any)
				}
				err = rows.Scan(values...)
				if err != nil {
					return err
				}
				line := ""
				for _, v := range values {
					line += fmt.Sprint(*v.(*any)) + "|"
				}
				out[table] = append(out[table], plain(line))
			}
			slices.Sort(out[table])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"machine", "volume"} {
		err = c.db.Read(c.ctx, func(tx *db.Tx) error {
			documents, err := hoststest.OfKind(c.ctx, tx, kind)
			for _, d := range documents {
				var desired map[string]any
				err := json.Unmarshal([]byte(d.Desired), &desired)
				if err != nil {
					return err
				}
				delete(desired, "soft_reboots") // a reboot that happened cannot be undone
				delete(desired, "hard_reboots")
				delete(desired, "crash_dumps")
				root, has := desired["root"].(map[string]any)
				if has {
					delete(root, "rebuilds") // nor can a rebuild
				}
				text, err := json.Marshal(desired)
				if err != nil {
					return err
				}
				out["documents"] = append(out["documents"], d.Host+" "+kind+" "+plain(epochs.ReplaceAllString(string(text), "epoch")))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, m := range c.machines {
		list, err := m.List(c.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range list {
			out["machines"] = append(out["machines"], fmt.Sprint(name, " running=", state.Running, " disks=", len(state.Disks), " nics=", len(state.NICs)))
		}
	}
	slices.Sort(out["documents"])
	slices.Sort(out["machines"])
	return out
}

var epochs = regexp.MustCompile(`"epoch":\d+`)

// still waits until the nodes have answered everything.
func (c *cloud) still(t *testing.T) {
	t.Helper()
	var owed []string
	defer func() {
		if len(owed) > 0 {
			t.Logf("nodes owe %q", owed)
		}
	}()
	c.until("nodes are still", func() bool {
		owed = nil
		err := c.db.Read(c.ctx, func(tx *db.Tx) error {
			var err error
			owed, err = hoststest.Owed(c.ctx, tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(owed) == 0
	})
}

// settle turns plans and waits for nodes until nothing moves.
func (c *cloud) settle(t *testing.T) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for calm := 0; calm < 2; {
		moved, err := c.engine.Turn(c.ctx)
		if err != nil {
			t.Fatal(err)
		}
		c.still(t)
		calm++
		if moved {
			calm = 0
		}
		if time.Now().After(end) {
			t.Fatal("the cloud was not still within a minute")
		}
	}
}

// errored is the world with its one server in ERROR instead of in it.
func exercise(t *testing.T, plan string, prepare func(c *cloud) string, begin func(c *cloud, t *testing.T, id string), givenUp func(any) any) {
	exerciseOn(t, 1, plan, prepare, begin, givenUp)
}

func exerciseOn(t *testing.T, hosts int, plan string, prepare func(c *cloud) string, begin func(c *cloud, t *testing.T, id string), givenUp func(any) any) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		c := start(t, options{hosts: hosts, still: true})
		id := ""
		if prepare != nil {
			id = prepare(c)
			c.settle(t)
		}
		return worktest.Case{
			Plan: plan, Engine: c.engine,
			Start:   func(t *testing.T) { begin(c, t, id) },
			Settle:  c.still,
			World:   c.world,
			GivenUp: givenUp,
		}
	})
}

func boot(c *cloud) string { return c.server("web", "") }

func TestCreatePlan(t *testing.T) {
	exercise(t, "server.create", nil, func(c *cloud, t *testing.T, _ string) {
		c.server("web", `,"block_device_mapping_v2":[
			{"source_type":"image","destination_type":"local","uuid":"`+imageID+`","boot_index":0},
			{"source_type":"volume","destination_type":"volume","uuid":"`+volumeID+`","boot_index":-1},
			{"source_type":"snapshot","destination_type":"volume","uuid":"`+volumeID2+`","boot_index":-1},
			{"source_type":"blank","destination_type":"volume","volume_size":2,"boot_index":-1}]`)
	}, func(before any) any {
		w := before.(map[string][]string)
		w["servers"] = []string{`web|error||0|||1||null|null||{"code":409,"message":"Given up by the test.",*}|||`}
		w["quota_usages"] = []string{"demo|cores|1|", "demo|instances|1|", "demo|ram|512|"}
		return w
	})
}

func TestDeletePlan(t *testing.T) {
	exercise(t, "server.delete", boot, func(c *cloud, t *testing.T, id string) {
		c.must(204, "demo", "DELETE", "/servers/"+id, "")
	}, nil)
}

func TestPowerPlan(t *testing.T) {
	act := func(body string) func(c *cloud, t *testing.T, id string) {
		return func(c *cloud, t *testing.T, id string) {
			c.must(202, "demo", "POST", "/servers/"+id+"/action", body)
		}
	}
	t.Run("stop", func(t *testing.T) { exercise(t, "server.power", boot, act(`{"os-stop":null}`), nil) })
	t.Run("reboot", func(t *testing.T) {
		exercise(t, "server.power", boot, act(`{"reboot":{"type":"HARD"}}`), nil)
	})
}

func TestAttachVolumePlan(t *testing.T) {
	exercise(t, "server.attach_volume", boot, func(c *cloud, t *testing.T, id string) {
		c.must(200, "demo", "POST", "/servers/"+id+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+volumeID+`"}}`)
	}, nil)
}

func TestDetachVolumePlan(t *testing.T) {
	exercise(t, "server.detach_volume", func(c *cloud) string {
		return c.server("web", `,"block_device_mapping_v2":[
			{"source_type":"image","destination_type":"local","uuid":"`+imageID+`","boot_index":0},
			{"source_type":"volume","destination_type":"volume","uuid":"`+volumeID+`","boot_index":-1}]`)
	}, func(c *cloud, t *testing.T, id string) {
		c.must(202, "demo", "DELETE", "/servers/"+id+"/os-volume_attachments/"+volumeID, "")
	}, nil)
}

func TestAttachInterfacePlan(t *testing.T) {
	exercise(t, "server.attach_interface", boot, func(c *cloud, t *testing.T, id string) {
		c.must(200, "demo", "POST", "/servers/"+id+"/os-interface", `{"interfaceAttachment":{"port_id":"`+freePort+`"}}`)
	}, nil)
}

func TestDetachInterfacePlan(t *testing.T) {
	exercise(t, "server.detach_interface", func(c *cloud) string {
		return c.server("web", "")
	}, func(c *cloud, t *testing.T, id string) {
		port := c.must(200, "demo", "GET", "/servers/"+id+"/os-interface", "").at(t, "interfaceAttachments", 0, "port_id").(string)
		c.must(202, "demo", "DELETE", "/servers/"+id+"/os-interface/"+port, "")
	}, nil)
}

func TestRestPlan(t *testing.T) {
	act := func(body string) func(c *cloud, t *testing.T, id string) {
		return func(c *cloud, t *testing.T, id string) {
			c.must(202, "demo", "POST", "/servers/"+id+"/action", body)
		}
	}
	t.Run("pause", func(t *testing.T) { exercise(t, "server.power", boot, act(`{"pause":null}`), nil) })
	t.Run("suspend", func(t *testing.T) { exercise(t, "server.power", boot, act(`{"suspend":null}`), nil) })
}

func TestCreateImagePlan(t *testing.T) {
	create := func(c *cloud, t *testing.T, id string) {
		c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"createImage":{"name":"copy"}}`)
	}
	t.Run("disk", func(t *testing.T) { exercise(t, "server.create_image", boot, create, nil) })
	t.Run("volumes", func(t *testing.T) {
		exercise(t, "server.create_image", func(c *cloud) string {
			return c.server("web", `,"block_device_mapping_v2":[
				{"source_type":"volume","destination_type":"volume","uuid":"`+volumeID+`","boot_index":0},
				{"source_type":"volume","destination_type":"volume","uuid":"`+volumeID2+`","boot_index":-1}]`)
		}, create, nil)
	})
}

// The disk that a rebuild has thrown away does not come back: the server is in
// ERROR.
func TestRebuildPlan(t *testing.T) {
	exercise(t, "server.rebuild", boot, func(c *cloud, t *testing.T, id string) {
		c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+imageID+`"}}`)
	}, func(before any) any {
		w := before.(map[string][]string)
		for i, row := range w["servers"] {
			w["servers"][i] = strings.Replace(strings.Replace(row, "|active|", "|error|", 1), "null||null|", `null||{"code":409,"message":"Given up by the test.",*}|`, 1)
		}
		return w
	})
}

func TestResizePlan(t *testing.T) {
	exercise(t, "server.resize", boot, func(c *cloud, t *testing.T, id string) {
		c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"resize":{"flavorRef":"2"}}`)
	}, nil)
}

// withVolumes is a server with a volume beside its root disk.
func withVolumes(c *cloud) string {
	return c.server("web", `,"block_device_mapping_v2":[
		{"source_type":"image","destination_type":"local","uuid":"`+imageID+`","boot_index":0},
		{"source_type":"volume","destination_type":"volume","uuid":"`+volumeID+`","boot_index":-1}]`)
}

// ofVolume is a server whose root disk is a volume.
func ofVolume(c *cloud) string {
	return c.server("web", `,"block_device_mapping_v2":[
		{"source_type":"volume","destination_type":"volume","uuid":"`+volumeID+`","boot_index":0}]`)
}

// after prepares a server and lets something be done to it.
func after(prepare func(c *cloud) string, body string) func(c *cloud) string {
	return func(c *cloud) string {
		id := prepare(c)
		c.settle(c.t.(*testing.T))
		c.act(id, body)
		return id
	}
}

// must2 does something to a server, as an admin.
func (c *cloud) act(id, body string) {
	c.t.Helper()
	r := c.as("admin@2.96", "POST", "/servers/"+id+"/action", body)
	if r.status/100 != 2 {
		c.t.Fatalf("%s: %d %s", body, r.status, r.body)
	}
}

func TestLifePlans(t *testing.T) {
	act := func(body string) func(c *cloud, t *testing.T, id string) {
		return func(c *cloud, t *testing.T, id string) { c.act(id, body) }
	}
	for _, test := range []struct {
		name, plan string
		prepare    func(c *cloud) string
		body       string
	}{
		{"rescue", "server.power", withVolumes, `{"rescue":null}`},
		{"unrescue", "server.power", after(withVolumes, `{"rescue":null}`), `{"unrescue":null}`},
		{"crash", "server.crash_dump", boot, `{"trigger_crash_dump":null}`},
		{"shelve", "server.shelve", withVolumes, `{"shelve":null}`},
		{"shelve of a volume", "server.shelve_offload", ofVolume, `{"shelve":null}`},
		{"unshelve", "server.unshelve", after(withVolumes, `{"shelve":null}`), `{"unshelve":{"availability_zone":"nova"}}`},
		{"unshelve of a volume", "server.unshelve", after(ofVolume, `{"shelve":null}`), `{"unshelve":null}`},
	} {
		t.Run(test.name, func(t *testing.T) { exercise(t, test.plan, test.prepare, act(test.body), nil) })
	}
	t.Run("evacuate", func(t *testing.T) {
		onFirst := func(c *cloud) string {
			c.lose("node-2", true)
			id := after(withVolumes, `{"os-stop":null}`)(c)
			c.settle(t)
			c.lose("node-2", false)
			return id
		}
		exerciseOn(t, 2, "server.evacuate", onFirst, func(c *cloud, t *testing.T, id string) {
			c.lose("node-1", true)
			c.act(id, `{"evacuate":{}}`)
		}, nil)
	})
}

// lose declares a host down, or up again.
func (c *cloud) lose(host string, down bool) {
	c.t.Helper()
	service := c.must(200, "admin@2.53", "GET", "/os-services?host="+host, "").at(c.t, "services", 0, "id").(string)
	c.must(200, "admin@2.53", "PUT", "/os-services/"+service, fmt.Sprintf(`{"forced_down":%v}`, down))
}

// The bytes that a rebuild has thrown away do not come back: the server is in ERROR,
// with its volume.
func TestRebuildVolumePlan(t *testing.T) {
	exercise(t, "server.rebuild_volume", ofVolume, func(c *cloud, t *testing.T, id string) {
		c.must(400, "demo@2.92", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+imageID+`"}}`)
		c.must(202, "demo@2.93", "POST", "/servers/"+id+"/action", `{"rebuild":{"imageRef":"`+imageID+`"}}`)
	}, func(before any) any {
		w := before.(map[string][]string)
		for i, row := range w["servers"] {
			w["servers"][i] = strings.Replace(strings.Replace(row, "|active|", "|error|", 1), "null||null|", `null||{"code":409,"message":"Given up by the test.",*}|`, 1)
		}
		return w
	})
}
