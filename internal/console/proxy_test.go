package console

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nacre/internal/clock"
	"nacre/internal/errs"
)

const server = "3f0c1b6e-0d5c-4e1e-9c5e-2f6f6d9a7b10"

// screen is an RFB server: it greets, hears the client's version and security
// choice, and then echoes.
func screen(t *testing.T) Dial {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go greet(conn)
		}
	}()
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
}

func greet(conn net.Conn) {
	defer conn.Close()
	_, err := io.WriteString(conn, "RFB 003.008\n")
	if err != nil {
		return
	}
	r := bufio.NewReader(conn)
	version, err := r.ReadString('\n')
	if err != nil || version != "RFB 003.008\n" {
		return
	}
	_, err = conn.Write([]byte{1, 1}) // one security type: none
	if err != nil {
		return
	}
	_, _ = io.Copy(conn, r)
}

type fixture struct {
	*Consoles
	clock *clock.Manual
	base  string
}

func consoles(t *testing.T) fixture {
	t.Helper()
	c := clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	made := NewConsoles(ConsolesOptions{Public: "http://cloud.example:5000", Clock: c, MaxTokens: 3, Log: slog.New(slog.DiscardHandler)})
	s := httptest.NewServer(made)
	t.Cleanup(s.Close)
	t.Cleanup(made.Close)
	return fixture{made, c, s.URL}
}

func (f fixture) token(t *testing.T, dial Dial) string {
	t.Helper()
	address, expires, err := f.New(t.Context(), VNC, server, dial)
	if err != nil {
		t.Fatal(err)
	}
	want := f.clock.Now().Add(Lifetime)
	if !expires.Equal(want) {
		t.Errorf("got expiry %v, want %v", expires, want)
	}
	token, ok := strings.CutPrefix(address, "http://cloud.example:5000/dashboard/vnc?token=")
	if !ok {
		t.Fatalf("got address %q, want the dashboard's page", address)
	}
	return token
}

// open connects as a browser does whose page came from origin.
func (f fixture) open(t *testing.T, token, origin string) (*websocket.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, f.base+"/console/vnc?token="+token, &websocket.DialOptions{
		Subprotocols: []string{"binary"},
		HTTPHeader:   http.Header{"Origin": {origin}},
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = socket.CloseNow() })
	return socket, nil
}

func stream(t *testing.T, socket *websocket.Conn) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return websocket.NetConn(ctx, socket, websocket.MessageBinary)
}

// hello goes through RFB's greeting.
func hello(t *testing.T, conn net.Conn) {
	t.Helper()
	greeting := make([]byte, 12)
	_, err := io.ReadFull(conn, greeting)
	if err != nil || string(greeting) != "RFB 003.008\n" {
		t.Fatalf("got greeting %q and %v", greeting, err)
	}
	_, err = conn.Write(greeting)
	if err != nil {
		t.Fatal(err)
	}
	security := make([]byte, 2)
	_, err = io.ReadFull(conn, security)
	if err != nil || security[0] != 1 || security[1] != 1 {
		t.Fatalf("got security types %v and %v", security, err)
	}
}

func TestScreenReachesBrowser(t *testing.T) {
	f := consoles(t)
	for _, origin := range []string{f.base, "http://cloud.example:5000"} {
		socket, err := f.open(t, f.token(t, screen(t)), origin)
		if err != nil {
			t.Fatal(err)
		}
		if socket.Subprotocol() != "binary" {
			t.Errorf("got subprotocol %q, want binary", socket.Subprotocol())
		}
		conn := stream(t, socket)
		hello(t, conn)

		// More than any buffer on the way, in both directions at once.
		sent := make([]byte, 1<<20)
		_, _ = rand.Read(sent)
		failed := make(chan error, 1)
		go func() {
			_, err := conn.Write(sent)
			failed <- err
		}()
		got := make([]byte, len(sent))
		_, err = io.ReadFull(conn, got)
		if err != nil {
			t.Fatal(err)
		}
		err = <-failed
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(sent) {
			t.Error("what came back is not what was sent")
		}
	}
}

// refused tells the close code that a connection ends with.
func refused(t *testing.T, socket *websocket.Conn) (websocket.StatusCode, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, _, err := socket.Read(ctx)
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		if !errors.As(err, &closed) {
			t.Fatalf("got %v, want a close code", err)
		}
		return closed.Code, closed.Reason
	}
}

func TestTokenIsGoodForOneConnection(t *testing.T) {
	f := consoles(t)
	token := f.token(t, screen(t))
	first, err := f.open(t, token, f.base)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, stream(t, first))
	second, err := f.open(t, token, f.base)
	if err != nil {
		t.Fatal(err)
	}
	code, reason := refused(t, second)
	if code != CloseUnknown || !strings.Contains(reason, "used before") {
		t.Errorf("got %d %q, want %d", code, reason, CloseUnknown)
	}
}

func TestTokenExpires(t *testing.T) {
	f := consoles(t)
	token := f.token(t, screen(t))
	f.clock.Advance(Lifetime)
	socket, err := f.open(t, token, f.base)
	if err != nil {
		t.Fatal(err)
	}
	code, _ := refused(t, socket)
	if code != CloseUnknown {
		t.Errorf("got %d, want %d", code, CloseUnknown)
	}
}

func TestForeignOriginIsRefusedAndSpendsNothing(t *testing.T) {
	f := consoles(t)
	token := f.token(t, screen(t))
	_, err := f.open(t, token, "http://evil.example")
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Fatalf("got %v, want 403", err)
	}
	socket, err := f.open(t, token, f.base)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, stream(t, socket))
}

func TestTokenIsBoundToItsKind(t *testing.T) {
	f := consoles(t)
	address, _, err := f.New(t.Context(), Serial, server, screen(t))
	if err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(address, "ws://cloud.example:5000/console/serial?token=")
	if !ok {
		t.Fatalf("got address %q, want a WebSocket", address)
	}
	socket, err := f.open(t, token, f.base) // at /console/vnc
	if err != nil {
		t.Fatal(err)
	}
	code, _ := refused(t, socket)
	if code != CloseUnknown {
		t.Errorf("got %d, want %d", code, CloseUnknown)
	}
	_, _, err = f.New(t.Context(), "rdp", server, screen(t))
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("got %v, want bad request", err)
	}
}

func TestUnreachableGuestIsExplained(t *testing.T) {
	f := consoles(t)
	socket, err := f.open(t, f.token(t, func(context.Context) (io.ReadWriteCloser, error) {
		return nil, errors.New("socket /run/secret: connection refused")
	}), f.base)
	if err != nil {
		t.Fatal(err)
	}
	code, reason := refused(t, socket)
	if code != websocket.StatusInternalError || !strings.Contains(reason, "running") || strings.Contains(reason, "secret") {
		t.Errorf("got %d %q, want 1011 and a sentence without our paths", code, reason)
	}
}

func TestGuestEndsConsole(t *testing.T) {
	f := consoles(t)
	near, far := net.Pipe()
	socket, err := f.open(t, f.token(t, func(context.Context) (io.ReadWriteCloser, error) { return near, nil }), f.base)
	if err != nil {
		t.Fatal(err)
	}
	err = far.Close()
	if err != nil {
		t.Fatal(err)
	}
	code, reason := refused(t, socket)
	if code != websocket.StatusNormalClosure || !strings.Contains(reason, "guest") {
		t.Errorf("got %d %q, want a normal end by the guest", code, reason)
	}
}

func TestBrowserEndsConsole(t *testing.T) {
	f := consoles(t)
	near, far := net.Pipe()
	socket, err := f.open(t, f.token(t, func(context.Context) (io.ReadWriteCloser, error) { return near, nil }), f.base)
	if err != nil {
		t.Fatal(err)
	}
	err = socket.Close(websocket.StatusNormalClosure, "")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := far.Read(make([]byte, 1))
		ended <- err
	}()
	select {
	case err = <-ended:
		if !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want the guest's side closed", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the guest's side is still open")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	f := consoles(t)
	socket, err := f.open(t, f.token(t, screen(t)), f.base)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, stream(t, socket))
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Close()
	}()
	code, _ := refused(t, socket)
	if code != websocket.StatusGoingAway {
		t.Errorf("got %d, want %d", code, websocket.StatusGoingAway)
	}
	<-done
	_, _, err = f.New(t.Context(), VNC, server, screen(t))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestWaitingTokensAreBounded(t *testing.T) {
	f := consoles(t)
	for range 3 {
		f.token(t, screen(t))
	}
	_, _, err := f.New(t.Context(), VNC, server, screen(t))
	if !errs.Is(err, errs.TooMany) {
		t.Errorf("got %v, want too many", err)
	}
	f.clock.Advance(Lifetime)
	f.token(t, screen(t))
}

// TestOneServerCannotUseUpTheTokens asks for the consoles of one server without
// end: the newest stay good, and other servers get theirs.
func TestOneServerCannotUseUpTheTokens(t *testing.T) {
	f := consoles(t)
	f.max = 2 * perServer
	newest := ""
	for range 3 * perServer {
		f.clock.Advance(time.Second)
		newest = f.token(t, screen(t))
	}
	_, _, err := f.New(t.Context(), VNC, "another", screen(t))
	if err != nil {
		t.Errorf("another server's console: %v", err)
	}
	_, ok := f.take(VNC, newest)
	if !ok {
		t.Error("the newest token is not good")
	}
}
