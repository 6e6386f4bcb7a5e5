package ovn

import (
	"net/netip"
	"strings"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// An address group is a pair of address sets, one for each IP version, since a
// match is about one. Both are there even when they are empty.

func addressSetID(group, version string) string { return rowID("addresses", group, version) }

// addressSetName is a word that can stand in a match, behind a $.
func addressSetName(group, version string) string {
	return "ag_" + strings.ReplaceAll(group, "-", "_") + "_" + version
}

func (p *plan) ensureAddressGroup(g fabric.AddressGroup) {
	byVersion := map[string]ovsdb.Set{"ip4": {}, "ip6": {}}
	for _, cidr := range g.CIDRs {
		prefix := netip.MustParsePrefix(cidr).Masked()
		version := "ip6"
		if prefix.Addr().Is4() {
			version = "ip4"
		}
		byVersion[version][prefix.String()] = struct{}{}
	}
	for _, version := range []string{"ip4", "ip6"} {
		p.put(addressSets, addressSetID(g.ID, version), ovsdb.Row{
			"name":         addressSetName(g.ID, version),
			"addresses":    byVersion[version],
			"external_ids": ovsdb.Map{keyKind: string(fabric.KindAddressGroup), keyID: g.ID},
		})
	}
}

func (p *plan) removeAddressGroup(group string) {
	p.remove(addressSets, addressSetID(group, "ip4"))
	p.remove(addressSets, addressSetID(group, "ip6"))
}
