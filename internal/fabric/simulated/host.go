package simulated

import (
	"context"
	"fmt"
	"net"

	"nacre/internal/fabric"
)

// Host is a fabric.Host in memory.
type Host struct {
	cluster *Cluster
	name    string

	plugs map[string]fabric.Plug // guarded by the cluster's mutex; nil until something is put in
	doors doors
}

var _ fabric.Host = (*Host)(nil)

// Host is the host with this name, at first without anything plugged in.
func (c *Cluster) Host(name string) *Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[name]
	if h == nil {
		h = &Host{cluster: c, name: name}
		c.hosts[name] = h
	}
	return h
}

// Plug implements fabric.Host. The device is only a name.
func (h *Host) Plug(ctx context.Context, p fabric.Plug) (string, error) {
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "Plug", p.Port)
	if err != nil {
		return "", err
	}
	before := c.ups(p.Port)
	if h.plugs == nil {
		h.plugs = map[string]fabric.Plug{}
	}
	h.plugs[p.Port] = p
	if c.plugged[p.Port] == nil {
		c.plugged[p.Port] = map[string]bool{}
	}
	c.plugged[p.Port][h.name] = true
	c.hints(p.Port, before)
	return "tap" + p.Port[:min(11, len(p.Port))], nil
}

// Unplug implements fabric.Host.
func (h *Host) Unplug(ctx context.Context, port string) error {
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "Unplug", port)
	if err != nil {
		return err
	}
	before := c.ups(port)
	delete(h.plugs, port)
	delete(c.plugged[port], h.name)
	if len(c.plugged[port]) == 0 {
		delete(c.plugged, port)
	}
	c.hints(port, before)
	return nil
}

// Plugged implements fabric.Host.
func (h *Host) Plugged(ctx context.Context) ([]string, error) {
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "Plugged", "")
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(h.plugs))
	for id := range h.plugs {
		ids = append(ids, id)
	}
	return ids, nil
}

// OpenMetadata implements fabric.Host. Guests come in by Dial.
func (h *Host) OpenMetadata(ctx context.Context, m fabric.Metadata) (net.Listener, error) {
	err := h.cluster.call(ctx, "OpenMetadata", m.Network)
	if err != nil {
		return nil, err
	}
	return h.doors.listen(m.Network)
}

// CloseMetadata implements fabric.Host.
func (h *Host) CloseMetadata(ctx context.Context, network string) error {
	err := h.cluster.call(ctx, "CloseMetadata", network)
	if err != nil {
		return err
	}
	h.doors.close(network)
	return nil
}

// MAC implements fabric.Host. A guest has the addresses that its port has.
func (h *Host) MAC(ctx context.Context, network, ip string) (string, error) {
	err := h.cluster.call(ctx, "MAC", network)
	if err != nil {
		return "", err
	}
	if !h.doors.has(network) {
		return "", fmt.Errorf("network %s has no metadata door here", network)
	}
	return h.owner(network, ip)
}

// owner is the MAC address of the guest of this host with the address.
func (h *Host) owner(network, ip string) (string, error) {
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	port, ok := c.byIP[network][ip]
	card := port
	if trunk := c.ports[port].Trunk; trunk != "" {
		card = trunk
	}
	if !ok || h.plugs[card].Port == "" {
		return "", fmt.Errorf("nobody on network %s has address %s", network, ip)
	}
	return c.ports[port].MAC, nil
}

// call is a call without an effect on the cluster.
func (c *Cluster) call(ctx context.Context, name, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begin(ctx, name, id)
}

// Dial connects to the network's metadata door as the guest with this address.
func (h *Host) Dial(ctx context.Context, network, ip string) (net.Conn, error) {
	return h.doors.dial(ctx, network, ip)
}
