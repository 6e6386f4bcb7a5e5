package network

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/fabric/simulated"
)

func open(t *testing.T) *Service {
	t.Helper()
	d, err := db.Open(t.Context(), dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{DB: d, Fabric: simulated.New(), Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		s.Close()
		d.Close()
	})
	return s
}

func TestPlacesAndAddressesAreInverse(t *testing.T) {
	for _, test := range []struct {
		prefix, ip string
		place      int64
	}{
		{"10.0.0.0/24", "10.0.0.0", 0},
		{"10.0.0.0/24", "10.0.0.255", 255},
		{"10.0.0.0/8", "10.255.255.255", 1<<24 - 1},
		{"2001:db8::/64", "2001:db8::1", 1},
		{"2001:db8::/64", "2001:db8::f816:3eff:fe00:1", -1},
		{"2001:db8::/48", "2001:db8:0:1::1", -1},
	} {
		prefix := netip.MustParsePrefix(test.prefix)
		got := place(prefix, netip.MustParseAddr(test.ip))
		if got != test.place {
			t.Errorf("%s is at %d of %s, want %d", test.ip, got, test.prefix, test.place)
		}
		if got >= 0 && at(prefix, got).String() != test.ip {
			t.Errorf("at %d of %s is %s, want %s", got, test.prefix, at(prefix, got), test.ip)
		}
	}
}

func TestDefaultPools(t *testing.T) {
	for _, test := range []struct {
		cidr, gateway string
		want          []Pool
	}{
		{"10.0.0.0/24", "10.0.0.1", []Pool{{"10.0.0.2", "10.0.0.254"}}},
		{"10.0.0.0/24", "10.0.0.254", []Pool{{"10.0.0.1", "10.0.0.253"}}},
		{"10.0.0.0/24", "10.0.0.100", []Pool{{"10.0.0.1", "10.0.0.99"}, {"10.0.0.101", "10.0.0.254"}}},
		{"10.0.0.0/24", "", []Pool{{"10.0.0.1", "10.0.0.254"}}},
		{"10.0.0.0/30", "10.0.0.1", []Pool{{"10.0.0.2", "10.0.0.2"}}},
		{"10.0.0.0/31", "", []Pool{{"10.0.0.0", "10.0.0.1"}}},
		{"10.0.0.0/31", "10.0.0.0", []Pool{{"10.0.0.1", "10.0.0.1"}}},
		{"2001:db8::/64", "2001:db8::1", []Pool{{"2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff"}}},
		{"2001:db8::/64", "fe80::1", []Pool{{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"}}},
	} {
		sub := Subnet{Gateway: test.gateway}
		got := sub.defaultPools(netip.MustParsePrefix(test.cidr))
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("pools of %s with gateway %q are %v, want %v", test.cidr, test.gateway, got, test.want)
		}
	}
}

func TestEUI64(t *testing.T) {
	got := eui64(netip.MustParsePrefix("2001:db8::/64"), "fa:16:3e:00:00:01").String()
	if got != "2001:db8::f816:3eff:fe00:1" {
		t.Errorf("got %s, want 2001:db8::f816:3eff:fe00:1", got)
	}
}

// However ports come and go, each gets an address of a pool that nobody has,
// and none is refused while one is free.
func TestAddressesAreDistinctAndNoneIsLost(t *testing.T) {
	s := open(t)
	ctx := context.Background()
	scope := Scope{All: true}
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		project := fmt.Sprint("project-", round)
		nets, err := s.CreateNetworks(ctx, Scope{All: true}, NewNetwork{Project: project})
		if err != nil {
			r.Fatal(err)
		}
		no := false
		_, err = s.CreateSubnets(ctx, Scope{All: true}, NewSubnet{Project: project, Network: nets[0].ID, CIDR: "10.0.0.0/27", DHCP: &no, Pools: []Pool{
			{"10.0.0.4", "10.0.0.7"}, {"10.0.0.10", "10.0.0.12"},
		}})
		if err != nil {
			r.Fatal(err)
		}
		const room = 7
		has := map[string]string{} // port by address
		create := func(r *rapid.T) {
			ports, err := s.CreatePorts(ctx, scope, NewPort{Project: project, Network: nets[0].ID})
			if errs.Is(err, errs.Conflict) && len(has) == room {
				return
			}
			if err != nil {
				r.Fatalf("with %d of %d in use: %v", len(has), room, err)
			}
			ip := ports[0].FixedIPs.V[0].IP
			if has[ip] != "" {
				r.Fatalf("%s was given twice", ip)
			}
			has[ip] = ports[0].ID
		}
		remove := func(r *rapid.T) {
			if len(has) == 0 {
				r.Skip("nothing to remove")
			}
			var ips []string
			for n := range 32 {
				ip := fmt.Sprintf("10.0.0.%d", n)
				if has[ip] != "" {
					ips = append(ips, ip)
				}
			}
			ip := rapid.SampledFrom(ips).Draw(r, "ip")
			err := s.DeletePort(ctx, has[ip], AnyRevision)
			if err != nil {
				r.Fatal(err)
			}
			delete(has, ip)
		}
		r.Repeat(map[string]func(*rapid.T){"create": create, "create more": create, "remove": remove})
	})
}
