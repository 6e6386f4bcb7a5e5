// Command day makes, changes, finds and removes one of each resource with
// gophercloud. The cloud is the one that OS_CLOUD names in clouds.yaml.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/snapshots"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/openstack/objectstorage/v1/containers"
	"github.com/gophercloud/gophercloud/v2/openstack/objectstorage/v1/objects"
)

// name is that of all that the day makes.
const name = "day"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	defer func() {
		problem := recover()
		if problem != nil {
			fmt.Fprintln(os.Stderr, "day:", problem)
			os.Exit(1)
		}
	}()
	auth, where, tls, err := clouds.Parse()
	must(auth, err)
	provider := must(config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls)))

	credential(ctx, provider, must(openstack.NewIdentityV3(provider, where)))
	object(ctx, must(openstack.NewObjectStorageV1(provider, where)))
	store := must(openstack.NewImageV2(provider, where))
	image(ctx, store)
	server(ctx, guest(ctx, store), must(openstack.NewNetworkV2(provider, where)), must(openstack.NewBlockStorageV3(provider, where)),
		must(openstack.NewComputeV2(provider, where)))
	fmt.Println("a day is over")
}

// must ends the day at the first error.
func must[T any](thing T, err error) T {
	done(err)
	return thing
}

func done(err error) {
	if err != nil {
		panic(err)
	}
}

// check ends the day where an answer is not what it should be.
func check(fine bool, what string) {
	if !fine {
		panic(what)
	}
}

func credential(ctx context.Context, provider *gophercloud.ProviderClient, identity *gophercloud.ServiceClient) {
	user := must(tokens.Get(ctx, identity, provider.Token()).ExtractUser())
	made := must(applicationcredentials.Create(ctx, identity, user.ID, applicationcredentials.CreateOpts{Name: name}).Extract())
	defer func() { done(applicationcredentials.Delete(ctx, identity, user.ID, made.ID).ExtractErr()) }()
	check(made.Secret != "", "an application credential has no secret")
}

func object(ctx context.Context, store *gophercloud.ServiceClient) {
	must(containers.Create(ctx, store, name, containers.CreateOpts{}).Extract())
	defer func() { must(containers.Delete(ctx, store, name).Extract()) }()
	must(objects.Create(ctx, store, name, "greeting", objects.CreateOpts{Content: bytes.NewReader([]byte("hello"))}).Extract())
	defer func() { must(objects.Delete(ctx, store, name, "greeting", nil).Extract()) }()
	sent := objects.Download(ctx, store, name, "greeting", nil)
	content := must(sent.ExtractContent())
	check(string(content) == "hello", "an object came back otherwise")
}

func image(ctx context.Context, client *gophercloud.ServiceClient) {
	made := must(images.Create(ctx, client, images.CreateOpts{Name: name, DiskFormat: "raw", ContainerFormat: "bare"}).Extract())
	defer func() { done(images.Delete(ctx, client, made.ID).ExtractErr()) }()
	sent := bytes.Repeat([]byte{7}, 4096)
	done(imagedata.Upload(ctx, client, made.ID, bytes.NewReader(sent)).ExtractErr())
	body := must(imagedata.Download(ctx, client, made.ID).Extract())
	defer body.Close()
	check(bytes.Equal(must(io.ReadAll(body)), sent), "an image came back otherwise")
	must(images.Update(ctx, client, made.ID, images.UpdateOpts{images.UpdateImageProperty{Op: images.AddOp, Name: "os_distro", Value: "debian"}}).Extract())
	check(must(images.Get(ctx, client, made.ID).Extract()).Properties["os_distro"] == "debian", "an image has lost its property")
}

// server makes a network that leads outside, a volume and a snapshot of it,
// and a server that has both.
func server(ctx context.Context, image string, network, volume, compute *gophercloud.ServiceClient) {
	inside := must(networks.Create(ctx, network, networks.CreateOpts{Name: name}).Extract())
	defer func() { done(networks.Delete(ctx, network, inside.ID).ExtractErr()) }()
	subnet := must(subnets.Create(ctx, network, subnets.CreateOpts{NetworkID: inside.ID, IPVersion: 4, CIDR: "10.78.0.0/24"}).Extract())
	public := must(networks.ExtractNetworks(must(networks.List(network, networks.ListOpts{Name: "public"}).AllPages(ctx))))
	check(len(public) == 1, "there is no network public")
	router := must(routers.Create(ctx, network, routers.CreateOpts{Name: name, GatewayInfo: &routers.GatewayInfo{NetworkID: public[0].ID}}).Extract())
	defer func() { done(routers.Delete(ctx, network, router.ID).ExtractErr()) }()
	must(routers.AddInterface(ctx, network, router.ID, routers.AddInterfaceOpts{SubnetID: subnet.ID}).Extract())
	defer func() {
		must(routers.RemoveInterface(ctx, network, router.ID, routers.RemoveInterfaceOpts{SubnetID: subnet.ID}).Extract())
	}()
	group := must(groups.Create(ctx, network, groups.CreateOpts{Name: name}).Extract())
	defer func() { done(groups.Delete(ctx, network, group.ID).ExtractErr()) }()
	must(rules.Create(ctx, network, rules.CreateOpts{SecGroupID: group.ID, Direction: rules.DirIngress, EtherType: rules.EtherType4,
		Protocol: rules.ProtocolTCP, PortRangeMin: 22, PortRangeMax: 22}).Extract())

	disk := must(volumes.Create(ctx, volume, volumes.CreateOpts{Name: name, Size: 1}, nil).Extract())
	defer func() { done(volumes.Delete(ctx, volume, disk.ID, volumes.DeleteOpts{Cascade: true}).ExtractErr()) }()
	done(volumes.WaitForStatus(ctx, volume, disk.ID, "available"))
	snapshot := must(snapshots.Create(ctx, volume, snapshots.CreateOpts{Name: name, VolumeID: disk.ID}).Extract())
	done(snapshots.WaitForStatus(ctx, volume, snapshot.ID, "available"))

	key := must(keypairs.Create(ctx, compute, keypairs.CreateOpts{Name: name}).Extract())
	defer func() { done(keypairs.Delete(ctx, compute, key.Name, nil).ExtractErr()) }()
	made := must(servers.Create(ctx, compute, keypairs.CreateOptsExt{KeyName: key.Name, CreateOptsBuilder: servers.CreateOpts{
		Name: name, FlavorRef: flavor(ctx, compute), ImageRef: image, Networks: []servers.Network{{UUID: inside.ID}}, SecurityGroups: []string{name}}}, nil).Extract())
	defer func() {
		done(servers.Delete(ctx, compute, made.ID).ExtractErr())
		gone := gophercloud.WaitFor(ctx, func(ctx context.Context) (bool, error) {
			_, err := servers.Get(ctx, compute, made.ID).Extract()
			return gophercloud.ResponseCodeIs(err, 404), nil
		})
		done(gone)
	}()
	done(servers.WaitForStatus(ctx, compute, made.ID, "ACTIVE"))
	must(volumeattach.Create(ctx, compute, made.ID, volumeattach.CreateOpts{VolumeID: disk.ID}).Extract())
	done(volumes.WaitForStatus(ctx, volume, disk.ID, "in-use"))
	done(volumeattach.Delete(ctx, compute, made.ID, disk.ID).ExtractErr())
	done(volumes.WaitForStatus(ctx, volume, disk.ID, "available"))

	cards := must(ports.ExtractPorts(must(ports.List(network, ports.ListOpts{DeviceID: made.ID}).AllPages(ctx))))
	check(len(cards) == 1, "a server has no card")
	address := must(floatingips.Create(ctx, network, floatingips.CreateOpts{FloatingNetworkID: public[0].ID, PortID: cards[0].ID}).Extract())
	defer func() { done(floatingips.Delete(ctx, network, address.ID).ExtractErr()) }()
	must(servers.UpdateMetadata(ctx, compute, made.ID, servers.MetadataOpts{"color": "blue"}).Extract())
	done(servers.Stop(ctx, compute, made.ID).ExtractErr())
	done(servers.WaitForStatus(ctx, compute, made.ID, "SHUTOFF"))
	done(servers.Start(ctx, compute, made.ID).ExtractErr())
	done(servers.WaitForStatus(ctx, compute, made.ID, "ACTIVE"))
}

// flavor is the smallest.
func flavor(ctx context.Context, compute *gophercloud.ServiceClient) string {
	all := must(flavors.ExtractFlavors(must(flavors.ListDetail(compute, flavors.ListOpts{SortKey: "memory_mb"}).AllPages(ctx))))
	check(len(all) > 0, "there is no flavor")
	return all[0].ID
}

// guest is the image that a fresh cloud has.
func guest(ctx context.Context, client *gophercloud.ServiceClient) string {
	all := must(images.ExtractImages(must(images.List(client, images.ListOpts{Name: "cirros"}).AllPages(ctx))))
	check(len(all) == 1, "there is no image cirros")
	return all[0].ID
}
