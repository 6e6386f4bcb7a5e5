package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/attachinterfaces"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/hypervisors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/instanceactions"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/quotasets"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servergroups"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/services"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
	"golang.org/x/crypto/ssh"
)

// client is a foreign client of the cloud.
func (c *cloud) client(t *testing.T, who, microversion string) *gophercloud.ServiceClient {
	t.Helper()
	server := httptest.NewServer(c.handler)
	t.Cleanup(server.Close)
	provider := &gophercloud.ProviderClient{TokenID: who, HTTPClient: http.Client{}}
	return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: server.URL + "/compute/v2.1/", Type: "compute", Microversion: microversion}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestForeignClient goes through the daily calls with a client that was not
// written for us.
func TestForeignClient(t *testing.T) {
	for _, microversion := range []string{"", "2.60", "2.90"} {
		t.Run("microversion "+microversion, func(t *testing.T) {
			c := start(t, options{hosts: 2})
			demo, ctx := c.client(t, "demo", microversion), c.ctx

			pair, err := keypairs.Create(ctx, demo, keypairs.CreateOpts{Name: "k"}).Extract()
			check(t, err)
			_, err = ssh.ParsePrivateKey([]byte(pair.PrivateKey))
			check(t, err)
			pages, err := flavors.ListDetail(demo, flavors.ListOpts{}).AllPages(ctx)
			check(t, err)
			list, err := flavors.ExtractFlavors(pages)
			check(t, err)
			if len(list) != 5 || list[2].Name != "m1.medium" || list[2].RAM != 4096 {
				t.Errorf("got flavors %+v", list)
			}
			group, err := servergroups.Create(ctx, demo, servergroups.CreateOpts{Name: "g", Policies: []string{"affinity"}}).Extract()
			if microversion == "" || microversion == "2.60" {
				check(t, err)
			} else {
				group = &servergroups.ServerGroup{}
			}
			create := keypairs.CreateOptsExt{
				CreateOptsBuilder: servers.CreateOpts{
					Name: "web", ImageRef: imageID, FlavorRef: "1", UserData: []byte("#!/bin/sh\n"), Metadata: map[string]string{"a": "b"},
					SecurityGroups: []string{"default"}, Networks: []servers.Network{{UUID: networkID}},
				},
				KeyName: "k",
			}
			var hints servers.SchedulerHintOptsBuilder
			if group.ID != "" {
				hints = servers.SchedulerHintOpts{Group: group.ID}
			}
			server, err := servers.Create(ctx, demo, create, hints).Extract()
			check(t, err)
			check(t, servers.WaitForStatus(ctx, demo, server.ID, "ACTIVE"))
			server, err = servers.Get(ctx, demo, server.ID).Extract()
			check(t, err)
			if server.Name != "web" || server.KeyName != "k" || server.Metadata["a"] != "b" || len(server.Addresses) != 1 || server.PowerState != 1 {
				t.Errorf("got server %+v", server)
			}

			_, err = volumeattach.Create(ctx, demo, server.ID, volumeattach.CreateOpts{VolumeID: volumeID}).Extract()
			check(t, err)
			c.until("volume is attached", func() bool {
				got, err := servers.Get(ctx, demo, server.ID).Extract()
				check(t, err)
				w := c.world(t).(map[string][]string)
				return len(got.AttachedVolumes) == 1 && w["server_volumes"][0] == "/dev/vdb|attached|0|"
			})
			port, err := attachinterfaces.Create(ctx, demo, server.ID, attachinterfaces.CreateOpts{NetworkID: networkID}).Extract()
			check(t, err)
			if len(port.FixedIPs) != 1 {
				t.Errorf("got interface %+v, want one address", port)
			}
			check(t, servers.Reboot(ctx, demo, server.ID, servers.RebootOpts{Type: servers.SoftReboot}).ExtractErr())
			c.status(server.ID, "ACTIVE")
			check(t, servers.Stop(ctx, demo, server.ID).ExtractErr())
			check(t, servers.WaitForStatus(ctx, demo, server.ID, "SHUTOFF"))
			check(t, volumeattach.Delete(ctx, demo, server.ID, volumeID).ExtractErr())
			log, err := servers.ShowConsoleOutput(ctx, demo, server.ID, servers.ShowConsoleOutputOpts{Length: 5}).Extract()
			check(t, err)
			if log == "" {
				t.Error("the console log is empty")
			}
			pages, err = instanceactions.List(demo, server.ID, instanceactions.ListOpts{}).AllPages(ctx)
			check(t, err)
			actions, err := instanceactions.ExtractInstanceActions(pages)
			check(t, err)
			if len(actions) != 6 || actions[5].Action != "create" {
				t.Errorf("got actions %+v", actions)
			}
			limit, err := limits.Get(ctx, demo, nil).Extract()
			check(t, err)
			if limit.Absolute.TotalInstancesUsed != 1 || limit.Absolute.MaxTotalInstances != 10 {
				t.Errorf("got limits %+v", limit.Absolute)
			}
			set, err := quotasets.GetDetail(ctx, demo, "demo").Extract()
			check(t, err)
			if set.RAM.InUse != 512 {
				t.Errorf("got quotas %+v", set)
			}
			check(t, servers.Delete(ctx, demo, server.ID).ExtractErr())
			c.gone(server.ID)
			check(t, keypairs.Delete(ctx, demo, "k", nil).ExtractErr())

			admin := c.client(t, "admin", microversion)
			pages, err = hypervisors.List(admin, nil).AllPages(ctx)
			check(t, err)
			hosts, err := hypervisors.ExtractHypervisors(pages)
			check(t, err)
			pages, err = services.List(admin, services.ListOpts{}).AllPages(ctx)
			check(t, err)
			nodes, err := services.ExtractServices(pages)
			check(t, err)
			if len(hosts) != 2 || len(nodes) != 2 || nodes[0].State != "up" {
				t.Errorf("got hypervisors %+v, services %+v", hosts, nodes)
			}
			pages, err = availabilityzones.ListDetail(admin).AllPages(ctx)
			check(t, err)
			zones, err := availabilityzones.ExtractAvailabilityZones(pages)
			check(t, err)
			if len(zones) != 1 || zones[0].ZoneName != "nova" || len(zones[0].Hosts) != 2 {
				t.Errorf("got zones %+v", zones)
			}
		})
	}
}
