package ovsdb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"nacre/internal/fabric/ovn/ovsdb"
)

const (
	schemaFile = "/usr/share/ovn/ovn-nb.ovsschema"
	switches   = "Logical_Switch"
	ports      = "Logical_Switch_Port"
)

// server is an ovsdb-server of the test's own.
type server struct {
	t       *testing.T
	dir     string
	process *exec.Cmd
}

func newServer(t *testing.T) *server {
	t.Helper()
	for program, pkg := range map[string]string{"ovsdb-server": "openvswitch-common", "ovsdb-tool": "openvswitch-common"} {
		_, err := exec.LookPath(program)
		if err != nil {
			t.Fatalf("this test runs %s: apt-get install %s", program, pkg)
		}
	}
	_, err := os.Stat(schemaFile)
	if err != nil {
		t.Fatalf("this test needs a schema: apt-get install ovn-central (%v)", err)
	}
	dir, err := os.MkdirTemp("", "ovsdb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, dir: dir}
	out, err := exec.Command("ovsdb-tool", "create", s.path("db"), schemaFile).CombinedOutput()
	if err != nil {
		t.Fatalf("create database: %v: %s", err, out)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) start() {
	s.t.Helper()
	s.process = exec.Command("ovsdb-server", "--remote=punix:"+s.path("sock"), "--unixctl="+s.path("ctl"), "-vconsole:off", s.path("db"))
	err := s.process.Start()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) stop() {
	s.process.Process.Kill()
	s.process.Wait()
}

func open(t *testing.T, s *server, changed func(table, uuid string, old, row ovsdb.Row)) *ovsdb.Client {
	t.Helper()
	c, err := ovsdb.Open(bounded(t), ovsdb.Config{
		Socket: s.path("sock"), Database: "OVN_Northbound", Changed: changed,
		Follow: map[string][]string{switches: {"name", "ports", "other_config"}, ports: {"name", "enabled", "tag"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// row returns a row of the client's copy.
func row(c *ovsdb.Client, table, id string) (found ovsdb.Row) {
	c.View(func(tables ovsdb.Tables) { found = tables[table][id] })
	return found
}

func transact(t *testing.T, c *ovsdb.Client, ops ...ovsdb.Op) {
	t.Helper()
	err := c.Transact(bounded(t), ops...)
	if err != nil {
		t.Fatal(err)
	}
}

// The effect of a transaction is in the copy as soon as the answer is there.
func TestTransact(t *testing.T) {
	s := newServer(t)
	var reports []string
	c := open(t, s, func(table, id string, old, row ovsdb.Row) {
		reports = append(reports, fmt.Sprint(table, " ", old != nil, row != nil))
	})
	other := open(t, s, nil)
	sw, a, b := uuid.NewString(), uuid.NewString(), uuid.NewString()

	transact(t, c,
		ovsdb.Insert(switches, sw, ovsdb.Row{"name": "net", "ports": ovsdb.SetOf(a), "other_config": ovsdb.Map{"k": "v", "w": "x"}}),
		ovsdb.Insert(ports, a, ovsdb.Row{"name": "a", "enabled": ovsdb.SetOf("true")}),
		ovsdb.Commit())
	r := row(c, switches, sw)
	if r.String("name") != "net" || !r.Is("ports", a) || r.Map("other_config")["k"] != "v" {
		t.Errorf("switch is %v", r)
	}
	if p := row(c, ports, a); !p.Is("enabled", "true") || p.Set("tag") == nil || len(p.Set("tag")) != 0 {
		t.Errorf("port is %v", p)
	}

	transact(t, c,
		ovsdb.Insert(ports, b, ovsdb.Row{"name": "b"}),
		ovsdb.Change(switches, sw, "ports", ovsdb.SetOf(b), ovsdb.SetOf(a)),
		ovsdb.Update(switches, sw, ovsdb.Row{"other_config": ovsdb.Map{"w": "y"}}))
	r = row(c, switches, sw)
	if !r.Is("ports", b) || !ovsdb.Equal(r.Map("other_config"), ovsdb.Map{"w": "y"}) {
		t.Errorf("changed switch is %v", r)
	}
	if row(c, ports, a) != nil {
		t.Errorf("a port that nothing refers to is still there")
	}

	transact(t, c, ovsdb.Delete(switches, sw))
	if row(c, switches, sw) != nil || row(c, ports, b) != nil {
		t.Errorf("deleted switch or its port is still there")
	}
	transact(t, other) // an empty one brings the copy up to date
	if row(other, switches, sw) != nil {
		t.Errorf("the other client still sees the switch")
	}
	counts := map[string]int{}
	for _, report := range reports {
		counts[report]++
	}
	for report, want := range map[string]int{
		switches + " false true": 1, switches + " true true": 1, switches + " true false": 1, ports + " false true": 2, ports + " true false": 2,
	} {
		if counts[report] != want {
			t.Errorf("%s reported %d times, want %d", report, counts[report], want)
		}
	}
}

// What the server refuses has no effect and says why.
func TestRefused(t *testing.T) {
	c := open(t, newServer(t), nil)
	id := uuid.NewString()
	for want, ops := range map[string][]ovsdb.Op{
		"duplicate uuid":           {ovsdb.Insert(switches, id, ovsdb.Row{"name": "x"}), ovsdb.Insert(switches, id, ovsdb.Row{"name": "y"})},
		"referential integrity":    {ovsdb.Insert(switches, id, ovsdb.Row{"ports": ovsdb.SetOf(uuid.NewString())})},
		"no column colour":         {ovsdb.Insert(switches, id, ovsdb.Row{"colour": "red"})},
		"constraint violation":     {ovsdb.Insert(switches, id, ovsdb.Row{"ports": ovsdb.SetOf(id)}), ovsdb.Insert(ports, id, ovsdb.Row{"tag": ovsdb.SetOf("9999")})},
		"column of another kind":   {ovsdb.Update(switches, id, ovsdb.Row{"name": ovsdb.SetOf("x")})},
		"encode mutate of Logical": {ovsdb.Change(switches, id, "colour", ovsdb.SetOf("x"), nil)},
	} {
		err := c.Transact(bounded(t), ops...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
	if row(c, switches, id) != nil {
		t.Errorf("a refused transaction had an effect")
	}
}

// A killed server costs the calls under way, nothing else.
func TestReconnect(t *testing.T) {
	s := newServer(t)
	var mu sync.Mutex
	seen := map[string]bool{}
	c := open(t, s, func(table, id string, old, row ovsdb.Row) {
		mu.Lock()
		defer mu.Unlock()
		seen[id] = row != nil
	})
	kept, gone, fresh := uuid.NewString(), uuid.NewString(), uuid.NewString()
	transact(t, c, ovsdb.Insert(switches, kept, ovsdb.Row{"name": "kept"}), ovsdb.Insert(switches, gone, ovsdb.Row{"name": "gone"}), ovsdb.Commit())

	s.stop()
	ended, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err := c.Transact(ended)
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ovsdb.ErrDisconnected) {
		t.Errorf("without a server: %v", err)
	}
	// While nobody looks, one row goes and another comes.
	for _, change := range []string{
		fmt.Sprintf(`{"op":"delete","table":"%s","where":[["name","==","gone"]]}`, switches),
		fmt.Sprintf(`{"op":"insert","table":"%s","uuid":"%s","row":{"name":"fresh"}}`, switches, fresh),
	} {
		out, err := exec.Command("ovsdb-tool", "transact", s.path("db"), `["OVN_Northbound",`+change+`]`).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s.start()
	err = c.Await(bounded(t), func(tables ovsdb.Tables) bool { return tables[switches][fresh] != nil })
	if err != nil {
		t.Fatalf("wait for the new row: %v", err)
	}
	if row(c, switches, kept) == nil || row(c, switches, gone) != nil {
		t.Errorf("kept row: %v, gone row: %v", row(c, switches, kept), row(c, switches, gone))
	}
	transact(t, c, ovsdb.Update(switches, kept, ovsdb.Row{"name": "changed"}))
	mu.Lock()
	defer mu.Unlock()
	if !seen[kept] || seen[gone] || !seen[fresh] {
		t.Errorf("reports say %v", seen)
	}
}

func TestOpenGivesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	c, err := ovsdb.Open(ctx, ovsdb.Config{Socket: filepath.Join(t.TempDir(), "none"), Database: "X"})
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open without a server: %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestCall(t *testing.T) {
	s := newServer(t)
	open(t, s, nil) // the server listens
	text, err := ovsdb.Call(bounded(t), s.path("ctl"), "ovsdb-server/list-dbs")
	if err != nil || !strings.Contains(text, "OVN_Northbound") {
		t.Errorf("list-dbs: %q, %v", text, err)
	}
	_, err = ovsdb.Call(bounded(t), s.path("ctl"), "no-such-command")
	if err == nil {
		t.Errorf("an unknown command succeeded")
	}
}
