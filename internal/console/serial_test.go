package console_test

import (
	"context"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nacre/internal/testcloud"
	"nacre/internal/virt/virttest"
)

// TestSerialConsole goes the whole way of a serial console: a user asks for its
// address, a client that is no browser opens it, types a line and reads what
// the guest makes of it; the guest's log has both. Its screen in SPICE
// is reached the same way.
func TestSerialConsole(t *testing.T) {
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	demo, admin := cloud.Demo(), cloud.Admin()
	admin.Must(t, 200, "PATCH", "/image/v2/images/"+admin.Image(t, "cirros"), []map[string]any{{"op": "add", "path": "/hw_video_model", "value": "qxl"}},
		"Content-Type", "application/openstack-images-v2.1-json-patch")
	server := demo.MustCreateServer(t, "web")
	openAs := func(protocol, kind string) string {
		t.Helper()
		var reply struct {
			Console struct{ Protocol, Type, URL string } `json:"remote_console"`
		}
		demo.Must(t, 200, "POST", "/compute/v2.1/servers/"+server+"/remote-consoles",
			`{"remote_console":{"protocol":"`+protocol+`","type":"`+kind+`"}}`).JSON(t, &reply)
		return reply.Console.URL
	}
	open := func() string { return openAs("serial", "serial") }
	address := open()
	token := tokenIn(t, address)
	found := admin.Must(t, 200, "GET", "/compute/v2.1/os-console-auth-tokens/"+token, nil).Map(t)
	if got := found["console"].(map[string]any)["instance_uuid"]; got != server {
		t.Errorf("the token stands for %v, want %s", got, server)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	if socket.Subprotocol() != "binary" {
		t.Errorf("got subprotocol %q, want binary", socket.Subprotocol())
	}
	line := websocket.NetConn(ctx, socket, websocket.MessageBinary)
	say := func(text string) {
		t.Helper()
		_, err := io.WriteString(line, text)
		if err != nil {
			t.Fatal(err)
		}
	}
	var seen string
	see := func(text string) {
		t.Helper()
		buf := make([]byte, 1024)
		for !strings.Contains(seen, text) {
			n, err := line.Read(buf)
			seen += string(buf[:n])
			if err != nil {
				t.Fatalf("no %q on the line: %v; seen: %q", text, err, seen)
			}
		}
	}
	say("hello\r")
	see(`You said "hello".`)
	say("oops\x7f\x7f\x7f\x7fok\r")
	see(`You said "ok".`)
	log := demo.Must(t, 200, "POST", "/compute/v2.1/servers/"+server+"/action", `{"os-getConsoleOutput":{"length":6}}`).Map(t)
	if output := log["output"].(string); !strings.Contains(output, "web login: hello\nYou said \"hello\"") {
		t.Errorf("the log has %q, want what was typed and answered", output)
	}

	admin.Must(t, 404, "GET", "/compute/v2.1/os-console-auth-tokens/"+token, nil)
	screen, isPage := strings.CutPrefix(openAs("spice", "spice-html5"), cloud.URL+"/dashboard/spice")
	if !isPage {
		t.Fatalf("the screen in SPICE is not at a page of %s", cloud.URL)
	}
	spice, _, err := websocket.Dial(ctx, cloud.URL+"/console/spice"+screen, &websocket.DialOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		t.Fatal(err)
	}
	defer spice.CloseNow()
	virttest.HelloSPICE(t, websocket.NetConn(ctx, spice, websocket.MessageBinary))

	late := open()
	demo.Act(t, server, "os-stop")
	_, err = io.Copy(io.Discard, line)
	if err != nil {
		t.Errorf("the guest was stopped and its console ends with %v", err)
	}
	again, _, err := websocket.Dial(ctx, late, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = again.Read(ctx)
	if websocket.CloseStatus(err) != websocket.StatusInternalError {
		t.Errorf("the console of a stopped guest ends with %v, want 1011", err)
	}
}

func tokenIn(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "ws" || u.Path != "/console/serial" || u.Query().Get("token") == "" {
		t.Fatalf("got address %q, %v, want a WebSocket with a token", address, err)
	}
	return u.Query().Get("token")
}
