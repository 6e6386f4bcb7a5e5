package api_test

import (
	"context"
	"strings"
	"testing"

	"nacre/internal/fabric"
)

// told is what the fabric has of a port.
func (c *cloud) told(t *testing.T, port string) fabric.Port {
	t.Helper()
	c.settle(t)
	for _, p := range c.fabric.Topology().Ports {
		if p.ID == port {
			return p
		}
	}
	t.Fatalf("the fabric does not know port %s", port)
	return fabric.Port{}
}

// trunked is a trunk and two ports that may be its VLANs.
type trunked struct {
	*cloud
	parent, first, second, id string
}

func startTrunked(t *testing.T) trunked {
	t.Helper()
	c := trunked{cloud: start(t)}
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	vlans, _ := c.tenant(t, demo, "10.8.0.0/24")
	port := func(net string) string {
		return c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	}
	c.parent, c.first, c.second = port(net), port(vlans), port(vlans)
	c.id = c.make(t, demo, "trunks", "trunk", `{"name":"t","port_id":"`+c.parent+`","sub_ports":[{"port_id":"`+c.first+`","segmentation_type":"vlan","segmentation_id":101}]}`).text("id")
	return c
}

// bind puts the trunk's port on a host, where it is plugged in.
func (c trunked) bind(t *testing.T, host string) {
	t.Helper()
	c.call(t, admin, "PUT", "/ports/"+c.parent, `{"port":{"binding:host_id":"`+host+`"}}`).want(200)
	_, err := c.fabric.Host(host).Plug(context.Background(), fabric.Plug{Port: c.parent})
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t)
}

func TestTrunks(t *testing.T) {
	t.Parallel()
	c := startTrunked(t)
	path := "/trunks/" + c.id
	c.call(t, demo, "GET", path, "").want(200).golden("trunk")
	c.call(t, demo, "GET", "/ports/"+c.parent, "").want(200).golden("port_trunk")
	c.call(t, demo, "PUT", path+"/add_subports", `{"sub_ports":[{"port_id":"`+c.second+`","segmentation_type":"vlan","segmentation_id":102}]}`).want(200).golden("trunk_subports_added")
	c.call(t, demo, "GET", path+"/get_subports", "").want(200).golden("trunk_subports")
	if p := c.told(t, c.second); p.Trunk != c.parent || p.VLAN != 102 || p.Host != "" {
		t.Errorf("the fabric has the subport as %+v", p)
	}

	// The VLANs are where the trunk is.
	heard := c.listen(t)
	c.bind(t, "node-1")
	for _, port := range []string{c.parent, c.first, c.second} {
		p := c.call(t, admin, "GET", "/ports/"+port, "").want(200).one("port")
		if p.text("status") != "ACTIVE" || p.text("binding:host_id") != "node-1" {
			t.Errorf("port is %v on %v, want it ACTIVE on node-1", p["status"], p["binding:host_id"])
		}
	}
	if got := c.call(t, demo, "GET", path, "").one("trunk").text("status"); got != "ACTIVE" {
		t.Errorf("the trunk is %s, want ACTIVE", got)
	}
	last := ""
	for _, m := range heard() {
		if m.Type == "trunk.update.end" {
			last, _ = m.Payload["trunk"].(map[string]any)["status"].(string)
		}
	}
	if last != "ACTIVE" {
		t.Errorf("the last that was told of the trunk is %q, want ACTIVE", last)
	}

	c.call(t, demo, "PUT", path+"/remove_subports", `{"sub_ports":[{"port_id":"`+c.second+`"}]}`).want(200)
	if p := c.told(t, c.second); p.Trunk != "" || p.Host != "" {
		t.Errorf("the fabric has a port that is no subport any longer as %+v", p)
	}
	c.call(t, demo, "PUT", path, `{"trunk":{"name":"u","admin_state_up":false}}`).want(200)
	c.call(t, demo, "PUT", path+"/remove_subports", `{"sub_ports":[{"port_id":"`+c.first+`"}]}`).refused(409, "TrunkDisabled", c.id)
	c.call(t, demo, "DELETE", "/ports/"+c.parent, "").refused(409, "PortInUseAsTrunkParent", c.id)
	c.call(t, demo, "DELETE", "/ports/"+c.first, "").refused(409, "PortInUseAsSubPort", c.id)
	c.call(t, other, "GET", path, "").refused(404, "TrunkNotFound", c.id)
	c.call(t, looker, "DELETE", path, "").refused(403, "PolicyNotAuthorized", "delete_trunk")
	c.call(t, demo, "DELETE", path, "").refused(409, "TrunkDisabled", c.id)
	c.call(t, demo, "PUT", path, `{"trunk":{"admin_state_up":true}}`).want(200)
	c.call(t, demo, "DELETE", path, "").want(204)
	c.call(t, demo, "GET", path, "").refused(404, "TrunkNotFound", c.id)
	p := c.call(t, admin, "GET", "/ports/"+c.first, "").want(200).one("port")
	if p.text("device_owner") != "" || p.text("binding:host_id") != "" || p.text("status") != "DOWN" {
		t.Errorf("a port without its trunk is %v", p)
	}
	c.call(t, demo, "DELETE", "/ports/"+c.parent, "").want(204)
}

// A trunk's number is on the project's quota, and its VLANs follow a move.
func TestTrunkMovesAndCounts(t *testing.T) {
	t.Parallel()
	c := startTrunked(t)
	c.bind(t, "node-1")
	c.bind(t, "node-2")
	if p := c.told(t, c.first); p.Host != "node-2" {
		t.Errorf("the subport is on %q, want node-2", p.Host)
	}
	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"trunk":1}}`).want(200)
	c.call(t, demo, "POST", "/trunks", `{"trunk":{"port_id":"`+c.second+`"}}`).refused(409, "OverQuota", "['trunk']")
	c.call(t, demo, "DELETE", "/trunks/"+c.id, "").want(204)
	c.make(t, demo, "trunks", "trunk", `{"port_id":"`+c.second+`"}`)
}

func TestBadTrunks(t *testing.T) {
	t.Parallel()
	c := startTrunked(t)
	foreign, _ := c.tenant(t, other, "10.7.0.0/24")
	foreign = c.make(t, other, "ports", "port", `{"network_id":"`+foreign+`"}`).text("id")
	wire := c.make(t, admin, "networks", "network", `{"project_id":"demo","provider:network_type":"vlan","provider:physical_network":"lab","provider:segmentation_id":101}`).text("id")
	wide := c.make(t, demo, "ports", "port", `{"network_id":"`+wire+`"}`).text("id")
	taken := c.make(t, demo, "ports", "port", `{"network_id":"`+wire+`","device_id":"vm"}`).text("id")
	fill := strings.NewReplacer("PARENT", c.parent, "FIRST", c.first, "SECOND", c.second, "FOREIGN", foreign, "WIDE", wide, "TAKEN", taken)
	add := "/trunks/" + c.id + "/add_subports"
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		kind, message            string
	}{
		{"no port", "POST", "/trunks", `{"trunk":{}}`, 400, "HTTPBadRequest", "port_id"},
		{"foreign port", "POST", "/trunks", `{"trunk":{"port_id":"FOREIGN"}}`, 404, "PortNotFound", ""},
		{"trunk twice", "POST", "/trunks", `{"trunk":{"port_id":"PARENT"}}`, 409, "TrunkPortInUse", ""},
		{"trunk of a subport", "POST", "/trunks", `{"trunk":{"port_id":"FIRST"}}`, 409, "TrunkPortInUse", ""},
		{"trunk of itself", "POST", "/trunks", `{"trunk":{"port_id":"SECOND","sub_ports":[{"port_id":"SECOND","segmentation_type":"vlan","segmentation_id":1}]}}`, 409, "TrunkPortInUse", ""},
		{"nothing to add", "PUT", add, `{}`, 400, "HTTPBadRequest", "sub_ports"},
		{"VLAN taken", "PUT", add, `{"sub_ports":[{"port_id":"SECOND","segmentation_type":"vlan","segmentation_id":101}]}`, 409, "DuplicateSubPort", "101"},
		{"VLAN out of range", "PUT", add, `{"sub_ports":[{"port_id":"SECOND","segmentation_type":"vlan","segmentation_id":4095}]}`, 400, "InvalidInput", "4095"},
		{"no VLAN", "PUT", add, `{"sub_ports":[{"port_id":"SECOND","segmentation_type":"vlan"}]}`, 400, "HTTPBadRequest", "segmentation_id"},
		{"strange type", "PUT", add, `{"sub_ports":[{"port_id":"SECOND","segmentation_type":"vxlan","segmentation_id":7}]}`, 400, "InvalidInput", "vxlan"},
		{"nothing to inherit", "PUT", add, `{"sub_ports":[{"port_id":"SECOND","segmentation_type":"inherit"}]}`, 400, "InvalidInput", "inherit"},
		{"inherits what is taken", "PUT", add, `{"sub_ports":[{"port_id":"WIDE","segmentation_type":"inherit"}]}`, 409, "SubPortMtuGreaterThanTrunkPortMtu", "1500"},
		{"port with a device", "PUT", add, `{"sub_ports":[{"port_id":"TAKEN","segmentation_type":"vlan","segmentation_id":7}]}`, 409, "PortInUse", "vm"},
		{"the trunk itself", "PUT", add, `{"sub_ports":[{"port_id":"PARENT","segmentation_type":"vlan","segmentation_id":7}]}`, 409, "TrunkPortInUse", ""},
		{"no subport", "PUT", "/trunks/" + c.id + "/remove_subports", `{"sub_ports":[{"port_id":"SECOND"}]}`, 404, "SubPortNotFound", ""},
		{"a subport's owner", "PUT", "/ports/FIRST", `{"port":{"device_id":"vm","device_owner":"compute:nova"}}`, 409, "PortInUse", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.call(t, demo, test.method, fill.Replace(test.path), fill.Replace(test.body)).refused(test.status, test.kind, test.message)
		})
	}
	list := c.call(t, demo, "GET", "/trunks?port_id="+c.parent, "").want(200).many("trunks")
	if len(list) != 1 || len(list[0]["sub_ports"].([]any)) != 1 {
		t.Errorf("trunks are %v, want one with one subport as before", list)
	}
}

// A subport inherits the VLAN of its network.
func TestInheritedVLAN(t *testing.T) {
	t.Parallel()
	c := start(t)
	wire := func(vlan string) string {
		net := c.make(t, admin, "networks", "network", `{"project_id":"demo","provider:network_type":"vlan","provider:physical_network":"lab","provider:segmentation_id":`+vlan+`}`).text("id")
		return c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	}
	trunk := c.make(t, demo, "trunks", "trunk", `{"port_id":"`+wire("7")+`","sub_ports":[{"port_id":"`+wire("8")+`","segmentation_type":"inherit"}]}`)
	sub := trunk["sub_ports"].([]any)[0].(map[string]any)
	if sub["segmentation_id"] != 8.0 || sub["segmentation_type"] != "vlan" {
		t.Errorf("the subport is %v, want VLAN 8", sub)
	}
}

// A port is prepared for a host, moves there, and back.
func TestBindings(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	port := c.make(t, admin, "ports", "port", `{"project_id":"demo","network_id":"`+net+`","device_id":"vm","device_owner":"compute:nova"}`).text("id")
	path := "/ports/" + port + "/bindings"
	bind := func(host string, status int) reply {
		t.Helper()
		return c.call(t, service, "POST", path, `{"binding":{"host":"`+host+`","profile":{"from":"`+host+`"}}}`).want(status)
	}
	bind("node-1", 201)
	bind("node-2", 201).golden("binding")
	if p := c.told(t, port); p.Host != "node-1" || p.NextHost != "node-2" {
		t.Errorf("the fabric has the port on %q, next %q", p.Host, p.NextHost)
	}
	bind("node-2", 409)
	c.call(t, admin, "GET", path, "").want(200).golden("bindings")
	c.call(t, service, "PUT", path+"/node-2/activate", "").want(200)
	c.call(t, service, "PUT", path+"/node-2/activate", "").refused(409, "PortBindingAlreadyActive", "node-2")
	c.call(t, service, "PUT", path+"/node-3/activate", "").refused(404, "PortBindingNotFound", "node-3")
	if p := c.told(t, port); p.Host != "node-2" || p.NextHost != "node-1" {
		t.Errorf("after the move the fabric has the port on %q, next %q", p.Host, p.NextHost)
	}
	shown := c.call(t, admin, "GET", "/ports/"+port, "").one("port")
	if shown.text("binding:host_id") != "node-2" || shown["binding:profile"].(map[string]any)["from"] != "node-2" {
		t.Errorf("after the move the port is bound as %v, %v", shown["binding:host_id"], shown["binding:profile"])
	}
	c.call(t, admin, "DELETE", path+"/node-1", "").refused(403, "PolicyNotAuthorized", "delete_port_binding")
	c.call(t, demo, "GET", path, "").refused(403, "PolicyNotAuthorized", "get_port_binding")
	c.call(t, service, "DELETE", path+"/node-1", "").want(204)
	c.call(t, service, "DELETE", path+"/node-1", "").refused(404, "PortBindingNotFound", "node-1")
	if p := c.told(t, port); p.NextHost != "" {
		t.Errorf("the fabric still has the port next on %q", p.NextHost)
	}
	c.call(t, service, "GET", path+"/node-2", "").want(200)
	c.call(t, service, "POST", path, `{"binding":{}}`).refused(400, "HTTPBadRequest", "host")
	plain := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	c.call(t, service, "POST", "/ports/"+plain+"/bindings", `{"binding":{"host":"node-1"}}`).refused(400, "BadRequest", "compute owned")
}

// A group that is not stateful judges each packet by itself.
func TestStatelessGroups(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	group := c.make(t, demo, "security-groups", "security_group", `{"name":"g","stateful":false}`)
	id := group.text("id")
	if group["stateful"] != false {
		t.Errorf("the group is %v", group)
	}
	stateless := func() bool {
		c.settle(t)
		for _, g := range c.fabric.Topology().Groups {
			if g.ID == id {
				return g.Stateless
			}
		}
		return false
	}
	if !stateless() {
		t.Errorf("the fabric has the group as stateful")
	}
	c.call(t, demo, "PUT", "/security-groups/"+id, `{"security_group":{"stateful":true}}`).want(200)
	if stateless() {
		t.Errorf("the fabric has the group as stateless after the change")
	}
	c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","security_groups":["`+id+`"]}`)
	c.call(t, demo, "PUT", "/security-groups/"+id, `{"security_group":{"stateful":false}}`).refused(409, "SecurityGroupInUse", id)
}
