package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"nacre/internal/fabric"
	"nacre/internal/nodeapi"
)

// Limits on what guests may ask of a metadata door.
const (
	doorRequests = 64       // at a time, of one network
	doorBody     = 64 << 10 // bytes of a request's body
	doorTime     = 30 * time.Second
)

// doors are the metadata doors of this host's networks.
type doors struct {
	mu   sync.Mutex // guards open
	open map[string]*door
}

// door is one network's metadata door. Its lock is held while it is opened or
// closed, which may take a while.
type door struct {
	mu     sync.Mutex
	server *http.Server // nil: closed
}

func (s *doors) get(network string) *door {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.open[network]
	if d == nil {
		d = &door{}
		s.open[network] = d
	}
	return d
}

// closeAll ends the serving. The doors themselves stay for the next life.
func (s *doors) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.open {
		d.mu.Lock()
		if d.server != nil {
			d.server.Close()
		}
		d.mu.Unlock()
	}
}

// openDoors opens the door of each network that the cards are on.
func (n *Node) openDoors(ctx context.Context, nics []nodeapi.NIC) error {
	for _, nic := range nics {
		if nic.Metadata == nil {
			continue
		}
		err := n.openDoor(ctx, nic)
		if err != nil {
			return fmt.Errorf("open metadata door of network %s: %w", nic.Network, err)
		}
	}
	return nil
}

func (n *Node) openDoor(ctx context.Context, nic nodeapi.NIC) error {
	d := n.doors.get(nic.Network)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil {
		return nil
	}
	listener, err := n.o.Fabric.OpenMetadata(ctx, fabric.Metadata{
		Network: nic.Network,
		Port:    nic.Metadata.Port,
		MAC:     nic.Metadata.MAC,
		CIDRs:   nic.Metadata.CIDRs,
		MTU:     nic.MTU,
	})
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           n.doorHandler(nic.Network),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       doorTime,
		WriteTimeout:      2 * doorTime,
		IdleTimeout:       doorTime,
		MaxHeaderBytes:    16 << 10,
	}
	n.mu.Lock()
	ended := n.ctx == nil || n.ctx.Err() != nil
	n.start(func(context.Context) { n.serveDoor(d, nic.Network, server, listener) })
	n.mu.Unlock()
	if ended {
		return errors.Join(context.Canceled, listener.Close())
	}
	d.server = server
	return nil
}

// serveDoor serves until the door is closed. When it breaks, the next survey
// opens it again.
func (n *Node) serveDoor(d *door, network string, server *http.Server, listener net.Listener) {
	err := server.Serve(listener)
	listener.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return
	}
	n.log.Warn("metadata door broke", "network", network, "error", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server == server {
		d.server = nil
	}
}

// closeDoor closes the network's door unless a machine still needs it.
func (n *Node) closeDoor(ctx context.Context, network string) error {
	d := n.doors.get(network)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n.networks()[network] != nil {
		return nil
	}
	if d.server != nil {
		d.server.Close()
		d.server = nil
	}
	err := n.o.Fabric.CloseMetadata(ctx, network)
	if err != nil {
		return fmt.Errorf("close metadata door of network %s: %w", network, err)
	}
	return nil
}

// networks returns a card for each network that needs a door.
func (n *Node) networks() map[string]*nodeapi.NIC {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := map[string]*nodeapi.NIC{}
	for _, d := range n.docs {
		if d.desired.Gone {
			continue
		}
		for _, nic := range d.machine.NICs {
			if nic.Metadata != nil {
				list[nic.Network] = &nic
			}
		}
	}
	return list
}

// doorHandler passes guests' requests to the servers. Who is asking is what
// we see ourselves: the network, the source address, and the MAC that the
// network has for it. Headers are the guest's claims and are not passed on.
func (n *Node) doorHandler(network string) http.Handler {
	slots := make(chan struct{}, doorRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), doorTime)
		defer cancel()
		reply, err := n.askMetadata(ctx, network, r)
		var remote *nodeapi.RemoteError
		if errors.As(err, &remote) && remote.Status != http.StatusInternalServerError {
			http.Error(w, remote.Message, remote.Status)
			return
		}
		if err != nil {
			n.log.Warn("metadata request", "network", network, "from", r.RemoteAddr, "error", err)
			w.Header().Set("Retry-After", "1")
			http.Error(w, "metadata is not available now", http.StatusServiceUnavailable)
			return
		}
		for name, value := range reply.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(reply.Status)
		w.Write(reply.Body)
	})
}

func (n *Node) askMetadata(ctx context.Context, network string, r *http.Request) (nodeapi.MetadataReply, error) {
	var reply nodeapi.MetadataReply
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return reply, fmt.Errorf("read source address: %w", err)
	}
	ip, _, _ = strings.Cut(ip, "%") // the device is the door's
	body, err := io.ReadAll(io.LimitReader(r.Body, doorBody+1))
	if err != nil {
		return reply, fmt.Errorf("read request: %w", err)
	}
	if len(body) > doorBody {
		return reply, &nodeapi.RemoteError{Status: http.StatusRequestEntityTooLarge, Message: "request is too large"}
	}
	mac, err := n.o.Fabric.MAC(ctx, network, ip)
	if err != nil {
		return reply, fmt.Errorf("find who has %s: %w", ip, err)
	}
	conn := n.connection()
	if conn == nil {
		return reply, errors.New("no server is connected")
	}
	answer, err := conn.Ask(ctx, nodeapi.QueryMetadata, nodeapi.MetadataQuery{
		Network: network,
		IP:      ip,
		MAC:     mac,
		Method:  r.Method,
		Path:    r.URL.RequestURI(),
		Body:    body,
	})
	if err != nil {
		return reply, err
	}
	err = json.Unmarshal(answer, &reply)
	if err != nil {
		return reply, fmt.Errorf("read answer: %w", err)
	}
	if reply.Status < 200 || reply.Status > 599 {
		return reply, fmt.Errorf("server answered status %d", reply.Status)
	}
	return reply, nil
}
