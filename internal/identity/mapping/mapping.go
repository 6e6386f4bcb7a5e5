// Package mapping turns what an identity provider says of somebody into who that
// is here: a user, groups, projects with roles. The rules are Keystone's, in
// its schemas 1.0 and 2.0.
//
// Applying rules is a pure function. Where Keystone writes all values of an
// attribute into one text and reads lists out of that text again, values stay
// values here: however somebody is called by a provider, a name is never read as
// a list, as several values with semicolons between them, as JSON, or as a place
// to fill in. What is unclear (several values where one is wanted) lets nobody in.
package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Versions of the rules' schema.
const (
	V1 = "1.0"
	V2 = "2.0" // a rule's domain holds for its user and projects too
)

// RemoteUser is the attribute that names who has no name by the rules.
const RemoteUser = "REMOTE_USER"

// Types of users.
const (
	Ephemeral = "ephemeral" // known by the provider alone
	Local     = "local"     // of ours
)

// Ref names something by id or name.
type Ref struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// User is who somebody is.
type User struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Type   string `json:"type"`
	Domain *Ref   `json:"domain"`
}

// Group is a group by id, or by name and domain.
type Group struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Domain *Ref   `json:"domain"`
}

// Project is a project in which somebody has roles; it is made when it is missing.
type Project struct {
	Name   string `json:"name"`
	Roles  []Ref  `json:"roles"`
	Domain *Ref   `json:"domain"`
}

// Identity is who somebody is, with all that belongs to it.
type Identity struct {
	User     User
	Groups   []Group
	Projects []Project
}

type local struct {
	User     *User     `json:"user"`
	Group    *Group    `json:"group"`
	Groups   *string   `json:"groups"`
	GroupIDs *string   `json:"group_ids"`
	Domain   *Ref      `json:"domain"`
	Projects []Project `json:"projects"`
}

type remote struct {
	Type      string   `json:"type"`
	AnyOneOf  []string `json:"any_one_of"`
	NotAnyOf  []string `json:"not_any_of"`
	Blacklist []string `json:"blacklist"`
	Whitelist []string `json:"whitelist"`
	Regex     bool     `json:"regex"`

	patterns []*regexp.Regexp
}

type rule struct {
	Local  []local  `json:"local"`
	Remote []remote `json:"remote"`
}

// Mapping is a set of rules.
type Mapping struct {
	rules   []rule
	version string
}

// Parse reads rules.
func Parse(rules json.RawMessage, version string) (*Mapping, error) {
	m := &Mapping{version: version}
	err := json.Unmarshal(rules, &m.rules)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	for i := range m.rules {
		for j := range m.rules[i].Remote {
			err = m.rules[i].Remote[j].compile()
			if err != nil {
				return nil, fmt.Errorf("read rules: %w", err)
			}
		}
	}
	return m, nil
}

func (r *remote) compile() error {
	if !r.Regex {
		return nil
	}
	for _, text := range slices.Concat(r.AnyOneOf, r.NotAnyOf, r.Blacklist, r.Whitelist) {
		pattern, err := regexp.Compile(text)
		if err != nil {
			return err
		}
		r.patterns = append(r.patterns, pattern)
	}
	return nil
}

// ErrNobody says that no rule knows who it is about.
var ErrNobody = errors.New("the mapping makes nobody of what the provider says")

// Apply finds out who has the attributes. All rules that match count: the first
// user that one names, the groups of all, and the projects of the last.
func (m *Mapping) Apply(attributes map[string][]string) (Identity, error) {
	for name, values := range attributes {
		for _, value := range values {
			if !legible(value) {
				return Identity{}, fmt.Errorf("attribute %q holds what is no text", name)
			}
		}
	}
	var who Identity
	matched := false
	for _, r := range m.rules {
		values, ok := r.match(attributes)
		if !ok {
			continue
		}
		matched = true
		for _, l := range r.Local {
			err := m.add(&who, l, values)
			if err != nil {
				return Identity{}, err
			}
		}
	}
	if !matched {
		return Identity{}, ErrNobody
	}
	if who.User.Type == "" {
		who.User.Type = Ephemeral
	}
	if remote := attributes[RemoteUser]; who.User.ID == "" && who.User.Name == "" && len(remote) == 1 {
		who.User.Name = remote[0]
	}
	if who.User.ID == "" && who.User.Name == "" {
		return Identity{}, ErrNobody
	}
	who.Groups = distinct(who.Groups)
	return who, nil
}

// legible tells whether a value is text that can be a name.
func legible(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl)
}

func distinct(groups []Group) []Group {
	seen := map[string]bool{}
	return slices.DeleteFunc(groups, func(g Group) bool {
		key := fmt.Sprintf("%q", g.ID)
		if g.Domain != nil {
			key += fmt.Sprintf("%q%q%q", g.Name, g.Domain.ID, g.Domain.Name)
		}
		again := seen[key]
		seen[key] = true
		return again
	})
}

// match tells whether a rule is about somebody with the attributes, and gives the
// values that its local part may use: those of each remote attribute that isn't
// only a condition.
func (r rule) match(attributes map[string][]string) ([][]string, bool) {
	var values [][]string
	for _, want := range r.Remote {
		have := attributes[want.Type]
		if len(have) == 0 {
			return nil, false
		}
		chosen, others := want.split(have)
		switch {
		case want.AnyOneOf != nil:
			if len(chosen) == 0 {
				return nil, false
			}
		case want.NotAnyOf != nil:
			if len(chosen) > 0 {
				return nil, false
			}
		case want.Blacklist != nil:
			values = append(values, others)
		case want.Whitelist != nil:
			values = append(values, chosen)
		default:
			values = append(values, have)
		}
	}
	return values, true
}

// split parts values into those that the list of the condition names and the
// others.
func (r remote) split(have []string) (chosen, others []string) {
	listed := slices.Concat(r.AnyOneOf, r.NotAnyOf, r.Blacklist, r.Whitelist)
	for _, value := range have {
		named := slices.Contains(listed, value)
		if r.Regex {
			named = slices.ContainsFunc(r.patterns, func(p *regexp.Regexp) bool { return p.MatchString(value) })
		}
		if named {
			chosen = append(chosen, value)
		} else {
			others = append(others, value)
		}
	}
	return chosen, others
}

// add fills in the local part of a rule and lays it over what is known so far.
func (m *Mapping) add(who *Identity, l local, values [][]string) error {
	f := filler{values: values}
	domain := f.ref(l.Domain)
	if l.User != nil && who.User == (User{}) {
		who.User = User{ID: f.optional(l.User.ID), Name: f.optional(l.User.Name), Email: f.optional(l.User.Email), Type: l.User.Type, Domain: f.ref(l.User.Domain)}
		if m.version == V2 && who.User.Domain == nil {
			who.User.Domain = domain
		}
	}
	if g := l.Group; g != nil {
		if g.ID == "" && g.Domain == nil {
			return errors.New("the mapping names a group without its domain")
		}
		who.Groups = append(who.Groups, Group{ID: f.one(g.ID), Name: f.one(g.Name), Domain: f.ref(g.Domain)})
	}
	if l.Groups != nil {
		if domain == nil {
			return errors.New("the mapping names groups without their domain")
		}
		for _, name := range f.list(*l.Groups) {
			who.Groups = append(who.Groups, Group{Name: name, Domain: domain})
		}
	}
	if l.GroupIDs != nil {
		for _, id := range f.list(*l.GroupIDs) {
			who.Groups = append(who.Groups, Group{ID: id})
		}
	}
	if l.Projects != nil {
		who.Projects = nil
	}
	for _, p := range l.Projects {
		project := Project{Name: f.one(p.Name), Domain: f.ref(p.Domain)}
		if m.version == V2 && project.Domain == nil {
			project.Domain = domain
		}
		for _, role := range p.Roles {
			project.Roles = append(project.Roles, Ref{Name: f.one(role.Name)})
		}
		who.Projects = append(who.Projects, project)
	}
	return f.err
}
