package api_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"nacre/internal/directory/directorytest"
)

// company makes a domain whose users are in a directory, and returns its id.
func (c *cloud) company(t testing.TB, admin string, options map[string]any, more ...any) string {
	t.Helper()
	domain := c.create(t, admin, "domains", "domain", map[string]any{"name": "Company"})
	all := maps.Clone(options)
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	c.configure(t, admin, domain, all)
	return domain
}

func (c *cloud) configure(t testing.TB, admin, domain string, options map[string]any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"config": map[string]any{"identity": map[string]any{"driver": "ldap"}, "ldap": options}})
	if err != nil {
		t.Fatal(err)
	}
	status := c.call(t, "PUT", "/v3/domains/"+domain+"/config", admin, string(body)).status
	if status != 200 && status != 201 {
		t.Fatalf("got status %d", status)
	}
}

const onCompany = `{"domain":{"name":"Company"}}`

func TestDomainWithADirectory(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(slapd.Local))
	users := "/v3/users?domain_id=" + domain

	list := c.call(t, "GET", users, admin, "").want(200)
	if got := list.names("users", "name"); !slices.Equal(got, []string{"alice", "bob", "carol"}) {
		t.Fatalf("got users %v", got)
	}
	alice := list.text("users", 0, "id")
	show := c.call(t, "GET", "/v3/users/"+alice, admin, "").want(200)
	if show.text("user", "email") != "alice@example.org" || show.text("user", "description") != "first" || show.text("user", "domain_id") != domain {
		t.Errorf("got %s", show.body)
	}
	if carol := list.get("users", 2, "enabled"); carol != false {
		t.Errorf("carol is enabled: %v", carol)
	}
	for query, want := range map[string][]string{
		"&name=bob": {"bob"}, "&name=BOB": {"bob"}, "&name__contains=aro": {"carol"}, "&name__startswith=al": {"alice"}, "&name__endswith=ob": {"bob"},
		"&enabled=false": {"carol"}, "&enabled=true": {"alice", "bob"}, "&name=nobody": {},
	} {
		if got := c.call(t, "GET", users+query, admin, "").want(200).names("users", "name"); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}

	groups := c.call(t, "GET", "/v3/groups?domain_id="+domain, admin, "").want(200)
	if got := groups.names("groups", "name"); !slices.Equal(got, []string{"operators", "staff"}) {
		t.Fatalf("got groups %v", got)
	}
	operators, staff := groups.text("groups", 0, "id"), groups.text("groups", 1, "id")
	if got := c.call(t, "GET", "/v3/groups/"+staff+"/users", admin, "").want(200).names("users", "name"); !slices.Equal(got, []string{"alice", "bob", "carol"}) {
		t.Errorf("got members %v", got)
	}
	if got := c.call(t, "GET", "/v3/users/"+alice+"/groups", admin, "").want(200).names("groups", "name"); !slices.Equal(got, []string{"operators", "staff"}) {
		t.Errorf("got groups of alice %v", got)
	}
	c.call(t, "HEAD", "/v3/groups/"+operators+"/users/"+alice, admin, "").want(204)
	c.call(t, "HEAD", "/v3/groups/"+operators+"/users/"+list.text("users", 1, "id"), admin, "").want(404)

	// A role for a group of the directory is its members'.
	member := c.find(t, admin, "roles", "member")
	c.call(t, "PUT", "/v3/domains/"+domain+"/groups/"+operators+"/roles/"+member, admin, "").want(204)
	token := c.token(t, password("alice", "Company", directorytest.Password, onCompany))
	me := c.call(t, "GET", "/v3/auth/tokens", token, "", "X-Subject-Token", token).want(200)
	if me.text("token", "user", "id") != alice || me.text("token", "user", "name") != "alice" {
		t.Errorf("the token is for %s", me.body)
	}
	c.call(t, "POST", "/v3/auth/tokens", "", password("bob", "Company", directorytest.Password, onCompany)).want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", password("bob", "Company", directorytest.Password, "")).want(201)
	c.call(t, "POST", "/v3/auth/tokens", "", password("carol", "Company", directorytest.Password, "")).want(401)

	// Who leaves the group loses the role when the directory is asked again.
	slapd.Set(t, "cn=operators,"+directorytest.Groups, "member", "uid=bob,"+directorytest.Users)
	c.clock.Advance(31 * time.Second)
	c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", token).want(404)
	c.call(t, "POST", "/v3/auth/tokens", "", password("bob", "Company", directorytest.Password, onCompany)).want(201)
}
