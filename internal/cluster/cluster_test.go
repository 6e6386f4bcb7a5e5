package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"nacre/internal/auth"
	"nacre/internal/await"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/node/uplink"
)

// rig is one server on a database of its own, with a listener.
type rig struct {
	*Cluster
	clock *clock.Manual
	url   string
	hosts chan string // of nodes that connected
}

func open(t *testing.T) (*db.DB, *auth.Sealer) {
	t.Helper()
	dir := t.TempDir()
	d, err := db.Open(t.Context(), dbtest.SourceIn(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	sealer, err := auth.OpenSealer(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return d, sealer
}

func start(t *testing.T, id string, d *db.DB, sealer *auth.Sealer, c *clock.Manual) *rig {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{clock: c, url: "https://" + listener.Addr().String(), hosts: make(chan string, 16)}
	r.Cluster, err = New(t.Context(), Options{
		DB: d, Sealer: sealer, Clock: c, Log: slog.New(slog.DiscardHandler), ID: id, URL: r.url,
		Serve: func(ctx context.Context, host string, stream io.ReadWriteCloser) error {
			r.hosts <- host
			_, err := io.Copy(io.Discard, stream)
			return err
		},
		Open: func(_ context.Context, host, kind, id string) (io.ReadWriteCloser, error) {
			if host != "node-1" {
				return nil, errs.Unavailablef("Host %s is not connected.", host)
			}
			text := strings.NewReader(kind + " of " + id)
			if kind == "broken" {
				return spoken{io.MultiReader(text, iotest.ErrReader(io.ErrClosedPipe))}, nil
			}
			return spoken{text}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: r.Cluster, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	running.Go(func() { server.Serve(tls.NewListener(listener, r.ListenerTLS())) })
	t.Cleanup(func() {
		stop()
		server.Close()
		running.Wait()
	})
	await.Until(t, "the server to be ready", 10*time.Second, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.ctx != nil
	})
	return r
}

func one(t *testing.T) *rig {
	d, sealer := open(t)
	return start(t, "one", d, sealer, clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)))
}

func (r *rig) node(t *testing.T, dir, host, token string, others ...string) (*uplink.Uplink, error) {
	t.Helper()
	return uplink.Open(t.Context(), uplink.Options{
		Dir: dir, Host: host, Servers: append([]string{r.url}, others...), Token: token, Clock: r.clock, Log: slog.New(slog.DiscardHandler),
	})
}

func (r *rig) token(t *testing.T, of JoinToken) string {
	t.Helper()
	token, _, err := r.NewToken(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// connected dials, and tells which host the server took the node for.
func (r *rig) connected(t *testing.T, u *uplink.Uplink) (string, io.ReadWriteCloser) {
	t.Helper()
	stream, err := u.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stream.Close() })
	return <-r.hosts, stream
}

func TestNodeJoinsOnceAndComesBack(t *testing.T) {
	t.Parallel()
	r, dir := one(t), t.TempDir()
	token := r.token(t, JoinToken{})
	u, err := r.node(t, dir, "node-1", token)
	if err != nil {
		t.Fatal(err)
	}
	host, _ := r.connected(t, u)
	if host != "node-1" {
		t.Errorf("the server took it for %s, want node-1", host)
	}
	_, err = r.node(t, t.TempDir(), "node-2", token)
	if err == nil || !strings.Contains(err.Error(), "used up") {
		t.Errorf("a used token: got %v, want a refusal", err)
	}
	again, err := r.node(t, dir, "node-1", "")
	if err != nil {
		t.Fatalf("the second start wants a token: %v", err)
	}
	host, _ = r.connected(t, again)
	if host != "node-1" {
		t.Errorf("the server took it for %s, want node-1", host)
	}
	_, err = r.node(t, dir, "node-9", "")
	if err == nil {
		t.Error("a folder was used under another host's name")
	}
}

// A server whose process stands still goes on to take connections.
func TestNodeLeavesForAnotherServer(t *testing.T) {
	t.Parallel()
	d, sealer := open(t)
	at := clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	first, second := start(t, "one", d, sealer, at), start(t, "two", d, sealer, at)
	u, err := first.node(t, t.TempDir(), "node-1", first.token(t, JoinToken{}), second.url)
	if err != nil {
		t.Fatal(err)
	}
	var last string
	for range 4 {
		stream, err := u.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var now string
		select {
		case <-first.hosts:
			now = first.url
		case <-second.hosts:
			now = second.url
		}
		if now == last {
			t.Errorf("the node came back to %s, whose connection had ended", now)
		}
		last = now
		stream.Close()
	}
}

func TestJoiningIsRefused(t *testing.T) {
	t.Parallel()
	r := one(t)
	_, err := r.node(t, t.TempDir(), "node-1", r.token(t, JoinToken{}))
	if err != nil {
		t.Fatal(err)
	}
	late := r.token(t, JoinToken{Life: time.Minute})
	foreign := one(t).token(t, JoinToken{})
	r.clock.Advance(2 * time.Minute)
	for name, c := range map[string]struct{ host, token, want string }{
		"an expired token":             {"node-2", late, "expired"},
		"a name that is taken":         {"node-1", r.token(t, JoinToken{}), "There is a host node-1 already"},
		"a token for another host":     {"node-3", r.token(t, JoinToken{Host: "node-2"}), "for another host"},
		"a token of another cloud":     {"node-2", foreign, "no server of the cloud that the join token is for"},
		"a name that leaves a folder":  {"../node", r.token(t, JoinToken{}), "not a name for a host"},
		"something that is no token":   {"node-2", "letmein", "not a join token"},
		"no token and no certificate":  {"node-2", "", "has not joined"},
		"a secret that nobody has got": {"node-2", late[:len(late)-8] + "AAAAAAAA", "unknown"},
	} {
		_, err := r.node(t, t.TempDir(), c.host, c.token)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	// A refusal uses nothing up: the token that was tried for a taken name is good.
	token := r.token(t, JoinToken{})
	_, err = r.node(t, t.TempDir(), "node-1", token)
	if err == nil {
		t.Fatal("a taken name was given again")
	}
	_, err = r.node(t, t.TempDir(), "node-2", token)
	if err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

// A reinstalled machine takes its own place, and what had it before is cut off.
func TestTokenForAHostReplacesIt(t *testing.T) {
	t.Parallel()
	r := one(t)
	former, err := r.node(t, t.TempDir(), "node-1", r.token(t, JoinToken{}))
	if err != nil {
		t.Fatal(err)
	}
	_, stream := r.connected(t, former)
	_, err = r.node(t, t.TempDir(), "node-1", r.token(t, JoinToken{Host: "node-1"}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Read(make([]byte, 1))
	if err == nil {
		t.Error("the former machine is still connected")
	}
	_, err = former.Dial(t.Context())
	if err == nil {
		t.Error("the former machine connects again")
	}
}

func TestRevokedNodeIsCutAndRefused(t *testing.T) {
	t.Parallel()
	d, sealer := open(t)
	c := clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	holds, other := start(t, "holds", d, sealer, c), start(t, "other", d, sealer, c)
	u, err := holds.node(t, t.TempDir(), "node-1", holds.token(t, JoinToken{}))
	if err != nil {
		t.Fatal(err)
	}
	bystander, err := holds.node(t, t.TempDir(), "node-2", holds.token(t, JoinToken{}))
	if err != nil {
		t.Fatal(err)
	}
	_, stream := holds.connected(t, u)
	_, unharmed := holds.connected(t, bystander)
	err = other.Revoke(t.Context(), "node-1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Read(make([]byte, 1))
	if err == nil {
		t.Error("a revoked node is still connected")
	}
	for range 2 {
		_, err = u.Dial(t.Context())
		if err == nil {
			t.Error("a revoked node connects again")
		}
	}
	_, err = unharmed.Write([]byte("still here"))
	if err != nil {
		t.Errorf("another node was cut off: %v", err)
	}
	err = other.Revoke(t.Context(), "nobody")
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("revoke a node that never joined: got %v, want not found", err)
	}
}

func TestCertificateRenewsItselfAndEnds(t *testing.T) {
	t.Parallel()
	r, dir := one(t), t.TempDir()
	u, err := r.node(t, dir, "node-1", r.token(t, JoinToken{}))
	if err != nil {
		t.Fatal(err)
	}
	kept := func() string {
		text, err := os.ReadFile(filepath.Join(dir, uplink.CertificateFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := kept()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { u.Run(ctx) })
	r.clock.Advance(21 * 24 * time.Hour) // of 30 days, two thirds
	await.Until(t, "a new certificate", 10*time.Second, func() bool { return kept() != first })
	stop()
	running.Wait()
	r.clock.Advance(20 * 24 * time.Hour) // the first has ended, the second has not
	host, _ := r.connected(t, u)
	if host != "node-1" {
		t.Errorf("the server took it for %s, want node-1", host)
	}
	r.clock.Advance(20 * 24 * time.Hour)
	_, err = u.Dial(t.Context())
	if err == nil {
		t.Error("an expired certificate was taken")
	}
	_, err = r.node(t, dir, "node-1", "")
	if err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a start with an expired certificate: got %v, want to hear of it", err)
	}
}

// The paths for servers take no node's certificate, those for nodes no server's,
// and none of them nobody's.
func TestPathsKnowWhoAsks(t *testing.T) {
	t.Parallel()
	r := one(t)
	u, err := r.node(t, t.TempDir(), "node-1", r.token(t, JoinToken{}))
	if err != nil {
		t.Fatal(err)
	}
	_ = u
	ask := func(path string, config *tls.Config) int {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		reply, err := client.Post(r.url+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		reply.Body.Close()
		return reply.StatusCode
	}
	nobody := &tls.Config{InsecureSkipVerify: true}
	server := r.towardsServers()
	for _, c := range []struct {
		path   string
		config *tls.Config
		want   int
	}{
		{"/nacre/cluster/stream", nobody, 403}, {"/nacre/cluster/renew", nobody, 403}, {"/nacre/cluster/tunnel", nobody, 403},
		{"/nacre/cluster/stream", server, 403}, {"/nacre/cluster/renew", server, 403},
		{"/nacre/cluster/join", nobody, 400}, {"/nacre/cluster/else", server, 404},
	} {
		got := ask(c.path, c.config)
		if got != c.want {
			t.Errorf("%s: got %d, want %d", c.path, got, c.want)
		}
	}
}

// spoken is what a host says; nobody answers it.
type spoken struct{ io.Reader }

func (spoken) Write(p []byte) (int, error) { return len(p), nil }
func (spoken) Close() error                { return nil }

func TestTunnelLeadsToAnotherServersHost(t *testing.T) {
	t.Parallel()
	d, sealer := open(t)
	c := clock.NewManual(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	here, there := start(t, "here", d, sealer, c), start(t, "there", d, sealer, c)
	err := here.announce(t.Context()) // it learns of the other
	if err != nil {
		t.Fatal(err)
	}
	stream, err := here.Tunnel(t.Context(), "there", "node-1", "vnc", "machine-1")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	got, err := io.ReadAll(stream)
	if string(got) != "vnc of machine-1" {
		t.Errorf("got %q, %v, want what the host says", got, err)
	}
	broken, err := here.Tunnel(t.Context(), "there", "node-1", "broken", "machine-1")
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	got, err = io.ReadAll(broken)
	if err == nil {
		t.Errorf("a stream that breaks off ends like one that is whole, after %q", got)
	}
	_, err = here.Tunnel(t.Context(), "there", "node-2", "vnc", "machine-1")
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("a host that is not connected there: got %v, want unavailable", err)
	}
	_, err = here.Tunnel(t.Context(), "gone", "node-1", "vnc", "machine-1")
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("a server that is not there: got %v, want unavailable", err)
	}
	_ = there
}

func TestListenersCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	r := one(t)
	r.Names = []string{"192.0.2.1", "cloud.example"}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.Authority())
	r.listener.renewAt = time.Time{} // it was made without the names
	for range 5 {
		got, err := r.ListenerTLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(got.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range r.Names {
			_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: r.clock.Now()})
			if err != nil {
				t.Errorf("at %s: %v", r.clock.Now(), err)
			}
		}
		r.clock.Advance(listenerLife / 2)
	}
}
