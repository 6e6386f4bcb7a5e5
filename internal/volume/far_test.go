package volume_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"nacre/internal/blockdev"
	"nacre/internal/blockdev/file"
	blocksim "nacre/internal/blockdev/simulated"
	"nacre/internal/db"
	fabricsim "nacre/internal/fabric/simulated"
	"nacre/internal/nbd"
	"nacre/internal/node"
	"nacre/internal/nodeapi"
	virtsim "nacre/internal/virt/simulated"
)

// A machine of one host has a volume that lies on another one: its bytes go over
// the servers, and no longer once the volume is detached.
func TestVolumeOfAnotherHost(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("qemu-storage-daemon")
	if err != nil {
		t.Skip("qemu-storage-daemon is not installed")
	}
	r := startRig(t)
	dir, err := os.MkdirTemp("", "far") // short enough for sockets
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	disks, err := file.New(file.Options{Dir: filepath.Join(dir, "a")})
	must(t, err)
	t.Cleanup(func() { _ = disks.Remove(context.Background(), "v") })
	none, err := blocksim.New(blocksim.Options{})
	must(t, err)
	sockets := filepath.Join(dir, "b")
	r.join(t, "a", disks, "")
	r.join(t, "b", none, sockets)
	r.until(t, "the hosts are up", func() bool {
		list, err := r.service.Backends(r.ctx)
		return err == nil && len(list) == 3
	})
	must(t, r.db.Write(r.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(r.ctx, `INSERT INTO volumes (id, project, user_id, size, status, type, zone, host, epoch, created_at)
			VALUES ('v', 'p', 'u', 1, 'in-use', ?, 'nova', 'a', 1, 1)`, kind)
		if err == nil {
			_, err = tx.Exec(r.ctx, `INSERT INTO volume_attachments (id, volume, project, server, status, compute, mode, host, epoch, created_at)
				VALUES ('at', 'v', 'p', 'm', 'attached', 1, 'rw', 'b', 1, 1)`)
		}
		if err == nil {
			_, err = r.hosts.Want(r.ctx, tx, "a", nodeapi.KindVolume, "v", nodeapi.Volume{ID: "v", SizeGB: 1, Export: &nodeapi.Export{Epoch: 1}})
		}
		if err == nil {
			_, err = r.hosts.Want(r.ctx, tx, "b", nodeapi.KindMachine, "m", nodeapi.Machine{
				ID: "m", VCPUs: 1, MemoryMB: 64, Running: true, Root: &nodeapi.Root{SizeGB: 1}, Disks: []nodeapi.Disk{{Volume: "v", Device: "/dev/vdb", Epoch: 1}},
			})
		}
		return err
	}))
	r.until(t, "the machine has the volume", func() bool {
		var seen nodeapi.MachineObserved
		err := r.db.Read(r.ctx, func(tx *db.Tx) error {
			_, err := r.hosts.Observed(r.ctx, tx, "b", nodeapi.KindMachine, "m", &seen)
			return err
		})
		return err == nil && slices.Contains(seen.Disks, "v")
	})
	dial := func() (*nbd.Client, error) {
		conn, err := net.Dial("unix", filepath.Join(sockets, "v.far"))
		must(t, err)
		return nbd.Connect(conn, "v.1")
	}
	c, err := dial()
	must(t, err)
	_, err = c.WriteAt([]byte("from afar"), 1<<20)
	must(t, err)
	must(t, c.Flush())
	c.Close()
	must(t, disks.Unexport(r.ctx, "v"))
	conn, err := disks.Open(r.ctx, "v", false)
	must(t, err)
	there, err := nbd.Connect(conn, blockdev.Opened)
	must(t, err)
	got := make([]byte, 9)
	_, err = there.ReadAt(got, 1<<20)
	must(t, err)
	there.Close()
	if string(got) != "from afar" {
		t.Errorf("the volume has %q, want what was written from the other host", got)
	}
	must(t, r.db.Write(r.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(r.ctx, "DELETE FROM volume_attachments WHERE id = 'at'")
		return err
	}))
	c, err = dial()
	if err == nil {
		c.Close()
		t.Error("a host reached a volume that it no longer has")
	}
}

// join makes another host of the rig.
func (r *rig) join(t *testing.T, name string, disks blockdev.Host, sockets string) {
	t.Helper()
	machines, err := virtsim.New(virtsim.Options{})
	must(t, err)
	ctx, cancel := context.WithCancel(r.ctx)
	var running sync.WaitGroup
	agent, err := node.New(node.Options{
		Name: name, BootID: "boot", Virt: machines, Block: disks, Fabric: fabricsim.New().Host(name), Sockets: sockets,
		Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
			ours, theirs := net.Pipe()
			running.Go(func() { r.hosts.Serve(ctx, name, theirs) })
			return ours, nil
		},
	})
	must(t, err)
	running.Go(func() { agent.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}
