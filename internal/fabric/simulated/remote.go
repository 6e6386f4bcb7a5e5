package simulated

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"strings"
	"sync"
	"time"

	"nacre/internal/fabric"
)

// hintWait is how long a question for hints waits when there are none.
const hintWait = 10 * time.Second

// Serve lets other processes use the cluster until the context ends. Whoever
// connects is trusted: the socket is for a machine's own processes.
func Serve(ctx context.Context, c *Cluster, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("accept: %w", err)
		}
		view := c.View()
		server := rpc.NewServer()
		err = server.RegisterName("Fabric", &served{ctx: ctx, view: view})
		if err != nil {
			return err
		}
		serving.Go(func() {
			defer view.Close()
			end := context.AfterFunc(ctx, func() { conn.Close() })
			defer end()
			server.ServeConn(conn)
		})
	}
}

// Listen opens the socket of an address: unix:PATH, or HOST:PORT.
func Listen(address string) (net.Listener, error) {
	network, address := split(address)
	return net.Listen(network, address)
}

func split(address string) (network, rest string) {
	path, unix := strings.CutPrefix(address, "unix:")
	if unix {
		return "unix", path
	}
	return "tcp", strings.TrimPrefix(address, "tcp:")
}

// served is a Cluster as one connection sees it. Its methods have the form that
// net/rpc wants.
type served struct {
	ctx  context.Context
	view *View
}

// HostCall is a call of one host.
type HostCall struct {
	Host, ID, IP string
	Plug         fabric.Plug
}

// None is no argument, or no result.
type None struct{}

// Ensure is fabric.Cluster's.
func (s *served) Ensure(t fabric.Topology, _ *None) error { return s.view.Ensure(s.ctx, t) }

// Remove is fabric.Cluster's.
func (s *served) Remove(refs []fabric.Ref, _ *None) error { return s.view.Remove(s.ctx, refs...) }

// List is fabric.Cluster's.
func (s *served) List(_ None, refs *[]fabric.Ref) (err error) {
	*refs, err = s.view.List(s.ctx)
	return err
}

// Up is fabric.Cluster's.
func (s *served) Up(ports []string, up *[]string) (err error) {
	*up, err = s.view.Up(s.ctx, ports...)
	return err
}

// Topology is Cluster's.
func (s *served) Topology(_ None, t *fabric.Topology) error {
	*t = s.view.Topology()
	return nil
}

// Changed waits for hints and returns those that are there.
func (s *served) Changed(_ None, ports *[]string) error {
	wait := time.NewTimer(hintWait)
	defer wait.Stop()
	select {
	case port := <-s.view.changed:
		*ports = append(*ports, port)
	case <-wait.C:
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	for {
		select {
		case port := <-s.view.changed:
			*ports = append(*ports, port)
		default:
			return nil
		}
	}
}

// Plug is fabric.Host's.
func (s *served) Plug(c HostCall, tap *string) (err error) {
	*tap, err = s.view.Host(c.Host).Plug(s.ctx, c.Plug)
	return err
}

// Unplug is fabric.Host's.
func (s *served) Unplug(c HostCall, _ *None) error { return s.view.Host(c.Host).Unplug(s.ctx, c.ID) }

// Plugged is fabric.Host's.
func (s *served) Plugged(c HostCall, ports *[]string) (err error) {
	*ports, err = s.view.Host(c.Host).Plugged(s.ctx)
	return err
}

// MAC is fabric.Host's, but for the door, which is in the host's own process.
func (s *served) MAC(c HostCall, mac *string) (err error) {
	*mac, err = s.view.Host(c.Host).owner(c.ID, c.IP)
	return err
}

// Remote is a Cluster in another process.
type Remote struct {
	address string
	changed chan string
	end     context.CancelFunc
	ended   chan struct{}

	mu     sync.Mutex // guards client
	client *rpc.Client
}

var _ fabric.Cluster = (*Remote)(nil)

// Dial uses the cluster that another process serves. It connects when it is
// first asked something, and again after the connection was lost.
func Dial(address string) *Remote {
	ctx, end := context.WithCancel(context.Background())
	r := &Remote{address: address, changed: make(chan string, 1024), end: end, ended: make(chan struct{})}
	go r.follow(ctx)
	return r
}

// Close ends the connection.
func (r *Remote) Close() error {
	r.end()
	r.mu.Lock()
	if r.client != nil {
		r.client.Close()
	}
	r.mu.Unlock()
	<-r.ended
	return nil
}

// follow passes hints on. After a lost connection it cannot tell what changed.
func (r *Remote) follow(ctx context.Context) {
	defer close(r.ended)
	for ctx.Err() == nil {
		ports, err := ask[[]string](ctx, r, "Changed", None{})
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			ports = []string{""}
		}
		for _, port := range ports {
			fabric.Hint(r.changed, port)
		}
	}
}

// connection is the present one, or a new one.
func (r *Remote) connection(ctx context.Context) (*rpc.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	network, address := split(r.address)
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("reach the simulated network: %w", err)
	}
	r.client = rpc.NewClient(conn)
	return r.client, nil
}

// ask makes one call. A connection that has ended is forgotten.
func ask[T any](ctx context.Context, r *Remote, method string, argument any) (result T, err error) {
	err = ctx.Err()
	if err != nil {
		return result, err
	}
	client, err := r.connection(ctx)
	if err != nil {
		return result, err
	}
	answer := new(T)
	call := client.Go("Fabric."+method, argument, answer, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
	case <-ctx.Done():
		return result, ctx.Err()
	}
	var refused rpc.ServerError
	if call.Error != nil && !errors.As(call.Error, &refused) {
		r.mu.Lock()
		if r.client == client {
			r.client = nil
		}
		r.mu.Unlock()
		client.Close()
	}
	return *answer, call.Error
}

// Ensure implements fabric.Cluster.
func (r *Remote) Ensure(ctx context.Context, t fabric.Topology) error {
	_, err := ask[None](ctx, r, "Ensure", t)
	return err
}

// Remove implements fabric.Cluster.
func (r *Remote) Remove(ctx context.Context, refs ...fabric.Ref) error {
	_, err := ask[None](ctx, r, "Remove", refs)
	return err
}

// List implements fabric.Cluster.
func (r *Remote) List(ctx context.Context) ([]fabric.Ref, error) {
	return ask[[]fabric.Ref](ctx, r, "List", None{})
}

// Up implements fabric.Cluster.
func (r *Remote) Up(ctx context.Context, ports ...string) ([]string, error) {
	return ask[[]string](ctx, r, "Up", ports)
}

// Changed implements fabric.Cluster.
func (r *Remote) Changed() <-chan string { return r.changed }

// Topology returns everything that was ensured.
func (r *Remote) Topology(ctx context.Context) (fabric.Topology, error) {
	return ask[fabric.Topology](ctx, r, "Topology", None{})
}

// Host is one host's side of a Remote.
func (r *Remote) Host(name string) *RemoteHost { return &RemoteHost{remote: r, name: name} }

// RemoteHost is a fabric.Host of a Cluster in another process. Its metadata
// doors are here.
type RemoteHost struct {
	remote *Remote
	name   string
	doors  doors
}

var _ fabric.Host = (*RemoteHost)(nil)

// Plug implements fabric.Host.
func (h *RemoteHost) Plug(ctx context.Context, p fabric.Plug) (string, error) {
	return ask[string](ctx, h.remote, "Plug", HostCall{Host: h.name, Plug: p})
}

// Unplug implements fabric.Host.
func (h *RemoteHost) Unplug(ctx context.Context, port string) error {
	_, err := ask[None](ctx, h.remote, "Unplug", HostCall{Host: h.name, ID: port})
	return err
}

// Plugged implements fabric.Host.
func (h *RemoteHost) Plugged(ctx context.Context) ([]string, error) {
	return ask[[]string](ctx, h.remote, "Plugged", HostCall{Host: h.name})
}

// OpenMetadata implements fabric.Host.
func (h *RemoteHost) OpenMetadata(_ context.Context, m fabric.Metadata) (net.Listener, error) {
	return h.doors.listen(m.Network)
}

// CloseMetadata implements fabric.Host.
func (h *RemoteHost) CloseMetadata(_ context.Context, network string) error {
	h.doors.close(network)
	return nil
}

// MAC implements fabric.Host.
func (h *RemoteHost) MAC(ctx context.Context, network, ip string) (string, error) {
	if !h.doors.has(network) {
		return "", fmt.Errorf("network %s has no metadata door here", network)
	}
	return ask[string](ctx, h.remote, "MAC", HostCall{Host: h.name, ID: network, IP: ip})
}

// Dial connects to the network's metadata door as the guest with this address.
func (h *RemoteHost) Dial(ctx context.Context, network, ip string) (net.Conn, error) {
	return h.doors.dial(ctx, network, ip)
}
