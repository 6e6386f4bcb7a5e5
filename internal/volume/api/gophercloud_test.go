package api_test

import (
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/attachments"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/manageablevolumes"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/qos"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/quotasets"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/schedulerstats"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/snapshots"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/transfers"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumetypes"
)

// client speaks to the cloud as a foreign program does.
func (c *cloud) client(token, project string) *gophercloud.ServiceClient {
	endpoint := c.url + "/volume/v3/" + project + "/"
	provider := &gophercloud.ProviderClient{TokenID: token}
	return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: endpoint, Type: "block-storage", Microversion: "3.70"}
}

func TestGophercloud(t *testing.T) {
	c := start(t, 1)
	demoClient, adminClient := c.client("demo", demo), c.client("admin", bearers["admin"].Project)
	ctx := c.ctx

	v, err := volumes.Create(ctx, demoClient, volumes.CreateOpts{Size: 1, Name: "data", Metadata: map[string]string{"a": "b"}}, nil).Extract()
	if err != nil {
		t.Fatal(err)
	}
	err = volumes.WaitForStatus(ctx, demoClient, v.ID, "available")
	if err != nil {
		t.Fatal(err)
	}
	v, err = volumes.Get(ctx, demoClient, v.ID).Extract()
	if err != nil || v.Name != "data" || v.Size != 1 || v.Metadata["a"] != "b" || v.CreatedAt.IsZero() || v.TenantID != demo {
		t.Errorf("volume is %+v, %v", v, err)
	}
	pages, err := volumes.List(demoClient, volumes.ListOpts{Limit: 1}).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all, err := volumes.ExtractVolumes(pages)
	if err != nil || len(all) != 1 || all[0].ID != v.ID {
		t.Errorf("volumes are %+v, %v", all, err)
	}
	s, err := snapshots.Create(ctx, demoClient, snapshots.CreateOpts{VolumeID: v.ID, Name: "s"}).Extract()
	if err == nil {
		err = snapshots.WaitForStatus(ctx, demoClient, s.ID, "available")
	}
	if err != nil {
		t.Fatal(err)
	}
	err = snapshots.Delete(ctx, demoClient, s.ID).ExtractErr()
	if err != nil {
		t.Error(err)
	}
	c.until("the snapshot is gone", func() bool { return c.bytes() == 1 })

	a, err := attachments.Create(ctx, demoClient, attachments.CreateOpts{
		VolumeUUID: v.ID, InstanceUUID: "bbbbbbbb-0000-4000-8000-000000000001", Connector: map[string]any{"host": "node-1"},
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	err = attachments.Complete(ctx, demoClient, a.ID).ExtractErr()
	if err != nil {
		t.Error(err)
	}
	a, err = attachments.Get(ctx, demoClient, a.ID).Extract()
	if err != nil || a.Status != "attached" || a.VolumeID != v.ID || a.AttachedAt.IsZero() {
		t.Errorf("attachment is %+v, %v", a, err)
	}
	err = attachments.Delete(ctx, demoClient, a.ID).ExtractErr()
	if err != nil {
		t.Error(err)
	}
	err = volumes.ExtendSize(ctx, demoClient, v.ID, volumes.ExtendSizeOpts{NewSize: 3}).ExtractErr()
	if err == nil {
		err = volumes.WaitForStatus(ctx, demoClient, v.ID, "available")
	}
	if err != nil {
		t.Error(err)
	}
	kind, err := volumetypes.Create(ctx, adminClient, volumetypes.CreateOpts{Name: "fast", ExtraSpecs: map[string]string{"a": "b"}}).Extract()
	if err != nil || kind.ExtraSpecs["a"] != "b" || !kind.IsPublic {
		t.Errorf("type is %+v, %v", kind, err)
	}
	quota, err := quotasets.GetUsage(ctx, demoClient, demo).Extract()
	if err != nil || quota.Volumes.InUse != 1 || quota.Gigabytes.InUse != 3 || quota.Gigabytes.Limit != 1000 {
		t.Errorf("quota is %+v, %v", quota, err)
	}
	page, err := services.List(adminClient, nil).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	list, err := services.ExtractServices(page)
	if err != nil || len(list) != 1 || list[0].State != "up" {
		t.Errorf("services are %+v, %v", list, err)
	}
	zonePage, err := availabilityzones.List(demoClient).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	zones, err := availabilityzones.ExtractAvailabilityZones(zonePage)
	if err != nil || len(zones) != 1 || !zones[0].ZoneState.Available {
		t.Errorf("zones are %+v, %v", zones, err)
	}
	err = volumes.Delete(ctx, demoClient, v.ID, nil).ExtractErr()
	if err != nil {
		t.Error(err)
	}
	c.until("the volume is gone", func() bool { return c.bytes() == 0 })
}

// What operators do besides.
func TestGophercloudOperators(t *testing.T) {
	c := start(t, 1)
	ctx, demoClient, adminClient := c.ctx, c.client("demo", demo), c.client("admin", bearers["admin"].Project)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	slow, err := qos.Create(ctx, adminClient, qos.CreateOpts{
		Name: "slow", Consumer: qos.ConsumerFront, Specs: map[string]string{"total_iops_sec": "100"},
	}).Extract()
	must("create QoS specs", err)
	kind, err := volumetypes.Create(ctx, adminClient, volumetypes.CreateOpts{Name: "limited"}).Extract()
	must("create a type", err)
	must("associate", qos.Associate(ctx, adminClient, slow.ID, qos.AssociateOpts{VolumeTypeID: kind.ID}).ExtractErr())
	pages, err := qos.ListAssociations(adminClient, slow.ID).AllPages(ctx)
	must("list associations", err)
	types, err := qos.ExtractAssociations(pages)
	if err != nil || len(types) != 1 || types[0].ID != kind.ID {
		t.Errorf("types with the specs are %+v, %v", types, err)
	}
	must("disassociate", qos.DisassociateAll(ctx, adminClient, slow.ID).ExtractErr())
	must("delete keys", qos.DeleteKeys(ctx, adminClient, slow.ID, qos.DeleteKeysOpts{"total_iops_sec"}).ExtractErr())
	must("delete QoS specs", qos.Delete(ctx, adminClient, slow.ID, nil).ExtractErr())

	pools, err := schedulerstats.List(adminClient, schedulerstats.ListOpts{Detail: true}).AllPages(ctx)
	must("list pools", err)
	stats, err := schedulerstats.ExtractStoragePools(pools)
	if err != nil || len(stats) != 1 || stats[0].Capabilities.VendorName != "Nacre" || stats[0].Capabilities.TotalCapacityGB != 100 {
		t.Errorf("pools are %+v, %v", stats, err)
	}

	id := c.create(`"size":1`)
	offer, err := transfers.Create(ctx, demoClient, transfers.CreateOpts{VolumeID: id, Name: "gift"}).Extract()
	must("offer a volume", err)
	_, err = transfers.Accept(ctx, c.client("other", other), offer.ID, transfers.AcceptOpts{AuthKey: offer.AuthKey}).Extract()
	must("accept it", err)
	c.must(202, "admin", "POST", "/volume/v3/volumes/"+id+"/action", `{"os-unmanage":{}}`)
	c.await(id, "")
	taken, err := manageablevolumes.ManageExisting(ctx, adminClient, manageablevolumes.ManageExistingOpts{
		Host: "node-1@nacre#volumes", Ref: map[string]string{"source-name": "volume-" + id}, Name: "back",
	}).Extract()
	must("take it over", err)
	must("wait for it", volumes.WaitForStatus(ctx, adminClient, taken.ID, "available"))
}
