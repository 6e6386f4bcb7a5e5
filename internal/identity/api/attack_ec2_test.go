package api_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// ec2Key makes an access key with a token.
func (c *cloud) ec2Key(t *testing.T, token, user, project string) (access, secret string) {
	t.Helper()
	made := c.call(t, "POST", "/v3/users/"+user+"/credentials/OS-EC2", token, `{"tenant_id":"`+project+`"}`).want(201)
	return made.text("credential", "access"), made.text("credential", "secret")
}

// Nobody gets a token, or hears who has signed, for a signed request that came
// by: only services may ask.
func TestAttackUnauthenticatedMinting(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	access, secret := c.ec2Key(t, demo, me, project)
	body := signed(access, secret, c.clock.Now())
	for _, path := range []string{"/v3/ec2tokens", "/v3/s3tokens", "/identity/v3/ec2tokens", "/v3/ec2tokens/", "/v3/s3tokens/"} {
		for token, want := range map[string]int{"": 401, "nonsense": 401, demo: 403} {
			r := c.call(t, "POST", path, token, body)
			if r.status != want || r.header.Get("X-Subject-Token") != "" || strings.Contains(string(r.body), me) {
				t.Errorf("%s with the token %.8q: got %d %s, want %d", path, token, r.status, r.body, want)
			}
		}
	}
	service := c.create(t, admin, "users", "user", map[string]any{"name": "swift", "password": "pw"})
	c.call(t, "PUT", "/v3/projects/"+c.find(t, admin, "projects", "service")+"/users/"+service+"/roles/"+c.find(t, admin, "roles", "service"), admin, "").want(204)
	asService := c.token(t, password("swift", "Default", "pw", `{"project":{"name":"service","domain":{"id":"default"}}}`))
	c.call(t, "POST", "/v3/ec2tokens", asService, body).want(200)
}

// A signature is good for the request it was made of, for a quarter of an hour.
func TestAttackSignatureReplay(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	access, secret := c.ec2Key(t, demo, me, project)
	sent := c.clock.Now()
	body := signed(access, secret, sent)
	c.call(t, "POST", "/v3/ec2tokens", admin, body).want(200)
	otherAccess, _ := c.ec2Key(t, demo, me, project)
	for name, forged := range map[string]string{
		"another path":   strings.Replace(body, `"path":"/"`, `"path":"/x"`, 1),
		"another verb":   strings.Replace(body, `"verb":"GET"`, `"verb":"POST"`, 1),
		"another host":   strings.Replace(body, `"host":"host"`, `"host":"evil"`, 1),
		"another key":    strings.Replace(body, `"access":"`+access, `"access":"`+otherAccess, 1),
		"another time":   strings.Replace(body, sent.UTC().Format(time.RFC3339), sent.Add(time.Hour).UTC().Format(time.RFC3339), 1),
		"no time":        strings.Replace(body, `"Timestamp"`, `"timestamp"`, 1),
		"one more":       strings.Replace(body, `"params":{`, `"params":{"Action":"DeleteAll",`, 1),
		"older version":  strings.Replace(body, `"SignatureVersion":"2"`, `"SignatureVersion":"1"`, 1),
		"oldest version": strings.Replace(body, `"SignatureVersion":"2"`, `"SignatureVersion":"0"`, 1),
		"no version":     strings.Replace(body, `"SignatureVersion":"2"`, `"SignatureVersion":""`, 1),
		"no signature":   strings.Replace(body, `"signature":"`, `"signature":"","was":"`, 1),
	} {
		if forged == body {
			t.Fatalf("%s: nothing was changed in %s", name, body)
		}
		r := c.call(t, "POST", "/v3/ec2tokens", admin, forged)
		if r.status != 401 {
			t.Errorf("%s: got %d, want 401: %s", name, r.status, r.body)
		}
	}
	c.clock.Advance(15*time.Minute + time.Second)
	c.call(t, "POST", "/v3/ec2tokens", c.admin(t), body).want(401)

	// The old versions run names and values together. A time that was moved into
	// the value beside it is missed.
	for version, text := range map[string]string{"0": "List2026-12-01T08:00:00Z", "1": "ActionList" + "SignatureVersion1" + "Timestamp2026-12-01T08:00:00Z"} {
		m := hmac.New(sha1.New, []byte(secret))
		m.Write([]byte(text))
		params := map[string]string{"0": `"SignatureVersion":"0","Action":"` + text + `"`, "1": `"SignatureVersion":"1Timestamp2026-12-01T08:00:00Z","Action":"List"`}[version]
		r := c.call(t, "POST", "/v3/ec2tokens", c.admin(t), fmt.Sprintf(`{"credentials":{"access":%q,"signature":%q,"host":"host","verb":"GET","path":"/","params":{%s}}}`,
			access, base64.StdEncoding.EncodeToString(m.Sum(nil)), params))
		if r.status != 401 {
			t.Errorf("version %s without a time: got %d, want 401: %s", version, r.status, r.body)
		}
	}
}

// A token that was got by an access key is for the services that were asked. It
// reads no secrets, makes none, and no other tokens.
func TestAttackAccessKeyTokens(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	other := c.create(t, admin, "projects", "project", map[string]any{"name": "other"})
	c.call(t, "PUT", "/v3/projects/"+other+"/users/"+me+"/roles/"+c.find(t, admin, "roles", "member"), admin, "").want(204)
	c.create(t, demo, "credentials", "credential", map[string]any{"user_id": me, "type": "totp", "blob": "GEZDGNBVGY3TQOJQ"})
	access, secret := c.ec2Key(t, demo, me, project)
	token := c.call(t, "POST", "/v3/ec2tokens", admin, signed(access, secret, c.clock.Now())).want(200).header.Get("X-Subject-Token")
	c.call(t, "GET", "/v3/auth/tokens", token, "", "X-Subject-Token", token).want(200)
	c.expect(t, []expectation{
		{token, "GET", "/credentials", "", 403},
		{token, "GET", "/users/" + me + "/credentials/OS-EC2", "", 403},
		{token, "POST", "/users/" + me + "/credentials/OS-EC2", `{"tenant_id":"` + other + `"}`, 403},
		{token, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":"totp","blob":"x"}}`, 403},
		{token, "POST", "/users/" + me + "/application_credentials", `{"application_credential":{"name":"x"}}`, 403},
		{token, "POST", "/OS-TRUST/trusts", `{"trust":{"trustor_user_id":"` + me + `","trustee_user_id":"` + me + `","project_id":"` + project + `","impersonation":true,"roles":[{"name":"member"}]}}`, 403},
		{token, "GET", "/users/" + me, "", 403},
		{token, "GET", "/auth/projects", "", 403},
		{"", "POST", "/auth/tokens", byToken(token, `{"project":{"id":"`+other+`"}}`), 403},
		{"", "POST", "/auth/tokens", byToken(token, ""), 403},
	})
}

// What an access key gives ends with the roles, the user, the project and the
// delegation that it was made by, at once.
func TestAttackAccessKeyOutlives(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(t *testing.T, c *cloud, admin, user, project string){
		"role": func(t *testing.T, c *cloud, admin, user, project string) {
			c.call(t, "DELETE", "/v3/projects/"+project+"/users/"+user+"/roles/"+c.find(t, admin, "roles", "member"), admin, "").want(204)
		},
		"user disabled": func(t *testing.T, c *cloud, admin, user, _ string) {
			c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"enabled":false}}`).want(200)
		},
		"project disabled": func(t *testing.T, c *cloud, admin, _, project string) {
			c.call(t, "PATCH", "/v3/projects/"+project, admin, `{"project":{"enabled":false}}`).want(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			admin, demo := c.admin(t), c.demo(t)
			me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
			helper := c.create(t, admin, "users", "user", map[string]any{"name": "helper", "password": "pw"})
			_, _, byCredential := c.appCredential(t, demo, me, `"name":"full","unrestricted":true`)
			trust := c.trustOf(t, demo, me, helper, project, `,"roles":[{"name":"member"}],"impersonation":true`).want(201).text("trust", "id")
			keys := map[string][2]string{}
			for who, token := range map[string]string{"own": demo, "by credential": byCredential, "by trust": c.token(t, password("helper", "Default", "pw", onTrust(trust)))} {
				access, secret := c.ec2Key(t, token, me, project)
				keys[who] = [2]string{access, secret}
				c.call(t, "POST", "/v3/ec2tokens", admin, signed(access, secret, c.clock.Now())).want(200)
			}
			take(t, c, admin, me, project)
			for who, key := range keys {
				r := c.call(t, "POST", "/v3/ec2tokens", admin, signed(key[0], key[1], c.clock.Now()))
				if r.status != 401 && r.status != 403 && r.status != 404 {
					t.Errorf("%s: got %d, want a refusal: %s", who, r.status, r.body)
				}
			}
		})
	}
}

// A key never gives more than the delegation that made it: neither by what its
// blob says nor by another project or type.
func TestAttackAccessKeyBlob(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	them, theirs := c.find(t, admin, "users", "admin"), c.find(t, admin, "projects", "admin")
	blob := func(more string) string { return quoted(`{"access":"K","secret":"s"` + more + `}`) }
	post := func(user, project, more string) reply {
		return c.call(t, "POST", "/v3/credentials", demo, `{"credential":{"user_id":"`+user+`","type":"ec2","project_id":"`+project+`","blob":`+blob(more)+`}}`)
	}
	post(them, theirs, "").want(403)
	post(me, project, `,"app_cred_id":7`).want(400)
	id := post(me, project, `,"trust_id":"mine"`).want(201).text("credential", "id")
	c.expect(t, []expectation{
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"blob":` + blob("") + `}}`, 400},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"blob":` + blob(`,"trust_id":"theirs"`) + `}}`, 400},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"blob":` + blob(`,"trust_id":"mine","app_cred_id":"x"`) + `}}`, 400},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"blob":` + blob(`,"truſt_id":"mine"`) + `}}`, 400},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"project_id":"` + theirs + `"}}`, 400},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"type":"cert"}}`, 400},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"user_id":"` + them + `"}}`, 403},
	})
	c.call(t, "DELETE", "/v3/credentials/"+id, demo, "").want(204)
	// Whoever moves the own key to a project without a role there gets nothing.
	id = post(me, project, "").want(201).text("credential", "id")
	c.call(t, "PATCH", "/v3/credentials/"+id, demo, `{"credential":{"project_id":"`+theirs+`"}}`).want(200)
	c.call(t, "POST", "/v3/ec2tokens", admin, signed("K", "s", c.clock.Now())).want(401)
}

// Credentials of others can be neither listed, read, changed nor taken.
func TestAttackCredentialsOfOthers(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, them := c.find(t, admin, "users", "demo"), c.find(t, admin, "users", "admin")
	theirs := c.create(t, admin, "credentials", "credential", map[string]any{"user_id": them, "type": "totp", "blob": "ADMINSECRET"})
	for _, query := range []string{"", "?user_id=" + them, "?type=totp", "?user_id=", "?user_id=" + me + "&user_id=" + them} {
		r := c.call(t, "GET", "/v3/credentials"+query, demo, "").want(200)
		if strings.Contains(string(r.body), "ADMINSECRET") {
			t.Errorf("%q tells a stranger's secret: %s", query, r.body)
		}
	}
	c.expect(t, []expectation{
		{demo, "GET", "/credentials/" + theirs, "", 403},
		{demo, "GET", "/credentials/" + theirs, `{"credential":{"user_id":"` + me + `"},"target":{"credential":{"user_id":"` + me + `"}}}`, 403},
		{demo, "DELETE", "/credentials/" + theirs, `{"target":{"credential":{"user_id":"` + me + `"}},"user_id":"` + me + `"}`, 403},
		{demo, "PATCH", "/credentials/" + theirs, `{"credential":{"user_id":"` + me + `"},"target":{"credential":{"user_id":"` + me + `"}}}`, 403},
		{demo, "POST", "/credentials", `{"credential":{"user_id":"` + them + `","type":"totp","blob":"x"},"target":{"credential":{"user_id":"` + me + `"}}}`, 403},
		{demo, "POST", "/users/" + them + "/credentials/OS-EC2", `{"tenant_id":"x","user_id":"` + me + `"}`, 403},
	})
}

// Whoever knows an access key, its user and its project, none of them secret,
// has no token: not by what a server remembers of the key, however it is put.
func TestAttackAccessKeyWithoutSecret(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	access, secret := c.ec2Key(t, demo, me, project)
	c.call(t, "POST", "/v3/ec2tokens", admin, signed(access, secret, c.clock.Now())).want(200)
	for _, between := range []string{" ", "/", "\x00", "|", ":"} {
		for _, prefix := range []string{"", "ec2" + between} {
			for empty := range 5 {
				text := prefix + strings.Join([]string{access, me, project}, between) + strings.Repeat(between, empty)
				r := c.call(t, "POST", "/v3/auth/tokens", "", byToken(text, onDemo))
				if r.status < 400 || r.status == 403 {
					t.Fatalf("the key is taken for its token: %d %s", r.status, r.body)
				}
				if !strings.Contains(text, "\x00") {
					c.call(t, "GET", "/v3/auth/tokens", text, "", "X-Subject-Token", text).want(401)
					c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", text).want(404)
				}
			}
		}
	}
	// Nor does somebody else's key take its place.
	them := c.create(t, admin, "users", "user", map[string]any{"name": "thief", "password": "pw"})
	theirs := c.create(t, admin, "projects", "project", map[string]any{"name": "p"})
	c.call(t, "PUT", "/v3/projects/"+theirs+"/users/"+them+"/roles/"+c.find(t, admin, "roles", "member"), admin, "").want(204)
	thief := c.token(t, password("thief", "Default", "pw", `{"project":{"id":"`+theirs+`"}}`))
	body := func(access string) string {
		return `{"credential":{"user_id":"` + them + `","type":"ec2","project_id":"` + theirs + `","blob":` + quoted(`{"access":"`+access+`","secret":"s"}`) + `}}`
	}
	c.call(t, "POST", "/v3/credentials", thief, body(access)).want(409)
	own := c.call(t, "POST", "/v3/credentials", thief, body("mine")).want(201).text("credential", "id")
	c.call(t, "PATCH", "/v3/credentials/"+own, thief, body(access)).want(409)
	r := c.call(t, "POST", "/v3/ec2tokens", admin, signed(access, secret, c.clock.Now())).want(200)
	if r.text("token", "user", "id") != me {
		t.Errorf("the key gives %s", r.body)
	}
}

// A receipt for a password that was changed since is worth nothing.
func TestAttackReceiptOfFormerPassword(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, user := twoFactors(t, c)
	receipt := c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, onDemo)).want(401).header.Get("Openstack-Auth-Receipt")
	c.clock.Advance(2 * time.Second)
	c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"password":"another"}}`).want(200)
	body := byPasscode(user, passcode(t, c.clock.Now()), onDemo)
	c.call(t, "POST", "/v3/auth/tokens", "", body, "Openstack-Auth-Receipt", receipt).want(401)
	receipt = c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", "another", onDemo)).want(401).header.Get("Openstack-Auth-Receipt")
	c.call(t, "POST", "/v3/auth/tokens", "", body, "Openstack-Auth-Receipt", receipt).want(201)
	c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"enabled":false}}`).want(200)
	c.call(t, "POST", "/v3/auth/tokens", "", body, "Openstack-Auth-Receipt", receipt).want(401)
}
