package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nacre/internal/blockdev"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
	virtsim "nacre/internal/virt/simulated"
)

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

	// A host that rebooted starts everything again, from its own disk, once a server
	// says that it still should: the guest may run on another host by now.
	r.boot = "boot-2"
	disks := r.block
	r.newDrivers()
	r.block = disks
	for range 2 {
		asked := r.dials.Load()
		r.run()
		r.until("the node looks for a server", func() bool { return r.dials.Load() > asked+2 })
		if r.virt.Run("m") != 0 {
			t.Error("the machine was started without a server's word")
		}
		r.end()
	}
	r.run()
	r.away.Store(false)
	r.until("the machine runs again", func() bool { return r.virt.Run("m") == 1 })
	r.end()
	r.away.Store(true)
	r.run()

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

// A guest may let a device go long after it was asked, when it is to have it again: it
// gets it back.
func TestDeviceThatGoesLate(t *testing.T) {
	r := start(t)
	r.run()
	r.connected()
	r.wantVolume(theVolume(1))
	r.wantMachine(theMachine())
	r.until("the machine runs", r.running)
	has, _ := r.virt.Machine("m")
	run := r.virt.Run("m")
	err := r.virt.LetGo("m")
	if err != nil {
		t.Fatal(err)
	}
	r.until("the guest has them again", func() bool {
		now, _ := r.virt.Machine("m")
		return len(now.Disks) == len(has.Disks) && len(now.NICs) == len(has.NICs)
	})
	if r.virt.Run("m") != run {
		t.Error("the guest was started again")
	}
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

// A node that cannot write down what it is told works on, and writes it down as
// soon as it can: it may be restarted while no server is there.
func TestDocumentsAreKeptAtLast(t *testing.T) {
	r := start(t)
	r.run()
	r.connected()
	folder := filepath.Join(r.dir, "node", "documents")
	err := os.Rename(folder, folder+".away")
	if err != nil {
		t.Fatal(err)
	}
	r.wantMachine(theMachine())
	r.wantVolume(theVolume(1))
	r.until("the machine runs", r.running)
	err = os.Rename(folder+".away", folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"machine-m.json", "volume-v.json"} {
		r.until(name+" to be there", func() bool {
			_, err := os.Stat(filepath.Join(folder, name))
			return err == nil
		})
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
	_, err = r.block.Export(r.ctx, blockdev.Export{Volume: "strange", Shares: []blockdev.Share{{Epoch: 1}}})
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

// A volume that is wanted again while it is removed is made anew: it was not lost.
func TestVolumeWantedAgainWhileItGoes(t *testing.T) {
	r := start(t)
	going, heard := make(chan bool), make(chan bool)
	r.hook = func(call string) {
		if call == "removed volume" {
			going <- true
			<-heard
		}
	}
	r.run()
	r.connected()
	there := func(id string) func() bool {
		return func() bool { ok, v := r.volume(id); return ok && v.Present && v.Problem == "" }
	}
	r.wantVolume(theVolume(0))
	r.until("the volume is there", there("v"))
	r.forget(nodeapi.KindVolume, "v")
	<-going
	r.wantVolume(theVolume(1))
	r.wantVolume(nodeapi.Volume{ID: "next", SizeGB: 1}) // the node hears of one after the other
	r.until("the node has heard", there("next"))
	close(heard)
	r.until("the volume is there again", there("v"))
}
