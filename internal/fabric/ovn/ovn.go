// Package ovn is the network driver that moves packets: Open vSwitch on each
// host, programmed by OVN.
//
// Start runs the daemons, or takes over those that run: the northbound and
// southbound databases and northd, which turns networks into logical flows (the
// central part), and on each host ovsdb-server, vswitchd and ovn-controller (the
// chassis). They are detached from us, speak over unix sockets below one folder,
// and go on when we don't. Stop ends them and removes what is left.
//
// Cluster writes the northbound database, as Neutron's ML2/OVN driver does: a
// network is a logical switch, a security group a port group with access rules,
// a router a logical router whose gateway port lives on one chassis. Objects carry
// our external_ids, so that List sees ours alone. Each row's UUID follows from
// what it is for, which makes every call a comparison of what is with what
// should be; see plan.
//
// Host writes the local switch's database: a tap per guest card, a network
// namespace per metadata door. Where the kernel has no openvswitch module, the
// switch runs in user space (datapath netdev), slower but otherwise the same. In
// that datapath nobody computes checksums that a device has left to hardware:
// whoever sends into it must have done so before.
package ovn
