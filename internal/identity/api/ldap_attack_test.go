package api_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"nacre/internal/directory/directorytest"
)

// TestAttackLDAPSignIn: nothing that is typed as a name, an id or a password lets
// anybody in but the user with the own password.
func TestAttackLDAPSignIn(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(slapd.Local))
	users := "/v3/users?domain_id=" + domain
	refused := func(name, secret string) {
		t.Helper()
		want := 401
		if strings.Contains(name+secret, "\x00") {
			want = 400 // no text that we take has one
		}
		c.call(t, "POST", "/v3/auth/tokens", "", password(name, "Company", secret, "")).want(want)
	}
	for _, name := range []string{"*", "a*", "alice)(uid=*", "*)(objectClass=*", "alice,ou=users," + directorytest.Suffix, `\61lice`, "alice\x00", "uid=alice", " "} {
		refused(name, directorytest.Password)
		for _, filter := range []string{"name", "name__contains", "name__startswith", "name__endswith"} {
			list := c.call(t, "GET", users+"&"+filter+"="+url.QueryEscape(name), admin, "")
			if list.status == 200 && len(list.names("users", "name")) > 0 || list.status != 200 && list.status != 400 {
				t.Errorf("%s=%q: got %s", filter, name, list.body)
			}
		}
	}
	for _, secret := range []string{"", "\x00", directorytest.Password + "\x00", "*", directorytest.AdminPassword} {
		refused("alice", secret)
	}
	c.call(t, "POST", "/v3/auth/tokens", "", password("alice", "Company", directorytest.Password, "")).want(201)
}

// TestAttackLDAPEnumeration: an unknown user, a locked one, a disabled one and a
// wrong password get one answer, for which the directory was asked the same.
func TestAttackLDAPEnumeration(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	slapd.Set(t, "uid=bob,"+directorytest.Users, "pwdAccountLockedTime", "000001010000Z")
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(slapd.Local))
	request := regexp.MustCompile(`req-[0-9a-f-]+`)
	var said []string
	for _, who := range [][2]string{{"alice", "wrong"}, {"nobody", directorytest.Password}, {"bob", directorytest.Password}, {"carol", directorytest.Password}, {"carol", "wrong"}, {"alice", ""}} {
		body := c.call(t, "POST", "/v3/auth/tokens", "", password(who[0], "Company", who[1], "")).want(401).body
		said = append(said, request.ReplaceAllString(string(body), "req"))
	}
	if len(slices.Compact(said)) != 1 {
		t.Errorf("got %q", said)
	}
	// A server that knows one user and refuses all passwords is asked the same of
	// that user as of others.
	fake := directorytest.StartFake(t, func(say directorytest.Say, id int64, operation *directorytest.Operation) bool {
		switch operation.Tag {
		case ldap.ApplicationSearchRequest:
			filter, err := ldap.DecompileFilter(operation.Children[6])
			if err == nil && filter == "(&(objectClass=inetOrgPerson)(uid=alice))" {
				say(directorytest.Entry(id, "uid=alice,"+directorytest.Users, "uid", "alice"))
			}
			return say(directorytest.Result(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultSuccess))
		case ldap.ApplicationBindRequest:
			return say(directorytest.Result(id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials))
		}
		return false
	})
	options := directorytest.Options(fake.URL)
	options["user"], options["password"] = nil, nil
	c.configure(t, admin, domain, options)
	asked := func(name string) string {
		before := len(fake.Heard())
		c.call(t, "POST", "/v3/auth/tokens", "", password(name, "Company", "wrong", "")).want(401)
		return fmt.Sprint(fake.Heard()[before:])
	}
	asked("alice") // opens the connections
	known, unknown := asked("alice"), asked("nobody")
	if want := fmt.Sprint([]int{ldap.ApplicationSearchRequest, ldap.ApplicationBindRequest}); known != want || unknown != want {
		t.Errorf("the directory heard %s for a user and %s for nobody, want %s", known, unknown, want)
	}
}

// TestAttackLDAPDisabled: whoever is disabled or gone in the directory has no token
// after half a minute, however it was made, and enabling revives none.
func TestAttackLDAPDisabled(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	c := start(t)
	admin := c.admin(t)
	domain := c.company(t, admin, directorytest.Options(slapd.Local))
	alice := c.call(t, "GET", "/v3/users?name=alice&domain_id="+domain, admin, "").want(200).text("users", 0, "id")
	bob := c.call(t, "GET", "/v3/users?name=bob&domain_id="+domain, admin, "").want(200).text("users", 0, "id")
	project := c.create(t, admin, "projects", "project", map[string]any{"name": "work", "domain_id": domain})
	member := c.find(t, admin, "roles", "member")
	c.call(t, "PUT", "/v3/projects/"+project+"/users/"+alice+"/roles/"+member, admin, "").want(204)
	onWork := `{"project":{"id":"` + project + `"}}`
	first := c.token(t, password("alice", "Company", directorytest.Password, onWork))

	secret := c.call(t, "POST", "/v3/users/"+alice+"/application_credentials", first, `{"application_credential":{"name":"robot"}}`).want(201)
	byCredential := fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"name":"robot","secret":%q,
		"user":{"name":"alice","domain":{"name":"Company"}}}}}}`, secret.text("application_credential", "secret"))
	c.call(t, "POST", "/v3/OS-TRUST/trusts", first, fmt.Sprintf(`{"trust":{"trustor_user_id":%q,"trustee_user_id":%q,"project_id":%q,"impersonation":true,"roles":[{"name":"member"}]}}`,
		alice, bob, project)).want(201)
	trust := c.call(t, "GET", "/v3/OS-TRUST/trusts", admin, "").want(200).text("trusts", 0, "id")
	bobs := c.token(t, password("bob", "Company", directorytest.Password, ""))
	byTrust := byToken(bobs, `{"OS-TRUST:trust":{"id":"`+trust+`"}}`)
	tokens := []string{first, c.token(t, byCredential), c.token(t, byTrust), c.token(t, byToken(first, onWork))}
	valid := func(token string, want int) {
		t.Helper()
		c.call(t, "GET", "/v3/auth/tokens", admin, "", "X-Subject-Token", token).want(want)
	}
	for _, token := range tokens {
		valid(token, 200)
	}

	slapd.Set(t, "uid=alice,"+directorytest.Users, "accountEnabled", "FALSE")
	c.clock.Advance(31 * time.Second)
	for _, token := range tokens {
		valid(token, 404)
	}
	valid(bobs, 200)
	for _, body := range []string{byCredential, byTrust, password("alice", "Company", directorytest.Password, "")} {
		if status := c.call(t, "POST", "/v3/auth/tokens", "", body).status; status < 400 || status > 404 {
			t.Errorf("got status %d for whoever is disabled", status)
		}
	}

	slapd.Set(t, "uid=alice,"+directorytest.Users, "accountEnabled", "TRUE")
	c.clock.Advance(31 * time.Second)
	for _, token := range tokens {
		valid(token, 404)
	}
	again := c.token(t, byCredential) // which was not taken away
	valid(again, 200)

	slapd.Delete(t, "uid=alice,"+directorytest.Users)
	c.clock.Advance(31 * time.Second)
	valid(again, 404)
	c.call(t, "GET", "/v3/users/"+alice, admin, "").want(404)
	if got := c.call(t, "GET", "/v3/users?name=alice", admin, "").want(200).names("users", "name"); len(got) > 0 {
		t.Errorf("got %v of all domains", got)
	}
}

// TestAttackLDAPProviderTakesID: ids follow from what other systems say. An identity
// provider and the directory of one domain that say the same mean two people; who
// is known first has the id, with all that was given to it, and the other has not.
func TestAttackLDAPProviderTakesID(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.Person("ann", "Archer")+directorytest.Person("bea", "Baker"))
	c, p := federated(t)
	admin := c.admin(t)
	domain := c.call(t, "GET", "/v3/OS-FEDERATION/identity_providers/acme", admin, "").want(200).text("identity_provider", "domain_id")
	ann := c.present(t, p.bearer()).want(201).text("token", "user", "id")
	c.configure(t, admin, domain, directorytest.Options(slapd.Local))
	list := c.call(t, "GET", "/v3/users?domain_id="+domain, admin, "").want(200)
	if got := list.names("users", "name"); !slices.Equal(got, []string{"ann", "bea"}) || list.text("users", 0, "id") != ann {
		t.Errorf("got %s", list.body)
	}
	if email := c.call(t, "GET", "/v3/users/"+ann, admin, "").want(200).get("user", "email"); email == "ann@example.org" {
		t.Error("the provider's user has become the directory's")
	}
	name := c.call(t, "GET", "/v3/domains/"+domain, admin, "").want(200).text("domain", "name")
	c.call(t, "POST", "/v3/auth/tokens", "", password("ann", name, directorytest.Password, "")).want(401)
	c.call(t, "POST", "/v3/auth/tokens", "", password("bea", name, directorytest.Password, "")).want(201)
	p.set("preferred_username", "bea")
	if status := c.present(t, p.bearer()).status; status < 400 || status > 409 {
		t.Errorf("the provider signs in as a user of the directory: %d", status)
	}
}
