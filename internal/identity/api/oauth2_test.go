package api_test

import (
	"encoding/base64"
	"net/url"
	"testing"
)

// form posts a form.
func (c *cloud) form(t *testing.T, path string, values url.Values, headers ...string) reply {
	t.Helper()
	return c.call(t, "POST", path, "", values.Encode(), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
}

func TestOAuth2ClientCredentials(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me := c.find(t, admin, "users", "demo")
	made := c.call(t, "POST", "/v3/users/"+me+"/application_credentials", demo, `{"application_credential":{"name":"client"}}`).want(201)
	id, secret := made.text("application_credential", "id"), made.text("application_credential", "secret")
	const path = "/v3/OS-OAUTH2/token"
	grant := url.Values{"grant_type": {"client_credentials"}}
	basic := func(id, secret string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
	}
	inForm := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	for name, r := range map[string]reply{"header": c.form(t, path, grant, basic(id, secret)...), "form": c.form(t, path, inForm)} {
		if r.want(200).text("token_type") != "Bearer" || r.get("expires_in").(float64) != 3600 || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %s", name, r.header, r.body)
		}
		token := r.text("access_token")
		c.call(t, "GET", "/v3/auth/projects", "", "", "Authorization", "Bearer "+token).want(200)
		c.call(t, "GET", "/v3/auth/projects", token, "").want(200)
		c.call(t, "GET", "/v3/users", "", "", "Authorization", "Bearer "+token).want(403)
	}
	c.call(t, "GET", "/v3/auth/projects", "", "", "Authorization", "Bearer nonsense").want(401)
	for name, test := range map[string]struct {
		reply  reply
		status int
		word   string
	}{
		"no grant":      {c.form(t, path, url.Values{}, basic(id, secret)...), 400, "invalid_request"},
		"another grant": {c.form(t, path, url.Values{"grant_type": {"password"}}, basic(id, secret)...), 400, "unsupported_grant_type"},
		"nobody":        {c.form(t, path, grant), 401, "invalid_client"},
		"wrong secret":  {c.form(t, path, grant, basic(id, "wrong")...), 401, "invalid_client"},
		"no secret":     {c.form(t, path, grant, basic(id, "")...), 401, "invalid_client"},
		"unknown":       {c.form(t, path, grant, basic("ghost", secret)...), 401, "invalid_client"},
	} {
		if test.reply.want(test.status).text("error") != test.word {
			t.Errorf("%s: got %s, want %s", name, test.reply.body, test.word)
		}
		if test.status == 401 && test.reply.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
	}
}
