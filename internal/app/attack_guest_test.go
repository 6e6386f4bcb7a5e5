package app_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nacre/internal/testcloud"
)

// inhabitant is a server with a secret, and where its guest asks for metadata.
type inhabitant struct {
	user              testcloud.User
	id, host, network string
	ip                string
}

func inhabit(t *testing.T, cloud *testcloud.Cloud, user testcloud.User, network, secret string) inhabitant {
	t.Helper()
	g := inhabitant{user: user, network: network}
	g.id = made(t, user, "POST", "/compute/v2.1/servers", "server", map[string]any{"server": map[string]any{
		"name": secret, "flavorRef": user.Flavor(t, "m1.tiny"), "imageRef": user.Image(t, "cirros"), "networks": []any{map[string]any{"uuid": network}},
		"user_data": base64.StdEncoding.EncodeToString([]byte(secret)), "metadata": map[string]any{"secret": secret},
	}})
	cloud.Settle(t)
	var shown struct {
		Server struct {
			Host string `json:"OS-EXT-SRV-ATTR:host"`
		}
	}
	cloud.Admin().Must(t, 200, "GET", "/compute/v2.1/servers/"+g.id, nil).JSON(t, &shown)
	g.host = shown.Server.Host
	var ports struct {
		Ports []struct {
			FixedIPs []struct {
				IP string `json:"ip_address"`
			} `json:"fixed_ips"`
		}
	}
	user.Must(t, 200, "GET", "/network/v2.0/ports?device_id="+g.id, nil).JSON(t, &ports)
	g.ip = ports.Ports[0].FixedIPs[0].IP
	return g
}

// metadata is what the guest gets of the service, asked from an address.
func (g inhabitant) metadata(t *testing.T, cloud *testcloud.Cloud, from, method, target string, header http.Header, body string) (int, string) {
	t.Helper()
	conn, err := cloud.App.Simulated.Plugs[g.host].Dial(t.Context(), g.network, from)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		// By hand: no library writes what an attacker may write.
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nContent-Length: %d\r\n", method, target, len(body))
		if header.Get("Host") == "" {
			fmt.Fprint(conn, "Host: 169.254.169.254\r\n")
		}
		header.Write(conn)
		fmt.Fprintf(conn, "\r\n%s", body)
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return 0, "" // hung up
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Whose metadata a guest gets says the network that it is on and the address that
// it has there, whatever it sends: headers by which Nova's proxies name a guest,
// paths, hosts. Two tenants have the same addresses here.
func TestAttackMetadataOfOthers(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo, admin := cloud.Demo(), cloud.Admin()
	var subnets struct{ Subnets []struct{ CIDR string } }
	demo.Must(t, 200, "GET", "/network/v2.0/subnets?network_id="+demo.Network(t, "private"), nil).JSON(t, &subnets)
	network := made(t, admin, "POST", "/network/v2.0/networks", "network", map[string]any{"network": map[string]any{"name": "alike"}})
	made(t, admin, "POST", "/network/v2.0/subnets", "subnet", map[string]any{"subnet": map[string]any{
		"network_id": network, "ip_version": 4, "cidr": subnets.Subnets[0].CIDR,
	}})
	attacker := inhabit(t, cloud, demo, demo.Network(t, "private"), "attacker")
	victim := inhabit(t, cloud, admin, network, "victims-secret")
	project := admin.Project(t)

	lies := map[string]http.Header{
		"none":     {},
		"instance": {"X-Instance-ID": {victim.id}, "X-Instance-ID-Signature": {strings.Repeat("0", 64)}, "X-Tenant-ID": {project}},
		"twice":    {"X-Instance-ID": {attacker.id, victim.id}, "X-Tenant-ID": {demo.Project(t), project}},
		"all": {
			"X-Instance-ID": {victim.id}, "X-Tenant-ID": {project}, "X-Project-ID": {project}, "X-Forwarded-For": {victim.ip}, "X-Forwarded-Host": {victim.ip},
			"Forwarded": {"for=" + victim.ip}, "X-Real-IP": {victim.ip}, "X-Metadata-Provider": {network}, "X-Metadata-Provider-Signature": {"x"},
			"X-OVN-Network-ID": {network}, "X-Neutron-Network-ID": {network}, "X-Neutron-Router-ID": {network}, "X-Original-URL": {"/" + victim.id},
			"True-Client-IP": {victim.ip}, "Client-IP": {victim.ip}, "X-Client-IP": {victim.ip}, "Via": {"1.1 " + victim.ip},
		},
		"host": {"Host": {victim.ip}, "X-Instance-ID": {victim.id}},
	}
	const own = "/openstack/latest/meta_data.json"
	targets := []string{
		own, "/openstack/latest/user_data", "/latest/user-data", "/latest/meta-data/instance-id", "/openstack/latest/password",
		"/openstack/latest/vendor_data.json", "/openstack/latest/vendor_data2.json", "/openstack/latest/network_data.json",
		own + "?instance_id=" + victim.id + "&network=" + network, "/" + victim.id + own, "/openstack/latest/../../" + victim.id + own,
		"http://" + victim.ip + own, "//" + victim.id + own, "/openstack/%2e%2e/" + victim.id, "/openstack/latest/meta_data.json#" + victim.id,
	}
	asked := 0
	for name, header := range lies {
		for _, target := range targets {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
				status, text := attacker.metadata(t, cloud, attacker.ip, method, target, header, "")
				asked++
				if strings.Contains(text, victim.id) || strings.Contains(text, "victims-secret") {
					t.Fatalf("%s %s with %s: the guest got another's: %s", method, target, name, text)
				}
				if method == "GET" && target == own && (status != 200 || !strings.Contains(text, attacker.id)) {
					t.Errorf("with %s the guest got %d %s, want what is its own", name, status, text)
				}
			}
		}
		attacker.metadata(t, cloud, attacker.ip, "POST", "/openstack/latest/password", header, "stolen")
	}
	// From an address that it has not, it gets nothing, whoever has that one.
	for _, from := range []string{"10.99.99.99", "169.254.169.254", "127.0.0.1", "0.0.0.0"} {
		status, text := attacker.metadata(t, cloud, from, "GET", own, lies["all"], "")
		if status == 200 {
			t.Errorf("as %s the guest got %s", from, text)
		}
	}
	password := admin.Must(t, 200, "GET", "/compute/v2.1/servers/"+victim.id+"/os-server-password", nil).Body
	if strings.Contains(string(password), "stolen") {
		t.Errorf("the attacker has set the password of the victim: %s", password)
	}
	status, text := victim.metadata(t, cloud, victim.ip, "GET", own, nil, "")
	if status != 200 || !strings.Contains(text, "victims-secret") {
		t.Errorf("the victim got %d %s, want its own: this test proves nothing", status, text)
	}
	t.Logf("%d questions", asked)
}

// screenOf asks for a console and returns its token.
func screenOf(t *testing.T, user testcloud.User, server string) string {
	t.Helper()
	var reply struct {
		Console struct{ URL string } `json:"remote_console"`
	}
	user.Must(t, 200, "POST", "/compute/v2.1/servers/"+server+"/remote-consoles",
		`{"remote_console":{"protocol":"vnc","type":"novnc"}}`).JSON(t, &reply)
	address, err := url.QueryUnescape(reply.Console.URL)
	_, token, found := strings.Cut(address, "token=")
	if err != nil || !found {
		t.Fatalf("the address %s has no token: %v", reply.Console.URL, err)
	}
	return token
}

// openScreen opens a console as a page of the origin does, and tells whether the
// guest answered.
func openScreen(t *testing.T, cloud *testcloud.Cloud, token, origin string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, cloud.URL+"/console/vnc?token="+token, &websocket.DialOptions{
		Subprotocols: []string{"binary"}, HTTPHeader: http.Header{"Origin": {origin}},
	})
	if err != nil {
		if !strings.Contains(err.Error(), "403") {
			t.Fatalf("the console was refused by %v, want 403", err)
		}
		return false
	}
	defer socket.CloseNow()
	_, text, err := socket.Read(ctx)
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(text), "RFB")
}

// The address of a console is good for one connection, from a page of the cloud's
// own, to the guest that there was when it was made: not to one that a rebuild has
// put in its place, nor to what the server becomes on another host.
func TestAttackConsoleTokens(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	demo := cloud.Demo()
	s := &stage{cloud: cloud, demo: demo}
	withServer(t, s)
	token := screenOf(t, demo, s.server)
	for _, origin := range []string{"http://evil.example", "null", strings.Replace(cloud.URL, "http://", "http://evil.", 1), cloud.URL + ".evil.example"} {
		if openScreen(t, cloud, token, origin) {
			t.Errorf("a page of %s opened the console", origin)
		}
	}
	if !openScreen(t, cloud, token, cloud.URL) {
		t.Fatal("the console cannot be opened at all: this test proves nothing")
	}
	if openScreen(t, cloud, token, cloud.URL) {
		t.Error("the same address opened the console a second time")
	}
	for what, do := range map[string]func(){
		"a rebuild": func() { act(t, s, map[string]any{"rebuild": map[string]any{"imageRef": demo.Image(t, "cirros")}}) },
		"a migration": func() {
			actAs(t, cloud.Admin(), s, map[string]any{"migrate": nil})
			cloud.Settle(t)
			act(t, s, map[string]any{"confirmResize": nil})
		},
		"shelving": func() {
			shelve(t, s)
			cloud.Settle(t)
			act(t, s, map[string]any{"unshelve": nil})
		},
	} {
		token := screenOf(t, demo, s.server)
		do()
		cloud.Settle(t)
		if openScreen(t, cloud, token, cloud.URL) {
			t.Errorf("an address of before %s opened the console after it", what)
		}
		if !openScreen(t, cloud, screenOf(t, demo, s.server), cloud.URL) {
			t.Errorf("a new address does not open the console after %s", what)
		}
	}
}
