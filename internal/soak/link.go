package soak

import (
	"net"
	"testing"

	"nacre/internal/scenario"
)

// Link carries connections from a listener to an address, and can be cut.
type Link struct {
	*scenario.Link
	network, address string
	listener         net.Listener
}

// NewLink listens and passes on until the test ends.
func NewLink(t *testing.T, listener net.Listener, network, address string) *Link {
	l := &Link{Link: scenario.NewLink(), network: network, address: address, listener: listener}
	l.Go(l.accept)
	t.Cleanup(func() {
		l.listener.Close()
		l.Close()
	})
	return l
}

func (l *Link) accept() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.Go(func() { l.carry(from) })
	}
}

// carry joins a connection with one to the other end.
func (l *Link) carry(from net.Conn) {
	defer from.Close()
	if !l.Wait() {
		return
	}
	to, err := net.Dial(l.network, l.address)
	if err != nil {
		return
	}
	l.Join(from, to)
}

// Cut cuts the link.
func (l *Link) Cut() { l.Set(true) }

// Mend mends it.
func (l *Link) Mend() { l.Set(false) }
