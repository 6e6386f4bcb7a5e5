package app_test

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"nacre/internal/app"
	"nacre/internal/compute"
	"nacre/internal/testcloud"
)

// Aggregates, flavors and hints decide where servers go as Nova's filters do, and
// a dry run says so before.
func TestWhereServersGo(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	admin, demo := cloud.Admin(), cloud.Demo()
	dry := func(u testcloud.User, query string) compute.DryResult {
		t.Helper()
		var r compute.DryResult
		u.Must(t, 200, "GET", "/nacre/v1/schedule/dry-run?"+query, nil).JSON(t, &r)
		return r
	}
	both := dry(admin, "flavor=m1.tiny&count=2")
	if both.Fits != 2 || len(both.Hosts) != 2 {
		t.Fatalf("two servers on two empty hosts: %+v", both)
	}
	mine, other := both.Hosts[0].Host, both.Hosts[1].Host
	aggregate := admin.Must(t, 200, "POST", "/compute/v2.1/os-aggregates", map[string]any{"aggregate": map[string]any{"name": "mine"}}).Map(t)["aggregate"].(map[string]any)["id"]
	act := func(action map[string]any) {
		t.Helper()
		admin.Must(t, 200, "POST", fmt.Sprintf("/compute/v2.1/os-aggregates/%v/action", aggregate), action)
	}
	set := func(metadata map[string]any) {
		t.Helper()
		act(map[string]any{"set_metadata": map[string]any{"metadata": metadata}})
	}
	act(map[string]any{"add_host": map[string]any{"host": mine}})

	set(map[string]any{"filter_tenant_id": admin.Project(t)})
	r := dry(demo, "flavor=m1.tiny&count=10000")
	if r.Fits == 0 || r.Fits == 10000 || len(r.Hosts) != 0 || len(r.Explanation.Hosts) != 0 ||
		!strings.Contains(r.Summary, "1 by aggregate projects") || strings.Contains(r.Summary, mine) || strings.Contains(r.Summary, other) {
		t.Errorf("a member's dry run: %+v", r)
	}
	r = dry(admin, "flavor=m1.tiny&count=10000")
	if len(r.Hosts) != 2 || !strings.Contains(r.Summary, "capacity") {
		t.Errorf("an admin's dry run: %+v", r)
	}
	server := demo.MustCreateServer(t, "s")
	host := func(id string) any {
		return admin.Must(t, 200, "GET", "/compute/v2.1/servers/"+id, nil).Map(t)["server"].(map[string]any)["OS-EXT-SRV-ATTR:host"]
	}
	if got := host(server); got != other {
		t.Errorf("the server is on %v, whose aggregate is for another project", got)
	}

	set(map[string]any{"filter_tenant_id": nil, "max_instances_per_host": "0"})
	if r = dry(admin, "flavor=m1.tiny&count=2"); len(r.Hosts) != 1 || r.Hosts[0].Host != other {
		t.Errorf("an aggregate without room for servers: %+v", r)
	}
	set(map[string]any{"max_instances_per_host": nil})
	for hints, want := range map[string]string{
		`{"same_host":"` + server + `"}`:                 other,
		`{"different_host":["` + server + `"]}`:          mine,
		`{"query":"[\"=\",\"$host\",\"` + mine + `\"]"}`: mine,
	} {
		if r = dry(admin, "flavor=m1.tiny&count=3&hints="+url.QueryEscape(hints)); len(r.Hosts) != 1 || r.Hosts[0].Host != want {
			t.Errorf("hints %s: %+v, want host %s", hints, r, want)
		}
	}
	reply := demo.Do(t, "POST", "/compute/v2.1/servers", map[string]any{
		"server":             map[string]any{"name": "beside", "flavorRef": "1", "imageRef": demo.Image(t, "cirros"), "networks": "none"},
		"os:scheduler_hints": map[string]any{"different_host": server},
	}, "OpenStack-API-Version", "compute 2.37")
	var beside struct{ Server struct{ ID string } }
	reply.JSON(t, &beside)
	cloud.Until(t, "the second server to have a host", func() bool { return host(beside.Server.ID) != nil })
	if got := host(beside.Server.ID); got != mine {
		t.Errorf("the second server is on %v, with the first: %s", got, reply.Body)
	}
	demo.Must(t, 400, "GET", "/nacre/v1/schedule/dry-run?flavor=m1.tiny&count=0", nil)
	demo.Must(t, 404, "GET", "/nacre/v1/schedule/dry-run?flavor=none", nil)

	var out bytes.Buffer
	err := app.DescribeSchedule(t.Context(), &out, cloud.App.Config.DataDir, app.ScheduleQuestion{Flavor: "m1.tiny", Count: 3}, "text")
	if err != nil || !strings.HasPrefix(out.String(), "3 of 3 servers of flavor m1.tiny would fit\n") || !strings.Contains(out.String(), "VCPU ") {
		t.Errorf("the command says %s, %v", out.String(), err)
	}
	out.Reset()
	err = app.DescribeSchedule(t.Context(), &out, cloud.App.Config.DataDir, app.ScheduleQuestion{Server: server}, "text")
	if err != nil || !strings.HasPrefix(out.String(), "server "+server+"\nchosen "+other+" at ") || !strings.Contains(out.String(), "the host's aggregate is for other projects") {
		t.Errorf("of the server the command says %s, %v", out.String(), err)
	}
	if demo.ServerStatus(t, server) != "ACTIVE" {
		t.Error("the dry runs took the server's room")
	}
}
