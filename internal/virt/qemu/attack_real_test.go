package qemu

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// disguise is the beginning of a qcow2 disk of a GiB with nothing of its own, all
// of whose bytes are those of a file of the host.
func disguise(file string) []byte {
	b := make([]byte, 1024)
	copy(b, "QFI\xfb")
	binary.BigEndian.PutUint32(b[4:], 2)
	binary.BigEndian.PutUint64(b[8:], 512) // where the name stands
	binary.BigEndian.PutUint32(b[16:], uint32(len(file)))
	binary.BigEndian.PutUint32(b[20:], 16) // clusters of 64 KiB
	binary.BigEndian.PutUint64(b[24:], 1<<30)
	binary.BigEndian.PutUint32(b[36:], 2)       // tables of clusters,
	binary.BigEndian.PutUint64(b[40:], 0x10000) // which are empty
	binary.BigEndian.PutUint64(b[48:], 0x20000)
	binary.BigEndian.PutUint32(b[56:], 1)
	copy(b[512:], file)
	return b
}

// secretFile is a file of the host that guests' processes may read, and tells
// whether somebody has.
type secretFile struct {
	path  string
	tells bool // the file system keeps when files were read
}

const hostSecret = "a file of the host: "

func newSecret(t *testing.T, dir string) secretFile {
	t.Helper()
	s := secretFile{path: filepath.Join(dir, "secret")}
	write := func() {
		err := os.WriteFile(s.path, []byte(strings.Repeat(hostSecret, 1<<16)), 0o644)
		if err == nil {
			err = os.Chtimes(s.path, time.Unix(1e9, 0), time.Unix(1e9+1, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write()
	_, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.tells = s.read(t)
	write()
	return s
}

// read tells whether the file was read since it was made.
func (s secretFile) read(t *testing.T) bool {
	t.Helper()
	var stat syscall.Stat_t
	err := syscall.Stat(s.path, &stat)
	if err != nil {
		t.Fatal(err)
	}
	return stat.Atim.Sec != 1e9
}

// beginning is what a guest finds at the beginning of a disk.
func beginning(t *testing.T, file string, format ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "raw")
	args := append([]string{"dd"}, format...)
	text, err := exec.Command("qemu-img", append(args, "-O", "raw", "bs=512", "count=8", "if="+file, "of="+out)...).CombinedOutput()
	if err != nil {
		t.Fatalf("read %s: %v: %s", file, err, text)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// typeHeader gives the guest the header, in few enough characters for a serial line.
func typeHeader(s *typist, header []byte) {
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	_, err := w.Write(header)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.run("echo " + base64.StdEncoding.EncodeToString(small.Bytes()) + " | base64 -d | gzip -d > /tmp/header")
}

// from is a host as another one reaches it for disks.
type from struct {
	virt.Elsewhere
	host *Host
}

func (f from) Disk(ctx context.Context, machine, disk string) (io.ReadCloser, error) {
	return f.host.Disk(ctx, machine, disk)
}

// A guest makes its disk look like one that consists of a file of the host. Nothing
// that is done to the disk takes it for that: a snapshot or a backup, a resize, a
// move to another host, a rescue.
func TestAttackDisguisedDisk(t *testing.T) {
	l := newLab(t)
	secret := newSecret(t, l.dir)
	header := disguise(secret.path)
	bait := filepath.Join(l.dir, "bait")
	err := os.WriteFile(bait, header, 0o644)
	if err == nil {
		err = os.Truncate(bait, 1<<20)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(beginning(t, bait), []byte(hostSecret)) {
		t.Fatal("who guesses the format is not deceived: this test proves nothing")
	}
	err = os.Remove(secret.path)
	if err != nil {
		t.Fatal(err)
	}
	secret = newSecret(t, l.dir)

	h := l.open()
	m := virt.Machine{ID: clock.UUID(), Name: "liar", VCPUs: 1, MemoryMB: 192, Running: true, Root: &virt.Root{Image: "guest", SizeGB: 3}}
	ensure := func() {
		t.Helper()
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	t.Cleanup(func() { l.host.Remove(context.Background(), m.ID) })
	s := login(t, h, m.ID)
	typeHeader(s, header)
	s.run("sudo dd if=/tmp/header of=/dev/vda conv=notrunc,fsync")
	root := filepath.Join(h.options.Dir, m.ID, "root.qcow2")

	kept := func(what, file string) {
		t.Helper()
		got := beginning(t, file, "-f", "qcow2", "-U")
		if !bytes.HasPrefix(got, header) {
			t.Errorf("%s: the disk begins with %q, want what the guest has written", what, got[:min(len(got), 40)])
		}
		if bytes.Contains(got, []byte(hostSecret)) {
			t.Errorf("%s: the disk has a file of the host", what)
		}
		if secret.tells && secret.read(t) {
			t.Errorf("%s: the file of the host was read", what)
		}
	}
	copied := func(what string) {
		t.Helper()
		disk, err := h.Disk(t.Context(), m.ID, nodeapi.RootDisk)
		if err != nil {
			t.Fatal(err)
		}
		defer disk.Close()
		content, err := io.ReadAll(disk)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "copy")
		err = os.WriteFile(file, content, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if err := standsAlone(bytes.NewReader(content)); err != nil || bytes.Contains(content, []byte(hostSecret)) {
			t.Errorf("%s: what became of the disk leads to a file of the host or has it: %v", what, err)
		}
		kept(what, file)
	}
	copied("snapshot of a running guest")
	m.Running = false
	ensure()
	copied("snapshot of a stopped guest")

	m.Root.SizeGB = 4
	ensure()
	kept("resize", root)
	var info struct {
		Size    int64  `json:"virtual-size"`
		Backing string `json:"backing-filename"`
	}
	text, err := exec.Command("qemu-img", "info", "-f", "qcow2", "--output=json", root).Output()
	if err == nil {
		err = json.Unmarshal(text, &info)
	}
	if err != nil || info.Size != 4<<30 || info.Backing != l.image {
		t.Errorf("after the resize the disk is %+v (%v), want 4 GiB on the image", info, err)
	}

	o := l.options()
	o.Dir = filepath.Join(l.dir, "elsewhere")
	other, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.Reach(from{host: h})
	moved := m
	moved.Root = &virt.Root{Image: "guest", SizeGB: 4, Arrives: true}
	err = other.Ensure(t.Context(), moved)
	if err != nil {
		t.Fatal(err)
	}
	kept("migration", filepath.Join(o.Dir, m.ID, "root.qcow2"))
	err = other.Remove(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}

	m.Running, m.Rescue = true, &virt.Rescue{Image: "guest"}
	ensure()
	s = login(t, h, m.ID)
	s.run("sudo dd if=/dev/vdb of=/tmp/begin bs=1024 count=1")
	typeHeader(s, header)
	if got := s.run("cmp /tmp/begin /tmp/header && echo al''ike; cat /sys/block/vdb/size"); !strings.Contains(got, "alike") || !strings.Contains(got, "8388608") {
		t.Errorf("a rescued guest finds %q, want what it has written, on a disk of 4 GiB", got)
	}
	kept("rescue", root)
}
