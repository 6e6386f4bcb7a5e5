package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestResourceReplies(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	project := c.find(t, admin, "projects", "demo")
	user := c.find(t, admin, "users", "demo")
	for name, path := range map[string]string{
		"user": "/users/" + user, "project": "/projects/" + project, "domain": "/domains/default",
		"role": "/roles/" + c.find(t, admin, "roles", "member"), "service": "/services/" + c.find(t, admin, "services", "nova"),
		"region": "/regions/RegionOne", "users": "/users?name=demo", "domains": "/domains",
		"assignments": "/role_assignments?include_names&user.id=" + user, "inferences": "/role_inferences",
		"endpoints": "/endpoints?interface=public",
	} {
		c.golden(t, name, c.call(t, "GET", "/v3"+path, admin, "").want(200).body)
	}
	roles := c.call(t, "GET", "/v3/roles", admin, "").want(200).names("roles", "name")
	want := []string{"ResellerAdmin", "admin", "manager", "member", "reader", "service", "swiftoperator"}
	if !slices.Equal(roles, want) {
		t.Errorf("roles: got %v, want %v", roles, want)
	}
}

func TestNoPasswordInReplies(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	made := c.call(t, "POST", "/v3/users", admin, `{"user":{"name":"u","password":"very secret","nick":"uu"}}`).want(201)
	shown := c.call(t, "GET", "/v3/users/"+made.text("user", "id"), admin, "").want(200)
	list := c.call(t, "GET", "/v3/users", admin, "").want(200)
	for _, r := range []reply{made, shown, list} {
		if strings.Contains(string(r.body), "secret") || strings.Contains(string(r.body), "hash") || strings.Contains(string(r.body), `"password"`) {
			t.Errorf("a reply tells of the password: %s", r.body)
		}
	}
	if shown.text("user", "nick") != "uu" {
		t.Errorf("the extra attribute is lost: %s", shown.body)
	}
}

// TestWhoMay tries calls as several callers.
func TestWhoMay(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	domain := c.create(t, admin, "domains", "domain", map[string]any{"name": "D"})
	person := c.create(t, admin, "users", "user", map[string]any{"name": "boss", "domain_id": domain, "password": "pw"})
	inside := c.create(t, admin, "projects", "project", map[string]any{"name": "in", "domain_id": domain})
	manager := c.find(t, admin, "roles", "manager")
	c.call(t, "PUT", "/v3/domains/"+domain+"/users/"+person+"/roles/"+manager, admin, "").want(204)
	boss := c.token(t, password("boss", "D", "pw", `{"domain":{"id":"`+domain+`"}}`))
	reader := c.create(t, admin, "users", "user", map[string]any{"name": "auditor", "password": "pw"})
	c.call(t, "PUT", "/v3/system/users/"+reader+"/roles/"+c.find(t, admin, "roles", "reader"), admin, "").want(204)
	auditor := c.token(t, password("auditor", "Default", "pw", onSystem))
	demoUser, demoProject, adminUser := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo"), c.find(t, admin, "users", "admin")
	member, adminRole := c.find(t, admin, "roles", "member"), c.find(t, admin, "roles", "admin")

	for _, test := range []struct {
		who, token, method, path, body string
		status                         int
	}{
		{"demo", demo, "GET", "/users", "", 403},
		{"demo", demo, "GET", "/users/" + demoUser, "", 200},
		{"demo", demo, "GET", "/users/" + adminUser, "", 403},
		{"demo", demo, "GET", "/users/ghost", "", 403},
		{"demo", demo, "GET", "/projects/" + demoProject, "", 200},
		{"demo", demo, "GET", "/projects/" + inside, "", 403},
		{"demo", demo, "GET", "/domains/default", "", 200},
		{"demo", demo, "GET", "/domains/" + domain, "", 403},
		{"demo", demo, "GET", "/regions", "", 200},
		{"demo", demo, "GET", "/services", "", 403},
		{"demo", demo, "GET", "/role_assignments", "", 403},
		{"demo", demo, "GET", "/users/" + demoUser + "/projects", "", 200},
		{"demo", demo, "POST", "/users", `{"user":{"name":"x"}}`, 403},
		{"demo", demo, "PATCH", "/users/" + demoUser, `{"user":{"enabled":false}}`, 403},
		{"demo", demo, "PUT", "/projects/" + demoProject + "/users/" + demoUser + "/roles/" + adminRole, "", 403},
		{"demo", demo, "PUT", "/system/users/" + demoUser + "/roles/" + adminRole, "", 403},
		{"auditor", auditor, "GET", "/users", "", 200},
		{"auditor", auditor, "GET", "/services", "", 200},
		{"auditor", auditor, "GET", "/role_assignments", "", 200},
		{"auditor", auditor, "POST", "/users", `{"user":{"name":"x"}}`, 403},
		{"auditor", auditor, "DELETE", "/projects/" + inside, "", 403},
		{"boss", boss, "GET", "/users/" + person, "", 200},
		{"boss", boss, "GET", "/users/" + demoUser, "", 403},
		{"boss", boss, "POST", "/users", `{"user":{"name":"mine","password":"p"}}`, 201},
		{"boss", boss, "POST", "/users", `{"user":{"name":"foreign","domain_id":"default"}}`, 403},
		{"boss", boss, "POST", "/projects", `{"project":{"name":"mine"}}`, 201},
		{"boss", boss, "POST", "/domains", `{"domain":{"name":"E"}}`, 403},
		{"boss", boss, "PUT", "/projects/" + inside + "/users/" + person + "/roles/" + member, "", 204},
		{"boss", boss, "PUT", "/projects/" + inside + "/users/" + person + "/roles/" + adminRole, "", 403},
		{"boss", boss, "PUT", "/projects/" + demoProject + "/users/" + person + "/roles/" + member, "", 403},
		{"boss", boss, "PUT", "/projects/" + inside + "/users/" + demoUser + "/roles/" + member, "", 403},
		{"boss", boss, "HEAD", "/projects/" + inside + "/users/" + person + "/roles/" + member, "", 204},
		{"admin", admin, "GET", "/users/ghost", "", 404},
		{"admin", admin, "GET", "/projects/ghost", "", 404},
		{"admin", admin, "GET", "/roles/ghost", "", 404},
	} {
		got := c.call(t, test.method, "/v3"+test.path, test.token, test.body)
		if got.status != test.status {
			t.Errorf("%s %s %s: got %d, want %d: %s", test.who, test.method, test.path, got.status, test.status, got.body)
		}
	}
	if got := c.call(t, "GET", "/v3/users", boss, "").want(200).names("users", "name"); !slices.Equal(got, []string{"boss", "mine"}) {
		t.Errorf("boss sees users %v, want those of the own domain", got)
	}
	if got := c.call(t, "GET", "/v3/users?domain_id=default", boss, "").want(200).names("users", "name"); len(got) != 0 {
		t.Errorf("boss sees users %v of another domain", got)
	}
	if got := c.call(t, "GET", "/v3/projects", boss, "").want(200).names("projects", "name"); !slices.Equal(got, []string{"in", "mine"}) {
		t.Errorf("boss sees projects %v, want those of the own domain", got)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	user, project, role := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo"), c.find(t, admin, "roles", "reader")
	long := strings.Repeat("x", 256)
	for _, test := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"POST", "/users", `{"user":{}}`, 400, "'name' is a required property"},
		{"POST", "/users", `{}`, 400, "'user' is a required property"},
		{"POST", "/users", `{"user":{"name":"` + long + `"}}`, 400, "too long"},
		{"POST", "/users", `{"user":{"name":" "}}`, 400, "does not match"},
		{"POST", "/users", `{"user":{"name":7}}`, 400, "is not of type 'string'"},
		{"POST", "/users", `{"user":{"name":"x","enabled":"yes"}}`, 400, "'yes' is not of type"},
		{"POST", "/users", `{"user":{"name":"x","domain_id":"nope"}}`, 404, "Could not find domain: nope."},
		{"POST", "/users", `{"user":{"name":"demo"}}`, 409, "Duplicate entry found with name demo"},
		{"POST", "/users", `{"user":{"name":"x","password":"` + strings.Repeat("p", 4097) + `"}}`, 403, "password length must be less than or equal to 4096"},
		{"POST", "/users", `{"user":{"name":"x","default_project_id":"default"}}`, 400, "cannot be a domain ID"},
		{"PATCH", "/users/" + user, `{"user":{"domain_id":"other"}}`, 400, "domain_id"},
		{"PATCH", "/users/" + user, `{"user":{"name":"admin"}}`, 409, "Duplicate entry"},
		{"POST", "/users/" + user + "/password", `{"user":{"original_password":"wrong","password":"x"}}`, 401, "requires authentication"},
		{"POST", "/users/" + user + "/password", `{"user":{"password":"x"}}`, 400, "original_password"},
		{"POST", "/projects", `{"project":{"name":"demo"}}`, 409, "Duplicate entry found with name demo"},
		{"POST", "/projects", `{"project":{"name":"` + long[:65] + `"}}`, 400, "too long"},
		{"POST", "/projects", `{"project":{"name":"x","tags":["a,b"]}}`, 400, "tag"},
		{"POST", "/projects", `{"project":{"name":"x","parent_id":"nope"}}`, 404, "Could not find project: nope."},
		{"PATCH", "/projects/" + project, `{"project":{"parent_id":"nope"}}`, 403, "parent_id"},
		{"POST", "/domains", `{"domain":{"name":"DEFAULT"}}`, 409, "Duplicate entry"},
		{"DELETE", "/domains/default", "", 403, "delete the default domain"},
		{"POST", "/roles", `{"role":{"name":"member"}}`, 409, "Duplicate entry"},
		{"PUT", "/roles/" + role + "/implies/" + c.find(t, admin, "roles", "admin"), "", 403, "circle"},
		{"PUT", "/projects/" + project + "/users/ghost/roles/" + role, "", 404, "Could not find user: ghost."},
		{"PUT", "/projects/ghost/users/" + user + "/roles/" + role, "", 404, "Could not find project: ghost."},
		{"DELETE", "/projects/" + project + "/users/" + user + "/roles/" + role, "", 404, "Could not find role assignment"},
		{"GET", "/role_assignments?user.id=a&group.id=b", "", 400, "Specify a user or group, not both"},
		{"GET", "/role_assignments?effective&group.id=b", "", 400, "always result in an empty list"},
		{"POST", "/endpoints", `{"endpoint":{"interface":"odd","service_id":"x","url":"http://x"}}`, 400, "is not one of"},
		{"POST", "/endpoints", `{"endpoint":{"interface":"public","service_id":"x","url":"http://x"}}`, 404, "Could not find service: x."},
		{"POST", "/endpoints", `{"endpoint":{"interface":"public","service_id":"x","url":"http://x/$(password)s"}}`, 400, "unknown substitution"},
		{"POST", "/regions", `{"region":{"id":"RegionOne"}}`, 409, "Duplicate ID, RegionOne."},
		{"DELETE", "/regions/RegionOne", "", 403, "associated endpoints"},
	} {
		got := c.call(t, test.method, "/v3"+test.path, admin, test.body)
		if got.status != test.status || !strings.Contains(got.text("error", "message"), test.message) {
			t.Errorf("%s %s %.80s: got %d %s, want %d %q", test.method, test.path, test.body, got.status, got.body, test.status, test.message)
		}
	}
}

func TestLongPasswordsCountWhole(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	base := strings.Repeat("p", 100)
	c.create(t, admin, "users", "user", map[string]any{"name": "long", "password": base + "1"})
	c.token(t, password("long", "Default", base+"1", ""))
	for _, wrong := range []string{base + "2", base, base[:72]} {
		c.call(t, "POST", "/v3/auth/tokens", "", password("long", "Default", wrong, "")).want(401)
	}
	c.create(t, admin, "users", "user", map[string]any{"name": "locked"})
	c.call(t, "POST", "/v3/auth/tokens", "", password("locked", "Default", "", "")).want(401)
}

func TestProjectTree(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	parent := ""
	var ids []string
	for i := range 4 {
		attributes := map[string]any{"name": fmt.Sprint("p", i)}
		if parent != "" {
			attributes["parent_id"] = parent
		}
		parent = c.create(t, admin, "projects", "project", attributes)
		ids = append(ids, parent)
	}
	c.call(t, "POST", "/v3/projects", admin, `{"project":{"name":"too deep","parent_id":"`+parent+`"}}`).want(403)
	c.call(t, "DELETE", "/v3/projects/"+ids[0], admin, "").want(403)
	up := c.call(t, "GET", "/v3/projects/"+ids[2]+"?parents_as_ids&subtree_as_ids", admin, "").want(200)
	if up.get("project", "parents", ids[1], ids[0]) == nil {
		t.Errorf("parents: %s", up.body)
	}
	subtree, _ := up.get("project", "subtree").(map[string]any)
	_, has := subtree[ids[3]]
	if !has || len(subtree) != 1 {
		t.Errorf("subtree: %s", up.body)
	}
	tags := "/v3/projects/" + ids[0] + "/tags"
	c.call(t, "PUT", tags, admin, `{"tags":["a","b"]}`).want(200)
	c.call(t, "PUT", tags+"/c%20d", admin, "").want(201)
	c.call(t, "GET", tags+"/c%20d", admin, "").want(204)
	c.call(t, "DELETE", tags+"/a", admin, "").want(204)
	c.call(t, "GET", tags+"/a", admin, "").want(404)
	if got := c.call(t, "GET", "/v3/projects?tags=b,c%20d", admin, "").want(200).names("projects", "name"); !slices.Equal(got, []string{"p0"}) {
		t.Errorf("by tags: %v", got)
	}
	if got := c.call(t, "GET", "/v3/projects?not-tags-any=b&name__startswith=p", admin, "").want(200).names("projects", "name"); !slices.Equal(got, []string{"p1", "p2", "p3"}) {
		t.Errorf("by missing tags: %v", got)
	}
	c.call(t, "DELETE", tags, admin, "").want(204)
	if got := c.call(t, "GET", tags, admin, "").want(200).get("tags"); len(got.([]any)) != 0 {
		t.Errorf("tags after delete: %v", got)
	}
}

func TestOperatorsCatalog(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	service := c.create(t, admin, "services", "service", map[string]any{"type": "dns", "name": "designate"})
	endpoint := c.create(t, admin, "endpoints", "endpoint", map[string]any{"service_id": service, "interface": "public",
		"url": "http://dns.example.org/$(tenant_id)s", "region_id": "North"})
	c.call(t, "GET", "/v3/regions/North", admin, "").want(200)
	project := c.find(t, admin, "projects", "admin")
	catalog := c.call(t, "GET", "/v3/auth/catalog", admin, "").want(200)
	if !strings.Contains(string(catalog.body), "http://dns.example.org/"+project) {
		t.Errorf("the new endpoint isn't in the catalog: %s", catalog.body)
	}
	c.call(t, "PATCH", "/v3/endpoints/"+endpoint, admin, `{"endpoint":{"enabled":false}}`).want(200)
	catalog = c.call(t, "GET", "/v3/auth/catalog", admin, "").want(200)
	if strings.Contains(string(catalog.body), "dns.example.org") {
		t.Error("a disabled endpoint is in the catalog")
	}
	c.call(t, "DELETE", "/v3/services/"+service, admin, "").want(204)
	c.call(t, "GET", "/v3/endpoints/"+endpoint, admin, "").want(404)
	c.stop()
	c.open(t)
	if got := c.call(t, "GET", "/v3/services", c.admin(t), "").want(200).names("services", "type"); !slices.Equal(got, []string{"identity", "compute", "object-store"}) {
		t.Errorf("services after a restart: %v", got)
	}
}
