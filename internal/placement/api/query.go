package api

import (
	"regexp"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/placement"
)

// needOf reads resources, required and member_of of the group with the suffix
// as the call's microversion knows them.
func needOf(c *api.Call, suffix string) (placement.Need, error) {
	var need placement.Need
	q := c.Query()
	var err error
	if q.Has("resources"+suffix) && c.Version >= api.V(1, 4) {
		need.Resources, err = amounts(q.Get("resources" + suffix))
		if err != nil {
			return need, err
		}
	}
	if c.Version >= api.V(1, 17) {
		for _, text := range q["required"+suffix] {
			required, forbidden, err := traitSets(c, text)
			if err != nil {
				return need, err
			}
			need.Required, need.Forbidden = append(need.Required, required...), append(need.Forbidden, forbidden...)
		}
	}
	if c.Version >= api.V(1, 3) {
		for _, text := range q["member_of"+suffix] {
			err = memberOf(c, text, &need)
			if err != nil {
				return need, err
			}
		}
	}
	return need, nil
}

// amounts reads "VCPU:2,DISK_GB:10".
func amounts(text string) (placement.Resources, error) {
	out := placement.Resources{}
	for _, part := range strings.Split(text, ",") {
		class, number, _ := strings.Cut(part, ":")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || class == "" {
			return nil, errs.BadRequestf("Badly formed resources parameter. Expected resources query string parameter in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: %s.", text)
		}
		if n < 1 {
			return nil, errs.BadRequestf("Requested resource %s requires a positive amount, got %d.", class, n)
		}
		out[class] = n
	}
	return out, nil
}

// traitSets reads "A,!B" and, since 1.39, "in:A,B".
func traitSets(c *api.Call, text string) (required [][]string, forbidden []string, err error) {
	any, isAny := strings.CutPrefix(text, "in:")
	if isAny {
		if c.Version < api.V(1, 39) {
			return nil, nil, errs.BadRequestf("The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' only supported since Microversion 1.39. Got: %s", text)
		}
		return [][]string{strings.Split(any, ",")}, nil, nil
	}
	for _, name := range strings.Split(text, ",") {
		without, not := strings.CutPrefix(name, "!")
		switch {
		case name == "" || without == "":
			return nil, nil, errs.BadRequestf("Invalid query string parameters: Expected 'required' parameter value of the form: HW_CPU_X86_VMX,CUSTOM_MAGIC. Got: %s", text)
		case not && c.Version < api.V(1, 22):
			return nil, nil, errs.BadRequestf("Invalid query string parameters: Expected 'required' parameter value of the form: HW_CPU_X86_VMX,CUSTOM_MAGIC. Got: %s", text)
		case not:
			forbidden = append(forbidden, without)
		default:
			required = append(required, []string{name})
		}
	}
	return required, forbidden, nil
}

var uuidPattern = regexp.MustCompile(uuidForm)

// memberOf reads "A", "in:A,B" and, since 1.32, "!A" and "!in:A,B".
func memberOf(c *api.Call, text string, need *placement.Need) error {
	rest, not := strings.CutPrefix(text, "!")
	rest, _ = strings.CutPrefix(rest, "in:")
	list := strings.Split(rest, ",")
	for _, id := range list {
		if !uuidPattern.MatchString(id) {
			return errs.BadRequestf("Invalid query string parameters: Expected 'member_of' parameter to contain valid UUID(s). Got: %s", text)
		}
	}
	if not && c.Version < api.V(1, 32) {
		return errs.BadRequestf("Forbidden member_of parameters are not supported in the specified microversion %s.", c.Version)
	}
	if not {
		need.Outside = append(need.Outside, list...)
		return nil
	}
	need.MemberOf = append(need.MemberOf, list)
	return nil
}
