package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"nacre/internal/app"
	"nacre/internal/await"
	"nacre/internal/db/dbtest"
	"nacre/internal/testcloud"
)

// victim is a cloud in a process of its own, which the test kills and starts
// again on the same folder.
type victim struct {
	t      *testing.T
	dir    string
	listen string
	log    *os.File
	cmd    *exec.Cmd
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{t: t, dir: t.TempDir(), listen: freeAddress(t)}
	var err error
	v.log, err = os.Create(filepath.Join(v.dir, "test.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.kill()
		v.log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(v.log.Name())
			t.Logf("the cloud's log:\n%s", text[max(0, len(text)-8000):])
		}
	})
	return v
}

// freeAddress finds a port that nobody listens on, nor on the one behind it,
// where S3 is.
func freeAddress(t testing.TB) string {
	for range 100 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := free.Addr().(*net.TCPAddr)
		next, err := net.ListenTCP("tcp", &net.TCPAddr{IP: at.IP, Port: at.Port + 1})
		free.Close()
		if err == nil {
			next.Close()
			return at.String()
		}
	}
	t.Fatal("no two ports side by side are free")
	return ""
}

func (v *victim) start() {
	v.t.Helper()
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = append(os.Environ(), "NACRE_TEST_CLOUD="+filepath.Join(v.dir, "cloud"), "NACRE_TEST_LISTEN="+v.listen,
		"NACRE_TEST_CLOUD_DB="+dbtest.SourceIn(v.t, filepath.Join(v.dir, "cloud")))
	v.cmd.Stderr = v.log
	err := v.cmd.Start()
	if err != nil {
		v.t.Fatal(err)
	}
	v.until("the cloud to be ready", 30*time.Second, func() bool {
		reply, err := http.Get("http://" + v.listen + "/healthz")
		if err != nil {
			return false
		}
		reply.Body.Close()
		return reply.StatusCode == 200
	})
}

// secrets reads the passwords from what the cloud wrote for its clients.
func (v *victim) secrets() (s app.Secrets, err error) {
	content, err := os.ReadFile(filepath.Join(v.dir, "cloud", "clouds.yaml"))
	if err != nil {
		return s, err
	}
	var file struct {
		Clouds map[string]struct{ Auth struct{ Password string } }
	}
	err = yaml.Unmarshal(content, &file)
	return app.Secrets{Admin: file.Clouds["nacre"].Auth.Password, Demo: file.Clouds["nacre-demo"].Auth.Password}, err
}

// kill is kill -9.
func (v *victim) kill() {
	if v.cmd == nil {
		return
	}
	_ = v.cmd.Process.Kill() // it may have ended by itself; Wait tells
	_ = v.cmd.Wait()
	v.cmd = nil
}

func (v *victim) until(what string, patience time.Duration, holds func() bool) {
	v.t.Helper()
	await.Until(v.t, what, patience, holds)
}

// client asks a cloud that may die at any moment.
type client struct {
	url    string
	user   string
	pass   string
	mu     sync.Mutex // guards token
	token  string
	client http.Client
}

var errNoAnswer = errors.New("no answer")

// do returns errNoAnswer when the cloud died before it answered.
func (c *client) do(method, path string, body any) (int, []byte, error) {
	token, err := c.signIn()
	if err != nil {
		return 0, nil, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequest(method, c.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("OpenStack-API-Version", "compute 2.96, volume 3.70")
	reply, err := c.client.Do(r)
	if err != nil {
		return 0, nil, errNoAnswer
	}
	defer reply.Body.Close()
	text, err = io.ReadAll(reply.Body)
	if err != nil {
		return 0, nil, errNoAnswer
	}
	return reply.StatusCode, text, nil
}

func (c *client) signIn() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" {
		return c.token, nil
	}
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"id":"default"}}}},
		"scope":{"project":{"name":%q,"domain":{"id":"default"}}}}}`, c.user, c.pass, c.user)
	reply, err := c.client.Post(c.url+"/v3/auth/tokens", "application/json", strings.NewReader(body))
	if err != nil {
		return "", errNoAnswer
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(reply.Body)
		return "", fmt.Errorf("sign in: %s %s", reply.Status, text)
	}
	c.token = reply.Header.Get("X-Subject-Token")
	return c.token, nil
}

// list reads a listing.
func (c *client) list(t *testing.T, path, key string, into any) {
	t.Helper()
	status, body, err := c.do("GET", path, nil)
	if err != nil || status != 200 {
		t.Fatalf("GET %s: %d %s %v", path, status, body, err)
	}
	var all map[string]json.RawMessage
	err = json.Unmarshal(body, &all)
	if err == nil {
		err = json.Unmarshal(all[key], into)
	}
	if err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

// ledger is what the cloud has acknowledged.
type ledger struct {
	mu      sync.Mutex // guards the maps
	created map[string]bool
	doomed  map[string]bool // its removal was asked for
	removed map[string]bool // its removal was acknowledged
}

func newLedger() *ledger {
	return &ledger{created: map[string]bool{}, doomed: map[string]bool{}, removed: map[string]bool{}}
}

// note writes an id into one of the maps.
func (l *ledger) note(in map[string]bool, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in[id] = true
}

// check compares with what exists at the end.
func (l *ledger) check(t *testing.T, what string, exists func(id string) bool) {
	t.Helper()
	for id := range l.created {
		switch {
		case l.removed[id] && exists(id):
			t.Errorf("%s %s: its removal was acknowledged, and it is there", what, id)
		case !l.doomed[id] && !exists(id):
			t.Errorf("%s %s was acknowledged, nobody asked to remove it, and it is gone", what, id)
		}
	}
}

// worker is one user's day: it makes, changes and removes things as long as it
// is told to, and writes down what was acknowledged.
type worker struct {
	c                *client
	r                *rand.Rand
	servers, volumes *ledger
	images           *ledger
	network, image   string
	unexpected       func(what string, status int, body []byte)
	answered, lost   *atomic.Int64 // requests
}

func idOf(body []byte, key string) string {
	var reply map[string]struct{ ID string }
	if json.Unmarshal(body, &reply) != nil {
		return ""
	}
	return reply[key].ID
}

// things are what a worker has made and not removed.
type things struct{ servers, disks, images []string }

func (w *worker) turn(has *things) {
	mine, disks, images := &has.servers, &has.disks, &has.images
	pick := func(list []string) string { return list[w.r.IntN(len(list))] }
	switch n := w.r.IntN(13); {
	case n == 10 && len(*images) < 3:
		w.ask("POST", "/image/v2/images", map[string]any{"name": "w", "disk_format": "raw", "container_format": "bare"}, []int{201}, func(body []byte) {
			var image struct{ ID string }
			err := json.Unmarshal(body, &image)
			if err == nil {
				w.images.note(w.images.created, image.ID)
				*images = append(*images, image.ID)
			}
		})
	case n == 11 && len(*images) > 0:
		w.ask("POST", "/image/v2/images/"+pick(*images)+"/import",
			map[string]any{"method": map[string]any{"name": "web-download", "uri": w.c.url + "/identity/v3"}}, []int{202, 404, 409}, nil)
	case n == 12 && len(*images) > 0:
		w.remove(images, w.images, "/image/v2/images/", []int{204, 404})
	case n < 3 && len(*mine) < 4:
		w.ask("POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
			"name": "w", "flavorRef": "1", "imageRef": w.image, "networks": []any{map[string]any{"uuid": w.network}},
		}}, []int{202, 403}, func(body []byte) {
			id := idOf(body, "server")
			w.servers.note(w.servers.created, id)
			*mine = append(*mine, id)
		})
	case n < 4 && len(*disks) < 3:
		w.ask("POST", "/volume/v3/volumes", map[string]any{"volume": map[string]any{"name": "w", "size": 1}}, []int{202, 413}, func(body []byte) {
			id := idOf(body, "volume")
			w.volumes.note(w.volumes.created, id)
			*disks = append(*disks, id)
		})
	case n < 5 && len(*mine) > 0 && len(*disks) > 0:
		w.ask("POST", "/compute/v2.1/servers/"+pick(*mine)+"/os-volume_attachments",
			map[string]any{"volumeAttachment": map[string]any{"volumeId": pick(*disks)}}, []int{200, 400, 403, 404, 409}, nil)
	case n < 6 && len(*mine) > 0 && len(*disks) > 0:
		w.ask("DELETE", "/compute/v2.1/servers/"+pick(*mine)+"/os-volume_attachments/"+pick(*disks), nil, []int{202, 400, 404, 409}, nil)
	case n < 8 && len(*mine) > 0:
		action := []string{"os-stop", "os-start"}[w.r.IntN(2)]
		w.ask("POST", "/compute/v2.1/servers/"+pick(*mine)+"/action", map[string]any{action: nil}, []int{202, 404, 409}, nil)
	case n < 9 && len(*mine) > 0:
		w.remove(mine, w.servers, "/compute/v2.1/servers/", []int{204, 404, 409})
	case len(*disks) > 0:
		w.remove(disks, w.volumes, "/volume/v3/volumes/", []int{202, 404, 400})
	}
}

// remove asks for the end of one of the list, and forgets it when it was
// answered that it goes or is gone.
func (w *worker) remove(list *[]string, from *ledger, path string, expected []int) {
	id := (*list)[w.r.IntN(len(*list))]
	from.note(from.doomed, id)
	status := w.ask("DELETE", path+id, nil, expected, func([]byte) { from.note(from.removed, id) })
	if status == expected[0] || status == http.StatusNotFound {
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == id })
	}
}

// ask calls acked when the cloud has acknowledged with the first status. It
// returns the status, 0 when there was no answer.
func (w *worker) ask(method, path string, body any, expected []int, acked func(body []byte)) int {
	status, reply, err := w.c.do(method, path, body)
	if err != nil {
		w.lost.Add(1)
		return 0
	}
	w.answered.Add(1)
	if status == expected[0] && acked != nil {
		acked(reply)
	}
	if !slices.Contains(expected, status) {
		w.unexpected(method+" "+path, status, reply)
	}
	return status
}

// The cloud is killed with -9 at random moments while users work. Afterwards
// nothing is stuck, nothing acknowledged is lost, and nothing is left over.
func TestKilledAtRandomMoments(t *testing.T) {
	const kills = 32
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("NACRE_TEST_SEED"); text != "" {
		_, err := fmt.Sscan(text, &seed)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d: NACRE_TEST_SEED=%d repeats the run's choices", seed, seed)
	v := newVictim(t)
	v.start()
	secrets, err := v.secrets()
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + v.listen
	admin := &client{url: url, user: "admin", pass: secrets.Admin, client: http.Client{Timeout: 10 * time.Second}}
	demo := &client{url: url, user: "demo", pass: secrets.Demo, client: http.Client{Timeout: 10 * time.Second}}
	var networks, images []struct{ ID, Name string }
	demo.list(t, "/network/v2.0/networks?name=private", "networks", &networks)
	demo.list(t, "/image/v2/images?name=cirros", "images", &images)

	servers, volumes, made := newLedger(), newLedger(), newLedger()
	var answered, lost atomic.Int64
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i := range 4 {
		w := &worker{c: demo, r: rand.New(rand.NewPCG(seed, uint64(i))), servers: servers, volumes: volumes, images: made,
			answered: &answered, lost: &lost, network: networks[0].ID, image: images[0].ID,
			unexpected: func(what string, status int, body []byte) { t.Errorf("%s: unexpected %d %s", what, status, body) }}
		working.Go(func() {
			var has things
			for {
				pause := time.Duration(w.r.IntN(8)) * time.Millisecond
				select {
				case <-stop:
					return
				case <-time.After(pause):
					w.turn(&has)
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(seed, 99))
	for range kills {
		<-time.After(time.Duration(50+r.IntN(600)) * time.Millisecond)
		v.kill()
		v.start()
	}
	close(stop)
	working.Wait()
	t.Logf("%d kills, %d requests answered, %d not; acknowledged: %d servers made, %d removed, %d volumes made, %d removed, %d images made, %d removed", kills,
		answered.Load(), lost.Load(), len(servers.created), len(servers.removed), len(volumes.created), len(volumes.removed), len(made.created), len(made.removed))
	if len(servers.removed) < 10 || len(volumes.removed) < 10 || len(made.removed) < 10 {
		t.Errorf("the users got hardly anything done, so this run proves little")
	}
	audit(t, v, admin, servers, volumes, made)
	v.kill()
	autopsy(t, v)
}

// autopsy goes on with the folder of the killed cloud in this process, where it
// can see the hosts: once everything was removed, nothing is left but what a
// fresh cloud has.
func autopsy(t *testing.T, v *victim) {
	t.Helper()
	fresh := testcloud.Start(t, testcloud.Nodes(3))
	fresh.Settle(t)
	cloud := testcloud.Start(t, testcloud.Dir(filepath.Join(v.dir, "cloud")), testcloud.Nodes(3))
	cloud.Settle(t)
	cloud.Demo().RemoveAll(t)
	cloud.Settle(t)
	want := shape(fresh.Snapshot(t))
	cloud.Same(t, want, func() testcloud.World { return shape(cloud.Snapshot(t)) })
}

// shape is a world without anything that two fresh clouds do not share.
func shape(w testcloud.World) testcloud.World {
	w = w.Plain()
	for kind, lines := range w {
		for i, line := range lines {
			lines[i] = random.ReplaceAllString(line, "ID")
		}
		slices.Sort(w[kind])
	}
	delete(w, "catalog_endpoints")
	delete(w, "users") // their password hashes
	return w
}

var random = regexp.MustCompile(`[0-9a-f]{32}`)
