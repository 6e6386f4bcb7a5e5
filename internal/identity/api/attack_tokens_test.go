package api_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// No token lives longer than the sign-in it comes from, however often another
// one is asked for with it, and in whatever scope.
func TestAttackTokenLifeStretched(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	end := c.call(t, "GET", "/v3/auth/tokens", demo, "", "X-Subject-Token", demo).want(200).text("token", "expires_at")
	_, _, credential := c.appCredential(t, demo, me, `"name":"a"`)
	tokens := map[string]string{`"unscoped"`: demo, onDemo: demo, "": demo}
	for range 4 {
		c.clock.Advance(10 * time.Minute)
		for scope, token := range tokens {
			r := c.call(t, "POST", "/v3/auth/tokens", "", byToken(token, scope)).want(201)
			if r.text("token", "expires_at") != end {
				t.Errorf("a token of a token, scope %s, ends at %s, want %s", scope, r.text("token", "expires_at"), end)
			}
			tokens[scope] = r.header.Get("X-Subject-Token")
		}
		r := c.call(t, "POST", "/v3/auth/tokens", "", byToken(credential, "")).want(201)
		if r.text("token", "expires_at") != end {
			t.Errorf("an application credential's token ends at %s, want %s", r.text("token", "expires_at"), end)
		}
		credential = r.header.Get("X-Subject-Token")
	}
	// With the password it is a sign-in of its own; with only the token it is not,
	// also when the request names the method twice.
	twice := fmt.Sprintf(`{"auth":{"identity":{"methods":["token","token"],"token":{"id":%q}},"scope":%s}}`, demo, onDemo)
	if got := c.call(t, "POST", "/v3/auth/tokens", "", twice).want(201).text("token", "expires_at"); got != end {
		t.Errorf("named twice it ends at %s, want %s", got, end)
	}
	c.clock.Advance(20 * time.Minute)
	for _, token := range tokens {
		c.call(t, "GET", "/v3/projects/"+project, token, "").want(401)
		c.call(t, "POST", "/v3/auth/tokens", "", byToken(token, onDemo)).want(404)
		c.call(t, "GET", "/v3/auth/tokens", c.admin(t), "", "X-Subject-Token", token).want(404)
		c.call(t, "GET", "/v3/auth/tokens?allow_expired=1", c.demo(t), "", "X-Subject-Token", token).want(404)
	}
}

// A token that was altered in any of its letters is none, and neither is one
// that only looks like one.
func TestAttackAlteredTokens(t *testing.T) {
	t.Parallel()
	c := start(t)
	demo := c.demo(t)
	c.call(t, "DELETE", "/v3/auth/tokens", demo, "", "X-Subject-Token", demo).want(204)
	for i := range demo {
		for _, letter := range []string{"A", "b", "_"} {
			altered := demo[:i] + letter + demo[i+1:]
			got := c.call(t, "GET", "/v3/auth/projects", altered, "").status
			if got != 401 {
				t.Fatalf("altered at %d: got %d, want 401", i, got)
			}
		}
	}
	for _, text := range []string{demo + "=", demo + "==", strings.TrimRight(demo, "="), demo + "%3D", base64.URLEncoding.EncodeToString([]byte("admin")), "ADMIN", "null", strings.Repeat("A", 8000)} {
		c.call(t, "GET", "/v3/auth/projects", text, "").want(401)
	}
}

// The audit ids of a token name the sign-in it comes from and itself; ending it
// ends it whichever way it is asked about.
func TestAttackRevokedTokenRescoped(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	first := c.call(t, "GET", "/v3/auth/tokens", demo, "", "X-Subject-Token", demo).want(200).get("token", "audit_ids").([]any)
	child := c.call(t, "POST", "/v3/auth/tokens", "", byToken(demo, onDemo)).want(201)
	ids := child.get("token", "audit_ids").([]any)
	if len(ids) != 2 || ids[1] != first[0] || ids[0] == first[0] {
		t.Errorf("the audit ids are %v after %v", ids, first)
	}
	again := child.header.Get("X-Subject-Token")
	c.call(t, "DELETE", "/v3/auth/tokens", again, "", "X-Subject-Token", again).want(204)
	c.expect(t, []expectation{
		{again, "GET", "/auth/projects", "", 401},
		{"", "POST", "/auth/tokens", byToken(again, onDemo), 404},
		{again, "POST", "/users", `{"user":{"name":"x"}}`, 401},
	})
	c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", again).want(404)
	c.call(t, "HEAD", "/v3/auth/tokens", admin, "", "X-Subject-Token", again).want(404)
}

// Replies with tokens and secrets are kept by no cache, and no caller gets what
// a cache has kept of another.
func TestAttackCachedReplies(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me := c.find(t, admin, "users", "demo")
	for _, r := range []reply{
		c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, onDemo)),
		c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", "wrong", onDemo)),
		c.call(t, "GET", "/v3/auth/tokens", demo, "", "X-Subject-Token", demo),
		c.call(t, "GET", "/v3/credentials", demo, ""),
		c.call(t, "GET", "/v3/users/"+me, demo, ""),
		c.call(t, "POST", "/v3/users/"+me+"/application_credentials", demo, `{"application_credential":{"name":"x"}}`),
		c.call(t, "POST", "/v3/OS-OAUTH2/token", "", ""),
	} {
		if r.header.Get("Cache-Control") != "no-store" || !strings.Contains(strings.Join(r.header.Values("Vary"), ","), "X-Auth-Token") {
			t.Errorf("status %d: got the headers %v, want no-store and a Vary with X-Auth-Token", r.status, r.header)
		}
	}
}
