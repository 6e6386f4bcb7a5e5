package soak

import (
	"encoding/json"
	"net/url"
	"slices"
	"testing"
)

// networker is a user who builds networks: trunks with VLANs, and floating IPs
// whose ports lead to others.
type networker struct {
	worker
	public                  string // network
	cards, trunks, floating []string
	forwardings             []string // paths
}

func (n *networker) turn() {
	pop := func() (card string) {
		card, n.cards = n.cards[0], n.cards[1:]
		return card
	}
	switch k := n.r.IntN(11); {
	case k < 3 && len(n.cards) < 5:
		n.ask("POST", "/network/v2.0/ports", map[string]any{"port": map[string]any{"network_id": n.network, "name": networkerCard}}, []int{201, 409},
			func(body []byte) { n.cards = append(n.cards, idOf(body, "port")) })
	case k == 3 && len(n.cards) > 0 && len(n.trunks) < 3:
		n.ask("POST", "/network/v2.0/trunks", map[string]any{"trunk": map[string]any{"port_id": pop()}}, []int{201, 409},
			func(body []byte) { n.gain(&n.trunks, n.Trunks, idOf(body, "trunk")) })
	case k == 4 && len(n.cards) > 0 && len(n.trunks) > 0:
		n.ask("PUT", "/network/v2.0/trunks/"+n.trunks[0]+"/add_subports", map[string]any{"sub_ports": []any{
			map[string]any{"port_id": pop(), "segmentation_type": "vlan", "segmentation_id": 1 + n.r.IntN(4000)},
		}}, []int{200, 404, 409}, nil)
	case k == 5 && len(n.trunks) > 0:
		n.remove(&n.trunks, n.Trunks, "/network/v2.0/trunks/", []int{204, 404})
	case k == 6 && len(n.floating) < 3:
		n.ask("POST", "/network/v2.0/floatingips", map[string]any{"floatingip": map[string]any{"floating_network_id": n.public}}, []int{201, 409},
			func(body []byte) { n.gain(&n.floating, n.Floating, idOf(body, "floatingip")) })
	case k == 7 && len(n.floating) > 0:
		port := 1 + n.r.IntN(60000)
		path := "/network/v2.0/floatingips/" + n.floating[0] + "/port_forwardings"
		n.ask("POST", path, map[string]any{"port_forwarding": map[string]any{
			"internal_port_id": n.ports[n.r.IntN(len(n.ports))], "internal_port": port, "external_port": port, "protocol": "tcp",
		}}, []int{201, 400, 404, 409}, func(body []byte) { n.forwardings = append(n.forwardings, path+"/"+idOf(body, "port_forwarding")) })
	case k == 8 && len(n.forwardings) > 0: // a floating IP stays as long as it has any
		last := len(n.forwardings) - 1
		n.ask("DELETE", n.forwardings[last], nil, []int{204, 404}, nil)
		n.forwardings = n.forwardings[:last]
	case k == 10:
		n.sweep()
	case k == 9 && len(n.floating) > 0:
		n.remove(&n.floating, n.Floating, "/network/v2.0/floatingips/", []int{204, 404, 409})
	}
}

// sweep removes the ports of trunks that are gone, and those that nobody was told of.
func (n *networker) sweep() {
	status, body, err := n.c.Do("GET", "/network/v2.0/ports?device_owner=&name="+url.QueryEscape(networkerCard), nil)
	var reply struct{ Ports []struct{ ID string } }
	if err != nil || status != 200 || json.Unmarshal(body, &reply) != nil {
		return
	}
	for _, p := range reply.Ports {
		if !slices.Contains(n.cards, p.ID) {
			n.ask("DELETE", "/network/v2.0/ports/"+p.ID, nil, []int{204, 404, 409}, nil)
		}
	}
}

// networkerCard is the name of the ports that networkers make.
const networkerCard = "of a networker"

func (n *networker) gain(list *[]string, ledger *Ledger, id string) {
	ledger.note(ledger.created, id)
	*list = append(*list, id)
}

type trunkRow struct {
	ID       string
	Port     string `json:"port_id"`
	Subports []struct {
		Port string `json:"port_id"`
	} `json:"sub_ports"`
}

type floatingRow struct {
	ID, Status  string
	Port        *string `json:"port_id"`
	Forwardings []struct {
		Port string `json:"internal_port_id"`
	} `json:"port_forwardings"`
}

// auditNetwork compares trunks with their ports, and floating IPs with those that
// they lead to.
func auditNetwork(t *testing.T, admin *Client, d *Day) {
	t.Helper()
	var ports []portRow
	var trunks []trunkRow
	var floating []floatingRow
	admin.List(t, "/network/v2.0/ports", "ports", &ports)
	admin.List(t, "/network/v2.0/trunks", "trunks", &trunks)
	admin.List(t, "/network/v2.0/floatingips", "floatingips", &floating)
	owner := map[string]string{} // by port
	for _, p := range ports {
		owner[p.ID] = "owned by " + p.DeviceOwner
	}
	vlans, known := map[string]int{}, map[string]bool{}
	for _, trunk := range trunks {
		known[trunk.ID] = true
		if owner[trunk.Port] == "" {
			t.Errorf("trunk %s has port %s, which is gone", trunk.ID, trunk.Port)
		}
		for _, sub := range trunk.Subports {
			vlans[sub.Port]++
			if owner[sub.Port] != "owned by trunk:subport" {
				t.Errorf("trunk %s has subport %s, which is %q", trunk.ID, sub.Port, owner[sub.Port])
			}
		}
	}
	for _, p := range ports {
		if p.DeviceOwner == "trunk:subport" && vlans[p.ID] != 1 {
			t.Errorf("port %s is a subport of %d trunks", p.ID, vlans[p.ID])
		}
	}
	d.Trunks.Check(t, "trunk", func(id string) bool { return known[id] })
	for _, f := range floating {
		known[f.ID] = true
		for _, w := range f.Forwardings {
			if owner[w.Port] == "" {
				t.Errorf("floating IP %s leads to port %s, which is gone", f.ID, w.Port)
			}
		}
		if leads := f.Port != nil || len(f.Forwardings) > 0; leads != (f.Status == "ACTIVE") {
			t.Errorf("floating IP %s is %s, and leads somewhere: %v", f.ID, f.Status, leads)
		}
	}
	d.Floating.Check(t, "floating IP", func(id string) bool { return known[id] })
}

// tidyNetwork removes what the networkers have left. Trunks go before their ports.
func (d *Day) tidyNetwork() {
	demo := d.client("demo")
	for _, list := range []string{"floatingips", "trunks", "ports"} {
		var rows []struct {
			ID, Name    string
			Forwardings []struct{ ID string } `json:"port_forwardings"`
		}
		demo.List(d.t, "/network/v2.0/"+list, list, &rows)
		for _, row := range rows {
			for _, w := range row.Forwardings {
				demo.Must(d.t, "DELETE", "/network/v2.0/floatingips/"+row.ID+"/port_forwardings/"+w.ID, nil, 204, nil)
			}
			if list == "ports" && row.Name != networkerCard {
				continue
			}
			demo.Must(d.t, "DELETE", "/network/v2.0/"+list+"/"+row.ID, nil, 204, nil)
		}
	}
}
