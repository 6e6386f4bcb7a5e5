package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// appCredential makes one for the user demo and signs in with it.
func (c *cloud) appCredential(t *testing.T, token, user, attributes string) (id, secret, issued string) {
	t.Helper()
	made := c.call(t, "POST", "/v3/users/"+user+"/application_credentials", token, `{"application_credential":{`+attributes+`}}`).want(201)
	id, secret = made.text("application_credential", "id"), made.text("application_credential", "secret")
	return id, secret, c.token(t, byAppCredential(id, secret, ""))
}

// A restricted application credential leaves no secret behind that is good for
// more than it is, by no call, and reads none that its user has.
func TestAttackRestrictedCredentialMakesSecrets(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	key := c.call(t, "POST", "/v3/users/"+me+"/credentials/OS-EC2", demo, `{"tenant_id":"`+project+`"}`).want(201).text("credential", "access")
	totp := c.create(t, demo, "credentials", "credential", map[string]any{"user_id": me, "project_id": project, "type": "totp", "blob": "GEZDGNBVGY3TQOJQ"})
	_, _, limited := c.appCredential(t, demo, me, `"name":"limited","roles":[{"name":"reader"}]`)
	_, _, full := c.appCredential(t, demo, me, `"name":"full","unrestricted":true`)
	blob := `"blob":"{\"access\":\"a\",\"secret\":\"s\"}"`
	var tries []expectation
	for _, token := range []string{limited, full} {
		tries = append(tries, []expectation{
			{token, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":"totp","project_id":"` + project + `","blob":"GEZDGNBVGY3TQOJQ"}}`, 403},
			{token, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":"cert","project_id":"` + project + `","blob":"x"}}`, 403},
			{token, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":"EC2","project_id":"` + project + `",` + blob + `}}`, 403},
			{token, "PATCH", "/credentials/" + totp, `{"credential":{"blob":"mine"}}`, 403},
			{token, "DELETE", "/credentials/" + totp, "", 403},
			{token, "GET", "/credentials/" + totp, "", 403},
			{token, "GET", "/users/" + me + "/credentials/OS-EC2/" + key, "", 403},
			{token, "DELETE", "/users/" + me + "/credentials/OS-EC2/" + key, "", 403},
			{token, "POST", "/OS-TRUST/trusts", `{"trust":{"trustor_user_id":"` + me + `","trustee_user_id":"` + me + `","project_id":"` + project + `","impersonation":true,"roles":[{"name":"reader"}]}}`, 403},
			{token, "POST", "/auth/tokens", byToken(token, onDemo), 403},
			{token, "POST", "/auth/tokens", byToken(token, `{"unscoped":{}}`), 403},
			{token, "POST", "/auth/tokens", byToken(token, onSystem), 403},
		}...)
	}
	c.expect(t, append(tries, []expectation{
		{limited, "POST", "/users/" + me + "/credentials/OS-EC2", `{"tenant_id":"` + project + `"}`, 403},
		{limited, "POST", "/users/" + me + "/application_credentials", `{"application_credential":{"name":"more"}}`, 403},
		{full, "POST", "/users/" + me + "/application_credentials", `{"application_credential":{"name":"more","roles":[{"name":"admin"}]}}`, 400},
	}...))
	for _, list := range []string{"/v3/credentials", "/v3/users/" + me + "/credentials/OS-EC2"} {
		for _, token := range []string{limited, full} {
			r := c.call(t, "GET", list, token, "").want(200)
			if strings.Contains(string(r.body), key) || strings.Contains(string(r.body), totp) {
				t.Errorf("%s tells a delegate the secrets of its user: %s", list, r.body)
			}
		}
	}
	// What an unrestricted one makes has its roles and project, and it sees that.
	own := c.call(t, "POST", "/v3/users/"+me+"/credentials/OS-EC2", full, `{"tenant_id":"`+project+`"}`).want(201).text("credential", "access")
	c.call(t, "GET", "/v3/users/"+me+"/credentials/OS-EC2/"+own, full, "").want(200)
	c.call(t, "GET", "/v3/users/"+me+"/credentials/OS-EC2/"+own, limited, "").want(403)
}

// The token of a restricted application credential has its roles alone, also
// when it is made anew with the help of the user's password.
func TestAttackRestrictedCredentialGainsRoles(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me := c.find(t, admin, "users", "demo")
	id, secret, limited := c.appCredential(t, demo, me, `"name":"limited","roles":[{"name":"reader"}]`)
	again := c.call(t, "POST", "/v3/auth/tokens", "", byToken(limited, "")).want(201)
	both := authBody(map[string]any{"identity": map[string]any{"methods": []string{"password", "application_credential"},
		"password":               map[string]any{"user": map[string]any{"id": me, "password": c.boot.DemoPassword}},
		"application_credential": map[string]any{"id": id, "secret": secret}}}, "")
	for _, r := range []reply{again, c.call(t, "POST", "/v3/auth/tokens", "", both).want(201)} {
		if roles := r.get("token", "roles").([]any); len(roles) != 1 || r.text("token", "roles", 0, "name") != "reader" {
			t.Errorf("the token has the roles %v, want reader", roles)
		}
	}
	member := c.find(t, admin, "roles", "member")
	c.call(t, "PUT", "/v3/projects/"+c.find(t, admin, "projects", "demo")+"/users/"+me+"/roles/"+member, admin, "").want(204)
	r := c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", limited).want(200)
	if len(r.get("token", "roles").([]any)) != 1 {
		t.Errorf("the token gained a role: %s", r.body)
	}
}

// An application credential is its owner's, whoever else the request names.
func TestAttackCredentialOfAnotherUser(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, them := c.find(t, admin, "users", "demo"), c.find(t, admin, "users", "admin")
	id, secret, _ := c.appCredential(t, demo, me, `"name":"mine"`)
	for _, victim := range []map[string]any{{"id": them}, {"name": "admin", "domain": map[string]any{"id": "default"}}} {
		body := authBody(map[string]any{"identity": map[string]any{"methods": []string{"application_credential"},
			"application_credential": map[string]any{"id": id, "secret": secret, "user": victim}}}, "")
		r := c.call(t, "POST", "/v3/auth/tokens", "", body)
		if r.status != 401 && r.text("token", "user", "id") != me {
			t.Errorf("with another user's name it gave %s", r.body)
		}
		body = authBody(map[string]any{"identity": map[string]any{"methods": []string{"application_credential"},
			"application_credential": map[string]any{"name": "mine", "secret": secret, "user": victim}}}, "")
		c.call(t, "POST", "/v3/auth/tokens", "", body).want(401)
	}
	// Methods that mean different users prove nobody.
	body := authBody(map[string]any{"identity": map[string]any{"methods": []string{"password", "application_credential"},
		"password":               map[string]any{"user": map[string]any{"id": them, "password": c.boot.AdminPassword}},
		"application_credential": map[string]any{"id": id, "secret": secret}}}, "")
	c.call(t, "POST", "/v3/auth/tokens", "", body).want(401)
}

// Access rules hold for the path as it is served: no other spelling of it, and
// no header that names another method or address, leads past them.
func TestAttackAccessRulesByPath(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me := c.find(t, admin, "users", "demo")
	_, _, token := c.appCredential(t, demo, me, `"name":"r","access_rules":[
		{"path":"/v3/regions/{region_id}","method":"GET","service":"identity"},{"path":"/v3/auth/**","method":"HEAD","service":"identity"}]`)
	c.call(t, "GET", "/v3/regions/RegionOne", token, "").want(200)
	for _, path := range []string{
		"/v3/users/" + me, "/v3//users/" + me, "/v3/regions/../users/" + me, "/v3/regions/%2e%2e/users/" + me, "/v3/regions/..%2fusers%2f" + me,
		"/v3/regions/RegionOne/../../users/" + me, "/v3/%75sers/" + me, "/v3/users/" + me + "/", "/v3/users/" + me + "?/v3/regions/x", "/v3/users/" + me + ";/v3/regions/x",
		"/v3/users/" + me + "%3f/v3/regions/x", "/identity/v3/users/" + me, "/identity/v3/regions/../users/" + me, "/v3/regions", "/v3/regions/", "/v3/auth/projects", "/v3/auth/catalog",
		"//v3/users/" + me, "/v3/regions/x%00/../../users/" + me, "/v3/V3/regions/x", "/v3/users%2f" + me,
	} {
		r := c.call(t, "GET", path, token, "")
		if r.status != 401 && r.status != 404 {
			t.Errorf("GET %s: got %d, want 401 or 404: %s", path, r.status, r.body)
		}
	}
	for _, header := range [][2]string{
		{"X-Http-Method-Override", "DELETE"}, {"X-Http-Method", "DELETE"}, {"X-Method-Override", "DELETE"}, {"X-Original-Url", "/v3/users/" + me},
		{"X-Rewrite-Url", "/v3/users/" + me}, {"X-Forwarded-Prefix", "/v3/users"}, {"X-Forwarded-Path", "/v3/users/" + me},
	} {
		r := c.call(t, "GET", "/v3/regions/RegionOne?_method=DELETE", token, "", header[0], header[1]).want(200)
		if r.text("region", "id") != "RegionOne" {
			t.Errorf("%s led to %s", header[0], r.body)
		}
		c.call(t, "POST", "/v3/regions/RegionOne", token, "", header[0], "GET").want(405)
	}
	for _, method := range []string{"get", "GET ", "TRACE", "OPTIONS", "CONNECT"} {
		request, err := http.NewRequest("GET", c.server.URL+"/v3/users/"+me, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Method = method
		request.Header.Set("X-Auth-Token", token)
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			continue // not even sent
		}
		response.Body.Close()
		if response.StatusCode < 400 {
			t.Errorf("%q: got %d", method, response.StatusCode)
		}
	}
	// A token that is made with this one has the rules, too.
	again := c.token(t, byToken(token, ""))
	c.call(t, "GET", "/v3/users/"+me, again, "").want(401)
	c.call(t, "GET", "/v3/regions/RegionOne", again, "").want(200)
}

// trustOf makes a trust in the project demo; more are further attributes.
func (c *cloud) trustOf(t *testing.T, token, trustor, trustee, project, more string) reply {
	t.Helper()
	return c.call(t, "POST", "/v3/OS-TRUST/trusts", token, fmt.Sprintf(
		`{"trust":{"trustor_user_id":%q,"trustee_user_id":%q,"project_id":%q%s}}`, trustor, trustee, project, more))
}

// A trust that is handed on is never more than the one it comes from, and is
// not handed on more often than that one says.
func TestAttackTrustRedelegation(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	helper := c.create(t, admin, "users", "user", map[string]any{"name": "helper", "password": "pw"})
	third := c.create(t, admin, "users", "user", map[string]any{"name": "third", "password": "pw"})
	const reader, both = `,"roles":[{"name":"reader"}]`, `,"roles":[{"name":"member"},{"name":"reader"}]`
	first := c.trustOf(t, demo, me, helper, project, reader+`,"impersonation":true,"allow_redelegation":true,"redelegation_count":1,"expires_at":"2026-12-01T09:00:00Z"`).want(201).text("trust", "id")
	byFirst := c.token(t, password("helper", "Default", "pw", onTrust(first)))
	for _, more := range []string{
		both + `,"impersonation":true`,
		reader + `,"impersonation":true,"expires_at":"2026-12-01T10:00:00Z"`,
		reader + `,"impersonation":true,"remaining_uses":5`,
		reader + `,"impersonation":true,"allow_redelegation":true,"redelegation_count":3`,
	} {
		c.trustOf(t, byFirst, me, third, project, more).want(403)
	}
	c.trustOf(t, byFirst, helper, third, project, reader+`,"impersonation":true`).want(403)
	c.trustOf(t, byFirst, me, third, c.find(t, admin, "projects", "admin"), reader+`,"impersonation":true`).want(403)
	second := c.trustOf(t, byFirst, me, third, project, reader+`,"impersonation":true`).want(201)
	if second.text("trust", "expires_at") != "2026-12-01T09:00:00.000000Z" {
		t.Errorf("the second trust ends at %s, want with the first", second.text("trust", "expires_at"))
	}
	// The first said once.
	bySecond := c.token(t, password("third", "Default", "pw", onTrust(second.text("trust", "id"))))
	c.trustOf(t, bySecond, me, helper, project, reader+`,"impersonation":true`).want(403)
	// Without impersonation the trustee has no part in what is the trustor's.
	plain := c.trustOf(t, demo, me, helper, project, reader+`,"impersonation":false,"allow_redelegation":true`).want(201).text("trust", "id")
	byPlain := c.token(t, password("helper", "Default", "pw", onTrust(plain)))
	c.trustOf(t, byPlain, helper, third, project, reader+`,"impersonation":true`).want(403)
	c.expect(t, []expectation{
		{byPlain, "GET", "/users/" + me + "/application_credentials", "", 403},
		{byFirst, "POST", "/users/" + me + "/application_credentials", `{"application_credential":{"name":"x"}}`, 403},
		{byFirst, "POST", "/auth/tokens", byToken(byFirst, onDemo), 403},
		{byFirst, "POST", "/auth/tokens", byToken(byFirst, onTrust(plain)), 403},
	})
}

// Of the uses that remain each is taken once, however many ask at once.
func TestAttackTrustUsesRaced(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	helper := c.create(t, admin, "users", "user", map[string]any{"name": "helper", "password": "pw"})
	const uses = 3
	id := c.trustOf(t, demo, me, helper, project, fmt.Sprintf(`,"roles":[{"name":"reader"}],"impersonation":true,"remaining_uses":%d`, uses)).want(201).text("trust", "id")
	login := c.token(t, password("helper", "Default", "pw", ""))
	statuses := make(chan int, 20)
	var all sync.WaitGroup
	for range cap(statuses) {
		all.Go(func() {
			request, err := http.NewRequest("POST", c.server.URL+"/v3/auth/tokens", strings.NewReader(byToken(login, onTrust(id))))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Content-Type", "application/json")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			if response.StatusCode != 201 && response.Header.Get("X-Subject-Token") != "" {
				t.Error("a refusal has a token in it")
			}
			statuses <- response.StatusCode
		})
	}
	all.Wait()
	close(statuses)
	got := map[int]int{}
	for status := range statuses {
		got[status]++
	}
	if got[201] != uses || got[401] != 20-uses {
		t.Errorf("got %v, want %d tokens and refusals", got, uses)
	}
}

// A trust gives a token for its own project to its own trustee alone.
func TestAttackTrustScope(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	helper := c.create(t, admin, "users", "user", map[string]any{"name": "helper", "password": "pw"})
	c.create(t, admin, "users", "user", map[string]any{"name": "third", "password": "pw"})
	other := c.create(t, admin, "projects", "project", map[string]any{"name": "other"})
	c.call(t, "PUT", "/v3/projects/"+other+"/users/"+me+"/roles/"+c.find(t, admin, "roles", "member"), admin, "").want(204)
	id := c.trustOf(t, demo, me, helper, project, `,"roles":[{"name":"member"}],"impersonation":true`).want(201).text("trust", "id")
	token := c.token(t, password("helper", "Default", "pw", onTrust(id)))
	c.expect(t, []expectation{
		{"", "POST", "/auth/tokens", password("helper", "Default", "pw", `{"OS-TRUST:trust":{"id":"`+id+`"},"project":{"id":"`+other+`"}}`), 400},
		{"", "POST", "/auth/tokens", password("third", "Default", "pw", onTrust(id)), 403},
		{"", "POST", "/auth/tokens", password("demo", "Default", c.boot.DemoPassword, onTrust(id)), 403},
		{"", "POST", "/auth/tokens", byToken(token, `{"project":{"id":"`+other+`"}}`), 403},
		{"", "POST", "/auth/tokens", byToken(token, ""), 403},
		{token, "GET", "/users/" + me + "/credentials/OS-EC2", "", 200},
		{token, "POST", "/users/" + me + "/credentials/OS-EC2", `{"tenant_id":"` + other + `"}`, 403},
		{token, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":"ec2","project_id":"` + project + `","blob":"{\"access\":\"x\",\"secret\":\"s\",\"truſt_id\":\"\"}"}}`, 403},
		{demo, "POST", "/OS-TRUST/trusts", `{"trust":{"trustor_user_id":"` + me + `","trustee_user_id":"` + helper + `","project_id":"` + project + `","impersonation":true,"roles":[{"name":"admin"}]}}`, 404},
		{demo, "POST", "/OS-TRUST/trusts", `{"trust":{"trustor_user_id":"` + c.find(t, admin, "users", "admin") + `","trustee_user_id":"` + me + `","project_id":"` + project + `","impersonation":true,"roles":[{"name":"member"}]}}`, 403},
	})
}
