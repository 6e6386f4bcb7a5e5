package directory

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// User is somebody whom a directory knows.
type User struct {
	ID      string // the bytes of the attribute, which may be no text
	DN      string
	Name    string
	Enabled bool

	Description, Email *string
	DefaultProject     string
	Extra              map[string]any
}

// Group is a group in a directory.
type Group struct {
	ID          string
	DN          string
	Name        string
	Description string
	Extra       map[string]any

	members []string
	ranged  bool // the directory gives members a part at a time, as Active Directory does with many
}

// attributes are those that are asked for; what nobody shows is not read, least
// of all passwords.
func (k kind) attributes(more ...string) []string {
	out := []string{k.id, k.name}
	for _, a := range append(more, k.about) {
		if a != "" {
			out = append(out, a)
		}
	}
	for _, m := range k.more {
		out = append(out, m.attribute)
	}
	return out
}

// ignores tells whether an attribute of ours is not taken from the directory.
func (k kind) ignores(name string) bool {
	for _, i := range k.ignore {
		if strings.EqualFold(i, name) {
			return true
		}
	}
	return false
}

// idOf is the id of an entry. Where the attribute has several values, the one
// that names the entry counts.
func (k kind) idOf(e *ldap.Entry) (string, bool) {
	values := e.GetEqualFoldRawAttributeValues(k.id)
	if len(values) == 1 {
		return string(values[0]), len(values[0]) > 0
	}
	if len(values) == 0 {
		return "", false
	}
	attribute, value := firstOf(e.DN)
	return value, strings.EqualFold(attribute, k.id)
}

// firstOf is the attribute that names an entry below its parent, "" if several do.
func firstOf(dn string) (attribute, value string) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) != 1 {
		return "", ""
	}
	return parsed.RDNs[0].Attributes[0].Type, parsed.RDNs[0].Attributes[0].Value
}

// text is the first value of an attribute, nil for none and for what is no text.
func text(e *ldap.Entry, attribute string) *string {
	if attribute == "" {
		return nil
	}
	for _, value := range e.GetEqualFoldRawAttributeValues(attribute) {
		if readable(string(value)) {
			out := string(value)
			return &out
		}
	}
	return nil
}

// readable tells whether this is text that a database keeps.
func readable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func (k kind) extra(e *ldap.Entry) map[string]any {
	out := map[string]any{}
	for _, m := range k.more {
		var values []any
		for _, value := range e.GetEqualFoldAttributeValues(m.attribute) {
			if readable(value) {
				values = append(values, value)
			}
		}
		switch len(values) {
		case 0:
		case 1:
			out[m.name] = values[0]
		default:
			out[m.name] = values
		}
	}
	return out
}

// user reads an entry. One without an id or a name is none.
func (c Config) readUser(e *ldap.Entry) (User, bool) {
	id, ok := c.users.idOf(e)
	name := text(e, c.users.name)
	if !ok || name == nil || strings.TrimSpace(*name) == "" {
		return User{}, false
	}
	u := User{ID: id, DN: e.DN, Name: *name, Extra: c.users.extra(e), Enabled: c.enabled.of(e, c.users.ignores("enabled"))}
	if !c.users.ignores("description") {
		u.Description = text(e, c.users.about)
	}
	if !c.users.ignores("email") {
		u.Email = text(e, c.email)
	}
	project := text(e, c.defaultProject)
	if project != nil && !c.users.ignores("default_project_id") {
		u.DefaultProject = *project
	}
	return u, true
}

// of tells whether an entry is enabled by its own attribute. What cannot be
// understood is not enabled.
func (r enabledRule) of(e *ldap.Entry, ignored bool) bool {
	value := r.otherwise
	if found := text(e, r.attribute); found != nil && !ignored {
		value = *found
	}
	if r.mask != 0 {
		number, err := strconv.ParseInt(value, 10, 64)
		return err == nil && number&r.mask != r.mask
	}
	yes, understood := truth(value)
	return understood && yes != (r.invert && !r.emulated)
}

func truth(value string) (yes, understood bool) {
	switch strings.ToUpper(strings.TrimSpace(value)) {
	case "TRUE", "YES":
		return true, true
	case "FALSE", "NO", "":
		return false, true
	}
	number, err := strconv.ParseInt(value, 10, 64)
	return number != 0, err == nil
}

// group reads an entry. One without an id or a name is none.
func (c Config) readGroup(e *ldap.Entry) (Group, bool) {
	id, ok := c.groups.idOf(e)
	name := text(e, c.groups.name)
	if !ok || name == nil || strings.TrimSpace(*name) == "" {
		return Group{}, false
	}
	g := Group{ID: id, DN: e.DN, Name: *name, Extra: c.groups.extra(e), members: e.GetEqualFoldAttributeValues(c.members.attribute)}
	for _, a := range e.Attributes {
		g.ranged = g.ranged || strings.HasPrefix(strings.ToLower(a.Name), strings.ToLower(c.members.attribute)+";range=")
	}
	about := text(e, c.groups.about)
	if about != nil && !c.groups.ignores("description") {
		g.Description = *about
	}
	return g, true
}

// plainDN is a name in one spelling, so that two names of one entry are equal.
func plainDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return strings.ToLower(parsed.String())
}
