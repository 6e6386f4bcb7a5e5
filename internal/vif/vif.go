// Package vif holds what the network service tells compute of a server's ports, the
// virtual interfaces of Nova: one makes it, the other shows it, and lists have
// thousands of them, so there is one type for both.
package vif

// Port is a port that belongs to a server.
type Port struct {
	ID          string
	Project     string
	Server      string // device id
	Network     string
	NetworkName string
	MAC         string
	MTU         int
	Status      string // ACTIVE, BUILD, DOWN
	Addresses   []Address
	Groups      []Group
	Metadata    *Door // when asked for what guests are told; nil: the network has no metadata port
}

// Address is one fixed address of a port.
type Address struct {
	IP       string
	Subnet   string // id
	Floating []string
	On       *Subnet // when asked for what guests are told
}

// Subnet is what a guest is told of the subnet of an address.
type Subnet struct {
	CIDR    string
	Gateway string // "" for none
	DNS     []string
	Routes  []Route
	DHCP    bool
}

// Route is a host route of a subnet.
type Route struct{ Destination, NextHop string }

// Group is a security group of a port.
type Group struct{ ID, Name string }

// Door is a network's metadata port.
type Door struct {
	Port, MAC string
	CIDRs     []string
}
