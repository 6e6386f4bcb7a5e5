// Package directory asks LDAP servers who the users and groups of a domain are,
// and whether a password is right. It only reads.
//
// What comes from a client is text to compare with, never a part of a question:
// names and ids are escaped in filters, and the name that a password is tried
// with is the one that the directory has answered, not one made of what was
// typed. An empty password, which many servers take for nobody's and accept, is
// refused before anything is sent, and so is one with a zero byte, which some
// take for empty.
//
// What comes from a server may be wrong in any way too. Answers are counted and
// measured while they arrive and cut when they are too much; referrals are not
// followed; a server that was to speak TLS is not spoken to without. Each
// question has a deadline, and a directory that cannot be reached is left alone
// for three seconds, in which whoever asks hears so at once.
package directory

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

const (
	// DefaultMost is how many entries a list has at most, and Most what it can be
	// set to.
	DefaultMost = 10_000
	Most        = 100_000
	// maxPacket is how long one entry may be, and maxBytes all of a list.
	maxPacket = 16 << 20
	maxBytes  = 64 << 20
	// failureTakes is how long a wrong password takes at least, so that the time
	// does not tell whether the server had a password to compare with.
	failureTakes = 300 * time.Millisecond
	// inChain is Active Directory's rule that follows groups in groups.
	inChain = ":1.2.840.113556.1.4.1941:"
	// together is how many members are looked up by one question.
	together = 100
)

func init() { ber.MaxPacketLengthBytes = maxPacket }

var (
	// ErrNone says that no entry matches, or more than one.
	ErrNone = errors.New("the directory has no such entry")
	// ErrPassword says that the password is not right.
	ErrPassword = errors.New("the directory refused the password")
)

// Directory is one domain's directory. Its methods may be called concurrently.
// An error that is none of those above says that it could not be asked.
type Directory struct {
	Config
	search, signs *pool
	rest          rest
}

// Open makes a directory. It connects when it is asked.
func Open(c Config) *Directory {
	d := &Directory{Config: c}
	d.search = newPool(c.search, d.signedIn)
	d.signs = newPool(c.signs, d.connect)
	return d
}

// Close closes the connections that are not in use; the others follow.
func (d *Directory) Close() {
	d.search.close()
	d.signs.close()
}

// signedIn connects as the user whom the directory lets read.
func (d *Directory) signedIn(ctx context.Context) (*ldap.Conn, error) {
	conn, err := d.connect(ctx)
	if err != nil || d.user == "" {
		return conn, err
	}
	err = conn.Bind(d.user, d.password)
	if err != nil {
		conn.Close()
		err = fmt.Errorf("bind as %s: %w", d.user, err)
		d.rest.begin(err)
		return nil, err
	}
	return conn, nil
}

// Filter narrows a list by the name, without regard to the case; empty fields
// match all.
type Filter struct{ Name, Contains, StartsWith, EndsWith string }

// on is the filter in LDAP's form.
func (f Filter) on(attribute string) string {
	out := ""
	for _, part := range []struct{ before, text, after string }{
		{"", f.Name, ""}, {"*", f.Contains, "*"}, {"", f.StartsWith, "*"}, {"*", f.EndsWith, ""},
	} {
		if part.text != "" {
			out += "(" + attribute + "=" + part.before + ldap.EscapeFilter(part.text) + part.after + ")"
		}
	}
	return out
}

func equals(attribute, value string) string {
	return "(" + attribute + "=" + ldap.EscapeFilter(value) + ")"
}

// Users lists users, most at most, and tells whether there are more.
func (d *Directory) Users(ctx context.Context, f Filter, most int) (users []User, more bool, err error) {
	return d.usersBy(ctx, "("+d.users.id+"=*)"+f.on(d.users.name), most)
}

func (d *Directory) usersBy(ctx context.Context, filter string, most int) ([]User, bool, error) {
	entries, more, err := d.entries(ctx, question{kind: d.users, filter: filter, attributes: d.userAttributes()}, most)
	if err != nil {
		return nil, false, err
	}
	var out []User
	for _, e := range entries {
		u, ok := d.readUser(e)
		if ok {
			out = append(out, u)
		}
	}
	return out, more, d.emulate(ctx, out)
}

func (d *Directory) userAttributes() []string {
	return d.users.attributes(d.email, d.enabled.attribute, d.defaultProject)
}

// User finds the user with an id.
func (d *Directory) User(ctx context.Context, id string) (User, error) {
	u, err := d.oneUser(ctx, equals(d.users.id, id))
	if err == nil && u.ID != id { // some directories ignore the case; an id means one user
		err = ErrNone
	}
	return u, err
}

// UserNamed finds the user with a name. One that two users have means nobody.
func (d *Directory) UserNamed(ctx context.Context, name string) (User, error) {
	if !readable(name) {
		return User{}, ErrNone
	}
	return d.oneUser(ctx, equals(d.users.name, name))
}

func (d *Directory) oneUser(ctx context.Context, filter string) (User, error) {
	found, more, err := d.usersBy(ctx, filter, 1)
	switch {
	case err != nil:
		return User{}, err
	case len(found) != 1 || more:
		return User{}, ErrNone
	}
	return found[0], nil
}

// emulate sets who is enabled by membership of a group.
func (d *Directory) emulate(ctx context.Context, users []User) error {
	rule := d.enabled
	if !rule.emulated || d.users.ignores("enabled") || len(users) == 0 {
		return nil
	}
	filter := ""
	if len(users) == 1 { // the group may be large
		filter = equals(rule.members.attribute, rule.members.of(users[0]))
	}
	found, _, err := d.entries(ctx, question{
		kind: kind{base: rule.group, scope: ldap.ScopeBaseObject, filter: "(objectClass=*)"}, filter: filter, attributes: []string{rule.members.attribute},
	}, 1)
	if err != nil {
		return err
	}
	members := map[string]bool{}
	for _, e := range found {
		for _, value := range e.GetEqualFoldAttributeValues(rule.members.attribute) {
			members[rule.members.plain(value)] = true
		}
	}
	for i, u := range users {
		users[i].Enabled = members[rule.members.plain(rule.members.of(u))]
	}
	return nil
}

// of is what a group says of a member.
func (r memberRule) of(u User) string {
	if r.ids {
		return u.ID
	}
	return u.DN
}

// plain is what a group says of a member in one spelling.
func (r memberRule) plain(value string) string {
	if r.ids {
		return value
	}
	return plainDN(value)
}

// Groups lists groups, most at most, and tells whether there are more.
func (d *Directory) Groups(ctx context.Context, f Filter, most int) (groups []Group, more bool, err error) {
	return d.groupsBy(ctx, "("+d.groups.id+"=*)"+f.on(d.groups.name), most)
}

func (d *Directory) groupsBy(ctx context.Context, filter string, most int, more ...string) ([]Group, bool, error) {
	entries, rest, err := d.entries(ctx, question{kind: d.groups, filter: filter, attributes: d.groups.attributes(more...)}, most)
	if err != nil {
		return nil, false, err
	}
	var out []Group
	for _, e := range entries {
		g, ok := d.readGroup(e)
		if ok {
			out = append(out, g)
		}
	}
	return out, rest, nil
}

// Group finds the group with an id.
func (d *Directory) Group(ctx context.Context, id string) (Group, error) { return d.oneGroup(ctx, id) }

func (d *Directory) oneGroup(ctx context.Context, id string, attributes ...string) (Group, error) {
	found, more, err := d.groupsBy(ctx, equals(d.groups.id, id), 1, attributes...)
	switch {
	case err != nil:
		return Group{}, err
	case len(found) != 1 || more || found[0].ID != id:
		return Group{}, ErrNone
	}
	return found[0], nil
}

// GroupsOf lists the groups that a user is in.
func (d *Directory) GroupsOf(ctx context.Context, u User) ([]Group, error) {
	attribute := d.members.attribute
	if d.members.nested {
		attribute += inChain
	}
	groups, more, err := d.groupsBy(ctx, equals(attribute, d.members.of(u)), Most)
	if more {
		// Roles that somebody has must not depend on which groups come first.
		err = fmt.Errorf("the directory does not list all groups of %s", u.DN)
	}
	return groups, err
}

// Members lists the users in a group.
func (d *Directory) Members(ctx context.Context, id string, most int) (users []User, more bool, err error) {
	g, err := d.oneGroup(ctx, id, d.members.attribute)
	if err != nil {
		return nil, false, err
	}
	switch {
	case d.members.nested:
		return d.usersBy(ctx, equals("memberOf"+inChain, g.DN), most)
	case g.ranged:
		return d.usersBy(ctx, equals("memberOf", g.DN), most)
	}
	if len(g.members) > most {
		g.members, more = g.members[:most], true
	}
	users, err = d.named(ctx, g.members)
	return users, more, err
}

// named finds the users that a group names. Those whose name begins with their
// id are found many at a time; the others one by one. What is no user by the
// rules of this directory is passed over.
func (d *Directory) named(ctx context.Context, members []string) ([]User, error) {
	var out []User
	wanted, filters := map[string]bool{}, []string{}
	for _, member := range members {
		attribute, value := d.users.id, member
		if !d.members.ids {
			attribute, value = firstOf(member)
		}
		if !strings.EqualFold(attribute, d.users.id) {
			u, err := d.userAt(ctx, member)
			if err == nil {
				out = append(out, u)
			}
			if err != nil && !errors.Is(err, ErrNone) {
				return nil, err
			}
			continue
		}
		wanted[d.members.plain(member)] = true
		filters = append(filters, equals(d.users.id, value))
	}
	for len(filters) > 0 {
		n := min(together, len(filters))
		found, _, err := d.usersBy(ctx, "(|"+strings.Join(filters[:n], "")+")", Most)
		if err != nil {
			return nil, err
		}
		for _, u := range found {
			if wanted[d.members.plain(d.members.of(u))] {
				out = append(out, u)
			}
		}
		filters = filters[n:]
	}
	return out, nil
}

// userAt reads the user with a distinguished name, if it stands where users do.
func (d *Directory) userAt(ctx context.Context, dn string) (User, error) {
	base, err := ldap.ParseDN(d.users.base)
	if err != nil {
		return User{}, err
	}
	at, err := ldap.ParseDN(dn)
	if err != nil || !base.AncestorOfFold(at) || d.users.scope == ldap.ScopeSingleLevel && len(at.RDNs) != len(base.RDNs)+1 {
		return User{}, ErrNone
	}
	there := d.users
	there.base, there.scope = dn, ldap.ScopeBaseObject
	entries, _, err := d.entries(ctx, question{kind: there, attributes: d.userAttributes()}, 1)
	if err != nil {
		return User{}, err
	}
	for _, e := range entries {
		u, ok := d.readUser(e)
		if ok {
			one := []User{u}
			return one[0], d.emulate(ctx, one)
		}
	}
	return User{}, ErrNone
}

// Authenticate finds out whether the password is that of the entry. Without an
// entry ("") the directory is asked all the same, for one that there is not.
func (d *Directory) Authenticate(ctx context.Context, dn, password string) error {
	began := time.Now()
	err := ErrPassword
	if password != "" && !strings.Contains(password, "\x00") {
		if dn == "" {
			dn = d.nobody()
		}
		err = d.with(ctx, d.signs, func(c *ldap.Conn) error { return c.Bind(dn, password) })
	}
	if err == nil {
		return nil
	}
	if refusal(err) {
		err = fmt.Errorf("%w: %w", ErrPassword, err)
	}
	select {
	case <-time.After(failureTakes - time.Since(began)):
	case <-ctx.Done():
	}
	return err
}

// nobody is a name that no entry has.
func (d *Directory) nobody() string {
	var b [16]byte
	_, err := rand.Read(b[:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return "cn=" + hex.EncodeToString(b[:]) + "," + d.users.base
}

// refusal tells whether a server has answered that this is not somebody whom it
// lets in, rather than that it cannot answer.
func refusal(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultConstraintViolation,
		ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultReferral)
}
