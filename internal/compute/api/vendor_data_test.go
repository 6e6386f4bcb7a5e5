package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/compute"
	"nacre/internal/compute/vendordata"
	"nacre/internal/db"
	"nacre/internal/nodeapi"
)

// vendor is a service of an operator that says of servers what a test chooses.
type vendor struct {
	*httptest.Server
	answer atomic.Value // http.HandlerFunc
	heard  chan map[string]any
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{heard: make(chan map[string]any, 100)}
	v.says(`{}`)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var question map[string]any
		err := json.NewDecoder(r.Body).Decode(&question)
		if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("asked by %s %v: %v", r.Method, r.Header, err)
		}
		v.heard <- question
		v.answer.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) says(text string) {
	v.does(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}

func (v *vendor) does(answer http.HandlerFunc) { v.answer.Store(answer) }

// asked is the last question; nobody asked before is none.
func (v *vendor) asked() (last map[string]any) {
	for {
		select {
		case last = <-v.heard:
		default:
			return last
		}
	}
}

// onDrive is a file of the newest version on the config drive that the server's
// host is to make.
func (c *cloud) onDrive(t *testing.T, id, name string) string {
	t.Helper()
	var m nodeapi.Machine
	err := c.db.Read(c.ctx, func(tx *db.Tx) error {
		documents, err := c.hosts.Documents(c.ctx, tx, id)
		if err != nil {
			return err
		}
		for _, d := range documents {
			if d.Kind == nodeapi.KindMachine {
				return json.Unmarshal(d.Desired, &m)
			}
		}
		return fmt.Errorf("server %s has no document", id)
	})
	var files map[string][]byte
	if err == nil {
		err = json.Unmarshal(m.ConfigDrive, &files)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(files["openstack/latest/"+name])
}

// Guests hear what the operator tells all of them, and what the operator's services
// say of them, by the metadata service and by their config drives.
func TestVendorData(t *testing.T) {
	fine, other := newVendor(t), newVendor(t)
	c := start(t, options{hosts: 1, configure: func(o *compute.Options) {
		o.VendorData = vendordata.New(vendordata.Options{
			Static:  json.RawMessage(`{"ldap":"10.0.0.1"}`),
			Targets: []vendordata.Target{{Name: "fine", URL: fine.URL}, {Name: "other", URL: other.URL + "/v1"}},
			Connect: time.Minute, Read: time.Minute,
		})
	}})
	fine.says(`{"role": "web"}`)
	other.says(`["a", 1]`)
	id := c.active("web", `,"config_drive":true,"user_data":"aGVsbG8=","metadata":{"tier":"1"}`)
	ip := c.must(200, "demo", "GET", "/servers/"+id+"/ips", "").at(t, "addresses", "private", 0, "addr").(string)
	want := map[string]any{
		"project-id": "demo", "instance-id": id, "image-id": imageID, "user-data": "aGVsbG8=", "hostname": "web",
		"metadata": map[string]any{"tier": "1"}, "boot-roles": "member,reader",
	}
	if diff := cmp.Diff(want, fine.asked()); diff != "" {
		t.Errorf("asked for the config drive (-want +got):\n%s", diff)
	}
	served := func(path string, status int, want string) {
		t.Helper()
		r := c.ask(t, "node-1", ip, "GET", "/openstack/"+path, "")
		if r.Status != status || string(r.Body) != want {
			t.Errorf("%s: got %d %s, want %d %s", path, r.Status, r.Body, status, want)
		}
	}
	drive := func(name, want string) {
		t.Helper()
		if got := c.onDrive(t, id, name); got != want {
			t.Errorf("%s on the config drive is %s, want %s", name, got, want)
		}
	}
	const both = `{"fine":{"role":"web"},"other":["a",1],"static":{"ldap":"10.0.0.1"}}`
	served("latest/vendor_data.json", 200, `{"ldap":"10.0.0.1"}`)
	served("2013-10-17/vendor_data.json", 200, `{"ldap":"10.0.0.1"}`)
	drive("vendor_data.json", `{"ldap":"10.0.0.1"}`)
	drive("vendor_data2.json", both)
	if got := fine.asked(); got != nil {
		t.Errorf("asked without need: %v", got)
	}
	served("2016-06-30/vendor_data2.json", 404, "Not found.\n")
	if got := fine.asked(); got != nil {
		t.Errorf("asked for a version without it: %v", got)
	}
	served("2016-10-06/vendor_data2.json", 200, both)
	if diff := cmp.Diff(want, fine.asked()); diff != "" {
		t.Errorf("asked for the guest (-want +got):\n%s", diff)
	}

	// The one that fails gives nothing, and the other is not touched by it.
	for why, answer := range map[string]http.HandlerFunc{
		"rubbish":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"a":`) },
		"no UTF-8":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "\"\xff\"") },
		"too much":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%q", strings.Repeat("x", 64<<10)) },
		"much to be": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `"%s"`, strings.Repeat("<", 20<<10)) },
		"a refusal":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"a":1}`, http.StatusForbidden) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, fine.URL, http.StatusTemporaryRedirect)
		},
		"cut short":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no content":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"many spaces": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"a":1}`+strings.Repeat(" ", 1<<20)) },
	} {
		other.does(answer)
		served("latest/vendor_data2.json", 200, `{"fine":{"role":"web"},"other":{},"static":{"ldap":"10.0.0.1"}}`)
		if n := len(fine.heard); n != 1 {
			t.Errorf("%s: the other service was asked %d times, want once", why, n)
		}
		fine.asked()
	}
	other.Close()
	served("latest/vendor_data2.json", 200, `{"fine":{"role":"web"},"other":{},"static":{"ldap":"10.0.0.1"}}`)

	// The config drive keeps to what was said, until the server is rebuilt.
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"reboot":{"type":"HARD"}}`)
	c.status(id, "ACTIVE")
	drive("vendor_data2.json", both)
	fine.asked()
	fine.says(`{"role":"db"}`)
	c.must(202, "demo", "POST", "/servers/"+id+"/action", fmt.Sprintf(`{"rebuild":{"imageRef":%q}}`, imageID))
	c.status(id, "ACTIVE")
	drive("vendor_data2.json", `{"fine":{"role":"db"},"other":{},"static":{"ldap":"10.0.0.1"}}`)
	fine.asked()
	c.active("plain", "")
	if got := fine.asked(); got != nil {
		t.Errorf("asked for a server without a config drive: %v", got)
	}
}

// Where failures are fatal, a server whose config drive cannot be made is in ERROR, and
// a guest hears of the failure.
func TestVendorDataFatal(t *testing.T) {
	service := newVendor(t)
	c := start(t, options{hosts: 1, configure: func(o *compute.Options) {
		o.VendorData = vendordata.New(vendordata.Options{Targets: []vendordata.Target{{Name: "cmdb", URL: service.URL}}, Connect: time.Minute, Read: time.Minute, Fatal: true})
	}})
	service.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	lost := c.server("lost", `,"config_drive":true`)
	if r := c.status(lost, "ERROR"); r.at(t, "server", "fault", "message") != "There is no vendor data from cmdb." {
		t.Errorf("the fault is %s", r.body)
	}
	c.must(204, "demo", "DELETE", "/servers/"+lost, "")
	c.gone(lost)

	id := c.active("web", "")
	ip := c.must(200, "demo", "GET", "/servers/"+id+"/ips", "").at(t, "addresses", "private", 0, "addr").(string)
	if r := c.ask(t, "node-1", ip, "GET", "/openstack/latest/vendor_data2.json", ""); r.Status != 500 {
		t.Errorf("got %d %s, want 500", r.Status, r.Body)
	}
	if r := c.ask(t, "node-1", ip, "GET", "/openstack/latest/vendor_data.json", ""); r.Status != 200 || string(r.Body) != "{}" {
		t.Errorf("static data: got %d %s, want {}", r.Status, r.Body)
	}

	// A guest asks for one thing at a time.
	hold, asked := make(chan struct{}), make(chan struct{})
	service.does(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-hold
		io.WriteString(w, `{}`)
	})
	done := make(chan nodeapi.MetadataReply)
	go func() { done <- c.ask(t, "node-1", ip, "GET", "/openstack/latest/vendor_data2.json", "") }()
	<-asked
	if r := c.ask(t, "node-1", ip, "GET", "/openstack/latest/vendor_data2.json", ""); r.Status != 503 {
		t.Errorf("asked again meanwhile: got %d %s, want 503", r.Status, r.Body)
	}
	close(hold)
	if r := <-done; r.Status != 200 || string(r.Body) != `{"cmdb":{},"static":{}}` {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
}
