package simulated

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"nacre/internal/fabric"
)

// Host is a fabric.Host in memory.
type Host struct {
	cluster *Cluster
	name    string

	// Guarded by the cluster's mutex; nil until something is put in.
	plugs map[string]fabric.Plug
	doors map[string]*door // by network
}

var _ fabric.Host = (*Host)(nil)

// Host makes a host with this name, without anything plugged in.
func (c *Cluster) Host(name string) *Host { return &Host{cluster: c, name: name} }

// Plug implements fabric.Host. The device is only a name.
func (h *Host) Plug(ctx context.Context, p fabric.Plug) (string, error) {
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "Plug", p.Port)
	if err != nil {
		return "", err
	}
	before := c.up(p.Port)
	if h.plugs == nil {
		h.plugs = map[string]fabric.Plug{}
	}
	h.plugs[p.Port] = p
	if c.plugged[p.Port] == nil {
		c.plugged[p.Port] = map[string]bool{}
	}
	c.plugged[p.Port][h.name] = true
	c.hint(p.Port, before)
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
	before := c.up(port)
	delete(h.plugs, port)
	delete(c.plugged[port], h.name)
	if len(c.plugged[port]) == 0 {
		delete(c.plugged, port)
	}
	c.hint(port, before)
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
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "OpenMetadata", m.Network)
	if err != nil {
		return nil, err
	}
	if h.doors == nil {
		h.doors = map[string]*door{}
	}
	earlier := h.doors[m.Network]
	if earlier != nil && !earlier.isClosed() {
		return nil, fmt.Errorf("listen in metadata door %s: address already in use", m.Network)
	}
	d := &door{callers: make(chan net.Conn), closed: make(chan struct{})}
	h.doors[m.Network] = d
	return d, nil
}

// CloseMetadata implements fabric.Host.
func (h *Host) CloseMetadata(ctx context.Context, network string) error {
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "CloseMetadata", network)
	if err != nil {
		return err
	}
	d := h.doors[network]
	if d != nil {
		d.Close()
		delete(h.doors, network)
	}
	return nil
}

// MAC implements fabric.Host. A guest has the addresses that its port has.
func (h *Host) MAC(ctx context.Context, network, ip string) (string, error) {
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.begin(ctx, "MAC", network)
	if err != nil {
		return "", err
	}
	if h.doors[network] == nil {
		return "", fmt.Errorf("network %s has no metadata door here", network)
	}
	port, ok := c.byIP[network][ip]
	if !ok || h.plugs[port].Port == "" {
		return "", fmt.Errorf("nobody on network %s has address %s", network, ip)
	}
	return c.ports[port].MAC, nil
}

// Dial connects to the network's metadata door as the guest with this address.
func (h *Host) Dial(ctx context.Context, network, ip string) (net.Conn, error) {
	h.cluster.mu.Lock()
	d := h.doors[network]
	h.cluster.mu.Unlock()
	if d == nil {
		return nil, fmt.Errorf("network %s has no metadata door here", network)
	}
	here, there := net.Pipe()
	select {
	case d.callers <- caller{there, &net.TCPAddr{IP: net.ParseIP(ip), Port: 40000}}:
		return here, nil
	case <-d.closed:
	case <-ctx.Done():
	}
	return nil, errors.Join(fmt.Errorf("nobody listens at the metadata door of network %s", network), ctx.Err(), here.Close(), there.Close())
}

// door is a listener whose callers come by Dial.
type door struct {
	callers chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case conn := <-d.callers:
		return conn, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

func (d *door) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(169, 254, 169, 254), Port: 80}
}

func (d *door) isClosed() bool {
	select {
	case <-d.closed:
		return true
	default:
		return false
	}
}

// caller is a connection with the guest's address.
type caller struct {
	net.Conn
	remote net.Addr
}

func (c caller) RemoteAddr() net.Addr { return c.remote }

func (c caller) LocalAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(169, 254, 169, 254), Port: 80}
}
