package threehosts

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/remoteconsoles"

	"nacre/internal/console"
	"nacre/internal/soak"
)

// screens opens the consoles of guests through both servers, of which one has no
// connection to the host: a page from elsewhere is refused, and so is an address
// that was used.
func screens(t *testing.T, l *lab, guests []instance) {
	for i, s := range l.servers {
		other := l.servers[1-i]
		for _, g := range guests {
			for kind, try := range map[string]func(t *testing.T, line net.Conn){"vnc": greeted, "serial": prompted} {
				// Made by one server, it opens at the other.
				token := s.token(t, g.id, kind)
				address := "wss" + strings.TrimPrefix(other.url, "https") + "/console/" + kind + "?token=" + token
				_, err := open(t, address, "https://elsewhere.example")
				if err == nil {
					t.Errorf("%s of %s through %s opens for a page from elsewhere", kind, g.host, other.Name)
				}
				socket, err := open(t, address, other.url)
				if err != nil {
					t.Fatalf("%s of the guest on %s through %s: %v", kind, g.host, other.Name, err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				try(t, websocket.NetConn(ctx, socket, websocket.MessageBinary))
				_ = socket.CloseNow() // it has served its purpose
				again, err := open(t, address, other.url)
				if err == nil {
					_, _, err = again.Read(ctx)
				}
				if websocket.CloseStatus(err) != console.CloseUnknown {
					t.Errorf("%s of %s through %s a second time: %v, want it refused", kind, g.host, other.Name, err)
				}
				cancel()
			}
		}
	}
}

// token is that of an address of a console.
func (s *server) token(t *testing.T, server, kind string) string {
	t.Helper()
	demo := s.user(t, "nacre-demo")
	demo.compute.Microversion = "2.8"
	as := remoteconsoles.CreateOpts{Protocol: remoteconsoles.ConsoleProtocolVNC, Type: remoteconsoles.ConsoleTypeNoVNC}
	if kind == "serial" {
		as = remoteconsoles.CreateOpts{Protocol: remoteconsoles.ConsoleProtocolSerial, Type: remoteconsoles.ConsoleTypeSerial}
	}
	made, err := remoteconsoles.Create(context.Background(), demo.compute, server, as).Extract()
	if err != nil {
		t.Fatal(err)
	}
	text, err := url.QueryUnescape(made.URL) // the token of a screen stands in the path that noVNC connects to
	_, token, found := strings.Cut(text, "token=")
	if err != nil || !found {
		t.Fatalf("the console's address is %q, %v", made.URL, err)
	}
	return token
}

// open connects to a console as a browser does whose page came from origin.
func open(t *testing.T, address, origin string) (*websocket.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		Subprotocols: []string{"binary"}, HTTPHeader: http.Header{"Origin": {origin}}, HTTPClient: &http.Client{Transport: soak.Insecure()},
	})
	return socket, err
}

// greeted reads the greeting of a screen.
func greeted(t *testing.T, line net.Conn) {
	t.Helper()
	greeting := make([]byte, 12)
	_, err := io.ReadFull(line, greeting)
	if err != nil || !strings.HasPrefix(string(greeting), "RFB 003.") {
		t.Errorf("the screen says %q, %v; want RFB", greeting, err)
	}
}

// prompted has a guest ask who is there.
func prompted(t *testing.T, line net.Conn) {
	t.Helper()
	_, err := io.WriteString(line, "\r")
	var said string
	buf := make([]byte, 1024)
	for err == nil && !strings.Contains(said, "login:") {
		var n int
		n, err = line.Read(buf)
		said += string(buf[:n])
	}
	if err != nil {
		t.Errorf("the serial line says %q, %v; want login:", said, err)
	}
}
