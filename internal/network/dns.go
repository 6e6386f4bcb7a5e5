package network

import (
	"regexp"
	"strings"

	"nacre/internal/db"
)

// DNSZone is where the names of ports are, for guests that ask the resolver of
// their network.
const DNSZone = "openstacklocal."

// Assignment is the name of one address of a port.
type Assignment struct {
	IP       string `json:"ip_address"`
	Hostname string `json:"hostname"`
	FQDN     string `json:"fqdn"`
}

// Assignments are the names of the port's addresses: its own name, or one made
// of the address.
func (p *Port) Assignments() []Assignment {
	out := make([]Assignment, len(p.FixedIPs.V))
	for i, f := range p.FixedIPs.V {
		host := strings.TrimSuffix(p.DNSName, "."+DNSZone)
		if host == "" {
			host = "host-" + strings.NewReplacer(".", "-", ":", "-").Replace(f.IP)
		}
		out[i] = Assignment{IP: f.IP, Hostname: host, FQDN: strings.TrimSuffix(host, ".") + "." + DNSZone}
	}
	return out
}

// names are what the network's resolver knows the port's addresses by: none for
// a port that has no name.
func (p *Port) names() []string {
	if p.DNSName == "" {
		return nil
	}
	bare := strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(p.DNSName, "."+DNSZone), "."))
	return []string{bare, bare + "." + strings.TrimSuffix(DNSZone, ".")}
}

var domainName = regexp.MustCompile(`^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?))*\.?$`)

// checkNames checks the name of a port or floating IP, and the domain that it is
// to be known in outside.
func checkNames(name, domain string) error {
	const longest = 255
	if name != "" && (!domainName.MatchString(name) || len(name) > longest) {
		return badField("dns_name", "'%s' not a valid PQDN or FQDN", name)
	}
	if domain != "" && (!domainName.MatchString(domain) || !strings.HasSuffix(domain, ".") || len(domain) > longest) {
		return badField("dns_domain", "'%s' is not a FQDN, which ends with a dot", domain)
	}
	return nil
}

// DHCPOption is what DHCP tells a port besides what it tells its subnet.
type DHCPOption struct {
	Name    string `json:"opt_name"`
	Value   string `json:"opt_value"`
	Version int    `json:"ip_version"`
}

// DHCPOptionChange sets an option, or takes it away when the value is nil.
type DHCPOptionChange struct {
	Name    string
	Value   *string
	Version int // 0 is 4
}

// options applies changes to the port's options: those that are not named stay.
func (p *Port) options(changes []DHCPOptionChange) error {
	var have []DHCPOption
	named := func(c DHCPOptionChange, o DHCPOption) bool { return c.Name == o.Name && c.Version == o.Version }
	for i, c := range changes {
		if c.Version == 0 {
			changes[i].Version, c.Version = 4, 4
		}
		if strings.TrimSpace(c.Name) == "" || c.Value != nil && strings.TrimSpace(*c.Value) == "" {
			return badField("extra_dhcp_opts", "'%s' has a name or a value that is blank", c.Name)
		}
		if c.Version != 4 && c.Version != 6 {
			return badField("extra_dhcp_opts", "'%d' is not in [4, 6]", c.Version)
		}
	}
	for _, o := range p.DHCPOptions.V {
		stays := true
		for _, c := range changes {
			stays = stays && !named(c, o)
		}
		if stays {
			have = append(have, o)
		}
	}
	for i, c := range changes {
		last := true // the same option twice: what is said last holds
		for _, later := range changes[i+1:] {
			last = last && (later.Name != c.Name || later.Version != c.Version)
		}
		if last && c.Value != nil {
			have = append(have, DHCPOption{c.Name, *c.Value, c.Version})
		}
	}
	p.DHCPOptions = db.Of(list(have))
	return nil
}
