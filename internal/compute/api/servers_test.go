package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestServerLife(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.active("web", "")
	show := c.must(200, "demo@2.96", "GET", "/servers/"+id, "")
	if got := show.at(t, "server", "addresses", "private", 0, "addr"); got == nil {
		t.Errorf("server has no address: %s", show.body)
	}
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-start":null}`)
	c.status(id, "ACTIVE")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"reboot":{"type":"SOFT"}}`)
	c.status(id, "ACTIVE")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"reboot":{"type":"HARD"}}`)
	c.status(id, "ACTIVE")
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.gone(id)
	for _, m := range c.machines {
		list, err := m.List(c.ctx)
		if err != nil || len(list) != 0 {
			t.Errorf("host still has machines %v, %v", list, err)
		}
	}
}

// TestAsManyAsTheQuotaHolds asks for far more servers than there may be: the
// request makes what fits, and takes no longer for it.
func TestAsManyAsTheQuotaHolds(t *testing.T) {
	c := start(t, options{hosts: 2})
	c.active("web", "")
	c.must(202, "demo", "POST", "/servers", fmt.Sprintf(
		`{"server":{"name":"many","imageRef":%q,"flavorRef":"1","max_count":9000000000000000000}}`, imageID))
	list, _ := c.must(200, "demo", "GET", "/servers", "").at(t, "servers").([]any)
	if len(list) != 10 {
		t.Errorf("got %d servers, want the 10 that the quota holds", len(list))
	}
}

// TestDiskConfig follows OS-DCF:diskConfig through a server's life.
func TestDiskConfig(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.active("web", `,"OS-DCF:diskConfig":"AUTO"`)
	is := func(want string) {
		t.Helper()
		got := c.must(200, "demo", "GET", "/servers/"+id, "").at(t, "server", "OS-DCF:diskConfig")
		if got != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	is("AUTO")
	c.must(200, "demo", "PUT", "/servers/"+id, `{"server":{"OS-DCF:diskConfig":"MANUAL"}}`)
	is("MANUAL")
	c.must(200, "demo", "PUT", "/servers/"+id, `{"server":{"name":"other"}}`)
	is("MANUAL")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", fmt.Sprintf(`{"rebuild":{"imageRef":%q,"OS-DCF:diskConfig":"AUTO"}}`, imageID))
	c.status(id, "ACTIVE")
	is("AUTO")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"resize":{"flavorRef":"2","OS-DCF:diskConfig":"MANUAL"}}`)
	c.status(id, "VERIFY_RESIZE")
	is("MANUAL")
	c.must(400, "demo", "PUT", "/servers/"+id, `{"server":{"OS-DCF:diskConfig":"auto"}}`)
}

// TestNamesOfServers lists servers by regular expressions.
func TestNamesOfServers(t *testing.T) {
	c := start(t, options{})
	for _, name := range []string{"web-1", "web-22", "Db.1"} {
		c.server(name, "")
	}
	for pattern, want := range map[string]int{
		"web": 2, "^web-[0-9]$": 1, "^.*-[0-9]+$": 2, "WEB": 2, "^db": 1, "d.\\.1": 1, "b.1$": 2, "(web|db)": 3, "%": 0, "_": 0, "'": 0,
	} {
		list, _ := c.must(200, "demo", "GET", "/servers?name="+url.QueryEscape(pattern), "").at(t, "servers").([]any)
		if len(list) != want {
			t.Errorf("name %q: got %d servers, want %d", pattern, len(list), want)
		}
	}
	for _, pattern := range []string{"", "(", "a\\1", "(?!a)", strings.Repeat("a", 256)} {
		c.must(400, "demo", "GET", "/servers?name="+url.QueryEscape(pattern), "")
	}
	for _, list := range []string{"servers", "flavors"} {
		none, _ := c.must(200, "demo", "GET", "/"+list+"?limit=0", "").at(t, list).([]any)
		if len(none) != 0 {
			t.Errorf("limit 0 of %s: got %v", list, none)
		}
	}
}

// TestFilters finds servers by what they show. Who may use a filter, and since when, is a
// part of it: others see what they would see without.
func TestFilters(t *testing.T) {
	c := start(t, options{})
	c.must(200, "admin", "POST", "/os-keypairs", `{"keypair":{"name":"web-key"}}`)
	pair := c.must(200, "demo", "POST", "/os-keypairs", `{"keypair":{"name":"web-key"}}`).at(t, "keypair", "name")
	first := c.active("web", fmt.Sprintf(`,"key_name":%q,"hostname":"web-1"`, pair))
	c.active("db", `,"description":"for web"`)
	c.must(202, "demo", "POST", "/servers/"+first+"/action", `{"os-stop":null}`)
	at := c.status(first, "SHUTOFF").at(t, "server", "created").(string)
	const all = 2
	for _, test := range []struct {
		query string
		admin int
		user  int // at 2.96
		old   int // a user at 2.82
	}{
		{"key_name=^WEB", 1, 1, all},
		{"key_name=.*", 1, 1, all}, // none is not text
		{"hostname=web-[0-9]", 1, 1, all},
		{"hostname=web", 1, 1, all},
		{"description=f.r", 1, all, all},
		{"display_description=none", 0, all, all},
		{"display_name=^d.$", 1, all, all},
		{"uuid=" + first, 1, all, all},
		{"node=node-[1-3]", all, all, all},
		{"node=ode", all, all, all},
		{"host=ode", 0, all, all},
		{"root_device_name=vda$", all, all, all},
		{"power_state=[1]", 1, 1, all},
		{"power_state=x", 0, 0, all},
		{"launch_index=x", 0, all, all},
		{"launch_index=0", all, all, all},
		{"reservation_id=^r-", all, all, all},
		{"reservation_id=^x-", 0, 0, 0},
		{"availability_zone=nova", all, all, all},
		{"availability_zone=no[v]a", all, all, all},
		{"availability_zone=moon", 0, 0, all},
		{"kernel_id=x", 0, all, all},
		{"ramdisk_id=^$", all, all, all},
		{"progress=0", all, all, all},
		{"progress=7", 0, 0, all},
		{"created_at=" + at[:4], all, all, all},
		{"created_at=^1999-", 0, 0, all},
		{"launched_at=" + strings.Replace(at[:11], "T", "%20", 1), all, all, all},
		{"terminated_at=.", 0, 0, all},
	} {
		for who, want := range map[string]int{"admin@2.96": test.admin, "demo@2.96": test.user, "demo@2.82": test.old} {
			path := "/servers?" + test.query
			if who == "admin@2.96" {
				path += "&all_tenants=1"
			}
			list, _ := c.must(200, who, "GET", path, "").at(t, "servers").([]any)
			if len(list) != want {
				t.Errorf("%s by %s: got %d servers, want %d", test.query, who, len(list), want)
			}
		}
	}
	for _, query := range []string{"hostname=(", "ip=*", "node=(", "flavor=[", "key_name=", "availability_zone=("} {
		r := c.must(400, "demo@2.26", "GET", "/servers?"+query, "")
		if !strings.Contains(string(r.body), "is not a 'regex'") {
			t.Errorf("%s: got %s", query, r.body)
		}
	}
	c.must(200, "demo@2.26", "GET", "/servers?tags-any="+strings.Repeat("tag,", 100), "") // not limited as patterns are
	for _, key := range []string{"host", "node"} {
		c.must(200, "admin", "GET", "/servers?all_tenants=1&sort_key="+key, "")
		r := c.must(403, "demo", "GET", "/servers?sort_key="+key, "")
		if !strings.Contains(string(r.body), "Only administrators can sort servers by host") {
			t.Errorf("sorted by %s: got %s", key, r.body)
		}
	}
}

// TestPrivateFlavor is for nobody until an admin says for whom.
func TestPrivateFlavor(t *testing.T) {
	c := start(t, options{})
	c.must(200, "admin", "POST", "/flavors", `{"flavor":{"name":"own","id":"own","ram":64,"vcpus":1,"disk":1,"os-flavor-access:is_public":false}}`)
	list, _ := c.must(200, "admin", "GET", "/flavors/own/os-flavor-access", "").at(t, "flavor_access").([]any)
	if len(list) != 0 {
		t.Errorf("it is for %v already", list)
	}
	c.must(404, "demo", "GET", "/flavors/own", "")
	c.must(403, "demo", "POST", "/flavors/own/action", `{"addTenantAccess":{"tenant":"demo"}}`)
	c.must(200, "admin", "POST", "/flavors/own/action", `{"addTenantAccess":{"tenant":"demo"}}`)
	c.must(200, "demo", "GET", "/flavors/own", "")
}
