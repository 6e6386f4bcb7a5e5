package app_test

import (
	"testing"

	"nacre/internal/testcloud"
)

// Compute passes calls about security groups, floating IPs and networks on to
// the network service, until the microversion that ends it.
func TestComputePassesOnToNetwork(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo := cloud.Demo()
	server := demo.MustCreateServer(t, "web")
	ask := func(status int, method, path string, body any) testcloud.Reply {
		t.Helper()
		return demo.Must(t, status, method, "/compute/v2.1"+path, body, "OpenStack-API-Version", "compute 2.35")
	}
	act := func(status int, body string) {
		t.Helper()
		ask(status, "POST", "/servers/"+server+"/action", body)
	}

	id := func(r testcloud.Reply, key string) string {
		t.Helper()
		one, _ := r.Map(t)[key].(map[string]any)
		text, _ := one["id"].(string)
		return text
	}
	group := id(ask(200, "POST", "/os-security-groups", map[string]any{
		"security_group": map[string]any{"name": "web", "description": "what may reach the web server"}}), "security_group")
	rule := id(ask(200, "POST", "/os-security-group-rules", map[string]any{
		"security_group_rule": map[string]any{"parent_group_id": group, "ip_protocol": "tcp", "from_port": 80, "to_port": "80"}}), "security_group_rule")
	again := map[string]any{"security_group_rule": map[string]any{"parent_group_id": group, "ip_protocol": "tcp", "from_port": 80, "to_port": 80}}
	ask(400, "POST", "/os-security-group-rules", again)
	var shown struct {
		Group struct {
			Rules []struct {
				From  int               `json:"from_port"`
				Range map[string]string `json:"ip_range"`
			}
		} `json:"security_group"`
	}
	ask(200, "GET", "/os-security-groups/"+group, nil).JSON(t, &shown)
	if len(shown.Group.Rules) != 1 || shown.Group.Rules[0].From != 80 || shown.Group.Rules[0].Range["cidr"] != "0.0.0.0/0" {
		t.Errorf("the group's rules are %+v, want the one for port 80", shown.Group.Rules)
	}
	act(202, `{"lock": null}`) // which is not about groups
	act(202, `{"addSecurityGroup": {"name": "web"}}`)
	ask(400, "DELETE", "/os-security-groups/"+group, nil) // it has a member
	act(202, `{"removeSecurityGroup": {"name": "web"}}`)
	act(202, `{"unlock": null}`)
	act(404, `{"removeSecurityGroup": {"name": "web"}}`)
	act(404, `{"addSecurityGroup": {"name": "unknown"}}`)
	ask(202, "DELETE", "/os-security-group-rules/"+rule, nil)
	ask(202, "DELETE", "/os-security-groups/"+group, nil)
	demo.Must(t, 404, "GET", "/compute/v2.1/os-security-groups", nil, "OpenStack-API-Version", "compute 2.36")

	var floating struct {
		IP struct{ ID, IP, Pool string } `json:"floating_ip"`
	}
	ask(200, "POST", "/os-floating-ips", `{"pool": "public"}`).JSON(t, &floating)
	ask(404, "POST", "/os-floating-ips", `{"pool": "moon"}`)
	act(202, `{"addFloatingIp": {"address": "`+floating.IP.IP+`"}}`)
	var led struct {
		IP struct {
			Server string `json:"instance_id"`
		} `json:"floating_ip"`
	}
	ask(200, "GET", "/os-floating-ips/"+floating.IP.ID, nil).JSON(t, &led)
	if led.IP.Server != server {
		t.Errorf("the floating IP leads to %q, want the server %s", led.IP.Server, server)
	}
	var second struct {
		IP struct{ ID, IP string } `json:"floating_ip"`
	}
	ask(200, "POST", "/os-floating-ips", `{}`).JSON(t, &second)
	act(400, `{"addFloatingIp": {"address": "`+second.IP.IP+`"}}`) // the address has one of this network
	ask(202, "DELETE", "/os-floating-ips/"+second.IP.ID, nil)
	act(202, `{"removeFloatingIp": {"address": "`+floating.IP.IP+`"}}`)
	act(409, `{"removeFloatingIp": {"address": "`+floating.IP.IP+`"}}`)
	ask(202, "DELETE", "/os-floating-ips/"+floating.IP.ID, nil)

	network := demo.Network(t, "private")
	act(202, `{"addFixedIp": {"networkId": "`+network+`"}}`)
	var cards struct {
		List []struct {
			Addresses []struct {
				IP string `json:"ip_address"`
			} `json:"fixed_ips"`
		} `json:"interfaceAttachments"`
	}
	ask(200, "GET", "/servers/"+server+"/os-interface", nil).JSON(t, &cards)
	if len(cards.List) != 1 || len(cards.List[0].Addresses) != 2 {
		t.Fatalf("the server's cards are %+v, want one with two addresses", cards.List)
	}
	act(202, `{"removeFixedIp": {"address": "`+cards.List[0].Addresses[1].IP+`"}}`)
	act(400, `{"removeFixedIp": {"address": "10.99.99.99"}}`)
	ask(200, "GET", "/os-networks/"+network, nil)
	ask(200, "GET", "/os-tenant-networks", nil)
	ask(200, "GET", "/os-floating-ip-pools", nil)
}

// Images are passed on as well, and what a server's image begins as is shown.
func TestComputePassesOnToImages(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo := cloud.Demo()
	server := demo.MustCreateServer(t, "web")
	ask := func(status int, method, path string, body any) testcloud.Reply {
		t.Helper()
		return demo.Must(t, status, method, "/compute/v2.1"+path, body, "OpenStack-API-Version", "compute 2.35")
	}
	ask(202, "POST", "/servers/"+server+"/action", `{"createImage": {"name": "copy", "metadata": {"a": "b"}}}`)
	cloud.Settle(t)
	var list struct {
		Images []struct {
			ID, Status string
			Metadata   map[string]string
			Server     struct{ ID string }
		}
	}
	ask(200, "GET", "/images/detail?name=copy&status=ACTIVE&server="+server, nil).JSON(t, &list)
	if len(list.Images) != 1 || list.Images[0].Server.ID != server || list.Images[0].Metadata["a"] != "b" {
		t.Fatalf("the images of the server are %+v, want its copy", list.Images)
	}
	id := list.Images[0].ID
	ask(200, "POST", "/images/"+id+"/metadata", `{"metadata": {"c": "d"}}`)
	ask(200, "PUT", "/images/"+id+"/metadata/c", `{"meta": {"c": "e"}}`)
	ask(400, "PUT", "/images/"+id+"/metadata/c", `{"meta": {"d": "e"}}`)
	var item struct{ Meta map[string]string }
	ask(200, "GET", "/images/"+id+"/metadata/c", nil).JSON(t, &item)
	if item.Meta["c"] != "e" {
		t.Errorf("the item is %v, want e", item.Meta)
	}
	ask(204, "DELETE", "/images/"+id+"/metadata/c", nil)
	ask(404, "GET", "/images/"+id+"/metadata/c", nil)
	ask(403, "DELETE", "/images/"+demo.Image(t, "cirros"), nil)
	ask(204, "DELETE", "/images/"+id, nil)
	ask(404, "GET", "/images/"+id, nil)
	demo.Must(t, 404, "GET", "/compute/v2.1/images", nil, "OpenStack-API-Version", "compute 2.36")
}
