package fabrictest

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/dns/dnsmessage"

	"nacre/internal/fabric"
)

// remoteAddresses checks rules about address groups, whose members come and go.
func remoteAddresses(t *testing.T, rig Rig) {
	l := newLAN(47)
	office := fabric.AddressGroup{ID: uuid.NewString(), CIDRs: []string{"192.0.2.0/24", "fd00::/48"}}
	l.group.Rules = append(l.group.Rules, fabric.Rule{ID: uuid.NewString(), Protocol: "tcp", PortMin: 80, PortMax: 80, RemoteAddresses: office.ID})
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	topology := l.topology(pa, pb)
	topology.AddressGroups = []fabric.AddressGroup{office}
	ensure(t, rig.Cluster, topology)
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	b.Serve(80)
	settle(t, rig)
	a.Misses(l.prefix+"6:80", "")

	office.CIDRs = append(slices.Clip(office.CIDRs), l.prefix+"4/31")
	ensure(t, rig.Cluster, fabric.Topology{AddressGroups: []fabric.AddressGroup{office}})
	settle(t, rig)
	a.Reaches(l.prefix+"6:80", l.prefix+"5")

	office.CIDRs = nil
	ensure(t, rig.Cluster, fabric.Topology{AddressGroups: []fabric.AddressGroup{office}})
	settle(t, rig)
	a.Misses(l.prefix+"6:80", "")
}

// names checks that a port is told its own options, and that its network knows it
// by name, whichever server is asked.
func names(t *testing.T, rig Rig) {
	l := newLAN(48)
	pa, pb := l.port(rig.Name, 5), l.port(rig.Name, 6)
	pa.Names = []string{"web", "web.openstacklocal"}
	pa.Options = []fabric.Option{{Name: "mtu", Value: "1300", Version: 4}, {Name: "6", Value: "192.0.2.53", Version: 4}, {Name: "nonsense", Value: "x", Version: 4}}
	ensure(t, rig.Cluster, l.topology(pa, pb))
	a, b := boot(t, rig, l, pa), boot(t, rig, l, pb)
	settle(t, rig)
	told := func(g *Guest, p fabric.Port) string {
		t.Helper()
		lease, err := g.DHCP(timeout(t), p.MAC)
		if err != nil {
			t.Fatalf("DHCP: %v", err)
		}
		return fmt.Sprint(lease.IP, " ", lease.MTU, " ", lease.DNS, " ", lease.Router)
	}
	if got, want := told(a, pa), l.prefix+"5 1300 [192.0.2.53] "+l.prefix+"1"; got != want {
		t.Errorf("with options of its own a port is told %s, want %s", got, want)
	}
	if got, want := told(b, pb), l.prefix+"6 1400 [9.9.9.9 149.112.112.112] "+l.prefix+"1"; got != want {
		t.Errorf("without, it is told %s, want %s", got, want)
	}
	for _, name := range pa.Names {
		found, err := b.Resolve(l.prefix+"5:53", name)
		if err != nil || found != l.prefix+"5" {
			t.Errorf("%s is %q (%v), want %s", name, found, err, pa.IPs[0])
		}
	}

	pa.Options = []fabric.Option{{Name: "dhcp_disabled", Value: "true", Version: 4}}
	pa.Names = nil
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pa}})
	pa.Options = nil
	ensure(t, rig.Cluster, fabric.Topology{Ports: []fabric.Port{pa}})
	settle(t, rig)
	if got, want := told(a, pa), l.prefix+"5 1400 [9.9.9.9 149.112.112.112] "+l.prefix+"1"; got != want {
		t.Errorf("without its options a port is told %s, want %s", got, want)
	}
}

// Resolve asks a name server for the IPv4 address of a name.
func (g *Guest) Resolve(server, name string) (found string, err error) {
	err = g.Do(func() (err error) {
		found, err = resolve(server, name)
		return err
	})
	return found, err
}

func resolve(server, name string) (string, error) {
	host, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return "", err
	}
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: host, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packet, err := question.Pack()
	if err != nil {
		return "", err
	}
	conn, err := net.Dial("udp", server)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	answer := make([]byte, 1500)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		_, err = conn.Write(packet)
		if err != nil {
			continue // nobody listens there, which is of no importance
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		n, err := conn.Read(answer)
		if err != nil {
			continue
		}
		var reply dnsmessage.Message
		err = reply.Unpack(answer[:n])
		if err != nil {
			return "", err
		}
		for _, a := range reply.Answers {
			body, is := a.Body.(*dnsmessage.AResource)
			if is {
				return net.IP(body.A[:]).String(), nil
			}
		}
	}
	return "", errors.New("no answer")
}
