package api_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func replace(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

func underscored(path string) string { return strings.ReplaceAll(path, "-", "_") }

// cidrOf makes a subnet from a pool on a network of its own, and returns its range.
func (c *cloud) fromPool(t *testing.T, token, more string) object {
	t.Helper()
	net := c.make(t, token, "networks", "network", `{}`).text("id")
	return c.make(t, token, "subnets", "subnet", `{"network_id":"`+net+`","ip_version":4,`+more+`}`)
}

func TestSubnetsFromAPool(t *testing.T) {
	t.Parallel()
	c := start(t)
	heard := c.listen(t)
	made := c.call(t, demo, "POST", "/subnetpools", `{"subnetpool":{"name":"p","prefixes":["10.1.0.0/24","10.0.0.0/24","10.1.1.0/24"],"default_prefixlen":26,"min_prefixlen":"25"}}`).want(201)
	made.golden("subnetpool")
	pool := made.one("subnetpool").text("id")
	m := heard()
	wantKinds(t, m, "subnetpool.create.end")
	c.wantView(t, m[0], "subnetpool", "/subnetpools/"+pool)

	of := `"subnetpool_id":"` + pool + `"`
	var got []string
	for _, more := range []string{of, of + `,"prefixlen":25`, of + `,"cidr":"10.1.1.0/25"`, of, of + `,"prefixlen":25`} {
		sub := c.fromPool(t, demo, more)
		if sub.text("subnetpool_id") != pool {
			t.Errorf("a subnet of the pool has %v", sub["subnetpool_id"])
		}
		got = append(got, sub.text("cidr"))
	}
	if want := []string{"10.0.0.0/26", "10.0.0.128/25", "10.1.1.0/25", "10.0.0.64/26", "10.1.0.0/25"}; !reflect.DeepEqual(got, want) {
		t.Errorf("subnets are %v, want %v", got, want)
	}
	net := c.make(t, demo, "networks", "network", `{}`).text("id")
	bad := func(more string, status int, kind, say string) {
		t.Helper()
		c.call(t, demo, "POST", "/subnets", `{"subnet":{"network_id":"`+net+`","ip_version":4,`+more+`}}`).refused(status, kind, say)
	}
	bad(of+`,"prefixlen":24`, 400, "MinPrefixSubnetAllocationError", "minimum allowed prefix is 25")
	bad(of+`,"prefixlen":33`, 400, "MaxPrefixSubnetAllocationError", "maximum allowed prefix is 32")
	bad(of+`,"cidr":"10.1.1.0/26"`, 409, "SubnetAllocationError", "Cannot allocate requested subnet")
	bad(of+`,"cidr":"10.7.0.0/26"`, 409, "SubnetAllocationError", "Cannot allocate requested subnet")
	bad(of+`,"cidr":"10.1.0.128/26","prefixlen":26`, 400, "BadRequest", "cidr and prefixlen")
	bad(`"prefixlen":26`, 400, "BadRequest", "a subnetpool must be specified in the absence of a cidr")
	c.call(t, admin, "DELETE", "/subnetpools/"+c.find(t, "subnetpools", "shared-default-subnetpool-v4").text("id"), "").want(204)
	bad(`"use_default_subnetpool":true`, 400, "BadRequest", "No default subnetpool found for IPv4")
	bad(`"subnetpool_id":"00000000-1111-4222-8333-444444444444"`, 404, "SubnetPoolNotFound", "")
	c.call(t, demo, "DELETE", "/subnetpools/"+pool, "").refused(400, "SubnetPoolDeleteError", "existing allocations")

	c.call(t, admin, "PUT", "/subnetpools/"+pool, `{"subnetpool":{"is_default":true}}`).want(200)
	if sub := c.fromPool(t, other, `"use_default_subnetpool":true`); sub.text("cidr") != "10.1.0.128/26" {
		t.Errorf("a subnet of the default pool is %s, want 10.1.0.128/26", sub["cidr"])
	}
	// What is given back is taken again.
	first := c.call(t, demo, "GET", "/subnets?cidr=10.0.0.0/26", "").many("subnets")[0]
	c.call(t, demo, "DELETE", "/subnets/"+first.text("id"), "").want(204)
	if sub := c.fromPool(t, demo, of); sub.text("cidr") != "10.0.0.0/26" {
		t.Errorf("after a deletion the next subnet is %s, want 10.0.0.0/26", sub["cidr"])
	}
}

func TestPrefixesOfAPool(t *testing.T) {
	t.Parallel()
	c := start(t)
	pool := c.make(t, demo, "subnetpools", "subnetpool", `{"name":"p","prefixes":["10.0.0.0/24"],"default_prefixlen":26}`).text("id")
	c.fromPool(t, demo, `"subnetpool_id":"`+pool+`"`)
	prefixes := func(what, body string) string {
		t.Helper()
		c.call(t, demo, "PUT", "/subnetpools/"+pool+what, body).want(200)
		return fmt.Sprint(c.call(t, demo, "GET", "/subnetpools/"+pool, "").one("subnetpool")["prefixes"])
	}
	if got := prefixes("/add_prefixes", `{"prefixes":["10.0.1.0/24","192.168.0.0/16"]}`); got != "[10.0.0.0/23 192.168.0.0/16]" {
		t.Errorf("prefixes are %s", got)
	}
	if got := prefixes("/remove_prefixes", `{"prefixes":["10.0.1.0/25"]}`); got != "[10.0.0.0/24 10.0.1.128/25 192.168.0.0/16]" {
		t.Errorf("prefixes are %s", got)
	}
	c.call(t, demo, "PUT", "/subnetpools/"+pool+"/remove_prefixes", `{"prefixes":["10.0.0.0/26"]}`).refused(400, "IllegalSubnetPoolPrefixOperation", "has subnets allocated")
	c.call(t, demo, "PUT", "/subnetpools/"+pool, `{"subnetpool":{"prefixes":["10.0.0.0/24"]}}`).refused(400, "IllegalSubnetPoolUpdate", "superset")
	if got := prefixes("", `{"subnetpool":{"prefixes":["10.0.0.0/8","192.168.0.0/16"],"max_prefixlen":30}}`); got != "[10.0.0.0/8 192.168.0.0/16]" {
		t.Errorf("prefixes are %s", got)
	}

	net, subnet := c.tenant(t, demo, "172.20.0.0/24")
	c.call(t, demo, "PUT", "/subnetpools/"+pool+"/onboard_network_subnets", `{"network_id":"`+net+`"}`).want(200).golden("onboarded")
	if sub := c.call(t, demo, "GET", "/subnets/"+subnet, "").one("subnet"); sub.text("subnetpool_id") != pool {
		t.Errorf("the subnet is of pool %v, want %s", sub["subnetpool_id"], pool)
	}
	if got := prefixes("", `{"subnetpool":{}}`); got != "[10.0.0.0/8 172.20.0.0/24 192.168.0.0/16]" {
		t.Errorf("prefixes are %s", got)
	}
	foreign, _ := c.tenant(t, other, "172.21.0.0/24")
	c.call(t, demo, "PUT", "/subnetpools/"+pool+"/onboard_network_subnets", `{"network_id":"`+foreign+`"}`).refused(404, "NetworkNotFound", "")
}

func TestQuotaOfAPool(t *testing.T) {
	t.Parallel()
	c := start(t)
	pool := c.make(t, admin, "subnetpools", "subnetpool", `{"name":"p","prefixes":["10.0.0.0/16"],"default_prefixlen":26,"default_quota":100,"shared":true}`).text("id")
	of := `"subnetpool_id":"` + pool + `"`
	c.fromPool(t, demo, of)
	net := c.make(t, demo, "networks", "network", `{}`).text("id")
	c.call(t, demo, "POST", "/subnets", `{"subnet":{"network_id":"`+net+`","ip_version":4,`+of+`}}`).refused(409, "SubnetPoolQuotaExceeded", "quota exceeded")
	c.fromPool(t, other, of)
	c.call(t, admin, "PUT", "/subnetpools/"+pool, `{"subnetpool":{"default_quota":null}}`).want(200)
	c.fromPool(t, demo, of)

	c.call(t, admin, "PUT", "/quotas/demo", `{"quota":{"subnetpool":0}}`).want(200)
	c.call(t, demo, "POST", "/subnetpools", `{"subnetpool":{"name":"q","prefixes":["10.0.0.0/8"]}}`).refused(409, "OverQuota", "subnetpool")
}

func TestAddressScopes(t *testing.T) {
	t.Parallel()
	c := start(t)
	heard := c.listen(t)
	made := c.call(t, demo, "POST", "/address-scopes", `{"address_scope":{"name":"s","ip_version":4}}`).want(201)
	made.golden("address_scope")
	scope := made.one("address_scope").text("id")
	c.call(t, demo, "PUT", "/address-scopes/"+scope, `{"address_scope":{"name":"t"}}`).want(200)
	m := heard()
	wantKinds(t, m, "address_scope.create.end", "address_scope.update.end")
	c.wantView(t, m[1], "address_scope", "/address-scopes/"+scope)

	in := `"address_scope_id":"` + scope + `"`
	pool := c.make(t, demo, "subnetpools", "subnetpool", `{"name":"a","prefixes":["10.0.0.0/16"],`+in+`}`).text("id")
	sub := c.fromPool(t, demo, `"subnetpool_id":"`+pool+`","prefixlen":26`)
	if n := c.call(t, demo, "GET", "/networks/"+sub.text("network_id"), "").one("network"); n.text("ipv4_address_scope") != scope {
		t.Errorf("the network is in scope %v, want %s", n["ipv4_address_scope"], scope)
	}
	for _, bad := range []struct {
		method, path, body string
		status             int
		kind               string
	}{
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":["10.0.1.0/24"],` + in + `}}`, 409, "AddressScopePrefixConflict"},
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":["fd00::/48"],` + in + `}}`, 400, "IllegalSubnetPoolIpVersionAssociationToAddressScope"},
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":["10.0.0.0/8","fd00::/48"]}}`, 400, "PrefixVersionMismatch"},
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":[]}}`, 400, "EmptySubnetPoolPrefixList"},
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":["ten"]}}`, 400, "HTTPBadRequest"},
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":["10.0.0.0/8"],"min_prefixlen":28,"max_prefixlen":24}}`, 400, "IllegalSubnetPoolPrefixBounds"},
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":["10.0.0.0/8"],"max_prefixlen":64}}`, 400, "UnsupportedMinSubnetPoolPrefix"},
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":["10.0.0.0/8"],"is_default":true}}`, 403, "PolicyNotAuthorized"},
		{"POST", "/subnetpools", `{"subnetpool":{"name":"b","prefixes":["10.0.0.0/8"],"shared":true}}`, 403, "PolicyNotAuthorized"},
		{"POST", "/address-scopes", `{"address_scope":{"name":"x","ip_version":5}}`, 400, "HTTPBadRequest"},
		{"POST", "/address-scopes", `{"address_scope":{"name":"x","ip_version":4,"shared":true}}`, 403, "PolicyNotAuthorized"},
		{"DELETE", "/address-scopes/" + scope, ``, 409, "AddressScopeInUse"},
		{"POST", "/subnets", `{"subnet":{"network_id":"` + sub.text("network_id") + `","ip_version":4,"cidr":"10.200.0.0/24"}}`, 400, "NetworkAddressScopeAffinityError"},
	} {
		c.call(t, demo, bad.method, bad.path, bad.body).refused(bad.status, bad.kind, "")
	}
	c.call(t, demo, "DELETE", "/subnets/"+sub.text("id"), "").want(204)
	c.call(t, demo, "DELETE", "/subnetpools/"+pool, "").want(204)
	c.call(t, demo, "DELETE", "/address-scopes/"+scope, "").want(204)

	shared := c.make(t, admin, "address-scopes", "address_scope", `{"name":"s","ip_version":6,"shared":true}`).text("id")
	c.call(t, demo, "GET", "/address-scopes/"+shared, "").want(200)
	c.call(t, admin, "PUT", "/address-scopes/"+shared, `{"address_scope":{"shared":false}}`).refused(400, "AddressScopeUpdateError", "can't be unshared")
}
