package file

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nacre/internal/blockdev"
	"nacre/internal/blockdev/blockdevtest"
	"nacre/internal/errs"
)

var ctx = context.Background()

// images is a cache of one image, made with a pattern in its first MiB.
type images struct{ path, format string }

func (i images) Path(_ context.Context, id string) (string, string, error) {
	if id != "image" {
		return "", "", errs.NotFoundf("Image %s could not be found.", id)
	}
	return i.path, i.format, nil
}

// run runs one of QEMU's programs.
func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("this test needs %s (Debian packages qemu-utils and qemu-system-common): %v", program, err)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

func mustRun(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := run(t, program, args...)
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tempDir is a folder with a name short enough for sockets, which other users may
// pass through.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "volumes")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o711))
	return dir
}

// testImage makes an image of 1 MiB of 0x11, in a disk of 8 MiB.
func testImage(t *testing.T) images {
	t.Helper()
	path := filepath.Join(tempDir(t), "image.qcow2")
	mustRun(t, "qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
	mustRun(t, "qemu-io", "-f", "qcow2", "-c", "write -P 0x11 0 1M", path)
	return images{path, "qcow2"}
}

func open(t *testing.T, dir string, options Options) *Host {
	t.Helper()
	options.Dir = dir
	options.Log = slog.New(slog.DiscardHandler)
	host, err := New(options)
	must(t, err)
	t.Cleanup(func() { // end the daemons, which would outlive the test
		all, err := host.all()
		must(t, err)
		for _, id := range all {
			must(t, host.Remove(context.Background(), id))
		}
	})
	return host
}

func export(t *testing.T, host *Host, volume string, epoch int64) string {
	t.Helper()
	list, err := host.Export(ctx, blockdev.Export{Volume: volume, Shares: []blockdev.Share{{Epoch: epoch}}})
	must(t, err)
	return uri(list[0])
}

func uri(a blockdev.Address) string { return "nbd+unix:///" + a.Name + "?socket=" + a.Socket }

func TestSuite(t *testing.T) {
	blockdevtest.Run(t, func(t *testing.T) blockdevtest.Fixture {
		dir, options := tempDir(t), Options{Images: testImage(t)}
		return blockdevtest.Fixture{
			Host:    open(t, dir, options),
			Restart: func(t *testing.T) blockdev.Host { return open(t, dir, options) },
			Image:   "image",
		}
	})
}

func TestBytes(t *testing.T) {
	host := open(t, tempDir(t), Options{Images: testImage(t)})
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1, Source: blockdev.Source{Image: "image"}}))

	disk := export(t, host, "a", 1)
	mustRun(t, "qemu-io", "-f", "raw", "-c", "read -P 0x11 0 1M", "-c", "read -P 0 1M 7M", "-c", "write -P 0x22 512M 1M", "-c", "flush", disk)
	must(t, host.Unexport(ctx, "a"))
	out, err := run(t, "qemu-io", "-f", "raw", "-c", "read 0 1M", disk)
	if err == nil {
		t.Errorf("got %q from an export that ended", out)
	}

	// It keeps its bytes when it grows, and so does a copy of it.
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 2}))
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "b", SizeGB: 3, Source: blockdev.Source{Volume: "a"}}))
	for id, size := range map[string]int64{"a": 2, "b": 3} {
		disk = export(t, host, id, 2)
		mustRun(t, "qemu-io", "-f", "raw", "-c", "read -P 0x11 0 1M", "-c", "read -P 0x22 512M 1M", "-c", "read -P 0 513M 8M",
			"-c", fmt.Sprintf("write -P 0x33 %d 4k", size*gib-4096), disk)
		info := mustRun(t, "qemu-img", "info", "-f", "raw", disk)
		if !strings.Contains(info, fmt.Sprintf("(%d bytes)", size*gib)) {
			t.Errorf("got %s, want %d GiB", info, size)
		}
	}
}

// TestFormerUserIsCutOff keeps a client of the former epoch connected.
func TestFormerUserIsCutOff(t *testing.T) {
	host := open(t, tempDir(t), Options{})
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	old := export(t, host, "a", 1)
	client := exec.Command("qemu-io", "-f", "raw", old)
	in, err := client.StdinPipe()
	must(t, err)
	out, err := client.StdoutPipe()
	must(t, err)
	client.Stderr = client.Stdout
	must(t, client.Start())
	defer client.Wait()
	defer in.Close()
	said := bufio.NewReader(out)
	say := func(line, want string) {
		t.Helper()
		_, err := io.WriteString(in, line+"\n")
		must(t, err)
		for {
			text, err := said.ReadString('\n')
			if strings.Contains(text, want) {
				return
			}
			if err != nil {
				t.Fatalf("%s: got the end, want %q", line, want)
			}
		}
	}
	say("write -P 0x44 0 4k", "wrote 4096/4096")

	now := export(t, host, "a", 2)
	say("write -P 0x55 0 4k", "write failed")
	outcome, err := run(t, "qemu-io", "-f", "raw", "-c", "write 0 4k", old)
	if err == nil {
		t.Errorf("a client of the former epoch came in again: %s", outcome)
	}
	mustRun(t, "qemu-io", "-f", "raw", "-c", "read -P 0x44 0 4k", now)
}

// TestDaemonThatDiedIsReplaced kills a daemon behind the store's back.
func TestDaemonThatDiedIsReplaced(t *testing.T) {
	host := open(t, tempDir(t), Options{})
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	disk := export(t, host, "a", 1)
	mustRun(t, "qemu-io", "-f", "raw", "-c", "write -P 0x66 0 4k", "-c", "flush", disk)
	d, alive := host.daemon("a")
	if !alive {
		t.Fatal("got no daemon")
	}
	must(t, syscall.Kill(d.PID, syscall.SIGKILL))
	_, err := syscall.Wait4(d.PID, nil, 0, nil) // it is this process's child
	must(t, err)
	states, err := host.List(ctx)
	must(t, err)
	if len(states) != 1 || states[0].Exported {
		t.Errorf("got %+v, want the volume not exported", states)
	}
	again := export(t, host, "a", 1)
	if again != disk {
		t.Errorf("got %s, want %s again", again, disk)
	}
	mustRun(t, "qemu-io", "-f", "raw", "-c", "read -P 0x66 0 4k", again)
}

// TestUsers serves as one unprivileged user to another one.
func TestUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs to run as root, to be two other users")
	}
	guest, server, stranger := User{64001, 64001}, User{64002, 64002}, User{64003, 64003}
	host := open(t, tempDir(t), Options{User: &guest, Server: &server})
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	disk := export(t, host, "a", 1)
	d, _ := host.daemon("a")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID))
	must(t, err)
	if !bytes.Contains(status, []byte("Uid:\t64002\t64002\t64002\t64002")) || !bytes.Contains(status, []byte("Groups:\t \n")) {
		t.Errorf("got a daemon with other rights:\n%s", status)
	}
	for _, c := range []struct {
		user User
		ok   bool
	}{{guest, true}, {stranger, false}} {
		cmd := exec.Command("qemu-io", "-f", "raw", "-c", "write 0 4k", disk)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(c.user.UID), Gid: uint32(c.user.GID)}}
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.ok {
			t.Errorf("user %d: got %v %s, want ok %t", c.user.UID, err, out, c.ok)
		}
		_, err = os.Stat(host.disk("a"))
		must(t, err)
	}
}

func TestHostileImagesAreRefused(t *testing.T) {
	dir := tempDir(t)
	secret := filepath.Join(dir, "secret")
	must(t, os.WriteFile(secret, bytes.Repeat([]byte("secret"), 1<<18), 0o600))
	backed, data := filepath.Join(dir, "backed.qcow2"), filepath.Join(dir, "data.qcow2")
	mustRun(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", backed)
	mustRun(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(dir, "data.raw"), data, "8M")
	large := filepath.Join(dir, "large.qcow2")
	mustRun(t, "qemu-img", "create", "-q", "-f", "qcow2", large, "2G")
	for _, c := range []struct {
		image images
		want  string
	}{
		{images{backed, "qcow2"}, "backing file"},
		{images{backed, "raw"}, "backing file"},
		{images{data, "qcow2"}, "data file"},
		{images{secret, "qcow2"}, "its content is raw"},
		{images{large, "raw"}, "its content is qcow2"},
		{images{large, "qcow2"}, "larger than volume size"},
	} {
		host := open(t, tempDir(t), Options{Images: c.image})
		err := host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1, Source: blockdev.Source{Image: "image"}})
		if !errs.Is(err, errs.BadRequest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %s: got %v, want it refused with %q", filepath.Base(c.image.path), c.image.format, err, c.want)
		}
		wantFiles(t, host)
	}
}

// A CD's image has the bytes of the disk, whatever else can be read into them.
func TestVolumeOfCD(t *testing.T) {
	path := filepath.Join(tempDir(t), "cd.iso")
	content := bytes.Repeat([]byte{0x11}, 1<<20)
	copy(content[16*2048:], "\x01CD001")
	must(t, os.WriteFile(path, content, 0o600))
	host := open(t, tempDir(t), Options{Images: images{path, "iso"}})
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1, Source: blockdev.Source{Image: "image"}}))
	mustRun(t, "qemu-io", "-f", "raw", "-c", "read -P 0x11 0 32k", "-c", "read -P 0x11 64k 960k", "-c", "read -P 0 1M 1M", export(t, host, "a", 1))
}

func TestBrokenFileHidesNoOther(t *testing.T) {
	host := open(t, tempDir(t), Options{})
	must(t, host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1}))
	must(t, os.WriteFile(host.disk("broken"), []byte("cut"), 0o600))
	states, err := host.List(ctx)
	must(t, err)
	if len(states) != 2 || states[0].SizeGB != 1 || states[1].SizeGB != 0 {
		t.Errorf("got %+v, want both", states)
	}
	if host.Ensure(ctx, blockdev.Volume{ID: "broken", SizeGB: 1}) == nil {
		t.Error("a broken volume was taken for a good one")
	}
}

func TestStrangeIds(t *testing.T) {
	host := open(t, tempDir(t), Options{})
	for _, id := range []string{"", "../x", "a/b", ".new-a", "A", strings.Repeat("a", 37)} {
		err := host.Ensure(ctx, blockdev.Volume{ID: id, SizeGB: 1})
		if !errs.Is(err, errs.BadRequest) {
			t.Errorf("id %q: got %v, want it refused", id, err)
		}
		must(t, host.Remove(ctx, id))
		must(t, host.Unexport(ctx, id))
		_, err = host.Export(ctx, blockdev.Export{Volume: id, Shares: []blockdev.Share{{Epoch: 1}}})
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("id %q: got %v, want no export", id, err)
		}
	}
	wantFiles(t, host)
}

// wantFiles checks what lies in the store's folder.
func wantFiles(t *testing.T, host *Host, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(host.volumes)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got files %v, want %v", got, want)
	}
}

// BenchmarkAttach is what storage adds to an attachment and takes at its end.
func BenchmarkAttach(b *testing.B) {
	host, err := New(Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	err = host.Ensure(ctx, blockdev.Volume{ID: "a", SizeGB: 1})
	if err != nil {
		b.Fatal(err)
	}
	for n := range b.N {
		_, err = host.Export(ctx, blockdev.Export{Volume: "a", Shares: []blockdev.Share{{Epoch: int64(n)}}})
		if err == nil {
			err = host.Unexport(ctx, "a")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
