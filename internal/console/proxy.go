package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// CloseUnknown is how a WebSocket is closed for a token that was never made, was
// used before or has expired: without a code, so that nothing is sent, as clients
// of noVNC's proxy expect it. A browser shows a page nothing of a refused
// handshake, so the refusal comes after it.
const CloseUnknown = websocket.StatusNoStatusRcvd

const (
	dialWithin = 10 * time.Second
	pingEvery  = 30 * time.Second
	pingWithin = 15 * time.Second
)

// ServeHTTP implements http.Handler for /console/ and a kind.
func (c *Consoles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, ok := strings.CutPrefix(r.URL.Path, "/console/")
	if !ok || !slices.Contains(kinds, kind) {
		http.NotFound(w, r)
		return
	}
	// Accept refuses an Origin that is not the host that was asked. Behind a
	// proxy the host may be called differently inside: Public counts as well.
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:   []string{"binary"},
		OriginPatterns: c.origins(),
	})
	if err != nil {
		return // Accept has answered
	}
	// A console lasts for hours: deadlines of the request are not its own.
	ctx, end := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer end(nil)
	conn, ok := c.begin(end)
	if !ok {
		closeSocket(socket, websocket.StatusGoingAway, errShutdown.Error())
		return
	}
	defer c.end(conn)
	token := r.URL.Query().Get("token")
	var server string
	var said []byte
	if kind == SPICE {
		var leave func()
		server, said, leave, err = c.join(ctx, socket, token)
		defer leave()
	} else {
		server, err = c.take(ctx, kind, token)
	}
	if err != nil {
		c.log.Error("console", "error", err)
		closeSocket(socket, websocket.StatusInternalError, "the cloud cannot look up this address now; try again in a moment")
		return
	}
	if server == "" {
		closeSocket(socket, CloseUnknown, "")
		return
	}
	c.connect(ctx, socket, kind, server, said)
}

func (c *Consoles) origins() []string {
	u, err := url.Parse(c.public)
	if err != nil || u.Host == "" {
		return nil
	}
	return []string{u.Host}
}

// connect carries bytes between browser and guest until one of them, or ctx, ends:
// what the browser has said already first.
func (c *Consoles) connect(ctx context.Context, socket *websocket.Conn, kind, server string, said []byte) {
	began := c.clock.Now()
	log := c.log.With("server_id", server, "kind", kind)
	dialing, stop := context.WithTimeout(ctx, dialWithin)
	guest, err := c.dial(dialing, kind, server)
	stop()
	if err != nil {
		log.Warn("console cannot be reached", "error", err)
		closeSocket(socket, websocket.StatusInternalError, "the guest's console cannot be reached; is the instance running?")
		return
	}
	// Bytes have a context of their own, so that the browser can still be told
	// why ctx ended.
	carrying, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	browser := websocket.NetConn(carrying, socket, websocket.MessageBinary)
	results := make(chan result, 3)
	go func() {
		n, err := io.Copy(guest, io.MultiReader(bytes.NewReader(said), browser))
		results <- result{fromBrowser: true, bytes: n, err: err}
	}()
	go func() {
		n, err := io.Copy(browser, guest)
		results <- result{bytes: n, err: err}
	}()
	go func() { results <- result{fromBrowser: true, err: keepAlive(carrying, socket)} }()

	all := make([]result, 0, cap(results))
	select {
	case first := <-results:
		all = append(all, first)
		code, reason := first.closing()
		closeSocket(socket, code, reason)
	case <-ctx.Done():
		closeSocket(socket, websocket.StatusGoingAway, context.Cause(ctx).Error())
	}
	stop()
	_ = guest.Close() // ends the copies; whether it ended well matters no more
	for len(all) < cap(results) {
		all = append(all, <-results)
	}
	sent, received := int64(0), int64(0)
	for _, r := range all {
		if r.fromBrowser {
			received += r.bytes
			continue
		}
		sent += r.bytes
	}
	log.Info("console closed", "duration", c.clock.Now().Sub(began), "sent_bytes", sent, "received_bytes", received)
}

// result is how one direction ended.
type result struct {
	fromBrowser bool
	bytes       int64
	err         error
}

// closing says to the browser why the connection ends.
func (r result) closing() (websocket.StatusCode, string) {
	if r.fromBrowser && r.err == nil {
		return websocket.StatusNormalClosure, ""
	}
	if r.fromBrowser {
		return websocket.StatusGoingAway, "the connection was lost"
	}
	return websocket.StatusNormalClosure, "the guest closed its console"
}

// keepAlive notices browsers that are gone without a word, and keeps proxies
// in between from dropping a quiet screen.
func keepAlive(ctx context.Context, socket *websocket.Conn) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		pinging, stop := context.WithTimeout(ctx, pingWithin)
		err := socket.Ping(pinging)
		stop()
		if err != nil {
			return errors.Join(errors.New("browser answers no ping"), err)
		}
	}
}

// closeSocket says goodbye. Whether the browser still hears it is its own affair.
func closeSocket(socket *websocket.Conn, code websocket.StatusCode, reason string) {
	_ = socket.Close(code, reason)
}
