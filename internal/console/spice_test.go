package console

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/coder/websocket"
)

// echo sends back what it gets.
func echo(context.Context) (io.ReadWriteCloser, error) {
	near, far := net.Pipe()
	go func() {
		_, _ = io.Copy(far, far)
		far.Close()
	}()
	return near, nil
}

// The kinds of channels of a session.
const (
	displayChannel = 2
	inputsChannel  = 3
)

// channel opens one of a SPICE session and says what clients say first.
func (f fixture) channel(t *testing.T, token string, kind byte) (*websocket.Conn, []byte) {
	t.Helper()
	socket, err := f.openKind(t, SPICE, token, f.base)
	if err != nil {
		t.Fatal(err)
	}
	link := append([]byte("REDQ\x02\x00\x00\x00\x02\x00\x00\x00\x12\x00\x00\x00\x00\x00\x00\x00"), kind, 0)
	for _, part := range [][]byte{link[:3], link[3:]} { // it may come in parts
		err = socket.Write(t.Context(), websocket.MessageBinary, part)
		if err != nil {
			t.Fatal(err)
		}
	}
	return socket, link
}

// admitted reads from a guest what was said to it.
func admitted(t *testing.T, socket *websocket.Conn, said []byte) {
	t.Helper()
	got := make([]byte, len(said))
	_, err := io.ReadFull(stream(t, socket), got)
	if err != nil || string(got) != string(said) {
		t.Errorf("the guest heard %q, %v; want %q", got, err, said)
	}
}

func unknown(t *testing.T, what string, socket *websocket.Conn) {
	t.Helper()
	code, _ := refused(t, socket)
	if code != CloseUnknown {
		t.Errorf("%s: closed with %d, want %d", what, code, CloseUnknown)
	}
}

// A token is good for one session in SPICE, whose channels come through whichever
// server: none before its main channel, no second one of those, and none after it.
func TestSession(t *testing.T) {
	f := consoles(t)
	f.guests[SPICE+" "+server] = echo
	other := onDatabase(t, f.db, f.clock, f.guests)
	token := f.tokenOf(t, SPICE, server)

	early, _ := f.channel(t, token, displayChannel)
	unknown(t, "a channel without a session", early)
	main, said := f.channel(t, token, mainChannel)
	admitted(t, main, said)
	display, said := other.channel(t, token, displayChannel)
	admitted(t, display, said)
	again, _ := other.channel(t, token, mainChannel)
	unknown(t, "a second main channel", again)
	wrong, err := f.open(t, token, f.base) // at /console/vnc
	if err != nil {
		t.Fatal(err)
	}
	unknown(t, "a screen in RFB", wrong)
	_, err = f.openKind(t, SPICE, token, "http://evil.example")
	if err == nil {
		t.Error("a page from elsewhere opens a channel")
	}

	f.clock.Advance(Lifetime)
	late, _ := f.channel(t, token, inputsChannel)
	unknown(t, "a channel after the token's time", late)

	token = f.tokenOf(t, SPICE, server)
	main, said = f.channel(t, token, mainChannel)
	admitted(t, main, said)
	err = main.Close(websocket.StatusNormalClosure, "")
	if err != nil {
		t.Error(err)
	}
	f.Close() // waits for the session's end
	late, _ = other.channel(t, token, inputsChannel)
	unknown(t, "a channel after its session", late)
	late, _ = other.channel(t, token, mainChannel)
	unknown(t, "a session after its end", late)

	token = other.tokenOf(t, SPICE, server)
	socket, err := other.openKind(t, SPICE, token, other.base)
	if err == nil {
		err = socket.Write(t.Context(), websocket.MessageBinary, []byte("RFB 003.008 and some more"))
	}
	if err != nil {
		t.Fatal(err)
	}
	unknown(t, "what is no SPICE", socket)
	main, said = other.channel(t, token, mainChannel)
	admitted(t, main, said)
}
