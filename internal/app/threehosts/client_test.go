package threehosts

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"golang.org/x/crypto/ssh"

	"nacre/internal/await"
)

// user is somebody's clients, of one server.
type user struct {
	compute, network, volume, image *gophercloud.ServiceClient
}

func (s *server) user(t testing.TB, name string) user {
	t.Helper()
	auth, endpoint, tls, err := clouds.Parse(clouds.WithLocations(filepath.Join(s.dir, "clouds.yaml")), clouds.WithCloudName(name))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := config.NewProviderClient(context.Background(), auth, config.WithTLSConfig(tls))
	if err != nil {
		t.Fatal(err)
	}
	var u user
	for _, c := range []struct {
		into *(*gophercloud.ServiceClient)
		make func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)
	}{{&u.compute, openstack.NewComputeV2}, {&u.network, openstack.NewNetworkV2}, {&u.volume, openstack.NewBlockStorageV3}, {&u.image, openstack.NewImageV2}} {
		*c.into, err = c.make(provider, endpoint)
		if err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// active waits until a server runs.
func (u user) active(t *testing.T, id string) *servers.Server {
	t.Helper()
	var s *servers.Server
	await.Until(t, fmt.Sprintf("server %s to be ACTIVE", id), 2*time.Minute, func() bool {
		var err error
		s, err = servers.Get(context.Background(), u.compute, id).Extract()
		if err != nil {
			t.Logf("show server: %v", err)
			return false
		}
		if s.Status == "ERROR" {
			t.Fatalf("server %s is in ERROR: %s", id, s.Fault.Message)
		}
		return s.Status == "ACTIVE"
	})
	return s
}

func (u user) servers(t *testing.T) []servers.Server {
	t.Helper()
	pages, err := servers.List(u.compute, nil).AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (u user) networkID(t *testing.T, name string) string {
	t.Helper()
	pages, err := networks.List(u.network, networks.ListOpts{Name: name}).AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all, err := networks.ExtractNetworks(pages)
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d networks %s, %v", len(all), name, err)
	}
	return all[0].ID
}

// addAddress gives a server a floating IP. It returns its own address, too.
func (u user) addAddress(t *testing.T, server string) (inner, outer string) {
	t.Helper()
	pages, err := ports.List(u.network, ports.ListOpts{DeviceID: server}).AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all, err := ports.ExtractPorts(pages)
	if err != nil || len(all) != 1 {
		t.Fatalf("server %s has %d ports, %v", server, len(all), err)
	}
	ip, err := floatingips.Create(context.Background(), u.network, floatingips.CreateOpts{
		FloatingNetworkID: u.networkID(t, "public"), PortID: all[0].ID,
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return all[0].FixedIPs[0].IPAddress, ip.FloatingIP
}

// shell is an ssh connection into a guest.
type shell struct{ *ssh.Client }

// signIn signs in to a guest, waiting for it to boot.
func signIn(t *testing.T, keyFile, address string) shell {
	t.Helper()
	key, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var client *ssh.Client
	await.Until(t, address+" to answer ssh", 3*time.Minute, func() bool {
		client, err = ssh.Dial("tcp", net.JoinHostPort(address, "22"), &ssh.ClientConfig{
			User: "cirros", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 5 * time.Second,
		})
		return err == nil
	})
	t.Cleanup(func() { client.Close() })
	return shell{client}
}

// try runs a command in the guest.
func (g shell) try(t *testing.T, command string) (string, error) {
	t.Helper()
	session, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	return strings.TrimSpace(string(out)), err
}

func (g shell) run(t *testing.T, command string) string {
	t.Helper()
	out, err := g.try(t, command)
	if err != nil {
		t.Fatalf("in the guest: %s: %v: %s", command, err, out)
	}
	return out
}

// uptime is how long the guest has run, in seconds.
func (g shell) uptime(t *testing.T) float64 {
	t.Helper()
	first, _, _ := strings.Cut(g.run(t, "cat /proc/uptime"), " ")
	n, err := strconv.ParseFloat(first, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
