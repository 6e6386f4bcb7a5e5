package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// pool has the connections for one purpose.
type pool struct {
	limits connections
	open   func(ctx context.Context) (*ldap.Conn, error)
	slots  chan struct{} // one for each connection in use

	mu     sync.Mutex // guards what follows
	idle   []connection
	closed bool
}

type connection struct {
	*ldap.Conn
	since time.Time
	used  bool // before
}

func newPool(limits connections, open func(ctx context.Context) (*ldap.Conn, error)) *pool {
	return &pool{limits: limits, open: open, slots: make(chan struct{}, limits.size)}
}

// get lends a connection, for put to take back.
func (p *pool) get(ctx context.Context) (connection, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return connection{}, fmt.Errorf("wait for one of %d connections: %w", p.limits.size, ctx.Err())
	}
	for {
		c, found := p.pop()
		if !found {
			break
		}
		if !c.IsClosing() && time.Since(c.since) < p.limits.lifetime {
			c.used = true
			return c, nil
		}
		c.Close()
	}
	conn, err := p.open(ctx)
	if err != nil {
		<-p.slots
		return connection{}, err
	}
	return connection{Conn: conn, since: time.Now()}, nil
}

func (p *pool) pop() (connection, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return connection{}, false
	}
	c := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return c, true
}

func (p *pool) put(c connection, good bool) {
	p.mu.Lock()
	keep := good && p.limits.kept && !p.closed
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.Close()
	}
	<-p.slots
}

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

// restAfterFailure is how long a directory that could not be reached is left
// alone. Questions that come meanwhile fail at once, rather than wait too.
const restAfterFailure = 3 * time.Second

// rest remembers that no server could be reached.
type rest struct {
	mu    sync.Mutex // guards what follows
	until time.Time
	why   error
}

func (r *rest) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.why
	}
	return nil
}

func (r *rest) begin(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until, r.why = time.Now().Add(restAfterFailure), why
}

// with does something by a connection of the pool. One that was kept and has
// died meanwhile is replaced once.
func (d *Directory) with(ctx context.Context, p *pool, do func(c *ldap.Conn) error) error {
	for {
		err := d.rest.err()
		if err != nil {
			return err
		}
		c, err := p.get(ctx)
		if err != nil {
			return err
		}
		err = do(c.Conn)
		broken := ldap.IsErrorWithCode(err, ldap.ErrorNetwork) || c.IsClosing() || ctx.Err() != nil
		p.put(c, !broken)
		late := errors.Is(ctx.Err(), context.DeadlineExceeded)
		switch {
		case err == nil, !broken, errors.Is(err, errTooLong), ctx.Err() != nil && !late:
			return err
		case !c.used || late:
			d.rest.begin(err)
			return err
		}
	}
}

// connect reaches the first server that answers.
func (d *Directory) connect(ctx context.Context) (*ldap.Conn, error) {
	servers := slices.Clone(d.servers)
	if d.anyOrder {
		rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	}
	for try := 0; ; try++ {
		var failures []error
		for _, server := range servers {
			conn, err := d.connectTo(ctx, server)
			if err == nil {
				return conn, nil
			}
			failures = append(failures, fmt.Errorf("%s: %w", server, err))
		}
		err := errors.Join(failures...)
		var late net.Error
		if try >= d.retries || ctx.Err() != nil || errors.As(err, &late) && late.Timeout() {
			if !errors.Is(ctx.Err(), context.Canceled) {
				d.rest.begin(err)
			}
			return nil, err
		}
		select {
		case <-time.After(d.retryDelay):
		case <-ctx.Done():
		}
	}
}

var errScheme = errors.New("the URL is none of ldap://, ldaps:// and ldapi://")

// connectTo connects to one server. Where TLS is asked for, nothing is said
// before it stands: a server that refuses it is not spoken to.
func (d *Directory) connectTo(ctx context.Context, server string) (*ldap.Conn, error) {
	if !strings.HasPrefix(server, "ldap://") && !strings.HasPrefix(server, "ldaps://") && !strings.HasPrefix(server, "ldapi://") {
		return nil, errScheme
	}
	network, address, host := where(server)
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	// Until the connection is set up; the library waits for ever otherwise.
	raw.SetDeadline(time.Now().Add(d.timeout))
	under := raw
	secure := strings.HasPrefix(server, "ldaps:")
	config, err := d.tls(host)
	if err == nil && secure {
		over := tls.Client(raw, config)
		err = over.HandshakeContext(ctx)
		under = over
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	conn := ldap.NewConn(under, secure)
	conn.SetTimeout(d.timeout)
	conn.Start()
	if d.startTLS && network != "unix" {
		err = conn.StartTLS(config)
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("begin TLS: %w", err)
		}
	}
	raw.SetDeadline(time.Time{})
	return conn, nil
}

// where splits the URL of a server.
func where(server string) (network, address, host string) {
	path, local := strings.CutPrefix(server, "ldapi://")
	if local {
		path, _, _ = strings.Cut(path, "/")
		socket, err := url.PathUnescape(path)
		if err != nil || socket == "" {
			socket = "/var/run/slapd/ldapi"
		}
		return "unix", socket, ""
	}
	u, err := url.Parse(server)
	if err != nil {
		return "tcp", "", ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	return "tcp", net.JoinHostPort(u.Hostname(), port), u.Hostname()
}

// tls reads the certificates anew, so that they can be replaced.
func (d *Directory) tls(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: d.trustAnyone}
	files := []string{d.caFile}
	if d.caFile == "" && d.caDir != "" {
		var err error
		files, err = filepath.Glob(filepath.Join(d.caDir, "*"))
		if err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil && d.caFile != "" {
			return nil, fmt.Errorf("read option tls_cacertfile: %w", err)
		}
		if c.RootCAs == nil {
			c.RootCAs = x509.NewCertPool()
		}
		if !c.RootCAs.AppendCertsFromPEM(content) && d.caFile != "" {
			return nil, errors.New("the file of option tls_cacertfile holds no certificate")
		}
	}
	return c, nil
}
