package api_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/golden"
)

var (
	hexID   = regexp.MustCompile(`[0-9a-f]{32}`)
	auditID = regexp.MustCompile(`"[A-Za-z0-9_-]{22}"(,?\n)`)
)

// golden compares a reply with testdata, ids and addresses made neutral.
func (c *cloud) golden(t *testing.T, name string, body []byte) {
	t.Helper()
	got := indent(t, body)
	got = strings.ReplaceAll(got, c.server.URL, "http://cloud")
	seen := map[string]string{}
	got = hexID.ReplaceAllStringFunc(got, func(id string) string {
		if seen[id] == "" {
			seen[id] = fmt.Sprintf("id%d", len(seen)+1)
		}
		return seen[id]
	})
	got = auditID.ReplaceAllString(got, `"audit"$1`)
	golden.Compare(t, name+".json", got)
}

func TestVersionDocuments(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, path := range []string{"/identity", "/identity/", "/"} {
		r := c.call(t, "GET", path, "", "").want(300)
		c.golden(t, "versions", r.body)
	}
	for _, path := range []string{"/identity/v3", "/identity/v3/", "/v3", "/v3/"} {
		c.golden(t, "version", c.call(t, "GET", path, "", "").want(200).body)
	}
}

func TestTokenReplies(t *testing.T) {
	t.Parallel()
	c := start(t)
	secret := c.boot.AdminPassword
	for name, scope := range map[string]string{"token_project": onAdmin, "token_domain": onDomain, "token_system": onSystem, "token_unscoped": `"unscoped"`} {
		made := c.call(t, "POST", "/identity/v3/auth/tokens", "", password("admin", "default", secret, scope)).want(201)
		c.golden(t, name, made.body)
		token := made.header.Get("X-Subject-Token")
		if token == "" || strings.Contains(token, "=") {
			t.Errorf("%s: got token %q, want one without padding", name, token)
		}
		shown := c.call(t, "GET", "/v3/auth/tokens", token, "", "X-Subject-Token", token).want(200)
		if diff := cmp.Diff(indent(t, made.body), indent(t, shown.body)); diff != "" {
			t.Errorf("%s: shown differs from made (-made +shown):\n%s", name, diff)
		}
		if shown.header.Get("X-Subject-Token") != token {
			t.Errorf("%s: show doesn't name its subject", name)
		}
		head := c.call(t, "HEAD", "/v3/auth/tokens", token, "", "X-Subject-Token", token).want(200)
		if len(head.body) != 0 {
			t.Errorf("%s: HEAD has a body", name)
		}
	}
	bare := c.call(t, "POST", "/v3/auth/tokens?nocatalog", "", password("admin", "Default", secret, onAdmin)).want(201)
	if bare.get("token", "catalog") != nil {
		t.Error("nocatalog still has a catalog")
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	c := start(t)
	secret := c.boot.DemoPassword
	demoProject := c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "DEFAULT", secret, "")).want(201)
	if got := demoProject.text("token", "project", "name"); got != "demo" {
		t.Errorf("without a scope: got project %q, want the default project demo", got)
	}
	if diff := cmp.Diff([]any{"member", "reader"}, roleNames(demoProject)); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	id := demoProject.text("token", "project", "id")
	c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", secret, `{"project":{"id":"`+id+`"}}`)).want(201)
	unscoped := c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", secret, `{"unscoped":{}}`)).want(201)
	for _, key := range []string{"project", "domain", "system", "roles", "catalog"} {
		if unscoped.get("token", key) != nil {
			t.Errorf("an unscoped token has %s", key)
		}
	}
	for _, scope := range []string{onAdmin, onDomain, onSystem, `{"project":{"id":"nope"}}`, `{"project":{"name":"nope","domain":{"name":"Default"}}}`,
		`{"project":{"name":"demo","domain":{"name":"nope"}}}`, `{"domain":{"name":"nope"}}`} {
		c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", secret, scope)).want(401)
	}
}

func roleNames(r reply) []any {
	var out []any
	roles, _ := r.get("token", "roles").([]any)
	for _, role := range roles {
		out = append(out, role.(map[string]any)["name"])
	}
	return out
}

func TestRescope(t *testing.T) {
	t.Parallel()
	c := start(t)
	first := c.call(t, "POST", "/v3/auth/tokens", "", password("admin", "Default", c.boot.AdminPassword, `"unscoped"`)).want(201)
	c.clock.Advance(10 * time.Minute)
	second := c.call(t, "POST", "/v3/auth/tokens", "", byToken(first.header.Get("X-Subject-Token"), onAdmin)).want(201)
	if got := second.get("token", "methods"); !cmp.Equal(got, []any{"token", "password"}) {
		t.Errorf("got methods %v, want token and password", got)
	}
	if second.text("token", "expires_at") != first.text("token", "expires_at") {
		t.Error("a rescoped token lives longer than the one it was made from")
	}
	if second.text("token", "issued_at") != "2026-12-01T08:10:00.000000Z" {
		t.Errorf("issued at %s", second.text("token", "issued_at"))
	}
	if second.text("token", "audit_ids", 1) != first.text("token", "audit_ids", 0) || second.text("token", "audit_ids", 0) == first.text("token", "audit_ids", 0) {
		t.Error("audit ids don't chain")
	}
	c.clock.Advance(50 * time.Minute)
	c.call(t, "GET", "/v3/auth/projects", second.header.Get("X-Subject-Token"), "").want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", byToken(first.header.Get("X-Subject-Token"), onAdmin)).want(404)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := start(t)
	unknown := c.call(t, "POST", "/v3/auth/tokens", "", password("ghost", "Default", "x", "")).want(401)
	wrong := c.call(t, "POST", "/v3/auth/tokens", "", password("admin", "Default", "x", "")).want(401)
	if string(unknown.body) != string(wrong.body) {
		t.Errorf("unknown user %s, wrong password %s: want the same answer", unknown.body, wrong.body)
	}
	if got := wrong.header.Get("WWW-Authenticate"); got != `Keystone uri="`+c.server.URL+`/identity"` {
		t.Errorf("got WWW-Authenticate %q", got)
	}
	if got := wrong.text("error", "message"); got != "The request you have made requires authentication." {
		t.Errorf("got message %q", got)
	}
	admin := c.admin(t)
	for name, r := range map[string]struct {
		reply  reply
		status int
	}{
		"empty body":          {c.call(t, "POST", "/v3/auth/tokens", "", "{}"), 400},
		"no JSON":             {c.call(t, "POST", "/v3/auth/tokens", "", "{"), 400},
		"methods no list":     {c.call(t, "POST", "/v3/auth/tokens", "", `{"auth":{"identity":{"methods":"password"}}}`), 400},
		"no methods":          {c.call(t, "POST", "/v3/auth/tokens", "", `{"auth":{"identity":{"methods":[]}}}`), 401},
		"unknown method":      {c.call(t, "POST", "/v3/auth/tokens", "", `{"auth":{"identity":{"methods":["magic"]}}}`), 401},
		"method not given":    {c.call(t, "POST", "/v3/auth/tokens", "", `{"auth":{"identity":{"methods":["password"]}}}`), 400},
		"no user":             {c.call(t, "POST", "/v3/auth/tokens", "", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"password":"x"}}}}}`), 400},
		"name without domain": {c.call(t, "POST", "/v3/auth/tokens", "", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin","password":"x"}}}}}`), 400},
		"password no text":    {c.call(t, "POST", "/v3/auth/tokens", "", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"x","password":7}}}}}`), 400},
		"empty token":         {c.call(t, "POST", "/v3/auth/tokens", "", byToken("", "")), 401},
		"garbage token":       {c.call(t, "POST", "/v3/auth/tokens", "", byToken("gAAAAAB", "")), 404},
		"two scopes":          {c.call(t, "POST", "/v3/auth/tokens", "", password("admin", "Default", c.boot.AdminPassword, `{"system":{"all":true},"domain":{"id":"default"}}`)), 400},
		"scope without name":  {c.call(t, "POST", "/v3/auth/tokens", "", password("admin", "Default", c.boot.AdminPassword, `{"project":{}}`)), 400},
		"scope number":        {c.call(t, "POST", "/v3/auth/tokens", "", password("admin", "Default", c.boot.AdminPassword, `7`)), 400},
		"long password":       {c.call(t, "POST", "/v3/auth/tokens", "", password("admin", "Default", strings.Repeat("x", 5000), "")), 401},
		"no token":            {c.call(t, "GET", "/v3/auth/projects", "", ""), 401},
		"bad token":           {c.call(t, "GET", "/v3/auth/projects", "nonsense", ""), 401},
		"no subject":          {c.call(t, "GET", "/v3/auth/tokens", admin, ""), 404},
		"bad subject":         {c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", "nonsense"), 404},
		"unknown path":        {c.call(t, "GET", "/v3/nothing", admin, ""), 404},
		"wrong verb":          {c.call(t, "PUT", "/v3/auth/tokens", admin, ""), 405},
		"huge body":           {c.call(t, "POST", "/v3/auth/tokens", "", `{"auth":"`+strings.Repeat("x", 200000)+`"}`), 413},
	} {
		if r.reply.status != r.status {
			t.Errorf("%s: got status %d, want %d: %s", name, r.reply.status, r.status, r.reply.body)
			continue
		}
		var body struct {
			Error struct {
				Code           int
				Title, Message string
			}
		}
		err := json.Unmarshal(r.reply.body, &body)
		if err != nil || body.Error.Code != r.status || body.Error.Title == "" || body.Error.Message == "" {
			t.Errorf("%s: the body isn't Keystone's: %s", name, r.reply.body)
		}
	}
}

func TestSubjectOfOthers(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", demo).want(200)
	c.call(t, "GET", "/v3/auth/tokens", demo, "", "X-Subject-Token", demo).want(200)
	c.call(t, "GET", "/v3/auth/tokens", demo, "", "X-Subject-Token", admin).want(403)
	c.call(t, "HEAD", "/v3/auth/tokens", demo, "", "X-Subject-Token", admin).want(403)
	c.call(t, "DELETE", "/v3/auth/tokens", demo, "", "X-Subject-Token", admin).want(403)
	c.call(t, "GET", "/v3/auth/projects", admin, "").want(200)
}

func TestRevokedTokenStaysRevoked(t *testing.T) {
	t.Parallel()
	c := start(t)
	keep, gone := c.demo(t), c.demo(t)
	child := c.token(t, byToken(gone, onDemo))
	c.call(t, "DELETE", "/v3/auth/tokens", gone, "", "X-Subject-Token", gone).want(204)
	check := func(when string) {
		t.Helper()
		for token, want := range map[string]int{keep: 200, gone: 401, child: 200} {
			got := c.call(t, "GET", "/v3/auth/projects", token, "").status
			if got != want {
				t.Errorf("%s: got %d, want %d", when, got, want)
			}
		}
	}
	check("at once")
	c.stop()
	c.open(t)
	check("after a restart")
	if c.boot.AdminPassword == "" {
		t.Error("the second start took the passwords away")
	}
	c.admin(t)
}

// TestChangesEndTokens makes each change that must end a token in use, and
// looks at the very next request.
func TestChangesEndTokens(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, c *cloud, admin, user, project string){
		"user disabled": func(t *testing.T, c *cloud, admin, user, _ string) {
			c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"enabled":false}}`).want(200)
			c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"enabled":true}}`).want(200)
		},
		"password set by admin": func(t *testing.T, c *cloud, admin, user, _ string) {
			c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"password":"other"}}`).want(200)
		},
		"password changed": func(t *testing.T, c *cloud, _, user, _ string) {
			c.call(t, "POST", "/v3/users/"+user+"/password", "", `{"user":{"original_password":"secret","password":"other"}}`).want(204)
		},
		"role taken": func(t *testing.T, c *cloud, admin, user, project string) {
			role := c.find(t, admin, "roles", "member")
			c.call(t, "DELETE", "/v3/projects/"+project+"/users/"+user+"/roles/"+role, admin, "").want(204)
			c.call(t, "PUT", "/v3/projects/"+project+"/users/"+user+"/roles/"+role, admin, "").want(204)
		},
		"project disabled": func(t *testing.T, c *cloud, admin, _, project string) {
			c.call(t, "PATCH", "/v3/projects/"+project, admin, `{"project":{"enabled":false}}`).want(200)
			c.call(t, "PATCH", "/v3/projects/"+project, admin, `{"project":{"enabled":true}}`).want(200)
		},
		"project deleted": func(t *testing.T, c *cloud, admin, _, project string) {
			c.call(t, "DELETE", "/v3/projects/"+project, admin, "").want(204)
		},
		"user deleted": func(t *testing.T, c *cloud, admin, user, _ string) {
			c.call(t, "DELETE", "/v3/users/"+user, admin, "").want(204)
		},
		"role deleted": func(t *testing.T, c *cloud, admin, _, _ string) {
			role := "/v3/roles/" + c.find(t, admin, "roles", "member")
			c.call(t, "DELETE", role, admin, "").want(403)
			c.call(t, "PATCH", role, admin, `{"role":{"name":"other"}}`).want(403)
			c.call(t, "PATCH", role, admin, `{"role":{"options":{"immutable":false}}}`).want(200)
			c.call(t, "DELETE", role, admin, "").want(204)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			admin := c.admin(t)
			project := c.create(t, admin, "projects", "project", map[string]any{"name": "p"})
			user := c.create(t, admin, "users", "user", map[string]any{"name": "u", "password": "secret"})
			role := c.find(t, admin, "roles", "member")
			c.call(t, "PUT", "/v3/projects/"+project+"/users/"+user+"/roles/"+role, admin, "").want(204)
			token := c.token(t, password("u", "Default", "secret", `{"project":{"id":"`+project+`"}}`))
			c.call(t, "GET", "/v3/auth/projects", token, "").want(200)

			change(t, c, admin, user, project)
			c.call(t, "GET", "/v3/auth/projects", token, "").want(401)
			c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", token).want(404)
			c.call(t, "GET", "/v3/auth/projects", admin, "").want(200)
			c.stop()
			c.open(t)
			c.call(t, "GET", "/v3/auth/projects", token, "").want(401)
		})
	}
}

func TestDisabled(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	domain := c.create(t, admin, "domains", "domain", map[string]any{"name": "D"})
	project := c.create(t, admin, "projects", "project", map[string]any{"name": "p", "domain_id": domain})
	user := c.create(t, admin, "users", "user", map[string]any{"name": "u", "password": "secret", "domain_id": domain})
	guest := c.find(t, admin, "users", "demo")
	for _, id := range []string{user, guest} {
		c.call(t, "PUT", "/v3/projects/"+project+"/users/"+id+"/roles/"+c.find(t, admin, "roles", "member"), admin, "").want(204)
	}
	scope := `{"project":{"id":"` + project + `"}}`
	own := c.token(t, password("u", "d", "secret", scope))
	guests := c.token(t, password("demo", "Default", c.boot.DemoPassword, scope))
	elsewhere := c.demo(t)

	c.call(t, "PATCH", "/v3/domains/"+domain, admin, `{"domain":{"enabled":false}}`).want(200)
	c.call(t, "POST", "/v3/auth/tokens", "", password("u", "d", "secret", "")).want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, scope)).want(401)
	c.call(t, "POST", "/v3/users/"+user+"/password", "", `{"user":{"original_password":"secret","password":"other"}}`).want(401)
	c.call(t, "PATCH", "/v3/domains/"+domain, admin, `{"domain":{"enabled":true}}`).want(200)
	for name, token := range map[string]string{"a user's of the domain": own, "a guest's in the domain": guests} {
		got := c.call(t, "GET", "/v3/auth/projects", token, "").status
		if got != 401 {
			t.Errorf("%s earlier token: got %d, want 401", name, got)
		}
	}
	c.call(t, "GET", "/v3/auth/projects", elsewhere, "").want(200)

	c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"enabled":false}}`).want(200)
	c.call(t, "POST", "/v3/auth/tokens", "", password("u", "d", "secret", "")).want(401)
	c.call(t, "POST", "/v3/users/"+user+"/password", "", `{"user":{"original_password":"secret","password":"other"}}`).want(401)
}

func TestTokenGainsRole(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	user, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	c.call(t, "GET", "/v3/users", demo, "").want(403)
	c.call(t, "PUT", "/v3/projects/"+project+"/users/"+user+"/roles/"+c.find(t, admin, "roles", "admin"), admin, "").want(204)
	c.call(t, "GET", "/v3/users", demo, "").want(200)
}

func TestCatalogFollowsAddress(t *testing.T) {
	t.Parallel()
	c := start(t)
	r := c.call(t, "GET", "/v3/auth/catalog", c.demo(t), "").want(200)
	c.golden(t, "catalog", r.body)
	unscoped := c.token(t, password("demo", "Default", c.boot.DemoPassword, `"unscoped"`))
	c.call(t, "GET", "/v3/auth/catalog", unscoped, "").want(403)
	system := c.call(t, "POST", "/v3/auth/tokens", "", password("admin", "Default", c.boot.AdminPassword, onSystem)).want(201)
	var types []string
	entries, _ := system.get("token", "catalog").([]any)
	for _, e := range entries {
		entry := e.(map[string]any)
		if len(entry["endpoints"].([]any)) > 0 {
			types = append(types, entry["type"].(string))
		}
	}
	if !slices.Equal(types, []string{"identity", "compute"}) {
		t.Errorf("a system token has endpoints of %v, want only those that need no project", types)
	}
}

func TestAuthLists(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	if got := c.call(t, "GET", "/v3/auth/projects", demo, "").want(200).names("projects", "name"); !slices.Equal(got, []string{"demo"}) {
		t.Errorf("demo's projects: %v", got)
	}
	if got := c.call(t, "GET", "/v3/auth/domains", demo, "").want(200).names("domains", "name"); len(got) != 0 {
		t.Errorf("demo's domains: %v", got)
	}
	if got := c.call(t, "GET", "/v3/auth/domains", admin, "").want(200).names("domains", "name"); !slices.Equal(got, []string{"Default"}) {
		t.Errorf("admin's domains: %v", got)
	}
	c.golden(t, "auth_system", c.call(t, "GET", "/v3/auth/system", admin, "").want(200).body)
	if got := c.call(t, "GET", "/v3/auth/system", demo, "").want(200).get("system"); len(got.([]any)) != 0 {
		t.Errorf("demo's system: %v", got)
	}
}
