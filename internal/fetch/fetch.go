// Package fetch gets what a user names by a URL, without lending the user our
// place in the network.
//
// A server stands where its users do not: beside its own database, in networks
// that are nobody's business, next to a cloud's metadata service. So a URL may
// lead to public addresses alone. The address is looked at when the connection
// is made, after the name was resolved and again for each redirect: what a name
// server says the second time does not help. Exempt are the cloud's own public
// endpoints, which whoever asks can reach anyway, and networks that an operator
// opens, such as those of a mirror.
//
// No proxy of the environment is used, no cookie kept and no credential sent on.
// Size, time and silence are bounded. What goes wrong is classified (package
// errs): the user named the place, and hears what became of it.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"nacre/internal/errs"
)

const (
	maxRedirects = 5
	connectTime  = 15 * time.Second
	headerTime   = 60 * time.Second
	silence      = 2 * time.Minute // without a byte
	maxTime      = 6 * time.Hour
)

// Options say where a client may go besides public addresses.
type Options struct {
	Own    []string       // host:port of the cloud's own endpoints
	CAFile string         // what their certificates are signed by, besides the usual authorities
	Open   []netip.Prefix // networks that an operator opens
}

// Client fetches.
type Client struct {
	own    []string
	caFile string
	open   []netip.Prefix
	http   *http.Client
}

// New makes a client.
func New(o Options) *Client {
	c := &Client{own: o.Own, caFile: o.CAFile, open: o.Open}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: c.dial, DialTLSContext: c.dialTLS, ResponseHeaderTimeout: headerTime,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if len(before) > maxRedirects {
				return errs.BadRequestf("%s leads on and on: more than %d redirects.", before[0].URL.Redacted(), maxRedirects)
			}
			next.Header.Del("Referer")
			return Check(next.URL.String())
		},
	}
	return c
}

// Check tells whether a URL is one that can be fetched at all; where it leads is
// only known when it is.
func Check(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errs.BadRequestf("%q is not a URL.", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return errs.BadRequestf("%s cannot be fetched: only http and https are.", u.Redacted())
	case u.Hostname() == "":
		return errs.BadRequestf("%s cannot be fetched: it names no host.", u.Redacted())
	case u.User != nil:
		return errs.BadRequestf("%s cannot be fetched: it carries credentials.", u.Redacted())
	}
	return nil
}

// Get begins to fetch. Whoever gets the reader closes it; reading more than the
// limit, or waiting for ever, is an error.
func (c *Client) Get(ctx context.Context, text string, limit int64) (io.ReadCloser, error) {
	err := Check(text)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, text, nil)
	if err != nil {
		cancel()
		return nil, errs.BadRequestf("%q is not a URL.", text)
	}
	reply, err := c.http.Do(request)
	if err != nil {
		err = explain(ctx, request.URL, err)
		cancel()
		return nil, err
	}
	b := &body{url: request.URL, ctx: ctx, cancel: cancel, from: reply.Body, left: limit, limit: limit}
	switch {
	case reply.StatusCode != http.StatusOK:
		err = errs.BadRequestf("%s answered %s.", request.URL.Redacted(), reply.Status)
	case reply.ContentLength > limit:
		err = b.tooLarge()
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.alarm = time.AfterFunc(silence, cancel)
	return b, nil
}

// dial connects to what the guard lets pass.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTime, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return c.guard(address)
	}}
	if slices.Contains(c.own, address) {
		d.ControlContext = nil
	}
	return d.DialContext(ctx, network, address)
}

// dialTLS is dial with TLS on it.
func (c *Client) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.caFile != "" && slices.Contains(c.own, address) {
		config.RootCAs, err = x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		own, err := os.ReadFile(c.caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs.AppendCertsFromPEM(own)
	}
	plain, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	secured := tls.Client(plain, config)
	err = secured.HandshakeContext(ctx)
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return secured, nil
}

// guard refuses a connection to an address that is not public.
func (c *Client) guard(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return errs.BadRequestf("%s is not an address that can be fetched from.", address)
	}
	ip := to.Addr().Unmap().WithZone("")
	for _, open := range c.open {
		if open.Contains(ip) {
			return nil
		}
	}
	if !public(ip) {
		return errs.BadRequestf("The address %s is not public, so nothing is fetched from there.", ip)
	}
	return nil
}

// closed are the networks that are nobody's, somebody's own, or lead into such:
// the registries of special-purpose addresses.
var closed = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
	"fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, text := range list {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// public tells whether an address is anybody's to reach.
func public(ip netip.Addr) bool {
	return !slices.ContainsFunc(closed, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// explain classifies what went wrong, unless we ourselves are ending.
func explain(ctx context.Context, from *url.URL, err error) error {
	known, classified := errs.As(err)
	if classified {
		return known
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("fetch %s: %w", from.Redacted(), ctx.Err())
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return errs.BadRequestf("%s could not be fetched: %s.", from.Redacted(), strings.TrimSuffix(err.Error(), "."))
}

// body is a reply that is being read.
type body struct {
	url    *url.URL
	ctx    context.Context
	cancel context.CancelFunc
	from   io.ReadCloser
	alarm  *time.Timer // ends the context when nothing comes
	left   int64
	limit  int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p[:min(int64(len(p)), b.left+1)])
	b.left -= int64(n)
	switch {
	case b.left < 0:
		return n, b.tooLarge()
	case err != nil && !errors.Is(err, io.EOF):
		return n, b.broken(err)
	}
	if n > 0 {
		b.alarm.Reset(silence)
	}
	return n, err
}

// broken tells our own end from that of the other side, which the alarm ends by
// the same means.
func (b *body) broken(err error) error {
	if !b.alarm.Stop() {
		return errs.BadRequestf("%s could not be fetched: nothing came for %s.", b.url.Redacted(), silence)
	}
	return explain(b.ctx, b.url, err)
}

func (b *body) tooLarge() error {
	return errs.TooLargef("%s has more bytes than the limit of %d.", b.url.Redacted(), b.limit)
}

// Close implements io.Closer.
func (b *body) Close() error {
	if b.alarm != nil {
		b.alarm.Stop()
	}
	b.cancel()
	return b.from.Close()
}
