package app_test

import (
	"slices"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// A list of servers by a part of an address knows all addresses that lead to them,
// and is sorted and cut as any other.
func TestServersByAddress(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo := cloud.Demo()
	var servers []string
	for _, name := range []string{"a", "b", "c"} {
		servers = append(servers, demo.MustCreateServer(t, name))
	}
	old := func(status int, method, path, body string) testcloud.Reply {
		t.Helper()
		return demo.Must(t, status, method, "/compute/v2.1"+path, body, "OpenStack-API-Version", "compute 2.35")
	}
	var floating struct {
		IP struct{ IP string } `json:"floating_ip"`
	}
	old(200, "POST", "/os-floating-ips", `{}`).JSON(t, &floating)
	old(202, "POST", "/servers/"+servers[1]+"/action", `{"addFloatingIp": {"address": "`+floating.IP.IP+`"}}`)
	names := func(query string) string {
		t.Helper()
		var page struct {
			Servers []struct{ Name string }
		}
		demo.Must(t, 200, "GET", "/compute/v2.1/servers/detail?"+query, nil).JSON(t, &page)
		var all []string
		for _, s := range page.Servers {
			all = append(all, s.Name)
		}
		return strings.Join(all, " ")
	}
	var shown struct {
		Server struct {
			Addresses map[string][]struct{ Addr string }
		}
	}
	demo.Must(t, 200, "GET", "/compute/v2.1/servers/"+servers[2], nil).JSON(t, &shown)
	var own string
	for _, list := range shown.Server.Addresses {
		own = list[0].Addr
	}
	common := own[:strings.LastIndexAny(own, ".:")]
	for query, want := range map[string]string{
		"ip=" + own:            "c",
		"ip=^" + own + "$":     "c",
		"ip6=" + own[1:]:       "c",
		"ip=" + floating.IP.IP: "b",
		"ip=" + common:         "c b a",
		"ip=" + common + "&sort_key=name&sort_dir=asc":   "a b c",
		"ip=" + common + "&limit=2":                      "c b",
		"ip=" + common + "&limit=2&marker=" + servers[1]: "a",
		"ip=" + common + "&name=a":                       "a",
		"ip=" + common + "&status=ERROR":                 "",
		"ip=%25":                                         "",
		"ip=10_":                                         "",
	} {
		if got := names(query); got != want {
			t.Errorf("?%s: got %q, want %q", query, got, want)
		}
	}
	demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+servers[2], nil)
	cloud.Settle(t)
	if got := strings.Fields(names("ip=" + common)); slices.Contains(got, "c") || len(got) != 2 {
		t.Errorf("with one deleted: got %v, want the other two", got)
	}
}
