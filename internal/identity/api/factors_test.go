package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

const secretOfDemo = "JBSWY3DPEHPK3PXP"

// twoFactors makes the demo user need its password and a passcode.
func twoFactors(t *testing.T, c *cloud) (admin, user string) {
	t.Helper()
	admin = c.admin(t)
	user = c.call(t, "GET", "/v3/users?name=demo", admin, "").want(200).text("users", 0, "id")
	c.call(t, "POST", "/v3/credentials", admin, `{"credential":{"type":"totp","user_id":"`+user+`","blob":"`+secretOfDemo+`"}}`).want(201)
	c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"options":{"multi_factor_auth_enabled":true,"multi_factor_auth_rules":[["password","totp"],["token"]]}}}`).want(200)
	return admin, user
}

func passcode(t *testing.T, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secretOfDemo, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func byPasscode(user, code, scope string) string {
	return authBody(map[string]any{"identity": map[string]any{"methods": []string{"totp"}, "totp": map[string]any{"user": map[string]any{"id": user, "passcode": code}}}}, scope)
}

// withPasscode adds a passcode to a sign-in by password.
func withPasscode(t *testing.T, body, user, code string) string {
	t.Helper()
	var all struct {
		Auth map[string]any `json:"auth"`
	}
	err := json.Unmarshal([]byte(body), &all)
	if err != nil {
		t.Fatal(err)
	}
	identity := all.Auth["identity"].(map[string]any)
	identity["methods"] = []string{"password", "totp"}
	identity["totp"] = map[string]any{"user": map[string]any{"id": user, "passcode": code}}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The password alone gives a receipt, the passcode with the receipt a token,
// and both at once a token too. From that token others can be made.
func TestTwoFactors(t *testing.T) {
	t.Parallel()
	c := start(t)
	_, user := twoFactors(t, c)
	first := c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, onDemo)).want(401)
	c.golden(t, "receipt", first.body)
	receipt := first.header.Get("Openstack-Auth-Receipt")
	if receipt == "" || first.header.Get("X-Subject-Token") != "" {
		t.Fatalf("headers are %v, want a receipt and no token", first.header)
	}
	c.call(t, "GET", "/v3/auth/projects", receipt, "").want(401)
	body := byPasscode(user, passcode(t, c.clock.Now()), onDemo)
	made := c.call(t, "POST", "/v3/auth/tokens", "", body, "Openstack-Auth-Receipt", receipt).want(201)
	c.call(t, "POST", "/v3/auth/tokens", "", byToken(made.header.Get("X-Subject-Token"), onDemo)).want(201)

	c.clock.Advance(passcodeStep)
	c.call(t, "POST", "/v3/auth/tokens", "", withPasscode(t, password("demo", "Default", c.boot.DemoPassword, onDemo), user, passcode(t, c.clock.Now()))).want(201)
}

const passcodeStep = 30 * time.Second

// No passcode is good twice, none long after its time, and no receipt after five
// minutes or for another user.
func TestFactorsRefused(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, user := twoFactors(t, c)
	onlyPassword := password("demo", "Default", c.boot.DemoPassword, onDemo)
	try := func(code string) reply {
		return c.call(t, "POST", "/v3/auth/tokens", "", withPasscode(t, onlyPassword, user, code))
	}
	code := passcode(t, c.clock.Now())
	try("000000").want(401)
	try("").want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", byPasscode("nobody", code, onDemo)).want(401)
	try(code).want(201)
	try(code).want(401)
	old := passcode(t, c.clock.Now())
	c.clock.Advance(2 * passcodeStep)
	try(old).want(401)
	before := passcode(t, c.clock.Now().Add(-passcodeStep))
	try(before).want(201)

	receipt := c.call(t, "POST", "/v3/auth/tokens", "", onlyPassword).want(401).header.Get("Openstack-Auth-Receipt")
	c.call(t, "POST", "/v3/auth/tokens", "", password("admin", "Default", c.boot.AdminPassword, onAdmin), "Openstack-Auth-Receipt", receipt).want(401)
	token := c.token(t, password("admin", "Default", c.boot.AdminPassword, onAdmin))
	c.call(t, "POST", "/v3/auth/tokens", "", byPasscode(user, passcode(t, c.clock.Now()), onDemo), "Openstack-Auth-Receipt", token).want(401)
	c.clock.Advance(5 * time.Minute)
	c.call(t, "POST", "/v3/auth/tokens", "", byPasscode(user, passcode(t, c.clock.Now()), onDemo), "Openstack-Auth-Receipt", receipt).want(401)

	for _, options := range []string{
		`{"multi_factor_auth_enabled":"yes"}`, `{"multi_factor_auth_rules":"password"}`, `{"multi_factor_auth_rules":[[]]}`,
		`{"multi_factor_auth_rules":[["password","password"]]}`, `{"multi_factor_auth_rules":[[1]]}`, `{"unheard_of":true}`,
	} {
		c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"options":`+options+`}}`).want(400)
	}
	c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"options":{"multi_factor_auth_enabled":false}}}`).want(200)
	c.call(t, "POST", "/v3/auth/tokens", "", onlyPassword).want(201)
}
