package nbd_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"nacre/internal/nbd"
)

const mib = 1 << 20

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, disk nbd.Disk) *nbd.Client {
	t.Helper()
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- nbd.Serve(theirs, "disk", disk)
		theirs.Close()
	}()
	c, err := nbd.Connect(ours, "disk")
	must(t, err)
	t.Cleanup(func() {
		c.Close()
		must(t, <-served)
	})
	return c
}

// use is what every server must do alike.
func use(t *testing.T, c *nbd.Client) {
	t.Helper()
	if c.Size() != 64*mib {
		t.Fatalf("size: got %d, want 64 MiB", c.Size())
	}
	written := bytes.Repeat([]byte("nacre"), mib)
	_, err := c.WriteAt(written, 3*mib)
	must(t, err)
	must(t, c.Flush())
	got := make([]byte, 10*mib)
	_, err = c.ReadAt(got, 0)
	must(t, err)
	want := make([]byte, 10*mib)
	copy(want[3*mib:], written)
	if !bytes.Equal(got, want) {
		t.Error("what was read is not what was written")
	}
	must(t, c.Zero(4*mib, 2*mib))
	clear(want[4*mib : 6*mib])
	_, err = c.ReadAt(got, 0)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Error("what was cleared is still there")
	}
	extents, err := c.Extents(0, c.Size())
	must(t, err)
	if len(extents) != 5 || !extents[0].Zero || extents[1] != (nbd.Extent{Offset: 3 * mib, Length: mib}) || !extents[4].Zero {
		t.Errorf("extents: got %+v", extents)
	}
	_, err = c.ReadAt(got, 60*mib)
	if err == nil {
		t.Error("bytes behind the end of the disk were read")
	}
}

func TestServed(t *testing.T) { use(t, connect(t, nbd.NewSparse(64*mib))) }

func TestUnknownExport(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		_ = nbd.Serve(theirs, "disk", nbd.NewSparse(mib))
		theirs.Close()
	}()
	_, err := nbd.Connect(ours, "other")
	if err == nil {
		t.Error("an export that does not exist was opened")
	}
}

func TestClone(t *testing.T) {
	a := nbd.NewSparse(mib)
	_, err := a.WriteAt([]byte("before"), 10)
	must(t, err)
	b := a.Clone(2 * mib)
	_, err = a.WriteAt([]byte("after!"), 10)
	must(t, err)
	got := make([]byte, 6)
	_, err = b.ReadAt(got, 10)
	must(t, err)
	if string(got) != "before" || b.Size() != 2*mib {
		t.Errorf("got %q of %d bytes, want what was there before of 2 MiB", got, b.Size())
	}
}

// The client against QEMU's own server.
func TestQEMU(t *testing.T) {
	_, err := exec.LookPath("qemu-nbd")
	if err != nil {
		t.Skip("qemu-nbd is not installed")
	}
	dir := t.TempDir()
	disk, socket := filepath.Join(dir, "d.qcow2"), filepath.Join(dir, "s")
	out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", disk, "64M").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := exec.Command("qemu-nbd", "-f", "qcow2", "-k", socket, "-x", "disk", "--discard=unmap", disk)
	must(t, server.Start())
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	var conn net.Conn
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err = net.Dial("unix", socket)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	c, err := nbd.Connect(conn, "disk")
	must(t, err)
	defer c.Close()
	use(t, c)
}

// Servers that lie are found out, and nothing is allocated on their word.
func TestHostileServers(t *testing.T) {
	hello := "NBDMAGICIHAVEOPT\x00\x03"
	ack := func(option uint32) string {
		b := binary.BigEndian.AppendUint64(nil, 0x3e889045565a9)
		b = binary.BigEndian.AppendUint32(b, option)
		return string(binary.BigEndian.AppendUint32(b, 1))
	}
	for name, said := range map[string]string{
		"nothing":        "",
		"HTTP":           "HTTP/1.1 200 OK\r\n\r\n",
		"old style":      "NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53",
		"endless option": hello + ack(8) + "\xff\xff\xff\xff",
		"other option":   hello + ack(9) + "\x00\x00\x00\x00",
		"no export":      hello + ack(8) + "\x00\x00\x00\x00" + ack(10) + "\x00\x00\x00\x00" + ack(7) + "\x00\x00\x00\x00",
	} {
		ours, theirs := net.Pipe()
		go func() {
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			_, _ = io.WriteString(theirs, said)
			theirs.Close()
		}()
		_, err := nbd.Connect(ours, "disk")
		if err == nil {
			t.Errorf("%s: it was believed", name)
		}
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x07\x00\x00\x00\x0a\x00\x00\x00\x04disk\x00\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		conn := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(said), io.Discard}
		_ = nbd.Serve(conn, "disk", nbd.NewSparse(mib))
	})
}
