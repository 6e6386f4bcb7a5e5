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
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
)

// guest connects to something that plays one.
type guest func(ctx context.Context) (io.ReadWriteCloser, error)

const server = "3f0c1b6e-0d5c-4e1e-9c5e-2f6f6d9a7b10"

// screen is an RFB server: it greets, hears the client's version and security
// choice, and then echoes.
func screen(t *testing.T) guest {
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
	clock  *clock.Manual
	base   string
	guests map[string]guest // by kind and server
}

func consoles(t *testing.T) fixture {
	t.Helper()
	return onDatabase(t, dbtest.Open(t), clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), map[string]guest{})
}

// onDatabase is one server of a cluster.
func onDatabase(t *testing.T, d *db.DB, c *clock.Manual, guests map[string]guest) fixture {
	t.Helper()
	made := NewConsoles(ConsolesOptions{
		DB: d, Public: "http://cloud.example:5000", Clock: c, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, kind, server string) (io.ReadWriteCloser, error) {
			reach := guests[kind+" "+server]
			if reach == nil {
				return nil, errs.NotFoundf("Instance %s could not be found.", server)
			}
			return reach(ctx)
		},
	})
	s := httptest.NewServer(made)
	t.Cleanup(s.Close)
	t.Cleanup(made.Close)
	return fixture{made, c, s.URL, guests}
}

// token makes a token for the guest's screen.
func (f fixture) token(t *testing.T, g guest) string {
	t.Helper()
	f.guests[VNC+" "+server] = g
	return f.tokenOf(t, VNC, server)
}

func (f fixture) tokenOf(t *testing.T, kind, server string) string {
	t.Helper()
	address, expires, err := f.New(t.Context(), kind, server)
	if err != nil {
		t.Fatal(err)
	}
	want := f.clock.Now().Add(Lifetime)
	if !expires.Equal(want) {
		t.Errorf("got expiry %v, want %v", expires, want)
	}
	prefix := map[string]string{VNC: "http://cloud.example:5000/dashboard/vnc?path=console%2Fvnc%3Ftoken%3D", Serial: "ws://cloud.example:5000/console/serial?token=",
		SPICE: "http://cloud.example:5000/dashboard/spice?token="}[kind]
	token, ok := strings.CutPrefix(address, prefix)
	if !ok {
		t.Fatalf("got address %q, want one that begins with %q", address, prefix)
	}
	return token
}

// open connects to a screen as a browser does whose page came from origin.
func (f fixture) open(t *testing.T, token, origin string) (*websocket.Conn, error) {
	t.Helper()
	return f.openKind(t, VNC, token, origin)
}

func (f fixture) openKind(t *testing.T, kind, token, origin string) (*websocket.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, f.base+"/console/"+kind+"?token="+token, &websocket.DialOptions{
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
	if code != CloseUnknown || reason != "" {
		t.Errorf("got %d %q, want %d and no data, as from noVNC's proxy", code, reason, CloseUnknown)
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
	f.guests[Serial+" "+server] = screen(t)
	token := f.tokenOf(t, Serial, server)
	socket, err := f.open(t, token, f.base) // at /console/vnc
	if err != nil {
		t.Fatal(err)
	}
	code, _ := refused(t, socket)
	if code != CloseUnknown {
		t.Errorf("got %d, want %d", code, CloseUnknown)
	}
	socket, err = f.openKind(t, Serial, token, f.base)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, stream(t, socket))
	_, _, err = f.New(t.Context(), "rdp", server)
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("got %v, want bad request", err)
	}
}

// TestTokenLeadsToItsOwnGuest: nothing that the opener says has an influence on
// which guest it is.
func TestTokenLeadsToItsOwnGuest(t *testing.T) {
	f := consoles(t)
	const other = "aaaaaaaa-0d5c-4e1e-9c5e-2f6f6d9a7b10"
	f.guests[Serial+" "+server], f.guests[Serial+" "+other] = saying("mine"), saying("theirs")
	token := f.tokenOf(t, Serial, server)
	f.tokenOf(t, Serial, other)
	socket, err := f.openKind(t, Serial, token+"&server="+other+"&token="+other, f.base)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	_, err = io.ReadFull(stream(t, socket), got)
	if err != nil || string(got) != "mine" {
		t.Errorf("got %q and %v, want the guest that the token was made for", got, err)
	}
}

// saying is a guest that says a word and then nothing.
func saying(word string) guest {
	return func(context.Context) (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		go func() {
			_, _ = io.WriteString(far, word) // ends with the connection
			_, _ = io.Copy(io.Discard, far)
		}()
		return near, nil
	}
}

func TestGuessedTokensAreRefused(t *testing.T) {
	f := consoles(t)
	token := f.token(t, screen(t))
	for _, guess := range []string{"", "%00", token[1:], token[:len(token)-1], token + "A", strings.ToLower(token), hashOf(token), strings.Repeat("x", 4000)} {
		socket, err := f.open(t, guess, f.base)
		if err != nil {
			t.Fatal(err)
		}
		code, _ := refused(t, socket)
		if code != CloseUnknown {
			t.Errorf("guess %.50q: got %d, want %d", guess, code, CloseUnknown)
		}
	}
	socket, err := f.open(t, token, f.base)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, stream(t, socket))
}

// TestAnyServerOfACluster: an address that one server made is opened through
// another one, once, whoever else tries at the same time.
func TestAnyServerOfACluster(t *testing.T) {
	first := consoles(t)
	second := onDatabase(t, first.db, first.clock, first.guests)
	token := first.token(t, screen(t))
	found, host, port, err := second.Find(t.Context(), token)
	if err != nil || found != server || host != "cloud.example" || port != 5000 {
		t.Errorf("the token stands for %q at %s:%d, %v", found, host, port, err)
	}
	winners := make(chan bool, 20)
	for i := range cap(winners) {
		f := []fixture{first, second}[i%2]
		go func() {
			server, err := f.take(t.Context(), VNC, token)
			winners <- err == nil && server != ""
		}()
	}
	won := 0
	for range cap(winners) {
		if <-winners {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of %d have got the console, want one", won, cap(winners))
	}
	_, _, _, err = second.Find(t.Context(), token)
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("a used token: got %v, want not found", err)
	}
	socket, err := second.open(t, first.tokenOf(t, VNC, server), second.base)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, stream(t, socket))
}

// TestDatabaseHoldsNoTokens: who reads the table can open nothing.
func TestDatabaseHoldsNoTokens(t *testing.T) {
	f := consoles(t)
	token := f.token(t, screen(t))
	var rows []ticket
	err := f.db.Read(t.Context(), func(tx *db.Tx) error { return tx.All(t.Context(), &rows, "SELECT * FROM console_tokens") })
	if err != nil || len(rows) != 1 || rows[0].Hash != hashOf(token) {
		t.Errorf("the table has %+v, %v, want the token's hash alone", rows, err)
	}
}

// TestSlowBrowserHoldsUpNobody: what a browser does not read waits in the
// guest's stream, which is bounded; another one goes on.
func TestSlowBrowserHoldsUpNobody(t *testing.T) {
	f := consoles(t)
	near, far := net.Pipe()
	f.guests[Serial+" "+server] = func(context.Context) (io.ReadWriteCloser, error) { return near, nil }
	_, err := f.openKind(t, Serial, f.tokenOf(t, Serial, server), f.base) // and reads nothing
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan int, 1)
	go func() { // a guest that floods
		sent := 0
		piece := make([]byte, 64<<10)
		for sent < 256<<20 {
			err := far.SetWriteDeadline(time.Now().Add(time.Second))
			if err != nil {
				break
			}
			n, err := far.Write(piece)
			sent += n
			if err != nil {
				break
			}
		}
		accepted <- sent
	}()
	quick, err := f.open(t, f.token(t, screen(t)), f.base)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, stream(t, quick))
	if sent := <-accepted; sent >= 64<<20 {
		t.Errorf("%d bytes were taken for a browser that reads nothing", sent)
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
	late, err := f.open(t, f.tokenOf(t, VNC, server), f.base)
	if err != nil {
		t.Fatal(err)
	}
	code, _ = refused(t, late)
	if code != websocket.StatusGoingAway {
		t.Errorf("a console that is opened later: got %d, want %d", code, websocket.StatusGoingAway)
	}
}

// TestOneServerCannotFillTheTable asks for the consoles of one server without
// end: the newest stay good, and other servers keep theirs.
func TestOneServerCannotFillTheTable(t *testing.T) {
	f := consoles(t)
	another := f.tokenOf(t, VNC, "another")
	newest := ""
	for range 3 * perServer {
		f.clock.Advance(time.Second)
		newest = f.token(t, screen(t))
	}
	if n := f.waiting(t); n != perServer+1 {
		t.Errorf("%d tokens wait, want %d", n, perServer+1)
	}
	for token, of := range map[string]string{newest: server, another: "another"} {
		got, err := f.take(t.Context(), VNC, token)
		if err != nil || got != of {
			t.Errorf("token of %s: got %q, %v", of, got, err)
		}
	}
}

func TestExpiredTokensAreForgotten(t *testing.T) {
	f := consoles(t)
	f.token(t, screen(t))
	f.clock.Advance(Lifetime / 2)
	f.token(t, screen(t))
	f.clock.Advance(Lifetime / 2)
	for _, l := range f.Loops() {
		err := l.Once(t.Context())
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := f.waiting(t); n != 1 {
		t.Errorf("%d tokens wait, want the one that has not expired", n)
	}
}

// waiting counts the tokens in the table.
func (f fixture) waiting(t *testing.T) int {
	t.Helper()
	var n int
	err := f.db.Read(t.Context(), func(tx *db.Tx) error { return tx.Get(t.Context(), &n, "SELECT count(*) FROM console_tokens") })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
