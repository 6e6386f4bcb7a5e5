package api_test

import (
	"slices"
	"testing"
)

const someRules = `[{"local":[{"user":{"name":"{0}"},"group":{"id":"g"}}],"remote":[{"type":"REMOTE_USER"},{"type":"ORG","any_one_of":["a.*"],"regex":true}]}]`

func TestIdentityProviders(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	const all, acme, acmeSaml = "/OS-FEDERATION/identity_providers", "/OS-FEDERATION/identity_providers/acme", "/OS-FEDERATION/identity_providers/acme/protocols/saml2"
	made := c.call(t, "PUT", "/v3"+acme, admin, `{"identity_provider":{"description":"d","enabled":true,"remote_ids":["https://acme/a","https://acme/b"]}}`).want(201)
	c.golden(t, "identity_provider", made.body)
	domain := made.text("identity_provider", "domain_id")
	c.expect(t, []expectation{
		{admin, "GET", "/domains/" + domain, "", 200},
		{admin, "PUT", acme, `{"identity_provider":{}}`, 409},
		{admin, "PUT", all + "/b", `{"identity_provider":{"domain_id":"ghost"}}`, 404},
		{admin, "PUT", all + "/b", `{"identity_provider":{"domain_id":"default","remote_ids":["https://acme/a"]}}`, 409},
		{admin, "PUT", all + "/b", `{"identity_provider":{"nonsense":1}}`, 400},
		{admin, "PUT", all + "/b", `{"identity_provider":{"authorization_ttl":-1}}`, 400},
		{demo, "PUT", all + "/b", `{"identity_provider":{}}`, 403},
		{demo, "GET", all, "", 403},
		{admin, "GET", all + "/ghost", "", 404},
		{admin, "PUT", all + "/b", `{"identity_provider":{"domain_id":"default"}}`, 201},
		{admin, "PATCH", acme, `{"identity_provider":{"enabled":false,"remote_ids":["https://acme/c"],"authorization_ttl":5}}`, 200},
		{admin, "PATCH", acme, `{"identity_provider":{"domain_id":"default"}}`, 400},
		{admin, "PATCH", acme, `{"identity_provider":{}}`, 400},
		{admin, "PATCH", all + "/ghost", `{"identity_provider":{"enabled":true}}`, 404},
		{admin, "PUT", acmeSaml, `{"protocol":{"mapping_id":"ghost"}}`, 400},
		{admin, "PUT", "/OS-FEDERATION/mappings/m", `{"mapping":{"rules":` + someRules + `}}`, 201},
		{admin, "PUT", acmeSaml, `{"protocol":{}}`, 400},
		{admin, "PUT", all + "/ghost/protocols/saml2", `{"protocol":{"mapping_id":"m"}}`, 404},
		{demo, "PUT", acmeSaml, `{"protocol":{"mapping_id":"m"}}`, 403},
		{admin, "PUT", acmeSaml, `{"protocol":{"mapping_id":"m"}}`, 201},
		{admin, "PUT", acmeSaml, `{"protocol":{"mapping_id":"m"}}`, 409},
		{admin, "PATCH", acmeSaml, `{"protocol":{"mapping_id":"ghost"}}`, 400},
		{admin, "PATCH", acmeSaml, `{"protocol":{"mapping_id":"m","remote_id_attribute":"x"}}`, 200},
		{admin, "PATCH", acme + "/protocols/ghost", `{"protocol":{"mapping_id":"m"}}`, 404},
		{admin, "GET", acme + "/protocols/ghost", "", 404},
		{admin, "GET", all + "/ghost/protocols", "", 404},
		{demo, "GET", acmeSaml, "", 403},
		{admin, "DELETE", "/OS-FEDERATION/mappings/m", "", 409},
	})
	c.golden(t, "protocol", c.call(t, "GET", "/v3"+acmeSaml, admin, "").want(200).body)
	if got := c.call(t, "GET", "/v3"+acme+"/protocols", admin, "").want(200).names("protocols", "id"); !slices.Equal(got, []string{"saml2"}) {
		t.Errorf("protocols: %v", got)
	}
	shown := c.call(t, "GET", "/v3"+acme, admin, "").want(200)
	if got := shown.get("identity_provider", "remote_ids").([]any); len(got) != 1 || got[0] != "https://acme/c" {
		t.Errorf("remote ids: %v", got)
	}
	if got := c.call(t, "GET", "/v3"+all+"?id=b", admin, "").want(200).names("identity_providers", "id"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("providers: %v", got)
	}
	c.expect(t, []expectation{
		{admin, "DELETE", acmeSaml, "", 204}, {admin, "DELETE", acmeSaml, "", 404},
		{admin, "PUT", acmeSaml, `{"protocol":{"mapping_id":"m"}}`, 201},
		{admin, "DELETE", acme, "", 204}, {admin, "DELETE", acme, "", 404},
		{admin, "DELETE", "/OS-FEDERATION/mappings/m", "", 204},
		{demo, "GET", "/OS-FEDERATION/projects", "", 200}, {demo, "GET", "/OS-FEDERATION/domains", "", 200},
	})
}

func TestMappings(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	const m = "/OS-FEDERATION/mappings/m"
	c.golden(t, "mapping", c.call(t, "PUT", "/v3"+m, admin, `{"mapping":{"rules":`+someRules+`}}`).want(201).body)
	for _, rules := range []string{`[]`, `{}`, `[{}]`, `[{"local":[{}]}]`, `[{"local":[{}],"remote":[]}]`, `[{"local":[{}],"remote":[{}]}]`,
		`[{"local":[{"nonsense":1}],"remote":[{"type":"A"}]}]`, `[{"local":[{"user":{"type":"root"}}],"remote":[{"type":"A"}]}]`,
		`[{"local":[{}],"remote":[{"type":"A","any_one_of":"x"}]}]`, `[{"local":[{}],"remote":[{"type":"A","any_one_of":["x"],"whitelist":["y"]}]}]`,
		`[{"local":[{}],"remote":[{"type":"A","any_one_of":["("],"regex":true}]}]`, `[{"local":[{"group":{}}],"remote":[{"type":"A"}]}]`} {
		c.call(t, "PUT", "/v3/OS-FEDERATION/mappings/bad", admin, `{"mapping":{"rules":`+rules+`}}`).want(400)
	}
	c.expect(t, []expectation{
		{admin, "PUT", m, `{"mapping":{"rules":` + someRules + `}}`, 409},
		{admin, "PATCH", m, `{"mapping":{"rules":` + someRules + `,"schema_version":"2.0"}}`, 200},
		{admin, "PATCH", m, `{"mapping":{"rules":` + someRules + `,"schema_version":"9"}}`, 400},
		{admin, "PATCH", "/OS-FEDERATION/mappings/ghost", `{"mapping":{"rules":` + someRules + `}}`, 404},
		{demo, "PUT", "/OS-FEDERATION/mappings/n", `{"mapping":{"rules":` + someRules + `}}`, 403},
		{demo, "GET", m, "", 403},
		{admin, "GET", "/OS-FEDERATION/mappings/ghost", "", 404},
	})
	if got := c.call(t, "GET", "/v3/OS-FEDERATION/mappings", admin, "").want(200).names("mappings", "schema_version"); !slices.Equal(got, []string{"2.0"}) {
		t.Errorf("mappings: %v", got)
	}
	c.expect(t, []expectation{{admin, "DELETE", m, "", 204}, {admin, "DELETE", m, "", 404}})
}

func TestServiceProviders(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	const all, west = "/OS-FEDERATION/service_providers", "/OS-FEDERATION/service_providers/west"
	c.golden(t, "service_provider", c.call(t, "PUT", "/v3"+west, admin,
		`{"service_provider":{"auth_url":"https://west/v3/auth","sp_url":"https://west/sp","description":"d","enabled":true}}`).want(201).body)
	told := c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, `"unscoped"`)).want(201)
	if told.text("token", "service_providers", 0, "sp_url") != "https://west/sp" {
		t.Errorf("a token does not tell of the provider: %s", told.body)
	}
	c.expect(t, []expectation{
		{admin, "PUT", west, `{"service_provider":{"auth_url":"https://w","sp_url":"https://w"}}`, 409},
		{admin, "PUT", all + "/x", `{"service_provider":{"auth_url":"https://w"}}`, 400},
		{admin, "PUT", all + "/x", `{"service_provider":{"auth_url":"nowhere","sp_url":"https://w"}}`, 400},
		{admin, "PUT", all + "/x", `{"service_provider":{"auth_url":"https://w","sp_url":"https://w","nonsense":1}}`, 400},
		{demo, "PUT", all + "/x", `{"service_provider":{"auth_url":"https://w","sp_url":"https://w"}}`, 403},
		{admin, "PATCH", west, `{"service_provider":{"enabled":false,"relay_state_prefix":"p"}}`, 200},
		{admin, "PATCH", west, `{"service_provider":{}}`, 400},
		{admin, "PATCH", all + "/ghost", `{"service_provider":{"enabled":false}}`, 404},
		{demo, "GET", west, "", 403},
		{admin, "GET", all + "/ghost", "", 404},
	})
	for query, want := range map[string]int{"": 1, "?enabled=true": 0, "?enabled=false": 1, "?id=other": 0} {
		if got := c.call(t, "GET", "/v3"+all+query, admin, "").want(200).names("service_providers", "id"); len(got) != want {
			t.Errorf("%q lists %v", query, got)
		}
	}
	if told := c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, `"unscoped"`)).want(201); told.get("token", "service_providers") != nil {
		t.Errorf("a token tells of a disabled provider: %s", told.body)
	}
	c.expect(t, []expectation{{admin, "DELETE", west, "", 204}, {admin, "DELETE", west, "", 404}})
}

func TestRevocationEvents(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	user, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	another := c.demo(t)
	c.call(t, "DELETE", "/v3/auth/tokens", admin, "", "X-Subject-Token", another).want(204)
	c.call(t, "DELETE", "/v3/projects/"+project+"/users/"+user+"/roles/"+c.find(t, admin, "roles", "member"), admin, "").want(204)
	c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"enabled":false}}`).want(200)
	c.golden(t, "revocations", c.call(t, "GET", "/v3/OS-REVOKE/events", admin, "").want(200).body)
	c.expect(t, []expectation{
		{demo, "GET", "/OS-REVOKE/events", "", 401},
		{admin, "GET", "/OS-REVOKE/events?since=yesterday", "", 400},
	})
	later := c.call(t, "GET", "/v3/OS-REVOKE/events?since=2026-12-01T09:00:00Z", admin, "").want(200).get("events").([]any)
	if len(later) != 1 {
		t.Errorf("later than all: %v", later)
	}
}
