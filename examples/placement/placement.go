// Command placement does every placement call that gophercloud has, for an
// administrator. The cloud is the one that OS_CLOUD names in clouds.yaml.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/placement/v1/allocationcandidates"
	"github.com/gophercloud/gophercloud/v2/openstack/placement/v1/allocations"
	"github.com/gophercloud/gophercloud/v2/openstack/placement/v1/resourceclasses"
	"github.com/gophercloud/gophercloud/v2/openstack/placement/v1/resourceproviders"
	"github.com/gophercloud/gophercloud/v2/openstack/placement/v1/traits"
	"github.com/gophercloud/gophercloud/v2/openstack/placement/v1/usages"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

const (
	class    = "CUSTOM_GOPHER_CARD"
	trait    = "CUSTOM_GOPHER_FAST"
	group    = "5ca1ab1e-0000-4000-8000-000000000004"
	consumer = "5ca1ab1e-0000-4000-8000-000000000005"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	defer func() {
		problem := recover()
		if problem != nil {
			fmt.Fprintln(os.Stderr, "placement:", problem)
			os.Exit(1)
		}
	}()
	auth, where, tls, err := clouds.Parse()
	must(auth, err)
	cloud := must(config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls)))
	client := must(openstack.NewPlacementV1(cloud, where))
	client.Microversion = "1.39"

	done(traits.Create(ctx, client, trait).ExtractErr())
	done(resourceclasses.Create(ctx, client, resourceclasses.CreateOpts{Name: class}).ExtractErr())
	host := provider(ctx, client)
	consume(ctx, client, host)
	done(resourceproviders.DeleteTraits(ctx, client, host).ExtractErr())
	done(resourceproviders.DeleteInventory(ctx, client, host, class).ExtractErr())
	done(resourceproviders.DeleteInventories(ctx, client, host).ExtractErr())
	done(resourceproviders.Delete(ctx, client, host).ExtractErr())
	names(ctx, client)
	fmt.Println("all placement calls are done")
}

// provider makes a resource provider with all that it can have.
func provider(ctx context.Context, client *gophercloud.ServiceClient) string {
	host := must(resourceproviders.Create(ctx, client, resourceproviders.CreateOpts{Name: "gopher-host"}).Extract())
	name := "gopher-host-2"
	must(resourceproviders.Update(ctx, client, host.UUID, resourceproviders.UpdateOpts{Name: &name}).Extract())
	check(must(resourceproviders.Get(ctx, client, host.UUID).Extract()).Name == name, "the provider has its new name")
	stock := must(resourceproviders.UpdateInventories(ctx, client, host.UUID, resourceproviders.UpdateInventoriesOpts{
		ResourceProviderGeneration: host.Generation,
		Inventories: map[string]resourceproviders.Inventory{
			"VCPU": {Total: 4, AllocationRatio: 1, MaxUnit: 4, MinUnit: 1, StepSize: 1},
			class:  {Total: 1, AllocationRatio: 1, MaxUnit: 1, MinUnit: 1, StepSize: 1},
		},
	}).Extract())
	must(resourceproviders.UpdateInventory(ctx, client, host.UUID, "VCPU", resourceproviders.UpdateInventoryOpts{
		ResourceProviderGeneration: stock.ResourceProviderGeneration,
		Inventory:                  resourceproviders.Inventory{Total: 8, AllocationRatio: 1, MaxUnit: 8, MinUnit: 1, StepSize: 1},
	}).Extract())
	check(must(resourceproviders.GetInventory(ctx, client, host.UUID, "VCPU").Extract()).Total == 8, "there are 8 VCPUs")
	generation := must(resourceproviders.GetInventories(ctx, client, host.UUID).Extract()).ResourceProviderGeneration
	must(resourceproviders.UpdateTraits(ctx, client, host.UUID, resourceproviders.UpdateTraitsOpts{
		ResourceProviderGeneration: generation, Traits: []string{trait},
	}).Extract())
	generation = must(resourceproviders.GetTraits(ctx, client, host.UUID).Extract()).ResourceProviderGeneration
	must(resourceproviders.UpdateAggregates(ctx, client, host.UUID, resourceproviders.UpdateAggregatesOpts{
		ResourceProviderGeneration: &generation, Aggregates: []string{group},
	}).Extract())
	check(len(must(resourceproviders.GetAggregates(ctx, client, host.UUID).Extract()).Aggregates) == 1, "the provider is in one aggregate")
	listed(ctx, resourceproviders.List(client, resourceproviders.ListOpts{MemberOf: group, Resources: "VCPU:8"}), "resource_providers")
	return host.UUID
}

// consume takes something from the provider and gives it back.
func consume(ctx context.Context, client *gophercloud.ServiceClient, host string) {
	listed(ctx, allocationcandidates.List(client, allocationcandidates.ListOpts{Resources: "VCPU:1," + class + ":1", Required: []string{trait}}), "allocation_requests")
	take := allocations.UpdateOpts{
		Allocations: map[string]allocations.ProviderAllocationsOpts{host: {Resources: map[string]int{"VCPU": 2}}},
		ProjectID:   "gopher", UserID: "gopher", ConsumerType: "INSTANCE",
	}
	done(allocations.Update(ctx, client, consumer, take).ExtractErr())
	has := must(allocations.Get(ctx, client, consumer).Extract())
	check(has.Allocations[host].Resources["VCPU"] == 2, "the consumer has 2 VCPUs")
	check(must(resourceproviders.GetUsages(ctx, client, host).Extract()).Usages["VCPU"] == 2, "2 VCPUs are used")
	check(len(must(resourceproviders.GetAllocations(ctx, client, host).Extract()).Allocations) == 1, "one consumer has something")
	must(usages.Get(ctx, client, usages.GetOpts{ProjectID: "gopher", UserID: "gopher"}).Extract())
	take.ConsumerGeneration = has.ConsumerGeneration
	take.Allocations = map[string]allocations.ProviderAllocationsOpts{host: {Resources: map[string]int{class: 1}}}
	done(allocations.Manage(ctx, client, allocations.ManageOpts{consumer: take}).ExtractErr())
	done(allocations.Delete(ctx, client, consumer).ExtractErr())
}

// names does what is left of traits and resource classes, and deletes them.
func names(ctx context.Context, client *gophercloud.ServiceClient) {
	listed(ctx, traits.List(client, traits.ListOpts{Name: "startswith:CUSTOM_GOPHER"}), "traits")
	done(traits.Get(ctx, client, trait).ExtractErr())
	done(traits.Delete(ctx, client, trait).ExtractErr())
	listed(ctx, resourceclasses.List(client), "resource_classes")
	done(resourceclasses.Update(ctx, client, class).ExtractErr())
	must(resourceclasses.Get(ctx, client, class).Extract())
	done(resourceclasses.Delete(ctx, client, class).ExtractErr())
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
func listed(ctx context.Context, pager pagination.Pager, key string) {
	n := 0
	done(pager.EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		body, _ := page.GetBody().(map[string]any)
		list, _ := body[key].([]any)
		n += len(list)
		return true, nil
	}))
	check(n > 0, "there are "+key)
}
