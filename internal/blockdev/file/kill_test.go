package file

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nacre/internal/blockdev"
)

// task is what a child process does until it is killed.
type task struct {
	Dir, Image string
	Call       string // Ensure, Export, Unexport, Remove
	Point      string // where it stops
}

const taskVariable = "NACRE_TEST_TASK"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	text := os.Getenv(taskVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	err := act(text)
	fmt.Fprintln(os.Stderr, "the point was not reached:", err)
	os.Exit(1)
}

func act(text string) error {
	var do task
	err := json.Unmarshal([]byte(text), &do)
	if err != nil {
		return err
	}
	host, err := New(Options{Dir: do.Dir, Images: images{do.Image, "qcow2"}})
	if err != nil {
		return err
	}
	host.at = func(point string) {
		if point == do.Point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	ctx := context.Background()
	switch do.Call {
	case "Ensure":
		return host.Ensure(ctx, fromImage)
	case "Export":
		_, err = host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{{Epoch: 2}}})
	case "Unexport":
		err = host.Unexport(ctx, "a")
	case "Remove":
		err = host.Remove(ctx, "a")
	case "Serve": // and tell that it is done
		_, err = host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{{Epoch: 2}}})
		if err != nil {
			return err
		}
		fmt.Println("serving")
		select {}
	}
	return err
}

var fromImage = blockdev.Volume{ID: "a", SizeGB: 1, Source: blockdev.Source{Image: "image"}}

func child(t *testing.T, do task) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(do)
	must(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	return cmd
}

// killAt runs a call in a process that dies at the point.
func killAt(t *testing.T, do task) {
	t.Helper()
	out, err := child(t, do).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%s at %q: got %v, want it killed\n%s", do.Call, do.Point, err, out)
	}
}

// strays counts the processes that belong to a store.
func strays(t *testing.T, host *Host) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	must(t, err)
	count := 0
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), marker+host.volumes) {
			count++
		}
	}
	return count
}

func TestKilledCreationStartsAgain(t *testing.T) {
	image := testImage(t)
	for _, point := range []string{"named", "filled", "resized", "flushed", "renamed"} {
		dir := tempDir(t)
		killAt(t, task{Dir: dir, Image: image.path, Call: "Ensure", Point: point})
		host := open(t, dir, Options{Images: image})
		if point == "renamed" {
			wantFiles(t, host, "a.qcow2")
		} else {
			wantFiles(t, host)
		}
		must(t, host.Ensure(ctx, fromImage))
		wantFiles(t, host, "a.qcow2")
		wantWhole(t, host)
	}
}

// wantWhole checks that the volume has the image's bytes and its size.
func wantWhole(t *testing.T, host *Host) {
	t.Helper()
	mustRun(t, "qemu-img", "check", "-q", "-f", "qcow2", host.disk("a"))
	mustRun(t, "qemu-io", "-f", "qcow2", "-c", "read -P 0x11 0 1M", "-c", "read -P 0 1M 63M", host.disk("a"))
}

// TestKilledConversion kills the process while qemu-img writes.
func TestKilledConversion(t *testing.T) {
	image := testImage(t)
	mustRun(t, "qemu-io", "-f", "qcow2", "-c", "write -P 0x77 1M 7M", image.path)
	dir := tempDir(t)
	host := open(t, dir, Options{Images: image})
	cmd := child(t, task{Dir: dir, Image: image.path, Call: "Ensure"})
	must(t, cmd.Start())
	deadline := time.Now().Add(20 * time.Second)
	for {
		found, err := filepath.Glob(filepath.Join(host.volumes, unfinished+"*"))
		must(t, err)
		if len(found) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the conversion did not begin")
		}
		<-time.After(time.Millisecond)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()

	host = open(t, dir, Options{Images: image})
	must(t, host.Ensure(ctx, fromImage))
	wantFiles(t, host, "a.qcow2")
	mustRun(t, "qemu-img", "check", "-q", "-f", "qcow2", host.disk("a"))
	mustRun(t, "qemu-io", "-f", "qcow2", "-c", "read -P 0x11 0 1M", "-c", "read -P 0x77 1M 7M", host.disk("a"))
}

func TestKilledExportGoesOn(t *testing.T) {
	image := testImage(t)
	for _, point := range []string{"recorded", "former stopped", "listening", "started", "noted"} {
		dir := tempDir(t)
		first := open(t, dir, Options{Images: image})
		must(t, first.Ensure(ctx, fromImage))
		export(t, first, "a", 1)
		killAt(t, task{Dir: dir, Image: image.path, Call: "Export", Point: point})

		host := open(t, dir, Options{Images: image})
		_, err := host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{{Epoch: 1}}})
		if err == nil {
			t.Errorf("%s: the former epoch was served again", point)
		}
		disk := export(t, host, "a", 2)
		mustRun(t, "qemu-io", "-f", "raw", "-c", "read -P 0x11 0 1M", disk)
		if got := strays(t, host); got != 1 {
			t.Errorf("%s: got %d daemons, want 1", point, got)
		}
		must(t, host.Unexport(ctx, "a"))
		if got := strays(t, host); got != 0 {
			t.Errorf("%s: got %d daemons after the end, want none", point, got)
		}
	}
}

func TestKilledUnexportAndRemove(t *testing.T) {
	image := testImage(t)
	for _, do := range []task{
		{Call: "Unexport", Point: "recorded"},
		{Call: "Remove", Point: "stopped"},
		{Call: "Remove", Point: "removed qcow2"},
		{Call: "Remove", Point: "removed json"},
	} {
		dir := tempDir(t)
		do.Dir, do.Image = dir, image.path
		first := open(t, dir, Options{Images: image})
		must(t, first.Ensure(ctx, fromImage))
		export(t, first, "a", 1)
		killAt(t, do)

		host := open(t, dir, Options{Images: image})
		if do.Call == "Unexport" {
			must(t, host.Unexport(ctx, "a"))
			wantFiles(t, host, "a.json", "a.qcow2")
		} else {
			must(t, host.Remove(ctx, "a"))
			wantFiles(t, host)
		}
		if got := strays(t, host); got != 0 {
			t.Errorf("%s at %s: got %d daemons, want none", do.Call, do.Point, got)
		}
	}
}

// TestServedWhileWeAreDead kills the process that exports and goes on with the
// disk, as a guest does.
func TestServedWhileWeAreDead(t *testing.T) {
	image, dir := testImage(t), tempDir(t)
	host := open(t, dir, Options{Images: image})
	must(t, host.Ensure(ctx, fromImage))
	cmd := child(t, task{Dir: dir, Image: image.path, Call: "Serve"})
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "serving\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()

	disk := uri(blockdev.Address{Socket: host.socket("a"), Name: exportName("a", 2)})
	mustRun(t, "qemu-io", "-f", "raw", "-c", "read -P 0x11 0 1M", "-c", "write -P 0x12 0 1M", "-c", "flush", disk)
	before, alive := host.daemon("a")
	if !alive {
		t.Error("got no daemon, want the one of the killed process")
	}
	host = open(t, dir, Options{Images: image})
	export(t, host, "a", 2)
	after, alive := host.daemon("a")
	if !alive || after.PID != before.PID || after.Start != before.Start {
		t.Errorf("got daemon %+v, want %+v adopted", after, before)
	}
	mustRun(t, "qemu-io", "-f", "raw", "-c", "read -P 0x12 0 1M", disk)
}
