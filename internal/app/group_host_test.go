package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"nacre/internal/testcloud"
)

// fillGroup makes a server group, and members of it side by side; it returns how many
// are on each host, and the faults of those that found none.
func fillGroup(t *testing.T, cloud *testcloud.Cloud, policy string, rules map[string]any, members int) (hosts map[string]int, faults []string) {
	t.Helper()
	admin, demo := cloud.Admin(), cloud.Demo()
	body := map[string]any{"name": policy, "policy": policy}
	if rules != nil {
		body["rules"] = rules
	}
	id := demo.Must(t, 200, "POST", "/compute/v2.1/os-server-groups", map[string]any{"server_group": body},
		"OpenStack-API-Version", "compute 2.64").Map(t)["server_group"].(map[string]any)["id"]
	image := demo.Image(t, "cirros")
	servers := make([]string, members)
	var all sync.WaitGroup
	for i := range members {
		all.Go(func() {
			reply := demo.Do(t, "POST", "/compute/v2.1/servers", map[string]any{
				"server":             map[string]any{"name": fmt.Sprint(policy, i), "flavorRef": "1", "imageRef": image, "networks": "none"},
				"os:scheduler_hints": map[string]any{"group": id},
			}, "OpenStack-API-Version", "compute 2.37")
			var made struct{ Server struct{ ID string } }
			reply.JSON(t, &made)
			servers[i] = made.Server.ID
		})
	}
	all.Wait()
	cloud.Settle(t)
	hosts = map[string]int{}
	for _, server := range servers {
		shown := admin.Must(t, 200, "GET", "/compute/v2.1/servers/"+server, nil).Map(t)["server"].(map[string]any)
		if shown["status"] == "ACTIVE" {
			hosts[shown["OS-EXT-SRV-ATTR:host"].(string)]++
			continue
		}
		fault, _ := shown["fault"].(map[string]any)
		faults = append(faults, fmt.Sprint(fault["message"]))
	}
	for _, server := range servers {
		demo.Must(t, 204, "DELETE", "/compute/v2.1/servers/"+server, nil)
	}
	cloud.Settle(t)
	return hosts, faults
}

// Members of a group that come at once are on hosts as its policy says: exactly as
// many as it allows find one.
func TestGroupsThatFillAtOnce(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(3))
	for _, tc := range []struct {
		policy  string
		rules   map[string]any
		members int
		want    []int // how many share each host
		because string
	}{
		{"anti-affinity", map[string]any{"max_server_per_host": 2}, 8, []int{2, 2, 2}, "2 of 2 allowed members of the server group are on the host"},
		{"anti-affinity", nil, 5, []int{1, 1, 1}, "1 of 1 allowed members of the server group are on the host"},
		{"affinity", nil, 4, []int{4}, ""},
		{"soft-affinity", nil, 4, []int{4}, ""},
		{"soft-anti-affinity", nil, 6, []int{2, 2, 2}, ""},
	} {
		hosts, faults := fillGroup(t, cloud, tc.policy, tc.rules, tc.members)
		total := 0
		wrong := len(hosts) != len(tc.want)
		for _, n := range hosts {
			total += n
			wrong = wrong || n != tc.want[0]
		}
		if wrong || total+len(faults) != tc.members {
			t.Errorf("%s %v: %d members are on %v, want %v", tc.policy, tc.rules, tc.members, hosts, tc.want)
		}
		for _, fault := range faults {
			if tc.because == "" || !strings.Contains(fault, tc.because) {
				t.Errorf("%s %v: a member without a host says %q, want %q", tc.policy, tc.rules, fault, tc.because)
			}
		}
	}
}
