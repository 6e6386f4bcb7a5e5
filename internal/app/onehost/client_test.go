package onehost

import (
	"context"
	"fmt"
	"net"
	"net/http"
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
	"golang.org/x/crypto/ssh"

	"nacre/internal/await"
)

func (c *cloud) waitHealthy() {
	c.t.Helper()
	await.Until(c.t, "the cloud to be ready", time.Minute, func() bool {
		reply, err := http.Get("http://" + listen + "/healthz")
		if err != nil {
			return false
		}
		reply.Body.Close()
		return reply.StatusCode == http.StatusOK
	})
}

// user is somebody's clients.
type user struct {
	compute, network, volume, image *gophercloud.ServiceClient
}

func (c *cloud) user(name string) user {
	c.t.Helper()
	ctx := context.Background()
	auth, endpoint, tls, err := clouds.Parse(clouds.WithLocations(filepath.Join(c.data(), "clouds.yaml")), clouds.WithCloudName(name))
	if err != nil {
		c.t.Fatal(err)
	}
	provider, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		c.t.Fatal(err)
	}
	var u user
	for _, s := range []struct {
		into *(*gophercloud.ServiceClient)
		make func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)
	}{{&u.compute, openstack.NewComputeV2}, {&u.network, openstack.NewNetworkV2}, {&u.volume, openstack.NewBlockStorageV3}, {&u.image, openstack.NewImageV2}} {
		*s.into, err = s.make(provider, endpoint)
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return u
}

// server waits until a server has a status.
func (u user) server(t testing.TB, id, status string) *servers.Server {
	t.Helper()
	var s *servers.Server
	await.Until(t, fmt.Sprintf("server %s to be %s", id, status), 2*time.Minute, func() bool {
		var err error
		s, err = servers.Get(context.Background(), u.compute, id).Extract()
		if err != nil {
			t.Logf("show server: %v", err) // the cloud may just have been killed
			return false
		}
		if s.Status == "ERROR" {
			t.Fatalf("server %s is in ERROR: %s", id, s.Fault.Message)
		}
		return s.Status == status
	})
	return s
}

// shell is an ssh connection into a guest.
type shell struct{ *ssh.Client }

func (c *cloud) signIn(address string) (shell, error) {
	key, err := os.ReadFile(filepath.Join(c.data(), "demo-key"))
	if err != nil {
		return shell{}, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return shell{}, err
	}
	client, err := ssh.Dial("tcp", net.JoinHostPort(address, "22"), &ssh.ClientConfig{
		User: "cirros", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 3 * time.Second,
	})
	return shell{client}, err
}

// must signs in to a guest, waiting for it to boot.
func (c *cloud) must(address string) shell {
	c.t.Helper()
	var g shell
	await.Until(c.t, address+" to answer ssh", 3*time.Minute, func() bool {
		var err error
		g, err = c.signIn(address)
		return err == nil
	})
	return g
}

func (g shell) run(t *testing.T, command string) string {
	t.Helper()
	session, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	if err != nil {
		t.Fatalf("in the guest: %s: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
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
