package directory_test

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"nacre/internal/directory"
	"nacre/internal/directory/directorytest"
)

// specials are texts that mean something in filters or names of LDAP.
var specials = []string{
	"*", "ali*", "*)(objectClass=*", "alice)(uid=*", "alice)(|(uid=*", ")(", "(", ")", `\2a`, `\`, "alice)", "(uid=alice)", "&", "|(uid=alice)", "!",
	"alice,ou=users", "alice,ou=users,dc=example,dc=org", "uid=alice", "alice+cn=alice", "#616c696365", "alice\x00", "\x00alice", "ali\x00ce", "=", "~=", ">=a",
}

// TestAttackLDAPFilterInjection: what somebody types is compared with, and asks
// for nothing else.
func TestAttackLDAPFilterInjection(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	d := open(t, slapd.Local)
	for _, text := range specials {
		_, err := d.UserNamed(t.Context(), text)
		if !errors.Is(err, directory.ErrNone) {
			t.Errorf("name %q: got %v", text, err)
		}
		_, err = d.User(t.Context(), text)
		if !errors.Is(err, directory.ErrNone) {
			t.Errorf("id %q: got %v", text, err)
		}
		_, err = d.Group(t.Context(), text)
		if !errors.Is(err, directory.ErrNone) {
			t.Errorf("group %q: got %v", text, err)
		}
		for _, f := range []directory.Filter{{Name: text}, {Contains: text}, {StartsWith: text}, {EndsWith: text}} {
			users, _, err := d.Users(t.Context(), f, 10)
			groups, _, other := d.Groups(t.Context(), f, 10)
			if err != nil || other != nil || len(users)+len(groups) > 0 {
				t.Errorf("filter %+v: got %v and %v, %v, %v", f, users, groups, err, other)
			}
		}
	}
}

// TestAttackLDAPDNInjection: a user whose name in the directory is made of special
// characters is in the own groups alone, and signs in as nobody else.
func TestAttackLDAPDNInjection(t *testing.T) {
	t.Parallel()
	const (
		evil = `*)(member=*`
		dn   = `uid=\2A)(member=\2A,` + directorytest.Users
		comb = `alice,ou=users`
		deep = `uid=alice\2Cou\3Dusers,` + directorytest.Users
	)
	person := func(dn, uid string) string {
		return "dn: " + dn + "\nobjectClass: inetOrgPerson\nuid: " + uid + "\ncn: x\nsn: x\nuserPassword: evil\n\n"
	}
	slapd := directorytest.Start(t, directorytest.People+person(dn, evil)+person(deep, comb)+
		"dn: cn=own,"+directorytest.Groups+"\nobjectClass: groupOfNames\ncn: own\nmember: "+dn+"\nmember: "+deep+"\n\n")
	d := open(t, slapd.Local)
	for _, name := range []string{evil, comb} {
		u, err := d.UserNamed(t.Context(), name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		groups, err := d.GroupsOf(t.Context(), u)
		if err != nil || groupNames(groups) != "own" {
			t.Errorf("%q is in %v, %v", name, groups, err)
		}
		err = d.Authenticate(t.Context(), u.DN, directorytest.Password)
		if !errors.Is(err, directory.ErrPassword) {
			t.Errorf("%q with the password of others: got %v", name, err)
		}
		err = d.Authenticate(t.Context(), u.DN, "evil")
		if err != nil {
			t.Errorf("%q with the own password: got %v", name, err)
		}
	}
	members, _, err := d.Members(t.Context(), "own", 10)
	if err != nil || len(members) != 2 {
		t.Errorf("got members %v, %v", members, err)
	}
	// A group may name what is no user of this domain: another part of the tree.
	slapd.Set(t, "cn=own,"+directorytest.Groups, "member", directorytest.AdminDN, "cn=policy,"+directorytest.Suffix, "cn=staff,"+directorytest.Groups)
	members, _, err = d.Members(t.Context(), "own", 10)
	if err != nil || len(members) > 0 {
		t.Errorf("got members %v, %v", members, err)
	}
}

// TestAttackLDAPEmptyPassword: to a bind without a password many servers say yes.
func TestAttackLDAPEmptyPassword(t *testing.T) {
	t.Parallel()
	fake := directorytest.StartFake(t, answerAll)
	d := open(t, fake.URL)
	err := d.Authenticate(t.Context(), "uid=alice,"+directorytest.Users, "")
	if !errors.Is(err, directory.ErrPassword) || len(fake.Heard()) > 0 {
		t.Errorf("got %v, the server heard %v", err, fake.Heard())
	}
	_, err = parse(fake.URL, "password", "")
	if err == nil {
		t.Error("a directory can be read as somebody without a password")
	}
}

// TestAttackLDAPNullByte: for a server in C a password or name may end there.
func TestAttackLDAPNullByte(t *testing.T) {
	t.Parallel()
	fake := directorytest.StartFake(t, answerAll)
	d := open(t, fake.URL)
	for _, password := range []string{"\x00", "\x00secret", "secret\x00"} {
		err := d.Authenticate(t.Context(), "uid=alice,"+directorytest.Users, password)
		if !errors.Is(err, directory.ErrPassword) {
			t.Errorf("%q: got %v", password, err)
		}
	}
	_, err := d.UserNamed(t.Context(), "alice\x00")
	if !errors.Is(err, directory.ErrNone) || len(fake.Heard()) > 0 {
		t.Errorf("got %v, the server heard %v", err, fake.Heard())
	}
}

// TestAttackLDAPReferral: a directory sends us to another host with our password.
func TestAttackLDAPReferral(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	called := make(chan struct{}, 10)
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			c.Close()
			called <- struct{}{}
		}
	}()
	away := "ldap://" + other.Addr().String() + "/"
	slapd := directorytest.Start(t, directorytest.People+
		"dn: ou=away,"+directorytest.Users+"\nobjectClass: referral\nobjectClass: extensibleObject\nou: away\nref: "+away+"ou=away\n\n")
	d := open(t, slapd.Local, "query_scope", "sub")
	if got := enabled(t, d); got != "-carol alice bob" { // passes over the reference
		t.Errorf("got %q", got)
	}
	inside := open(t, slapd.Local, "user_tree_dn", "ou=away,"+directorytest.Users)
	_, _, err = inside.Users(t.Context(), directory.Filter{}, 10)
	if err == nil {
		t.Error("got an answer from behind a referral")
	}
	err = d.Authenticate(t.Context(), "uid=alice,ou=away,"+directorytest.Users, directorytest.Password)
	if !errors.Is(err, directory.ErrPassword) {
		t.Errorf("got %v of a referral", err)
	}
	select {
	case <-called:
		t.Error("the other host was called")
	default:
	}
}

// TestAttackLDAPTLSDowngrade: who sits between refuses TLS, or has another
// certificate, and hears no password.
func TestAttackLDAPTLSDowngrade(t *testing.T) {
	t.Parallel()
	fake := directorytest.StartFake(t, func(say directorytest.Say, id int64, operation *directorytest.Operation) bool {
		if operation.Tag == ldap.ApplicationExtendedRequest {
			return say(directorytest.Result(id, ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError))
		}
		return answerAll(say, id, operation)
	})
	slapd := directorytest.StartTLS(t, directorytest.People)
	stranger := directorytest.StartTLS(t, directorytest.People)
	for name, test := range map[string]struct {
		url     string
		options []any
	}{
		"no TLS":                       {fake.URL, []any{"use_tls", true}},
		"no TLS, any certificate":      {fake.URL, []any{"use_tls", true, "tls_req_cert", "never"}},
		"another certificate":          {stranger.Secure, []any{"tls_cacertfile", slapd.CA}},
		"another certificate, command": {stranger.URL, []any{"use_tls", true, "tls_cacertfile", slapd.CA}},
		"certificate of nobody known":  {slapd.Secure, nil},
		"another host":                 {strings.Replace(slapd.Secure, "127.0.0.1", "127.0.0.2", 1), []any{"tls_cacertfile", slapd.CA}},
		"a file without certificates":  {slapd.Secure, []any{"tls_cacertfile", "/etc/hostname"}},
	} {
		d := open(t, test.url, append(test.options, "pool_retry_max", 0.0)...)
		_, err := d.UserNamed(t.Context(), "alice")
		if err == nil || errors.Is(err, directory.ErrNone) {
			t.Errorf("%s: got %v", name, err)
		}
		err = d.Authenticate(t.Context(), "uid=alice,"+directorytest.Users, directorytest.Password)
		if err == nil || errors.Is(err, directory.ErrPassword) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, operation := range fake.Heard() {
		if operation != ldap.ApplicationExtendedRequest {
			t.Errorf("the server heard operation %d without TLS", operation)
		}
	}
	if !slices.Contains(fake.Heard(), ldap.ApplicationExtendedRequest) {
		t.Error("nobody asked for TLS")
	}
}

// TestAttackLDAPHugeResult: a server answers without an end, or with an entry as
// large as memory.
func TestAttackLDAPHugeResult(t *testing.T) {
	t.Parallel()
	endless := func(size int) directorytest.Answer {
		filler := strings.Repeat("x", size)
		return func(say directorytest.Say, id int64, operation *directorytest.Operation) bool {
			if operation.Tag != ldap.ApplicationSearchRequest {
				return answerAll(say, id, operation)
			}
			for i := 0; ; i++ {
				uid := "u" + strconv.Itoa(i)
				if !say(directorytest.Entry(id, "uid="+uid+","+directorytest.Users, "uid", uid, "mail", filler)) {
					return false
				}
			}
		}
	}
	d := open(t, directorytest.StartFake(t, endless(10)).URL)
	users, more, err := d.Users(t.Context(), directory.Filter{}, 100)
	if err != nil || len(users) != 100 || !more {
		t.Errorf("got %d users, more %t, %v; want the first 100", len(users), more, err)
	}
	_, err = d.UserNamed(t.Context(), "alice")
	if !errors.Is(err, directory.ErrNone) {
		t.Errorf("got %v of endless users with a name", err)
	}
	d = open(t, directorytest.StartFake(t, endless(1<<20)).URL, "connection_timeout", 60.0)
	_, _, err = d.Users(t.Context(), directory.Filter{}, directory.Most)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v of entries of 1 MB", err)
	}
	d = open(t, directorytest.StartFake(t, endless(20<<20)).URL)
	_, err = d.UserNamed(t.Context(), "alice")
	if err == nil || errors.Is(err, directory.ErrNone) {
		t.Errorf("got %v of an entry of 20 MB", err)
	}
}

// TestAttackLDAPSilence: a server that takes every question and answers none costs
// one deadline, and then nobody waits for it.
func TestAttackLDAPSilence(t *testing.T) {
	t.Parallel()
	fake := directorytest.StartFake(t, func(directorytest.Say, int64, *directorytest.Operation) bool { return true })
	d := open(t, fake.URL, "connection_timeout", 0.2)
	for range 3 {
		_, err := d.UserNamed(t.Context(), "alice")
		if err == nil || errors.Is(err, directory.ErrNone) {
			t.Errorf("got %v", err)
		}
	}
	if heard := fake.Heard(); len(heard) != 1 {
		t.Errorf("it was asked %d times, want once", len(heard))
	}
}
