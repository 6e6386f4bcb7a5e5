package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func names(list []object) []string {
	var out []string
	for _, o := range list {
		out = append(out, o.text("name"))
	}
	return out
}

func TestPagesForthAndBack(t *testing.T) {
	t.Parallel()
	c := start(t)
	var all []string
	for i := range 7 {
		all = append(all, fmt.Sprintf("n%d", i))
		c.make(t, other, "networks", "network", `{"name":"`+all[i]+`"}`)
	}
	type page struct {
		Networks []object
		Links    []struct{ Rel, Href string } `json:"networks_links"`
	}
	get := func(path string) (p page, next, previous string) {
		t.Helper()
		err := json.Unmarshal(c.call(t, other, "GET", path, "").want(200).body, &p)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.Links {
			_, path, _ := strings.Cut(l.Href, "/network/v2.0")
			if l.Rel == "next" {
				next = path
			} else {
				previous = path
			}
		}
		return p, next, previous
	}
	var got []string
	last := ""
	for path := "/networks?router:external=false&sort_key=name&limit=3"; path != ""; {
		p, next, _ := get(path)
		got = append(got, names(p.Networks)...)
		last, path = path, next
	}
	if !slices.Equal(got, all) {
		t.Errorf("forth: got %v, want %v", got, all)
	}
	got = nil
	for path := last; path != ""; {
		p, _, previous := get(path)
		got = append(names(p.Networks), got...)
		path = previous
	}
	if !slices.Equal(got, all) {
		t.Errorf("back: got %v, want %v", got, all)
	}
	p, next, _ := get("/networks?router:external=false&sort_key=name&sort_dir=desc")
	if len(p.Networks) != 7 || p.Networks[0].text("name") != "n6" || next != "" {
		t.Errorf("without a limit: got %v and next %q, want all, n6 first", names(p.Networks), next)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	group := c.make(t, demo, "security-groups", "security_group", `{"name":"web"}`).text("id")
	c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","name":"a","fixed_ips":[{"ip_address":"10.9.0.10"}],"device_id":"vm","tags":["red","blue"]}`)
	c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","name":"b","fixed_ips":[{"ip_address":"10.9.0.20"}],"security_groups":["`+group+`"],"tags":["red"]}`)
	c.make(t, demo, "ports", "port", `{"network_id":"`+net+`","name":"c","admin_state_up":false,"description":"third"}`)
	for query, want := range map[string]string{
		"name=a":                              "a",
		"name=a&name=c":                       "a c",
		"device_id=vm":                        "a",
		"device_id=":                          "b c",
		"admin_state_up=False":                "c",
		"description=third":                   "c",
		"fixed_ips=ip_address%3D10.9.0.20":    "b",
		"fixed_ips=ip_address_substr%3D9.0.1": "a",
		"fixed_ips=subnet_id%3D" + subnet:     "a b c",
		"security_groups=" + group:            "b",
		"tags=red":                            "a b",
		"tags=red,blue":                       "a",
		"tags-any=blue,green":                 "a",
		"not-tags=red,blue":                   "b c",
		"not-tags-any=red":                    "c",
		"tags=RED":                            "",
		"status=ACTIVE":                       "",
		"project_id=other":                    "",
		"tenant_id=demo":                      "a b c",
		"revision_number=1&device_owner=":     "a b c",
		"mac_address=fa:16:3e:00:00:00":       "",
	} {
		list := c.call(t, demo, "GET", "/ports?sort_key=name&device_owner=&"+query+"&network_id="+net, "").want(200).many("ports")
		if got := strings.Join(names(list), " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	c.call(t, demo, "GET", "/ports?admin_state_up=perhaps", "").refused(400, "InvalidInput", "admin_state_up")
}

func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, subnet := c.tenant(t, demo, "10.9.0.0/24")
	port := c.make(t, demo, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	public := c.find(t, "networks", "public").text("id")
	external := c.find(t, "subnets", "public-subnet").text("id")

	c.call(t, other, "GET", "/subnets/"+subnet, "").refused(404, "SubnetNotFound", "")
	c.call(t, other, "GET", "/ports/"+port, "").refused(404, "PortNotFound", "")
	c.call(t, other, "DELETE", "/ports/"+port, "").refused(404, "PortNotFound", "")
	c.call(t, other, "GET", "/networks/"+public, "").want(200)
	c.call(t, other, "GET", "/subnets/"+external, "").refused(404, "SubnetNotFound", "")
	c.call(t, admin, "GET", "/subnets/"+external, "").want(200)
	c.call(t, looker, "GET", "/ports/"+port, "").want(200)
	c.call(t, looker, "DELETE", "/ports/"+port, "").refused(403, "PolicyNotAuthorized", "delete_port")
	c.call(t, looker, "POST", "/networks", `{"network":{}}`).refused(403, "PolicyNotAuthorized", "create_network")
	c.call(t, service, "GET", "/ports/"+port, "").want(200)

	for token, want := range map[string]int{demo: 3, looker: 3, other: 1, admin: 3} {
		list := c.call(t, token, "GET", "/networks", "").want(200).many("networks")
		if len(list) != want {
			t.Errorf("%s sees networks %v, want %d", token, names(list), want)
		}
		for _, n := range list {
			_, provider := n["provider:network_type"]
			if provider != (token == admin) {
				t.Errorf("%s sees provider attributes: %v", token, provider)
			}
		}
	}
	// Gateway ports belong to nobody; their network's owner sees them.
	for token, want := range map[string]int{demo: 0, other: 0, admin: 1} {
		list := c.call(t, token, "GET", "/ports?device_owner=network:router_gateway", "").want(200).many("ports")
		if len(list) != want {
			t.Errorf("%s sees %d gateway ports, want %d", token, len(list), want)
		}
	}

	// A shared network is seen and used by others, and remains its owner's.
	c.call(t, admin, "PUT", "/networks/"+net, `{"network":{"shared":true}}`).want(200)
	theirs := c.make(t, other, "ports", "port", `{"network_id":"`+net+`"}`).text("id")
	c.call(t, other, "PUT", "/networks/"+net, `{"network":{"name":"mine"}}`).refused(403, "PolicyNotAuthorized", "update_network")
	c.call(t, other, "POST", "/ports", `{"port":{"network_id":"`+net+`","fixed_ips":[{"ip_address":"10.9.0.50"}]}}`).
		refused(403, "PolicyNotAuthorized", "create_port:fixed_ips:ip_address")
	c.call(t, demo, "GET", "/ports/"+theirs, "").want(200)
	c.call(t, admin, "PUT", "/networks/"+net, `{"network":{"shared":false}}`).refused(409, "InvalidSharedSetting", "Multiple tenants")
}

func TestRevisionsAndTags(t *testing.T) {
	t.Parallel()
	c := start(t)
	n := c.make(t, demo, "networks", "network", `{"name":"n","tags":["one"]}`)
	path := "/networks/" + n.text("id")
	c.call(t, demo, "PUT", path, `{"network":{"name":"m"}}`, "If-Match", "revision_number=7").
		refused(412, "RevisionNumberConstraintFailed", "Constrained to 7, but current revision is 1")
	n = c.call(t, demo, "PUT", path, `{"network":{"name":"m"}}`, "If-Match", "revision_number=1").want(200).one("network")
	if n["revision_number"] != 2.0 || n.text("name") != "m" {
		t.Errorf("got %v, want name m and revision 2", n)
	}
	c.call(t, demo, "PUT", path, `{"network":{"name":"x"}}`, "If-Match", "7").refused(400, "BadRequest", "If-Match")

	tags := func(want string) {
		t.Helper()
		got := string(c.call(t, demo, "GET", path+"/tags", "").want(200).body)
		if got != `{"tags":`+want+`}` {
			t.Errorf("tags are %s, want %s", got, want)
		}
	}
	tags(`["one"]`)
	c.call(t, demo, "PUT", path+"/tags/two", "").want(201)
	c.call(t, demo, "PUT", path+"/tags/two", "").want(201)
	c.call(t, demo, "GET", path+"/tags/two", "").want(204)
	tags(`["one","two"]`)
	c.call(t, demo, "DELETE", path+"/tags/one", "").want(204)
	c.call(t, demo, "GET", path+"/tags/one", "").refused(404, "TagNotFound", "one")
	c.call(t, demo, "PUT", path+"/tags", `{"tags":["b","a","b"]}`).want(200)
	tags(`["a","b"]`)
	c.call(t, demo, "DELETE", path+"/tags", "").want(204)
	tags(`[]`)
	c.call(t, other, "PUT", path+"/tags/two", "").refused(404, "NetworkNotFound", "")
	c.call(t, looker, "PUT", path+"/tags/two", "").refused(403, "PolicyNotAuthorized", "update_network:tags")
}

func TestBulkIsAllOrNothing(t *testing.T) {
	t.Parallel()
	c := start(t)
	net, _ := c.tenant(t, demo, "10.9.0.0/29")
	one := `{"network_id":"` + net + `"}`
	made := c.call(t, demo, "POST", "/ports", `{"ports":[`+one+`,`+one+`]}`).want(201).many("ports")
	if len(made) != 2 {
		t.Errorf("made %d ports, want 2", len(made))
	}
	c.call(t, demo, "POST", "/ports", `{"ports":[`+one+`,`+one+`,`+one+`]}`).refused(409, "IpAddressGenerationFailure", "")
	left := c.call(t, demo, "GET", "/ports?device_owner=&network_id="+net, "").want(200).many("ports")
	if len(left) != 2 {
		t.Errorf("there are %d ports, want 2", len(left))
	}
}
