package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"nacre/internal/identity"
)

// Bodies that are made to be expensive are refused at once: too large, too deep,
// numbers without end; and XML is not read at all.
func TestAttackBodies(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	const xml = `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]><user name="&b;&c;"/>`
	for name, test := range map[string]struct {
		body   string
		status int
	}{
		"10 MB":                {`{"user":{"name":"` + strings.Repeat("x", 10<<20) + `"}}`, 413},
		"deep lists":           {`{"user":` + strings.Repeat("[", 50000) + strings.Repeat("]", 50000) + `}`, 400},
		"deep objects":         {strings.Repeat(`{"user":`, 10000) + "1" + strings.Repeat("}", 10000), 400},
		"deep, unknown":        {`{"user":{"name":"x","extra":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}}`, 400},
		"endless number":       {`{"user":{"name":"x","enabled":1e999999999}}`, 400},
		"many digits":          {`{"user":{"name":"x","n":` + strings.Repeat("9", 100000) + `}}`, 400},
		"two values":           {`{"user":{"name":"x"}}{"user":{"name":"y"}}`, 400},
		"no UTF-8":             {"{\"user\":{\"name\":\"\xff\xfe\"}}", 400},
		"entities":             {xml, 400},
		"list for an object":   {`[]`, 400},
		"nothing":              {``, 400},
		"null":                 {`null`, 400},
		"a pickle, as it were": {"cos\nsystem\n(S'id'\ntR.", 400},
	} {
		for _, call := range [][2]string{{"/v3/users", admin}, {"/v3/auth/tokens", ""}} {
			r := c.call(t, "POST", call[0], call[1], test.body, "Content-Type", "application/json")
			if r.status != test.status {
				t.Errorf("%s to %s: got %d, want %d: %.200s", name, call[0], r.status, test.status, r.body)
			}
			if len(r.body) > 4096 {
				t.Errorf("%s: the refusal repeats %d bytes", name, len(r.body))
			}
		}
	}
	c.call(t, "POST", "/v3/users", admin, xml, "Content-Type", "application/xml").want(415)
	c.call(t, "POST", "/v3/auth/tokens", "", xml, "Content-Type", "text/xml").want(415)
}

// A key that is there twice, or spelled in other letters, means to the handler
// what it means to the check: the last one, and none but the very name.
func TestAttackKeysTwice(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	r := c.call(t, "POST", "/v3/users", admin, `{"user":{"name":"first","enabled":true,"name":"last","enabled":false,"ENABLED":true,"Name":"loud"}}`).want(201)
	if r.text("user", "name") != "last" || r.get("user", "enabled") != false {
		t.Errorf("made %s, want last, disabled", r.body)
	}
	c.call(t, "POST", "/v3/users", admin, `{"user":{"name":"x"},"user":{"nAme":"y"}}`).want(400)
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"METHODS":["token"],"password":{"user":{"name":"demo","domain":{"id":"default"},"password":"wrong","PASSWORD":%q}}}}}`, c.boot.DemoPassword)
	c.call(t, "POST", "/v3/auth/tokens", "", body).want(401)
}

// What a rule is decided by comes from the database, the token and the path,
// never from a body or a query that carries the same names.
func TestAttackRuleTargetsInTheBody(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, them := c.find(t, admin, "users", "demo"), c.find(t, admin, "users", "admin")
	project := c.find(t, admin, "projects", "demo")
	forged := func(more string) string {
		return `{` + more + `"user_id":"` + me + `","project_id":"` + project + `","domain_id":"default","target":{"user":{"id":"` + me + `","domain_id":"default"},"token":{"user_id":"` + me +
			`"},"credential":{"user_id":"` + me + `"},"trust":{"trustor_user_id":"` + me + `","trustee_user_id":"` + me + `"},"project":{"id":"` + project + `"}},"roles":["admin"],"is_admin":true,"system_scope":"all"}`
	}
	query := "?user_id=" + me + "&target.user.id=" + me + "&target.credential.user_id=" + me + "&is_admin=True&system_scope=all&project_id=" + project
	for _, e := range []expectation{
		{demo, "GET", "/users/" + them, forged(""), 403},
		{demo, "PATCH", "/users/" + them, forged(`"user":{"enabled":false},`), 403},
		{demo, "DELETE", "/users/" + them, forged(""), 403},
		{demo, "GET", "/users/" + them + "/application_credentials", forged(""), 403},
		{demo, "GET", "/users/" + them + "/credentials/OS-EC2", forged(""), 403},
		{demo, "GET", "/users/" + them + "/projects", forged(""), 403},
		{demo, "GET", "/projects/" + c.find(t, admin, "projects", "admin"), forged(""), 403},
		{demo, "GET", "/role_assignments", forged(""), 403},
		{demo, "GET", "/OS-TRUST/trusts", forged(""), 403},
		{demo, "POST", "/OS-TRUST/trusts", forged(`"trust":{"trustor_user_id":"` + them + `","trustee_user_id":"` + me + `","impersonation":true,"project_id":"` + project + `","roles":[{"name":"member"}]},`), 403},
		{demo, "PUT", "/system/users/" + me + "/roles/" + c.find(t, admin, "roles", "admin"), forged(""), 403},
		{demo, "PUT", "/projects/" + project + "/users/" + me + "/roles/" + c.find(t, admin, "roles", "admin"), forged(""), 403},
	} {
		for _, q := range []string{"", query} {
			r := c.call(t, e.method, "/v3"+e.path+q, e.token, e.body)
			if r.status != e.status {
				t.Errorf("%s %s%s: got %d, want %d: %s", e.method, e.path, q, r.status, e.status, r.body)
			}
		}
	}
	r := c.call(t, "GET", "/v3/auth/tokens"+query, demo, forged(""), "X-Subject-Token", admin)
	if r.status != 403 {
		t.Errorf("another's token: got %d, want 403", r.status)
	}
}

// Passwords beyond what bcrypt reads count whole, and very long ones are refused
// before anything is computed of them.
func TestAttackLongPasswords(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	base := strings.Repeat("p", 72)
	user := c.create(t, admin, "users", "user", map[string]any{"name": "long", "password": base + "1"})
	for _, wrong := range []string{base, base + "2", base + "12", base[:71]} {
		c.call(t, "POST", "/v3/auth/tokens", "", password("long", "Default", wrong, "")).want(401)
	}
	c.token(t, password("long", "Default", base+"1", ""))
	c.call(t, "PATCH", "/v3/users/"+user, admin, `{"user":{"password":"`+strings.Repeat("p", 4097)+`"}}`).want(403)
	c.call(t, "POST", "/v3/auth/tokens", "", password("long", "Default", strings.Repeat("p", 100_000), "")).want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", password("long", "Default", strings.Repeat("p", 200_000), "")).want(413)
	c.call(t, "POST", "/v3/auth/tokens", "", password(strings.Repeat("n", 50_000), "Default", "x", "")).want(401)
}

// Guessing is slowed down for whoever guesses: a source by another name, with
// headers that say it came from elsewhere, and by every method; not for others.
func TestAttackGuessingOverHTTP(t *testing.T) {
	t.Parallel()
	c := start(t)
	demo := c.demo(t)
	me := c.find(t, c.admin(t), "users", "demo")
	id, secret, _ := c.appCredential(t, demo, me, `"name":"a","secret":"weak"`)
	post := func(from, body string, headers ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequest("POST", "/v3/auth/tokens", strings.NewReader(body))
		request.RemoteAddr = from
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		c.kernel.ServeHTTP(w, request)
		return w
	}
	for name, guess := range map[string]func(i int) string{
		"password":               func(i int) string { return password("demo", "Default", fmt.Sprint(i), "") },
		"application credential": func(i int) string { return byAppCredential(id, fmt.Sprint(i), "") },
		"password, and names that are not looked at": func(i int) string {
			return authBody(map[string]any{"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{
				"name": "admin", "password": fmt.Sprint(i), "domain": map[string]any{"id": "default", "name": fmt.Sprint(i)}}}}}, "")
		},
		"password by id, and names that are not looked at": func(i int) string {
			return authBody(map[string]any{"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{
				"id": me, "name": fmt.Sprint(i), "password": fmt.Sprint(i), "domain": map[string]any{"id": fmt.Sprint(i)}}}}}, "")
		},
		"passcode": func(i int) string { return byPasscode("nobody", fmt.Sprintf("%06d", i), "") },
	} {
		slowed := 0
		for i := range 100 {
			w := post("192.0.2.7:4711", guess(i), "X-Forwarded-For", fmt.Sprintf("10.0.0.%d", i), "Forwarded", fmt.Sprintf("for=10.0.0.%d", i),
				"X-Real-IP", fmt.Sprintf("10.0.0.%d", i), "True-Client-IP", fmt.Sprintf("10.0.0.%d", i))
			if w.Code == http.StatusTooManyRequests {
				slowed++
				if w.Header().Get("Retry-After") == "" {
					t.Errorf("%s: nobody is told how long to wait", name)
				}
			}
		}
		if slowed < 60 {
			t.Errorf("%s: %d of 100 guesses were refused unseen, want 60 at least", name, slowed)
		}
	}
	for name, body := range map[string]string{"password": password("demo", "Default", c.boot.DemoPassword, ""), "application credential": byAppCredential(id, secret, "")} {
		if w := post("192.0.2.8:4711", body); w.Code != 201 {
			t.Errorf("%s: another source is locked out: %d", name, w.Code)
		}
	}
}

// Requests by nobody leave nothing behind: not in memory, and not in the
// database.
func TestAttackRequestsGrowMemory(t *testing.T) {
	c := start(t, func(o *identity.Options) { o.PasswordCost = 4 })
	hour := c.clock.Now()
	serve := func(method, path, body string, i int) {
		request := httptest.NewRequest(method, path, strings.NewReader(body))
		request.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:99", i>>16&255, i>>8&255, i&255)
		request.Header.Set("X-Auth-Token", fmt.Sprintf("gAAAAA-%d-%s", i, strings.Repeat("x", 180)))
		request.Header.Set("OpenStack-API-Version", fmt.Sprintf("compute 2.%d", i))
		w := httptest.NewRecorder()
		c.kernel.ServeHTTP(w, request)
		if w.Code < 400 {
			t.Errorf("%s %s: got %d", method, path, w.Code)
		}
	}
	next := 0
	upTo := func(n int) uint64 {
		for ; next < n; next++ {
			serve("GET", fmt.Sprintf("/v3/users/%d", next), "", next)
			switch {
			case next%2 == 0:
				serve("GET", fmt.Sprintf("/v3/unknown-%d/%d", next, next), "", next)
			case next%101 == 0:
				serve("POST", "/v3/auth/tokens", password(fmt.Sprintf("user-%d", next), fmt.Sprintf("domain-%d", next), "x", ""), next)
			case next%103 == 0:
				serve("POST", "/v3/auth/tokens", byToken(fmt.Sprintf("token-%d", next), ""), next)
			case next%107 == 0:
				serve("POST", "/v3/auth/tokens", byPasscode(fmt.Sprint(next), "123456", ""), next)
			case next%109 == 0:
				serve("POST", "/v3/OS-OAUTH2/token", fmt.Sprintf("grant_type=client_credentials&client_id=%d&client_secret=x", next), next)
			}
			if next%1000 == 0 {
				c.clock.Advance(time.Second)
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	warm := upTo(50_000)
	after := upTo(200_000)
	t.Logf("heap after 50,000 requests: %d KiB, after 200,000: %d KiB, within %v of the clock", warm>>10, after>>10, c.clock.Now().Sub(hour))
	if after > warm+2<<20 {
		t.Errorf("the heap grew from %d to %d bytes", warm, after)
	}
}

// Nothing that is secret is in the log, however much is logged: whether a
// request succeeds, is refused or cannot be read.
func TestAttackSecretsInTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := startLogged(t, &log)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	secrets := map[string]string{"admin's password": c.boot.AdminPassword, "demo's password": c.boot.DemoPassword, "admin's token": admin, "demo's token": demo}
	id, secret, token := c.appCredential(t, demo, me, `"name":"a"`)
	secrets["a credential's secret"], secrets["its token"] = secret, token
	access, key := c.ec2Key(t, demo, me, project)
	secrets["an access key's secret"] = key
	const totp, blob, wrong = "GEZDGNBVGY3TQOJQGEZDGNBV", "private-blob-of-demo", "a-wrong-password-that-was-typed"
	secrets["a passcode's secret"], secrets["a blob"], secrets["a wrong password"] = totp, blob, wrong
	user := c.create(t, admin, "users", "user", map[string]any{"name": "new", "password": "first-password-of-new"})
	secrets["a new password"], secrets["a newer password"] = "first-password-of-new", "second-password-of-new"
	consumer := c.call(t, "POST", "/v3/OS-OAUTH1/consumers", admin, `{"consumer":{}}`).want(201)
	secrets["a consumer's secret"] = consumer.text("consumer", "secret")
	config := `{"config":{"ldap":{"url":"ldap://h","user":"cn=x","password":"ldap-bind-password"}}}`
	secrets["a directory's password"] = "ldap-bind-password"
	for _, e := range []expectation{
		{demo, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":"totp","blob":"` + totp + `"}}`, 201},
		{demo, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":"cert","blob":"` + blob + `"}}`, 201},
		{demo, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":7,"blob":"` + blob + `"}}`, 400},
		{demo, "POST", "/credentials", `{"credential":{"user_id":"` + me + `","type":"ec2","project_id":"p","blob":"` + blob + `"}}`, 400},
		{"", "POST", "/auth/tokens", password("demo", "Default", wrong, ""), 401},
		{"", "POST", "/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":7,"password":"` + wrong + `"}}}}}`, 400},
		{"", "POST", "/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"x","password":"` + wrong + `"}`, 400},
		{"", "POST", "/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"x","password":["` + wrong + `"]}}}}}`, 400},
		{"", "POST", "/auth/tokens", byAppCredential(id, wrong, ""), 401},
		{"", "POST", "/auth/tokens", byToken(demo, onAdmin), 401},
		{"", "POST", "/auth/tokens", byToken(demo+"x", onAdmin), 404},
		{demo + "x", "GET", "/users?token=" + demo, "", 401},
		{demo, "GET", "/users?token=" + demo + "&password=" + wrong, "", 403},
		{"", "GET", "/" + demo, "", 404},
		{"", "POST", "/users/" + user + "/password", `{"user":{"original_password":"` + wrong + `","password":"second-password-of-new"}}`, 401},
		{"", "POST", "/users/" + user + "/password", `{"user":{"original_password":"first-password-of-new","password":"second-password-of-new"}}`, 204},
		{admin, "PATCH", "/users/" + user, `{"user":{"password":"second-password-of-new","enabled":"` + wrong + `"}}`, 400},
		{admin, "PUT", "/domains/default/config", config, 201},
		{admin, "PATCH", "/domains/default/config", config, 200},
		{admin, "POST", "/ec2tokens", signed(access, key, c.clock.Now()), 200},
		{admin, "POST", "/ec2tokens", signed(access, wrong, c.clock.Now()), 401},
	} {
		r := c.call(t, e.method, "/v3"+e.path, e.token, e.body, "X-Subject-Token", demo)
		if r.status != e.status {
			t.Errorf("%s %s: got %d, want %d: %s", e.method, e.path, r.status, e.status, r.body)
		}
	}
	c.stop()
	if strings.Count(log.String(), "msg=request") < 20 {
		t.Fatalf("the log has not the requests: %s", log.String())
	}
	for name, text := range secrets {
		if at := strings.Index(log.String(), text); at >= 0 {
			t.Errorf("%s is in the log: …%s…", name, log.String()[max(0, at-200):at])
		}
	}
}
