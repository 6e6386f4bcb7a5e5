// Command create_server creates a server with gophercloud and waits until it
// is ACTIVE. The cloud is the one that OS_CLOUD or the other OS_* variables
// name.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	err := run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "create_server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	auth, err := openstack.AuthOptionsFromEnv()
	if err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	if auth.DomainID == "" { // gophercloud knows OS_DOMAIN_NAME alone
		auth.DomainName = cmp.Or(auth.DomainName, os.Getenv("OS_USER_DOMAIN_NAME"))
	}
	provider, err := openstack.AuthenticatedClient(ctx, auth)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	where := gophercloud.EndpointOpts{Region: os.Getenv("OS_REGION_NAME")}
	compute, err := openstack.NewComputeV2(provider, where)
	if err != nil {
		return err
	}
	network, err := openstack.NewNetworkV2(provider, where)
	if err != nil {
		return err
	}
	image, err := openstack.NewImageV2(provider, where)
	if err != nil {
		return err
	}

	flavorID, err := findFlavor(ctx, compute, cmp.Or(os.Getenv("FLAVOR"), "m1.medium"))
	if err != nil {
		return err
	}
	imageID, err := findImage(ctx, image, cmp.Or(os.Getenv("IMAGE"), "cirros"))
	if err != nil {
		return err
	}
	networkID, err := findNetwork(ctx, network, cmp.Or(os.Getenv("NETWORK"), "private"))
	if err != nil {
		return err
	}

	server, err := servers.Create(ctx, compute, servers.CreateOpts{
		Name:           cmp.Or(os.Getenv("SERVER_NAME"), "my-server-go"),
		FlavorRef:      flavorID,
		ImageRef:       imageID,
		Networks:       []servers.Network{{UUID: networkID}},
		SecurityGroups: []string{"default"},
	}, nil).Extract()
	if err != nil {
		return fmt.Errorf("create the server: %w", err)
	}
	fmt.Println(server.ID)
	err = servers.WaitForStatus(ctx, compute, server.ID, "ACTIVE")
	if err != nil {
		return fmt.Errorf("wait for the server: %w", err)
	}
	fmt.Println("ACTIVE")
	return nil
}

func findFlavor(ctx context.Context, c *gophercloud.ServiceClient, name string) (string, error) {
	pages, err := flavors.ListDetail(c, nil).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("list flavors: %w", err)
	}
	all, err := flavors.ExtractFlavors(pages)
	if err != nil {
		return "", err
	}
	for _, f := range all {
		if f.Name == name {
			return f.ID, nil
		}
	}
	return "", fmt.Errorf("there is no flavor %s", name)
}

func findImage(ctx context.Context, c *gophercloud.ServiceClient, name string) (string, error) {
	pages, err := images.List(c, images.ListOpts{Name: name}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("list images: %w", err)
	}
	all, err := images.ExtractImages(pages)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", fmt.Errorf("there is no image %s", name)
	}
	return all[0].ID, nil
}

func findNetwork(ctx context.Context, c *gophercloud.ServiceClient, name string) (string, error) {
	pages, err := networks.List(c, networks.ListOpts{Name: name}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("list networks: %w", err)
	}
	all, err := networks.ExtractNetworks(pages)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", fmt.Errorf("there is no network %s", name)
	}
	return all[0].ID, nil
}
