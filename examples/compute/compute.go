// Command compute does every group of compute calls that gophercloud has, for an
// administrator of a cloud with hosts node-1 to node-4 that keeps shelved servers on
// them; node-4 is removed. The cloud is the one that OS_CLOUD names in clouds.yaml.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/aggregates"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/attachinterfaces"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/diagnostics"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/extensions"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/hypervisors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/instanceactions"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/migrations"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/quotasets"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/remoteconsoles"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/secgroups"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servergroups"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/services"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/tags"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/usage"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// name is that of all that is made.
const name = "gopher"

// cloud is somebody's clients.
type cloud struct {
	ctx                             context.Context
	compute, network, store, images *gophercloud.ServiceClient
	old                             *gophercloud.ServiceClient // compute, at its first microversion
	image                           string                     // of a guest
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	defer func() {
		problem := recover()
		if problem != nil {
			fmt.Fprintln(os.Stderr, "compute:", problem)
			os.Exit(1)
		}
	}()
	auth, where, tls, err := clouds.Parse()
	must(auth, err)
	provider := must(config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls)))
	c := cloud{
		ctx: ctx, compute: must(openstack.NewComputeV2(provider, where)), network: must(openstack.NewNetworkV2(provider, where)),
		store: must(openstack.NewBlockStorageV3(provider, where)), images: must(openstack.NewImageV2(provider, where)),
	}
	old := *c.compute
	c.old, c.compute.Microversion = &old, "2.90"
	guests := must(images.ExtractImages(must(images.List(c.images, images.ListOpts{Name: "cirros"}).AllPages(ctx))))
	check(len(guests) == 1, "there is an image cirros")
	c.image = guests[0].ID

	c.flavors()
	c.hosts()
	c.limits()
	c.securityGroups()
	c.server()
	c.leaves("node-4")
	fmt.Println("all compute calls are done")
}

func (c cloud) flavors() {
	disk, public := 1, false
	flavor := must(flavors.Create(c.ctx, c.compute, flavors.CreateOpts{Name: name, RAM: 128, VCPUs: 1, Disk: &disk, IsPublic: &public}).Extract())
	defer func() { done(flavors.Delete(c.ctx, c.compute, flavor.ID).ExtractErr()) }()
	must(flavors.Update(c.ctx, c.compute, flavor.ID, flavors.UpdateOpts{Description: "an example"}).Extract())
	must(flavors.AddAccess(c.ctx, c.compute, flavor.ID, flavors.AddAccessOpts{Tenant: name}).Extract())
	c.listed(flavors.ListAccesses(c.compute, flavor.ID), "flavor_access")
	must(flavors.RemoveAccess(c.ctx, c.compute, flavor.ID, flavors.RemoveAccessOpts{Tenant: name}).Extract())
	must(flavors.CreateExtraSpecs(c.ctx, c.compute, flavor.ID, flavors.ExtraSpecsOpts{"hw:cpu_policy": "shared"}).Extract())
	must(flavors.UpdateExtraSpec(c.ctx, c.compute, flavor.ID, flavors.ExtraSpecsOpts{"hw:cpu_policy": "mixed"}).Extract())
	check(must(flavors.GetExtraSpec(c.ctx, c.compute, flavor.ID, "hw:cpu_policy").Extract())["hw:cpu_policy"] == "mixed", "the policy is mixed")
	check(len(must(flavors.ListExtraSpecs(c.ctx, c.compute, flavor.ID).Extract())) == 1, "there is one extra spec")
	done(flavors.DeleteExtraSpec(c.ctx, c.compute, flavor.ID, "hw:cpu_policy").ExtractErr())
	check(must(flavors.Get(c.ctx, c.compute, flavor.ID).Extract()).Description == "an example", "the flavor has its description")
}

// flavor is the id of a flavor of that name.
func (c cloud) flavor(name string) string {
	for _, f := range must(flavors.ExtractFlavors(must(flavors.ListDetail(c.compute, nil).AllPages(c.ctx)))) {
		if f.Name == name {
			return f.ID
		}
	}
	panic("there is no flavor " + name)
}

func (c cloud) hosts() {
	group := must(aggregates.Create(c.ctx, c.compute, aggregates.CreateOpts{Name: name, AvailabilityZone: "gopher-zone"}).Extract())
	defer func() { done(aggregates.Delete(c.ctx, c.compute, group.ID).ExtractErr()) }()
	must(aggregates.Update(c.ctx, c.compute, group.ID, aggregates.UpdateOpts{Name: name + "-2"}).Extract())
	must(aggregates.SetMetadata(c.ctx, c.compute, group.ID, aggregates.SetMetadataOpts{Metadata: map[string]any{"ssd": "true"}}).Extract())
	must(aggregates.AddHost(c.ctx, c.compute, group.ID, aggregates.AddHostOpts{Host: "node-3"}).Extract())
	check(len(must(aggregates.Get(c.ctx, c.compute, group.ID).Extract()).Hosts) == 1, "the aggregate has a host")
	c.listed(aggregates.List(c.compute), "aggregates")
	must(availabilityzones.ExtractAvailabilityZones(must(availabilityzones.List(c.compute).AllPages(c.ctx))))
	must(availabilityzones.ExtractAvailabilityZones(must(availabilityzones.ListDetail(c.compute).AllPages(c.ctx))))
	must(aggregates.RemoveHost(c.ctx, c.compute, group.ID, aggregates.RemoveHostOpts{Host: "node-3"}).Extract())

	c.service("node-3", services.UpdateOpts{Status: services.ServiceDisabled, DisabledReason: "an example"})
	c.service("node-3", services.UpdateOpts{Status: services.ServiceEnabled})
	all := must(hypervisors.ExtractHypervisors(must(hypervisors.List(c.compute, nil).AllPages(c.ctx))))
	check(len(all) == 4, "there are four hypervisors")
	must(hypervisors.Get(c.ctx, c.compute, all[0].ID).Extract())
	old := must(hypervisors.ExtractHypervisors(must(hypervisors.List(c.old, nil).AllPages(c.ctx))))
	must(hypervisors.GetUptime(c.ctx, c.old, old[0].ID).Extract())
	must(hypervisors.GetStatistics(c.ctx, c.old).Extract())
}

// serviceOf is the id of a host's service.
func (c cloud) serviceOf(host string) string {
	found := must(services.ExtractServices(must(services.List(c.compute, services.ListOpts{Host: host, Binary: "nova-compute"}).AllPages(c.ctx))))
	check(len(found) == 1, host+" has one service")
	return found[0].ID
}

// service changes a host's service.
func (c cloud) service(host string, change services.UpdateOptsBuilder) {
	must(services.Update(c.ctx, c.compute, c.serviceOf(host), change).Extract())
}

// leaves removes a host that has no servers.
func (c cloud) leaves(host string) {
	c.service(host, services.UpdateOpts{Status: services.ServiceDisabled})
	done(services.Delete(c.ctx, c.compute, c.serviceOf(host)).ExtractErr())
}

func (c cloud) limits() {
	cores, project := 32, name
	must(quotasets.Update(c.ctx, c.compute, project, quotasets.UpdateOpts{Cores: &cores}).Extract())
	check(must(quotasets.Get(c.ctx, c.compute, project).Extract()).Cores == cores, "the quota is 32 cores")
	check(must(quotasets.GetDetail(c.ctx, c.compute, project).Extract()).Cores.Limit == cores, "the quota is 32 cores in detail")
	must(quotasets.Delete(c.ctx, c.compute, project).Extract())
	check(must(limits.Get(c.ctx, c.compute, nil).Extract()).Absolute.MaxTotalCores > 0, "there is a limit of cores")
	must(usage.AllTenants(c.compute, nil).AllPages(c.ctx))
	done(usage.SingleTenant(c.compute, project, nil).EachPage(c.ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		_, err := usage.ExtractSingleTenant(page)
		return true, err
	}))
	c.listed(extensions.List(c.old), "extensions")
	must(extensions.Get(c.ctx, c.old, "os-keypairs").Extract())
}

// securityGroups are those of the compute API, which passes them on.
func (c cloud) securityGroups() {
	group := must(secgroups.Create(c.ctx, c.old, secgroups.CreateOpts{Name: name, Description: "an example"}).Extract())
	defer func() { done(secgroups.Delete(c.ctx, c.old, group.ID).ExtractErr()) }()
	changed := "changed"
	must(secgroups.Update(c.ctx, c.old, group.ID, secgroups.UpdateOpts{Name: name, Description: &changed}).Extract())
	rule := must(secgroups.CreateRule(c.ctx, c.old, secgroups.CreateRuleOpts{ParentGroupID: group.ID, FromPort: 22, ToPort: 22, IPProtocol: "TCP", CIDR: "0.0.0.0/0"}).Extract())
	check(len(must(secgroups.Get(c.ctx, c.old, group.ID).Extract()).Rules) == 1, "the group has a rule")
	done(secgroups.DeleteRule(c.ctx, c.old, rule.ID).ExtractErr())
	c.listed(secgroups.List(c.old), "security_groups")
}

// server makes one with all that belongs to it.
func (c cloud) server() {
	network := must(networks.Create(c.ctx, c.network, networks.CreateOpts{Name: name}).Extract())
	defer func() { done(networks.Delete(c.ctx, c.network, network.ID).ExtractErr()) }()
	must(subnets.Create(c.ctx, c.network, subnets.CreateOpts{NetworkID: network.ID, IPVersion: 4, CIDR: "10.78.0.0/24"}).Extract())
	for _, kind := range []string{"x509", "ssh"} {
		key := must(keypairs.Create(c.ctx, c.compute, keypairs.CreateOpts{Name: name + "-" + kind, Type: kind}).Extract())
		defer func() { done(keypairs.Delete(c.ctx, c.compute, key.Name, nil).ExtractErr()) }()
		check(must(keypairs.Get(c.ctx, c.compute, key.Name, nil).Extract()).Type == kind, "the key is one of "+kind)
	}
	c.listed(keypairs.List(c.compute, nil), "keypairs")
	group := must(servergroups.Create(c.ctx, c.compute, servergroups.CreateOpts{Name: name, Policy: "anti-affinity", Rules: &servergroups.Rules{MaxServerPerHost: 1}}).Extract())
	defer func() { done(servergroups.Delete(c.ctx, c.compute, group.ID).ExtractErr()) }()
	must(servergroups.Get(c.ctx, c.compute, group.ID).Extract())
	c.listed(servergroups.List(c.compute, nil), "server_groups")

	made := must(servers.Create(c.ctx, c.compute, keypairs.CreateOptsExt{KeyName: name + "-ssh", CreateOptsBuilder: servers.CreateOpts{
		Name: name, FlavorRef: c.flavor("m1.tiny"), ImageRef: c.image, Networks: []servers.Network{{UUID: network.ID}},
	}}, servers.SchedulerHintOpts{Group: group.ID}).Extract())
	defer func() { c.remove(made.ID) }()
	c.is(made.ID, "ACTIVE")
	c.parts(made.ID, network.ID)
	c.disks(made.ID)
	c.life(made.ID)
	c.moves(made.ID)
}

// remove removes a server for good.
func (c cloud) remove(id string) {
	done(servers.Delete(c.ctx, c.compute, id).ExtractErr())
	c.until("the server is deleted", func() bool {
		s, err := servers.Get(c.ctx, c.compute, id).Extract()
		return gophercloud.ResponseCodeIs(err, 404) || err == nil && s.Status == "SOFT_DELETED"
	})
	err := servers.ForceDelete(c.ctx, c.compute, id).ExtractErr()
	if !gophercloud.ResponseCodeIs(err, 404) {
		done(err)
	}
	c.until("the server is gone", func() bool {
		_, err := servers.Get(c.ctx, c.compute, id).Extract()
		return gophercloud.ResponseCodeIs(err, 404)
	})
}

// parts is what belongs to a server, but for its disks.
func (c cloud) parts(id, network string) {
	must(servers.Update(c.ctx, c.compute, id, servers.UpdateOpts{Name: name + "-2"}).Extract())
	must(servers.ResetMetadata(c.ctx, c.compute, id, servers.MetadataOpts{"a": "b"}).Extract())
	must(servers.UpdateMetadata(c.ctx, c.compute, id, servers.MetadataOpts{"c": "d"}).Extract())
	must(servers.CreateMetadatum(c.ctx, c.compute, id, servers.MetadatumOpts{"e": "f"}).Extract())
	must(servers.Metadatum(c.ctx, c.compute, id, "e").Extract())
	done(servers.DeleteMetadatum(c.ctx, c.compute, id, "e").ExtractErr())
	check(len(must(servers.Metadata(c.ctx, c.compute, id).Extract())) == 2, "there are two metadata")
	must(tags.ReplaceAll(c.ctx, c.compute, id, tags.ReplaceAllOpts{Tags: []string{"one"}}).Extract())
	done(tags.Add(c.ctx, c.compute, id, "two").ExtractErr())
	check(must(tags.Check(c.ctx, c.compute, id, "two").Extract()), "there is the tag two")
	check(len(must(tags.List(c.ctx, c.compute, id).Extract())) == 2, "there are two tags")
	done(tags.Delete(c.ctx, c.compute, id, "two").ExtractErr())
	done(tags.DeleteAll(c.ctx, c.compute, id).ExtractErr())
	c.listed(servers.List(c.compute, servers.ListOpts{AllTenants: true}), "servers")
	c.listed(servers.ListSimple(c.compute, nil), "servers")
	must(servers.ListAddresses(c.compute, id).AllPages(c.ctx))
	must(servers.ListAddressesByNetwork(c.compute, id, name).AllPages(c.ctx))

	done(secgroups.AddServer(c.ctx, c.compute, id, "default").ExtractErr())
	c.listed(secgroups.ListByServer(c.compute, id), "security_groups")
	done(secgroups.RemoveServer(c.ctx, c.compute, id, "default").ExtractErr())
	card := must(attachinterfaces.Create(c.ctx, c.compute, id, attachinterfaces.CreateOpts{NetworkID: network}).Extract())
	cards := func() int {
		return len(must(attachinterfaces.ExtractInterfaces(must(attachinterfaces.List(c.compute, id).AllPages(c.ctx)))))
	}
	c.until("there are two cards", func() bool { return cards() == 2 })
	must(attachinterfaces.Get(c.ctx, c.compute, id, card.PortID).Extract())
	done(attachinterfaces.Delete(c.ctx, c.compute, id, card.PortID).ExtractErr())
	c.until("there is one card", func() bool { return cards() == 1 })

	must(servers.ShowConsoleOutput(c.ctx, c.compute, id, servers.ShowConsoleOutputOpts{Length: 5}).Extract())
	must(remoteconsoles.Create(c.ctx, c.compute, id, remoteconsoles.CreateOpts{Protocol: remoteconsoles.ConsoleProtocolVNC, Type: remoteconsoles.ConsoleTypeNoVNC}).Extract())
	must(diagnostics.Get(c.ctx, c.compute, id).Extract())
	must(servers.GetPassword(c.ctx, c.compute, id).ExtractPassword(nil))
	done(servers.ChangeAdminPassword(c.ctx, c.compute, id, "a-new-secret").ExtractErr())
	actions := must(instanceactions.ExtractInstanceActions(must(instanceactions.List(c.compute, id, nil).AllPages(c.ctx))))
	must(instanceactions.Get(c.ctx, c.compute, id, actions[0].RequestID).Extract())
}

// disks attaches a volume and detaches it.
func (c cloud) disks(id string) {
	volume := must(volumes.Create(c.ctx, c.store, volumes.CreateOpts{Name: name, Size: 1}, nil).Extract())
	defer func() { done(volumes.Delete(c.ctx, c.store, volume.ID, nil).ExtractErr()) }()
	status := func(wanted string) {
		c.until("the volume is "+wanted, func() bool { return must(volumes.Get(c.ctx, c.store, volume.ID).Extract()).Status == wanted })
	}
	status("available")
	must(volumeattach.Create(c.ctx, c.compute, id, volumeattach.CreateOpts{VolumeID: volume.ID}).Extract())
	status("in-use")
	must(volumeattach.Get(c.ctx, c.compute, id, volume.ID).Extract())
	c.listed(volumeattach.List(c.compute, id), "volumeAttachments")
	done(volumeattach.Delete(c.ctx, c.compute, id, volume.ID).ExtractErr())
	status("available")
}

// life is what happens to a server on its host.
func (c cloud) life(id string) {
	turn := func(err error, status string) {
		done(err)
		c.is(id, status)
	}
	turn(servers.Pause(c.ctx, c.compute, id).ExtractErr(), "PAUSED")
	turn(servers.Unpause(c.ctx, c.compute, id).ExtractErr(), "ACTIVE")
	turn(servers.Suspend(c.ctx, c.compute, id).ExtractErr(), "SUSPENDED")
	turn(servers.Resume(c.ctx, c.compute, id).ExtractErr(), "ACTIVE")
	turn(servers.Stop(c.ctx, c.compute, id).ExtractErr(), "SHUTOFF")
	turn(servers.Start(c.ctx, c.compute, id).ExtractErr(), "ACTIVE")
	turn(servers.Lock(c.ctx, c.compute, id).ExtractErr(), "ACTIVE")
	turn(servers.Unlock(c.ctx, c.compute, id).ExtractErr(), "ACTIVE")
	turn(servers.Reboot(c.ctx, c.compute, id, servers.RebootOpts{Type: servers.HardReboot}).ExtractErr(), "ACTIVE")
	must(servers.Rescue(c.ctx, c.compute, id, servers.RescueOpts{}).Extract())
	c.is(id, "RESCUE")
	turn(servers.Unrescue(c.ctx, c.compute, id).ExtractErr(), "ACTIVE")
	turn(servers.Shelve(c.ctx, c.compute, id).ExtractErr(), "SHELVED")
	turn(servers.ShelveOffload(c.ctx, c.compute, id).ExtractErr(), "SHELVED_OFFLOADED")
	turn(servers.Unshelve(c.ctx, c.compute, id, servers.UnshelveOpts{}).ExtractErr(), "ACTIVE")
	must(servers.Rebuild(c.ctx, c.compute, id, servers.RebuildOpts{ImageRef: c.image}).Extract())
	c.is(id, "ACTIVE")
	copied := must(servers.CreateImage(c.ctx, c.compute, id, servers.CreateImageOpts{Name: name}).ExtractImageID())
	c.is(id, "ACTIVE")
	done(images.Delete(c.ctx, c.images, copied).ExtractErr())
	turn(servers.InjectNetworkInfo(c.ctx, c.compute, id).ExtractErr(), "ACTIVE")
	turn(servers.ResetState(c.ctx, c.compute, id, servers.StateError).ExtractErr(), "ERROR")
	turn(servers.ResetState(c.ctx, c.compute, id, servers.StateActive).ExtractErr(), "ACTIVE")
}

// moves is how a server gets another size, and to other hosts.
func (c cloud) moves(id string) {
	for flavor, end := range map[string]func() error{
		"m1.small":  func() error { return servers.ConfirmResize(c.ctx, c.compute, id).ExtractErr() },
		"m1.medium": func() error { return servers.RevertResize(c.ctx, c.compute, id).ExtractErr() },
	} {
		done(servers.Resize(c.ctx, c.compute, id, servers.ResizeOpts{FlavorRef: c.flavor(flavor)}).ExtractErr())
		c.is(id, "VERIFY_RESIZE")
		done(end())
		c.is(id, "ACTIVE")
	}
	done(servers.Migrate(c.ctx, c.compute, id).ExtractErr())
	c.is(id, "VERIFY_RESIZE")
	done(servers.ConfirmResize(c.ctx, c.compute, id).ExtractErr())
	c.is(id, "ACTIVE")

	// What gophercloud has no function for, its client sends all the same.
	block := true
	done(servers.LiveMigrate(c.ctx, c.compute, id, servers.LiveMigrateOpts{BlockMigration: &block}).ExtractErr())
	under := c.compute.ServiceURL("servers", id, "migrations")
	c.until("the migration is forced", func() bool {
		var list struct{ Migrations []struct{ ID int } }
		_, err := c.compute.Get(c.ctx, under, &list, nil)
		done(err)
		if len(list.Migrations) == 0 {
			return false
		}
		_, err = c.compute.Post(c.ctx, fmt.Sprintf("%s/%d/action", under, list.Migrations[0].ID), map[string]any{"force_complete": nil}, nil,
			&gophercloud.RequestOpts{OkCodes: []int{202}})
		return err == nil // it is refused as long as nothing goes over yet
	})
	c.is(id, "ACTIVE")
	c.listed(migrations.List(c.compute, nil), "migrations")

	var there struct {
		Host string `json:"OS-EXT-SRV-ATTR:host"`
	}
	done(servers.Get(c.ctx, c.compute, id).ExtractInto(&there))
	c.service(there.Host, services.UpdateOpts{ForcedDown: true})
	must(servers.Evacuate(c.ctx, c.old, id, servers.EvacuateOpts{}).ExtractAdminPass())
	c.is(id, "ACTIVE")
	c.service(there.Host, up{})
}

// up says that a host is not down, which services.UpdateOpts leaves out.
type up struct{}

func (up) ToServiceUpdateMap() (map[string]any, error) {
	return map[string]any{"forced_down": false}, nil
}

// is waits until a server has a status, and nothing is under way.
func (c cloud) is(id, status string) {
	c.until("the server is "+status, func() bool {
		var s struct {
			Status string
			Task   *string `json:"OS-EXT-STS:task_state"`
		}
		done(servers.Get(c.ctx, c.compute, id).ExtractInto(&s))
		return s.Status == status && s.Task == nil
	})
}

// until waits for a condition.
func (c cloud) until(what string, holds func() bool) {
	turns := time.Tick(50 * time.Millisecond)
	for deadline := time.Now().Add(time.Minute); !holds(); <-turns {
		check(time.Now().Before(deadline), what)
	}
}

// must ends the program at the first error.
func must[T any](thing T, err error) T {
	done(err)
	return thing
}

func done(err error) {
	if err != nil {
		panic(err)
	}
}

// check ends the program where an answer is not what it should be.
func check(fine bool, what string) {
	if !fine {
		panic("it is not so that " + what)
	}
}

// listed reads a list whole, in which there must be something.
func (c cloud) listed(pager pagination.Pager, key string) {
	n := 0
	done(pager.EachPage(c.ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		body, _ := page.GetBody().(map[string]any)
		list, _ := body[key].([]any)
		n += len(list)
		return true, nil
	}))
	check(n > 0, "there are "+key)
}
