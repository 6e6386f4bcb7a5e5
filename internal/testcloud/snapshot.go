package testcloud

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nacre/internal/db"
	"nacre/internal/fabric"
)

// World is what there is: lines by the table or the kind of thing. Two worlds
// are compared line by line.
type World map[string][]string

// unseen are tables that tell about the past, about sign-ins or about work under
// way: none of that is left behind.
var unseen = []string{
	"auth_revision", "cloud_facts", "cloud_servers", "deleted_images", "fernet_keys", "hosts", "image_tasks", "join_tokens", "jws_keys", "loop_leases", "network_dirty", "nobody",
	"node_certificates", "openid_devices", "openid_grants", "openid_keys", "openid_secrets", "outbox", "plan_engines", "plan_steps", "plans", "quota_limits", "revoked_tokens", "saml_keys", "schedules", "token_floors", "volume_messages",
	"server_tags", "object_blobs", // kept for servers that were deleted, and until a sweep
}

// moving are columns that change with every touch.
var moving = regexp.MustCompile(`(_at|_seen|^seq|^generation|^revision|^quiet|^answered|^epoch|^observed|^seen|^used_by|^(soft|hard)_reboots|^crash_dumps|^rebuilds|^position|^place|^sequence)$`)

// kept says which rows of a table count; the others are history.
var kept = map[string]string{
	"servers":      "deleted_at = 0",
	"quota_usages": "used <> 0",
	"documents":    "desired <> ''",
	"migrations":   "status NOT IN ('confirmed', 'reverted', 'completed', 'cancelled', 'failed', 'error', 'done')",
}

// Snapshot returns the world without times and counters: the rows of the
// database, and what the simulated hosts, their network and the byte store have.
func (c *Cloud) Snapshot(t testing.TB) World {
	t.Helper()
	w := World{}
	ctx := context.Background()
	tables, err := c.App.DB.Tables(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = c.App.DB.Read(ctx, func(tx *db.Tx) error { return w.addTables(ctx, tx, tables) })
	if err != nil {
		t.Fatalf("look at the database: %v", err)
	}
	err = w.addHosts(ctx, c)
	if err != nil {
		t.Fatalf("look at the hosts: %v", err)
	}
	garbage, err := garbage(ctx, c.App.DB)
	if err == nil {
		err = w.addBlobs(c.App.Config.Blobs, garbage)
	}
	if err != nil {
		t.Fatalf("look at the byte store: %v", err)
	}
	for kind := range w {
		slices.Sort(w[kind])
	}
	return w
}

func (w World) addTables(ctx context.Context, tx *db.Tx, tables []string) error {
	for _, table := range tables {
		if slices.Contains(unseen, table) {
			continue
		}
		err := w.addTable(ctx, tx, table)
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}

func (w World) addTable(ctx context.Context, tx *db.Tx, table string) error {
	query := "SELECT * FROM " + table
	if kept[table] != "" {
		query += " WHERE " + kept[table]
	}
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]any, len(names))
	for rows.Next() {
		for i := range values {
			values[i] = new(any)
		}
		err = rows.Scan(values...)
		if err != nil {
			return err
		}
		line := ""
		for i, name := range names {
			if !moving.MatchString(name) {
				line += fmt.Sprintf("%s=%v ", name, *values[i].(*any))
			}
		}
		w[table] = append(w[table], counters.ReplaceAllString(line, "$1*"))
	}
	return rows.Err()
}

// counters are what moves inside of JSON columns.
var counters = regexp.MustCompile(`("(?:generation|epoch|Epoch|soft_reboots|hard_reboots|SoftReboots|HardReboots|crash_dumps|CrashDumps|since|rebuilds|Rebuilds|created|updated)": ?)("[^"]*"|\d+)`)

func (w World) addHosts(ctx context.Context, c *Cloud) error {
	sim := c.App.Simulated
	for name, host := range sim.Machines {
		machines, err := host.List(ctx)
		if err != nil {
			return err
		}
		for _, m := range machines {
			w["guests"] = append(w["guests"], fmt.Sprintf("%s %s running=%v disks=%v cards=%v", name, m.ID, m.Running, m.Disks, m.NICs))
		}
		volumes, err := sim.Disks[name].List(ctx)
		if err != nil {
			return err
		}
		for _, v := range volumes {
			w["disks"] = append(w["disks"], fmt.Sprintf("%s %s %d GiB exported=%v", name, v.ID, v.SizeGB, v.Exported))
		}
		plugs, err := sim.Plugs[name].Plugged(ctx)
		if err != nil {
			return err
		}
		for _, port := range plugs {
			w["taps"] = append(w["taps"], name+" "+port)
		}
	}
	return w.addTopology(sim.Fabric.Topology())
}

func (w World) addTopology(t fabric.Topology) error {
	for _, n := range t.Networks {
		w["fabric networks"] = append(w["fabric networks"], n.ID)
	}
	for _, p := range t.Ports {
		w["fabric ports"] = append(w["fabric ports"], fmt.Sprintf("%s on %s at %q %v %v trunk=%s %+v", p.ID, p.Network, p.Host, p.IPs, p.Groups, p.Trunk, p.QoS))
	}
	for _, g := range t.Groups {
		w["fabric groups"] = append(w["fabric groups"], fmt.Sprintf("%s %d rules", g.ID, len(g.Rules)))
	}
	for _, r := range t.Routers {
		w["fabric routers"] = append(w["fabric routers"], fmt.Sprintf("%s %d ports %v %v", r.ID, len(r.AllPorts()), r.NATs, r.Forwardings))
	}
	return nil
}

// garbage are the blobs that the next sweep removes.
func garbage(ctx context.Context, database *db.DB) (map[string]bool, error) {
	var keys []string
	err := database.Read(ctx, func(tx *db.Tx) error { return tx.All(ctx, &keys, "SELECT blob FROM object_blobs") })
	names := make(map[string]bool, len(keys))
	for _, key := range keys {
		names[strings.ReplaceAll(key, "/", "+")] = true // as the byte store names its files
	}
	return names, err
}

func (w World) addBlobs(dir string, garbage map[string]bool) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !garbage[filepath.Base(path)] {
			w["blobs"] = append(w["blobs"], filepath.Base(path))
		}
		return err
	})
}

// changing are names and addresses that differ between runs of the same thing.
var changing = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b`), "MAC"},
	{regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+\b`), "IP"},
	{regexp.MustCompile(`\bfd[0-9a-f:]+::/48`), "DRAWN"}, // the range of the default subnet pool
	{regexp.MustCompile(`\br-[0-9a-z]{8}\b`), "RESERVATION"},
	{regexp.MustCompile(`\bseed=\S+`), "SEED"},
	{regexp.MustCompile(`/\d{14}/`), "/MOMENT/"},
	{regexp.MustCompile(`\bversion=\d{12,}`), "VERSION"},
}

// Plain is the world without ids and addresses, to compare two runs of the same.
func (w World) Plain() World {
	out := World{}
	for kind, lines := range w {
		for _, line := range lines {
			for _, c := range changing {
				line = c.what.ReplaceAllString(line, c.with)
			}
			out[kind] = append(out[kind], line)
		}
		slices.Sort(out[kind])
	}
	return out
}
