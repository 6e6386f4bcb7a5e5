package api_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/image"
)

const bare = `{"disk_format":"%s","container_format":"bare"}`

// qcow2 makes a header of version 3, changed by the function.
func qcow2(change func(b []byte)) string {
	b := make([]byte, 3<<16+8)
	copy(b, "QFI\xfb")
	binary.BigEndian.PutUint32(b[4:], 3)
	binary.BigEndian.PutUint32(b[20:], 16)
	binary.BigEndian.PutUint64(b[24:], 64<<20)
	binary.BigEndian.PutUint32(b[36:], 1)
	binary.BigEndian.PutUint64(b[40:], 3<<16)
	binary.BigEndian.PutUint64(b[48:], 1<<16)
	binary.BigEndian.PutUint32(b[56:], 1)
	binary.BigEndian.PutUint32(b[96:], 4)
	binary.BigEndian.PutUint32(b[100:], 104)
	change(b)
	return string(b)
}

func backed(b []byte) {
	binary.BigEndian.PutUint64(b[8:], 512)
	binary.BigEndian.PutUint32(b[16:], 11)
	copy(b[512:], "/etc/shadow")
}

const vmdkDescriptor = "# Disk DescriptorFile\nversion=1\nCID=7d0cc5ae\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\n" +
	"RW 131072 FLAT \"/etc/shadow\" 0\n"

// footer is that of a VHD.
func footer(size uint64, kind uint32) []byte {
	b := make([]byte, 512)
	copy(b, "conectix")
	binary.BigEndian.PutUint64(b[16:], 512)
	binary.BigEndian.PutUint64(b[48:], size)
	binary.BigEndian.PutUint32(b[60:], kind)
	return b
}

// hostile are images that must not be opened, one or more of each format.
var hostile = []struct {
	name, format, bytes, want string
}{
	{"backing file", "qcow2", qcow2(backed), "backing file"},
	{"backing file, called raw", "raw", qcow2(backed), "backing file"},
	{"data file", "qcow2", qcow2(func(b []byte) { binary.BigEndian.PutUint64(b[72:], 4) }), "data file"},
	{"8 EiB", "qcow2", qcow2(func(b []byte) { binary.BigEndian.PutUint64(b[24:], 1<<63) })[:1024], "absurd size"},
	{"cut qcow2", "qcow2", qcow2(func([]byte) {})[:60], "cut"},
	{"extent path", "vmdk", vmdkDescriptor, "extent"},
	{"sparse extent without a capacity", "vmdk", "KDMV\x01\x00\x00\x00" + strings.Repeat("\x00", 1024), "capacity"},
	{"differencing disk", "vhd", string(footer(1<<30, 4)), "differencing"},
	{"fixed disk larger than the file", "vhd", strings.Repeat("\x00", 1024) + string(footer(1<<40, 2)), "more bytes"},
	{"cut vhdx", "vhdx", "vhdxfile" + strings.Repeat("\x00", 4096), "region table"},
	{"vdi of 8 EiB", "vdi", func() string {
		b := make([]byte, 1024)
		copy(b[64:], "\x7f\x10\xda\xbe")
		binary.LittleEndian.PutUint64(b[368:], 1<<63)
		return string(b)
	}(), "absurd size"},
	{"two formats", "iso", qcow2(func(b []byte) { copy(b[32769:], "CD001"); b[32768] = 1 }), "can be read as"},
	{"two formats, called a kernel", "aki", qcow2(func(b []byte) { copy(b[32769:], "CD001"); b[32768] = 1 }), "can be read as"},
}

func TestHostileImages(t *testing.T) {
	pages := map[string]string{}
	for i, test := range hostile {
		pages[fmt.Sprint("/", i)] = test.bytes
	}
	url, address := source(t, pages)
	s := start(t, t.TempDir(), address)
	for i, test := range hostile {
		id := s.create(t, demo, fmt.Sprintf(bare, test.format))
		one := "/v2/images/" + id
		for _, way := range []string{"/file", "/stage"} {
			r := s.call(t, demo, "PUT", one+way, test.bytes, octets)
			if r.status != 415 || !strings.Contains(r.body, test.want) {
				t.Errorf("%s by %s: got %d %s, want 415 and %q", test.name, way, r.status, r.body, test.want)
			}
		}
		s.call(t, demo, "POST", one+"/import", fmt.Sprintf(`{"method":{"name":"web-download","uri":"%s/%d"}}`, url, i)).must(t, 202)
		s.work(t)
		told := s.tasks(t, demo, id)
		if !strings.Contains(told, "failure") || !strings.Contains(told, test.want) {
			t.Errorf("%s from the web: got the tasks %q, want a failure and %q", test.name, told, test.want)
		}
		got := s.show(t, demo, id)
		if got["status"] != "queued" || got["size"] != nil || got["checksum"] != nil {
			t.Errorf("%s: the refused bytes left %v", test.name, got)
		}
		// It can be uploaded to again.
		s.call(t, demo, "PUT", one+"/file", "harmless", octets).must(t, 204)
	}
	if keys := s.keys(t); len(keys) != len(hostile) {
		t.Errorf("got %d blobs, want the %d harmless ones", len(keys), len(hostile))
	}
}

// TestAnyBytesAsAnyFormat uploads what is no image at all, as Tempest does. It
// is kept, and refused where it would be used.
func TestAnyBytesAsAnyFormat(t *testing.T) {
	s := start(t, t.TempDir())
	noise := make([]byte, 1024)
	rand.New(rand.NewSource(1)).Read(noise)
	for _, format := range image.DiskFormats {
		id := s.create(t, demo, fmt.Sprintf(bare, format))
		s.call(t, demo, "PUT", "/v2/images/"+id+"/file", string(noise), octets).must(t, 204)
		found, err := s.images.Image(ctx, image.Viewer{Project: "demo"}, id)
		if err != nil {
			t.Fatal(err)
		}
		raw := format == "raw" || format == "ami" || format == "ari" || format == "aki"
		if usable := found.Usable() == nil; usable != raw {
			t.Errorf("noise as %s: usable is %v: %v", format, usable, found.Usable())
		}
		if raw != (found.VirtualSize == 1024) {
			t.Errorf("noise as %s: virtual size is %d", format, found.VirtualSize)
		}
	}
	id := s.create(t, demo, fmt.Sprintf(bare, "qcow2"))
	s.call(t, demo, "PUT", "/v2/images/"+id+"/file", qcow2(func([]byte) {}), octets).must(t, 204)
	if got := s.show(t, demo, id)["virtual_size"]; got != float64(64<<20) {
		t.Errorf("virtual size of the qcow2 is %v, want 64 MiB", got)
	}
}

func TestDownload(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, fmt.Sprintf(bare, "raw"))
	file := "/v2/images/" + id + "/file"
	s.call(t, demo, "PUT", file, "0123456789", octets, "X-Openstack-Image-Size: 10").must(t, 204)
	s.call(t, demo, "PUT", file, "again", octets).must(t, 409)
	for _, test := range []struct {
		span   string
		status int
		want   string
	}{
		{"", 200, "0123456789"}, {"bytes=0-0", 206, "0"}, {"bytes=2-4", 206, "234"}, {"bytes=8-99", 206, "89"},
		{"bytes=-3", 206, "789"}, {"bytes=-99", 206, "0123456789"}, {"bytes=5-", 206, "56789"},
		{"bytes=10-", 416, ""}, {"bytes=4-2", 416, ""}, {"bytes=x", 416, ""}, {"bytes=+1-2", 416, ""}, {"lines=1-2", 416, ""},
		{"bytes=0-1,3-4", 400, "multiple ranges"},
	} {
		header := ""
		if test.span != "" {
			header = "Range: " + test.span
		}
		r := s.call(t, demo, "GET", file, "", header)
		if r.status != test.status || (r.status < 300 && r.body != test.want) || !strings.Contains(r.body, test.want) {
			t.Errorf("%q: got %d %q, want %d %q", test.span, r.status, r.body, test.status, test.want)
		}
	}
	head := s.call(t, demo, "HEAD", file, "").must(t, 200)
	if head.body != "" || head.header.Get("Content-Length") != "10" {
		t.Errorf("HEAD: got length %s and %q", head.header.Get("Content-Length"), head.body)
	}
	s.call(t, reader, "GET", file, "").must(t, 403)
	s.call(t, demo, "POST", "/v2/images/"+id+"/actions/deactivate", "").must(t, 204)
	s.call(t, demo, "POST", "/v2/images/"+id+"/actions/deactivate", "").must(t, 204)
	s.call(t, demo, "GET", file, "").must(t, 403)
	s.call(t, admin, "GET", file, "").must(t, 200)
	s.call(t, demo, "POST", "/v2/images/"+id+"/actions/reactivate", "").must(t, 204)
	s.call(t, demo, "GET", file, "").must(t, 200)
	s.call(t, demo, "PATCH", "/v2/images/"+id, `[{"op":"replace","path":"/disk_format","value":"qcow2"}]`, patch21).must(t, 403)
	s.call(t, demo, "DELETE", "/v2/images/"+id, "").must(t, 204)
	s.call(t, demo, "DELETE", "/v2/images/"+id, "").must(t, 404)
	if keys := s.keys(t); len(keys) != 0 {
		t.Errorf("the deleted image left %v", keys)
	}
}

// TestSizes announces more than an image may have, and nothing at all.
func TestSizes(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, fmt.Sprintf(bare, "raw"))
	file := "/v2/images/" + id + "/file"
	s.call(t, demo, "PUT", file, "x", octets, "X-Openstack-Image-Size: "+fmt.Sprint(image.MaxSize+1)).must(t, 413)
	s.call(t, demo, "PUT", file, "x", octets, "X-Openstack-Image-Size: many").must(t, 400)
	r := s.raw(t, "PUT /image"+file+" HTTP/1.1\r\nHost: x\r\nX-Auth-Token: "+demo+"\r\nContent-Type: application/octet-stream\r\nContent-Length: 9000000000000000000\r\n\r\n")
	if !strings.HasPrefix(r, "HTTP/1.1 413") {
		t.Errorf("a huge Content-Length: got %q, want 413", r)
	}
	s.send(t, demo, "PUT", file, io.MultiReader(strings.NewReader("no "), strings.NewReader("length")), octets).must(t, 204)
	if got := s.show(t, demo, id); got["size"] != float64(9) {
		t.Errorf("the chunked upload has size %v, want 9", got["size"])
	}
	empty := s.create(t, demo, fmt.Sprintf(bare, "raw"))
	s.call(t, demo, "PUT", "/v2/images/"+empty+"/file", "", octets).must(t, 204)
	s.call(t, demo, "GET", "/v2/images/"+empty+"/file", "").must(t, 200)
}

// raw sends bytes and returns the first line of the answer.
func (s *service) raw(t testing.TB, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, text)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// TestInterruptedUpload breaks the connection in the middle.
func TestInterruptedUpload(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, fmt.Sprintf(bare, "raw"))
	conn := s.beginUpload(t, id)
	until(t, "saving", func() bool { return s.show(t, demo, id)["status"] == "saving" })
	s.call(t, demo, "PUT", "/v2/images/"+id+"/file", "me too", octets).must(t, 409)
	conn.Close()
	until(t, "queued again", func() bool { return s.show(t, demo, id)["status"] == "queued" })
	if keys := s.keys(t); len(keys) != 0 {
		t.Errorf("the broken upload left %v", keys)
	}
	s.call(t, demo, "PUT", "/v2/images/"+id+"/file", "whole", octets).must(t, 204)
}

// beginUpload sends a part of what it announces.
func (s *service) beginUpload(t testing.TB, id string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "PUT /image/v2/images/%s/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\n%s\r\nContent-Length: 100000000\r\n\r\n%s",
		id, demo, octets, strings.Repeat("x", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestDeletedWhileUploading deletes the image under the upload.
func TestDeletedWhileUploading(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, fmt.Sprintf(bare, "raw"))
	bytes, more := io.Pipe()
	answer := make(chan reply)
	go func() {
		answer <- s.send(t, demo, "PUT", "/v2/images/"+id+"/file", bytes, octets)
	}()
	_, err := io.WriteString(more, "first half")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "saving", func() bool { return s.show(t, demo, id)["status"] == "saving" })
	s.call(t, demo, "PATCH", "/v2/images/"+id, `[{"op":"replace","path":"/name","value":"renamed"}]`, patch21).must(t, 200)
	s.call(t, demo, "DELETE", "/v2/images/"+id, "").must(t, 204)
	more.Close()
	r := <-answer
	if r.status != 410 {
		t.Errorf("got %d %s, want 410", r.status, r.body)
	}
	if keys := s.keys(t); len(keys) != 0 {
		t.Errorf("the deleted image left %v", keys)
	}
}

func TestConcurrentUploads(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, fmt.Sprintf(bare, "raw"))
	var uploads sync.WaitGroup
	status := make([]int, 8)
	for i := range status {
		uploads.Go(func() {
			status[i] = s.call(t, demo, "PUT", "/v2/images/"+id+"/file", strings.Repeat(fmt.Sprint(i), 100000), octets).status
		})
	}
	uploads.Wait()
	won := -1
	for i, code := range status {
		switch {
		case code == 204 && won < 0:
			won = i
		case code != 409:
			t.Errorf("upload %d: got %d, want 409 or, once, 204", i, code)
		}
	}
	if won < 0 {
		t.Fatalf("nobody won: %v", status)
	}
	if got := s.call(t, demo, "GET", "/v2/images/"+id+"/file", "").body; got != strings.Repeat(fmt.Sprint(won), 100000) {
		t.Errorf("the image does not have the bytes of upload %d alone", won)
	}
	if keys := s.keys(t); len(keys) != 1 {
		t.Errorf("got %d blobs, want 1", len(keys))
	}
}

// What the server that is killed stands on.
const (
	childFolder = "NACRE_TEST_IMAGE_FOLDER"
	childDB     = "NACRE_TEST_IMAGE_DB"
)

// TestMain lets the test binary be the server that is killed.
func TestMain(m *testing.M) {
	dir := os.Getenv(childFolder)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := assemble(dir, os.Getenv(childDB))
	if err == nil {
		var listener net.Listener
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			fmt.Println("http://" + listener.Addr().String())
			err = http.Serve(listener, s.handler())
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKilledServer kills the process in the middle of an upload.
func TestKilledServer(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+dir, childDB+"="+dbtest.SourceIn(t, dir))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = child.Start()
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	killed := &service{url: strings.TrimSpace(line)}
	whole := killed.create(t, demo, fmt.Sprintf(bare, "raw"))
	killed.call(t, demo, "PUT", "/v2/images/"+whole+"/file", "acknowledged", octets).must(t, 204)
	torn := killed.create(t, demo, fmt.Sprintf(bare, "raw"))
	conn := killed.beginUpload(t, torn)
	defer conn.Close()
	until(t, "bytes on disk", func() bool {
		files, err := filepath.Glob(filepath.Join(dir, "local", "new", "*"))
		return err == nil && len(files) == 1 && killed.show(t, demo, torn)["status"] == "saving"
	})
	err = child.Process.Kill()
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	err = child.Wait()
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("got %v, want it killed", err)
	}

	s := start(t, dir)
	if got := s.call(t, demo, "GET", "/v2/images/"+whole+"/file", "").body; got != "acknowledged" {
		t.Errorf("the acknowledged image is %q", got)
	}
	files, err := filepath.Glob(filepath.Join(dir, "local", "new", "*"))
	if err != nil || len(files) != 0 {
		t.Errorf("unfinished files stay: %v %v", files, err)
	}
	s.turn(t)
	if got := s.show(t, demo, torn)["status"]; got != "saving" {
		t.Errorf("a fresh upload was given up: status %v", got)
	}
	s.clock.Advance(31 * time.Second)
	s.turn(t)
	if got := s.show(t, demo, torn)["status"]; got != "queued" {
		t.Errorf("status is %v, want queued", got)
	}
	s.call(t, demo, "PUT", "/v2/images/"+torn+"/file", "second try", octets).must(t, 204)

	// A process that died between the blob and the row leaves a blob to sweep.
	_, err = s.blobs.Put(ctx, "images/00000000-0000-4000-8000-000000000000", strings.NewReader("nobody's"))
	if err != nil {
		t.Fatal(err)
	}
	s.turn(t)
	if keys := s.keys(t); len(keys) != 2 {
		t.Errorf("got blobs %v, want those of the two images", keys)
	}
}

// TestSweepSparesTheLiving sweeps at the worst moments of an upload.
func TestSweepSparesTheLiving(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, fmt.Sprintf(bare, "raw"))
	bytes := &sweeping{r: bytes.NewReader(make([]byte, 1<<20)), sweep: func() { s.turn(t) }}
	err := s.images.Upload(ctx, id, "", bytes)
	if err != nil {
		t.Fatal(err)
	}
	s.turn(t)
	var blob string
	err = s.db.Read(ctx, func(tx *db.Tx) error { return tx.Get(ctx, &blob, "SELECT blob FROM images WHERE id = ?", id) })
	if err != nil {
		t.Fatal(err)
	}
	if keys := s.keys(t); len(keys) != 1 || keys[0] != blob {
		t.Errorf("got blobs %v, want %s", keys, blob)
	}
}

type sweeping struct {
	r     io.Reader
	sweep func()
}

func (s *sweeping) Read(p []byte) (int, error) {
	s.sweep()
	return s.r.Read(p)
}

// TestSlowUpload takes longer than the time after which a silent upload is
// given up.
func TestSlowUpload(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, fmt.Sprintf(bare, "raw"))
	body, more := io.Pipe()
	answer := make(chan reply)
	go func() {
		answer <- s.send(t, demo, "PUT", "/v2/images/"+id+"/file", body, octets)
	}()
	until(t, "saving", func() bool { return s.show(t, demo, id)["status"] == "saving" })
	seen := func() (at db.Time) {
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &at, "SELECT upload_seen FROM images WHERE id = ?", id)
		})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for range 8 {
		before := seen()
		until(t, "a sign of life", func() bool {
			// Somebody else may wait for later while the upload does not wait yet.
			if next := s.clock.Next(); !next.IsZero() && next.Sub(before.Time()) < 6*time.Second {
				s.clock.Advance(next.Sub(s.clock.Now()))
			}
			return seen() > before
		})
		s.turn(t)
	}
	_, err := io.WriteString(more, "at last")
	if err != nil {
		t.Fatal(err)
	}
	more.Close()
	(<-answer).must(t, 204)
}
