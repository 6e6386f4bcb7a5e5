package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nacre/internal/identity"
)

// Whoever cannot sign in hears the same, whatever the reason: there is no such
// user, domain or project, the password is wrong, the user is locked, disabled,
// or has no password.
func TestAttackWhoIsThere(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *identity.Options) {
		o.Compliance = identity.Compliance{LockoutAttempts: 2, LockoutDuration: time.Hour}
	})
	admin := c.admin(t)
	c.create(t, admin, "domains", "domain", map[string]any{"name": "off", "enabled": false})
	locked := c.create(t, admin, "users", "user", map[string]any{"name": "locked", "password": "pw"})
	c.create(t, admin, "users", "user", map[string]any{"name": "disabled", "password": "pw", "enabled": false})
	c.create(t, admin, "users", "user", map[string]any{"name": "bare"})
	c.create(t, admin, "users", "user", map[string]any{"name": "ann", "password": "right"})
	for range 2 {
		c.call(t, "POST", "/v3/auth/tokens", "", password("locked", "Default", "wrong", "")).want(401)
	}
	want := c.call(t, "POST", "/v3/auth/tokens", "", password("nobody", "Default", "pw", "")).want(401)
	byID := func(id, secret string) string {
		return authBody(map[string]any{"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{"id": id, "password": secret}}}}, "")
	}
	for name, body := range map[string]string{
		"wrong password":   password("ann", "Default", "pw", ""),
		"empty password":   password("ann", "Default", "", ""),
		"no such domain":   password("demo", "nowhere", "pw", ""),
		"disabled domain":  password("demo", "off", "pw", ""),
		"locked, right":    password("locked", "Default", "pw", ""),
		"locked, wrong":    password("locked", "Default", "x", ""),
		"locked, by id":    byID(locked, "pw"),
		"nobody, by id":    byID("0123456789abcdef0123456789abcdef", "pw"),
		"disabled":         password("disabled", "Default", "pw", ""),
		"no password":      password("bare", "Default", "", ""),
		"passcode, nobody": byPasscode("nobody", "123456", ""),
		"passcode, user":   byPasscode(locked, "123456", ""),
		"credential":       byAppCredential("nobody", "x", ""),
		"no such project":  password("demo", "Default", c.boot.DemoPassword, `{"project":{"name":"nowhere","domain":{"id":"default"}}}`),
		"no such id":       password("demo", "Default", c.boot.DemoPassword, `{"project":{"id":"nowhere"}}`),
		"foreign project":  password("demo", "Default", c.boot.DemoPassword, onAdmin),
		"foreign domain":   password("demo", "Default", c.boot.DemoPassword, onDomain),
		"no role there":    password("demo", "Default", c.boot.DemoPassword, onSystem),
	} {
		r := c.call(t, "POST", "/v3/auth/tokens", "", body)
		if r.status != 401 || string(r.body) != string(want.body) || len(r.header) != len(want.header) {
			t.Errorf("%s: got %d %s %v, want %s %v", name, r.status, r.body, r.header, want.body, want.header)
		}
	}
	for _, path := range []string{"/v3/users/" + locked + "/password", "/v3/users/nobody/password"} {
		r := c.call(t, "POST", path, "", `{"user":{"original_password":"x","password":"y"}}`)
		if r.status != 401 || string(r.body) != string(want.body) {
			t.Errorf("%s: got %d %s", path, r.status, r.body)
		}
	}
	// Whoever may not see a thing is not told whether it is there.
	demo := c.demo(t)
	for _, kind := range []string{"users", "projects", "groups", "domains", "roles", "credentials", "services", "endpoints", "policies"} {
		there := c.call(t, "GET", "/v3/"+kind+"?name=admin", admin, "").want(200).get(kind)
		id := "nothing"
		if list, is := there.([]any); is && len(list) > 0 {
			id = list[0].(map[string]any)["id"].(string)
		}
		for _, method := range []string{"GET", "DELETE"} {
			real, ghost := c.call(t, method, "/v3/"+kind+"/"+id, demo, ""), c.call(t, method, "/v3/"+kind+"/ghost", demo, "")
			if real.status != ghost.status || real.status < 400 {
				t.Errorf("%s of %s: got %d for one that is there and %d for one that is not", method, kind, real.status, ghost.status)
			}
		}
	}
}

// A name is what it is: no other spelling of it signs in, by case, spaces, other
// alphabets or the forms of Unicode; and one that looks alike is another user.
func TestAttackNamesThatLookAlike(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	alike := []string{"ADMIN", "Admin", "admin ", " admin", "admin\u200b", "\ufeffadmin", "ａｄｍｉｎ", "аdmin", "admi\u0144", "admin\u0301", "admin\t", "ADM\u0130N", "adm\u0131n"}
	for _, name := range alike {
		r := c.call(t, "POST", "/v3/auth/tokens", "", password(name, "Default", c.boot.AdminPassword, ""))
		if r.status != 401 {
			t.Errorf("%q signs in as admin: %d", name, r.status)
		}
	}
	for _, name := range alike {
		r := c.call(t, "POST", "/v3/users", admin, `{"user":{"name":`+quoted(name)+`,"password":"pw"}}`)
		if r.status != 201 && r.status != 400 {
			t.Errorf("%q: got %d, want another user or a refusal", name, r.status)
		}
		if r.status == 201 {
			c.call(t, "POST", "/v3/auth/tokens", "", password(name, "Default", "pw", onAdmin)).want(401)
		}
	}
	c.token(t, password("admin", "Default", c.boot.AdminPassword, onAdmin))
	// é in one letter or two are two users; each has the own password.
	c.create(t, admin, "users", "user", map[string]any{"name": "ren\u00e9", "password": "one"})
	c.create(t, admin, "users", "user", map[string]any{"name": "rene\u0301", "password": "two"})
	c.call(t, "POST", "/v3/auth/tokens", "", password("rene\u0301", "Default", "one", "")).want(401)
	c.token(t, password("rene\u0301", "Default", "two", ""))
	c.call(t, "POST", "/v3/users", admin, "{\"user\":{\"name\":\"admin\\u0000\",\"password\":\"pw\"}}").want(400)
}

// A manager of one domain neither sees nor changes anything of another, and
// makes nobody more than a manager.
func TestAttackOtherDomains(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	domain := c.create(t, admin, "domains", "domain", map[string]any{"name": "D"})
	boss := c.create(t, admin, "users", "user", map[string]any{"name": "boss", "domain_id": domain, "password": "pw"})
	inside := c.create(t, admin, "projects", "project", map[string]any{"name": "in", "domain_id": domain})
	role := map[string]string{}
	for _, name := range []string{"admin", "manager", "member", "reader", "service"} {
		role[name] = c.find(t, admin, "roles", name)
	}
	c.call(t, "PUT", "/v3/domains/"+domain+"/users/"+boss+"/roles/"+role["manager"], admin, "").want(204)
	own := c.create(t, admin, "roles", "role", map[string]any{"name": "admin", "domain_id": domain})
	c.call(t, "PUT", "/v3/roles/"+own+"/implies/"+role["admin"], admin, "").want(201)
	token := c.token(t, password("boss", "D", "pw", `{"domain":{"id":"`+domain+`"}}`))
	demoUser, demoProject, group := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo"), c.create(t, admin, "groups", "group", map[string]any{"name": "g"})
	ownGroup := c.create(t, token, "groups", "group", map[string]any{"name": "mine"})
	var tries []expectation
	for _, name := range []string{"admin", "service"} {
		for _, target := range []string{"/domains/" + domain, "/projects/" + inside, "/system", "/domains/default", "/projects/" + demoProject} {
			tries = append(tries, expectation{token, "PUT", target + "/users/" + boss + "/roles/" + role[name], "", 403},
				expectation{token, "PUT", target + "/groups/" + ownGroup + "/roles/" + role[name], "", 403})
		}
		tries = append(tries, expectation{token, "PUT", "/OS-INHERIT/domains/" + domain + "/users/" + boss + "/roles/" + role[name] + "/inherited_to_projects", "", 403})
	}
	c.expect(t, append(tries, []expectation{
		{token, "PUT", "/domains/" + domain + "/users/" + boss + "/roles/" + own, "", 403},
		{token, "PUT", "/projects/" + inside + "/users/" + boss + "/roles/" + own, "", 403},
		{token, "PUT", "/OS-INHERIT/domains/default/users/" + boss + "/roles/" + role["member"] + "/inherited_to_projects", "", 403},
		{token, "PUT", "/OS-INHERIT/projects/" + demoProject + "/users/" + boss + "/roles/" + role["member"] + "/inherited_to_projects", "", 403},
		{token, "PUT", "/projects/" + demoProject + "/users/" + boss + "/roles/" + role["reader"], "", 403},
		{token, "PUT", "/domains/default/users/" + boss + "/roles/" + role["reader"], "", 403},
		{token, "PUT", "/projects/" + inside + "/users/" + demoUser + "/roles/" + role["reader"], "", 403},
		{token, "PUT", "/projects/" + inside + "/groups/" + group + "/roles/" + role["reader"], "", 403},
		{token, "PUT", "/groups/" + ownGroup + "/users/" + demoUser, "", 403},
		{token, "PUT", "/groups/" + group + "/users/" + boss, "", 403},
		{token, "PATCH", "/users/" + demoUser, `{"user":{"password":"x","domain_id":"` + domain + `"},"target":{"user":{"domain_id":"` + domain + `"}}}`, 403},
		{token, "POST", "/users", `{"user":{"name":"x","domain_id":"default"},"target":{"user":{"domain_id":"` + domain + `"}}}`, 403},
		{token, "POST", "/projects", `{"project":{"name":"x","domain_id":"default"}}`, 403},
		{token, "POST", "/projects", `{"project":{"name":"x","is_domain":true}}`, 403},
		{token, "POST", "/projects", `{"project":{"name":"x","parent_id":"` + demoProject + `"}}`, 403},
		{token, "POST", "/projects", `{"project":{"name":"x","parent_id":"default"}}`, 404},
		{token, "PATCH", "/projects/" + inside, `{"project":{"domain_id":"default"}}`, 400},
		{token, "PATCH", "/projects/" + inside, `{"project":{"parent_id":"` + demoProject + `"}}`, 403},
		{token, "PATCH", "/projects/" + demoProject, `{"project":{"name":"x"}}`, 403},
		{token, "PATCH", "/domains/" + domain, `{"domain":{"name":"x"}}`, 403},
		{token, "GET", "/users/" + demoUser, "", 403},
		{token, "GET", "/users/" + demoUser + "/projects", "", 403},
		{token, "GET", "/users/" + demoUser + "/groups", "", 403},
		{token, "GET", "/groups/" + group, "", 403},
		{token, "GET", "/groups/" + group + "/users", "", 403},
		{token, "GET", "/projects/" + demoProject, "", 403},
		{token, "GET", "/domains/default", "", 403},
		{token, "GET", "/projects/" + demoProject + "/users/" + demoUser + "/roles", "", 403},
		{token, "GET", "/role_assignments?include_subtree&scope.project.id=" + demoProject, "", 403},
		{token, "POST", "/roles", `{"role":{"name":"r"}}`, 403},
		{token, "POST", "/roles", `{"role":{"name":"r","domain_id":"` + domain + `"}}`, 403},
		{token, "PUT", "/roles/" + role["member"] + "/implies/" + role["admin"], "", 403},
		{token, "PUT", "/roles/" + own + "/implies/" + role["admin"], "", 403},
		{token, "PUT", "/domains/" + domain + "/config", `{"config":{"identity":{"driver":"ldap"}}}`, 403},
	}...))
	for list, names := range map[string][]string{"users": {"boss"}, "groups": {"mine"}, "projects": {"in"}, "domains": {"D"}} {
		for _, query := range []string{"", "?domain_id=default", "?domain_id=", "?name__contains=", "?domain_id=" + domain + "&domain_id=default"} {
			for _, name := range c.call(t, "GET", "/v3/"+list+query, token, "").want(200).names(list, "name") {
				if !slices.Contains(names, name) {
					t.Errorf("GET %s%s: the manager of D sees %s", list, query, name)
				}
			}
		}
	}
	for _, query := range []string{"", "?user.id=" + demoUser, "?effective", "?effective&include_names", "?scope.system=all", "?scope.domain.id=default", "?scope.project.id=" + demoProject, "?role.id=" + role["admin"]} {
		r := c.call(t, "GET", "/v3/role_assignments"+query, token, "").want(200)
		for _, id := range []string{demoUser, demoProject, `"default"`, `"system"`} {
			if strings.Contains(strings.ReplaceAll(string(r.body), "/role_assignments"+query, ""), id) {
				t.Errorf("role_assignments%s tells of %s: %s", query, id, r.body)
			}
		}
	}
}

// A role of a domain stands for what it implies and is none itself, whatever
// its name; and roles that are inherited reach down, never up or beside.
func TestAttackRolesByName(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	domain := c.create(t, admin, "domains", "domain", map[string]any{"name": "D"})
	user := c.create(t, admin, "users", "user", map[string]any{"name": "u", "domain_id": domain, "password": "pw"})
	top := c.create(t, admin, "projects", "project", map[string]any{"name": "top", "domain_id": domain})
	below := c.create(t, admin, "projects", "project", map[string]any{"name": "below", "domain_id": domain, "parent_id": top})
	beside := c.create(t, admin, "projects", "project", map[string]any{"name": "beside", "domain_id": domain})
	fake := c.create(t, admin, "roles", "role", map[string]any{"name": "admin", "domain_id": domain})
	reader := c.find(t, admin, "roles", "reader")
	c.call(t, "PUT", "/v3/roles/"+fake+"/implies/"+reader, admin, "").want(201)
	c.call(t, "PUT", "/v3/OS-INHERIT/projects/"+top+"/users/"+user+"/roles/"+fake+"/inherited_to_projects", admin, "").want(204)
	in := func(project string) reply {
		return c.call(t, "POST", "/v3/auth/tokens", "", password("u", "D", "pw", `{"project":{"id":"`+project+`"}}`))
	}
	in(top).want(401)
	in(beside).want(401)
	r := in(below).want(201)
	if r.text("token", "roles", 0, "name") != "reader" || len(r.get("token", "roles").([]any)) != 1 {
		t.Errorf("the role of the domain gave %s", r.body)
	}
	token := r.header.Get("X-Subject-Token")
	c.call(t, "GET", "/v3/users", token, "").want(403)
	c.call(t, "POST", "/v3/users/"+user+"/application_credentials", token, `{"application_credential":{"name":"x","roles":[{"id":"`+fake+`"}]}}`).want(400)
	c.call(t, "POST", "/v3/auth/tokens", "", password("u", "D", "pw", `{"domain":{"id":"`+domain+`"}}`)).want(401)
	// Rules don't look at the case of a role's name, so no two differ by that alone.
	other := c.create(t, admin, "roles", "role", map[string]any{"name": "Administrator"})
	c.call(t, "PUT", "/v3/projects/"+top+"/users/"+user+"/roles/"+other, admin, "").want(204)
	c.call(t, "GET", "/v3/users", c.token(t, password("u", "D", "pw", `{"project":{"id":"`+top+`"}}`)), "").want(403)
	for _, name := range []string{"ADMIN", "Admin", "ſervice", "Re\u0061der"} {
		c.expect(t, []expectation{
			{admin, "POST", "/roles", `{"role":{"name":"` + name + `"}}`, 409},
			{admin, "PATCH", "/roles/" + other, `{"role":{"name":"` + name + `"}}`, 409},
		})
	}
}

// Lists of people are for those who may see them, with whatever filter.
func TestAttackListsWithoutScope(t *testing.T) {
	t.Parallel()
	c := start(t)
	demo := c.demo(t)
	unscoped := c.token(t, password("demo", "Default", c.boot.DemoPassword, `"unscoped"`))
	for _, token := range []string{demo, unscoped} {
		for _, path := range []string{"/users", "/users?name=admin", "/users?domain_id=default", "/groups", "/projects", "/domains", "/role_assignments",
			"/role_assignments?user.id=x", "/roles", "/OS-TRUST/trusts", "/services", "/policies", "/OS-FEDERATION/identity_providers"} {
			r := c.call(t, "GET", "/v3"+path, token, "")
			if r.status != 403 {
				t.Errorf("GET %s: got %d, want 403: %s", path, r.status, r.body)
			}
		}
	}
	// What one may sign in to is told of oneself alone.
	c.create(t, c.admin(t), "projects", "project", map[string]any{"name": "hidden"})
	for _, path := range []string{"/v3/auth/projects", "/v3/OS-FEDERATION/projects"} {
		if got := c.call(t, "GET", path, unscoped, "").want(200).names("projects", "name"); !slices.Equal(got, []string{"demo"}) {
			t.Errorf("%s: got %v, want demo", path, got)
		}
	}
	if got := c.call(t, "GET", "/v3/auth/domains", unscoped, "").want(200).names("domains", "name"); len(got) != 0 {
		t.Errorf("domains: got %v, want none", got)
	}
}
