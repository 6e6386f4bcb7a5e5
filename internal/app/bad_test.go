package app_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// bad is a request that must be refused. In paths and bodies, {name} is an id
// from the stage.
type bad struct {
	name, method, path string
	body               any
	want               int
	headers            []string
}

var long = strings.Repeat("n", 256)

// creations are the calls that make something, with a body that is right but
// for what a test changes.
var creations = []struct {
	path, key string
	body      map[string]any
	long      int // what a name of 256 characters gets
}{
	{"/compute/v2.1/servers", "server", map[string]any{"flavorRef": "1", "imageRef": "{image}", "networks": "none"}, 400},
	{"/compute/v2.1/os-keypairs", "keypair", map[string]any{"public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILsMpBdGZkXd8S6bTUsTtAcmDArFZ0MxUA4MIzSbJz6R x", "type": "ssh"}, 400},
	{"/compute/v2.1/os-server-groups", "server_group", map[string]any{"policy": "affinity"}, 400},
	{"/network/v2.0/networks", "network", map[string]any{}, 400},
	{"/network/v2.0/subnets", "subnet", map[string]any{"network_id": "{network}", "cidr": "10.9.0.0/24", "ip_version": 4}, 400},
	{"/network/v2.0/ports", "port", map[string]any{"network_id": "{network}"}, 400},
	{"/network/v2.0/routers", "router", map[string]any{}, 400},
	{"/network/v2.0/security-groups", "security_group", map[string]any{}, 400},
	{"/volume/v3/volumes", "volume", map[string]any{"size": 1}, 400},
	{"/volume/v3/snapshots", "snapshot", map[string]any{"volume_id": "{volume}"}, 400},
}

// general are the mistakes that can be made with every creation.
func general() []bad {
	var out []bad
	for _, c := range creations {
		with := func(name string, value any) map[string]any {
			body := map[string]any{"name": "x"}
			for k, v := range c.body {
				body[k] = v
			}
			body[name] = value
			return map[string]any{c.key: body}
		}
		out = append(out,
			bad{"cut off", "POST", c.path, `{"` + c.key + `": {`, 400, nil},
			bad{"no JSON", "POST", c.path, `name=x`, 400, nil},
			bad{"nothing", "POST", c.path, ``, 400, nil},
			bad{"a list", "POST", c.path, `[]`, 400, nil},
			bad{"null", "POST", c.path, `{"` + c.key + `": null}`, 400, nil},
			bad{"a text", "POST", c.path, `{"` + c.key + `": "x"}`, 400, nil},
			bad{"another key", "POST", c.path, `{"thing": {}}`, 400, nil},
			bad{"no UTF-8", "POST", c.path, "{\"" + c.key + "\": {\"name\": \"\xff\xfe\"}}", 400, nil},
			bad{"deep", "POST", c.path, `{"` + c.key + `": ` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, 400, nil},
			bad{"name is a list", "POST", c.path, with("name", []int{1}), 400, nil},
			bad{"long name", "POST", c.path, with("name", long), c.long, nil},
			bad{"oversized", "POST", c.path, with("name", strings.Repeat("n", 2<<20)), 413, nil},
		)
		if c.key != "volume" { // Cinder's schema leaves it open
			out = append(out, bad{"unknown field", "POST", c.path, with("no_such_field", 1), 400, nil})
		}
	}
	return out
}

// special are the mistakes that only one call knows.
func special() []bad {
	server := func(fields string) string {
		return `{"server": {"name": "x", "flavorRef": "1", "imageRef": "{image}", "networks": "none", ` + fields + `}}`
	}
	microversion := func(v string) []string { return []string{"OpenStack-API-Version", v} }
	return []bad{
		{"microversion too high", "GET", "/compute/v2.1/servers", nil, 406, microversion("compute 2.999")},
		{"microversion too low", "GET", "/compute/v2.1/servers", nil, 406, microversion("compute 1.0")},
		{"microversion is no number", "GET", "/compute/v2.1/servers", nil, 400, microversion("compute two")},
		{"microversion too high", "GET", "/volume/v3/volumes", nil, 406, microversion("volume 3.999")},
		{"microversion is no number", "GET", "/volume/v3/volumes", nil, 400, microversion("volume x.y")},
		{"route of a later version", "GET", "/compute/v2.1/servers/{server}/topology", nil, 404, microversion("compute 2.77")},
		{"field of a later version", "POST", "/compute/v2.1/servers", server(`"hostname": "h"`), 400, microversion("compute 2.89")},

		{"no such flavor", "POST", "/compute/v2.1/servers", `{"server": {"name": "x", "flavorRef": "no", "imageRef": "{image}", "networks": "none"}}`, 400, nil},
		{"no such image", "POST", "/compute/v2.1/servers", `{"server": {"name": "x", "flavorRef": "1", "imageRef": "{nobody}", "networks": "none"}}`, 400, nil},
		{"image is no id", "POST", "/compute/v2.1/servers", `{"server": {"name": "x", "flavorRef": "1", "imageRef": "../../etc", "networks": "none"}}`, 400, nil},
		{"no such network", "POST", "/compute/v2.1/servers", `{"server": {"name": "x", "flavorRef": "1", "imageRef": "{image}", "networks": [{"uuid": "{nobody}"}]}}`, 400, nil},
		{"another's network", "POST", "/compute/v2.1/servers", `{"server": {"name": "x", "flavorRef": "1", "imageRef": "{image}", "networks": [{"uuid": "{their network}"}]}}`, 400, nil},
		{"another's port", "POST", "/compute/v2.1/servers", `{"server": {"name": "x", "flavorRef": "1", "imageRef": "{image}", "networks": [{"port": "{their port}"}]}}`, 400, nil},
		{"no such group", "POST", "/compute/v2.1/servers", `{"server": {"name": "x", "flavorRef": "1", "imageRef": "{image}", "networks": [{"uuid": "{network}"}], "security_groups": [{"name": "nobody"}]}}`, 400, nil},
		{"no such key", "POST", "/compute/v2.1/servers", server(`"key_name": "nobody"`), 400, nil},
		{"user data is no base64", "POST", "/compute/v2.1/servers", server(`"user_data": "@@@"`), 400, nil},
		{"too many at once", "POST", "/compute/v2.1/servers", server(`"min_count": 99, "max_count": 99`), 403, nil},
		{"min above max", "POST", "/compute/v2.1/servers", server(`"min_count": 3, "max_count": 2`), 400, nil},
		{"metadata of wrong type", "POST", "/compute/v2.1/servers", server(`"metadata": {"a": 1}`), 400, nil},
		{"another's volume", "POST", "/compute/v2.1/servers/{server}/os-volume_attachments", `{"volumeAttachment": {"volumeId": "{their volume}"}}`, 404, nil},
		{"no such action", "POST", "/compute/v2.1/servers/{server}/action", `{"explode": null}`, 400, nil},
		{"two actions", "POST", "/compute/v2.1/servers/{server}/action", `{"os-start": null, "os-stop": null}`, 400, nil},
		{"start what runs", "POST", "/compute/v2.1/servers/{server}/action", `{"os-start": null}`, 409, nil},
		{"a limit that is none", "GET", "/compute/v2.1/servers?limit=-1", nil, 400, nil},
		{"a marker that is none", "GET", "/compute/v2.1/servers?marker={nobody}", nil, 400, nil},

		{"overlapping subnet", "POST", "/network/v2.0/subnets", `{"subnet": {"network_id": "{network}", "cidr": "10.0.0.0/25", "ip_version": 4}}`, 400, nil},
		{"cidr of the other version", "POST", "/network/v2.0/subnets", `{"subnet": {"network_id": "{network}", "cidr": "10.9.0.0/24", "ip_version": 6}}`, 400, nil},
		{"cidr is none", "POST", "/network/v2.0/subnets", `{"subnet": {"network_id": "{network}", "cidr": "10.9.0.0/99", "ip_version": 4}}`, 400, nil},
		{"gateway in the pool", "POST", "/network/v2.0/subnets", `{"subnet": {"network_id": "{network}", "cidr": "10.9.0.0/24", "ip_version": 4, "gateway_ip": "10.9.0.5", "allocation_pools": [{"start": "10.9.0.2", "end": "10.9.0.9"}]}}`, 409, nil},
		{"pool outside", "POST", "/network/v2.0/subnets", `{"subnet": {"network_id": "{network}", "cidr": "10.9.0.0/24", "ip_version": 4, "allocation_pools": [{"start": "10.8.0.2", "end": "10.8.0.9"}]}}`, 400, nil},
		{"address of no subnet", "POST", "/network/v2.0/ports", `{"port": {"network_id": "{network}", "fixed_ips": [{"ip_address": "192.0.2.1"}]}}`, 400, nil},
		{"address is taken", "POST", "/network/v2.0/ports", `{"port": {"network_id": "{network}", "fixed_ips": [{"ip_address": "{address}"}]}}`, 409, nil},
		{"address is none", "POST", "/network/v2.0/ports", `{"port": {"network_id": "{network}", "fixed_ips": [{"ip_address": "10.0.0.999"}]}}`, 400, nil},
		{"no free address", "POST", "/network/v2.0/ports", `{"port": {"network_id": "{full network}"}}`, 409, nil},
		{"MAC is none", "POST", "/network/v2.0/ports", `{"port": {"network_id": "{network}", "mac_address": "zz"}}`, 400, nil},
		{"another's network", "POST", "/network/v2.0/ports", `{"port": {"network_id": "{their network}"}}`, 404, nil},
		{"network in use", "DELETE", "/network/v2.0/networks/{network}", nil, 409, nil},
		{"default group", "DELETE", "/network/v2.0/security-groups/{group}", nil, 409, nil},
		{"port range upside down", "POST", "/network/v2.0/security-group-rules", `{"security_group_rule": {"security_group_id": "{group}", "direction": "ingress", "protocol": "tcp", "port_range_min": 9, "port_range_max": 1}}`, 400, nil},
		{"ports without protocol", "POST", "/network/v2.0/security-group-rules", `{"security_group_rule": {"security_group_id": "{group}", "direction": "ingress", "port_range_min": 1, "port_range_max": 9}}`, 400, nil},
		{"no such direction", "POST", "/network/v2.0/security-group-rules", `{"security_group_rule": {"security_group_id": "{group}", "direction": "up"}}`, 400, nil},
		{"floating IP of an inner network", "POST", "/network/v2.0/floatingips", `{"floatingip": {"floating_network_id": "{network}"}}`, 400, nil},
		{"floating IP for another's port", "POST", "/network/v2.0/floatingips", `{"floatingip": {"floating_network_id": "{public}", "port_id": "{their port}"}}`, 404, nil},

		{"no size", "POST", "/volume/v3/volumes", `{"volume": {"name": "x"}}`, 400, nil},
		{"size zero", "POST", "/volume/v3/volumes", `{"volume": {"size": 0}}`, 400, nil},
		{"size is a text", "POST", "/volume/v3/volumes", `{"volume": {"size": "big"}}`, 400, nil},
		{"size beyond the quota", "POST", "/volume/v3/volumes", `{"volume": {"size": 100000}}`, 413, nil},
		{"size beyond numbers", "POST", "/volume/v3/volumes", `{"volume": {"size": 99999999999999999999999}}`, 400, nil},
		{"no such type", "POST", "/volume/v3/volumes", `{"volume": {"size": 1, "volume_type": "nobody"}}`, 404, nil},
		{"another's volume as source", "POST", "/volume/v3/volumes", `{"volume": {"size": 1, "source_volid": "{their volume}"}}`, 404, nil},
		{"smaller", "POST", "/volume/v3/volumes/{volume}/action", `{"os-extend": {"new_size": 1}}`, 400, nil},

		{"no such format", "POST", "/image/v2/images", `{"name": "x", "disk_format": "floppy", "container_format": "bare"}`, 400, nil},
		{"not ours to publish", "POST", "/image/v2/images", `{"name": "x", "visibility": "public"}`, 403, nil},
		{"name is a number", "POST", "/image/v2/images", `{"name": 7}`, 400, nil},
		{"long name", "POST", "/image/v2/images", `{"name": "` + long + `"}`, 400, nil},
		{"cut off", "POST", "/image/v2/images", `{"name": `, 400, nil},
		{"a field that is the service's", "POST", "/image/v2/images", `{"name": "x", "checksum": "0"}`, 403, nil},
		{"not ours to delete", "DELETE", "/image/v2/images/{image}", nil, 403, nil},

		{"no such class", "PUT", "/placement/allocations/{nobody}", `{}`, 403, nil},
		{"no such method", "POST", "/identity/v3/auth/tokens", `{"auth": {"identity": {"methods": ["magic"]}}}`, 401, nil},
		{"no identity", "POST", "/identity/v3/auth/tokens", `{"auth": {}}`, 400, nil},
		{"cut off", "POST", "/identity/v3/auth/tokens", `{"auth": `, 400, nil},
		{"wrong password", "POST", "/identity/v3/auth/tokens", `{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "demo", "domain": {"id": "default"}, "password": "no"}}}}}`, 401, nil},
		{"not an operator", "POST", "/identity/v3/projects", `{"project": {"name": "x"}}`, 403, nil},

		{"no such container", "PUT", "/v1/AUTH_{project}/nobody/x", []byte("x"), 404, nil},
		{"container of 257", "PUT", "/v1/AUTH_{project}/" + long + "n", nil, 400, nil},
		{"object of 1025", "PUT", "/v1/AUTH_{project}/box/" + strings.Repeat("o", 1025), []byte("x"), 400, nil},
		{"wrong ETag", "PUT", "/v1/AUTH_{project}/box/x", []byte("x"), 422, []string{"ETag", strings.Repeat("0", 32)}},
		{"container in use", "DELETE", "/v1/AUTH_{project}/box", nil, 409, nil},
		{"another's account", "GET", "/v1/AUTH_{their project}", nil, 403, nil},
	}
}

// foreign are ids of another project's things: they do not exist for us.
func foreign() []bad {
	var out []bad
	for _, r := range []struct{ path, kind, put string }{
		{"/compute/v2.1/servers/", "server", `{"server": {"name": "stolen"}}`},
		{"/network/v2.0/networks/", "network", `{"network": {"name": "stolen"}}`},
		{"/network/v2.0/subnets/", "subnet", `{"subnet": {"name": "stolen"}}`},
		{"/network/v2.0/ports/", "port", `{"port": {"name": "stolen"}}`},
		{"/network/v2.0/security-groups/", "group", `{"security_group": {"name": "stolen"}}`},
		{"/volume/v3/volumes/", "volume", `{"volume": {"name": "stolen"}}`},
	} {
		for _, id := range []string{"{their " + r.kind + "}", "{nobody}", "no-id", "%00", "..%2f..", "'%3B--"} {
			out = append(out,
				bad{"foreign", "GET", r.path + id, nil, 404, nil},
				bad{"foreign", "PUT", r.path + id, r.put, 404, nil},
				bad{"foreign", "DELETE", r.path + id, nil, 404, nil})
		}
	}
	return out
}

// Whatever is asked wrongly is refused as OpenStack refuses it, and leaves
// nothing behind: no error in the log, no half-made thing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo := cloud.Demo()
	ids := badStage(t, cloud)
	cloud.Settle(t)
	before := cloud.Snapshot(t)
	fill := func(text string) string {
		for name, id := range ids {
			text = strings.ReplaceAll(text, "{"+name+"}", id)
		}
		return text
	}
	for _, cases := range [][]bad{general(), special(), foreign()} {
		for _, b := range cases {
			body := b.body
			switch v := body.(type) {
			case string:
				body = fill(v)
			case map[string]any:
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				body = fill(string(text))
			}
			r := demo.Do(t, b.method, fill(b.path), body, b.headers...)
			if r.Status != b.want {
				t.Errorf("%s: %s %.80s: got %d %.300s, want %d", b.name, b.method, b.path, r.Status, r.Body, b.want)
			}
			if r.Status < 300 && r.Header.Get("Location") == "" {
				var made map[string]struct{ ID string }
				_ = json.Unmarshal(r.Body, &made) // only to go on after a failure above
				for _, m := range made {
					demo.Do(t, "DELETE", fill(b.path)+"/"+m.ID, nil)
				}
			}
		}
	}
	cloud.Settle(t)
	// Bytes of an object that were refused are swept two minutes later.
	delete(before, "blobs")
	cloud.Same(t, before, func() testcloud.World {
		after := cloud.Snapshot(t)
		delete(after, "blobs")
		return after
	})
}

// badStage makes what the requests speak of: things of ours, and things of
// another project, whose names begin with "their".
func badStage(t *testing.T, cloud *testcloud.Cloud) map[string]string {
	t.Helper()
	demo, admin := cloud.Demo(), cloud.Admin()
	ids := map[string]string{
		"image": demo.Image(t, "cirros"), "network": demo.Network(t, "private"), "public": demo.Network(t, "public"),
		"nobody": "00000000-0000-4000-8000-00000000dead", "project": demo.Project(t), "their project": admin.Project(t),
	}
	ids["server"] = demo.MustCreateServer(t, "web")
	ids["volume"] = demo.CreateVolume(t, "data", 2)
	ids["their volume"] = admin.CreateVolume(t, "data", 1)
	ids["their network"] = createNetwork(t, admin, "10.7.0.0/24")
	ids["their subnet"] = made(t, admin, "GET", "/network/v2.0/subnets?network_id="+ids["their network"], "subnets", nil)
	ids["their port"] = made(t, admin, "POST", "/network/v2.0/ports", "port", map[string]any{"port": map[string]any{"network_id": ids["their network"]}})
	ids["their server"] = made(t, admin, "POST", "/compute/v2.1/servers", "server", map[string]any{"server": map[string]any{
		"name": "theirs", "flavorRef": "1", "imageRef": ids["image"], "networks": []any{map[string]any{"uuid": ids["their network"]}}}})
	ids["their group"] = made(t, admin, "POST", "/network/v2.0/security-groups", "security_group", map[string]any{"security_group": map[string]any{"name": "theirs"}})
	ids["group"] = made(t, demo, "GET", "/network/v2.0/security-groups?name=default", "security_groups", nil)
	ids["full network"] = createNetwork(t, demo, "10.6.0.0/30") // for the gateway and DHCP
	var ports struct {
		Ports []struct {
			FixedIPs []struct {
				IP string `json:"ip_address"`
			} `json:"fixed_ips"`
		}
	}
	demo.Must(t, 200, "GET", "/network/v2.0/ports?device_id="+ids["server"], nil).JSON(t, &ports)
	ids["address"] = ports.Ports[0].FixedIPs[0].IP
	demo.Must(t, 201, "PUT", "/v1/AUTH_"+ids["project"]+"/box", nil)
	demo.Must(t, 201, "PUT", "/v1/AUTH_"+ids["project"]+"/box/kept", []byte("kept"))
	return ids
}

// made returns the id in a reply, of the first one when it is a list.
func made(t testing.TB, u testcloud.User, method, path, key string, body any) string {
	t.Helper()
	r := u.Do(t, method, path, body)
	if r.Status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, r.Status, r.Body)
	}
	var reply map[string]json.RawMessage
	r.JSON(t, &reply)
	var one struct{ ID string }
	var list []struct{ ID string }
	if json.Unmarshal(reply[key], &list) == nil && len(list) > 0 {
		return list[0].ID
	}
	err := json.Unmarshal(reply[key], &one)
	if err != nil || one.ID == "" {
		t.Fatalf("%s %s: no id in %s", method, path, r.Body)
	}
	return one.ID
}

// A server that no host can have fails with the reason in its fault, and can be
// deleted.
func TestNoValidHost(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo := cloud.Demo()
	cloud.Settle(t)
	before := cloud.Snapshot(t)
	huge := made(t, cloud.Admin(), "POST", "/compute/v2.1/flavors", "flavor", map[string]any{"flavor": map[string]any{
		"name": "huge", "vcpus": 4, "ram": 1024, "disk": 100000}})
	id := made(t, demo, "POST", "/compute/v2.1/servers", "server", map[string]any{"server": map[string]any{
		"name": "huge", "flavorRef": huge, "imageRef": demo.Image(t, "cirros"), "networks": "none"}})
	cloud.Settle(t)
	var shown struct {
		Server struct {
			Status string
			Fault  struct{ Message string }
		}
	}
	demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+id, nil).JSON(t, &shown)
	if shown.Server.Status != "ERROR" || !strings.Contains(shown.Server.Fault.Message, "No valid host was found.") || len(shown.Server.Fault.Message) < 30 {
		t.Errorf("got %+v, want ERROR and No valid host was found with a reason", shown.Server)
	}
	demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+id, nil)
	cloud.Admin().Must(t, 202, "DELETE", "/compute/v2.1/flavors/"+huge, nil)
	cloud.Settle(t)
	cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
}

// Bytes that would make a reader of the image open other files, or believe in
// sizes, are refused, and no byte of them is kept.
func TestHostileImages(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo := cloud.Demo()
	cloud.Settle(t)
	before := cloud.Snapshot(t)
	qcow2 := func(size, backing, features uint64) []byte {
		b := make([]byte, 4<<16)
		copy(b, "QFI\xfb")
		binary.BigEndian.PutUint32(b[4:], 3)
		binary.BigEndian.PutUint64(b[8:], backing)
		if backing > 0 {
			binary.BigEndian.PutUint32(b[16:], uint32(copy(b[backing:], "/etc/passwd")))
		}
		binary.BigEndian.PutUint32(b[20:], 16)
		binary.BigEndian.PutUint64(b[24:], size)
		binary.BigEndian.PutUint32(b[36:], 1)
		binary.BigEndian.PutUint64(b[40:], 3<<16)
		binary.BigEndian.PutUint64(b[48:], 1<<16)
		binary.BigEndian.PutUint32(b[56:], 1)
		binary.BigEndian.PutUint64(b[72:], features)
		binary.BigEndian.PutUint32(b[96:], 4)
		binary.BigEndian.PutUint32(b[100:], 104)
		return b
	}
	vmdk := "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\nRW 2048 FLAT \"/etc/passwd\" 0\n"
	for _, c := range []struct {
		name, format string
		bytes        []byte
	}{
		{"a backing file", "qcow2", qcow2(16<<20, 512, 0)},
		{"a data file", "qcow2", qcow2(16<<20, 0, 4)},
		{"8 EiB in a kilobyte", "qcow2", qcow2(8<<60, 0, 0)[:1024]},
		{"an extent path", "vmdk", []byte(vmdk + strings.Repeat("\x00", 2048))},
		{"a qcow2 that says it is raw", "raw", qcow2(16<<20, 512, 0)},
	} {
		r := demo.Must(t, 201, "POST", "/image/v2/images", map[string]any{"name": c.name, "disk_format": c.format, "container_format": "bare"})
		var image struct{ ID string }
		r.JSON(t, &image)
		path := "/image/v2/images/" + image.ID
		r = demo.Do(t, "PUT", path+"/file", c.bytes)
		if r.Status != http.StatusUnsupportedMediaType && r.Status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 415 or 400", c.name, r.Status, r.Body)
		}
		var shown struct{ Status string }
		demo.Must(t, 200, "GET", path, nil).JSON(t, &shown)
		if shown.Status == "active" {
			t.Errorf("%s: the image is active", c.name)
		}
		r = demo.Do(t, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
			"name": "x", "flavorRef": "1", "imageRef": image.ID, "networks": "none"}})
		if r.Status != 400 {
			t.Errorf("%s: a server from it: got %d %s, want 400", c.name, r.Status, r.Body)
		}
		demo.Must(t, 204, "DELETE", path, nil)
	}
	cloud.Settle(t)
	cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
}

// What the quota does not allow is refused as a whole.
func TestQuotas(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo, admin := cloud.Demo(), cloud.Admin()
	project := demo.Project(t)
	admin.Must(t, 200, "PUT", "/network/v2.0/quotas/"+project, `{"quota": {"port": 1, "network": 1, "subnet": 1, "router": 1, "floatingip": 0, "security_group": 1}}`)
	admin.Must(t, 200, "PUT", "/volume/v3/os-quota-sets/"+project, `{"quota_set": {"volumes": 0}}`)
	admin.Must(t, 200, "PUT", "/compute/v2.1/os-quota-sets/"+project, `{"quota_set": {"cores": 1}}`)
	cloud.Settle(t)
	before := cloud.Snapshot(t)
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/network/v2.0/ports", `{"port": {"network_id": "` + demo.Network(t, "private") + `"}}`, 409},
		{"/network/v2.0/networks", `{"network": {}}`, 409},
		{"/network/v2.0/routers", `{"router": {}}`, 409},
		{"/network/v2.0/security-groups", `{"security_group": {"name": "x"}}`, 409},
		{"/network/v2.0/floatingips", `{"floatingip": {"floating_network_id": "` + demo.Network(t, "public") + `"}}`, 409},
		{"/volume/v3/volumes", `{"volume": {"size": 1}}`, 413},
		{"/compute/v2.1/servers", fmt.Sprintf(`{"server": {"name": "x", "flavorRef": "3", "imageRef": %q, "networks": "none"}}`, demo.Image(t, "cirros")), 403},
	} {
		r := demo.Do(t, "POST", c.path, c.body)
		if r.Status != c.want {
			t.Errorf("POST %s %s: got %d %s, want %d", c.path, c.body, r.Status, r.Body, c.want)
		}
	}
	cloud.Settle(t)
	cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
}
