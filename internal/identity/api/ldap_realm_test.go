package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nacre/internal/directory/directorytest"
)

// TestDirectoryIsReadOnly: Keystone's does not write either.
func TestDirectoryIsReadOnly(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(slapd.Local))
	alice := c.call(t, "GET", "/v3/users?name=alice&domain_id="+domain, admin, "").want(200).text("users", 0, "id")
	staff := c.call(t, "GET", "/v3/groups?name=staff&domain_id="+domain, admin, "").want(200).text("groups", 0, "id")
	demo := c.find(t, admin, "users", "demo")
	group := c.create(t, admin, "groups", "group", map[string]any{"name": "ours"})

	// What Keystone calls an entry, this cloud does: grants can move.
	sum := sha256.Sum256([]byte(domain + "user" + "alice"))
	if want := hex.EncodeToString(sum[:]); alice != want {
		t.Errorf("alice has id %s, want %s", alice, want)
	}
	for _, call := range [][3]string{
		{"POST", "/v3/users", `{"user":{"name":"new","domain_id":"` + domain + `"}}`},
		{"POST", "/v3/groups", `{"group":{"name":"new","domain_id":"` + domain + `"}}`},
		{"PATCH", "/v3/users/" + alice, `{"user":{"enabled":false}}`},
		{"PATCH", "/v3/groups/" + staff, `{"group":{"description":"x"}}`},
		{"DELETE", "/v3/users/" + alice, ""},
		{"DELETE", "/v3/groups/" + staff, ""},
		{"PUT", "/v3/groups/" + staff + "/users/" + alice, ""},
		{"DELETE", "/v3/groups/" + staff + "/users/" + alice, ""},
		{"POST", "/v3/users/" + alice + "/password", `{"user":{"original_password":"` + directorytest.Password + `","password":"another"}}`},
	} {
		reply := c.call(t, call[0], call[1], admin, call[2]).want(403)
		if !strings.Contains(string(reply.body), "LDAP does not support write operations") {
			t.Errorf("%v: got %s", call, reply.body)
		}
	}
	for _, path := range []string{group + "/users/" + alice, staff + "/users/" + demo} {
		reply := c.call(t, "PUT", "/v3/groups/"+path, admin, "").want(403)
		if !strings.Contains(string(reply.body), "across backend boundaries") {
			t.Errorf("got %s", reply.body)
		}
	}
	c.call(t, "GET", "/v3/users/"+alice, admin, "").want(200)
}

// TestDirectoryAway: a directory that is away is an error for its domain alone.
func TestDirectoryAway(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(slapd.Local), "pool_retry_max", 0)
	alice := c.call(t, "GET", "/v3/users?name=alice&domain_id="+domain, admin, "").want(200).text("users", 0, "id")
	token := c.token(t, password("alice", "Company", directorytest.Password, ""))
	owner := c.create(t, admin, "domains", "domain", map[string]any{"name": "Other"})
	slapd.Stop(t)
	valid := func(want int) {
		t.Helper()
		c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", token).want(want)
	}
	valid(200) // by the answer of a moment ago
	c.clock.Advance(31 * time.Second)
	valid(503)
	for _, path := range []string{"/v3/users?domain_id=" + domain, "/v3/groups?domain_id=" + domain, "/v3/users/" + alice, "/v3/users/" + alice + "/groups"} {
		c.call(t, "GET", path, admin, "").want(503)
	}
	c.call(t, "POST", "/v3/auth/tokens", "", password("alice", "Company", directorytest.Password, "")).want(503)
	c.call(t, "GET", "/v3/projects", token, "").want(503)

	c.call(t, "GET", "/v3/users?domain_id="+owner, admin, "").want(200)
	if got := c.call(t, "GET", "/v3/users", admin, "").want(200).names("users", "name"); !slices.Contains(got, "alice") || !slices.Contains(got, "demo") {
		t.Errorf("got %v of all domains", got)
	}
	c.demo(t)

	slapd.Run(t)
	c.configure(t, admin, domain, directorytest.Options(slapd.URL)) // by which nobody waits for the rest to end
	valid(200)
}

// TestDirectoryChanges: another server follows what one server was told.
func TestDirectoryChanges(t *testing.T) {
	t.Parallel()
	first := directorytest.Start(t, directorytest.People)
	second := directorytest.Start(t, directorytest.Person("alice", "Another")+directorytest.Person("zoe", "Zorn"))
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(first.Local))
	other := c.beside(t)
	names := func(of *cloud) string {
		t.Helper()
		return strings.Join(of.call(t, "GET", "/v3/users?domain_id="+domain, admin, "").want(200).names("users", "name"), " ")
	}
	for _, server := range []*cloud{c, other} {
		if got := names(server); got != "alice bob carol" {
			t.Errorf("got %q", got)
		}
	}
	bob := c.token(t, password("bob", "Company", directorytest.Password, ""))
	c.configure(t, admin, domain, directorytest.Options(second.Local))
	c.clock.Advance(100 * time.Millisecond)
	for _, server := range []*cloud{other, c} {
		if got := names(server); got != "alice zoe" {
			t.Errorf("got %q after the change", got)
		}
		// Nobody's token outlives the directory that knew the user.
		server.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", bob).want(404)
	}
	alice := c.call(t, "GET", "/v3/users?name=alice&domain_id="+domain, admin, "").want(200).text("users", 0, "id")
	token := c.token(t, password("alice", "Company", directorytest.Password, ""))
	c.call(t, "DELETE", "/v3/domains/"+domain+"/config", admin, "").want(204)
	c.clock.Advance(100 * time.Millisecond)
	for _, server := range []*cloud{other, c} {
		if got := names(server); got != "" {
			t.Errorf("got %q without a directory", got)
		}
		server.call(t, "GET", "/v3/users/"+alice, admin, "").want(404)
		server.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", token).want(404)
		server.call(t, "POST", "/v3/auth/tokens", "", password("alice", "Company", directorytest.Password, "")).want(401)
	}
	c.create(t, admin, "users", "user", map[string]any{"name": "alice", "domain_id": domain, "password": "ours"})
	c.call(t, "POST", "/v3/auth/tokens", "", password("alice", "Company", "ours", "")).want(201)

	// Who was made here stays when a directory comes, and comes first.
	c.configure(t, admin, domain, directorytest.Options(first.Local))
	c.call(t, "POST", "/v3/auth/tokens", "", password("alice", "Company", "ours", "")).want(201)
	if got := names(c); got != "alice alice bob carol" {
		t.Errorf("got %q with a user of ours", got)
	}
	c.call(t, "PATCH", "/v3/domains/"+domain, admin, `{"domain":{"enabled":false}}`).want(200)
	c.call(t, "POST", "/v3/auth/tokens", "", password("bob", "Company", directorytest.Password, "")).want(401)
	c.call(t, "DELETE", "/v3/domains/"+domain, admin, "").want(204)
	c.call(t, "GET", "/v3/users/"+alice, admin, "").want(404)
}

// TestDirectoryLimit: a list that has more than it may says so.
func TestDirectoryLimit(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(slapd.Local))
	c.call(t, "PATCH", "/v3/domains/"+domain+"/config", admin, `{"config":{"identity":{"list_limit":2}}}`).want(200)
	for _, kind := range []string{"users", "groups"} {
		list := c.call(t, "GET", "/v3/"+kind+"?domain_id="+domain, admin, "").want(200)
		truncated := list.get("truncated")
		if len(list.names(kind, "name")) != 2 || (truncated == true) != (kind == "users") {
			t.Errorf("got %s", list.body)
		}
	}
}

func TestWrongDirectory(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	domain := c.create(t, admin, "domains", "domain", map[string]any{"name": "Company"})
	reply := c.call(t, "PUT", "/v3/domains/"+domain+"/config", admin, `{"config":{"identity":{"driver":"ldap"},"ldap":{"url":"ldap://","user_filter":"(("}}}`).want(403)
	for _, part := range []string{"Invalid domain specific configuration", "option url", "option user_filter"} {
		if !strings.Contains(string(reply.body), part) {
			t.Errorf("got %s, want %q in it", reply.body, part)
		}
	}
	c.call(t, "GET", "/v3/domains/"+domain+"/config", admin, "").want(404)
}

// newestKey is one that secrets are sealed with.
const newestKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// TestSecretsAreSealedAnew: no secret in the database needs a key that was replaced.
func TestSecretsAreSealedAnew(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(slapd.Local))
	consumer := c.call(t, "POST", "/v3/OS-OAUTH1/consumers", admin, `{"consumer":{}}`).want(201)
	c.create(t, admin, "credentials", "credential", map[string]any{"type": "other", "blob": "kept", "user_id": c.find(t, admin, "users", "demo")})

	file := filepath.Join(c.dir, "credential-keys")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	again := func(keys string) {
		t.Helper()
		c.stop()
		err := os.WriteFile(file, []byte(keys), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		c.open(t)
	}
	again(newestKey + "\n" + string(old))
	for _, l := range c.service.Loops() {
		if l.Name == "identity.reseal-credentials" {
			err = l.Once(t.Context())
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	again(newestKey + "\n")
	admin = c.admin(t)
	if got := c.call(t, "GET", "/v3/users?domain_id="+domain, admin, "").want(200).names("users", "name"); len(got) != 3 {
		t.Errorf("got users %v", got)
	}
	s := &signer{c: c, consumer: consumer.text("consumer", "id"), secret: consumer.text("consumer", "secret")}
	s.take(t, s.post(t, "/v3/OS-OAUTH1/request_token", "", "Requested-Project-Id", c.find(t, admin, "projects", "demo")))
	if got := c.call(t, "GET", "/v3/credentials", admin, "").want(200).text("credentials", 0, "blob"); got != "kept" {
		t.Errorf("got blob %q", got)
	}
}

// TestDirectoryWithoutItsKey: a password that cannot be opened any more is one
// domain's misfortune.
func TestDirectoryWithoutItsKey(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options("ldap://127.0.0.1:1"))
	file := filepath.Join(c.dir, "credential-keys")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []string{newestKey + "\n" + string(old), newestKey} { // the keys of tokens are sealed anew at the first
		c.stop()
		err = os.WriteFile(file, []byte(keys), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		c.open(t)
	}
	admin = c.admin(t)
	c.call(t, "GET", "/v3/users?domain_id="+domain, admin, "").want(503)
	c.call(t, "POST", "/v3/auth/tokens", "", password("alice", "Company", directorytest.Password, "")).want(503)
	c.configure(t, admin, domain, directorytest.Options("ldap://127.0.0.1:1")) // the way out
}
