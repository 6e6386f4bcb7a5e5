package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nacre/internal/blockdev"
	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/hosts"
	"nacre/internal/node"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
	virtsim "nacre/internal/virt/simulated"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// rig is a server, and a host whose drivers outlive its node.
type rig struct {
	t      *testing.T
	ctx    context.Context
	db     *db.DB
	hosts  *hosts.Service
	dir    string
	boot   string
	virt   *virtsim.Host
	block  *blocksim.Host
	fabric *fabricsim.Host
	net    *fabricsim.Cluster
	images *node.Images
	away   atomic.Bool // the server does not answer
	hook   func(call string)
	serves sync.WaitGroup
	end    func() // ends the running node
}

func start(t *testing.T) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	r := &rig{t: t, ctx: ctx, dir: t.TempDir(), boot: "boot-1", end: func() {}, hook: func(string) {}}
	var err error
	r.db, err = db.Open(ctx, filepath.Join(r.dir, "nacre.db"))
	if err != nil {
		t.Fatal(err)
	}
	r.hosts = hosts.New(hosts.Options{DB: r.db})
	r.newDrivers()
	t.Cleanup(func() {
		r.end()
		cancel()
		r.serves.Wait()
		r.virt.Close()
		r.db.Close()
	})
	return r
}

func (r *rig) newDrivers() {
	r.t.Helper()
	var err error
	r.virt, err = virtsim.New(virtsim.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.block, err = blocksim.New(blocksim.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.net = fabricsim.New()
	err = r.net.Ensure(r.ctx, fabric.Topology{
		Networks: []fabric.Network{{ID: "net"}},
		Ports:    []fabric.Port{{ID: "p1", Network: "net", MAC: "fa:16:3e:00:00:01", IPs: []string{"10.0.0.5"}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.fabric = r.net.Host("h")
}

// run starts the node; r.end stops it.
func (r *rig) run() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	r.runIn(ctx, cancel)
}

func (r *rig) runIn(ctx context.Context, cancel func()) {
	r.t.Helper()
	n, err := node.New(node.Options{
		Name: "h", Dir: filepath.Join(r.dir, "node"), BootID: r.boot, Images: r.images,
		Virt: &hookedVirt{r.virt, r}, Fabric: &hookedFabric{r.fabric, r}, Block: &hookedBlock{r.block, r},
		Dial: r.dial,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Run(ctx)
	}()
	r.end = sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

func (r *rig) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	if r.away.Load() {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	r.serves.Go(func() { r.hosts.Serve(ctx, "h", b) })
	return a, nil
}

// hooked drivers call the hook before and after each effect.
type hookedVirt struct {
	virt.Host
	r *rig
}

func (h *hookedVirt) Ensure(ctx context.Context, m virt.Machine) error {
	h.r.hook("ensure machine")
	defer h.r.hook("ensured machine")
	return h.Host.Ensure(ctx, m)
}

func (h *hookedVirt) Remove(ctx context.Context, id string) error {
	h.r.hook("remove machine")
	defer h.r.hook("removed machine")
	return h.Host.Remove(ctx, id)
}

type hookedBlock struct {
	blockdev.Host
	r *rig
}

func (h *hookedBlock) Ensure(ctx context.Context, v blockdev.Volume) error {
	h.r.hook("ensure volume")
	defer h.r.hook("ensured volume")
	return h.Host.Ensure(ctx, v)
}

func (h *hookedBlock) Export(ctx context.Context, e blockdev.Export) (blockdev.Address, error) {
	h.r.hook("export")
	defer h.r.hook("exported")
	return h.Host.Export(ctx, e)
}

func (h *hookedBlock) Unexport(ctx context.Context, v string) error {
	h.r.hook("unexport")
	defer h.r.hook("unexported")
	return h.Host.Unexport(ctx, v)
}

func (h *hookedBlock) Remove(ctx context.Context, v string) error {
	h.r.hook("remove volume")
	defer h.r.hook("removed volume")
	return h.Host.Remove(ctx, v)
}

type hookedFabric struct {
	fabric.Host
	r *rig
}

func (h *hookedFabric) Plug(ctx context.Context, p fabric.Plug) (string, error) {
	h.r.hook("plug")
	defer h.r.hook("plugged")
	return h.Host.Plug(ctx, p)
}

func (h *hookedFabric) Unplug(ctx context.Context, p string) error {
	h.r.hook("unplug")
	defer h.r.hook("unplugged")
	return h.Host.Unplug(ctx, p)
}

func (h *hookedFabric) OpenMetadata(ctx context.Context, m fabric.Metadata) (net.Listener, error) {
	h.r.hook("open door")
	defer h.r.hook("opened door")
	return h.Host.OpenMetadata(ctx, m)
}

func (h *hookedFabric) CloseMetadata(ctx context.Context, network string) error {
	h.r.hook("close door")
	defer h.r.hook("closed door")
	return h.Host.CloseMetadata(ctx, network)
}

func (r *rig) write(do func(tx *db.Tx) error) {
	r.t.Helper()
	err := r.db.Write(r.ctx, do)
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) wantMachine(m nodeapi.Machine) {
	r.t.Helper()
	r.write(func(tx *db.Tx) error {
		_, err := r.hosts.Want(r.ctx, tx, "h", nodeapi.KindMachine, m.ID, m)
		return err
	})
}

func (r *rig) wantVolume(v nodeapi.Volume) {
	r.t.Helper()
	r.write(func(tx *db.Tx) error {
		_, err := r.hosts.Want(r.ctx, tx, "h", nodeapi.KindVolume, v.ID, v)
		return err
	})
}

func (r *rig) forget(kind, id string) {
	r.t.Helper()
	r.write(func(tx *db.Tx) error { return r.hosts.Forget(r.ctx, tx, "h", kind, id) })
}

func observed[T any](r *rig, kind, id string) (answered bool, o T) {
	r.t.Helper()
	err := r.db.Read(r.ctx, func(tx *db.Tx) error {
		var err error
		answered, err = r.hosts.Observed(r.ctx, tx, "h", kind, id, &o)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return answered, o
}

func (r *rig) machine(id string) (bool, nodeapi.MachineObserved) {
	r.t.Helper()
	return observed[nodeapi.MachineObserved](r, nodeapi.KindMachine, id)
}

func (r *rig) volume(id string) (bool, nodeapi.VolumeObserved) {
	r.t.Helper()
	return observed[nodeapi.VolumeObserved](r, nodeapi.KindVolume, id)
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			_, m := r.machine("m")
			_, v := r.volume("v")
			r.t.Fatalf("waited in vain until %s; machine %+v, volume %+v", what, m, v)
		case <-time.After(time.Millisecond):
		}
	}
}

// connected waits for the host to be known.
func (r *rig) connected() {
	r.t.Helper()
	r.until("the node is connected", func() bool {
		_, err := r.hosts.Get(r.ctx, "h")
		return err == nil
	})
}

func theVolume(epoch int64) nodeapi.Volume {
	v := nodeapi.Volume{ID: "v", SizeGB: 1}
	if epoch > 0 {
		v.Export = &nodeapi.Export{Epoch: epoch}
	}
	return v
}

func theMachine() nodeapi.Machine {
	return nodeapi.Machine{
		ID: "m", Name: "web", VCPUs: 1, MemoryMB: 64, Running: true, Root: &nodeapi.Root{Image: "cirros", SizeGB: 1},
		Disks: []nodeapi.Disk{{Volume: "v", Device: "/dev/vdb", Epoch: 1}},
		NICs: []nodeapi.NIC{{Port: "p1", Network: "net", MAC: "fa:16:3e:00:00:01", MTU: 1442,
			Metadata: &nodeapi.Metadata{Port: "md", MAC: "fa:16:3e:00:00:99", CIDRs: []string{"10.0.0.2/24"}}}},
	}
}

func (r *rig) running() bool {
	answered, m := r.machine("m")
	return answered && m.Running && m.Problem == "" && slices.Equal(m.Disks, []string{"v"}) && slices.Equal(m.NICs, []string{"p1"})
}

// off tells whether the machine is as desired, except that its guest ended.
func (r *rig) off() bool {
	answered, m := r.machine("m")
	return answered && !m.Running && m.Problem == ""
}

// empty tells whether nothing is left on the host.
func (r *rig) empty() string {
	r.t.Helper()
	machines, err := r.virt.List(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	ports, err := r.fabric.Plugged(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	volumes, err := r.block.List(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = r.fabric.MAC(r.ctx, "net", "10.0.0.5")
	if len(machines)+len(ports)+len(volumes) > 0 || !strings.Contains(fmt.Sprint(err), "no metadata door") {
		return fmt.Sprintf("machines %v, ports %v, volumes %v, door: %v", machines, ports, volumes, err)
	}
	return ""
}

func (r *rig) gone() bool {
	answered, _ := r.machine("m")
	volumeAnswered, _ := r.volume("v")
	return answered && volumeAnswered
}

func TestLifeOfAMachine(t *testing.T) {
	r := start(t)
	r.run()
	r.connected()
	r.wantMachine(theMachine())
	r.until("the machine waits for its volume", func() bool {
		_, m := r.machine("m")
		return strings.Contains(m.Problem, "waiting for volume v")
	})
	r.wantVolume(theVolume(1))
	r.until("the machine runs", r.running)
	host, err := r.hosts.Get(r.ctx, "h")
	if err != nil || host.Info.VCPUs != 16 || host.Info.VolumesGB != 1000 || len(host.Info.Agents) != 3 {
		t.Errorf("host info is %+v, %v", host.Info, err)
	}
	log, err := r.hosts.Log(r.ctx, "h", "m", 3)
	if err != nil || !strings.Contains(string(log), "login:") {
		t.Errorf("console log is %q, %v", log, err)
	}
	_, err = r.hosts.Log(r.ctx, "h", "other", 3)
	if err != nil && !errs.Is(err, errs.NotFound) {
		t.Errorf("console log of a missing machine: %v", err)
	}
	screen, err := r.hosts.Tunnel(r.ctx, "h", nodeapi.StreamVNC, "m")
	if err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, 12)
	_, err = io.ReadFull(screen, hello)
	if err != nil || string(hello) != "RFB 003.008\n" {
		t.Errorf("the screen says %q, %v", hello, err)
	}
	screen.Close()

	reboot := theMachine()
	reboot.HardReboots = 1
	r.wantMachine(reboot)
	r.until("the reboot is observed", func() bool { _, m := r.machine("m"); return m.HardReboots == 1 })

	// The disk is taken from the guest before its export ends.
	off := reboot
	off.Disks = nil
	r.wantVolume(theVolume(0))
	r.wantMachine(off)
	r.until("the volume is free", func() bool { ok, v := r.volume("v"); return ok && v.Export == nil && v.Problem == "" })
	_, m := r.machine("m")
	if len(m.Disks) > 0 {
		t.Errorf("the volume's export ended while the guest had %v", m.Disks)
	}
	r.forget(nodeapi.KindMachine, "m")
	r.forget(nodeapi.KindVolume, "v")
	r.until("all is gone", r.gone)
	if left := r.empty(); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// The node is stopped before and after each effect, and a new one must bring
// it to the same end.
func TestRestartAtEveryInstant(t *testing.T) {
	for k := 1; ; k++ {
		over := false
		t.Run(fmt.Sprint(k), func(t *testing.T) { over = restartAt(t, k) })
		if over || t.Failed() {
			if k < 18 {
				t.Errorf("only %d instants were tried", k)
			}
			return
		}
	}
}

func restartAt(t *testing.T, k int) (over bool) {
	r := start(t)
	ctx, cancel := context.WithCancel(r.ctx)
	count := 0
	var mu sync.Mutex
	var at string
	r.hook = func(call string) {
		mu.Lock()
		defer mu.Unlock()
		count++
		if count == k {
			at = call
			cancel()
		}
	}
	restart := func() {
		mu.Lock()
		stopped := at
		at = ""
		mu.Unlock()
		if stopped == "" {
			return
		}
		r.end()
		t.Log("stopped at", stopped)
		r.run()
	}
	r.runIn(ctx, cancel)
	r.connected()
	r.wantVolume(theVolume(1))
	r.wantMachine(theMachine())
	r.until("the machine runs", func() bool { restart(); return r.running() })
	r.forget(nodeapi.KindMachine, "m")
	r.forget(nodeapi.KindVolume, "v")
	r.until("all is gone", func() bool { restart(); return r.gone() })
	if left := r.empty(); left != "" {
		t.Errorf("left behind: %s", left)
	}
	mu.Lock()
	defer mu.Unlock()
	return count < k
}

func TestServerAway(t *testing.T) {
	r := start(t)
	r.run()
	r.connected()
	r.wantVolume(theVolume(1))
	r.wantMachine(theMachine())
	r.until("the machine runs", r.running)
	r.end()
	r.away.Store(true)

	// A host that rebooted starts everything again, from its own disk.
	r.boot = "boot-2"
	disks := r.block
	r.newDrivers()
	r.block = disks
	r.run()
	r.until("the machine runs without a server", func() bool { return r.virt.Run("m") == 1 })

	// A guest that shuts itself down stays off, also over a restart of the node.
	err := r.virt.PowerOff("m")
	if err != nil {
		t.Fatal(err)
	}
	r.away.Store(false)
	r.until("the server hears of it", r.off)
	r.end()
	r.run()
	r.until("the node is back", func() bool { _, err := r.hosts.Log(r.ctx, "h", "m", 1); return err == nil })
	if r.virt.Run("m") != 0 {
		t.Errorf("a guest that shut itself down was started again: run %d", r.virt.Run("m"))
	}
	// So does one that shut down while the node was away.
	off := theMachine()
	off.HardReboots++
	r.wantMachine(off)
	r.until("the machine runs again", r.running)
	r.end()
	err = r.virt.PowerOff("m")
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	r.until("the server hears of it", r.off)
	if r.virt.Run("m") != 0 {
		t.Error("a guest that shut itself down while the node was away was started again")
	}
	// A new wish starts it.
	off.HardReboots++
	r.wantMachine(off)
	r.until("the machine runs again", r.running)
}

func TestFailingDrivers(t *testing.T) {
	r := start(t)
	r.run()
	r.connected()
	r.virt.FailAlways(virtsim.OpEnsure, errors.New("no such accelerator"))
	r.wantVolume(theVolume(1))
	r.wantMachine(theMachine())
	r.until("the problem is known", func() bool {
		ok, m := r.machine("m")
		return ok && strings.Contains(m.Problem, "no such accelerator") && !m.Refused
	})
	r.virt.FailAlways(virtsim.OpEnsure, errs.BadRequestf("The image is not bootable."))
	r.until("the refusal is known", func() bool {
		_, m := r.machine("m")
		return m.Problem == "The image is not bootable." && m.Refused
	})
	r.virt.FailAlways(virtsim.OpEnsure, nil)
	r.until("the machine runs", r.running)

	r.net.Fail(func(call, id string) error {
		if call == "Unplug" {
			return errors.New("switch is gone")
		}
		return nil
	})
	r.forget(nodeapi.KindMachine, "m")
	r.forget(nodeapi.KindVolume, "v")
	r.until("the problem is known", func() bool {
		_, m := r.machine("m")
		return strings.Contains(m.Problem, "switch is gone")
	})
	r.net.Fail(nil)
	r.until("all is gone", r.gone)
	if left := r.empty(); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// A machine that is no longer wanted is not waited for.
func TestRemovalInterrupts(t *testing.T) {
	r := start(t)
	now := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	slow, err := virtsim.New(virtsim.Options{Latency: time.Hour, Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	r.virt = slow
	calls := make(chan string, 100)
	r.hook = func(call string) { calls <- call }
	wait := func(want string) {
		t.Helper()
		for {
			select {
			case call := <-calls:
				if call == want {
					return
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("waited in vain for %s", want)
			}
		}
	}
	r.run()
	r.connected()
	machine := theMachine()
	machine.Disks = nil
	r.wantMachine(machine)
	wait("ensure machine")
	r.forget(nodeapi.KindMachine, "m")
	wait("remove machine") // although no time has passed
	r.until("the machine is gone", func() bool { now.Advance(time.Hour); return r.gone() })
}

func TestStrangers(t *testing.T) {
	r := start(t)
	r.away.Store(true)
	for _, id := range []string{"m", "stranger"} {
		err := r.virt.Ensure(r.ctx, virt.Machine{ID: id, Running: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.fabric.Plug(r.ctx, fabric.Plug{Port: "strange", Network: "net"})
	if err != nil {
		t.Fatal(err)
	}
	err = r.block.Ensure(r.ctx, blockdev.Volume{ID: "strange", SizeGB: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.block.Export(r.ctx, blockdev.Export{Volume: "strange", Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	r.until("the node dials", func() bool { return true })
	list, err := r.virt.List(r.ctx)
	if err != nil || len(list) != 2 {
		t.Errorf("without a server the machines became %v, %v", list, err)
	}
	r.end()

	// The server knows m and nothing else.
	r.away.Store(false)
	r.write(func(tx *db.Tx) error {
		_, err := tx.Exec(r.ctx, "INSERT INTO hosts (name, id, seen_at, created_at) VALUES ('h', 'x', 0, 0)")
		return err
	})
	machine := theMachine()
	machine.Disks = nil
	r.wantMachine(machine)
	r.run()
	r.until("strangers are gone", func() bool {
		list, err := r.virt.List(r.ctx)
		ports, err2 := r.fabric.Plugged(r.ctx)
		volumes, err3 := r.block.List(r.ctx)
		return errors.Join(err, err2, err3) == nil && len(list) == 1 && list[0].ID == "m" &&
			slices.Equal(ports, []string{"p1"}) && len(volumes) == 1 && !volumes[0].Exported
	})

	// A volume that the server has lost keeps its bytes.
	r.wantVolume(theVolume(1))
	r.until("the volume is exported", func() bool { _, v := r.volume("v"); return v.Export != nil })
	r.end()
	r.write(func(tx *db.Tx) error { _, err := tx.Exec(r.ctx, "DELETE FROM documents"); return err })
	r.run()
	r.until("the host is quiet", func() bool {
		list, err := r.virt.List(r.ctx)
		volumes, err2 := r.block.List(r.ctx)
		return errors.Join(err, err2) == nil && len(list) == 0 &&
			len(volumes) == 2 && !volumes[0].Exported && !volumes[1].Exported
	})
}

func TestLostVolumeIsNotReplaced(t *testing.T) {
	r := start(t)
	r.run()
	r.connected()
	r.wantVolume(theVolume(0))
	r.until("the volume is there", func() bool { ok, v := r.volume("v"); return ok && v.Present })
	r.end()
	err := r.block.Remove(r.ctx, "v")
	if err != nil {
		t.Fatal(err)
	}
	r.boot = "boot-2"
	r.run()
	r.until("the loss is known", func() bool {
		_, v := r.volume("v")
		return strings.Contains(v.Problem, "gone") && v.Refused
	})
	r.forget(nodeapi.KindVolume, "v")
	r.until("the document is gone", r.gone)
}

func TestMetadata(t *testing.T) {
	r := start(t)
	asked := make(chan nodeapi.MetadataQuery, 10)
	r.hosts.OnQuery(nodeapi.QueryMetadata, func(_ context.Context, host string, payload json.RawMessage) (any, error) {
		var q nodeapi.MetadataQuery
		err := json.Unmarshal(payload, &q)
		asked <- q
		if q.Path == "/missing" {
			return nil, errs.NotFoundf("Nothing here.")
		}
		return nodeapi.MetadataReply{Status: 200, Header: map[string]string{"Content-Type": "text/x"}, Body: []byte("hi " + host)}, err
	})
	r.run()
	r.connected()
	machine := theMachine()
	machine.Disks = nil
	r.wantMachine(machine)
	r.until("the machine runs", func() bool { ok, m := r.machine("m"); return ok && m.Running })
	get := func(ip, path string, header http.Header, body string) (*http.Response, string) {
		t.Helper()
		conn, err := r.fabric.Dial(r.ctx, "net", ip)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		request, err := http.NewRequest("POST", "http://169.254.169.254"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		go request.Write(conn)
		response, err := http.ReadResponse(bufio.NewReader(conn), request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(text)
	}
	lies := http.Header{"X-Forwarded-For": {"10.0.0.9"}, "X-Instance-Id": {"other"}}
	response, text := get("10.0.0.5", "/openstack/a%2Fb?x=1", lies, "secret")
	if response.StatusCode != 200 || text != "hi h" || response.Header.Get("Content-Type") != "text/x" {
		t.Errorf("the guest got %d %q", response.StatusCode, text)
	}
	q := <-asked
	want := nodeapi.MetadataQuery{Network: "net", IP: "10.0.0.5", MAC: "fa:16:3e:00:00:01",
		Method: "POST", Path: "/openstack/a%2Fb?x=1", Body: []byte("secret")}
	if fmt.Sprint(q) != fmt.Sprint(want) {
		t.Errorf("the server was asked %+v, want %+v", q, want)
	}
	for name, c := range map[string]struct {
		ip, path, body string
		status         int
	}{
		"missing":  {"10.0.0.5", "/missing", "", 404},
		"spoofed":  {"10.0.0.77", "/", "", 503},
		"too much": {"10.0.0.5", "/", strings.Repeat("x", 70<<10), 413},
	} {
		response, _ := get(c.ip, c.path, nil, c.body)
		if response.StatusCode != c.status {
			t.Errorf("%s: the guest got %d, want %d", name, response.StatusCode, c.status)
		}
	}
}
