package image

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// PropertyAction is what somebody does with a property of an image.
type PropertyAction string

// What can be done with a property.
const (
	CreateProperty PropertyAction = "create"
	ReadProperty   PropertyAction = "read"
	UpdateProperty PropertyAction = "update"
	DeleteProperty PropertyAction = "delete"
)

var propertyActions = []PropertyAction{CreateProperty, ReadProperty, UpdateProperty, DeleteProperty}

// Protection says which roles may do what with which properties. Nil protects
// none.
type Protection struct{ rules []protectionRule }

type protectionRule struct {
	names *regexp.Regexp
	roles map[PropertyAction][]string
}

// ParseProtection reads the file that Glance's property_protection_file names: a
// section for each expression, in it a line for each action with the roles that
// may, @ for everybody and ! for nobody. The first section that fits a property
// counts; one that fits none is protected from everybody.
func ParseProtection(text string) (*Protection, error) {
	p := &Protection{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			names, err := regexp.Compile(line[1 : len(line)-1])
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			p.rules = append(p.rules, protectionRule{names, map[PropertyAction][]string{}})
			continue
		}
		action, roles, ok := strings.Cut(line, "=")
		act := PropertyAction(strings.TrimSpace(action))
		if !ok || len(p.rules) == 0 || !slices.Contains(propertyActions, act) {
			return nil, fmt.Errorf("line %d: %q is no section and no line of the form action = roles", i+1, line)
		}
		for _, role := range strings.Split(roles, ",") {
			rule := p.rules[len(p.rules)-1]
			rule.roles[act] = append(rule.roles[act], strings.TrimSpace(role))
		}
	}
	for _, rule := range p.rules {
		for _, act := range propertyActions {
			if rule.roles[act] == nil {
				return nil, fmt.Errorf("section [%s] does not say who may %s", rule.names, act)
			}
		}
	}
	return p, nil
}

// Allows tells whether somebody with the roles may do that with the property.
func (p *Protection) Allows(act PropertyAction, property string, roles []string) bool {
	if p == nil {
		return true
	}
	for _, rule := range p.rules {
		if !rule.names.MatchString(property) {
			continue
		}
		allowed := rule.roles[act]
		return !slices.Contains(allowed, "!") && (slices.Contains(allowed, "@") ||
			slices.ContainsFunc(allowed, func(role string) bool { return slices.Contains(roles, role) }))
	}
	return false
}
