package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/cluster"
	"nacre/internal/db"
	"nacre/internal/node/uplink"
	"nacre/internal/nodeapi"
	"nacre/internal/testcloud"
)

// raw is a machine that has joined and does with its connection as it likes.
type raw struct {
	cloud *testcloud.Cloud
	link  *uplink.Uplink
	host  string
}

func join(t testing.TB, cloud *testcloud.Cloud, host string) raw {
	t.Helper()
	token, _, err := cloud.App.Cluster.NewToken(context.Background(), cluster.JoinToken{})
	if err != nil {
		t.Fatal(err)
	}
	link, err := uplink.Open(context.Background(), uplink.Options{
		Dir: t.TempDir(), Host: host, Servers: []string{cloud.App.Config.Advertise}, Token: token, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw{cloud, link, host}
}

// greet begins a connection in the name of a host. What the servers want of it
// goes to the functions.
func (e raw) greet(t testing.TB, host string, info nodeapi.HostInfo, desired ...func(nodeapi.Desired)) (*nodeapi.Conn, error) {
	t.Helper()
	stream, err := e.link.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_, err = nodeapi.Greet(stream, nodeapi.Hello{Host: host, Info: info})
	if err != nil {
		stream.Close()
		return nil, err
	}
	conn := nodeapi.NewConn(stream, true, nodeapi.Handlers{
		Desired: func(d nodeapi.Desired) {
			for _, hear := range desired {
				hear(d)
			}
		},
		Servers: func(nodeapi.Servers) {},
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.Serve(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return conn, nil
}

// documentsOf are what a host should have and what it made of it.
func documentsOf(t *testing.T, cloud *testcloud.Cloud, host string) string {
	t.Helper()
	var lines []string
	err := cloud.App.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.All(t.Context(), &lines, `
			SELECT kind || ' ' || id || ' ' || generation || ' ' || desired || ' ' || answered || ' ' || observed
			FROM documents WHERE host = ? ORDER BY kind, id`, host)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// A node can do nothing but its own host's work, whatever it sends.
func TestHostileNode(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Servers(1), testcloud.Nodes(1), testcloud.MayFail()) // it logs what the node does
	demo := cloud.Demo()
	server := demo.MustCreateServer(t, "web")
	volume := demo.CreateVolume(t, "data", 1)
	cloud.Settle(t)
	demo.Must(t, 200, "POST", "/compute/v2.1/servers/"+server+"/os-volume_attachments", map[string]any{"volumeAttachment": map[string]any{"volumeId": volume}})
	cloud.Settle(t)
	before := documentsOf(t, cloud, "node-1")

	e := join(t, cloud, "evil")
	_, err := e.greet(t, "node-1", nodeapi.HostInfo{})
	if err == nil || !strings.Contains(err.Error(), "speak for node-1") {
		t.Errorf("it speaks for another host: got %v, want a refusal", err)
	}
	_, err = e.greet(t, e.host, nodeapi.HostInfo{VCPUs: 1 << 30, MemoryMB: -5})
	if err == nil {
		t.Error("it has more processors than there are")
	}
	conn, err := e.greet(t, e.host, nodeapi.HostInfo{VCPUs: 4, MemoryMB: 4096, DiskGB: 10, SharedExports: true})
	if err != nil {
		t.Fatal(err)
	}

	// What it says of others' documents changes nothing.
	for _, d := range []nodeapi.Document{
		{Kind: nodeapi.KindMachine, ID: server, Generation: 1 << 40, Body: json.RawMessage(`{"crashed":true}`)},
		{Kind: nodeapi.KindMachine, ID: server, Generation: 1, Gone: true},
		{Kind: nodeapi.KindVolume, ID: volume, Generation: 1 << 40, Body: json.RawMessage(`{"export":{"epoch":99,"socket":"/run/evil"}}`)},
		{Kind: "nonsense", ID: "x", Generation: 1, Body: json.RawMessage(`{}`)},
	} {
		err = conn.SendObserved(t.Context(), nodeapi.Observed{Documents: []nodeapi.Document{d}})
		if err != nil {
			t.Fatal(err)
		}
	}

	// What belongs to others it does not hear.
	var ports struct {
		Ports []struct {
			Network string `json:"network_id"`
			MAC     string `json:"mac_address"`
			IPs     []struct {
				IP string `json:"ip_address"`
			} `json:"fixed_ips"`
		}
	}
	demo.Must(t, 200, "GET", "/network/v2.0/ports?device_id="+server, nil).JSON(t, &ports)
	p := ports.Ports[0]
	reply, err := conn.Ask(t.Context(), nodeapi.QueryMetadata, nodeapi.MetadataQuery{
		Network: p.Network, IP: p.IPs[0].IP, MAC: p.MAC, Method: "GET", Path: "/openstack/latest/meta_data.json",
	})
	var metadata nodeapi.MetadataReply
	if err != nil || json.Unmarshal(reply, &metadata) != nil || metadata.Status != 404 {
		t.Errorf("metadata of a guest elsewhere: got %s, %v, want 404", reply, err)
	}
	image := demo.Image(t, "cirros")
	for name, payload := range map[string]any{
		nodeapi.QueryExport: nodeapi.ExportQuery{Volume: volume, Epoch: 1},
		nodeapi.QueryImage:  nodeapi.ImageQuery{Image: image},
		"log":               nodeapi.LogQuery{Machine: server},
	} {
		reply, err := conn.Ask(t.Context(), name, payload)
		var refused *nodeapi.RemoteError
		if !errors.As(err, &refused) || refused.Status != 404 {
			t.Errorf("%s: got %s, %v, want 404", name, reply, err)
		}
	}
	_, err = conn.Open(t.Context(), nodeapi.StreamImage, image)
	if err == nil {
		t.Error("it got the bytes of an image that nothing of its is made from")
	}

	// What cannot be read ends its own connection, and nothing else.
	err = conn.SendObserved(t.Context(), nodeapi.Observed{Documents: []nodeapi.Document{
		{Kind: nodeapi.KindMachine, ID: server, Generation: 1, Body: json.RawMessage(`{"running":"perhaps"}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "its connection to be cut", time.Minute, func() bool {
		select {
		case <-conn.Done():
			return true
		default:
			return false
		}
	})
	if after := documentsOf(t, cloud, "node-1"); after != before {
		t.Errorf("documents of another host changed:\n%s\nbefore:\n%s", after, before)
	}
	if got := demo.ServerStatus(t, server); got != "ACTIVE" {
		t.Errorf("the server is %s, want ACTIVE", got)
	}
}
