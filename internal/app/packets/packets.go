// Package packets holds the tests of the network service on a real network: what
// users ask for by the API, sent as packets through Open vSwitch and OVN, in
// namespaces of its own. Guests are namespaces too: their ports are bound and
// plugged in by the test, so that nothing has to boot.
package packets
