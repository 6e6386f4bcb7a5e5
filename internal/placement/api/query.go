package api

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/placement"
)

// parameter is one that a query may have.
type parameter struct {
	name  *regexp.Regexp
	since api.Version
	rule  string         // of the schema, which the form belongs to
	form  *regexp.Regexp // nil: anything
}

func param(name string, minor int) parameter {
	return parameter{name: regexp.MustCompile("^" + name + "$"), since: api.V(1, minor)}
}

// as adds what a value must look like.
func (p parameter) as(rule, form string) parameter {
	p.rule, p.form = rule, regexp.MustCompile("(?s)"+form)
	return p
}

// id is a parameter of some length, as projects and users are named.
func (p parameter) id() parameter { return p.as("maxLength", "^.{0,255}$") }

// checkQuery refuses what the call's microversion does not know. Of a parameter that is
// there several times the last one counts, as for Placement.
func checkQuery(c *api.Call, known []parameter) error {
	for name, values := range c.Query() {
		var found *parameter
		var patterns []string
		for i, p := range known {
			if c.Version < p.since {
				continue
			}
			if strings.Contains(p.name.String(), "(") {
				patterns = append(patterns, "'"+p.name.String()+"'")
			}
			if p.name.MatchString(name) {
				found = &known[i]
			}
		}
		switch {
		case found == nil && patterns != nil:
			return badQuery("additionalProperties", "'%s' does not match any of the regexes: %s", name, strings.Join(patterns, ", "))
		case found == nil:
			return badQuery("additionalProperties", "Additional properties are not allowed ('%s' was unexpected)", name)
		case found.form == nil:
			continue
		}
		value := last(values)
		switch {
		case value == "" && found.rule == "maxLength":
			return badQuery("minLength", "'' is too short")
		case found.form.MatchString(value):
			continue
		case found.rule == "maxLength":
			return badQuery(found.rule, "'%s' is too long", value)
		case found.rule == "enum":
			words := strings.NewReplacer("(?s)^(", "", ")$", "", "|", "', '").Replace(found.form.String())
			return badQuery(found.rule, "'%s' is not one of ['%s']", value, words)
		case found.rule == "format":
			return badQuery(found.rule, "'%s' is not a 'uuid'", value)
		}
		return badQuery(found.rule, "'%s' does not match '%s'", value, strings.TrimPrefix(found.form.String(), "(?s)"))
	}
	return nil
}

func badQuery(rule, format string, args ...any) error {
	return errs.BadRequestf("Invalid query string parameters: "+format+"\n\nFailed validating '"+rule+"' in schema", args...)
}

// needOf reads resources, required, member_of and in_tree of the group with the
// suffix. What the microversion does not know checkQuery has refused.
func needOf(c *api.Call, suffix string) (placement.Need, error) {
	var need placement.Need
	q := c.Query()
	var err error
	if q.Has("resources" + suffix) {
		need.Resources, err = amounts(last(q["resources"+suffix]))
		if err != nil {
			return need, err
		}
	}
	traits := q["required"+suffix]
	if c.Version < api.V(1, 39) && len(traits) > 1 {
		traits = traits[len(traits)-1:]
	}
	for _, text := range traits {
		required, forbidden, err := traitSets(c, text)
		if err != nil {
			return need, err
		}
		need.Required, need.Forbidden = append(need.Required, required...), append(need.Forbidden, forbidden...)
	}
	groups := q["member_of"+suffix]
	if c.Version < api.V(1, 24) && len(groups) > 1 {
		return need, errs.BadRequestf("Multiple member_of%s parameters are not supported", suffix)
	}
	for _, text := range groups {
		err = memberOf(c, suffix, text, &need)
		if err != nil {
			return need, err
		}
	}
	if q.Has("in_tree" + suffix) {
		need.InTree = strings.TrimSpace(last(q["in_tree"+suffix]))
		if !uuidForm.MatchString(need.InTree) {
			return need, errs.BadRequestf("Invalid query string parameters: Expected 'in_tree' parameter to be a format of uuid. Got: %s", need.InTree)
		}
	}
	return need, nil
}

// last is the last of the values, "" of none.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// amounts reads "VCPU:2,DISK_GB:10".
func amounts(text string) (placement.Resources, error) {
	const bad = "Badly formed resources parameter. Expected resources query string parameter in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: %s."
	if strings.TrimSpace(text) == "" {
		return nil, errs.BadRequestf(bad, "empty string")
	}
	out := placement.Resources{}
	for part := range strings.SplitSeq(text, ",") {
		class, number, ok := strings.Cut(part, ":")
		if !ok || strings.Contains(number, ":") {
			return nil, errs.BadRequestf(bad, part)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil {
			return nil, errs.BadRequestf("Requested resource %s expected positive integer amount. Got: %s.", class, number)
		}
		if n < 1 {
			return nil, errs.BadRequestf("Requested resource %s requires amount >= 1. Got: %d.", class, n)
		}
		out[class] = n
	}
	return out, nil
}

// traitSets reads "A,!B" and, since 1.39, "in:A,B".
func traitSets(c *api.Call, text string) (required [][]string, forbidden []string, err error) {
	const expected = "Invalid query string parameters: Expected 'required' parameter value of the form: "
	some, isAny := strings.CutPrefix(text, "in:")
	if isAny && c.Version < api.V(1, 39) {
		return nil, nil, errs.BadRequestf("Invalid query string parameters: The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' only supported since microversion 1.39. Got: %s", text)
	}
	if isAny {
		names := trimmed(some)
		switch {
		case slices.Contains(names, ""):
			return nil, nil, errs.BadRequestf("%sin:HW_CPU_X86_VMX,CUSTOM_MAGIC. Got an empty trait in: %s", expected, text)
		case slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "!") }):
			return nil, nil, errs.BadRequestf("Invalid query string parameters: The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' does not support forbidden traits. Got: %s", text)
		}
		return [][]string{names}, nil, nil
	}
	form, mayForbid := "HW_CPU_X86_VMX,!CUSTOM_MAGIC", c.Version >= api.V(1, 22)
	if !mayForbid {
		form = "HW_CPU_X86_VMX,CUSTOM_MAGIC"
	}
	for _, name := range trimmed(text) {
		without := strings.TrimLeft(name, "!")
		switch {
		case without == "":
			return nil, nil, errs.BadRequestf("%s%s. Got an empty trait in: %s", expected, form, text)
		case without == name:
			required = append(required, []string{name})
		case mayForbid:
			forbidden = append(forbidden, without)
		default:
			return nil, nil, errs.BadRequestf("%s%s. Got: %s", expected, form, text)
		}
	}
	return required, forbidden, nil
}

// trimmed splits a list at its commas.
func trimmed(text string) []string {
	names := strings.Split(text, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
	}
	return names
}

// contradiction names the traits of which a need wants one and forbids each.
func contradiction(need placement.Need) string {
	for _, names := range need.Required {
		if !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(need.Forbidden, name) }) {
			return strings.Join(slices.Sorted(slices.Values(names)), ", ")
		}
	}
	return ""
}

// memberOf reads "A", "in:A,B" and, since 1.32, "!A" and "!in:A,B".
func memberOf(c *api.Call, suffix, text string, need *placement.Need) error {
	rest, not := strings.CutPrefix(text, "!")
	rest, in := strings.CutPrefix(rest, "in:")
	if !in && strings.Contains(text, ",") {
		return errs.BadRequestf("Multiple values for 'member_of' must be prefixed with the 'in:' or '!in:' keyword using the valid microversion. Got: %s", text)
	}
	list := strings.Split(rest, ",")
	for i, id := range list {
		if !uuidForm.MatchString(id) {
			return errs.BadRequestf("Invalid query string parameters: Expected 'member_of' parameter to contain valid UUID(s). Got: %s", id)
		}
		list[i] = canonical(id)
	}
	if not && c.Version < api.V(1, 32) {
		return errs.BadRequestf("Forbidden member_of%s parameters are not supported in the specified microversion", suffix)
	}
	if not {
		need.Outside = append(need.Outside, list...)
		return nil
	}
	need.MemberOf = append(need.MemberOf, list)
	return nil
}

// suffixes are those of all groups that the query names.
func suffixes(c *api.Call) []string {
	found := map[string]bool{}
	for name := range c.Query() {
		match := groupForm.FindStringSubmatch(name)
		if match != nil {
			found[match[2]] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

var groupForm = regexp.MustCompile(`^(resources|required|member_of|in_tree)([a-zA-Z0-9_-]{1,64})?$`)
