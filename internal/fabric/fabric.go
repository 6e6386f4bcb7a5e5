// Package fabric is the network below the network service.
//
// It has two sides. Cluster turns networks, routers and security groups into
// logical flows; there is one for all hosts. Host plugs a machine's card into
// it on one host and opens that host's door for metadata. The drivers are the
// folders beside this file: ovn moves real packets, simulated none, and can
// fail on request. fabrictest holds the suite that each of them passes.
package fabric

import (
	"context"
	"net"
	"slices"
)

// Topology is a set of objects as they should be. Objects that it does not
// name stay as they are.
type Topology struct {
	Networks []Network
	Ports    []Port
	Groups   []Group
	Routers  []Router

	AddressGroups []AddressGroup
}

// Network is a layer-2 segment.
type Network struct {
	ID       string
	Name     string
	MTU      int
	Physical string // provider network name, "" for an overlay
	VLAN     int    // 0 for flat
	Subnets  []Subnet
}

// Subnet is one address range of a network and what DHCP tells about it.
type Subnet struct {
	ID         string
	CIDR       string
	Gateway    string // "" for none
	DHCP       bool
	DNS        []string
	Routes     []Route // host routes; the driver adds the one to MetadataIP
	MetadataIP string  // address of the metadata port, "" for none
	Stateless  bool    // DHCPv6 tells about the network and gives no addresses
}

// Route is a static route.
type Route struct {
	Destination string // CIDR
	NextHop     string
}

// Port is one connection to a network that is not a router's. Router
// interfaces stand in Router.
type Port struct {
	ID           string
	Network      string
	MAC          string
	IPs          []string // without prefix length
	Groups       []string // security groups
	PortSecurity bool     // anti-spoofing, and everything that Groups does not allow is dropped
	AllowedPairs []Pair   // further addresses that may be used
	Enabled      bool     // admin_state_up
	Metadata     bool     // the network's metadata port: present on every host
	Host         string   // where it is bound, "" for nowhere
	NextHost     string   // where it is about to be bound: it is plugged in there too, "" for nowhere
	Trunk        string   // the port whose VLAN it is, "" for a port with a card of its own
	VLAN         int      // its number on the trunk
	Names        []string // what the network's resolver knows its addresses by, in lower case
	Options      []Option // what DHCP tells it besides what it tells the subnet
	QoS          QoS
}

// QoS is how much traffic may pass, and how it is marked.
type QoS struct {
	Egress, Ingress Limit
	Marks           bool // what is sent gets the DSCP
	DSCP            int
}

// Limit is a rate in kbit/s. The zero value limits nothing.
type Limit struct {
	Rate  int
	Burst int // kbit above the rate; 0 leaves it to the driver
}

// Option is an option of DHCP, by its name in dnsmasq or its number.
type Option struct {
	Name, Value string
	Version     int // of IP
}

// Pair is an address which a port may use besides its own.
type Pair struct {
	MAC string // "" for the port's
	IP  string // address or CIDR
}

// Group is a security group with all its rules. Members are the ports that
// name it.
type Group struct {
	ID        string
	Rules     []Rule
	Stateless bool // each packet is judged by itself
}

// Rule allows traffic. Replies to what is allowed are allowed, unless the group is
// stateless.
type Rule struct {
	ID          string
	Egress      bool
	IPv6        bool
	Protocol    string // "", "tcp", "udp", "sctp", "icmp", "icmpv6" or a number
	PortMin     int    // first port or ICMP type; -1 for any
	PortMax     int    // last port or ICMP code; -1 for any
	RemoteCIDR  string // "" for any
	RemoteGroup string // "" for any

	RemoteAddresses string // id of an address group, "" for any
}

// AddressGroup is a set of address ranges, of both IP versions, that rules refer to.
type AddressGroup struct {
	ID    string
	CIDRs []string
}

// Router joins networks.
type Router struct {
	ID      string
	Name    string
	Enabled bool
	Ports   []RouterPort
	Gateway *Gateway // nil: no way out
	Routes  []Route
	NATs    []FloatingIP

	Forwardings []Forwarding
}

// AllPorts are the router's interfaces, its gateway included.
func (r Router) AllPorts() []RouterPort {
	if r.Gateway == nil {
		return r.Ports
	}
	return slices.Concat(r.Ports, []RouterPort{r.Gateway.RouterPort})
}

// RouterPort is an interface of a router.
type RouterPort struct {
	ID      string
	Network string
	MAC     string
	CIDRs   []string // its addresses with prefix length, 10.0.0.1/24

	// Advertise is how IPv6 router advertisements tell guests to find their
	// address: "slaac", "dhcpv6_stateful", "dhcpv6_stateless"; "" sends none.
	Advertise string
	MTU       int // of the network: larger packets are refused with ICMP; 0 for any
}

// Gateway is the interface towards an external network.
type Gateway struct {
	RouterPort
	NextHops []string // gateways of the external subnets
	SNAT     bool     // inner subnets reach out under the gateway's first IPv4 address
	QoS      QoS      // limits what passes under its first IPv4 address; floating IPs have their own
}

// FloatingIP maps an external address to an inner one in both directions.
type FloatingIP struct {
	ID       string
	External string
	Internal string
	Port     string // the port that has Internal
	MAC      string // of the external address
	QoS      QoS
}

// Forwarding leads connections to ports of an external address to ports of an
// inner one. The ranges are of the same size, or the inner one is a single port.
type Forwarding struct {
	ID                       string
	Floating                 string // id of the floating IP
	Protocol                 string // "tcp", "udp" or "sctp"
	External, Internal       string // addresses
	ExternalMin, ExternalMax int
	InternalMin, InternalMax int
	QoS                      QoS // of the floating IP
}

// Kind says what a Ref refers to.
type Kind string

// The kinds of objects.
const (
	KindNetwork Kind = "network"
	KindPort    Kind = "port"
	KindGroup   Kind = "group"
	KindRouter  Kind = "router"

	KindAddressGroup Kind = "address group"
)

// Ref names one object.
type Ref struct {
	Kind Kind
	ID   string
}

// Cluster is the network all hosts share. Its methods may be called
// concurrently and are idempotent.
type Cluster interface {
	// Ensure makes the objects exist exactly as given, in one transaction. What
	// they refer to (a port's network and groups, a rule's address group) exists already or is in the
	// same topology. When it returns nil, the state is stored; hosts follow
	// within milliseconds.
	Ensure(ctx context.Context, t Topology) error

	// Remove makes the objects not exist. Missing ones are a success.
	Remove(ctx context.Context, refs ...Ref) error

	// List returns every object of ours, also those nobody asked for.
	List(ctx context.Context) ([]Ref, error)

	// Up returns ids of the ports that are plugged in and working: of all, or of
	// these.
	Up(ctx context.Context, ports ...string) ([]string, error)

	// Changed carries ids of ports that went up or down, and "" where some were
	// lost. It is a hint: Up has the facts.
	Changed() <-chan string
}

// Hint tells the reader of changed of a port. One who lags behind reads "" in place
// of what there is no room for.
func Hint(changed chan string, port string) {
	select {
	case changed <- port:
		return
	default:
	}
	select {
	case <-changed:
	default:
	}
	select {
	case changed <- "":
	default: // others hint meanwhile, and have put it there
	}
}

// Plug is a machine's card as the host should have it.
type Plug struct {
	Port    string
	Network string
	MAC     string
	MTU     int
}

// Metadata is a network's door to the metadata service on one host.
type Metadata struct {
	Network string
	Port    string // the metadata port
	MAC     string
	CIDRs   []string // its addresses with prefix length
	MTU     int
}

// Host is one host's side of the network.
type Host interface {
	// Plug makes a tap device for the port and connects it. Plugging again
	// returns the same device.
	Plug(ctx context.Context, p Plug) (tap string, err error)

	// Unplug removes the port's device. A missing one is a success.
	Unplug(ctx context.Context, port string) error

	// Plugged returns the ids of all ports plugged on this host.
	Plugged(ctx context.Context) ([]string, error)

	// OpenMetadata makes the network's metadata door (a network namespace with
	// the metadata port in it) and listens on port 80 of 169.254.169.254 and, where
	// the host has IPv6, of fe80::a9fe:a9fe inside. Opening
	// again returns a new listener on the same door after the earlier one was closed.
	OpenMetadata(ctx context.Context, m Metadata) (net.Listener, error)

	// CloseMetadata removes the door. A missing one is a success.
	CloseMetadata(ctx context.Context, network string) error

	// MAC returns who on the network has the source address right now, as the
	// metadata door's neighbour table has it.
	MAC(ctx context.Context, network, ip string) (string, error)
}
