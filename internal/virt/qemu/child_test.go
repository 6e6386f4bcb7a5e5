package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/virt"
)

func itoa(n int) string { return strconv.Itoa(n) }

// job is what a child process shall do with a driver of its own.
type job struct {
	Options Options
	Image   string
	Machine virt.Machine
}

// runChild is another process that owns the driver: it starts and stops the
// machine until somebody kills it.
func runChild(file string) {
	data, err := os.ReadFile(file)
	var j job
	if err == nil {
		err = json.Unmarshal(data, &j)
	}
	var h *Host
	if err == nil {
		j.Options.Images = oneImage{j.Image}
		h, err = New(j.Options)
	}
	for err == nil {
		err = h.Ensure(context.Background(), j.Machine)
		fmt.Println("ensured", j.Machine.Running)
		j.Machine.Running = !j.Machine.Running
		if err == nil && j.Machine.HardReboots == 0 {
			select {} // one start was asked for
		}
	}
	fmt.Println("child:", err)
	os.Exit(1)
}

// startChild runs a driver in a process of its own. The function it returns
// waits for the child's next line.
func (l *lab) startChild(t *testing.T, m virt.Machine) (*exec.Cmd, func() string) {
	t.Helper()
	o := l.options()
	o.Images = nil
	o.StopTimeout = time.Millisecond
	data, err := json.Marshal(job{Options: o, Image: l.image, Machine: m})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(l.dir, "job.json")
	err = os.WriteFile(file, data, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childMark+"="+file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	return cmd, func() string {
		if !lines.Scan() {
			return ""
		}
		return lines.Text()
	}
}

// TestAdoption: a guest survives the violent death of the process that has
// started it, and the next one has it under control.
func TestAdoption(t *testing.T) {
	l := newLab(t)
	nic := l.nic(t, clock.UUID())
	m := virt.Machine{
		ID: clock.UUID(), VCPUs: 1, MemoryMB: 128, Running: true, Root: &virt.Root{Image: "guest"},
		NICs: []virt.NIC{nic}, Disks: []virt.Disk{l.disk(t, clock.UUID())},
	}
	child, line := l.startChild(t, m)
	said := line()
	if said != "ensured true" {
		t.Fatalf("child says %q", said)
	}
	pid := l.pid(t, m.ID)
	child.Process.Kill()
	child.Wait()

	h := l.open()
	all, err := h.List(t.Context())
	if err != nil || len(all) != 1 || !all[0].Running || len(all[0].NICs) != 1 || len(all[0].Disks) != 1 {
		t.Fatalf("list gives %+v, %v, want the running machine with its card and volume", all, err)
	}
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.pid(t, m.ID); got != pid || pid == 0 {
		t.Errorf("process is %d, want still %d", got, pid)
	}
	eventually(t, 30*time.Second, "boot loader in the console log", func() bool {
		log, err := h.Log(t.Context(), m.ID, -1)
		return err == nil && strings.Contains(string(log), "SYSLINUX")
	})
	err = h.Remove(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if n := processes(t, m.ID); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// TestKilledAnywhere kills a process that starts and stops a machine, at random
// moments. Whatever it was at, the next driver brings the machine up with
// exactly one process.
func TestKilledAnywhere(t *testing.T) {
	l := newLab(t)
	m := virt.Machine{
		ID: clock.UUID(), VCPUs: 1, MemoryMB: 64, Running: true, Root: &virt.Root{Image: "guest"},
		HardReboots: 1, // tells the child to go on and on
	}
	const kills = 9
	for i := range kills {
		child, line := l.startChild(t, m)
		if i%3 == 0 {
			line() // from the second turn on
		}
		wait := time.NewTimer(time.Duration(rand.IntN(700)) * time.Millisecond)
		<-wait.C
		child.Process.Kill()
		child.Wait()

		h, err := New(l.options())
		if err != nil {
			t.Fatal(err)
		}
		running := i%2 == 0
		want := m
		want.Running = running
		h.options.StopTimeout = time.Millisecond
		err = h.Ensure(t.Context(), want)
		if err != nil {
			t.Fatalf("ensure after kill %d: %v", i, err)
		}
		all, err := h.List(t.Context())
		if err != nil || len(all) != 1 || all[0].Running != running || all[0].Crashed {
			t.Fatalf("after kill %d list gives %+v, %v, want one machine with running %v", i, all, err, running)
		}
		if n := processes(t, m.ID); (n == 1) != running || n > 1 {
			t.Fatalf("after kill %d there are %d processes, want running %v", i, n, running)
		}
		h.Close()
	}
	h := l.open()
	err := h.Remove(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if n := processes(t, m.ID); n != 0 {
		t.Errorf("%d processes are left", n)
	}
	left, err := os.ReadDir(l.options().Dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// processes counts the QEMU processes of a machine, the dead ones apart.
func processes(t *testing.T, id string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && strings.HasPrefix(string(line), emulator) && strings.Contains(string(line), id) {
			n++
		}
	}
	return n
}
