package ovn

import (
	"slices"
	"strconv"
	"strings"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// A port may be told more by DHCP than its subnet is, and may have names that its
// network's resolver knows. Both are rows of its own: options that begin with
// those of the subnet, and a record for the switch.

func ownOptionsID(port, version string) string { return rowID("port-dhcp", port, version) }
func recordID(port string) string              { return rowID("port-dns", port) }

// options4 and options6 are the names of options as users know them, by dnsmasq
// or by number, and as OVN does.
var (
	options4 = map[string]string{
		"netmask": "netmask", "1": "netmask", "router": "router", "3": "router", "dns-server": "dns_server", "6": "dns_server",
		"log-server": "log_server", "7": "log_server", "lpr-server": "lpr_server", "9": "lpr_server", "hostname": "hostname", "12": "hostname",
		"domain-name": "domain_name", "15": "domain_name", "swap-server": "swap_server", "16": "swap_server",
		"ip-forward-enable": "ip_forward_enable", "19": "ip_forward_enable", "policy-filter": "policy_filter", "21": "policy_filter",
		"default-ttl": "default_ttl", "23": "default_ttl", "mtu": "mtu", "26": "mtu", "router-discovery": "router_discovery", "31": "router_discovery",
		"router-solicitation": "router_solicitation", "32": "router_solicitation", "arp-timeout": "arp_cache_timeout", "35": "arp_cache_timeout",
		"ethernet-encap": "ethernet_encap", "36": "ethernet_encap", "tcp-ttl": "tcp_ttl", "37": "tcp_ttl",
		"tcp-keepalive": "tcp_keepalive_interval", "38": "tcp_keepalive_interval", "nis-server": "nis_server", "41": "nis_server",
		"ntp-server": "ntp_server", "42": "ntp_server", "lease-time": "lease_time", "51": "lease_time", "server-id": "server_id", "54": "server_id",
		"T1": "T1", "58": "T1", "T2": "T2", "59": "T2", "tftp-server": "tftp_server", "66": "tftp_server",
		"bootfile-name": "bootfile_name", "67": "bootfile_name", "domain-search": "domain_search_list", "119": "domain_search_list",
		"classless-static-route": "classless_static_route", "121": "classless_static_route", "tftp-server-address": "tftp_server_address",
		"150": "tftp_server_address", "path-prefix": "path_prefix", "210": "path_prefix",
		"ms-classless-static-route": "ms_classless_static_route", "249": "ms_classless_static_route", "wpad": "wpad", "252": "wpad",
		"server-ip-address": "next_server",
	}
	options6 = map[string]string{
		"server-id": "server_id", "2": "server_id", "dns-server": "dns_server", "23": "dns_server",
		"domain-search": "domain_search", "24": "domain_search", "bootfile-name": "bootfile_name", "59": "bootfile_name",
	}
	quoted = []string{"domain_name", "hostname", "bootfile_name", "path_prefix", "wpad", "domain_search_list", "domain_search"}
)

// noDHCP is the option that keeps DHCP from a port.
const noDHCP = "dhcp_disabled"

// ensureOptions puts the port's own options in place of its subnet's. Options that
// nobody knows are left out, as Neutron does.
func (p *plan) ensureOptions(port fabric.Port, columns ovsdb.Row) {
	for version, column := range map[string]string{"4": "dhcpv4_options", "6": "dhcpv6_options"} {
		known := options4
		if version == "6" {
			known = options6
		}
		own := ownOptionsID(port.ID, version)
		var subnet string
		for id := range columns.Set(column) {
			subnet = id
		}
		more, none := ovsdb.Map{}, false
		for _, o := range port.Options {
			name := known[o.Name]
			switch {
			case strconv.Itoa(o.Version) != version:
			case o.Name == noDHCP:
				none = strings.EqualFold(o.Value, "true")
			case name != "":
				more[name] = value(name, o.Value)
			}
		}
		if none {
			columns[column] = ovsdb.Set{}
		}
		if none || len(more) == 0 || subnet == "" {
			p.remove(dhcpOptions, own)
			continue
		}
		row := p.get(dhcpOptions, subnet)
		options := ovsdb.Map{}
		for name, v := range row.Map("options") {
			options[name] = v
		}
		for name, v := range more {
			options[name] = v
		}
		p.put(dhcpOptions, own, ovsdb.Row{
			"cidr": row.String("cidr"), "options": options, "external_ids": ovsdb.Map{keyNetwork: port.Network},
		})
		columns[column] = ovsdb.SetOf(own)
	}
}

// value is the value of an option in OVN's language: texts in quotes, several
// addresses in braces.
func value(option, text string) string {
	switch {
	case slices.Contains(quoted, option):
		return strconv.Quote(text)
	case strings.Contains(text, ",") && !strings.HasPrefix(text, "{"):
		return "{" + text + "}"
	}
	return text
}

// ensureNames has the network's resolver know the port's addresses by its names.
func (p *plan) ensureNames(port fabric.Port) {
	if len(port.Names) == 0 || len(port.IPs) == 0 {
		p.removeNames(port.ID, port.Network)
		return
	}
	records := ovsdb.Map{}
	for _, name := range port.Names {
		records[name] = strings.Join(port.IPs, " ")
	}
	p.put(dnsRecords, recordID(port.ID), ovsdb.Row{"records": records, "external_ids": ovsdb.Map{keyNetwork: port.Network}})
	p.link(switches, switchID(port.Network), "dns_records", recordID(port.ID))
}

func (p *plan) removeNames(port, network string) {
	p.unlink(switches, switchID(network), "dns_records", recordID(port))
	p.remove(dnsRecords, recordID(port))
}
