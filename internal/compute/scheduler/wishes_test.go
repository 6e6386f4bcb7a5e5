package scheduler

import (
	"net/netip"
	"testing"
)

func TestWishes(t *testing.T) {
	in := func(metadata ...map[string]string) func(*Host) {
		return func(h *Host) {
			for _, m := range metadata {
				h.Metadata = MergeMetadata(h.Metadata, m)
			}
		}
	}
	words := func(pairs ...string) map[string]string { return map[string]string{pairs[0]: pairs[1]} }
	isolated := Rules{IsolatedHosts: []string{"name-a"}, IsolatedImages: []string{"i"}}
	shared := isolated
	shared.Shared = true
	load := map[string]Load{"name-a": {Servers: 5, Busy: 2}}
	testFilters(t, []filterTest{
		{"on the host of a server", nil, Request{Same: []string{"name-a"}}, "", ""},
		{"on another server's host", nil, Request{Same: []string{"b"}}, FilterHint, "only hosts of the servers named in same_host were asked for"},
		{"on the host of a server that is nowhere", nil, Request{Same: []string{}}, FilterHint, "only hosts of the servers named in same_host were asked for"},
		{"not on a server's host", nil, Request{Different: []string{"name-a"}}, FilterHint, "a server named in different_host is on the host"},
		{"not on another's", nil, Request{Different: []string{"b"}}, "", ""},

		{"another project's aggregate", in(words("filter_tenant_id", "p1"), words("filter_tenant_id2", "p2")), Request{Project: "p3"}, FilterTenants, "the host's aggregate is for other projects"},
		{"the project's aggregate", in(words("filter_tenant_id", "p1"), words("filter_tenant_id2", "p2")), Request{Project: "p2"}, "", ""},
		{"an aggregate for some flavors", in(words("instance_type", "m1.tiny, m1.small")), Request{Flavor: "m1.large"}, FilterAggregateSpecs, "the host's aggregate is for flavors m1.tiny, m1.small"},
		{"an aggregate for this flavor", in(words("instance_type", "m1.tiny,m1.small")), Request{Flavor: "m1.small"}, "", ""},
		{"a flavor for some aggregates", nil, Request{AggregateSpecs: words("ssd", "true")}, FilterAggregateSpecs, "the flavor wants an aggregate with ssd true, the host's have none"},
		{"a flavor for this aggregate", in(words("ssd", "true")), Request{AggregateSpecs: words("ssd", "<or> yes <or> true")}, "", ""},
		{"an aggregate for some images", in(words("os_distro", "windows")), Request{Image: words("os_distro", "debian")}, FilterImage, "the image has os_distro debian, the host's aggregate is for windows"},
		{"an image that says nothing", in(words("os_distro", "windows")), Request{}, "", ""},
		{"an aggregate for servers with a trait", in(words("trait:CUSTOM_A", "required")), Request{Traits: []string{"CUSTOM_B"}}, FilterAggregateSpecs, "the host's aggregate is for servers that require trait CUSTOM_A"},
		{"a server with that trait", in(words("trait:CUSTOM_A", "required")), Request{Traits: []string{"CUSTOM_A"}, Image: words("trait:CUSTOM_A", "required")}, "", ""},
		{"another host has it", nil, Request{Able: map[string]bool{"b": true}, Asked: "CUSTOM_CARD:1"}, FilterResources, "the host and what is below it or shares with it have no room for CUSTOM_CARD:1"},
		{"enough servers", in(words("max_instances_per_host", "5")), Request{Loads: load}, FilterLoad, "the host has 5 servers, its aggregate allows 5"},
		{"room for a server", in(words("max_instances_per_host", "6")), Request{Loads: load}, "", ""},
		{"busy enough", in(words("max_io_ops_per_host", "2")), Request{Loads: load}, FilterLoad, "the host has 2 busy servers, its aggregate allows 2"},

		{"near an address", func(h *Host) { h.Address = "10.1.2.3" }, Request{Near: netip.MustParsePrefix("10.1.2.0/24")}, "", ""},
		{"not near it", func(h *Host) { h.Address = "10.1.3.3" }, Request{Near: netip.MustParsePrefix("10.1.2.0/24")}, FilterHint, "the host's address 10.1.3.3 is not in 10.1.2.0/24"},
		{"nobody knows whether it is", nil, Request{Near: netip.MustParsePrefix("10.1.2.0/24")}, FilterHint, "the host's address none is not in 10.1.2.0/24"},
		{"a version of the hypervisor", func(h *Host) { h.Version = 7002001 }, Request{Versions: ">=7.2, <8"}, "", ""},
		{"another version", func(h *Host) { h.Version = 7002001 }, Request{Versions: ">7.2.1"}, FilterImage, "the image is for versions >7.2.1 of the hypervisor, the host has 7002001"},
		{"a version that is none", nil, Request{Versions: ">= new"}, FilterImage, "the image is for versions >= new of the hypervisor, the host has 0"},
		{"a machine of its own", nil, Request{VMMode: "hvm"}, "", ""},
		{"a container", nil, Request{VMMode: "exe"}, FilterImage, "the image is for guests of mode exe, the host has hvm"},

		{"a capability", nil, Request{Capabilities: words("hypervisor_type", "QEMU")}, "", ""},
		{"not the capability", nil, Request{Capabilities: words("hypervisor_type", "s== KVM")}, FilterCapabilities, "the flavor wants hypervisor_type s== KVM, the host has QEMU"},
		{"a number", nil, Request{Capabilities: words("free_ram_mb", ">= 1512")}, "", ""},
		{"too small a number", func(h *Host) { h.Used[MemoryMB] = 1 }, Request{Capabilities: words("free_ram_mb", ">= 1512")}, FilterCapabilities, "the flavor wants free_ram_mb >= 1512, the host has 1511"},
		{"a ratio", func(h *Host) { h.Inventory[VCPU].Ratio = 4 }, Request{Capabilities: words("cpu_allocation_ratio", "4.0")}, "", ""},
		{"a capability without a scope", nil, Request{Unscoped: words("free_ram_mb", ">= 1513")}, FilterCapabilities, "the flavor wants free_ram_mb >= 1513, the host has 1512"},
		{"both, and only one is met", nil, Request{Capabilities: words("hypervisor_type", "QEMU"), Unscoped: words("hypervisor_type", "s== KVM")}, FilterCapabilities, "the flavor wants hypervisor_type s== KVM, the host has QEMU"},
		{"no capability without a scope", nil, Request{Unscoped: words("ssd", "true")}, "", ""},
		{"where aggregates are asked", nil, Request{Unscoped: words("ssd", "true"), Rules: Rules{Unscoped: true}}, FilterAggregateSpecs, "the flavor wants an aggregate with ssd true, the host's have none"},
		{"and have it", in(words("ssd", "true")), Request{Unscoped: words("ssd", "<in> ru"), Rules: Rules{Unscoped: true}}, "", ""},
		{"and have another number", in(words("disks", "2,4")), Request{Unscoped: words("disks", ">= 5"), Rules: Rules{Unscoped: true}}, FilterAggregateSpecs, "the flavor wants an aggregate with disks >= 5, the host's have 2, 4"},
		{"an empty property of an image", in(words("os_distro", "windows")), Request{Image: words("os_distro", "")}, "", ""},

		{"an isolated image on its host", nil, Request{ImageID: "i", Rules: isolated}, "", ""},
		{"an isolated image elsewhere", func(h *Host) { h.Name = "name-b" }, Request{ImageID: "i", Rules: isolated}, FilterIsolated, "the image is for isolated hosts, the host is none of them"},
		{"another image on the isolated host", nil, Request{ImageID: "j", Rules: isolated}, FilterIsolated, "the host is kept for isolated images"},
		{"no image on the isolated host", nil, Request{Rules: isolated}, FilterIsolated, "the host is kept for isolated images"},
		{"another image elsewhere", func(h *Host) { h.Name = "name-b" }, Request{ImageID: "j", Rules: isolated}, "", ""},
		{"another image on an isolated host for all", nil, Request{ImageID: "j", Rules: shared}, "", ""},
		{"an isolated image beside a host for all", func(h *Host) { h.Name = "name-b" }, Request{ImageID: "i", Rules: shared}, FilterIsolated, "the image is for isolated hosts, the host is none of them"},
		{"an isolated image without hosts", nil, Request{ImageID: "i", Rules: Rules{IsolatedImages: isolated.IsolatedImages}}, FilterIsolated, "the image is for isolated hosts, the host is none of them"},

		{"a server that stays with an isolated image", func(h *Host) { h.Name = "name-b" }, Request{Keep: true, Host: "name-b", ImageID: "i", Rules: isolated}, FilterIsolated, "the image is for isolated hosts, the host is none of them"},
		{"a server that stays with an image for others", in(words("os_distro", "windows")), Request{Keep: true, Host: "name-a", Image: words("os_distro", "debian")}, FilterImage, "the image has os_distro debian, the host's aggregate is for windows"},
		{"a server that stays where others may go", in(words("filter_tenant_id", "q")), Request{Keep: true, Host: "name-a", Project: "p", Amounts: Amounts{1000}, Zone: "moon"}, "", ""},

		{"so many servers as the operator allows", nil, Request{Rules: Rules{MaxServers: 5}, Loads: load}, FilterLoad, "the host has 5 servers, the operator allows 5"},
		{"one less", nil, Request{Rules: Rules{MaxServers: 6}, Loads: load}, "", ""},
		{"one less, and busy", nil, Request{Rules: Rules{MaxServers: 6, MaxBusy: 2}, Loads: load}, FilterLoad, "the host has 2 busy servers, the operator allows 2"},
		{"more than the operator allows where its aggregate does", in(words("max_instances_per_host", "9")), Request{Rules: Rules{MaxServers: 5}, Loads: load}, "", ""},
		{"the least of its aggregates", in(words("max_instances_per_host", "9,5,many")), Request{Rules: Rules{MaxServers: 50}, Loads: load}, FilterLoad, "the host has 5 servers, its aggregate allows 5"},

		{"a capability of no host", nil, Request{Capabilities: words("wings", "2")}, FilterCapabilities, "the flavor wants wings 2, the host has none"},

		{"a query", nil, Request{Query: `["and", [">=", "$free_ram_mb", 1024], ["in", "$host", "name-a", "name-b"]]`}, "", ""},
		{"a query that fails", nil, Request{Query: `["or", ["<", "$vcpus_total", 10], ["not", ["=", "$hypervisor_type", "QEMU"]]]`}, FilterHint, "the hint query does not hold"},
		{"a query about what hosts have not", nil, Request{Query: `["not", ["=", "$wings", 2]]`}, "", ""},
		{"a query about servers", nil, Request{Query: `["<", "$num_instances", 5]`, Loads: load}, FilterHint, "the hint query does not hold"},
		{"a query that is no JSON", nil, Request{Query: `[">=",`}, FilterHint, "the hint query is not understood: it is not JSON"},
		{"a query without operator", nil, Request{Query: `["exec", "rm"]`}, FilterHint, `the hint query is not understood: "exec" is no operator`},
		{"a query that lacks a value", nil, Request{Query: `["=", "$host"]`}, FilterHint, "the hint query is not understood: operator = needs two values"},
		{"a query without end", nil, Request{Query: `["not",["not",["not",["not",["not",["not",["not",["not",["not",["not",["not",["not",["not",["not",["not",["not",["not",["=",1,1]]]]]]]]]]]]]]]]]]`},
			FilterHint, "the hint query is not understood: a condition is a list with an operator"},
	})
}

// The cases are those of Nova's documentation of flavors.
func TestMatches(t *testing.T) {
	for _, test := range []struct {
		value, requirement string
		want               bool
	}{
		{"1", "1", true}, {"", "1", false}, {"3", "1", false}, {"222", "2", false},
		{"4", "> 2", true}, {"2", "> 4", false}, {"2", ">= 2", true}, {"2", "<= 1", false}, {"2", "== 3", false}, {"2", "!= 3", true},
		{"123", "= 123", true}, {"124", "= 123", true}, {"34", "= 234", false}, {"x", "= 3", false},
		{"a", "s== a", true}, {"b", "s!= a", true}, {"10", "s< 9", true}, {"9", "s>= 10", true},
		{"12311321", "<in> 11", true}, {"12310321", "<in> 11", false}, {"x86 aes mmx", "<all-in> aes mmx", true}, {"x86 aes", "<all-in> aes mmx", false},
		{"12", "<or> 11 <or> 12", true}, {"13", "<or> 11 <or> 12", false}, {"some thing", "some thing", true}, {"s", "s", true}, {"", "", true},
		{"4", "=", false}, {"x", "<all-in>", false}, {"s= x", "s= x", true}, {"x", "s= x", false},
	} {
		if got := matches(test.value, test.requirement); got != test.want {
			t.Errorf("%q meets %q: got %v", test.value, test.requirement, got)
		}
	}
}

func TestWhoNeedsLoads(t *testing.T) {
	limited := host("a", func(h *Host) { h.Metadata = MergeMetadata(nil, map[string]string{"max_io_ops_per_host": "8"}) })
	s := snapshot(limited, host("b"))
	if !s.NeedsLoads(Request{}) {
		t.Error("an aggregate limits servers, and nobody counts them")
	}
	s.Remove("a")
	if s.NeedsLoads(Request{}) {
		t.Error("servers are counted for a host that is gone")
	}
	s.Put(limited)
	s.Put(host("a"))
	if !s.NeedsLoads(Request{Unscoped: map[string]string{"failed_builds": "== 0"}}) {
		t.Error("failed builds are not counted for a flavor that asks for them")
	}
	if s.NeedsLoads(Request{}) || !s.NeedsLoads(Request{Query: `["<", "$num_io_ops", 8]`}) {
		t.Error("only a query asks for servers now")
	}
}
