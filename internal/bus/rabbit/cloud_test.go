package rabbit_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/bus/rabbit/rabbittest"
	"nacre/internal/db"
	"nacre/internal/testcloud"
)

// patience is how long a broker and Python may take on a loaded machine.
const patience = 3 * time.Minute

// notification is what oslo.messaging makes of one.
type notification struct {
	Topic     string         `json:"topic"`
	Priority  string         `json:"priority"`
	Publisher string         `json:"publisher"`
	Type      string         `json:"type"`
	Payload   map[string]any `json:"payload"`
	ID        string         `json:"message_id"`
	User      string         `json:"user"`
	Project   string         `json:"project"`
	Request   string         `json:"request"`
}

// listener is a consumer that we did not write.
type listener struct {
	mu   sync.Mutex // guards told
	told []notification
}

// listen starts OpenStack's own library on the broker.
func listen(t *testing.T, url string) *listener {
	t.Helper()
	l := &listener{}
	cmd := exec.Command("/usr/bin/python3", "testdata/listen.py", strings.Replace(url, "amqp://", "rabbit://", 1))
	life, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	ready, err := lines.ReadString('\n')
	if err != nil || ready != "ready\n" {
		cmd.Wait()
		t.Fatalf("the listener says %q, %v: %s", ready, err, &complaints)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			var n notification
			err = json.Unmarshal([]byte(line), &n)
			if err != nil {
				t.Errorf("the listener says %q", line)
				return
			}
			l.mu.Lock()
			l.told = append(l.told, n)
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		life.Close()
		cmd.Process.Kill() // it has told all that it was asked for
		<-ended
		cmd.Wait()
		if t.Failed() {
			t.Logf("the listener complained:\n%s", &complaints)
		}
	})
	return l
}

// list is what was told so far.
func (l *listener) list() []notification {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

// wait waits for a notification of the type that is about a resource, which
// stands somewhere in its payload.
func (l *listener) wait(t *testing.T, topic, kind, resource string) notification {
	t.Helper()
	var found notification
	await.Until(t, kind+" about "+resource, patience, func() bool {
		for _, n := range l.list() {
			text, _ := json.Marshal(n.Payload)
			if n.Topic == topic && n.Type == kind && strings.Contains(string(text), resource) {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// What OpenStack's own library reads is what a cloud does.
func TestOsloMessagingReadsWhatACloudTells(t *testing.T) {
	t.Parallel()
	url := rabbittest.URL(t)
	l := listen(t, url)
	cloud := testcloud.Start(t, testcloud.Broker(url))
	demo := cloud.Demo()
	server := demo.MustCreateServer(t, "web")
	volume := demo.CreateVolume(t, "data", 1)
	network := demo.Must(t, 201, "POST", "/network/v2.0/networks", `{"network":{"name":"n"}}`).Map(t)["network"].(map[string]any)["id"].(string)
	image := demo.Must(t, 201, "POST", "/image/v2/images", `{"name":"i"}`).Map(t)["id"].(string)
	user := cloud.Admin().Must(t, 201, "POST", "/identity/v3/users", `{"user":{"name":"u"}}`).Map(t)["user"].(map[string]any)["id"].(string)
	demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+server, nil)
	demo.Must(t, 401, "POST", "/identity/v3/auth/tokens", fmt.Sprintf(
		`{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":%q,"password":"wrong"}}}}}`, user))
	cloud.Settle(t)

	object := l.wait(t, "versioned_notifications", "instance.create.end", server)
	if object.Payload["nova_object.name"] != "InstanceCreatePayload" || object.Priority != "info" || object.Publisher != "nova-compute:node-1" {
		t.Errorf("instance.create.end is %+v", object)
	}
	flat := l.wait(t, "notifications", "compute.instance.create.end", server)
	if flat.Payload["instance_id"] != server || flat.Payload["state"] != "active" || flat.Publisher != "compute.node-1" {
		t.Errorf("compute.instance.create.end is %+v", flat)
	}
	if flat.User == "" || flat.Project == "" || flat.Request != object.Request || !strings.HasPrefix(flat.Request, "req-") {
		t.Errorf("it was done by user %q, project %q in request %q, the other says request %q", flat.User, flat.Project, flat.Request, object.Request)
	}
	if flat.ID == object.ID {
		t.Errorf("both notifications have the id %s", flat.ID)
	}
	l.wait(t, "notifications", "volume.create.end", volume)
	l.wait(t, "notifications", "network.create.end", network)
	l.wait(t, "notifications", "image.create", image)
	audit := l.wait(t, "notifications", "identity.user.created", user)
	initiator, _ := audit.Payload["initiator"].(map[string]any)
	if audit.Payload["resource_info"] != user || initiator["user_id"] == nil || initiator["request_id"] == nil {
		t.Errorf("identity.user.created is %+v", audit)
	}
	failure := l.wait(t, "notifications", "identity.authenticate", user)
	initiator, _ = failure.Payload["initiator"].(map[string]any)
	host, _ := initiator["host"].(map[string]any)
	if failure.Payload["outcome"] != "failure" || initiator["user_id"] != user || host["address"] == nil {
		t.Errorf("identity.authenticate is %+v", failure)
	}
	l.wait(t, "versioned_notifications", "instance.delete.end", server)
}

// load makes, renames and removes networks, and notes what has to be told of each.
type load struct {
	user  testcloud.User
	made  atomic.Int64 // networks
	calls atomic.Int64

	mu   sync.Mutex // guards want
	want map[string][]string
}

// do works on so many networks, several at a time.
func (l *load) do(t *testing.T, networks int) {
	t.Helper()
	var workers sync.WaitGroup
	for worker := range 4 {
		workers.Go(func() {
			for turn := worker; turn < networks; turn += 4 {
				l.once(t, fmt.Sprint("net-", l.made.Add(1)))
			}
		})
	}
	workers.Wait()
}

// once does four calls. Each of them has to succeed, whatever happens to the
// broker.
func (l *load) once(t *testing.T, name string) {
	var id string
	for i, call := range []struct{ method, body, told string }{
		{"POST", `{"network":{"name":"` + name + `"}}`, "network.create.end"},
		{"PUT", `{"network":{"name":"` + name + `-a"}}`, "network.update.end " + name + "-a"},
		{"PUT", `{"network":{"name":"` + name + `-b"}}`, "network.update.end " + name + "-b"},
		{"DELETE", "", "network.delete.end"},
	} {
		path := "/network/v2.0/networks"
		if i > 0 {
			path += "/" + id
		}
		reply := l.user.Do(t, call.method, path, call.body)
		if reply.Status >= http.StatusBadRequest {
			t.Errorf("%s %s: got %d %s", call.method, path, reply.Status, reply.Body)
			return
		}
		if i == 0 {
			id = reply.Map(t)["network"].(map[string]any)["id"].(string)
		}
		l.calls.Add(1)
		l.mu.Lock()
		l.want[id] = append(l.want[id], call.told)
		l.mu.Unlock()
	}
}

// missing are the networks of which not everything has been told yet, or not in
// the order in which it happened. What is told twice counts the first time.
func (l *load) missing(told []notification) []string {
	got := map[string][]string{}
	seen := map[string]bool{}
	for _, n := range told {
		network, _ := n.Payload["network"].(map[string]any)
		if !strings.HasPrefix(n.Type, "network.") || !strings.HasSuffix(n.Type, ".end") || network == nil || seen[n.ID] {
			continue
		}
		seen[n.ID] = true
		id, line := fmt.Sprint(network["id"]), n.Type
		if n.Type == "network.update.end" {
			line += " " + fmt.Sprint(network["name"])
		}
		got[id] = append(got[id], line)
	}
	var list []string
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, want := range l.want {
		if !slices.Equal(got[id], want) {
			list = append(list, fmt.Sprintf("%s: told %q, want %q", id, got[id], want))
		}
	}
	return list
}

// outbox is how many events wait.
func outbox(t *testing.T, cloud *testcloud.Cloud) int {
	var n int
	err := cloud.App.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Get(t.Context(), &n, "SELECT COUNT(*) FROM outbox")
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// Nothing that happens to the broker stops the cloud, and nothing is lost: once
// the broker is back, everything is told, in order.
func TestNothingIsLostWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	broker := rabbittest.Start(t)
	line := rabbittest.NewLine(t, broker.Address())
	l := listen(t, broker.URL())
	cloud := testcloud.Start(t, testcloud.Broker(line.URL(broker.URL())))
	work := &load{user: cloud.Demo(), want: map[string][]string{}}
	work.do(t, 10)
	run := func() {
		err := broker.Run()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, fault := range []struct {
		what        string
		begin, stop func()
	}{
		// First, since a queue of RabbitMQ 3.10 that is seconds old can be without a
		// leader for good when its only broker is killed.
		{"the broker is stopped", broker.Stop, run},
		{"the broker is killed", broker.Kill, run},
		{"the broker stands still", broker.Freeze, broker.Thaw},
		{"the line is cut", line.Cut, line.Mend},
		{"the broker has no space", func() { broker.Alarm(t) }, func() { broker.Calm(t) }},
	} {
		// It happens in the middle of work, which goes on.
		during := make(chan struct{})
		calls := work.calls.Load()
		go func() {
			defer close(during)
			work.do(t, 40)
		}()
		await.Until(t, "work to begin", patience, func() bool { return work.calls.Load() > calls+20 })
		fault.begin()
		<-during
		work.do(t, 10)
		if n := outbox(t, cloud); n < 40 {
			t.Errorf("while %s %d events wait, want all of the last 40 at least", fault.what, n)
		}
		fault.stop()
		work.do(t, 10)
		await.Until(t, "all events to leave after "+fault.what, patience, func() bool { return outbox(t, cloud) == 0 })
	}
	t.Cleanup(func() {
		for _, m := range work.missing(l.list()) {
			t.Error(m)
		}
	})
	await.Until(t, "everything to be told", patience, func() bool { return len(work.missing(l.list())) == 0 })
	t.Logf("%d calls about %d networks all succeeded, %d notifications were read: none lost, all in order", work.calls.Load(), work.made.Load(), len(l.list()))
}
