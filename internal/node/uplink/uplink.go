// Package uplink is a node's way to the servers: it joins, keeps the node's
// certificate and finds a server that is there.
//
// The node's folder holds its key, which never leaves the machine, its
// certificate, the cloud's authority, and where the servers were when they were
// last heard of. Without a certificate the node joins with a token; with one it
// needs nobody's help until that has expired, and it renews it long before.
//
// Of several servers it keeps to one. When that goes away it tries the others
// at once, those that it was started with included; a server is known by its
// certificate, so it does not matter by which address.
package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"nacre/internal/clock"
	"nacre/internal/nodeapi"
)

// dialTime bounds how long one server takes to answer. A machine that is gone
// answers nothing.
const dialTime = 3 * time.Second

// Options say who the node is and where the servers are.
type Options struct {
	Dir     string   // keeps key and certificate
	Host    string   // the name of the host
	Servers []string // https://host:port
	Token   string   // join token; not needed with a certificate
	Clock   clock.Clock
	Log     *slog.Logger
}

// Uplink is a joined node's way to the servers. Its methods may be called
// concurrently.
type Uplink struct {
	o    Options
	http *http.Client

	mu      sync.Mutex // guards all below
	now     identity
	servers []string // the one to try first comes first
	held    string   // the server of the last connection, "" when Dial has left it
}

// Open joins, or finds that the node has joined before.
func Open(ctx context.Context, o Options) (*Uplink, error) {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	for i, s := range o.Servers {
		o.Servers[i] = strings.TrimSuffix(s, "/")
		if !strings.HasPrefix(s, "https://") {
			return nil, fmt.Errorf("%s is not the address of a server: it begins with https://", s)
		}
	}
	u := &Uplink{o: o, servers: slices.Clone(o.Servers)}
	// Many nodes that are given the same list don't all go to its first server.
	rand.Shuffle(len(u.servers), func(i, j int) { u.servers[i], u.servers[j] = u.servers[j], u.servers[i] })
	u.http = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: u.tls(), IdleConnTimeout: time.Second}}
	found, err := load(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the node's certificate: %w", err)
	}
	switch {
	case found != nil && found.host() != o.Host:
		return nil, fmt.Errorf("the folder %s belongs to host %s, not to %s", o.Dir, found.host(), o.Host)
	case found != nil && o.Clock.Now().Before(found.certificate.NotAfter):
		u.now = *found
		u.Learn(found.Servers)
		return u, nil
	case o.Token == "" && found != nil:
		return nil, fmt.Errorf("the certificate expired on %s: join again with --join and a token of nacre admin token --host %s",
			found.certificate.NotAfter.Format(time.RFC3339), o.Host)
	case o.Token == "":
		return nil, errors.New("this node has not joined a cloud yet: it needs --join with a token of nacre admin token")
	}
	return u, u.joinAtLast(ctx)
}

// joinAtLast joins as soon as a server answers. What a server refuses is the end.
func (u *Uplink) joinAtLast(ctx context.Context) error {
	const longest = 10 * time.Second
	for pause := time.Second; ; pause = min(2*pause, longest) {
		refused, err := u.join(ctx)
		if err == nil || refused {
			return err
		}
		u.o.Log.Warn("no server lets this node join; it goes on trying", "host", u.o.Host, "error", err)
		err = clock.Wait(ctx, u.o.Clock, pause)
		if err != nil {
			return err
		}
	}
}

// Southbound is OVN's database for hosts, as the servers told; "" without OVN.
func (u *Uplink) Southbound() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.now.Southbound
}

// Learn takes note of where the servers are now.
func (u *Uplink) Learn(servers []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(servers) == 0 {
		return
	}
	known := slices.Clone(u.o.Servers)
	for _, s := range servers {
		if !slices.Contains(known, s) {
			known = append(known, s)
		}
	}
	// The order of those that stay is kept: the one that answered comes first.
	kept := slices.DeleteFunc(slices.Clone(u.servers), func(s string) bool { return !slices.Contains(known, s) })
	for _, s := range known {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	u.servers = kept
	if u.now.certificate == nil || slices.Equal(u.now.Servers, servers) {
		return
	}
	u.now.Servers = slices.Clone(servers)
	err := u.now.store(u.o.Dir)
	if err != nil {
		u.o.Log.Error("keep the addresses of the servers", "error", err)
	}
}

// Dial connects to the first server that answers. The one of the last connection,
// which has ended, comes last: when its process stands still it goes on to take
// connections and answers nothing, and the others hold the host down before long.
func (u *Uplink) Dial(ctx context.Context) (io.ReadWriteCloser, error) {
	u.mu.Lock()
	u.moveBack(u.held)
	u.held = ""
	servers := slices.Clone(u.servers)
	u.mu.Unlock()
	var failures error
	for _, server := range servers {
		dialing, cancel := context.WithTimeout(ctx, dialTime)
		socket, _, err := websocket.Dial(dialing, server+nodeapi.PathStream, &websocket.DialOptions{HTTPClient: u.http})
		cancel()
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("server %s: %w", server, err))
			u.mu.Lock()
			u.moveBack(server)
			u.mu.Unlock()
			continue
		}
		u.mu.Lock()
		u.held = server
		u.mu.Unlock()
		u.o.Log.Info("connected", "host", u.o.Host, "server", server)
		return websocket.NetConn(ctx, socket, websocket.MessageBinary), nil
	}
	if failures == nil {
		failures = errors.New("no server is known")
	}
	return nil, failures
}

// moveBack makes a server the last to be tried. The lock is held.
func (u *Uplink) moveBack(server string) {
	i := slices.Index(u.servers, server)
	if i < 0 {
		return
	}
	u.servers = append(slices.Delete(slices.Clone(u.servers), i, i+1), server)
}

// Run renews the certificate whenever a third of its life is left, until the
// context ends. The connection is made anew with it before the old one ends.
func (u *Uplink) Run(ctx context.Context) {
	retry := time.Minute
	for {
		u.mu.Lock()
		at := u.now.renewAt()
		u.mu.Unlock()
		pause := max(at.Sub(u.o.Clock.Now()), 0)
		select {
		case <-ctx.Done():
			return
		case <-u.o.Clock.After(pause):
		}
		err := u.renew(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			u.o.Log.Error("renew the node's certificate", "host", u.o.Host, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-u.o.Clock.After(retry):
		}
	}
}

// tls shows the node's certificate, when there is one, and takes servers of its
// cloud alone.
func (u *Uplink) tls() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection does it, whatever the address is
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			u.mu.Lock()
			defer u.mu.Unlock()
			return u.now.tls(), nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			u.mu.Lock()
			defer u.mu.Unlock()
			if u.now.authority == nil {
				return u.firstSight(state)
			}
			pool := x509.NewCertPool()
			pool.AddCert(u.now.authority)
			return nodeapi.VerifyServer(state, pool, u.o.Clock.Now())
		},
	}
}

// firstSight knows the authority by the fingerprint in the join token. The
// mutex is held.
func (u *Uplink) firstSight(state tls.ConnectionState) error {
	fingerprint, _, err := nodeapi.ParseToken(u.o.Token)
	if err != nil {
		return err
	}
	authority, err := nodeapi.FindAuthority(state.PeerCertificates, fingerprint)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return nodeapi.VerifyServer(state, pool, u.o.Clock.Now())
}
