package api_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"nacre/internal/bus/bustest"
	"nacre/internal/fabric"
	"nacre/internal/network"
)

// listen collects the notifications that leave from now on: heard returns those
// since the last time. The start of each change stands before its end and is
// left out.
func (c *cloud) listen(t *testing.T) (heard func() []bustest.Told) {
	t.Helper()
	all := bustest.Listen(t, c.db, network.Topic, network.Notifications("api-1"))
	return func() (ends []bustest.Told) {
		t.Helper()
		list := all()
		for i, m := range list {
			change, starts := strings.CutSuffix(m.Type, ".start")
			if !starts {
				ends = append(ends, m)
				continue
			}
			if i+1 == len(list) || list[i+1].Type != change+".end" || list[i+1].Resource != m.Resource {
				t.Errorf("%s of %s has no end", m.Type, m.Resource)
			}
			resource, deletes := strings.CutSuffix(change, ".delete")
			if deletes && !reflect.DeepEqual(m.Payload, map[string]any{resource + "_id": m.Resource}) {
				t.Errorf("%s says %v, want the id alone", m.Type, m.Payload)
			}
		}
		return ends
	}
}

// wantKinds checks which notifications there are, in their order.
func wantKinds(t *testing.T, got []bustest.Told, want ...string) {
	t.Helper()
	if !slices.Equal(bustest.Types(got), want) {
		t.Errorf("told of\n got %q\nwant %q", bustest.Types(got), want)
	}
}

// wantView checks that a notification shows the resource as the API shows it to
// an administrator.
func (c *cloud) wantView(t *testing.T, m bustest.Told, singular, path string) {
	t.Helper()
	want := c.call(t, admin, "GET", path, "").want(200).one(singular)
	got, _ := m.Payload[singular].(map[string]any)
	if !reflect.DeepEqual(got, map[string]any(want)) {
		gotText, _ := json.Marshal(got)
		wantText, _ := json.Marshal(want)
		t.Errorf("%s shows\n got %s\nwant %s", m.Type, gotText, wantText)
	}
	if m.Resource != want.text("id") {
		t.Errorf("%s is about %s, want %s", m.Type, m.Resource, want.text("id"))
	}
}

func TestEveryResourceTellsOfItsLife(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	heard := c.listen(t)
	public := c.find(t, "networks", "public").text("id")
	group := c.make(t, demo, "security-groups", "security_group", `{"name":"web"}`).text("id")
	card := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	heard()
	for _, r := range []struct{ plural, singular, body, change string }{
		{"networks", "network", `{"name":"a"}`, `{"name":"b"}`},
		{"subnets", "subnet", `{"network_id":"` + net + `","ip_version":4,"cidr":"10.8.0.0/24","dns_nameservers":["9.9.9.9"]}`, `{"name":"b"}`},
		{"ports", "port", `{"network_id":"` + net + `"}`, `{"binding:host_id":"node-1"}`},
		{"routers", "router", `{"external_gateway_info":{"network_id":"` + public + `"}}`, `{"name":"b"}`},
		{"floatingips", "floatingip", `{"floating_network_id":"` + public + `"}`, `{"description":"b"}`},
		{"security-groups", "security_group", `{"name":"a"}`, `{"name":"b"}`},
		{"trunks", "trunk", `{"port_id":"` + card + `"}`, `{"name":"b"}`},
		{"policies", "policy", `{"name":"a","is_default":true}`, `{"name":"b"}`},
		{"security-group-rules", "security_group_rule",
			`{"security_group_id":"` + group + `","direction":"ingress","protocol":"tcp","port_range_min":22,"port_range_max":22}`, ""},
	} {
		below := ""
		if r.singular == "policy" {
			below = "qos/"
		}
		id := c.make(t, admin, below+r.plural, r.singular, `{"project_id":"demo",`+r.body[1:]).text("id")
		path := "/" + below + r.plural + "/" + id
		got := heard()
		wantKinds(t, got, r.singular+".create.end")
		c.wantView(t, got[0], r.singular, path)
		if r.change != "" {
			c.call(t, admin, "PUT", path, `{"`+r.singular+`":`+r.change+`}`).want(200)
			got = heard()
			wantKinds(t, got, r.singular+".update.end")
			c.wantView(t, got[0], r.singular, path)
			c.call(t, admin, "PUT", "/"+r.plural+"/"+id+"/tags/blue", "").want(201)
			got = heard()
			wantKinds(t, got, r.singular+".update.end")
			c.wantView(t, got[0], r.singular, path)
		}
		c.call(t, admin, "DELETE", path, "").want(204)
		got = heard()
		own := slices.DeleteFunc(got, func(m bustest.Told) bool {
			return m.Type == "security_group_rule.delete.end" && r.singular == "security_group"
		})
		wantKinds(t, own, r.singular+".delete.end")
		if own[0].Payload[r.singular+"_id"] != id {
			t.Errorf("%s says %v, want %s_id %s", own[0].Type, own[0].Payload, r.singular, id)
		}
	}
	// The port on the tenant's own subnet keeps it from going away.
	c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`)
	heard()
	c.call(t, demo, "DELETE", "/subnets/"+subnet, "").want(409)
	c.call(t, demo, "POST", "/ports", `{"port":{"network_id":"`+net+`","fixed_ips":[{"ip_address":"1.2.3.4"}]}}`).want(400)
	// Of two ports the first could be made; none is, and none is told of.
	c.call(t, demo, "POST", "/ports", `{"ports":[{"network_id":"`+net+`"},{"network_id":"`+net+`","fixed_ips":[{"ip_address":"1.2.3.4"}]}]}`).want(400)
	wantKinds(t, heard())
}

func TestChangesBehindARequestAreTold(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	router := c.find(t, "routers", "router1").text("id")
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	heard := c.listen(t)

	c.call(t, demo, "PUT", "/routers/"+router+"/add_router_interface", `{"subnet_id":"`+subnet+`"}`).want(200)
	got := heard()
	wantKinds(t, got, "port.create.end", "router.interface.create")
	shown, _ := got[1].Payload["router_interface"].(map[string]any)
	if shown["id"] != router || shown["subnet_id"] != subnet || shown["port_id"] != got[0].Resource {
		t.Errorf("router.interface.create shows %v, want router %s, subnet %s, port %s", shown, router, subnet, got[0].Resource)
	}

	public := c.find(t, "networks", "public").text("id")
	fip := c.make(t, demo, "floatingips", "floatingip", `{"floating_network_id":"`+public+`","port_id":"`+port+`"}`).text("id")
	wantKinds(t, heard(), "floatingip.create.end")
	c.call(t, demo, "DELETE", "/ports/"+port, "").want(204)
	got = heard()
	wantKinds(t, got, "floatingip.update.end", "port.delete.end")
	c.wantView(t, got[0], "floatingip", "/floatingips/"+fip)

	c.call(t, demo, "PUT", "/routers/"+router+"/remove_router_interface", `{"subnet_id":"`+subnet+`"}`).want(200)
	wantKinds(t, heard(), "port.delete.end", "router.interface.delete")
}

func TestStatusOfAPortIsTold(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/24")
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`)
	id := port.text("id")
	c.call(t, admin, "PUT", "/ports/"+id, `{"port":{"binding:host_id":"node-1"}}`).want(200)
	heard := c.listen(t)
	c.settle(t)
	_, err := c.fabric.Host("node-1").Plug(t.Context(), fabric.Plug{Port: id, Network: net, MAC: port.text("mac_address")})
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	got := heard()
	wantKinds(t, got, "port.update.end")
	c.wantView(t, got[0], "port", "/ports/"+id)
	shown, _ := got[0].Payload["port"].(map[string]any)
	if shown["status"] != "ACTIVE" {
		t.Errorf("the port is told to be %v, want ACTIVE", shown["status"])
	}
}
