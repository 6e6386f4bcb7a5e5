package api_test

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// fill makes the container and puts objects of one byte into it, 100 in each
// pseudo-folder.
func (s *service) fill(t testing.TB, n int) {
	t.Helper()
	s.put(t, box, "")
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("d%03d/o%05d", i/100, i)
	}
	s.keep(t, "box", names)
}

// keep puts objects of one byte into a container, many at a time.
func (s *service) keep(t testing.TB, container string, names []string) {
	t.Helper()
	next := make(chan string)
	var writers sync.WaitGroup
	for range 32 {
		writers.Go(func() {
			for name := range next {
				o := object.Object{Account: "AUTH_demo", Container: container, Name: name, ContentType: "text/plain"}
				_, err := s.objects.Put(ctx, o, nil, strings.NewReader("x"))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, name := range names {
		next <- name
	}
	close(next)
	writers.Wait()
}

// TestOverwrite reads an object while it is replaced: each reader gets one of
// the versions, whole.
func TestOverwrite(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	version := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 50_000+i%10) }
	s.put(t, box+"/o", version(0))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				r := s.call(t, demo, "GET", box+"/o", "")
				sum := md5.Sum([]byte(r.body))
				if r.status != 200 || r.header.Get("Etag") != hex.EncodeToString(sum[:]) {
					t.Errorf("torn read: status %d, %d bytes", r.status, len(r.body))
					return
				}
			}
		})
	}
	for i := range 40 {
		s.put(t, box+"/o", version(i))
		s.turn(t) // takes the former bytes away under the readers
	}
	close(done)
	readers.Wait()
	s.turn(t)
	if keys := s.keys(t); len(keys) != 1 {
		t.Errorf("got %d blobs, want that of the last version", len(keys))
	}
	h := s.call(t, demo, "HEAD", box, "").header
	if h.Get("X-Container-Object-Count") != "1" || h.Get("X-Container-Bytes-Used") != "50009" {
		t.Errorf("the container counts %s objects, %s bytes", h.Get("X-Container-Object-Count"), h.Get("X-Container-Bytes-Used"))
	}
}

// TestFirstWins races for one name with If-None-Match: *.
func TestFirstWins(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	status := make([]int, 8)
	var writers sync.WaitGroup
	for i := range status {
		writers.Go(func() {
			status[i] = s.call(t, demo, "PUT", box+"/o", fmt.Sprint(i), "If-None-Match: *").status
		})
	}
	writers.Wait()
	won := 0
	for _, code := range status {
		if code == 201 {
			won++
		}
	}
	if won != 1 {
		t.Errorf("got %v, want one 201", status)
	}
	s.clock.Advance(3 * time.Minute)
	s.turn(t)
	if keys := s.keys(t); len(keys) != 1 {
		t.Errorf("got %d blobs, want the winner's", len(keys))
	}
}

// TestSizes sends no length, a chunked body, and a length that is too great.
func TestSizes(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	head := "PUT " + box + "/o HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + demo + "\r\n"
	for text, want := range map[string]string{
		head + "\r\n": "411", head + "Content-Length: 6000000000\r\n\r\n": "413", head + "Content-Length: 0\r\n\r\n": "201",
		head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n": "201",
	} {
		conn := s.dial(t, text)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+want) {
			t.Errorf("%q: got %q, %v, want %s", text, line, err, want)
		}
		conn.Close()
	}
}

func (s *service) dial(t testing.TB, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(conn, text)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// begin sends half of an object.
func (s *service) begin(t testing.TB, name string) net.Conn {
	t.Helper()
	return s.dial(t, "PUT "+box+"/"+name+" HTTP/1.1\r\nHost: x\r\nX-Auth-Token: "+demo+"\r\nContent-Length: 10000000\r\n\r\n"+strings.Repeat("x", 1<<20))
}

// TestInterruptedPut breaks the connection over an existing object.
func TestInterruptedPut(t *testing.T) {
	s := start(t, t.TempDir())
	dir := s.dir
	s.put(t, box, "")
	s.put(t, box+"/o", "former")
	conn := s.begin(t, "o")
	until(t, "bytes on disk", func() bool { return len(unfinished(dir)) == 1 })
	conn.Close()
	until(t, "the unfinished file goes", func() bool { return len(unfinished(dir)) == 0 })
	if got := s.call(t, demo, "GET", box+"/o", "").body; got != "former" {
		t.Errorf("the object is %.20q, want the former one", got)
	}
	s.clock.Advance(3 * time.Minute)
	s.turn(t)
	if keys := s.keys(t); len(keys) != 1 {
		t.Errorf("got blobs %v, want 1", keys)
	}
}

func unfinished(dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "blobs", "new", "*"))
	if err != nil {
		return nil
	}
	return files
}

// What the server that is killed stands on.
const (
	childFolder = "NACRE_TEST_OBJECT_FOLDER"
	childDB     = "NACRE_TEST_OBJECT_DB"
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

// TestKilledServer kills the process again and again while clients write: what
// was acknowledged is there and whole, and nothing else is left.
func TestKilledServer(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]int{} // name: version
	for round := range 5 {
		s := run(t, dir)
		if round == 0 {
			s.put(t, box, "")
		}
		var mu sync.Mutex // guards acknowledged and written
		written := 0
		enough := make(chan struct{})
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ; i++ {
					name, version := fmt.Sprintf("w%d-%d", w, i%5), round*1000000+i
					if !s.try(box+"/"+name, content(version)) {
						return // killed
					}
					mu.Lock()
					acknowledged[name] = version
					written++
					if written == 20+rand.Intn(20) || written == 60 {
						select {
						case <-enough:
						default:
							close(enough)
						}
					}
					mu.Unlock()
				}
			})
		}
		half := s.begin(t, "half")
		select {
		case <-enough:
		case <-time.After(20 * time.Second):
			t.Fatal("the writers came to nothing within 20 s")
		}
		s.kill(t)
		writers.Wait()
		half.Close()
	}
	s := start(t, dir)
	if files := unfinished(dir); len(files) != 0 {
		t.Errorf("unfinished files stay: %v", files)
	}
	s.clock.Advance(1e6 * time.Hour)
	s.turn(t)
	total := 0
	for name, version := range acknowledged {
		r := s.call(t, demo, "GET", box+"/"+name, "").must(t, 200)
		var got int
		fmt.Sscanf(r.body, "%d", &got)
		// The write that was under way when we killed may have come through.
		if r.body != content(got) || got < version {
			t.Errorf("%s is not whole, or is older than version %d: %.30q", name, version, r.body)
		}
		total += len(r.body)
	}
	list := s.list(t, box, object.Listing{})
	if keys := s.keys(t); len(keys) != len(list) {
		t.Errorf("got %d blobs for %d objects", len(keys), len(list))
	}
	h := s.call(t, demo, "HEAD", box, "").header
	if h.Get("X-Container-Object-Count") != fmt.Sprint(len(list)) {
		t.Errorf("the container counts %s objects, %d are listed", h.Get("X-Container-Object-Count"), len(list))
	}
	if len(list) == len(acknowledged) && h.Get("X-Container-Bytes-Used") != fmt.Sprint(total) {
		t.Errorf("the container counts %s bytes, the objects have %d", h.Get("X-Container-Bytes-Used"), total)
	}
	for _, name := range list {
		if name == "half" {
			t.Error("half an object was kept")
		}
	}
}

func content(version int) string {
	return fmt.Sprintf("%d\n", version) + strings.Repeat("v", 10_000+version%1000)
}

// child is a server in a process of its own.
type child struct {
	service
	process *exec.Cmd
}

func run(t *testing.T, dir string) *child {
	t.Helper()
	c := &child{process: exec.Command(os.Args[0])}
	c.process.Env = append(os.Environ(), childFolder+"="+dir, childDB+"="+dbtest.SourceIn(t, dir))
	c.process.Stderr = os.Stderr
	out, err := c.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = c.process.Start()
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c.url = strings.TrimSpace(line)
	return c
}

// try puts an object and tells whether that was acknowledged.
func (c *child) try(path, body string) bool {
	r, err := http.NewRequest("PUT", c.url+path, strings.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("X-Auth-Token", demo)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusCreated
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	err := c.process.Process.Kill()
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	err = c.process.Wait()
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("got %v, want it killed", err)
	}
}

// TestSlowPut takes longer than the time after which a silent writer is given
// up, with the sweep running all the while. One that was silent for so long is
// refused, and leaves nothing.
func TestSlowPut(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	put := func(name string, pause time.Duration) error {
		slow := &pausing{rest: 12, pause: func() { s.clock.Advance(pause); s.turn(t) }}
		_, err := s.objects.Put(ctx, object.Object{Account: "AUTH_demo", Container: "box", Name: name}, nil, slow)
		s.turn(t)
		return err
	}
	err := put("steady", 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	err = put("stalling", 5*time.Minute)
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("a writer that was given up got %v", err)
	}
	s.call(t, demo, "GET", box+"/stalling", "").must(t, 404)
	s.clock.Advance(25 * time.Hour)
	s.turn(t)
	if got := s.call(t, demo, "GET", box+"/steady", "").must(t, 200).body; got != "xxxxxxxxxxxx" {
		t.Errorf("got %q", got)
	}
	if keys := s.keys(t); len(keys) != 1 {
		t.Errorf("got %d blobs, want 1", len(keys))
	}
}

// pausing gives a byte after each pause.
type pausing struct {
	rest  int
	pause func()
}

func (p *pausing) Read(b []byte) (int, error) {
	p.pause()
	if p.rest == 0 {
		return 0, io.EOF
	}
	p.rest--
	b[0] = 'x'
	return 1, nil
}

// damaged is how many objects the scrub has found, as /metrics tells it.
func damaged(t testing.TB) float64 {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "nacre_object_damaged_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

// TestScrub flips a bit on the disk. The object is found damaged and goes out of
// sight, others stay, and it can be written anew.
func TestScrub(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "", "X-Versions-Enabled: true")
	s.put(t, box+"/bad", strings.Repeat("x", 100_000))
	before := s.keys(t)
	s.put(t, box+"/good", "fine")
	former := s.put(t, box+"/good", "finer").header.Get("X-Object-Version-Id")
	s.turn(t)
	s.call(t, demo, "GET", box+"/bad", "").must(t, 200)
	path, err := s.blobs.Path(before[0])
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[50_000] ^= 4
	err = os.WriteFile(path, content, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s.turn(t)
	for _, method := range []string{"GET", "HEAD", "POST", "COPY"} {
		s.call(t, demo, method, box+"/bad", "", "Destination: box/copy").must(t, 404)
	}
	if got := s.call(t, demo, "GET", box+"/good?version-id="+former, "").must(t, 200).body; got != "finer" {
		t.Errorf("another object is %q", got)
	}
	if got := damaged(t); got != 1 {
		t.Errorf("%v damaged objects are counted, want 1", got)
	}
	s.put(t, box+"/bad", "new")
	s.turn(t)
	s.call(t, demo, "GET", box+"/bad", "").must(t, 200)
	// One that is gone altogether is damaged too.
	intact := slices.DeleteFunc(s.keys(t), func(key string) bool { return key == before[0] })
	path, err = s.blobs.Path(intact[0])
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.turn(t)
	if got := damaged(t); got < 2 {
		t.Errorf("%v damaged objects are counted, want 2", got)
	}
}
