package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

func TestMetadata(t *testing.T) {
	r := start(t)
	asked := make(chan nodeapi.MetadataQuery, 10)
	r.hosts.OnQuery(nodeapi.QueryMetadata, func(_ context.Context, host string, payload json.RawMessage) (any, error) {
		var q nodeapi.MetadataQuery
		err := json.Unmarshal(payload, &q)
		asked <- q
		if q.Path == "/missing" {
			return nil, errs.NotFoundf("Nothing here.")
		}
		return nodeapi.MetadataReply{Status: 200, Header: map[string]string{"Content-Type": "text/x"}, Body: []byte("hi " + host)}, err
	})
	r.run()
	r.connected()
	machine := theMachine()
	machine.Disks = nil
	r.wantMachine(machine)
	r.until("the machine runs", func() bool { ok, m := r.machine("m"); return ok && m.Running })
	get := func(ip, path string, header http.Header, body string) (*http.Response, string) {
		t.Helper()
		conn, err := r.fabric.Dial(r.ctx, "net", ip)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		request, err := http.NewRequest("POST", "http://169.254.169.254"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		go request.Write(conn)
		response, err := http.ReadResponse(bufio.NewReader(conn), request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(text)
	}
	lies := http.Header{"X-Forwarded-For": {"10.0.0.9"}, "X-Instance-Id": {"other"}}
	response, text := get("10.0.0.5", "/openstack/a%2Fb?x=1", lies, "secret")
	if response.StatusCode != 200 || text != "hi h" || response.Header.Get("Content-Type") != "text/x" {
		t.Errorf("the guest got %d %q", response.StatusCode, text)
	}
	q := <-asked
	want := nodeapi.MetadataQuery{Network: "net", IP: "10.0.0.5", MAC: "fa:16:3e:00:00:01",
		Method: "POST", Path: "/openstack/a%2Fb?x=1", Body: []byte("secret")}
	if fmt.Sprint(q) != fmt.Sprint(want) {
		t.Errorf("the server was asked %+v, want %+v", q, want)
	}
	for name, c := range map[string]struct {
		ip, path, body string
		status         int
	}{
		"missing":  {"10.0.0.5", "/missing", "", 404},
		"spoofed":  {"10.0.0.77", "/", "", 503},
		"too much": {"10.0.0.5", "/", strings.Repeat("x", 70<<10), 413},
	} {
		response, _ := get(c.ip, c.path, nil, c.body)
		if response.StatusCode != c.status {
			t.Errorf("%s: the guest got %d, want %d", name, response.StatusCode, c.status)
		}
	}
}
