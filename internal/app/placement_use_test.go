package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nacre/internal/compute"
	"nacre/internal/testcloud"
)

// whole is a cloud whose placement a test reads and writes.
type whole struct {
	*testcloud.Cloud
	admin testcloud.User
}

func (w whole) placement(t *testing.T, status int, method, path string, body any) map[string]any {
	t.Helper()
	reply := w.admin.Must(t, status, method, "/placement"+path, body, "OpenStack-API-Version", "placement 1.39")
	if len(reply.Body) == 0 {
		return nil
	}
	return reply.Map(t)
}

// host is the provider of a host.
func (w whole) host(t *testing.T, name string) string {
	t.Helper()
	list := w.placement(t, 200, "GET", "/resource_providers?name="+name, nil)["resource_providers"].([]any)
	return list[0].(map[string]any)["uuid"].(string)
}

// traits gives a provider traits besides those it has.
func (w whole) traits(t *testing.T, provider string, more ...any) {
	t.Helper()
	path := "/resource_providers/" + provider + "/traits"
	have := w.placement(t, 200, "GET", path, nil)
	have["traits"] = append(have["traits"].([]any), more...)
	w.placement(t, 200, "PUT", path, have)
}

// has is what a consumer has, as PROVIDER CLASS:N.
func (w whole) has(t *testing.T, consumer string) []string {
	t.Helper()
	var out []string
	for provider, a := range w.placement(t, 200, "GET", "/allocations/"+consumer, nil)["allocations"].(map[string]any) {
		for class, n := range a.(map[string]any)["resources"].(map[string]any) {
			out = append(out, fmt.Sprintf("%s %s:%v", provider, class, n))
		}
	}
	slices.Sort(out)
	return out
}

// flavor makes a flavor of one VCPU and 64 MB with extra specs.
func (w whole) flavor(t *testing.T, name string, specs map[string]any) {
	t.Helper()
	w.admin.Must(t, 200, "POST", "/compute/v2.1/flavors", map[string]any{"flavor": map[string]any{"name": name, "id": name, "vcpus": 1, "ram": 64, "disk": 1}})
	w.admin.Must(t, 200, "POST", "/compute/v2.1/flavors/"+name+"/os-extra_specs", map[string]any{"extra_specs": specs})
}

// fits says where a dry run puts so many servers.
func (w whole) fits(t *testing.T, query string) (string, compute.DryResult) {
	t.Helper()
	var r compute.DryResult
	w.admin.Must(t, 200, "GET", "/nacre/v1/schedule/dry-run?"+query, nil).JSON(t, &r)
	var parts []string
	for _, h := range r.Hosts {
		parts = append(parts, fmt.Sprintf("%s:%d", h.Host, h.Servers))
	}
	slices.Sort(parts)
	return strings.Join(parts, " "), r
}

func (w whole) server(t *testing.T, flavor string) string {
	t.Helper()
	var reply struct{ Server struct{ ID string } }
	w.admin.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
		"name": flavor, "flavorRef": flavor, "imageRef": w.admin.Image(t, "cirros"), "networks": "none",
	}}, "OpenStack-API-Version", "compute 2.37").JSON(t, &reply)
	w.Until(t, "server "+flavor+" to be settled", func() bool {
		return slices.Contains([]string{"ACTIVE", "ERROR"}, w.admin.ServerStatus(t, reply.Server.ID))
	})
	return reply.Server.ID
}

// Flavors that ask for devices below a host get them, by groups, and give them back;
// what no host has, none gets.
func TestServersTakeFromProviderTrees(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	w := whole{cloud, cloud.Admin()}
	_, r := w.fits(t, "flavor=m1.tiny&count=2")
	first := r.Hosts[0].Host
	root := w.host(t, first)
	w.placement(t, 201, "PUT", "/resource_classes/CUSTOM_CARD", nil)
	w.placement(t, 201, "PUT", "/traits/CUSTOM_FAST", nil)
	var cards []string
	for i := range 2 {
		card := w.placement(t, 200, "POST", "/resource_providers", map[string]any{"name": fmt.Sprint("card", i), "parent_provider_uuid": root})["uuid"].(string)
		w.placement(t, 200, "PUT", "/resource_providers/"+card+"/inventories", map[string]any{
			"resource_provider_generation": 0, "inventories": map[string]any{"CUSTOM_CARD": map[string]any{"total": 2}}})
		cards = append(cards, card)
	}
	w.traits(t, cards[1], "CUSTOM_FAST")
	w.flavor(t, "card", map[string]any{"resources:CUSTOM_CARD": "1"})
	w.flavor(t, "fast", map[string]any{"resources1:CUSTOM_CARD": "1", "trait1:CUSTOM_FAST": "required", "resources:VCPU": "0"})
	w.flavor(t, "apart", map[string]any{"resources1:CUSTOM_CARD": "1", "resources2:CUSTOM_CARD": "1", "group_policy": "isolate"})
	w.flavor(t, "below", map[string]any{"resources1:CUSTOM_CARD": "1", "resources2:VCPU": "1", "same_subtree": "1,2"})
	w.flavor(t, "nothing", map[string]any{"resources:CUSTOM_NOTHING": "1"})

	for query, want := range map[string]string{
		"flavor=card&count=9":  first + ":4",
		"flavor=fast&count=9":  first + ":2",
		"flavor=apart&count=9": first + ":2",
		"flavor=below&count=9": first + ":4",
	} {
		got, r := w.fits(t, query)
		if got != want || !strings.Contains(r.Summary, "by resources") {
			t.Errorf("%s: %s, %q, want %s and the other host refused for its resources", query, got, r.Summary, want)
		}
	}
	w.admin.Must(t, 400, "GET", "/nacre/v1/schedule/dry-run?flavor=nothing", nil)

	fast := w.server(t, "fast")
	want := []string{cards[1] + " CUSTOM_CARD:1", root + " DISK_GB:1", root + " MEMORY_MB:64"}
	slices.Sort(want)
	if got := w.has(t, fast); !slices.Equal(got, want) {
		t.Errorf("the server has %v, want %v", got, want)
	}
	if none := w.server(t, "nothing"); w.admin.ServerStatus(t, none) != "ERROR" || w.has(t, none) != nil {
		t.Errorf("a server with a class that nobody knows is %s and has %v", w.admin.ServerStatus(t, none), w.has(t, none))
	}

	// A server that becomes one with a card takes it along, and frees it at its end.
	plain := w.server(t, "1")
	w.admin.Must(t, 202, "POST", "/compute/v2.1/servers/"+plain+"/action", map[string]any{"resize": map[string]any{"flavorRef": "card"}})
	w.Until(t, "the resize", func() bool { return w.admin.ServerStatus(t, plain) == "VERIFY_RESIZE" })
	w.admin.Must(t, 204, "POST", "/compute/v2.1/servers/"+plain+"/action", map[string]any{"confirmResize": nil})
	w.Until(t, "its confirmation", func() bool { return w.admin.ServerStatus(t, plain) == "ACTIVE" })
	got := w.has(t, plain)
	if len(got) != 4 || !slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, "CUSTOM_CARD:1") }) {
		t.Errorf("the resized server has %v, want a card", got)
	}
	w.admin.RemoveAll(t)
	cloud.Settle(t)
	for _, provider := range append(cards, root) {
		for class, n := range w.placement(t, 200, "GET", "/resource_providers/"+provider+"/usages", nil)["usages"].(map[string]any) {
			if fmt.Sprint(n) != "0" {
				t.Errorf("%v of %s are used after all servers are gone", n, class)
			}
		}
	}
}

// What operators set apart by traits, aggregates and by disabling hosts holds in
// placement as it does in the scheduler.
func TestHostsAreSetApart(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	w := whole{cloud, cloud.Admin()}
	both, r := w.fits(t, "flavor=m1.tiny&count=2")
	mine, other := r.Hosts[0].Host, r.Hosts[1].Host
	provider := w.host(t, mine)

	var reply struct {
		Aggregate struct {
			ID   int
			UUID string
		}
	}
	w.admin.Must(t, 200, "POST", "/compute/v2.1/os-aggregates", map[string]any{"aggregate": map[string]any{"name": "licensed", "availability_zone": "licensed"}},
		"OpenStack-API-Version", "compute 2.41").JSON(t, &reply)
	act := func(action map[string]any) {
		t.Helper()
		w.admin.Must(t, 200, "POST", fmt.Sprintf("/compute/v2.1/os-aggregates/%d/action", reply.Aggregate.ID), action)
	}
	act(map[string]any{"add_host": map[string]any{"host": mine}})
	groups := w.placement(t, 200, "GET", "/resource_providers/"+provider+"/aggregates", nil)["aggregates"]
	if fmt.Sprint(groups) != "["+reply.Aggregate.UUID+"]" {
		t.Errorf("placement has the host in aggregates %v, want %s", groups, reply.Aggregate.UUID)
	}
	if got, _ := w.fits(t, "flavor=m1.tiny&count=2&availability_zone=licensed"); got != mine+":2" {
		t.Errorf("the zone's servers go to %s, want %s", got, mine)
	}

	w.placement(t, 201, "PUT", "/traits/CUSTOM_LICENSED", nil)
	w.flavor(t, "licensed", map[string]any{"trait:CUSTOM_LICENSED": "required"})
	w.flavor(t, "free", map[string]any{"trait:CUSTOM_LICENSED": "forbidden"})
	if got, _ := w.fits(t, "flavor=licensed&count=2"); got != "" {
		t.Errorf("servers that require a trait which no host has go to %s", got)
	}
	w.traits(t, provider, "CUSTOM_LICENSED")
	act(map[string]any{"set_metadata": map[string]any{"metadata": map[string]any{"trait:CUSTOM_LICENSED": "required"}}})
	image := w.admin.Image(t, "cirros")
	w.admin.Must(t, 200, "PATCH", "/image/v2/images/"+image, []map[string]any{{"op": "add", "path": "/trait:CUSTOM_LICENSED", "value": "required"}},
		"Content-Type", "application/openstack-images-v2.1-json-patch")
	for query, want := range map[string]string{
		"flavor=m1.tiny&count=2":                other + ":2",
		"flavor=free&count=2":                   other + ":2",
		"flavor=licensed&count=2":               mine + ":2",
		"flavor=m1.tiny&count=2&image=" + image: mine + ":2",
	} {
		if got, r := w.fits(t, query); got != want {
			t.Errorf("%s: %s, want %s: %s", query, got, want, r.Summary)
		}
	}
	act(map[string]any{"set_metadata": map[string]any{"metadata": map[string]any{"trait:CUSTOM_LICENSED": nil}}})
	if got, _ := w.fits(t, "flavor=m1.tiny&count=2"); got != both {
		t.Errorf("servers go to %s when nothing sets the hosts apart, want %s", got, both)
	}

	disabled := func() bool {
		t.Helper()
		traits := w.placement(t, 200, "GET", "/resource_providers/"+provider+"/traits", nil)["traits"].([]any)
		return slices.Contains(traits, any("COMPUTE_STATUS_DISABLED"))
	}
	w.admin.Must(t, 200, "PUT", "/compute/v2.1/os-services/disable", map[string]any{"host": mine, "binary": "nova-compute"}, "OpenStack-API-Version", "compute 2.1")
	if got, _ := w.fits(t, "flavor=m1.tiny&count=2"); got != other+":2" || !disabled() {
		t.Errorf("with one host disabled servers go to %s, and placement knows: %v", got, disabled())
	}
	w.admin.Must(t, 200, "PUT", "/compute/v2.1/os-services/enable", map[string]any{"host": mine, "binary": "nova-compute"}, "OpenStack-API-Version", "compute 2.1")
	if got, _ := w.fits(t, "flavor=m1.tiny&count=2"); got != both || disabled() {
		t.Errorf("with the host enabled again servers go to %s, and placement takes it for disabled: %v", got, disabled())
	}
}
