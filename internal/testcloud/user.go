package testcloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// User is somebody who asks the cloud.
type User struct {
	cloud *Cloud
	name  string
	pass  string
	scope string // project name; empty: the system
}

// Admin is the operator, in project admin.
func (c *Cloud) Admin() User {
	return User{c, "admin", c.App.Secrets.Admin, "admin"}
}

// Demo is a plain member of project demo.
func (c *Cloud) Demo() User {
	return User{c, "demo", c.App.Secrets.Demo, "demo"}
}

// next is the server that is asked next.
func (c *Cloud) next() string { return c.URLs[int(c.asked.Add(1))%len(c.URLs)] }

// leastSecret is how long a password is that means nothing else in a log.
const leastSecret = 16

// Token signs the user in, once.
func (u User) Token() string {
	u.cloud.mu.Lock()
	defer u.cloud.mu.Unlock()
	key := u.name + "/" + u.scope
	token, known := u.cloud.tokens[key]
	if known {
		return token
	}
	scope := fmt.Sprintf(`{"project":{"name":%q,"domain":{"id":"default"}}}`, u.scope)
	if u.scope == "" {
		scope = `{"system":{"all":true}}`
	}
	if len(u.pass) >= leastSecret {
		u.cloud.errors.hide(u.pass)
	}
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"id":"default"}}}},
		"scope":%s}}`, u.name, u.pass, scope)
	reply, err := http.Post(u.cloud.next()+"/identity/v3/auth/tokens", "application/json", strings.NewReader(body))
	if err != nil {
		u.cloud.t.Fatalf("sign in as %s: %v", u.name, err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(reply.Body)
		u.cloud.t.Fatalf("sign in as %s: %s %s", u.name, reply.Status, text)
	}
	token = reply.Header.Get("X-Subject-Token")
	u.cloud.tokens[key] = token
	return token
}

// Reply is what the cloud answered.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON reads the body into a value.
func (r Reply) JSON(t testing.TB, into any) {
	t.Helper()
	err := json.Unmarshal(r.Body, into)
	if err != nil {
		t.Fatalf("reply is not what the test expects: %v: %s", err, r.Body)
	}
}

// Map reads the body as a JSON object.
func (r Reply) Map(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	r.JSON(t, &m)
	return m
}

// Do asks the cloud. body is JSON text, bytes, a value to be written as JSON, or
// nil. headers are pairs of name and value.
func (u User) Do(t testing.TB, method, path string, body any, headers ...string) Reply {
	t.Helper()
	var content io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
		kind = ""
	case string:
		content = strings.NewReader(b)
	case []byte:
		content, kind = bytes.NewReader(b), "application/octet-stream"
	default:
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatalf("write body: %v", err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, u.cloud.next()+path, content)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	r.Header.Set("X-Auth-Token", u.Token())
	if strings.HasPrefix(path, "/compute/") {
		r.Header.Set("OpenStack-API-Version", "compute 2.96")
	}
	if strings.HasPrefix(path, "/volume/") {
		r.Header.Set("OpenStack-API-Version", "volume 3.70")
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatalf("%s %s: read the reply: %v", method, path, err)
	}
	return Reply{reply.StatusCode, reply.Header, text}
}

// Must asks the cloud and fails the test unless it answers with the status.
func (u User) Must(t testing.TB, status int, method, path string, body any, headers ...string) Reply {
	t.Helper()
	r := u.Do(t, method, path, body, headers...)
	if r.Status != status {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, r.Status, r.Body, status)
	}
	return r
}

// find returns the id of the first thing in a listing that has the name.
func (u User) find(t testing.TB, path, collection, name string) string {
	t.Helper()
	var list map[string]json.RawMessage
	u.Must(t, 200, "GET", path, nil).JSON(t, &list)
	var items []struct{ ID, Name string }
	err := json.Unmarshal(list[collection], &items)
	if err != nil {
		t.Fatalf("list %s: %v", collection, err)
	}
	for _, i := range items {
		if i.Name == name {
			return i.ID
		}
	}
	t.Fatalf("there is no %s in %s: %v", name, collection, items)
	return ""
}

// Image, Network and Flavor find ids by name.
func (u User) Image(t testing.TB, name string) string {
	return u.find(t, "/image/v2/images", "images", name)
}

// Network finds a network by name.
func (u User) Network(t testing.TB, name string) string {
	return u.find(t, "/network/v2.0/networks", "networks", name)
}

// Flavor finds a flavor by name.
func (u User) Flavor(t testing.TB, name string) string {
	return u.find(t, "/compute/v2.1/flavors", "flavors", name)
}

// Project is the id of the user's project.
func (u User) Project(t testing.TB) string {
	return u.find(t, "/identity/v3/auth/projects", "projects", u.scope)
}

// CreateServer asks for a small server on the private network and returns its id.
func (u User) CreateServer(t testing.TB, name string) string {
	t.Helper()
	r := u.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
		"name": name, "flavorRef": u.Flavor(t, "m1.tiny"), "imageRef": u.Image(t, "cirros"),
		"networks": []any{map[string]any{"uuid": u.Network(t, "private")}},
	}})
	var reply struct{ Server struct{ ID string } }
	r.JSON(t, &reply)
	return reply.Server.ID
}

// ServerStatus is the status of a server, "" when there is none.
func (u User) ServerStatus(t testing.TB, id string) string {
	t.Helper()
	r := u.Do(t, "GET", "/compute/v2.1/servers/"+id, nil)
	if r.Status == http.StatusNotFound {
		return ""
	}
	var reply struct{ Server struct{ Status string } }
	r.JSON(t, &reply)
	return reply.Server.Status
}

// MustCreateServer creates a server and waits until it is ACTIVE.
func (u User) MustCreateServer(t testing.TB, name string) string {
	t.Helper()
	id := u.CreateServer(t, name)
	u.cloud.Settle(t)
	status := u.ServerStatus(t, id)
	if status != "ACTIVE" {
		t.Fatalf("server %s is %s: %s", name, status, u.Do(t, "GET", "/compute/v2.1/servers/"+id, nil).Body)
	}
	return id
}

// Act asks for an action that has no parameters.
func (u User) Act(t testing.TB, server, action string) {
	t.Helper()
	u.Must(t, 202, "POST", "/compute/v2.1/servers/"+server+"/action", map[string]any{action: nil})
}

// PortOf is the one port of a server.
func (u User) PortOf(t testing.TB, server string) string {
	t.Helper()
	var list struct{ Ports []struct{ ID string } }
	u.Must(t, 200, "GET", "/network/v2.0/ports?device_id="+server, nil).JSON(t, &list)
	if len(list.Ports) != 1 {
		t.Fatalf("server %s has %d ports, want 1", server, len(list.Ports))
	}
	return list.Ports[0].ID
}

// FloatingIP makes a floating IP for a port and returns its id.
func (u User) FloatingIP(t testing.TB, port string) string {
	t.Helper()
	var reply struct{ FloatingIP struct{ ID string } }
	u.Must(t, 201, "POST", "/network/v2.0/floatingips", map[string]any{"floatingip": map[string]any{
		"floating_network_id": u.Network(t, "public"), "port_id": port,
	}}).JSON(t, &reply)
	return reply.FloatingIP.ID
}

// CreateVolume asks for an empty volume and returns its id.
func (u User) CreateVolume(t testing.TB, name string, size int) string {
	t.Helper()
	var reply struct{ Volume struct{ ID string } }
	u.Must(t, 202, "POST", "/volume/v3/volumes", map[string]any{"volume": map[string]any{"name": name, "size": size}}).JSON(t, &reply)
	return reply.Volume.ID
}

// VolumeStatus is the status of a volume, "" when there is none.
func (u User) VolumeStatus(t testing.TB, id string) string {
	t.Helper()
	r := u.Do(t, "GET", "/volume/v3/volumes/"+id, nil)
	if r.Status == http.StatusNotFound {
		return ""
	}
	var reply struct{ Volume struct{ Status string } }
	r.JSON(t, &reply)
	return reply.Volume.Status
}

// RemoveAll removes what the user's project has beyond what it was given:
// servers, volumes, snapshots, floating IPs and ports of its own.
func (u User) RemoveAll(t testing.TB) {
	t.Helper()
	u.removeEach(t, "/compute/v2.1/servers", "servers", "/compute/v2.1/servers/")
	u.cloud.Settle(t)
	u.RemoveVolumes(t)
	u.removeEach(t, "/image/v2/images?owner="+u.Project(t), "images", "/image/v2/images/")
	u.removeEach(t, "/network/v2.0/floatingips", "floatingips", "/network/v2.0/floatingips/")
	u.removeEach(t, "/network/v2.0/trunks", "trunks", "/network/v2.0/trunks/")
	u.removeEach(t, "/network/v2.0/ports?device_owner=", "ports", "/network/v2.0/ports/")
	u.cloud.Settle(t)
}

// RemoveVolumes removes what the user's project has in block storage.
func (u User) RemoveVolumes(t testing.TB) {
	t.Helper()
	u.removeEach(t, "/volume/v3/group_snapshots", "group_snapshots", "/volume/v3/group_snapshots/")
	u.cloud.Settle(t)
	for _, id := range u.ids(t, "/volume/v3/groups", "groups") {
		u.Must(t, 202, "POST", "/volume/v3/groups/"+id+"/action", `{"delete":{"delete-volumes":true}}`, newestVolume...)
	}
	u.RemoveBackups(t)
	u.removeEach(t, "/volume/v3/snapshots", "snapshots", "/volume/v3/snapshots/")
	u.cloud.Settle(t)
	u.removeEach(t, "/volume/v3/volumes", "volumes", "/volume/v3/volumes/")
	u.cloud.Settle(t)
}

// RemoveBackups removes backups, those that add to others first, and the
// container that they were in.
func (u User) RemoveBackups(t testing.TB) {
	t.Helper()
	for {
		var all struct {
			Backups []struct {
				ID         string
				Dependents bool `json:"has_dependent_backups"`
			}
		}
		u.Must(t, 200, "GET", "/volume/v3/backups/detail", nil).JSON(t, &all)
		if len(all.Backups) == 0 {
			break
		}
		for _, b := range all.Backups {
			if !b.Dependents {
				u.Must(t, 202, "DELETE", "/volume/v3/backups/"+b.ID, nil)
			}
		}
		u.cloud.Settle(t)
	}
	r := u.Do(t, "DELETE", "/v1/AUTH_"+u.Project(t)+"/volumebackups", nil)
	if r.Status >= 300 && r.Status != http.StatusNotFound {
		t.Fatalf("remove the container of backups: got %d %s", r.Status, r.Body)
	}
}

// newestVolume asks for the newest microversion of block storage.
var newestVolume = []string{"OpenStack-API-Version", "volume latest"}

// ids lists the ids of what is in a list.
func (u User) ids(t testing.TB, list, key string) (ids []string) {
	t.Helper()
	var all map[string]json.RawMessage
	u.Must(t, 200, "GET", list, nil, newestVolume...).JSON(t, &all)
	var items []struct{ ID string }
	err := json.Unmarshal(all[key], &items)
	if err != nil {
		t.Fatalf("list %s: %v", key, err)
	}
	for _, i := range items {
		ids = append(ids, i.ID)
	}
	return ids
}

func (u User) removeEach(t testing.TB, list, key, path string) {
	t.Helper()
	for _, id := range u.ids(t, list, key) {
		r := u.Do(t, "DELETE", path+id, nil, newestVolume...)
		if r.Status >= 300 && r.Status != http.StatusNotFound {
			t.Fatalf("DELETE %s%s: got %d %s", path, id, r.Status, r.Body)
		}
	}
}

// System is a user with the scope of the whole system.
func (c *Cloud) System(name, password string) User { return User{c, name, password, ""} }

// User is somebody else, who was made by the test.
func (c *Cloud) User(name, password, project string) User { return User{c, name, password, project} }
