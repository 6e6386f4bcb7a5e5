// Command identity does every group of identity calls that gophercloud has, for
// an administrator. The cloud is the one that OS_CLOUD names in clouds.yaml.
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
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/catalog"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/credentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/domains"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/ec2credentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/ec2tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/federation"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/oauth1"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/osinherit"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/policies"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projectendpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/regions"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/registeredlimits"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/trusts"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// name is that of all that is made.
const name = "gopher"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	defer func() {
		problem := recover()
		if problem != nil {
			fmt.Fprintln(os.Stderr, "identity:", problem)
			os.Exit(1)
		}
	}()
	auth, where, tls, err := clouds.Parse()
	must(auth, err)
	provider := must(config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls)))
	client := must(openstack.NewIdentityV3(provider, where))

	domain := must(domains.Create(ctx, client, domains.CreateOpts{Name: name}).Extract())
	defer func() {
		must(domains.Update(ctx, client, domain.ID, domains.UpdateOpts{Enabled: new(bool)}).Extract())
		done(domains.Delete(ctx, client, domain.ID).ExtractErr())
	}()
	listed(ctx, domains.List(client, domains.ListOpts{Name: name}), 1, "domains")
	listed(ctx, domains.ListAvailable(client), -1, "my domains")
	user := people(ctx, client, domain.ID)
	who := must(tokens.Get(ctx, client, provider.Token()).ExtractUser())
	scope := must(tokens.Get(ctx, client, provider.Token()).ExtractProject())
	signIn(ctx, client, user, domain.ID)
	places(ctx, client, scope.ID)
	delegate(ctx, client, who.ID, user, scope.ID)
	ec2(ctx, client, who.ID, scope.ID)
	consumer(ctx, client, who.ID, scope.ID)
	rest(ctx, client, user)
	fmt.Println("all groups of identity calls are done")
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
		panic(what)
	}
}

// listed reads a list whole, and checks how much is in it; -1 is any.
func listed(ctx context.Context, pager pagination.Pager, want int, what string) {
	n := 0
	done(pager.EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		body, _ := page.GetBody().(map[string]any)
		for _, value := range body {
			list, isList := value.([]any)
			if isList {
				n += len(list)
			}
		}
		return true, nil
	}))
	check(want < 0 || n == want, fmt.Sprintf("%d %s are listed, not %d", n, what, want))
}

// people makes a project, a user, a group and roles, and gives them to each other.
// It leaves the user, who goes with the domain.
func people(ctx context.Context, client *gophercloud.ServiceClient, domain string) string {
	project := must(projects.Create(ctx, client, projects.CreateOpts{Name: name, DomainID: domain}).Extract())
	changed := "changed"
	must(projects.Update(ctx, client, project.ID, projects.UpdateOpts{Description: &changed}).Extract())
	must(projects.ModifyTags(ctx, client, project.ID, projects.ModifyTagsOpts{Tags: []string{"one", "two"}}).Extract())
	check(len(must(projects.ListTags(ctx, client, project.ID).Extract()).Tags) == 2, "a project has lost a tag")
	done(projects.DeleteTags(ctx, client, project.ID).ExtractErr())
	listed(ctx, projects.List(client, projects.ListOpts{DomainID: domain}), 1, "projects")
	listed(ctx, projects.ListAvailable(client), -1, "my projects")

	user := must(users.Create(ctx, client, users.CreateOpts{Name: name, DomainID: domain, Password: "a-first-secret", DefaultProjectID: project.ID}).Extract())
	must(users.Update(ctx, client, user.ID, users.UpdateOpts{Description: &changed}).Extract())
	done(users.ChangePassword(ctx, client, user.ID, users.ChangePasswordOpts{OriginalPassword: "a-first-secret", Password: "a-secret"}).ExtractErr())
	group := must(groups.Create(ctx, client, groups.CreateOpts{Name: name, DomainID: domain}).Extract())
	must(groups.Update(ctx, client, group.ID, groups.UpdateOpts{Description: &changed}).Extract())
	done(users.AddToGroup(ctx, client, group.ID, user.ID).ExtractErr())
	check(must(users.IsMemberOfGroup(ctx, client, group.ID, user.ID).Extract()), "a user is not in its group")
	listed(ctx, users.ListGroups(client, user.ID), 1, "groups of a user")
	listed(ctx, users.ListInGroup(client, group.ID, users.ListOpts{}), 1, "users of a group")

	role := must(roles.Create(ctx, client, roles.CreateOpts{Name: name}).Extract())
	below := must(roles.Create(ctx, client, roles.CreateOpts{Name: name + "-below"}).Extract())
	must(roles.CreateRoleInferenceRule(ctx, client, role.ID, below.ID).Extract())
	must(roles.GetRoleInferenceRule(ctx, client, role.ID, below.ID).Extract())
	must(roles.ListRoleInferenceRules(ctx, client).Extract())
	given := roles.AssignOpts{UserID: user.ID, ProjectID: project.ID}
	done(roles.Assign(ctx, client, role.ID, given).ExtractErr())
	done(roles.Validate(ctx, client, role.ID, roles.ValidateOpts(given)).ExtractErr())
	yes := true
	listed(ctx, roles.ListAssignments(client, roles.ListAssignmentsOpts{UserID: user.ID, Effective: &yes}), 2, "effective assignments")
	listed(ctx, roles.ListAssignmentsOnResource(client, roles.ListAssignmentsOnResourceOpts{UserID: user.ID, ProjectID: project.ID}), 1, "assignments")
	listed(ctx, users.ListProjects(client, user.ID), 1, "projects of a user")
	inherited := osinherit.AssignOpts{GroupID: group.ID, DomainID: domain}
	done(osinherit.Assign(ctx, client, role.ID, inherited).ExtractErr())
	done(osinherit.Validate(ctx, client, role.ID, osinherit.ValidateOpts(inherited)).ExtractErr())
	done(osinherit.Unassign(ctx, client, role.ID, osinherit.UnassignOpts(inherited)).ExtractErr())
	done(roles.Unassign(ctx, client, role.ID, roles.UnassignOpts(given)).ExtractErr())
	done(roles.DeleteRoleInferenceRule(ctx, client, role.ID, below.ID).ExtractErr())
	done(roles.Delete(ctx, client, below.ID).ExtractErr())
	done(roles.Delete(ctx, client, role.ID).ExtractErr())
	done(users.RemoveFromGroup(ctx, client, group.ID, user.ID).ExtractErr())
	done(groups.Delete(ctx, client, group.ID).ExtractErr())
	done(projects.Delete(ctx, client, project.ID).ExtractErr())
	return user.ID
}

// signIn makes a token, asks what it is and revokes it.
func signIn(ctx context.Context, client *gophercloud.ServiceClient, user, domain string) {
	opts := tokens.AuthOptions{UserID: user, Password: "a-secret"}
	token := must(tokens.Create(ctx, client, &opts).ExtractTokenID())
	check(must(tokens.Validate(ctx, client, token)), "a new token is not valid")
	holder := must(tokens.Get(ctx, client, token).ExtractUser())
	check(holder.ID == user && holder.Domain.ID == domain, "a token is somebody else's")
	done(tokens.Revoke(ctx, client, token).Err)
	check(!must(tokens.Validate(ctx, client, token)), "a revoked token is valid")
}

// places makes a region, a service and an endpoint, and limits of the service.
func places(ctx context.Context, client *gophercloud.ServiceClient, project string) {
	region := must(regions.Create(ctx, client, regions.CreateOpts{ID: name}).Extract())
	defer func() { done(regions.Delete(ctx, client, region.ID).ExtractErr()) }()
	changed := "changed"
	must(regions.Update(ctx, client, region.ID, regions.UpdateOpts{Description: &changed}).Extract())
	service := must(services.Create(ctx, client, services.CreateOpts{Type: name}).Extract())
	defer func() { done(services.Delete(ctx, client, service.ID).ExtractErr()) }()
	must(services.Update(ctx, client, service.ID, services.UpdateOpts{Type: name}).Extract())
	listed(ctx, services.List(client, services.ListOpts{ServiceType: name}), 1, "services")
	endpoint := must(endpoints.Create(ctx, client, endpoints.CreateOpts{Name: name, Region: region.ID, URL: "http://192.0.2.1", ServiceID: service.ID, Availability: gophercloud.AvailabilityPublic}).Extract())
	must(endpoints.Update(ctx, client, endpoint.ID, endpoints.UpdateOpts{URL: "http://192.0.2.2"}).Extract())
	listed(ctx, endpoints.List(client, endpoints.ListOpts{ServiceID: service.ID}), 1, "endpoints")
	done(projectendpoints.Create(ctx, client, project, endpoint.ID).ExtractErr())
	listed(ctx, projectendpoints.List(client, project), 1, "endpoints of a project")
	done(projectendpoints.Delete(ctx, client, project, endpoint.ID).ExtractErr())
	listed(ctx, catalog.List(client), -1, "services of the catalog")
	done(endpoints.Delete(ctx, client, endpoint.ID).ExtractErr())

	registered := must(registeredlimits.BatchCreate(ctx, client, registeredlimits.BatchCreateOpts{registeredlimits.CreateOpts{ServiceID: service.ID, ResourceName: "things", DefaultLimit: 10}}).Extract())[0]
	more := 12
	must(registeredlimits.Update(ctx, client, registered.ID, registeredlimits.UpdateOpts{DefaultLimit: &more}).Extract())
	listed(ctx, registeredlimits.List(client, registeredlimits.ListOpts{ServiceID: service.ID}), 1, "registered limits")
	limit := must(limits.BatchCreate(ctx, client, limits.BatchCreateOpts{limits.CreateOpts{ServiceID: service.ID, ProjectID: project, ResourceName: "things", ResourceLimit: 5}}).Extract())[0]
	must(limits.Update(ctx, client, limit.ID, limits.UpdateOpts{ResourceLimit: &more}).Extract())
	check(must(limits.Get(ctx, client, limit.ID).Extract()).ResourceLimit == more, "a limit is not what it was set to")
	listed(ctx, limits.List(client, limits.ListOpts{ServiceID: service.ID}), 1, "limits")
	must(limits.GetEnforcementModel(ctx, client).Extract())
	done(limits.Delete(ctx, client, limit.ID).ExtractErr())
	done(registeredlimits.Delete(ctx, client, registered.ID).ExtractErr())
}

// delegate makes an application credential and a trust.
func delegate(ctx context.Context, client *gophercloud.ServiceClient, me, user, project string) {
	made := must(applicationcredentials.Create(ctx, client, me, applicationcredentials.CreateOpts{Name: name,
		AccessRules: []applicationcredentials.AccessRule{{Path: "/v2.1/servers", Method: "GET", Service: "compute"}}}).Extract())
	must(applicationcredentials.Get(ctx, client, me, made.ID).Extract())
	listed(ctx, applicationcredentials.List(client, me, applicationcredentials.ListOpts{Name: name}), 1, "application credentials")
	done(applicationcredentials.Delete(ctx, client, me, made.ID).ExtractErr())
	rule := made.AccessRules[0].ID
	must(applicationcredentials.GetAccessRule(ctx, client, me, rule).Extract())
	listed(ctx, applicationcredentials.ListAccessRules(client, me), 1, "access rules")
	done(applicationcredentials.DeleteAccessRule(ctx, client, me, rule).ExtractErr())

	trust := must(trusts.Create(ctx, client, trusts.CreateOpts{TrustorUserID: me, TrusteeUserID: user, ProjectID: project, Impersonation: true,
		Roles: []trusts.Role{{Name: "member"}}}).Extract())
	must(trusts.Get(ctx, client, trust.ID).Extract())
	listed(ctx, trusts.List(client, trusts.ListOpts{TrusteeUserID: user}), 1, "trusts")
	listed(ctx, trusts.ListRoles(client, trust.ID), -1, "roles of a trust")
	role := must(trusts.GetRole(ctx, client, trust.ID, trust.Roles[0].ID).Extract())
	done(trusts.CheckRole(ctx, client, trust.ID, role.ID).ExtractErr())
	done(trusts.Delete(ctx, client, trust.ID).ExtractErr())
}

// ec2 makes a credential of EC2 and signs in by it.
func ec2(ctx context.Context, client *gophercloud.ServiceClient, me, project string) {
	made := must(ec2credentials.Create(ctx, client, me, ec2credentials.CreateOpts{TenantID: project}).Extract())
	must(ec2credentials.Get(ctx, client, me, made.Access).Extract())
	listed(ctx, ec2credentials.List(client, me), 1, "EC2 credentials")
	token := must(ec2tokens.Create(ctx, client, &ec2tokens.AuthOptions{Access: made.Access, Secret: made.Secret, Host: "127.0.0.1", Path: "/", Verb: "GET",
		Params: map[string]string{"Action": "Test"}, Region: "RegionOne", Service: "ec2"}).ExtractTokenID())
	check(must(tokens.Validate(ctx, client, token)), "a token of EC2 is not valid")
	done(ec2credentials.Delete(ctx, client, me, made.Access).ExtractErr())
}

// consumer goes the way of OAuth 1, from the consumer to a token.
func consumer(ctx context.Context, client *gophercloud.ServiceClient, me, project string) {
	made := must(oauth1.CreateConsumer(ctx, client, oauth1.CreateConsumerOpts{Description: name}).Extract())
	defer func() { done(oauth1.DeleteConsumer(ctx, client, made.ID).ExtractErr()) }()
	must(oauth1.UpdateConsumer(ctx, client, made.ID, oauth1.UpdateConsumerOpts{Description: "changed"}).Extract())
	must(oauth1.GetConsumer(ctx, client, made.ID).Extract())
	listed(ctx, oauth1.ListConsumers(client), 1, "consumers")
	request := must(oauth1.RequestToken(ctx, client, oauth1.RequestTokenOpts{OAuthConsumerKey: made.ID, OAuthConsumerSecret: made.Secret,
		OAuthSignatureMethod: oauth1.HMACSHA1, RequestedProjectID: project}).Extract())
	allowed := must(oauth1.AuthorizeToken(ctx, client, request.OAuthToken, oauth1.AuthorizeTokenOpts{Roles: []oauth1.Role{{Name: "member"}}}).Extract())
	access := must(oauth1.CreateAccessToken(ctx, client, oauth1.CreateAccessTokenOpts{OAuthConsumerKey: made.ID, OAuthConsumerSecret: made.Secret,
		OAuthToken: request.OAuthToken, OAuthTokenSecret: request.OAuthTokenSecret, OAuthVerifier: allowed.OAuthVerifier, OAuthSignatureMethod: oauth1.HMACSHA1}).Extract())
	token := must(oauth1.Create(ctx, client, oauth1.AuthOptions{OAuthConsumerKey: made.ID, OAuthConsumerSecret: made.Secret, OAuthToken: access.OAuthToken,
		OAuthTokenSecret: access.OAuthTokenSecret, OAuthSignatureMethod: oauth1.HMACSHA1}).ExtractTokenID())
	check(must(tokens.Validate(ctx, client, token)), "a token of OAuth is not valid")
	must(oauth1.GetAccessToken(ctx, client, me, access.OAuthToken).Extract())
	listed(ctx, oauth1.ListAccessTokens(client, me), 1, "access tokens")
	listed(ctx, oauth1.ListAccessTokenRoles(client, me, access.OAuthToken), 1, "roles of an access token")
	done(oauth1.RevokeAccessToken(ctx, client, me, access.OAuthToken).ExtractErr())
}

// rest makes a credential, a policy and a mapping.
func rest(ctx context.Context, client *gophercloud.ServiceClient, user string) {
	credential := must(credentials.Create(ctx, client, credentials.CreateOpts{UserID: user, Type: "certificate", Blob: "some"}).Extract())
	must(credentials.Update(ctx, client, credential.ID, credentials.UpdateOpts{Blob: "other"}).Extract())
	check(must(credentials.Get(ctx, client, credential.ID).Extract()).Blob == "other", "a credential did not change")
	listed(ctx, credentials.List(client, credentials.ListOpts{UserID: user}), 1, "credentials")
	done(credentials.Delete(ctx, client, credential.ID).ExtractErr())

	policy := must(policies.Create(ctx, client, policies.CreateOpts{Type: "application/json", Blob: []byte("{}")}).Extract())
	must(policies.Update(ctx, client, policy.ID, policies.UpdateOpts{Type: "text/plain"}).Extract())
	listed(ctx, policies.List(client, policies.ListOpts{Type: "text/plain"}), 1, "policies")
	done(policies.Delete(ctx, client, policy.ID).ExtractErr())

	rules := []federation.MappingRule{{
		Local:  []federation.RuleLocal{{User: &federation.RuleUser{Name: "{0}"}}},
		Remote: []federation.RuleRemote{{Type: "OIDC-sub"}},
	}}
	mapping := must(federation.CreateMapping(ctx, client, name, federation.CreateMappingOpts{Rules: rules}).Extract())
	must(federation.GetMapping(ctx, client, mapping.ID).Extract())
	must(federation.UpdateMapping(ctx, client, mapping.ID, federation.UpdateMappingOpts{Rules: rules}).Extract())
	listed(ctx, federation.ListMappings(client), 1, "mappings")
	done(federation.DeleteMapping(ctx, client, mapping.ID).ExtractErr())
}
