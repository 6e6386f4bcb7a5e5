package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/coder/websocket"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// maxBody bounds what a node may send to join.
const maxBody = 64 << 10

// stream is a connected node.
type stream struct {
	host   string
	serial string
	end    context.CancelCauseFunc
}

// ServeHTTP serves the paths of the cluster (see package nodeapi).
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	switch r.URL.Path {
	case nodeapi.PathJoin:
		err = c.serveJoin(w, r)
	case nodeapi.PathRenew:
		err = c.serveRenew(w, r)
	case nodeapi.PathStream:
		err = c.serveStream(w, r)
	case nodeapi.PathTunnel:
		err = c.serveTunnel(w, r)
	default:
		err = errs.NotFoundf("There is nothing here.")
	}
	if err == nil {
		return
	}
	status, message := http.StatusInternalServerError, "Unexpected error."
	classified, ok := errs.As(err)
	if ok {
		status, message = int(classified.Kind), classified.Message
	}
	c.Log.Warn("cluster request refused", "path", r.URL.Path, "remote", r.RemoteAddr, "status", status, "error", err)
	answer(w, status, nodeapi.Refusal{Error: message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the peer is gone
}

func (c *Cluster) serveJoin(w http.ResponseWriter, r *http.Request) error {
	var in nodeapi.JoinRequest
	err := read(w, r, &in)
	if err != nil {
		return err
	}
	reply, err := c.join(r.Context(), in)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, reply)
	return nil
}

func (c *Cluster) serveRenew(w http.ResponseWriter, r *http.Request) error {
	host, err := c.nodeOf(r)
	if err != nil {
		return err
	}
	var in nodeapi.RenewRequest
	err = read(w, r, &in)
	if err != nil {
		return err
	}
	reply, err := c.renew(r.Context(), host, in)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, reply)
	return nil
}

func read(w http.ResponseWriter, r *http.Request, into any) error {
	if r.Method != http.MethodPost {
		return errs.New(errs.Kind(http.StatusMethodNotAllowed), "This wants a POST.")
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into)
	if err != nil {
		return errs.BadRequestf("The request is not understood.").Because(err)
	}
	return nil
}

// nodeOf says which host's node sent the request.
func (c *Cluster) nodeOf(r *http.Request) (string, error) {
	if !c.ours(r.TLS) {
		return "", errs.New(errs.Forbidden, "This needs the certificate of a node of this cloud.")
	}
	return c.admit(r.Context(), r.TLS.PeerCertificates[0])
}

// ours tells whether the other end has shown a certificate of our own authority:
// the listener takes those of users too.
func (c *Cluster) ours(state *tls.ConnectionState) bool {
	return state != nil && slices.ContainsFunc(state.VerifiedChains, func(chain []*x509.Certificate) bool {
		return chain[len(chain)-1].Equal(c.authority.certificate)
	})
}

// serveStream begins to talk to a node. What the request has taken, 20 KB, is not
// held for as long as the node is connected.
func (c *Cluster) serveStream(w http.ResponseWriter, r *http.Request) error {
	host, err := c.nodeOf(r)
	if err != nil {
		return err
	}
	certificate := r.TLS.PeerCertificates[0]
	ctx, s, err := c.begin(host, serialOf(certificate))
	if err != nil {
		return err
	}
	// Between the look at the certificate and its place among the streams it may
	// have been revoked, and whoever did it found nothing to cut.
	_, err = c.admit(ctx, certificate)
	if err != nil {
		c.end(s)
		return err
	}
	socket, err := websocket.Accept(w, r, nil)
	if err != nil {
		c.end(s)
		c.Log.Warn("node speaks no WebSocket", "host", host, "error", err)
		return nil // Accept has answered
	}
	c.Log.Info("node connected", "host", host, "remote", r.RemoteAddr)
	go c.talk(ctx, s, socket, certificate.NotAfter)
	return nil
}

// talk talks to a node until its connection, its certificate or this server ends.
func (c *Cluster) talk(ctx context.Context, s *stream, socket *websocket.Conn, until time.Time) {
	defer c.end(s)
	ctx, cancel := context.WithTimeoutCause(ctx, until.Sub(c.Clock.Now()), errors.New("the certificate has expired"))
	defer cancel()
	err := c.Serve(ctx, s.host, websocket.NetConn(ctx, socket, websocket.MessageBinary))
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	_ = socket.CloseNow() // it is over, one way or the other
	c.Log.Info("node disconnected", "host", s.host, "error", err)
}

// begin notes a node's stream, which ends with the server at the latest.
func (c *Cluster) begin(host, serial string) (context.Context, *stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil || c.ctx.Err() != nil {
		return nil, nil, errs.Unavailablef("This server is not ready.")
	}
	ctx, end := context.WithCancelCause(c.ctx)
	s := &stream{host: host, serial: serial, end: end}
	c.streams[s] = struct{}{}
	c.serving.Add(1)
	return ctx, s, nil
}

func (c *Cluster) end(s *stream) {
	s.end(nil)
	c.mu.Lock()
	delete(c.streams, s)
	c.mu.Unlock()
	c.serving.Done()
}

// cut ends the streams that the function names.
func (c *Cluster) cut(which func(*stream) bool, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.streams {
		if which(s) {
			s.end(errors.New(why))
		}
	}
}

// cutRevoked ends the streams of nodes whose certificate was revoked, by
// whichever server.
func (c *Cluster) cutRevoked(ctx context.Context) error {
	var serials []string
	err := c.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &serials, "SELECT serial FROM node_certificates WHERE revoked_at <> 0")
	})
	if err != nil {
		return err
	}
	c.cut(func(s *stream) bool { return slices.Contains(serials, s.serial) }, "the certificate was revoked")
	return nil
}

// serveTunnel carries bytes between another server and something on a host that
// this one holds.
func (c *Cluster) serveTunnel(w http.ResponseWriter, r *http.Request) error {
	if !c.ours(r.TLS) || nodeapi.VerifyServer(*r.TLS, c.authority.pool, c.Clock.Now()) != nil {
		return errs.New(errs.Forbidden, "This needs the certificate of a server of this cloud.")
	}
	q := r.URL.Query()
	ctx, s, err := c.begin(q.Get("host"), serialOf(r.TLS.PeerCertificates[0]))
	if err != nil {
		return err
	}
	defer c.end(s)
	inner, err := c.Open(ctx, q.Get("host"), q.Get("kind"), q.Get("id"))
	if err != nil {
		return err
	}
	defer inner.Close()
	socket, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil // Accept has answered
	}
	defer socket.CloseNow()
	splice(websocket.NetConn(ctx, socket, websocket.MessageBinary), inner, func() {
		_ = socket.Close(websocket.StatusInternalError, "the host's end of the stream broke off") // or it is closed already
	})
	return nil
}

// splice carries bytes both ways until one of them ends, then closes both. When
// b breaks off, a must not look as if it had come to its end: broken comes first.
func splice(a, b io.ReadWriteCloser, broken func()) {
	type end struct {
		of  io.ReadWriteCloser
		err error
	}
	ended := make(chan end, 2)
	for _, pair := range [][2]io.ReadWriteCloser{{a, b}, {b, a}} {
		go func() {
			_, err := io.Copy(pair[0], pair[1])
			ended <- end{pair[1], err}
		}()
	}
	first := <-ended
	if first.of == b && first.err != nil {
		broken()
	}
	a.Close()
	b.Close()
	<-ended
}

// tunnelTime bounds how long another server takes to open a stream.
const tunnelTime = 10 * time.Second
