package api_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"
)

// signer signs requests as a consumer does.
type signer struct {
	c                  *cloud
	consumer, secret   string
	token, tokenSecret string
	verifier, nonce    string
	calls              int
}

func (s *signer) header(path string) string {
	s.calls++
	params := map[string]string{"oauth_consumer_key": s.consumer, "oauth_nonce": fmt.Sprintf("%s%d", s.nonce, s.calls),
		"oauth_timestamp": fmt.Sprint(s.c.clock.Now().Unix()), "oauth_signature_method": "HMAC-SHA1", "oauth_version": "1.0"}
	if s.token != "" {
		params["oauth_token"] = s.token
	}
	if s.verifier != "" {
		params["oauth_verifier"] = s.verifier
	}
	var pairs []string
	for name, value := range params {
		pairs = append(pairs, name+"="+url.QueryEscape(value))
	}
	sort.Strings(pairs)
	text := "POST&" + url.QueryEscape(s.c.server.URL+path) + "&" + url.QueryEscape(strings.Join(pairs, "&"))
	m := hmac.New(sha1.New, []byte(s.secret+"&"+s.tokenSecret))
	m.Write([]byte(text))
	params["oauth_signature"] = base64.StdEncoding.EncodeToString(m.Sum(nil))
	var parts []string
	for name, value := range params {
		parts = append(parts, name+`="`+url.QueryEscape(value)+`"`)
	}
	return "OAuth " + strings.Join(parts, ", ")
}

func (s *signer) post(t *testing.T, path, body string, headers ...string) reply {
	t.Helper()
	return s.c.call(t, "POST", path, "", body, append(headers, "Authorization", s.header(path))...)
}

// take reads a token from a form.
func (s *signer) take(t *testing.T, r reply) {
	t.Helper()
	form, err := url.ParseQuery(string(r.want(201).body))
	if err != nil || form.Get("oauth_token") == "" || form.Get("oauth_token_secret") == "" || form.Get("oauth_expires_at") == "" {
		t.Fatalf("no token in %s: %v", r.body, err)
	}
	s.token, s.tokenSecret, s.verifier = form.Get("oauth_token"), form.Get("oauth_token_secret"), ""
}

func TestOAuth(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	project, user := c.find(t, admin, "projects", "admin"), c.find(t, admin, "users", "admin")
	made := c.call(t, "POST", "/v3/OS-OAUTH1/consumers", admin, `{"consumer":{"description":"d","note":"n"}}`).want(201)
	s := &signer{c: c, consumer: made.text("consumer", "id"), secret: made.text("consumer", "secret")}
	at := "/v3/OS-OAUTH1/consumers/" + s.consumer
	c.golden(t, "consumer", c.call(t, "GET", at, admin, "").want(200).body)
	c.expect(t, []expectation{
		{admin, "GET", "/OS-OAUTH1/consumers", "", 200},
		{admin, "PATCH", at[3:], `{"consumer":{"description":null}}`, 200},
		{admin, "PATCH", at[3:], `{"consumer":{"secret":"mine"}}`, 400},
		{admin, "PATCH", "/OS-OAUTH1/consumers/ghost", `{"consumer":{"description":"x"}}`, 404},
		{admin, "POST", "/OS-OAUTH1/consumers", `{"consumer":{"description":7}}`, 400},
		{demo, "POST", "/OS-OAUTH1/consumers", `{"consumer":{}}`, 403},
		{demo, "GET", "/OS-OAUTH1/consumers", "", 403},
		{admin, "GET", "/OS-OAUTH1/consumers/ghost", "", 404},
		{"", "POST", "/OS-OAUTH1/request_token", "", 400},
		{"", "POST", "/OS-OAUTH1/access_token", "", 400},
	})

	const request, access, tokens = "/v3/OS-OAUTH1/request_token", "/v3/OS-OAUTH1/access_token", "/v3/auth/tokens"
	s.post(t, request, "").want(400)
	s.post(t, request, "", "Requested-Project-Id", "ghost").want(404)
	(&signer{c: c, consumer: s.consumer, secret: "wrong", nonce: "w"}).post(t, request, "", "Requested-Project-Id", project).want(401)
	(&signer{c: c, consumer: "ghost", secret: s.secret}).post(t, request, "", "Requested-Project-Id", project).want(401)
	once := s.header(request)
	s.take(t, c.call(t, "POST", request, "", "", "Requested-Project-Id", project, "Authorization", once))
	c.call(t, "POST", request, "", "", "Requested-Project-Id", project, "Authorization", once).want(401)

	authorize := "/OS-OAUTH1/authorize/" + s.token
	s.verifier = "early"
	s.post(t, access, "").want(401)
	c.expect(t, []expectation{
		{demo, "PUT", authorize, `{"roles":[{"name":"reader"}]}`, 403},
		{admin, "PUT", authorize, `{"roles":[]}`, 400},
		{admin, "PUT", authorize, `{"roles":[{"name":"service"}]}`, 401},
		{admin, "PUT", authorize, `{"roles":[{"name":"ghost"}]}`, 404},
		{admin, "PUT", "/OS-OAUTH1/authorize/ghost", `{"roles":[{"name":"reader"}]}`, 404},
	})
	verifier := c.call(t, "PUT", "/v3"+authorize, admin, `{"roles":[{"name":"member"}]}`).want(200).text("token", "oauth_verifier")
	s.verifier = "wrong"
	s.post(t, access, "").want(401)
	s.verifier = verifier
	s.take(t, s.post(t, access, ""))
	(&signer{c: c, consumer: s.consumer, secret: s.secret, token: "ghost", verifier: "v", nonce: "g"}).post(t, access, "").want(404)

	const oauth1 = `{"auth":{"identity":{"methods":["oauth1"],"oauth1":{}}}}`
	issued := s.post(t, tokens, oauth1).want(201)
	c.golden(t, "token_oauth", issued.body)
	(&signer{c: c, consumer: s.consumer, secret: s.secret, token: s.token, tokenSecret: "wrong", nonce: "x"}).post(t, tokens, oauth1).want(401)
	c.call(t, "POST", tokens, "", oauth1).want(400)
	token := issued.header.Get("X-Subject-Token")
	mine := "/users/" + user + "/OS-OAUTH1/access_tokens"
	c.golden(t, "access_token", c.call(t, "GET", "/v3"+mine+"/"+s.token, admin, "").want(200).body)
	role := c.call(t, "GET", "/v3"+mine+"/"+s.token+"/roles", admin, "").want(200).text("roles", 0, "id")
	c.expect(t, []expectation{
		{admin, "GET", mine, "", 200},
		{admin, "GET", mine + "/" + s.token + "/roles/" + role, "", 200},
		{admin, "GET", mine + "/" + s.token + "/roles/ghost", "", 404},
		{admin, "GET", "/users/ghost/OS-OAUTH1/access_tokens/" + s.token, "", 404},
		{demo, "GET", mine, "", 403},
		{token, "GET", "/regions", "", 200},
		{token, "GET", "/users", "", 403},
		{"", "POST", "/auth/tokens", byToken(token, ""), 403},
		{token, "POST", "/users/" + user + "/application_credentials", `{"application_credential":{"name":"x"}}`, 403},
	})
	c.call(t, "DELETE", "/v3"+mine+"/"+s.token, admin, "").want(204)
	c.call(t, "GET", "/v3/regions", token, "").want(401)
	s.post(t, tokens, oauth1).want(401)

	// A request token has its time, and goes with its consumer.
	s.token, s.tokenSecret = "", ""
	s.take(t, s.post(t, request, "", "Requested-Project-Id", project))
	c.clock.Advance(9 * time.Hour)
	c.call(t, "PUT", "/v3/OS-OAUTH1/authorize/"+s.token, c.admin(t), `{"roles":[{"name":"member"}]}`).want(401)
	c.call(t, "DELETE", at, c.admin(t), "").want(204)
	c.call(t, "PUT", "/v3/OS-OAUTH1/authorize/"+s.token, c.admin(t), `{"roles":[{"name":"member"}]}`).want(404)
	s.post(t, request, "", "Requested-Project-Id", project).want(401)
}
