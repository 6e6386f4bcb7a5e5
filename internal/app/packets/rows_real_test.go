package packets

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/fabric/ovn"
	"nacre/internal/fabric/ovn/ovsdb"
)

// tables are those of OVN's two databases that have a row for each thing of some
// kind, with a column that tells what it is for.
var tables = map[string]map[string][]string{
	"nb.sock OVN_Northbound": {
		"Logical_Switch": {"name"}, "Logical_Switch_Port": {"name"}, "DHCP_Options": {"cidr"}, "Port_Group": {"name"}, "ACL": {"match"},
		"Logical_Router": {"name"}, "Logical_Router_Port": {"name"}, "Logical_Router_Static_Route": {"ip_prefix"}, "NAT": {"external_ip"},
		"Gateway_Chassis": {"name"}, "Load_Balancer": {"name"}, "QoS": {"match"}, "Address_Set": {"name"}, "DNS": {"records"}, "Meter": {"name"},
	},
	"sb.sock OVN_Southbound": {
		"Datapath_Binding": {"external_ids"}, "Port_Binding": {"logical_port"}, "Address_Set": {"name"}, "Port_Group": {"name"}, "DNS": {"records"},
		"MAC_Binding": {"ip"}, "FDB": {"mac"}, "Load_Balancer": {"name"}, "Meter": {"name"}, "Multicast_Group": {"name", "datapath"},
	},
}

// rows are the rows of both databases, each with what it is for.
func (l *lab) rows(t *testing.T) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all := map[string]string{}
	for where, follow := range tables {
		socket, database, _ := strings.Cut(where, " ")
		client, err := ovsdb.Open(ctx, ovsdb.Config{Socket: filepath.Join(filepath.Dir(ovn.NorthSocket(l.dir)), socket), Database: database, Follow: follow})
		if err != nil {
			t.Fatal(err)
		}
		err = client.Await(ctx, func(held ovsdb.Tables) bool {
			for table, rows := range held {
				for id, row := range rows {
					all[id] = fmt.Sprint(database, " ", table, " ", row)
				}
			}
			return len(held["Port_Binding"])+len(held["Logical_Switch"]) > 0 // a cloud always has some
		})
		client.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// leavesNothing deletes what was made since, through the API, and waits until
// OVN's databases hold what they held then.
func (l *lab) leavesNothing(t *testing.T, since things, before map[string]string) {
	t.Helper()
	const v2 = "/network/v2.0/"
	u := l.Admin()
	now := l.things(t)
	made := func(kind string) []object {
		return slices.DeleteFunc(slices.Clone(now[kind]), func(o object) bool {
			return slices.ContainsFunc(since[kind], func(had object) bool { return had.text("id") == o.text("id") })
		})
	}
	remove := func(kind string, keep func(object) bool) {
		t.Helper()
		for _, o := range made(kind) {
			if keep == nil || !keep(o) {
				u.Must(t, 204, "DELETE", v2+kind+"/"+o.text("id"), nil)
			}
		}
	}
	remove("trunks", nil)
	for _, f := range made("floatingips") {
		for _, w := range f["port_forwardings"].([]any) {
			u.Must(t, 204, "DELETE", v2+"floatingips/"+f.text("id")+"/port_forwardings/"+w.(map[string]any)["id"].(string), nil)
		}
	}
	remove("floatingips", nil)
	for _, r := range made("routers") {
		for _, p := range made("ports") {
			if p.text("device_id") == r.text("id") && p.text("device_owner") == "network:router_interface" {
				u.Must(t, 200, "PUT", v2+"routers/"+r.text("id")+"/remove_router_interface", object{"port_id": p.text("id")})
			}
		}
	}
	remove("routers", nil)
	remove("ports", func(p object) bool { return strings.HasPrefix(p.text("device_owner"), "network:") })
	remove("networks", nil)
	remove("security-groups", func(g object) bool { return g.text("name") == "default" })
	remove("address-groups", nil)
	remove("qos/policies", nil)
	l.settled(t)
	left := map[string]string{}
	await.Until(t, "OVN to forget what is gone", time.Minute, func() bool {
		left = l.rows(t)
		maps.DeleteFunc(left, func(id, _ string) bool { return before[id] != "" })
		if len(left) > 0 {
			t.Logf("%d rows are left: %s", len(left), slices.Sorted(maps.Values(left))[0])
		}
		return len(left) == 0
	})
}

// things are the resources of the network service, by collection.
type things map[string][]object

func (l *lab) things(t *testing.T) things {
	t.Helper()
	all := things{}
	for _, kind := range []string{"trunks", "floatingips", "routers", "ports", "networks", "security-groups", "address-groups", "qos/policies"} {
		var reply map[string][]object
		l.Admin().Must(t, 200, "GET", "/network/v2.0/"+kind, nil).JSON(t, &reply)
		all[kind] = reply[strings.ReplaceAll(filepath.Base(kind), "-", "_")]
	}
	return all
}
