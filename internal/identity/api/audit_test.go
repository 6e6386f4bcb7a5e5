package api_test

import (
	"fmt"
	"net/url"
	"testing"

	"nacre/internal/bus/bustest"
	"nacre/internal/identity"
)

// record is what an audit record says.
type record struct{ outcome, user, methods, reason string }

func recordOf(t *testing.T, m bustest.Told) record {
	t.Helper()
	initiator := m.Payload["initiator"].(map[string]any)
	host := initiator["host"].(map[string]any)
	if m.Type != "identity.authenticate" || m.Payload["action"] != "authenticate" || host["address"] != "127.0.0.1" || host["agent"] == "" {
		t.Errorf("%s is %v", m.Type, m.Payload)
	}
	r := record{outcome: m.Payload["outcome"].(string)}
	r.user, _ = initiator["username"].(string)
	r.methods, _ = m.Payload["attachments"].([]any)[0].(map[string]any)["content"].(string)
	reason, _ := m.Payload["reason"].(map[string]any)
	r.reason, _ = reason["reasonCode"].(string)
	return r
}

// Each way to sign in leaves a record of what became of it.
func TestAllWaysToSignInAreRecorded(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *identity.Options) { o.OptOut = nil })
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	c.create(t, admin, "users", "user", map[string]any{"name": "helper", "password": "pw"})
	helper := c.find(t, admin, "users", "helper")
	app := c.call(t, "POST", "/v3/users/"+me+"/application_credentials", demo, `{"application_credential":{"name":"a"}}`).want(201)
	appID, appSecret := app.text("application_credential", "id"), app.text("application_credential", "secret")
	trust := c.call(t, "POST", "/v3/OS-TRUST/trusts", demo, fmt.Sprintf(
		`{"trust":{"trustor_user_id":%q,"trustee_user_id":%q,"project_id":%q,"impersonation":true,"roles":[{"name":"member"}]}}`, me, helper, project)).want(201).text("trust", "id")
	key := c.call(t, "POST", "/v3/users/"+me+"/credentials/OS-EC2", demo, `{"tenant_id":"`+project+`"}`).want(201)
	access, secret := key.text("credential", "access"), key.text("credential", "secret")
	consumer := c.call(t, "POST", "/v3/OS-OAUTH1/consumers", admin, `{"consumer":{}}`).want(201)
	s := &signer{c: c, consumer: consumer.text("consumer", "id"), secret: consumer.text("consumer", "secret")}
	s.take(t, s.post(t, "/v3/OS-OAUTH1/request_token", "", "Requested-Project-Id", c.find(t, admin, "projects", "admin")))
	s.verifier = c.call(t, "PUT", "/v3/OS-OAUTH1/authorize/"+s.token, admin, `{"roles":[{"name":"member"}]}`).want(200).text("token", "oauth_verifier")
	s.take(t, s.post(t, "/v3/OS-OAUTH1/access_token", ""))
	program := c.program(t, false)
	const tokens = "/v3/auth/tokens"
	post := func(body string) reply { return c.call(t, "POST", tokens, "", body) }
	typed := func(password string) url.Values {
		return url.Values{"user": {"demo"}, "domain": {"Default"}, "password": {password}}
	}
	heard := bustest.Listen(t, c.db, identity.Topic, identity.Notifications("api-1", nil))
	heard()
	for name, try := range map[string]struct {
		do   func() reply
		want record
	}{
		"password":               {func() reply { return post(password("demo", "Default", c.boot.DemoPassword, "")) }, record{"success", "demo", "password", ""}},
		"wrong password":         {func() reply { return post(password("demo", "Default", "wrong", "")) }, record{"failure", "demo", "password", "401"}},
		"nobody":                 {func() reply { return post(password("ghost", "Default", "wrong", "")) }, record{"failure", "", "password", "401"}},
		"no role there":          {func() reply { return post(password("demo", "Default", c.boot.DemoPassword, onAdmin)) }, record{"failure", "demo", "password", "401"}},
		"token":                  {func() reply { return post(byToken(demo, "")) }, record{"success", "demo", "token", ""}},
		"no token":               {func() reply { return post(byToken("nonsense", "")) }, record{"failure", "", "token", "404"}},
		"application credential": {func() reply { return post(byAppCredential(appID, appSecret, "")) }, record{"success", "demo", "application_credential", ""}},
		"wrong secret":           {func() reply { return post(byAppCredential(appID, "wrong", "")) }, record{"failure", "demo", "application_credential", "401"}},
		"trust":                  {func() reply { return post(password("helper", "Default", "pw", onTrust(trust))) }, record{"success", "helper", "password", ""}},
		"somebody else's trust":  {func() reply { return post(password("admin", "Default", c.boot.AdminPassword, onTrust(trust))) }, record{"failure", "admin", "password", "403"}},
		"EC2":                    {func() reply { return c.call(t, "POST", "/v3/ec2tokens", admin, signed(access, secret, c.clock.Now())) }, record{"success", "demo", "ec2credential", ""}},
		"wrong signature":        {func() reply { return c.call(t, "POST", "/v3/ec2tokens", admin, signed(access, "wrong", c.clock.Now())) }, record{"failure", "demo", "ec2credential", "401"}},
		"OAuth 1":                {func() reply { return s.post(t, tokens, `{"auth":{"identity":{"methods":["oauth1"],"oauth1":{}}}}`) }, record{"success", "admin", "oauth1", ""}},
		"OAuth 1, wrong secret": {func() reply {
			return (&signer{c: c, consumer: s.consumer, secret: s.secret, token: s.token, tokenSecret: "wrong", nonce: "x"}).post(t, tokens, `{"auth":{"identity":{"methods":["oauth1"],"oauth1":{}}}}`)
		}, record{"failure", "admin", "oauth1", "401"}},
		"OAuth 2": {func() reply {
			return c.form(t, "/v3/OS-OAUTH2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {appID}, "client_secret": {appSecret}})
		}, record{"success", "demo", "application_credential", ""}},
		"at another program":        {func() reply { return submit(t, program.address(), typed(c.boot.DemoPassword)) }, record{"success", "demo", "password", ""}},
		"at another program, wrong": {func() reply { return submit(t, program.address(), typed("wrong")) }, record{"failure", "demo", "password", "401"}},
		"another password, not knowing": {func() reply {
			return c.call(t, "POST", "/v3/users/"+me+"/password", "", `{"user":{"original_password":"wrong","password":"x"}}`)
		}, record{"failure", "demo", "password", "401"}},
	} {
		r := try.do()
		got := heard()
		var records []record
		for _, m := range got {
			if m.Type == "identity.authenticate" {
				records = append(records, recordOf(t, m))
			}
		}
		if len(records) != 1 || records[0] != try.want {
			t.Errorf("%s: answered with %d, recorded as %+v, want %+v", name, r.status, records, try.want)
		}
	}

	_, user := twoFactors(t, c)
	heard()
	receipt := post(password("demo", "Default", c.boot.DemoPassword, onDemo)).want(401).header.Get("Openstack-Auth-Receipt")
	post(byPasscode(user, "000000", onDemo)).want(401)
	c.call(t, "POST", tokens, "", byPasscode(user, passcode(t, c.clock.Now()), onDemo), "Openstack-Auth-Receipt", receipt).want(201)
	got := heard()
	want := []record{{"pending", "demo", "password", ""}, {"failure", "demo", "totp", "401"}, {"success", "demo", "totp", ""}}
	for i, m := range got {
		if i >= len(want) || recordOf(t, m) != want[i] {
			t.Errorf("record %d is %+v, want the %d records %+v", i, recordOf(t, m), len(want), want)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
}

// A sign-in by a provider names it and the groups that it named.
func TestSignInsByProvidersAreRecorded(t *testing.T) {
	t.Parallel()
	c, p := federated(t)
	heard := bustest.Listen(t, c.db, identity.Topic, identity.Notifications("api-1", nil))
	user := c.present(t, p.bearer()).want(201).text("token", "user", "id")
	var records []bustest.Told
	for _, m := range heard() {
		if m.Type == "identity.authenticate" {
			records = append(records, m)
		}
	}
	if len(records) != 1 {
		t.Fatalf("%d records, want one", len(records))
	}
	initiator := records[0].Payload["initiator"].(map[string]any)
	credential, _ := initiator["credential"].(map[string]any)
	if records[0].Payload["outcome"] != "success" || initiator["user_id"] != user || credential["identity_provider"] != "acme" || credential["user"] != user {
		t.Errorf("recorded %v", records[0].Payload)
	}
}

// What operators opt out of is told to nobody.
func TestOptOut(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *identity.Options) { o.OptOut = identity.KeystoneOptOut })
	heard := bustest.Listen(t, c.db, identity.Topic, identity.Notifications("api-1", []string{"identity.user.created"}))
	admin := c.admin(t)
	c.create(t, admin, "users", "user", map[string]any{"name": "u"})
	c.create(t, admin, "groups", "group", map[string]any{"name": "g"})
	if got := bustest.Types(heard()); len(got) != 1 || got[0] != "identity.group.created" {
		t.Errorf("told of %q, want of the group alone", got)
	}
}
