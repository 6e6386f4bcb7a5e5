package directory_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"nacre/internal/await"
	"nacre/internal/directory"
	"nacre/internal/directory/directorytest"
)

// defaults are Keystone's, as the identity service gives them.
var defaults = map[string]any{
	"query_scope": "one", "page_size": 0.0, "alias_dereferencing": "default",
	"user_objectclass": "inetOrgPerson", "user_id_attribute": "cn", "user_name_attribute": "sn", "user_mail_attribute": "mail",
	"user_description_attribute": "description", "user_pass_attribute": "userPassword", "user_enabled_attribute": "enabled",
	"user_enabled_mask": 0.0, "user_enabled_default": "True", "user_attribute_ignore": []any{"default_project_id"},
	"group_objectclass": "groupOfNames", "group_id_attribute": "cn", "group_name_attribute": "ou", "group_member_attribute": "member",
	"group_desc_attribute": "description", "tls_req_cert": "demand", "use_pool": true, "pool_size": 10.0, "pool_retry_max": 3.0,
	"pool_retry_delay": 0.01, "pool_connection_lifetime": 600.0, "use_auth_pool": true, "auth_pool_size": 100.0, "auth_pool_connection_lifetime": 60.0,
}

// parse lays options over the usual ones; names and values by turns.
func parse(url string, more ...any) (directory.Config, error) {
	options := maps.Clone(defaults)
	maps.Copy(options, directorytest.Options(url))
	for i := 0; i < len(more); i += 2 {
		options[more[i].(string)] = more[i+1]
	}
	return directory.Parse(options)
}

func open(t testing.TB, url string, more ...any) *directory.Directory {
	t.Helper()
	c, err := parse(url, more...)
	if err != nil {
		t.Fatal(err)
	}
	d := directory.Open(c)
	t.Cleanup(d.Close)
	return d
}

// enabled lists the names of all users, with a minus where one is disabled.
func enabled(t testing.TB, d *directory.Directory) string {
	t.Helper()
	users, _, err := d.Users(t.Context(), directory.Filter{}, directory.DefaultMost)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range users {
		name := u.Name
		if !u.Enabled {
			name = "-" + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func groupNames(groups []directory.Group) string {
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

const more = `dn: ou=deep,` + directorytest.Users + `
objectClass: organizationalUnit
ou: deep

dn: uid=dora,ou=deep,` + directorytest.Users + `
objectClass: inetOrgPerson
objectClass: account2
uid: dora
cn: dora
sn: Dorn
accountControl: 514

dn: cn=enabled_users,` + directorytest.Users + `
objectClass: groupOfNames
cn: enabled_users
member: uid=bob,` + directorytest.Users + `

dn: cn=active,` + directorytest.Groups + `
objectClass: posixGroup
cn: active
gidNumber: 1
memberUid: alice

`

func TestOptions(t *testing.T) {
	t.Parallel()
	slapd := directorytest.StartTLS(t, directorytest.People+more)
	secure := strings.Replace(slapd.Secure, "127.0.0.1", "localhost", 1)
	for name, test := range map[string]struct {
		url     string
		options []any
		want    string
	}{
		"one level":            {slapd.Local, nil, "-carol alice bob"},
		"whole tree":           {slapd.Local, []any{"query_scope", "sub"}, "-carol alice bob dora"},
		"suffix":               {slapd.Local, []any{"query_scope", "sub", "user_tree_dn", nil}, "-carol alice bob dora"},
		"another suffix":       {slapd.Local, []any{"user_tree_dn", "ou=nowhere," + directorytest.Suffix}, ""},
		"filter":               {slapd.Local, []any{"user_filter", "(|(sn=Archer)(sn=Cook))"}, "-carol alice"},
		"bare filter":          {slapd.Local, []any{"user_filter", "sn=Baker"}, "bob"},
		"object class":         {slapd.Local, []any{"user_objectclass", "groupOfNames", "user_id_attribute", "cn", "user_name_attribute", "cn"}, "enabled_users"},
		"pages":                {slapd.Local, []any{"page_size", 1.0}, "-carol alice bob"},
		"surnames":             {slapd.Local, []any{"user_name_attribute", "sn"}, "-Cook Archer Baker"},
		"inverted":             {slapd.Local, []any{"user_enabled_invert", true, "user_enabled_default", "False"}, "alice bob carol"},
		"inverted, by default": {slapd.Local, []any{"user_enabled_invert", "true"}, "-alice -bob carol"},
		"disabled by default":  {slapd.Local, []any{"user_enabled_default", "False"}, "-alice -bob -carol"},
		"enabled is ignored":   {slapd.Local, []any{"user_attribute_ignore", "enabled"}, "alice bob carol"},
		"nonsense for enabled": {slapd.Local, []any{"user_enabled_attribute", "sn"}, "-alice -bob -carol"},
		"mask": {slapd.Local, []any{"user_enabled_attribute", "accountControl", "user_enabled_mask", 2.0, "user_enabled_default", "512", "query_scope", "sub"},
			"-dora alice bob carol"},
		"emulation": {slapd.Local, []any{"user_enabled_emulation", true}, "-alice -carol bob"},
		"emulation by a group": {slapd.Local, []any{"user_enabled_emulation", true, "user_enabled_emulation_dn", "cn=operators," + directorytest.Groups},
			"-bob -carol alice"},
		"emulation by ids": {slapd.Local, []any{"user_enabled_emulation", true, "user_enabled_emulation_dn", "cn=active," + directorytest.Groups,
			"user_enabled_emulation_use_group_config", true, "group_member_attribute", "memberUid", "group_members_are_ids", true}, "-bob -carol alice"},
		"emulation by no group": {slapd.Local, []any{"user_enabled_emulation", true, "user_enabled_emulation_dn", "cn=none," + directorytest.Groups},
			"-alice -bob -carol"},
		"TCP":                    {slapd.URL, nil, "-carol alice bob"},
		"the second server":      {"ldap://127.0.0.1:1," + slapd.URL, nil, "-carol alice bob"},
		"any order":              {"ldap://127.0.0.1:1," + slapd.URL, []any{"randomize_urls", true}, "-carol alice bob"},
		"TLS":                    {secure, []any{"tls_cacertfile", slapd.CA}, "-carol alice bob"},
		"TLS, any certificate":   {secure, []any{"tls_req_cert", "never"}, "-carol alice bob"},
		"TLS begun by a command": {slapd.URL, []any{"use_tls", true, "tls_cacertfile", slapd.CA}, "-carol alice bob"},
		"no pool":                {slapd.Local, []any{"use_pool", false, "use_auth_pool", false}, "-carol alice bob"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, test.url, test.options...)
			for range 2 { // the second time by a connection that was kept
				got := enabled(t, d)
				if got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			}
		})
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.Person("erin", "Egan", "description: about erin", "telephoneNumber: 1", "telephoneNumber: 2", "title: Dr",
		"departmentNumber: p1", "accountGUID:: AAECgP8=")+directorytest.Group("team", "erin"))
	d := open(t, slapd.Local, "user_id_attribute", "accountGUID", "user_default_project_id_attribute", "departmentNumber", "user_attribute_ignore", []any{},
		"user_additional_attribute_mapping", []any{"telephoneNumber:phones", "title:title"}, "group_additional_attribute_mapping", "ou:unit")
	u, err := d.UserNamed(t.Context(), "ERIN")
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != "\x00\x01\x02\x80\xff" || u.Name != "erin" || *u.Description != "about erin" || *u.Email != "erin@example.org" || u.DefaultProject != "p1" {
		t.Errorf("got %+v", u)
	}
	if fmt.Sprint(u.Extra) != "map[phones:[1 2] title:Dr]" {
		t.Errorf("got %v", u.Extra)
	}
	again, err := d.User(t.Context(), u.ID)
	if err != nil || again.DN != u.DN {
		t.Errorf("got %v, %v by the id", again, err)
	}
	groups, err := d.GroupsOf(t.Context(), u)
	if err != nil || groupNames(groups) != "team" || groups[0].Description != "the team" || groups[0].Extra["unit"] != "team" {
		t.Errorf("got groups %v, %v", groups, err)
	}
	// The names of members don't begin with the id: each is looked up.
	members, _, err := d.Members(t.Context(), "team", 10)
	if err != nil || len(members) != 1 || members[0].ID != u.ID {
		t.Errorf("got members %v, %v", members, err)
	}
	// Passwords are not to be shown, under whatever name.
	for _, attribute := range []string{"userPassword", "USERPASSWORD"} {
		_, err = parse(slapd.Local, "user_additional_attribute_mapping", attribute+":shown")
		if err == nil {
			t.Errorf("%s can be shown", attribute)
		}
	}
}

func TestMembersByID(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People+more)
	d := open(t, slapd.Local, "group_objectclass", "posixGroup", "group_name_attribute", "cn", "group_member_attribute", "memberUid", "group_members_are_ids", true)
	members, _, err := d.Members(t.Context(), "active", 10)
	if err != nil || len(members) != 1 || members[0].Name != "alice" {
		t.Errorf("got %v, %v", members, err)
	}
	groups, err := d.GroupsOf(t.Context(), members[0])
	if err != nil || groupNames(groups) != "active" {
		t.Errorf("got groups %v, %v", groups, err)
	}
}

// Groups in groups are what Active Directory finds; what matters is what it is
// asked.
func TestNestedGroups(t *testing.T) {
	t.Parallel()
	fake := directorytest.StartFake(t, answerAll)
	d := open(t, fake.URL, "group_ad_nesting", true)
	_, err := d.GroupsOf(t.Context(), directory.User{DN: "uid=a(b,dc=x"})
	if err != nil {
		t.Fatal(err)
	}
	asked := fake.Filters()
	want := `(&(objectClass=groupOfNames)(member:1.2.840.113556.1.4.1941:=uid=a\28b,dc=x))`
	if len(asked) != 1 || asked[0] != want {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

// Of a large group Active Directory gives the first members; the others are found
// by what it writes at each user.
func TestLargeGroup(t *testing.T) {
	t.Parallel()
	fake := directorytest.StartFake(t, func(say directorytest.Say, id int64, operation *directorytest.Operation) bool {
		if operation.Tag == ldap.ApplicationSearchRequest {
			filter, _ := ldap.DecompileFilter(operation.Children[6])
			if strings.Contains(filter, "groupOfNames") {
				say(directorytest.Entry(id, "cn=all,"+directorytest.Groups, "cn", "all", "member;range=0-1499", "uid=alice,"+directorytest.Users))
			}
		}
		return answerAll(say, id, operation)
	})
	d := open(t, fake.URL)
	_, _, err := d.Members(t.Context(), "all", 10)
	asked := fake.Filters()
	want := "(&(objectClass=inetOrgPerson)(memberOf=cn=all," + directorytest.Groups + "))"
	if err != nil || asked[len(asked)-1] != want {
		t.Errorf("asked for %q, %v; want %q last", asked, err, want)
	}
}

func TestManyMembers(t *testing.T) {
	t.Parallel()
	var people strings.Builder
	var ids []string
	for i := range 350 {
		ids = append(ids, fmt.Sprintf("u%03d", i))
		people.WriteString(directorytest.Person(ids[i], "Many"))
	}
	slapd := directorytest.Start(t, people.String()+directorytest.Group("many", append(ids, "nobody")...))
	d := open(t, slapd.Local, "page_size", 100.0)
	members, more, err := d.Members(t.Context(), "many", 1000)
	if err != nil || len(members) != 350 || more {
		t.Errorf("got %d members, more %t, %v", len(members), more, err)
	}
	members, more, err = d.Members(t.Context(), "many", 10)
	if err != nil || len(members) != 10 || !more {
		t.Errorf("got %d members, more %t, %v", len(members), more, err)
	}
	for _, most := range []int{1, 99, 100, 101, 349} {
		users, more, err := d.Users(t.Context(), directory.Filter{}, most)
		if err != nil || len(users) != most || !more {
			t.Errorf("asked for %d, got %d users, more %t, %v", most, len(users), more, err)
		}
	}
	users, more, err := d.Users(t.Context(), directory.Filter{}, 350)
	if err != nil || len(users) != 350 || more {
		t.Errorf("got %d users, more %t, %v", len(users), more, err)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	d := open(t, slapd.Local)
	alice := "uid=alice," + directorytest.Users
	err := d.Authenticate(t.Context(), alice, directorytest.Password)
	if err != nil {
		t.Error(err)
	}
	for dn, password := range map[string]string{alice: "wrong", "": directorytest.Password, "uid=nobody," + directorytest.Users: directorytest.Password} {
		err = d.Authenticate(t.Context(), dn, password)
		if !errors.Is(err, directory.ErrPassword) {
			t.Errorf("%q with %q: got %v", dn, password, err)
		}
	}
	slapd.Set(t, alice, "pwdAccountLockedTime", "000001010000Z")
	err = d.Authenticate(t.Context(), alice, directorytest.Password)
	if !errors.Is(err, directory.ErrPassword) {
		t.Errorf("locked: got %v", err)
	}
}

// A directory that comes back is asked again, by new connections.
func TestServerComesBack(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	d := open(t, slapd.Local, "pool_retry_max", 0.0)
	_, err := d.UserNamed(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	slapd.Stop(t)
	_, err = d.UserNamed(t.Context(), "alice")
	if err == nil || errors.Is(err, directory.ErrNone) {
		t.Fatalf("got %v of a dead server", err)
	}
	err = d.Authenticate(t.Context(), "uid=alice,"+directorytest.Users, directorytest.Password)
	if err == nil || errors.Is(err, directory.ErrPassword) {
		t.Fatalf("got %v of a dead server", err)
	}
	slapd.Run(t)
	await.Until(t, "the directory answers", 30*time.Second, func() bool {
		_, err := d.UserNamed(t.Context(), "alice")
		return err == nil
	})
}

// A URL of another kind may be configured, as Keystone lets it; nobody connects.
func TestForeignURL(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, scheme := range []string{"https", "http", "LDAP ", ""} {
		c, err := parse(scheme + "://" + listener.Addr().String())
		if err != nil {
			t.Errorf("%q: %v", scheme, err)
			continue
		}
		_, err = directory.Open(c).UserNamed(t.Context(), "alice")
		if err == nil || !strings.Contains(err.Error(), "none of ldap://") {
			t.Errorf("%q: got %v", scheme, err)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string][]any{
		"no url":         {"url", ""},
		"no host":        {"url", "ldap://"},
		"scope":          {"query_scope", "all"},
		"certificates":   {"tls_req_cert", "sometimes"},
		"dereferencing":  {"alias_dereferencing", "often"},
		"filter":         {"user_filter", "(uid=*"},
		"filter breaks":  {"group_filter", ")(uid=*"},
		"attribute":      {"user_id_attribute", "uid)(uid=*"},
		"no id":          {"user_id_attribute", ""},
		"tree":           {"user_tree_dn", "users"},
		"emulation":      {"user_enabled_emulation_dn", "users"},
		"mask":           {"user_enabled_mask", 2.0},
		"number":         {"page_size", "many"},
		"negative":       {"page_size", -5.0},
		"flag":           {"use_tls", "perhaps"},
		"list":           {"user_attribute_ignore", 5.0},
		"mapping":        {"user_additional_attribute_mapping", "title"},
		"TLS twice":      {"url", "ldaps://example.org", "use_tls", true},
		"no password":    {"password", nil},
		"referrals":      {"chase_referrals", true},
		"pool of none":   {"pool_size", 0.0},
		"not even close": {"url", map[string]any{}},
	} {
		_, err := parse("ldap://127.0.0.1", test...)
		if err == nil || !strings.Contains(err.Error(), "option ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// answerAll lets everybody in and finds nothing.
func answerAll(say directorytest.Say, id int64, operation *directorytest.Operation) bool {
	switch operation.Tag {
	case ldap.ApplicationBindRequest:
		return say(directorytest.Result(id, ldap.ApplicationBindResponse, ldap.LDAPResultSuccess))
	case ldap.ApplicationSearchRequest:
		return say(directorytest.Result(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultSuccess))
	}
	return false
}
