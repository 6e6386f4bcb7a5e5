package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func byAppCredential(id, secret, scope string) string {
	return authBody(map[string]any{"identity": map[string]any{"methods": []string{"application_credential"},
		"application_credential": map[string]any{"id": id, "secret": secret}}}, scope)
}

func TestApplicationCredentials(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, them := c.find(t, admin, "users", "demo"), c.find(t, admin, "users", "admin")
	mine := "/v3/users/" + me + "/application_credentials"
	made := c.call(t, "POST", mine, demo, `{"application_credential":{"name":"ci","description":"d","roles":[{"name":"reader"}],"expires_at":"2026-12-01T08:30:00.000000Z",
		"access_rules":[{"path":"/v3/regions/**","method":"GET","service":"identity"},{"path":"/v3/auth/tokens","method":"GET","service":"identity"}]}}`).want(201)
	id, secret := made.text("application_credential", "id"), made.text("application_credential", "secret")
	shown := c.call(t, "GET", mine+"/"+id, demo, "").want(200)
	c.golden(t, "application_credential", shown.body)
	rules := c.call(t, "GET", "/v3/users/"+me+"/access_rules", demo, "").want(200)
	rule := rules.text("access_rules", 0, "id")
	if len(rules.names("access_rules", "id")) != 2 {
		t.Errorf("rules: %s", rules.body)
	}
	c.golden(t, "access_rule", c.call(t, "GET", "/v3/users/"+me+"/access_rules/"+rule, demo, "").want(200).body)

	issued := c.call(t, "POST", "/v3/auth/tokens", "", byAppCredential(id, secret, "")).want(201)
	c.golden(t, "token_application_credential", issued.body)
	if issued.text("token", "expires_at") != "2026-12-01T08:30:00.000000Z" {
		t.Errorf("the token outlives its credential: %s", issued.text("token", "expires_at"))
	}
	byName := authBody(map[string]any{"identity": map[string]any{"methods": []string{"application_credential"}, "application_credential": map[string]any{
		"name": "ci", "secret": secret, "user": map[string]any{"name": "demo", "domain": map[string]any{"id": "default"}}}}}, "")
	token := c.token(t, byName)

	full := c.call(t, "POST", mine, demo, `{"application_credential":{"name":"full","secret":"chosen","unrestricted":true}}`).want(201)
	unrestricted := c.token(t, byAppCredential(full.text("application_credential", "id"), "chosen", ""))
	limited := c.token(t, byAppCredential(c.call(t, "POST", mine, demo, `{"application_credential":{"name":"limited","secret":"s"}}`).want(201).text("application_credential", "id"), "s", ""))
	project := c.find(t, admin, "projects", "demo")

	for _, test := range []struct {
		who, token, method, path, body string
		status                         int
	}{
		{"rules", token, "GET", "/v3/regions/RegionOne", "", 200},
		{"rules", token, "GET", "/v3/regions", "", 401},
		{"rules", token, "DELETE", "/v3/regions/RegionOne", "", 401},
		{"rules", token, "GET", "/identity/v3/regions/RegionOne", "", 200},
		{"rules", token, "GET", mine, "", 401},
		{"limited", limited, "GET", mine, "", 200},
		{"limited", limited, "POST", mine, `{"application_credential":{"name":"more"}}`, 403},
		{"limited", limited, "DELETE", mine + "/" + id, "", 403},
		{"limited", limited, "POST", "/v3/users/" + me + "/credentials/OS-EC2", `{"tenant_id":"` + project + `"}`, 403},
		{"limited", limited, "POST", "/v3/credentials", `{"credential":{"user_id":"` + me + `","type":"ec2","project_id":"` + project + `","blob":"{\"access\":\"a\",\"secret\":\"s\"}"}}`, 403},
		{"limited", limited, "POST", "/v3/credentials", `{"credential":{"user_id":"` + me + `","type":"totp","blob":"x"}}`, 403},
		{"limited", limited, "GET", "/v3/OS-TRUST/trusts?trustor_user_id=" + me, "", 403},
		{"unrestricted", unrestricted, "POST", mine, `{"application_credential":{"name":"more"}}`, 201},
		{"unrestricted", unrestricted, "POST", mine, `{"application_credential":{"name":"more","roles":[{"name":"admin"}]}}`, 400},
		{"unrestricted", unrestricted, "POST", "/v3/OS-TRUST/trusts", `{"trust":{"trustor_user_id":"` + me + `","trustee_user_id":"` + them + `","impersonation":true}}`, 403},
		{"unrestricted", unrestricted, "POST", "/v3/users/" + me + "/credentials/OS-EC2", `{"tenant_id":"` + project + `"}`, 201},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"full"}}`, 409},
		{"demo", demo, "POST", mine, `{"application_credential":{}}`, 400},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"x","roles":[{"name":"ghost"}]}}`, 404},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"x","roles":[{"name":"admin"}]}}`, 400},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"x","roles":[{}]}}`, 400},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"x","expires_at":"2020-01-01T00:00:00Z"}}`, 400},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"x","expires_at":"soon"}}`, 400},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"x","access_rules":[{"path":"v3","method":"GET","service":"identity"}]}}`, 400},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"x","access_rules":[{"path":"/v3","method":"TRACE","service":"identity"}]}}`, 400},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"x","access_rules":[{"id":"ghost"}]}}`, 404},
		{"demo", demo, "POST", mine, `{"application_credential":{"name":"again","access_rules":[{"id":"` + rule + `"}]}}`, 201},
		{"demo", demo, "POST", "/v3/users/" + them + "/application_credentials", `{"application_credential":{"name":"x"}}`, 403},
		{"admin", admin, "POST", mine, `{"application_credential":{"name":"x"}}`, 403},
		{"admin", admin, "GET", mine, "", 200},
		{"demo", demo, "GET", "/v3/users/" + them + "/application_credentials", "", 403},
		{"admin", admin, "GET", "/v3/users/" + them + "/application_credentials/" + id, "", 404},
		{"demo", demo, "GET", mine + "/ghost", "", 404},
		{"demo", demo, "DELETE", "/v3/users/" + me + "/access_rules/" + rule, "", 403},
		{"demo", demo, "DELETE", "/v3/users/" + me + "/access_rules/ghost", "", 404},
		{"nobody", "", "POST", "/v3/auth/tokens", byAppCredential(id, "wrong", ""), 401},
		{"nobody", "", "POST", "/v3/auth/tokens", byAppCredential("ghost", "wrong", ""), 401},
		{"nobody", "", "POST", "/v3/auth/tokens", byAppCredential(id, secret, onDemo), 401},
		{"limited", "", "POST", "/v3/auth/tokens", byToken(limited, onDemo), 403},
		{"limited", "", "POST", "/v3/auth/tokens", byToken(limited, ""), 201},
		{"nobody", "", "POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["application_credential"]}}}`, 400},
		{"nobody", "", "POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"secret":"x"}}}}`, 400},
		{"nobody", "", "POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"name":"x","secret":"x"}}}}`, 400},
	} {
		r := c.call(t, test.method, test.path, test.token, test.body)
		if r.status != test.status {
			t.Errorf("%s: %s %s %s: got %d, want %d: %s", test.who, test.method, test.path, test.body, r.status, test.status, r.body)
		}
	}

	// Whoever doesn't say that it obeys access rules hears of no token with them.
	c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", token).want(404)
	c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", token, "OpenStack-Identity-Access-Rules", "1.0").want(200)
	rescoped := c.call(t, "POST", "/v3/auth/tokens", "", byToken(limited, "")).want(201)
	if rescoped.text("token", "application_credential", "name") != "limited" {
		t.Errorf("a token of a token lost its credential: %s", rescoped.body)
	}

	// A key made by an application credential gives no more than that.
	key := c.call(t, "POST", "/v3/users/"+me+"/credentials/OS-EC2", unrestricted, `{"tenant_id":"`+project+`"}`).want(201)
	bySignature := c.call(t, "POST", "/v3/ec2tokens", admin, signed(key.text("credential", "access"), key.text("credential", "secret"), c.clock.Now())).want(200)
	if bySignature.text("token", "application_credential", "name") != "full" {
		t.Errorf("the key forgot the credential that made it: %s", bySignature.body)
	}

	c.clock.Advance(30 * time.Minute)
	c.call(t, "POST", "/v3/auth/tokens", "", byAppCredential(id, secret, "")).want(401)
	c.call(t, "GET", mine, limited, "").want(200)
	c.call(t, "DELETE", mine+"/"+full.text("application_credential", "id"), demo, "").want(204)
	c.call(t, "GET", mine, unrestricted, "").want(401)
	c.call(t, "POST", "/v3/ec2tokens", admin, signed(key.text("credential", "access"), key.text("credential", "secret"), c.clock.Now())).want(401)
	// Taking a role of the project away takes the credentials there away.
	c.call(t, "DELETE", "/v3/projects/"+project+"/users/"+me+"/roles/"+c.find(t, admin, "roles", "member"), c.admin(t), "").want(204)
	if left := c.call(t, "GET", mine, c.admin(t), "").want(200).names("application_credentials", "name"); len(left) != 0 {
		t.Errorf("credentials outlive the role: %v", left)
	}
	c.call(t, "DELETE", "/v3/users/"+me+"/access_rules/"+rule, c.token(t, password("demo", "Default", c.boot.DemoPassword, `"unscoped"`)), "").want(204)
}

func onTrust(id string) string { return `{"OS-TRUST:trust":{"id":"` + id + `"}}` }

func TestTrusts(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	helper := c.create(t, admin, "users", "user", map[string]any{"name": "helper", "password": "pw"})
	third := c.create(t, admin, "users", "user", map[string]any{"name": "third", "password": "pw"})
	asHelper := c.token(t, password("helper", "Default", "pw", ""))
	body := func(trustor, trustee, more string) string {
		return fmt.Sprintf(`{"trust":{"trustor_user_id":%q,"trustee_user_id":%q,"project_id":%q%s}}`, trustor, trustee, project, more)
	}
	const all = "/v3/OS-TRUST/trusts"
	made := c.call(t, "POST", all, demo, body(me, helper, `,"impersonation":true,"roles":[{"name":"member"}],"allow_redelegation":true,"note":"n"`)).want(201)
	id := made.text("trust", "id")
	c.golden(t, "trust", c.call(t, "GET", all+"/"+id, asHelper, "").want(200).body)
	c.golden(t, "trusts", c.call(t, "GET", all+"?trustor_user_id="+me, demo, "").want(200).body)
	role := made.text("trust", "roles", 0, "id")
	c.call(t, "GET", all+"/"+id+"/roles", demo, "").want(200)
	c.call(t, "GET", all+"/"+id+"/roles/"+role, demo, "").want(200)
	c.call(t, "HEAD", all+"/"+id+"/roles/"+role, demo, "").want(200)
	c.call(t, "GET", all+"/"+id+"/roles/ghost", demo, "").want(404)

	issued := c.call(t, "POST", "/v3/auth/tokens", "", password("helper", "Default", "pw", onTrust(id))).want(201)
	c.golden(t, "token_trust", issued.body)
	trusted := issued.header.Get("X-Subject-Token")
	if issued.text("token", "user", "id") != me {
		t.Errorf("the trustee does not act as the trustor: %s", issued.body)
	}
	plain := c.call(t, "POST", all, demo, body(me, helper, `,"impersonation":false,"roles":[{"name":"reader"}],"remaining_uses":1,"expires_at":"2026-12-01T08:10:00Z"`)).want(201).text("trust", "id")

	for _, test := range []struct {
		who, token, method, path, body string
		status                         int
	}{
		{"trustor", demo, "POST", all, body(me, helper, `,"impersonation":true`), 403},
		{"trustor", demo, "POST", all, body(me, helper, `,"roles":[{"name":"member"}]`), 400},
		{"trustor", demo, "POST", all, body(me, helper, `,"impersonation":true,"roles":[{"name":"admin"}]`), 404},
		{"trustor", demo, "POST", all, body(me, helper, `,"impersonation":true,"roles":[{"name":"ghost"}]`), 404},
		{"trustor", demo, "POST", all, body(me, "ghost", `,"impersonation":true,"roles":[{"name":"member"}]`), 404},
		{"trustor", demo, "POST", all, body(me, helper, `,"impersonation":true,"roles":[{"name":"member"}],"expires_at":"bad.123Z"`), 400},
		{"trustor", demo, "POST", all, body(me, helper, `,"impersonation":true,"roles":[{"name":"member"}],"expires_at":"2020-01-01T00:00:00Z"`), 400},
		{"trustor", demo, "POST", all, body(me, helper, `,"impersonation":true,"roles":[{"name":"member"}],"remaining_uses":0`), 400},
		{"trustor", demo, "POST", all, body(me, helper, `,"impersonation":true,"roles":[{"name":"member"}],"remaining_uses":2,"allow_redelegation":true`), 400},
		{"trustor", demo, "POST", all, body(me, helper, `,"impersonation":true,"roles":[{"name":"member"}],"redelegation_count":9,"allow_redelegation":true`), 403},
		{"stranger", asHelper, "POST", all, body(me, helper, `,"impersonation":true,"roles":[{"name":"member"}]`), 403},
		{"trustor", demo, "GET", all, "", 403},
		{"trustor", demo, "GET", all + "?trustee_user_id=" + helper, "", 403},
		{"trustee", asHelper, "GET", all + "?trustee_user_id=" + helper, "", 200},
		{"admin", admin, "GET", all, "", 200},
		{"trustee", asHelper, "DELETE", all + "/" + id, "", 403},
		{"trustor", demo, "GET", all + "/ghost", "", 404},
		{"another", "", "POST", "/v3/auth/tokens", password("third", "Default", "pw", onTrust(id)), 403},
		{"trustor", "", "POST", "/v3/auth/tokens", password("demo", "Default", c.boot.DemoPassword, onTrust(id)), 403},
		{"trustee", "", "POST", "/v3/auth/tokens", password("helper", "Default", "pw", onTrust("ghost")), 401},
		{"trustee", "", "POST", "/v3/auth/tokens", password("helper", "Default", "pw", `{"OS-TRUST:trust":{}}`), 400},
		{"trust", "", "POST", "/v3/auth/tokens", byToken(trusted, onDemo), 403},
		{"trust", trusted, "GET", "/v3/users/" + me + "/application_credentials", "", 403},
		{"trust", trusted, "POST", "/v3/users/" + me + "/application_credentials", `{"application_credential":{"name":"x"}}`, 403},
		{"trust", trusted, "POST", "/v3/credentials", `{"credential":{"user_id":"` + me + `","type":"totp","blob":"x"}}`, 403},
		{"trust", trusted, "POST", all, body(me, third, `,"impersonation":true,"roles":[{"name":"member"}],"expires_at":"2026-12-01T09:00:00Z"`), 201},
		{"trust", trusted, "POST", all, body(me, third, `,"impersonation":true,"roles":[{"name":"member"}],"remaining_uses":1`), 403},
	} {
		r := c.call(t, test.method, test.path, test.token, test.body)
		if r.status != test.status {
			t.Errorf("%s: %s %s %s: got %d, want %d: %s", test.who, test.method, test.path, test.body, r.status, test.status, r.body)
		}
	}

	// The one use is taken once; the token of it lives, no longer than the trust.
	once := c.call(t, "POST", "/v3/auth/tokens", "", password("helper", "Default", "pw", onTrust(plain))).want(201)
	if once.text("token", "user", "id") != helper || once.text("token", "expires_at") != "2026-12-01T08:10:00.000000Z" {
		t.Errorf("without impersonation: %s", once.body)
	}
	c.call(t, "POST", "/v3/auth/tokens", "", password("helper", "Default", "pw", onTrust(plain))).want(401)
	c.call(t, "GET", "/v3/regions", once.header.Get("X-Subject-Token"), "").want(200)
	c.call(t, "GET", all+"/"+plain, demo, "").want(404)

	// What is handed on is handed on with its limits.
	handed := c.call(t, "POST", all, trusted, body(me, third, `,"impersonation":true,"roles":[{"name":"member"}],"allow_redelegation":true`)).want(201)
	if handed.get("trust", "redelegation_count").(float64) != 2 || handed.text("trust", "redelegated_trust_id") != id {
		t.Errorf("handed on: %s", handed.body)
	}
	child := c.token(t, password("third", "Default", "pw", onTrust(handed.text("trust", "id"))))
	key := c.call(t, "POST", "/v3/users/"+me+"/credentials/OS-EC2", trusted, `{"tenant_id":"`+project+`"}`).want(201)
	if key.text("credential", "trust_id") != id {
		t.Errorf("the key has no trust: %s", key.body)
	}
	bySignature := func() reply {
		return c.call(t, "POST", "/v3/ec2tokens", admin, signed(key.text("credential", "access"), key.text("credential", "secret"), c.clock.Now()))
	}
	if bySignature().want(200).text("token", "OS-TRUST:trust", "id") != id {
		t.Errorf("the key forgot its trust")
	}

	// A key whose blob names somebody else's trust gives nothing.
	c.call(t, "POST", "/v3/credentials", c.token(t, password("third", "Default", "pw", "")),
		`{"credential":{"user_id":"`+third+`","type":"ec2","project_id":"`+project+`","blob":"{\"access\":\"thief\",\"secret\":\"s\",\"trust_id\":\"`+id+`\"}"}}`).want(201)
	c.call(t, "POST", "/v3/ec2tokens", admin, signed("thief", "s", c.clock.Now())).want(401)

	for _, token := range []string{trusted, child} {
		c.call(t, "GET", "/v3/regions", token, "").want(200)
	}
	c.call(t, "DELETE", all+"/"+id, demo, "").want(204)
	for _, token := range []string{trusted, child} {
		c.call(t, "GET", "/v3/regions", token, "").want(401)
	}
	bySignature().want(401)
	c.call(t, "GET", all+"/"+handed.text("trust", "id"), demo, "").want(404)
}

// A trust is worth nothing once the trustor has lost a role of it, is disabled,
// or is gone.
func TestTrustsEndWithTheTrustor(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	helper := c.create(t, admin, "users", "user", map[string]any{"name": "helper", "password": "pw"})
	id := c.create(t, demo, "OS-TRUST/trusts", "trust", map[string]any{"trustor_user_id": me, "trustee_user_id": helper, "project_id": project,
		"impersonation": false, "roles": []map[string]any{{"name": "member"}}})
	login := password("helper", "Default", "pw", onTrust(id))
	token := c.token(t, login)
	member := "/v3/projects/" + project + "/users/" + me + "/roles/" + c.find(t, admin, "roles", "member")
	c.call(t, "DELETE", member, admin, "").want(204)
	c.call(t, "GET", "/v3/regions", token, "").want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", login).want(403)
	c.call(t, "PUT", member, admin, "").want(204)
	token = c.token(t, login)
	c.call(t, "PATCH", "/v3/users/"+me, admin, `{"user":{"enabled":false}}`).want(200)
	c.call(t, "GET", "/v3/regions", token, "").want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", login).want(401)
	c.call(t, "PATCH", "/v3/users/"+me, admin, `{"user":{"enabled":true}}`).want(200)
	token = c.token(t, login)
	c.call(t, "DELETE", "/v3/users/"+me, admin, "").want(204)
	c.call(t, "GET", "/v3/regions", token, "").want(401)
	if left := c.call(t, "GET", "/v3/OS-TRUST/trusts", admin, "").want(200).names("trusts", "id"); len(left) != 0 {
		t.Errorf("trusts of nobody: %v", left)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	id := c.create(t, admin, "policies", "policy", map[string]any{"type": "application/json", "blob": "{}", "note": "n"})
	c.golden(t, "policy", c.call(t, "GET", "/v3/policies/"+id, admin, "").want(200).body)
	c.call(t, "PATCH", "/v3/policies/"+id, admin, `{"policy":{"blob":"x"}}`).want(200)
	if got := c.call(t, "GET", "/v3/policies?type=none", admin, "").want(200).names("policies", "id"); len(got) != 0 {
		t.Errorf("of another type: %v", got)
	}
	if got := c.call(t, "GET", "/v3/policies", admin, "").want(200).names("policies", "blob"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("policies: %v", got)
	}
	for _, test := range []struct {
		token, method, path, body string
		status                    int
	}{
		{demo, "GET", "", "", 403},
		{demo, "POST", "", `{"policy":{"type":"t","blob":"b"}}`, 403},
		{admin, "POST", "", `{"policy":{"type":"t"}}`, 400},
		{admin, "POST", "", `{"policy":{"type":"t","blob":{}}}`, 400},
		{admin, "PATCH", "/" + id, `{"policy":{}}`, 400},
		{admin, "PATCH", "/ghost", `{"policy":{"blob":"b"}}`, 404},
		{admin, "GET", "/ghost", "", 404},
		{admin, "DELETE", "/" + id, "", 204},
		{admin, "DELETE", "/" + id, "", 404},
	} {
		r := c.call(t, test.method, "/v3/policies"+test.path, test.token, test.body)
		if r.status != test.status {
			t.Errorf("%s %s %s: got %d, want %d: %s", test.method, test.path, test.body, r.status, test.status, r.body)
		}
	}
}

func TestInheritedGrants(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	user := c.create(t, admin, "users", "user", map[string]any{"name": "u", "password": "pw"})
	group := c.create(t, admin, "groups", "group", map[string]any{"name": "g"})
	top := c.create(t, admin, "projects", "project", map[string]any{"name": "top"})
	c.create(t, admin, "projects", "project", map[string]any{"name": "below", "parent_id": top})
	role := c.find(t, admin, "roles", "reader")
	below := password("u", "Default", "pw", `{"project":{"name":"below","domain":{"id":"default"}}}`)
	for _, base := range []string{"domains/default/users/" + user, "domains/default/groups/" + group, "projects/" + top + "/users/" + user, "projects/" + top + "/groups/" + group} {
		path := "/v3/OS-INHERIT/" + base + "/roles/" + role + "/inherited_to_projects"
		c.call(t, "HEAD", path, admin, "").want(404)
		c.call(t, "PUT", path, admin, "").want(204)
		c.call(t, "GET", path, admin, "").want(204)
		c.call(t, "HEAD", path, admin, "").want(204)
		c.call(t, "GET", "/v3/"+base+"/roles/"+role, admin, "").want(404)
		if base[:7] == "domains" {
			list := c.call(t, "GET", "/v3/OS-INHERIT/"+base+"/roles/inherited_to_projects", admin, "").want(200).names("roles", "name")
			if !slices.Equal(list, []string{"reader"}) {
				t.Errorf("%s: inherited %v", base, list)
			}
		}
		if base[len(base)-len(user):] == user {
			c.token(t, below)
		}
		c.call(t, "DELETE", path, admin, "").want(204)
		c.call(t, "DELETE", path, admin, "").want(404)
		c.call(t, "POST", "/v3/auth/tokens", "", below).want(401)
	}
}
