package auth

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// op says what a check does.
type op uint8

const (
	never op = iota // the zero value refuses
	always
	negate
	allOf
	anyOf
	rule       // another rule by name
	role       // the caller has the role
	credential // an attribute of the caller equals the template
	literal    // a written value equals the template
	field      // an attribute of the target has a written value
)

// check is a node of a parsed rule. Evaluation walks the tree by plain static
// calls, so that caller and target stay on the stack: an answer allocates
// nothing.
type check struct {
	op    op
	text  string   // as it was written, of a check without operators
	parts []*check // operands of negate, allOf, anyOf; [0] of rule, once resolved

	name    string         // of the rule, the literal or the target's field
	cred    cred           // of credential
	match   template       // right side
	pattern *regexp.Regexp // of a field that is matched with =~
}

// template is the right side of a check, such as %(project_id)s, cut in pieces.
type template []piece

// piece is fixed text or the name of a target attribute.
type piece struct {
	text string
	attr bool
}

// cred names an attribute of the caller.
type cred uint8

const (
	absent cred = iota // known to OpenStack, never set here
	userID
	userName
	userDomain
	projectID
	projectDomain
	domainID
	systemScope
	isAdmin
	isAdminProject
	roles
	trustID
	trustorID
	trusteeID
	isDelegated
)

// creds are the left sides that a rule may name, with OpenStack's aliases.
var creds = map[string]cred{
	"user_id": userID, "user": userID, "token.user.id": userID,
	"user_name": userName, "username": userName, "token.user.name": userName,
	"user_domain_id": userDomain, "token.user.domain.id": userDomain,
	"project_id": projectID, "tenant_id": projectID, "project": projectID, "tenant": projectID, "token.project.id": projectID,
	"project_domain_id": projectDomain, "token.project.domain.id": projectDomain,
	"domain_id": domainID, "token.domain.id": domainID,
	"system_scope":     systemScope,
	"is_admin":         isAdmin,
	"is_admin_project": isAdminProject,
	"roles":            roles,

	"service_user_id": absent, "service_user_domain_id": absent, "service_project_id": absent,
	"service_project_domain_id": absent, "service_roles": absent, "group_ids": absent,

	"trust_id": trustID, "trustor_id": trustorID, "trustee_id": trusteeID, "is_delegated_auth": isDelegated,
}

// leaf parses one check without operators.
func leaf(word string) (*check, error) {
	c, err := parseLeaf(word)
	if err != nil {
		return nil, err
	}
	c.text = word
	return c, nil
}

func parseLeaf(word string) (*check, error) {
	switch word {
	case "@":
		return &check{op: always}, nil
	case "!":
		return &check{op: never}, nil
	}
	kind, rest, found := strings.Cut(word, ":")
	if !found || kind == "" || rest == "" {
		return nil, fmt.Errorf("%q is not of the form kind:match", word)
	}
	switch kind {
	case "rule":
		return &check{op: rule, name: rest}, nil
	case "http", "https":
		return nil, fmt.Errorf("%q: remote checks are not supported", word)
	case "field":
		return fieldCheck(rest)
	}
	match, err := parseTemplate(rest)
	if err != nil {
		return nil, err
	}
	if kind == "role" {
		return &check{op: role, match: match}, nil
	}
	value, ok := literalValue(kind)
	if ok {
		return &check{op: literal, name: value, match: match}, nil
	}
	cred, ok := creds[kind]
	if !ok {
		return nil, fmt.Errorf("%q: callers have no attribute %q", word, kind)
	}
	return &check{op: credential, cred: cred, match: match}, nil
}

// fieldCheck parses Neutron's resource:attribute=value; with =~ the value is
// a regular expression that must match at the beginning.
func fieldCheck(text string) (*check, error) {
	_, assignment, found := strings.Cut(text, ":")
	if !found {
		return nil, fmt.Errorf("%q is not of the form field:resource:attribute=value", "field:"+text)
	}
	name, value, found := strings.Cut(assignment, "=")
	if !found || name == "" {
		return nil, fmt.Errorf("%q is not of the form field:resource:attribute=value", "field:"+text)
	}
	if !strings.HasPrefix(value, "~") {
		return &check{op: field, name: name, match: template{{text: value}}}, nil
	}
	pattern, err := regexp.Compile("^(?:" + value[1:] + ")")
	if err != nil {
		return nil, fmt.Errorf("%q: %w", "field:"+text, err)
	}
	return &check{op: field, name: name, pattern: pattern}, nil
}

// literalValue recognises a left side that stands for itself: 'text', None,
// True, False or a number.
func literalValue(kind string) (string, bool) {
	switch kind {
	case "None", "True", "False":
		return kind, true
	}
	n := len(kind)
	if n >= 2 && (kind[0] == '\'' || kind[0] == '"') && kind[n-1] == kind[0] {
		return kind[1 : n-1], true
	}
	_, err := strconv.ParseFloat(kind, 64)
	return kind, err == nil
}

// parseTemplate cuts %(name)s out of the right side of a check.
func parseTemplate(text string) (template, error) {
	var t template
	for text != "" {
		before, after, found := strings.Cut(text, "%")
		if before != "" {
			t = append(t, piece{text: before})
		}
		if !found {
			break
		}
		name, rest, closed := strings.Cut(after, ")s")
		if !closed || !strings.HasPrefix(name, "(") || len(name) == 1 {
			return nil, fmt.Errorf("%q: after %% stands (name)s", "%"+after)
		}
		t = append(t, piece{text: name[1:], attr: true})
		text = rest
	}
	return t, nil
}

// allows evaluates a check.
func (c *check) allows(caller *Caller, target *Target) bool {
	switch c.op {
	case always:
		return true
	case negate:
		return !c.parts[0].allows(caller, target)
	case allOf:
		for _, part := range c.parts {
			if !part.allows(caller, target) {
				return false
			}
		}
		return true
	case anyOf:
		for _, part := range c.parts {
			if part.allows(caller, target) {
				return true
			}
		}
		return false
	case rule:
		return len(c.parts) == 1 && c.parts[0].allows(caller, target)
	case role:
		for _, r := range caller.Roles {
			if c.match.equals(r, target, true) {
				return true
			}
		}
		return false
	case credential:
		return c.credentialMatches(caller, target)
	case literal:
		return c.literalMatches(target)
	case field:
		return c.fieldMatches(target)
	}
	return false
}

func (c *check) credentialMatches(caller *Caller, target *Target) bool {
	if c.cred == roles {
		for _, r := range caller.Roles {
			if c.match.equals(r, target, false) {
				return true
			}
		}
		return false
	}
	value := c.cred.of(caller)
	if value == "" {
		// Only the written word None means "has none". Nobody's project must
		// never equal the missing project of a target.
		return len(c.match) == 1 && !c.match[0].attr && c.match[0].text == "None"
	}
	return c.match.equals(value, target, false)
}

func (c *check) literalMatches(target *Target) bool {
	switch c.name {
	case "None":
		if len(c.match) != 1 || !c.match[0].attr {
			return c.match.equals("None", target, false)
		}
		value, known := target.attribute(c.match[0].text)
		return known && (value == "" || value == "None")
	case "True", "False":
		return c.match.equals(c.name, target, true)
	}
	return c.match.equals(c.name, target, false)
}

func (c *check) fieldMatches(target *Target) bool {
	value, known := target.attribute(c.name)
	if !known {
		return false
	}
	if c.pattern != nil {
		return c.pattern.MatchString(value)
	}
	want := c.match[0].text
	if want == "True" || want == "False" {
		return strings.EqualFold(value, want)
	}
	return value == want
}

// equals compares a value with the filled-in template. An attribute that the
// target lacks, or has empty, equals nothing.
func (t template) equals(value string, target *Target, foldCase bool) bool {
	for i, p := range t {
		text := p.text
		if p.attr {
			text, _ = target.attribute(p.text)
			if text == "" {
				return false
			}
		}
		if len(text) > len(value) || (i == len(t)-1 && len(text) != len(value)) {
			return false
		}
		head := value[:len(text)]
		if head != text && !(foldCase && strings.EqualFold(head, text)) {
			return false
		}
		value = value[len(text):]
	}
	return len(t) > 0
}

// attribute looks up what a rule writes as %(name)s.
func (t *Target) attribute(name string) (value string, known bool) {
	switch name {
	case "project_id", "tenant_id":
		value = t.Project
	case "user_id":
		value = t.User
	case "domain_id":
		value = t.Domain
	}
	if value != "" {
		return value, true
	}
	value, known = t.Attrs[name]
	return value, known
}

// of reads the attribute of a caller; empty means that the caller has none.
func (a cred) of(c *Caller) string {
	switch a {
	case userID:
		return c.User
	case userName:
		return c.UserName
	case userDomain:
		return c.UserDomain
	case projectID:
		return c.Project
	case projectDomain:
		return c.ProjectDomain
	case domainID:
		return c.Domain
	case systemScope:
		if c.System {
			return "all"
		}
	case isAdmin:
		if c.Admin() {
			return "True"
		}
		return "False"
	case isAdminProject:
		return "True"
	case trustID:
		return c.Trust
	case trustorID:
		return c.Trustor
	case trusteeID:
		return c.Trustee
	case isDelegated:
		if c.Trust != "" || c.AccessToken != "" {
			return "True"
		}
		return "False"
	}
	return ""
}
