package api_test

import (
	"context"
	"slices"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/domains"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// all reads every page of a list.
func all[T any](t *testing.T, pager pagination.Pager, extract func(pagination.Page) ([]T, error)) []T {
	t.Helper()
	pages, err := pager.AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	list, err := extract(pages)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestGophercloud walks through a day of an administrator with a client that
// isn't ours.
func TestGophercloud(t *testing.T) {
	t.Parallel()
	c := start(t)
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, url := range []string{c.server.URL + "/v3", c.server.URL + "/identity"} {
		_, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{IdentityEndpoint: url, Username: "admin",
			Password: c.boot.AdminPassword, TenantName: "admin", DomainName: "Default"})
		must(err)
	}
	provider, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{IdentityEndpoint: c.server.URL + "/identity/v3",
		Username: "admin", Password: c.boot.AdminPassword, TenantName: "admin", DomainID: "default", AllowReauth: true})
	must(err)
	compute, err := openstack.NewComputeV2(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
	must(err)
	if want := c.server.URL + "/compute/v2.1/"; compute.Endpoint != want {
		t.Errorf("compute is at %s, want %s", compute.Endpoint, want)
	}
	client, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
	must(err)

	domain, err := domains.Create(ctx, client, domains.CreateOpts{Name: "Research", Description: "d"}).Extract()
	must(err)
	project, err := projects.Create(ctx, client, projects.CreateOpts{Name: "lab", DomainID: domain.ID, Tags: []string{"blue"},
		Extra: map[string]any{"cost_center": "7"}}).Extract()
	must(err)
	if project.ParentID != domain.ID || project.Extra["cost_center"] != "7" || !slices.Equal(project.Tags, []string{"blue"}) || !project.Enabled {
		t.Errorf("created project %+v", project)
	}
	user, err := users.Create(ctx, client, users.CreateOpts{Name: "ann", DomainID: domain.ID, Password: "first secret",
		DefaultProjectID: project.ID, Extra: map[string]any{"email": "ann@example.org"}}).Extract()
	must(err)
	if user.Extra["email"] != "ann@example.org" || user.DefaultProjectID != project.ID {
		t.Errorf("created user %+v", user)
	}
	group, err := groups.Create(ctx, client, groups.CreateOpts{Name: "staff", DomainID: domain.ID}).Extract()
	must(err)
	must(users.AddToGroup(ctx, client, group.ID, user.ID).ExtractErr())
	member := all(t, roles.List(client, roles.ListOpts{Name: "member"}), roles.ExtractRoles)[0]
	must(roles.Assign(ctx, client, member.ID, roles.AssignOpts{GroupID: group.ID, ProjectID: project.ID}).ExtractErr())

	signIn := gophercloud.AuthOptions{IdentityEndpoint: c.server.URL + "/v3", Username: "ann", Password: "first secret",
		DomainName: "research", Scope: &gophercloud.AuthScope{ProjectID: project.ID}}
	own, err := openstack.AuthenticatedClient(ctx, signIn)
	must(err)
	granted, err := own.GetAuthResult().(tokens.CreateResult).ExtractRoles()
	must(err)
	if len(granted) != 2 || granted[0].Name != "member" || granted[1].Name != "reader" {
		t.Errorf("ann has roles %+v by her group, want member and the implied reader", granted)
	}

	found := all(t, users.List(client, users.ListOpts{DomainID: domain.ID, Filters: map[string]string{"name__contains": "AN"}}), users.ExtractUsers)
	if len(found) != 1 || found[0].ID != user.ID {
		t.Errorf("found %+v, want ann", found)
	}
	given := all(t, roles.ListAssignments(client, roles.ListAssignmentsOpts{ScopeProjectID: project.ID}), roles.ExtractRoleAssignments)
	if len(given) != 1 || given[0].Group.ID != group.ID {
		t.Errorf("assignments %+v, want the group's", given)
	}
	effective, names := true, true
	given = all(t, roles.ListAssignments(client, roles.ListAssignmentsOpts{ScopeProjectID: project.ID, Effective: &effective, IncludeNames: &names}), roles.ExtractRoleAssignments)
	if len(given) != 2 || given[0].User.Name != "ann" || given[0].Role.Name != "member" || given[1].Role.Name != "reader" || given[0].Scope.Project.Domain.Name != "Research" {
		t.Errorf("effective assignments %+v, want ann as member and reader", given)
	}

	newName, off := "anna", false
	user, err = users.Update(ctx, client, user.ID, users.UpdateOpts{Name: newName, Enabled: &off}).Extract()
	must(err)
	if user.Name != "anna" || user.Enabled || user.Extra["email"] != "ann@example.org" {
		t.Errorf("updated user %+v", user)
	}
	_, err = openstack.AuthenticatedClient(ctx, signIn)
	if !gophercloud.ResponseCodeIs(err, 401) {
		t.Errorf("a disabled user signs in: %v", err)
	}

	compServices := all(t, services.List(client, services.ListOpts{ServiceType: "compute"}), services.ExtractServices)
	addresses := all(t, endpoints.List(client, endpoints.ListOpts{ServiceID: compServices[0].ID, Availability: gophercloud.AvailabilityPublic}), endpoints.ExtractEndpoints)
	if len(addresses) != 1 || addresses[0].URL != c.server.URL+"/compute/v2.1" {
		t.Errorf("compute's public endpoints %+v", addresses)
	}

	err = domains.Delete(ctx, client, domain.ID).ExtractErr()
	if !gophercloud.ResponseCodeIs(err, 403) {
		t.Errorf("an enabled domain is deleted: %v", err)
	}
	_, err = domains.Update(ctx, client, domain.ID, domains.UpdateOpts{Enabled: &off}).Extract()
	must(err)
	must(domains.Delete(ctx, client, domain.ID).ExtractErr())
	_, err = projects.Get(ctx, client, project.ID).Extract()
	if !gophercloud.ResponseCodeIs(err, 404) {
		t.Errorf("a project outlives its domain: %v", err)
	}

	must(tokens.Revoke(ctx, client, provider.Token()).Err)
	_, err = domains.Get(ctx, client, "default").Extract()
	must(err) // the client has signed in again by itself
}
