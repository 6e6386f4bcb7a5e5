package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
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
	dials  atomic.Int64
	hook   func(call string)
	serves sync.WaitGroup
	end    func() // ends the running node
}

func start(t *testing.T) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	r := &rig{t: t, ctx: ctx, dir: t.TempDir(), boot: "boot-1", end: func() {}, hook: func(string) {}}
	var err error
	r.db, err = db.Open(ctx, dbtest.SourceIn(t, r.dir))
	if err != nil {
		t.Fatal(err)
	}
	r.hosts, err = hosts.New(ctx, hosts.Options{DB: r.db})
	if err != nil {
		t.Fatal(err)
	}
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
	r.dials.Add(1)
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

func (h *hookedBlock) Export(ctx context.Context, e blockdev.Export) ([]blockdev.Address, error) {
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
