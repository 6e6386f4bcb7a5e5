package simulated

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// doors are the metadata doors of one host. The zero value has none.
type doors struct {
	mu   sync.Mutex // guards open
	open map[string]*door
}

// listen opens the network's door.
func (d *doors) listen(network string) (net.Listener, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	earlier := d.open[network]
	if earlier != nil && !earlier.isClosed() {
		return nil, fmt.Errorf("listen in metadata door %s: address already in use", network)
	}
	if d.open == nil {
		d.open = map[string]*door{}
	}
	opened := &door{callers: make(chan net.Conn), closed: make(chan struct{})}
	d.open[network] = opened
	return opened, nil
}

func (d *doors) close(network string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	opened := d.open[network]
	if opened != nil {
		opened.Close()
		delete(d.open, network)
	}
}

func (d *doors) has(network string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[network] != nil
}

// dial comes in by the network's door as the guest with the address.
func (d *doors) dial(ctx context.Context, network, ip string) (net.Conn, error) {
	d.mu.Lock()
	opened := d.open[network]
	d.mu.Unlock()
	if opened == nil {
		return nil, fmt.Errorf("network %s has no metadata door here", network)
	}
	here, there := net.Pipe()
	select {
	case opened.callers <- caller{there, &net.TCPAddr{IP: net.ParseIP(ip), Port: 40000}}:
		return here, nil
	case <-opened.closed:
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
