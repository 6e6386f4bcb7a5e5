package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nacre/internal/identity"
)

// expectation is a call and the status that it must answer with.
type expectation struct {
	token, method, path, body string
	status                    int
}

func (c *cloud) expect(t *testing.T, list []expectation) {
	t.Helper()
	for _, e := range list {
		r := c.call(t, e.method, "/v3"+e.path, e.token, e.body)
		if r.status != e.status {
			t.Errorf("%s %s %s: got %d, want %d: %s", e.method, e.path, e.body, r.status, e.status, r.body)
		}
	}
}

func TestEndpointFilters(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	project := c.find(t, admin, "projects", "demo")
	service := c.find(t, admin, "services", "nova")
	endpoint := c.call(t, "GET", "/v3/endpoints?interface=public&service_id="+service, admin, "").want(200).text("endpoints", 0, "id")
	const groups = "/OS-EP-FILTER/endpoint_groups"
	made := c.call(t, "POST", "/v3"+groups, admin, `{"endpoint_group":{"name":"inside","description":"d","filters":{"interface":"internal"},"note":"n"}}`).want(201)
	group := made.text("endpoint_group", "id")
	c.golden(t, "endpoint_group", made.body)
	seen := func() []string {
		t.Helper()
		var out []string
		r := c.call(t, "GET", "/v3/auth/catalog", c.demo(t), "").want(200)
		for i := range r.names("catalog", "name") {
			for j := range r.get("catalog", i, "endpoints").([]any) {
				out = append(out, r.text("catalog", i, "name")+" "+r.text("catalog", i, "endpoints", j, "interface"))
			}
		}
		return out
	}
	all := seen()
	if len(all) != 9 {
		t.Fatalf("the whole catalog has %v", all)
	}
	ofProject, inGroup := "/OS-EP-FILTER/projects/"+project+"/endpoints/"+endpoint, groups+"/"+group+"/projects/"+project
	c.expect(t, []expectation{
		{admin, "HEAD", ofProject, "", 404},
		{admin, "PUT", ofProject, "", 204},
		{admin, "PUT", ofProject, "", 409},
		{admin, "HEAD", ofProject, "", 204},
		{admin, "GET", ofProject, "", 204},
		{demo, "PUT", ofProject, "", 403},
		{admin, "PUT", "/OS-EP-FILTER/projects/ghost/endpoints/" + endpoint, "", 404},
		{admin, "PUT", "/OS-EP-FILTER/projects/" + project + "/endpoints/ghost", "", 404},
	})
	if got := seen(); !slices.Equal(got, []string{"nova public"}) {
		t.Errorf("with one endpoint: %v", got)
	}
	c.expect(t, []expectation{
		{admin, "GET", inGroup, "", 404},
		{admin, "PUT", inGroup, "", 204},
		{admin, "HEAD", inGroup, "", 200},
		{admin, "GET", groups + "/" + group + "/projects", "", 200},
		{admin, "GET", "/OS-EP-FILTER/endpoints/" + endpoint + "/projects", "", 200},
	})
	c.golden(t, "project_endpoint_group", c.call(t, "GET", "/v3"+inGroup, admin, "").want(200).body)
	if got := seen(); len(got) != 4 || !slices.Contains(got, "swift internal") {
		t.Errorf("with an endpoint and a group: %v", got)
	}
	for path, want := range map[string]int{
		groups + "/" + group + "/endpoints": 3, "/OS-EP-FILTER/projects/" + project + "/endpoints": 4,
	} {
		if got := c.call(t, "GET", "/v3"+path, admin, "").want(200).names("endpoints", "id"); len(got) != want {
			t.Errorf("%s lists %d endpoints, want %d", path, len(got), want)
		}
	}
	for path, key := range map[string]string{
		"/OS-EP-FILTER/projects/" + project + "/endpoint_groups": "endpoint_groups", groups + "?name=inside": "endpoint_groups",
		groups + "/" + group + "/projects": "projects", "/OS-EP-FILTER/endpoints/" + endpoint + "/projects": "projects",
	} {
		if got := c.call(t, "GET", "/v3"+path, admin, "").want(200).names(key, "name"); len(got) != 1 {
			t.Errorf("%s lists %v", path, got)
		}
	}
	c.expect(t, []expectation{
		{admin, "PATCH", groups + "/" + group, `{"endpoint_group":{"filters":{"interface":"admin"},"description":null}}`, 200},
		{admin, "PATCH", groups + "/" + group, `{"endpoint_group":{"filters":{"enabled":"x"}}}`, 400},
		{admin, "PATCH", groups + "/" + group, `{"endpoint_group":{}}`, 400},
		{admin, "PATCH", groups + "/ghost", `{"endpoint_group":{"name":"x"}}`, 404},
		{admin, "POST", groups, `{"endpoint_group":{"name":"x"}}`, 400},
		{admin, "POST", groups, `{"endpoint_group":{"name":"x","filters":{}}}`, 400},
		{admin, "POST", groups, `{"endpoint_group":{"name":"x","filters":{"interface":"sideways"}}}`, 400},
		{admin, "POST", groups, `{"endpoint_group":{"name":"x","filters":{"region_id":7}}}`, 400},
		{demo, "POST", groups, `{"endpoint_group":{"name":"x","filters":{"region_id":"r"}}}`, 403},
		{demo, "GET", groups, "", 403},
		{admin, "GET", groups + "/ghost", "", 404},
		{admin, "GET", groups + "/ghost/endpoints", "", 404},
		{admin, "HEAD", groups + "/" + group, "", 200},
	})
	if got := seen(); !slices.Contains(got, "swift admin") || slices.Contains(got, "swift internal") {
		t.Errorf("after the group was changed: %v", got)
	}
	c.expect(t, []expectation{
		{admin, "DELETE", inGroup, "", 204},
		{admin, "DELETE", inGroup, "", 404},
		{admin, "DELETE", groups + "/" + group, "", 204},
		{admin, "DELETE", groups + "/" + group, "", 404},
		{admin, "DELETE", ofProject, "", 204},
		{admin, "DELETE", ofProject, "", 404},
	})
	if got := seen(); len(got) != len(all) {
		t.Errorf("with nothing of its own: %v", got)
	}
}

func TestEndpointPolicies(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	service := c.find(t, admin, "services", "nova")
	inner := c.create(t, admin, "regions", "region", map[string]any{"id": "inner", "parent_region_id": "RegionOne"})
	endpoint := c.create(t, admin, "endpoints", "endpoint", map[string]any{"service_id": service, "interface": "public", "url": "http://x/", "region_id": inner})
	policies := map[string]string{}
	for _, name := range []string{"service", "region", "endpoint"} {
		policies[name] = c.create(t, admin, "policies", "policy", map[string]any{"type": "t", "blob": name})
	}
	effective := func() string {
		t.Helper()
		r := c.call(t, "GET", "/v3/endpoints/"+endpoint+"/OS-ENDPOINT-POLICY/policy", admin, "")
		if r.status == 404 {
			return ""
		}
		return r.want(200).text("policy", "blob")
	}
	at := func(name string) string { return "/policies/" + policies[name] + "/OS-ENDPOINT-POLICY" }
	paths := []struct{ name, path string }{
		{"service", at("service") + "/services/" + service},
		{"region", at("region") + "/services/" + service + "/regions/RegionOne"},
		{"endpoint", at("endpoint") + "/endpoints/" + endpoint},
	}
	if effective() != "" {
		t.Errorf("without an association: %q", effective())
	}
	for _, p := range paths {
		c.expect(t, []expectation{
			{admin, "GET", p.path, "", 404}, {demo, "PUT", p.path, "", 403}, {admin, "PUT", p.path, "", 204}, {admin, "PUT", p.path, "", 204},
			{admin, "GET", p.path, "", 204}, {demo, "GET", p.path, "", 403},
		})
		if effective() != p.name {
			t.Errorf("the policy of the endpoint is %q, want %q", effective(), p.name)
		}
	}
	for name, want := range map[string]int{"service": 4, "region": 4, "endpoint": 1} {
		if got := c.call(t, "GET", "/v3"+at(name)+"/endpoints", admin, "").want(200).names("endpoints", "id"); len(got) != want {
			t.Errorf("the policy of the %s is of %d endpoints, want %d", name, len(got), want)
		}
	}
	c.expect(t, []expectation{
		{admin, "GET", at("service") + "/policy", "", 200},
		{admin, "HEAD", at("service") + "/policy", "", 200},
		{admin, "PUT", at("service") + "/endpoints/ghost", "", 404},
		{admin, "PUT", at("service") + "/services/ghost", "", 404},
		{admin, "PUT", at("service") + "/services/" + service + "/regions/ghost", "", 404},
		{admin, "PUT", "/policies/ghost/OS-ENDPOINT-POLICY/endpoints/" + endpoint, "", 404},
		{admin, "GET", "/policies/ghost/OS-ENDPOINT-POLICY/endpoints", "", 404},
		{admin, "DELETE", paths[2].path, "", 204}, {admin, "DELETE", paths[2].path, "", 404},
		{admin, "DELETE", "/policies/" + policies["region"], "", 204},
	})
	if effective() != "service" {
		t.Errorf("in the end the policy is %q", effective())
	}
}

func limitBody(target, id, service, name string, limit int) string {
	return fmt.Sprintf(`{"limits":[{"%s_id":%q,"service_id":%q,"resource_name":%q,"resource_limit":%d}]}`, target, id, service, name, limit)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	service, project := c.find(t, admin, "services", "nova"), c.find(t, admin, "projects", "demo")
	c.golden(t, "limit_model", c.call(t, "GET", "/v3/limits/model", demo, "").want(200).body)
	made := c.call(t, "POST", "/v3/registered_limits", admin, fmt.Sprintf(`{"registered_limits":[
		{"service_id":%q,"resource_name":"servers","default_limit":10,"description":"d"},
		{"service_id":%q,"region_id":"RegionOne","resource_name":"servers","default_limit":-1}]}`, service, service)).want(201)
	c.golden(t, "registered_limits", made.body)
	registered, spare := made.text("registered_limits", 0, "id"), made.text("registered_limits", 1, "id")
	limits := c.call(t, "POST", "/v3/limits", admin, limitBody("project", project, service, "servers", 20)).want(201)
	c.golden(t, "limits", limits.body)
	id := limits.text("limits", 0, "id")
	ofDomain := c.call(t, "POST", "/v3/limits", admin, limitBody("project", "default", service, "servers", 5)).want(201)
	if ofDomain.text("limits", 0, "domain_id") != "default" || ofDomain.get("limits", 0, "project_id") != nil {
		t.Errorf("the id of a domain gives %s", ofDomain.body)
	}
	if got := c.call(t, "GET", "/v3/limits", admin, "").want(200).names("limits", "id"); len(got) != 2 {
		t.Errorf("the admin sees %v", got)
	}
	if got := c.call(t, "GET", "/v3/limits?resource_name=servers&service_id="+service, demo, "").want(200).names("limits", "id"); !slices.Equal(got, []string{id}) {
		t.Errorf("the project sees %v", got)
	}
	one, limit := "/registered_limits/"+registered, "/limits/"+id
	c.expect(t, []expectation{
		{demo, "GET", one, "", 200},
		{demo, "GET", limit, "", 200},
		{demo, "GET", "/limits/" + ofDomain.text("limits", 0, "id"), "", 403},
		{demo, "GET", "/limits/ghost", "", 403},
		{admin, "GET", "/limits/ghost", "", 404},
		{demo, "POST", "/limits", limitBody("project", project, service, "servers", 1), 403},
		{demo, "PATCH", limit, `{"limit":{"resource_limit":1}}`, 403},
		{demo, "DELETE", one, "", 403},
		{admin, "PATCH", limit, `{"limit":{"resource_limit":21,"description":"x"}}`, 200},
		{admin, "PATCH", limit, `{"limit":{"resource_limit":-2}}`, 400},
		{admin, "PATCH", limit, `{"limit":{"resource_name":"x"}}`, 400},
		{admin, "PATCH", limit, `{"limit":{}}`, 400},
		{admin, "POST", "/limits", limitBody("project", project, service, "servers", 1), 409},
		{admin, "POST", "/limits", limitBody("project", project, service, "wheels", 1), 403},
		{admin, "POST", "/limits", limitBody("project", "ghost", service, "servers", 1), 400},
		{admin, "POST", "/limits", limitBody("domain", "ghost", service, "servers", 1), 400},
		{admin, "POST", "/limits", limitBody("domain", "default", "ghost", "servers", 1), 400},
		{admin, "POST", "/limits", limitBody("user", "default", service, "servers", 1), 400},
		{admin, "POST", "/limits", `{"limits":[]}`, 400},
		{admin, "PATCH", one, `{"registered_limit":{"default_limit":11}}`, 200},
		{admin, "PATCH", one, `{"registered_limit":{"resource_name":"x"}}`, 403},
		{admin, "DELETE", one, "", 403},
		{admin, "PATCH", "/registered_limits/" + spare, `{"registered_limit":{"resource_name":"x","region_id":null}}`, 200},
		{admin, "PATCH", "/registered_limits/" + spare, `{"registered_limit":{"resource_name":"servers"}}`, 409},
		{admin, "PATCH", "/registered_limits/" + spare, `{"registered_limit":{"service_id":"ghost"}}`, 400},
		{admin, "PATCH", "/registered_limits/ghost", `{"registered_limit":{"default_limit":1}}`, 404},
		{admin, "POST", "/registered_limits", `{"registered_limits":[{"service_id":"ghost","resource_name":"x","default_limit":1}]}`, 400},
		{admin, "POST", "/registered_limits", `{"registered_limits":[{"service_id":"` + service + `","resource_name":"x"}]}`, 400},
		{admin, "POST", "/registered_limits", `{"registered_limits":[{"service_id":"` + service + `","resource_name":"x","default_limit":2147483648}]}`, 400},
		{admin, "DELETE", "/registered_limits/" + spare, "", 204},
		{admin, "DELETE", limit, "", 204},
		{admin, "DELETE", limit, "", 404},
	})
}

// In the strict model a project has no more than its domain, and stands right
// below it.
func TestStrictLimits(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *identity.Options) { o.LimitModel = identity.StrictTwoLevelLimits })
	admin := c.admin(t)
	service, project := c.find(t, admin, "services", "nova"), c.find(t, admin, "projects", "demo")
	c.call(t, "POST", "/v3/registered_limits", admin, fmt.Sprintf(`{"registered_limits":[{"service_id":%q,"resource_name":"servers","default_limit":10}]}`, service)).want(201)
	c.expect(t, []expectation{
		{admin, "POST", "/projects", `{"project":{"name":"deep","parent_id":"` + project + `"}}`, 403},
		{admin, "POST", "/limits", limitBody("project", project, service, "servers", 11), 403},
		{admin, "POST", "/limits", limitBody("project", project, service, "servers", -1), 403},
		{admin, "POST", "/limits", limitBody("project", project, service, "servers", 10), 201},
		{admin, "POST", "/limits", limitBody("domain", "default", service, "servers", 9), 403},
		{admin, "POST", "/limits", limitBody("domain", "default", service, "servers", 20), 201},
	})
	id := c.call(t, "GET", "/v3/limits?project_id="+project, admin, "").want(200).text("limits", 0, "id")
	c.expect(t, []expectation{
		{admin, "PATCH", "/limits/" + id, `{"limit":{"resource_limit":21}}`, 403},
		{admin, "PATCH", "/limits/" + id, `{"limit":{"resource_limit":20}}`, 200},
	})
	if c.call(t, "GET", "/v3/limits/model", admin, "").want(200).text("model", "name") != "strict_two_level" {
		t.Errorf("the model is another one")
	}
}

func TestDomainConfig(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *identity.Options) {
		o.Compliance.Pattern, o.Compliance.PatternDescription = "^.{2,}$", "two or more"
	})
	admin, demo := c.admin(t), c.demo(t)
	domain := c.create(t, admin, "domains", "domain", map[string]any{"name": "D"})
	at := "/domains/" + domain + "/config"
	c.golden(t, "domain_config_default", c.call(t, "GET", "/v3/domains/config/default", admin, "").want(200).body)
	made := c.call(t, "PUT", "/v3"+at, admin, `{"config":{"identity":{"driver":"ldap"},"ldap":{"url":"ldap://h","user_tree_dn":"ou=U","password":"secret"}}}`).want(201)
	c.golden(t, "domain_config", made.body)
	c.expect(t, []expectation{
		{admin, "GET", "/domains/" + domain + "/config/ldap/url", "", 200},
		{admin, "GET", "/domains/config/ldap/default", "", 200},
		{admin, "GET", "/domains/config/ldap/url/default", "", 200},
		{admin, "GET", "/domains/config/mail/default", "", 403},
		{admin, "GET", "/domains/config/ldap/nonsense/default", "", 403},
		{admin, "GET", "/domains/default/config", "", 404},
		{admin, "GET", "/domains/ghost/config", "", 404},
		{admin, "GET", at + "/ldap/password", "", 404},
		{admin, "GET", at + "/ldap/suffix", "", 404},
		{admin, "GET", at + "/mail", "", 403},
		{demo, "GET", at, "", 403},
		{demo, "PUT", at, `{"config":{"ldap":{"url":"x"}}}`, 403},
		{admin, "PUT", at, `{"config":{}}`, 403},
		{admin, "PUT", at, `{"config":{"ldap":{}}}`, 403},
		{admin, "PUT", at, `{"config":{"ldap":{"nonsense":1}}}`, 403},
		{admin, "PUT", at, `{"config":{"mail":{"url":1}}}`, 403},
		{admin, "PUT", at, `{"config":7}`, 400},
		{admin, "PUT", "/domains/ghost/config", `{"config":{"ldap":{"url":"x"}}}`, 404},
		{admin, "PATCH", at, `{"config":{"ldap":{"url":"ldap://i"}}}`, 200},
		{admin, "PATCH", at, `{"config":{"ldap":"x"}}`, 403},
		{admin, "PATCH", at + "/ldap", `{"config":{"identity":{"driver":"x"}}}`, 403},
		{admin, "PATCH", at + "/ldap/url", `{"config":{"url":"ldap://j"}}`, 200},
		{admin, "PATCH", at + "/ldap/url", `{"config":{"suffix":"x"}}`, 403},
		{admin, "PATCH", at + "/ldap/suffix", `{"config":{"suffix":"x"}}`, 404},
		{admin, "PATCH", at + "/identity", `{"config":{"identity":{"driver":"d","list_limit":3}}}`, 200},
		{admin, "DELETE", at + "/identity/driver", "", 204},
		{admin, "GET", at + "/identity/driver", "", 404},
		{admin, "DELETE", at + "/identity/driver", "", 404},
		{admin, "DELETE", at + "/identity", "", 204},
		{admin, "GET", at + "/identity", "", 404},
	})
	if got := c.call(t, "GET", "/v3"+at+"/ldap/url", admin, "").want(200).text("config", "url"); got != "ldap://j" {
		t.Errorf("the option is %q", got)
	}
	if r := c.call(t, "PUT", "/v3"+at, admin, `{"config":{"ldap":{"suffix":"s"}}}`).want(200); r.get("config", "ldap", "url") != nil {
		t.Errorf("the former options stay: %s", r.body)
	}
	c.expect(t, []expectation{{admin, "DELETE", at, "", 204}, {admin, "GET", at, "", 404}})

	c.golden(t, "security_compliance", c.call(t, "GET", "/v3/domains/default/config/security_compliance", demo, "").want(200).body)
	c.expect(t, []expectation{
		{demo, "GET", "/domains/default/config/security_compliance/password_regex", "", 200},
		{demo, "GET", "/domains/default/config/security_compliance/lockout_duration", "", 403},
		{demo, "GET", "/domains/" + domain + "/config/security_compliance", "", 403},
	})
}

func TestCompliance(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	c := start(t, func(o *identity.Options) {
		o.Compliance = identity.Compliance{LockoutAttempts: 2, LockoutDuration: time.Minute, Unique: 3, MinimumAge: day, Pattern: "^.{4,}$",
			PasswordLifetime: 30 * day, InactiveAfter: 90 * day}
	})
	admin := c.admin(t)
	user := c.create(t, admin, "users", "user", map[string]any{"name": "u", "password": "first"})
	c.call(t, "PATCH", "/v3/users/"+c.find(t, admin, "users", "admin"), admin, `{"user":{"options":{"ignore_user_inactivity":true}}}`).want(200)
	sign := func(secret string, status int) {
		t.Helper()
		c.call(t, "POST", "/v3/auth/tokens", "", password("u", "Default", secret, "")).want(status)
	}
	change := func(from, to string, status int) {
		t.Helper()
		c.call(t, "POST", "/v3/users/"+user+"/password", "", fmt.Sprintf(`{"user":{"original_password":%q,"password":%q}}`, from, to)).want(status)
	}
	c.expect(t, []expectation{
		{admin, "POST", "/users", `{"user":{"name":"v","password":"abc"}}`, 400},
		{admin, "PATCH", "/users/" + user, `{"user":{"password":"abc"}}`, 400},
	})

	// Two wrong passwords lock the account for a minute, the right one included.
	sign("wrong", 401)
	sign("first", 201)
	sign("wrong", 401)
	sign("wrong", 401)
	sign("first", 401)
	c.clock.Advance(time.Minute)
	sign("first", 201)

	// Former passwords come back only after others; own changes need their time.
	change("first", "second", 204)
	change("second", "third", 400)
	c.clock.Advance(day)
	change("second", "first", 400)
	change("second", "abc", 400)
	change("second", "third", 204)
	c.clock.Advance(day)
	change("third", "first", 400)
	change("third", "second", 400)
	change("third", "fourth", 204)
	c.clock.Advance(day)
	change("fourth", "first", 204)

	// A password has its time, and so has an account that nobody uses.
	c.clock.Advance(30 * day)
	sign("first", 401)
	change("first", "fifth", 204)
	c.call(t, "PATCH", "/v3/users/"+user, c.admin(t), `{"user":{"password":"sixth","options":{"ignore_password_expiry":true,"lock_password":true}}}`).want(200)
	c.call(t, "PATCH", "/v3/users/"+user, c.admin(t), `{"user":{"password":"sixth"}}`).want(200)
	sign("sixth", 201)
	change("sixth", "seventh", 400)
	c.clock.Advance(89 * day)
	sign("sixth", 201)
	c.clock.Advance(90 * day)
	sign("sixth", 401)
	sign("sixth", 401)
	c.call(t, "PATCH", "/v3/users/"+user, c.admin(t), `{"user":{"enabled":false}}`).want(200)
	c.call(t, "PATCH", "/v3/users/"+user, c.admin(t), `{"user":{"enabled":true}}`).want(200)
	sign("sixth", 201)
}

// Domains are projects, too, for those who ask so.
func TestDomainsAsProjects(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	made := c.call(t, "POST", "/v3/projects", admin, `{"project":{"name":"D","is_domain":true,"tags":["a"],"note":"n"}}`).want(201)
	c.golden(t, "project_domain", made.body)
	id := made.text("project", "id")
	if got := c.call(t, "GET", "/v3/projects?is_domain=true&name=D", admin, "").want(200).names("projects", "id"); !slices.Equal(got, []string{id}) {
		t.Errorf("projects that are domains: %v", got)
	}
	c.expect(t, []expectation{
		{admin, "GET", "/domains/" + id, "", 200},
		{admin, "GET", "/projects/" + id + "?parents_as_ids&subtree_as_ids", "", 200},
		{admin, "PUT", "/projects/" + id + "/tags/b", "", 201},
		{admin, "GET", "/projects/" + id + "/tags/b", "", 204},
		{demo, "POST", "/projects", `{"project":{"name":"E","is_domain":true}}`, 403},
		{demo, "GET", "/projects/" + id, "", 403},
		{demo, "DELETE", "/projects/" + id, "", 403},
		{admin, "POST", "/projects", `{"project":{"name":"E","is_domain":true,"domain_id":"default"}}`, 400},
		{admin, "POST", "/projects", `{"project":{"name":"D","is_domain":true}}`, 409},
		{admin, "PATCH", "/projects/" + id, `{"project":{"is_domain":false}}`, 400},
		{admin, "DELETE", "/projects/" + id, "", 403},
		{admin, "PATCH", "/projects/" + id, `{"project":{"enabled":false,"name":"F"}}`, 200},
		{admin, "DELETE", "/projects/" + id, "", 204},
		{admin, "GET", "/domains/" + id, "", 404},
	})
}
