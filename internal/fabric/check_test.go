package fabric

import "testing"

// world is a topology that uses everything.
func world() Topology {
	return Topology{
		Networks: []Network{
			{ID: "net", Subnets: []Subnet{{ID: "sub", CIDR: "10.0.0.0/24", Gateway: "10.0.0.1", DHCP: true}, {ID: "sub6", CIDR: "fd00::/64", DHCP: true}}},
			{ID: "ext", Physical: "public", VLAN: 100, Subnets: []Subnet{{ID: "extsub", CIDR: "172.24.4.0/24"}}},
		},
		Groups: []Group{{ID: "g1", Rules: []Rule{{ID: "r1"}, {ID: "r2", RemoteGroup: "g2"}}}, {ID: "g2"}},
		Ports: []Port{
			{ID: "p1", Network: "net", MAC: "fa:16:3e:00:00:01", IPs: []string{"10.0.0.5", "fd00::5"}, Groups: []string{"g1", "g2"}, PortSecurity: true, Enabled: true, Host: "node-1"},
			{ID: "p2", Network: "net", MAC: "fa:16:3e:00:00:02", IPs: []string{"10.0.0.2"}, Metadata: true, Enabled: true},
		},
		Routers: []Router{{
			ID: "r", Enabled: true,
			Ports: []RouterPort{{ID: "rp", Network: "net", MAC: "fa:16:3e:00:00:03", CIDRs: []string{"10.0.0.1/24", "fd00::1/64"}, Advertise: "slaac"}},
			Gateway: &Gateway{RouterPort: RouterPort{ID: "gp", Network: "ext", MAC: "fa:16:3e:00:00:04", CIDRs: []string{"172.24.4.9/24"}},
				NextHops: []string{"172.24.4.1"}, SNAT: true},
			Routes: []Route{{Destination: "10.7.0.0/16", NextHop: "10.0.0.7"}},
			NATs:   []FloatingIP{{ID: "f", External: "172.24.4.20", Internal: "10.0.0.5", Port: "p1"}},
		}},
	}
}

func TestCheck(t *testing.T) {
	for name, spoil := range map[string]func(*Topology){
		"CIDR":          func(w *Topology) { w.Networks[0].Subnets[0].CIDR = "10.0.0.0" },
		"gateway":       func(w *Topology) { w.Networks[0].Subnets[0].Gateway = "10.0.0.0/24" },
		"DNS":           func(w *Topology) { w.Networks[0].Subnets[0].DNS = []string{"example.org"} },
		"host route":    func(w *Topology) { w.Networks[0].Subnets[0].Routes = []Route{{Destination: "x"}} },
		"VLAN":          func(w *Topology) { w.Networks[1].VLAN = 4096 },
		"MAC":           func(w *Topology) { w.Ports[0].MAC = "x" },
		"IP":            func(w *Topology) { w.Ports[0].IPs[0] = "10.0.0.5/24" },
		"pair":          func(w *Topology) { w.Ports[0].AllowedPairs = []Pair{{IP: "x"}} },
		"pair's MAC":    func(w *Topology) { w.Ports[0].AllowedPairs = []Pair{{IP: "10.0.0.1", MAC: "x"}} },
		"rule's range":  func(w *Topology) { w.Groups[0].Rules[0].RemoteCIDR = "10.0.0.0" },
		"IP version":    func(w *Topology) { w.Groups[0].Rules[0].RemoteCIDR = "fd00::/8" },
		"number":        func(w *Topology) { w.Groups[0].Rules[0].Protocol = "256" },
		"sign":          func(w *Topology) { w.Groups[0].Rules[0].Protocol = "+6" },
		"expression":    func(w *Topology) { w.Groups[0].Rules[0].Protocol = "1 || ip4" },
		"protocol":      func(w *Topology) { w.Groups[0].Rules[0].Protocol = "x" },
		"router MAC":    func(w *Topology) { w.Routers[0].Ports[0].MAC = "x" },
		"router CIDR":   func(w *Topology) { w.Routers[0].Ports[0].CIDRs = []string{"10.0.0.1"} },
		"no addresses":  func(w *Topology) { w.Routers[0].Ports[0].CIDRs = nil },
		"next hop":      func(w *Topology) { w.Routers[0].Gateway.NextHops = []string{"x"} },
		"route":         func(w *Topology) { w.Routers[0].Routes[0].NextHop = "x" },
		"floating IP":   func(w *Topology) { w.Routers[0].NATs[0].External = "x" },
		"its inner one": func(w *Topology) { w.Routers[0].NATs[0].Internal = "" },
	} {
		w := world()
		spoil(&w)
		err := w.Check()
		if err == nil {
			t.Errorf("a bad %s is accepted", name)
		}
	}
	err := world().Check()
	if err != nil {
		t.Errorf("the good one is refused: %v", err)
	}
}
