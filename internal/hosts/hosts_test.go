package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

type rig struct {
	*Service
	t   *testing.T
	db  *db.DB
	now *clock.Manual
	ctx context.Context
}

func start(t *testing.T) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	d, err := db.Open(ctx, dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	now := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	t.Cleanup(func() {
		cancel()
		d.Close()
	})
	r := &rig{t: t, db: d, now: now, ctx: ctx}
	r.restart()
	return r
}

// restart is a new server on the same database.
func (r *rig) restart() {
	r.t.Helper()
	var err error
	r.Service, err = New(r.ctx, Options{DB: r.db, Clock: r.now})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) write(do func(tx *db.Tx) error) {
	r.t.Helper()
	err := r.db.Write(r.ctx, do)
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) want(host, id string, running bool) int64 {
	r.t.Helper()
	var generation int64
	r.write(func(tx *db.Tx) error {
		var err error
		generation, err = r.Want(r.ctx, tx, host, nodeapi.KindMachine, id, nodeapi.Machine{ID: id, Running: running})
		return err
	})
	return generation
}

func (r *rig) forget(host, id string) {
	r.t.Helper()
	r.write(func(tx *db.Tx) error { return r.Forget(r.ctx, tx, host, nodeapi.KindMachine, id) })
}

func (r *rig) observed(host, id string) (bool, nodeapi.MachineObserved) {
	r.t.Helper()
	var o nodeapi.MachineObserved
	var answered bool
	err := r.db.Read(r.ctx, func(tx *db.Tx) error {
		var err error
		answered, err = r.Observed(r.ctx, tx, host, nodeapi.KindMachine, id, &o)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return answered, o
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for !ok() {
		select {
		case <-r.ctx.Done():
			r.t.Fatalf("waited in vain until %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// node is a node that does nothing by itself.
type node struct {
	*nodeapi.Conn
	desired chan nodeapi.Desired
	end     func() error
}

func (r *rig) dial(host, says string, handlers nodeapi.Handlers) (*node, error) {
	a, b := net.Pipe()
	ended := make(chan error, 2)
	go func() { ended <- r.Serve(r.ctx, host, b) }()
	_, err := nodeapi.Greet(a, nodeapi.Hello{Host: says, Info: nodeapi.HostInfo{VCPUs: 8}})
	if err != nil {
		a.Close()
		return nil, errors.Join(err, <-ended)
	}
	n := &node{desired: make(chan nodeapi.Desired, 1000)}
	handlers.Desired = func(d nodeapi.Desired) { n.desired <- d }
	n.Conn = nodeapi.NewConn(a, true, handlers)
	go func() { ended <- n.Conn.Serve(r.ctx) }()
	n.end = sync.OnceValue(func() error {
		n.Close()
		return errors.Join(<-ended, <-ended)
	})
	r.t.Cleanup(func() { n.end() })
	return n, nil
}

func (r *rig) connect(host string) *node {
	r.t.Helper()
	n, err := r.dial(host, host, nodeapi.Handlers{})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// whole reads frames until the set is complete.
func (n *node) whole(t *testing.T) map[string]nodeapi.Document {
	t.Helper()
	set := map[string]nodeapi.Document{}
	for {
		d := n.next(t)
		for _, document := range d.Documents {
			set[document.ID] = document
		}
		if d.Complete {
			return set
		}
	}
}

func (n *node) next(t *testing.T) nodeapi.Desired {
	t.Helper()
	select {
	case d := <-n.desired:
		return d
	case <-time.After(10 * time.Second):
		t.Fatal("no desired documents came")
		return nodeapi.Desired{}
	}
}

func (n *node) report(t *testing.T, id string, generation int64, running bool) {
	t.Helper()
	body, _ := json.Marshal(nodeapi.MachineObserved{Running: running})
	n.send(t, nodeapi.Document{Kind: nodeapi.KindMachine, ID: id, Generation: generation, Body: body})
}

func (n *node) send(t *testing.T, d nodeapi.Document) {
	t.Helper()
	err := n.SendObserved(context.Background(), nodeapi.Observed{Documents: []nodeapi.Document{d}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGenerations(t *testing.T) {
	r := start(t)
	r.connect("a").whole(t)
	first := r.want("a", "m", true)
	if again := r.want("a", "m", true); again != first {
		t.Errorf("unchanged content has generation %d, want %d", again, first)
	}
	second := r.want("a", "m", false)
	if second <= first {
		t.Errorf("changed content has generation %d, want more than %d", second, first)
	}
	r.forget("a", "m")
	r.forget("a", "never wanted")
	answered, _ := r.observed("a", "m")
	if answered {
		t.Error("a forgotten document is answered before the node confirms")
	}
	err := r.db.Write(r.ctx, func(tx *db.Tx) error {
		_, err := r.Want(r.ctx, tx, "nowhere", nodeapi.KindMachine, "m", 1)
		return err
	})
	if err == nil {
		t.Error("a document for an unknown host was accepted")
	}
}

func TestDesiredReachesTheNode(t *testing.T) {
	r := start(t)
	n := r.connect("a")
	if set := n.whole(t); len(set) != 0 {
		t.Errorf("a new host got %v", set)
	}
	generation := r.want("a", "m", true)
	got := n.next(t)
	if len(got.Documents) != 1 || got.Documents[0].Generation != generation || got.First || got.Complete {
		t.Errorf("after a change the node got %+v", got)
	}
	n.end()

	// Everything that happens while it is away comes with the whole set.
	for i := range 250 {
		r.want("a", fmt.Sprintf("m%03d", i), true)
	}
	r.forget("a", "m")
	n = r.connect("a")
	set := n.whole(t)
	if len(set) != 251 || !set["m"].Gone || set["m007"].Gone {
		t.Errorf("after coming back the node got %d documents, gone: %v; want 251 with m gone", len(set), set["m"].Gone)
	}
}

func TestObservedIsWritten(t *testing.T) {
	r := start(t)
	heard := make(chan string, 100)
	r.OnObserved(nodeapi.KindMachine, func(id string) { heard <- id })
	n := r.connect("a")
	n.whole(t)
	old := r.want("a", "m", false)
	generation := r.want("a", "m", true)

	n.report(t, "m", old, false)
	<-heard
	answered, o := r.observed("a", "m")
	if answered {
		t.Error("an answer to an older generation counts as one to the newest")
	}
	n.report(t, "m", generation, true)
	<-heard
	answered, o = r.observed("a", "m")
	if !answered || !o.Running {
		t.Errorf("answered %v, running %v; want both", answered, o.Running)
	}

	// Late, repeated and invented reports change nothing.
	n.report(t, "m", old, false)
	n.report(t, "m", generation, true)
	n.report(t, "m", generation+50, false)
	n.report(t, "stranger", 1, true)
	n.send(t, nodeapi.Document{Kind: nodeapi.KindMachine, ID: "m", Generation: generation, Gone: true})
	r.want("a", "last", true)
	n.report(t, "last", r.want("a", "last", true), true)
	r.until("the last report is written", func() bool { ok, _ := r.observed("a", "last"); return ok })
	answered, o = r.observed("a", "m")
	if !answered || !o.Running {
		t.Errorf("after late reports: answered %v, running %v; want both", answered, o.Running)
	}

	r.forget("a", "m")
	n.send(t, nodeapi.Document{Kind: nodeapi.KindMachine, ID: "m", Generation: generation, Gone: true})
	answered, _ = r.observed("a", "m")
	if answered {
		t.Error("a late confirmation removed the document")
	}
	for {
		d := n.next(t)
		if len(d.Documents) > 0 && d.Documents[0].Gone {
			n.send(t, nodeapi.Document{Kind: nodeapi.KindMachine, ID: "m", Generation: d.Documents[0].Generation, Gone: true})
			break
		}
	}
	r.until("the document is gone", func() bool { ok, _ := r.observed("a", "m"); return ok })
}

func TestNodeSpeaksForItsHostOnly(t *testing.T) {
	r := start(t)
	_, err := r.dial("a", "b", nodeapi.Handlers{})
	if err == nil || !strings.Contains(err.Error(), "you are a") {
		t.Errorf("a node under another's name: %v, want a refusal", err)
	}
	a, b := r.connect("a"), r.connect("b")
	a.whole(t)
	b.whole(t)
	generation := r.want("a", "m", true)
	b.report(t, "m", generation, true)
	b.report(t, "mine", r.want("b", "mine", true), true)
	r.until("the other report is written", func() bool { ok, _ := r.observed("b", "mine"); return ok })
	answered, o := r.observed("a", "m")
	if answered || o.Running {
		t.Error("a node reported about another host's machine and was believed")
	}
}

func TestUpAndDown(t *testing.T) {
	r := start(t)
	var mu sync.Mutex
	var told []Host
	r.OnHost(func(h Host) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, h)
	})
	last := func() Host {
		mu.Lock()
		defer mu.Unlock()
		return told[len(told)-1]
	}
	n := r.connect("a")
	n.whole(t)
	if h := last(); !h.Up || h.Info.VCPUs != 8 || h.ID == "" {
		t.Errorf("after connecting the hook was told %+v", h)
	}
	err := n.SendInfo(r.ctx, nodeapi.HostInfo{VCPUs: 16})
	if err != nil {
		t.Fatal(err)
	}
	r.until("the hook hears of more cores", func() bool { return last().Info.VCPUs == 16 })
	n.end()
	r.until("the connection is gone", func() bool { return r.link("a") == nil })
	h, err := r.Get(r.ctx, "a")
	if err != nil || !h.Up {
		t.Errorf("a moment after the connection broke: up %v, %v; want still up", h.Up, err)
	}
	r.now.Advance(nodeapi.HostSilent + time.Second)
	err = r.look(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if last().Up {
		t.Error("a host that was not seen for long is still up")
	}

	// A connection that says nothing is cut.
	n = r.connect("a")
	n.whole(t)
	for range 2 {
		r.now.Advance(nodeapi.HostSilent)
		err = r.look(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
	}
	r.until("the silent connection is cut", func() bool { return r.link("a") == nil })
	list, err := r.List(r.ctx)
	if err != nil || len(list) != 1 || list[0].ID != h.ID {
		t.Errorf("hosts are %+v, %v; want a with its first id", list, err)
	}
}

// Servers that were away, or could not reach the database, take no host for dead
// that was up before: it gets the time to come back.
func TestAwayServersSilenceNobody(t *testing.T) {
	r := start(t)
	r.connect("dead").end()
	r.now.Advance(nodeapi.HostSilent)
	r.connect("alive").end()
	state := func() map[string]bool {
		list, err := r.List(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		up := map[string]bool{}
		for _, h := range list {
			up[h.Name] = h.Up
		}
		return up
	}
	check := func(when string, alive bool) {
		t.Helper()
		want := map[string]bool{"dead": false, "alive": alive}
		got := state()
		if !maps.Equal(got, want) {
			t.Errorf("%s hosts are up: %v; want %v", when, got, want)
		}
	}
	again := map[string]func(){
		"the servers were away": r.restart,
		"the database was away": func() {
			unreachable, cancel := context.WithCancel(r.ctx)
			cancel()
			r.attend(unreachable, r.look)
			r.attend(r.ctx, r.look)
		},
	}
	for _, why := range slices.Sorted(maps.Keys(again)) {
		r.now.Advance(time.Hour)
		again[why]()
		check("after "+why, true)
		r.now.Advance(nodeapi.HostSilent - time.Second)
		check("a while after "+why, true)
		told := map[string]bool{}
		r.OnHost(func(h Host) { told[h.Name] = h.Up })
		r.attend(r.ctx, r.look)
		if up, heard := told["alive"]; heard && !up || told["dead"] {
			t.Errorf("after %s hooks were told %v", why, told)
		}
		r.now.Advance(time.Second)
		check("long after "+why, false)
		r.attend(r.ctx, r.look)
		if up, heard := told["alive"]; up || !heard {
			t.Errorf("long after %s hooks were told %v", why, told)
		}
		r.connect("alive").end()
	}
}

func TestQuestions(t *testing.T) {
	r := start(t)
	r.OnQuery(nodeapi.QueryMetadata, func(_ context.Context, host string, payload json.RawMessage) (any, error) {
		if host != "a" {
			return nil, errors.New("secret detail")
		}
		return nil, errs.NotFoundf("No machine has this address.")
	})
	var a *node
	handlers := nodeapi.Handlers{Query: func(_ context.Context, name string, payload json.RawMessage) (any, error) {
		switch {
		case strings.Contains(string(payload), "missing"):
			return nil, &nodeapi.RemoteError{Status: 404, Message: "no such machine"}
		case strings.Contains(string(payload), "goes"):
			a.Close()
		}
		return nodeapi.LogReply{Log: []byte("booted")}, nil
	}}
	a, err := r.dial("a", "a", handlers)
	if err != nil {
		t.Fatal(err)
	}
	b := r.connect("b")
	for n, want := range map[*node]string{a: "No machine has this address.", b: "unexpected error"} {
		_, err = n.Ask(r.ctx, nodeapi.QueryMetadata, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("the node heard %v, want %q", err, want)
		}
	}
	r.until("a is connected", func() bool { return r.link("a") != nil })
	log, err := r.Log(r.ctx, "a", "m", 10)
	if err != nil || string(log) != "booted" {
		t.Errorf("log is %q, %v", log, err)
	}
	_, err = r.Log(r.ctx, "a", "missing", 10)
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("log of a missing machine: %v, want not found", err)
	}
	_, err = r.Log(r.ctx, "away", "m", 10)
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("log from a host that is away: %v, want unavailable", err)
	}
	_, err = r.Tunnel(r.ctx, "a", nodeapi.StreamVNC, "m")
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("tunnel that the node does not serve: %v, want not found", err)
	}
	_, err = r.Log(r.ctx, "a", "goes", 10)
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("log from a host that goes away meanwhile: %v, want unavailable", err)
	}
}

func TestSecondConnectionReplacesTheFirst(t *testing.T) {
	r := start(t)
	first := r.connect("a")
	first.whole(t)
	second := r.connect("a")
	second.whole(t)
	<-first.Done()
	r.want("a", "m", true)
	if got := second.next(t); len(got.Documents) != 1 {
		t.Errorf("the second connection got %+v", got)
	}
}
