package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"golang.org/x/crypto/ssh"
)

const keyName = "nacre-demo"

// story is the demo's view of the cloud.
type story struct {
	compute, network, image, volume *gophercloud.ServiceClient
	keyFile                         string
	signer                          ssh.Signer
	imageID                         string
}

func open(ctx context.Context, dataDir string) (*story, error) {
	auth, endpoint, tls, err := clouds.Parse(clouds.WithLocations(filepath.Join(dataDir, "clouds.yaml")), clouds.WithCloudName("nacre-demo"))
	if err != nil {
		return nil, fmt.Errorf("read clouds.yaml: %w", err)
	}
	provider, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		return nil, fmt.Errorf("sign in to the cloud: %w (is it up? make up)", err)
	}
	s := &story{keyFile: filepath.Join(dataDir, "demo-key")}
	for _, c := range []struct {
		into *(*gophercloud.ServiceClient)
		make func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)
	}{
		{&s.compute, openstack.NewComputeV2}, {&s.network, openstack.NewNetworkV2},
		{&s.image, openstack.NewImageV2}, {&s.volume, openstack.NewBlockStorageV3},
	} {
		*c.into, err = c.make(provider, endpoint)
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// poll looks every half a second until it is done.
func poll(ctx context.Context, look func() (done bool, err error)) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := look()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (s *story) waitImage(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		pages, err := images.List(s.image, images.ListOpts{Name: "cirros", Status: images.ImageStatusActive}).AllPages(ctx)
		if err != nil {
			return false, err
		}
		all, err := images.ExtractImages(pages)
		if err != nil || len(all) == 0 {
			return false, err
		}
		s.imageID = all[0].ID
		return true, nil
	})
}

// ensureKey makes a key on this machine and gives the cloud its public half.
func (s *story) ensureKey(ctx context.Context) error {
	content, err := os.ReadFile(s.keyFile)
	if errors.Is(err, os.ErrNotExist) {
		content, err = newKey(s.keyFile)
	}
	if err != nil {
		return err
	}
	s.signer, err = ssh.ParsePrivateKey(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.keyFile, err)
	}
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.signer.PublicKey())))
	found, err := keypairs.Get(ctx, s.compute, keyName, nil).Extract()
	if err == nil && strings.HasPrefix(found.PublicKey, public) {
		return nil
	}
	if err == nil { // of an earlier data folder
		err = keypairs.Delete(ctx, s.compute, keyName, nil).ExtractErr()
		if err != nil {
			return err
		}
	} else if !gophercloud.ResponseCodeIs(err, 404) {
		return err
	}
	_, err = keypairs.Create(ctx, s.compute, keypairs.CreateOpts{Name: keyName, PublicKey: public}).Extract()
	return err
}

func newKey(path string) ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, keyName)
	if err != nil {
		return nil, err
	}
	content := pem.EncodeToMemory(block)
	return content, os.WriteFile(path, content, 0o600)
}

func (s *story) ensureRules(ctx context.Context) error {
	pages, err := groups.List(s.network, groups.ListOpts{Name: "default"}).AllPages(ctx)
	if err != nil {
		return err
	}
	all, err := groups.ExtractGroups(pages)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("the project has no security group default")
	}
	for _, want := range []rules.CreateOpts{
		{Direction: rules.DirIngress, EtherType: rules.EtherType4, SecGroupID: all[0].ID, Protocol: rules.ProtocolICMP},
		{Direction: rules.DirIngress, EtherType: rules.EtherType4, SecGroupID: all[0].ID, Protocol: rules.ProtocolTCP, PortRangeMin: 22, PortRangeMax: 22},
	} {
		_, err = rules.Create(ctx, s.network, want).Extract()
		if err != nil && !gophercloud.ResponseCodeIs(err, 409) { // it is there already
			return err
		}
	}
	return nil
}

func (s *story) ensureServer(ctx context.Context, name string) (string, error) {
	pages, err := servers.List(s.compute, servers.ListOpts{Name: "^" + name + "$"}).AllPages(ctx)
	if err != nil {
		return "", err
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return "", err
	}
	var id string
	if len(all) > 0 {
		id = all[0].ID
	} else {
		id, err = s.createServer(ctx, name)
		if err != nil {
			return "", err
		}
	}
	return id, poll(ctx, func() (bool, error) {
		server, err := servers.Get(ctx, s.compute, id).Extract()
		if err != nil {
			return false, err
		}
		switch server.Status {
		case "ERROR":
			return false, fmt.Errorf("the server is in ERROR: %s", server.Fault.Message)
		case "SHUTOFF":
			return false, servers.Start(ctx, s.compute, id).ExtractErr()
		}
		return server.Status == "ACTIVE", nil
	})
}

func (s *story) createServer(ctx context.Context, name string) (string, error) {
	pages, err := networks.List(s.network, networks.ListOpts{Name: "private"}).AllPages(ctx)
	if err != nil {
		return "", err
	}
	all, err := networks.ExtractNetworks(pages)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("there is no network private")
	}
	server, err := servers.Create(ctx, s.compute, keypairs.CreateOptsExt{
		KeyName: keyName,
		CreateOptsBuilder: servers.CreateOpts{
			Name: name, FlavorRef: "1", ImageRef: s.imageID, Networks: []servers.Network{{UUID: all[0].ID}}, SecurityGroups: []string{"default"},
		},
	}, nil).Extract()
	if err != nil {
		return "", err
	}
	return server.ID, nil
}

func (s *story) ensureVolume(ctx context.Context, name, server string) (string, error) {
	name += "-volume"
	pages, err := volumes.List(s.volume, volumes.ListOpts{Name: name}).AllPages(ctx)
	if err != nil {
		return "", err
	}
	all, err := volumes.ExtractVolumes(pages)
	if err != nil {
		return "", err
	}
	var v *volumes.Volume
	if len(all) > 0 {
		v = &all[0]
	} else {
		// A volume is reached on its own host, where there are several.
		v, err = volumes.Create(ctx, s.volume, volumes.CreateOpts{Name: name, Size: 1}, volumes.SchedulerHintOpts{LocalToInstance: server}).Extract()
		if err != nil {
			return "", err
		}
	}
	asked := false
	return v.ID, poll(ctx, func() (bool, error) {
		now, err := volumes.Get(ctx, s.volume, v.ID).Extract()
		if err != nil {
			return false, err
		}
		switch now.Status {
		case "in-use":
			if now.Attachments[0].ServerID != server {
				return false, fmt.Errorf("volume %s is attached to another server", name)
			}
			return true, nil
		case "available":
			if asked {
				return false, nil
			}
			asked = true
			_, err = volumeattach.Create(ctx, s.compute, server, volumeattach.CreateOpts{VolumeID: v.ID}).Extract()
			return false, err
		case "error":
			return false, fmt.Errorf("volume %s is in error", name)
		}
		return false, nil
	})
}

func (s *story) ensureAddress(ctx context.Context, server string) (string, error) {
	portPages, err := ports.List(s.network, ports.ListOpts{DeviceID: server}).AllPages(ctx)
	if err != nil {
		return "", err
	}
	allPorts, err := ports.ExtractPorts(portPages)
	if err != nil {
		return "", err
	}
	if len(allPorts) == 0 {
		return "", errors.New("the server has no port")
	}
	port := allPorts[0].ID
	pages, err := floatingips.List(s.network, floatingips.ListOpts{PortID: port}).AllPages(ctx)
	if err != nil {
		return "", err
	}
	all, err := floatingips.ExtractFloatingIPs(pages)
	if err != nil {
		return "", err
	}
	if len(all) > 0 {
		return all[0].FloatingIP, nil
	}
	netPages, err := networks.List(s.network, networks.ListOpts{Name: "public"}).AllPages(ctx)
	if err != nil {
		return "", err
	}
	nets, err := networks.ExtractNetworks(netPages)
	if err != nil {
		return "", err
	}
	if len(nets) == 0 {
		return "", errors.New("there is no network public")
	}
	ip, err := floatingips.Create(ctx, s.network, floatingips.CreateOpts{FloatingNetworkID: nets[0].ID, PortID: port}).Extract()
	if err != nil {
		return "", err
	}
	return ip.FloatingIP, nil
}

// signIn waits for the guest's ssh, then formats the volume unless it is, mounts
// it and writes to it.
func (s *story) signIn(ctx context.Context, address, volume string) error {
	var client *ssh.Client
	var last error
	err := poll(ctx, func() (bool, error) {
		client, last = ssh.Dial("tcp", net.JoinHostPort(address, "22"), &ssh.ClientConfig{
			User: "cirros", Auth: []ssh.AuthMethod{ssh.PublicKeys(s.signer)},
			HostKeyCallback: ssh.InsecureIgnoreHostKey(), // a new guest has a new key
			Timeout:         5 * time.Second,
		})
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s does not answer ssh: %w", address, cmp.Or(last, err))
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	out, err := session.CombinedOutput(fmt.Sprintf(mountScript, volume[:20]))
	if err != nil {
		return fmt.Errorf("in the guest: %w: %s", err, out)
	}
	fmt.Printf("\n    %s\n%-75s ", strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "\n    "), "")
	return nil
}

// mountScript finds the volume's disk by its serial number, formats it when it
// is new, and mounts it. The last lines are what the demo shows.
const mountScript = `set -e
disk=
for d in /sys/block/vd*; do
  if [ "$(cat $d/serial 2>/dev/null)" = "%s" ]; then disk=/dev/${d##*/}; fi
done
[ -n "$disk" ] || { echo "the volume is not there"; exit 1; }
sudo mkdir -p /mnt/volume
if ! grep -q " /mnt/volume " /proc/mounts; then
  sudo mount -t ext4 $disk /mnt/volume 2>/dev/null || { sudo mke2fs -q -t ext4 $disk && sudo mount -t ext4 $disk /mnt/volume; }
fi
echo "mounted $(date)" | sudo tee -a /mnt/volume/hello >/dev/null
sync
hostname; uptime
df -h /mnt/volume | tail -n 1`

func (s *story) farewell(dataDir, address string) {
	fmt.Printf(`The cloud runs; go on like this:

  export OS_CLIENT_CONFIG_FILE=%[1]s/clouds.yaml OS_CLOUD=nacre-demo
  openstack server list
  ssh -i %[2]s cirros@%[3]s

  dashboard   %[4]s/dashboard   (user demo, password in %[1]s/clouds.yaml)
  stop        make down          (guests keep running)
  remove all  make down ALL=1
`, dataDir, s.keyFile, address, strings.TrimSuffix(s.compute.Endpoint, "/compute/v2.1/"))
}
