package api_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What Placement understands in the query of each list, since which microversion, and
// what it says to the rest.
func TestQueries(t *testing.T) {
	h := start(t)
	step{"admin", "POST", "/resource_providers", `{"name":"one","uuid":"` + one + `"}`, 201, ""}.run(t, h)
	step{"admin", "GET", "/resource_providers?name=two&name=one", "", 200, one}.run(t, h)
	step{"admin", "GET", "/resource_providers?name=one&name=two", "", 200, `{"resource_providers":[]}`}.run(t, h)
	for _, trait := range []string{"A", "B"} {
		step{"admin@1.6", "PUT", "/traits/CUSTOM_" + trait, "", 201, ""}.run(t, h)
	}
	ask := func(minor int, path, query string) (int, string) {
		parts := strings.FieldsFunc(query, func(r rune) bool { return r == '&' })
		for i, part := range parts {
			name, value, _ := strings.Cut(part, "=")
			parts[i] = url.QueryEscape(name) + "=" + url.QueryEscape(value)
		}
		r := httptest.NewRequest("GET", "/placement"+path+"?"+strings.Join(parts, "&"), nil)
		r.Header.Set("X-Auth-Token", "admin")
		r.Header.Set("OpenStack-API-Version", fmt.Sprintf("placement 1.%d", minor))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var reply struct {
			Errors []struct{ Detail, Code string }
		}
		json.Unmarshal(w.Body.Bytes(), &reply)
		if len(reply.Errors) == 0 {
			return w.Code, ""
		}
		return w.Code, reply.Errors[0].Detail + " " + reply.Errors[0].Code
	}
	const (
		list       = "/resource_providers"
		candidates = "/allocation_candidates"
		unexpected = "Additional properties are not allowed"
		form       = "Expected 'required' parameter value of the form"
		cpu        = "resources=VCPU:1"
		two1       = "resources1=VCPU:1&resources2=VCPU:1"
	)
	for _, test := range []struct {
		path, query string
		since       int    // the first microversion of 1.39 that takes it, -1: none
		before      string // what the one before says, or 1.39 where none takes it
	}{
		{list, "name=one", 0, ""}, {list, "name=", 0, ""}, {list, "uuid=" + one, 0, ""},
		{list, "uuid=1&uuid=" + one, 0, ""},
		{list, "uuid=1", -1, "'1' is not a 'uuid'"},
		{list, "member_of=" + group, 3, unexpected},
		{list, cpu, 4, unexpected},
		{list, "in_tree=" + one, 14, unexpected},
		{list, "in_tree=1", -1, "'1' is not a 'uuid'"},
		{list, "required=CUSTOM_A", 18, unexpected},
		{list, "limit=1", -1, unexpected}, {list, "resources1=VCPU:1", -1, unexpected}, {list, "sort_key=name", -1, unexpected},
		{list, "required=CUSTOM_C", -1, "No such trait(s): CUSTOM_C"},
		{list, "resources=NONE:1", -1, "No such resource class NONE"},

		{list, "member_of=in:" + group + "," + one, 3, unexpected},
		{list, "member_of=" + group + "," + one, -1, "must be prefixed with the 'in:' or '!in:' keyword"},
		{list, "member_of=" + group + "&member_of=" + one, 24, "Multiple member_of parameters are not supported"},
		{list, "member_of=!" + group, 32, "Forbidden member_of parameters are not supported"},
		{list, "member_of=!in:" + group + "," + one, 32, "Forbidden member_of parameters are not supported"},
		{list, "member_of=", -1, "contain valid UUID(s). Got: "}, {list, "member_of=in:", -1, "contain valid UUID(s). Got: "},
		{list, "member_of=in:" + group + ",x", -1, "contain valid UUID(s). Got: x"}, {list, "member_of=!!" + group, -1, "contain valid UUID(s)"},

		{list, "required=CUSTOM_A,CUSTOM_B", 18, unexpected},
		{list, "required=!CUSTOM_A", 22, form}, {list, "required=CUSTOM_A,!CUSTOM_B", 22, form},
		{list, "required=in:CUSTOM_A,CUSTOM_B", 39, "only supported since microversion 1.39"},
		{list, "required=in:CUSTOM_A,!CUSTOM_B", -1, "does not support forbidden traits"},
		{list, "required=in:CUSTOM_A,", -1, "Got an empty trait in"}, {list, "required=", -1, "Got an empty trait in"},
		{list, "required=CUSTOM_A,,CUSTOM_B", -1, form}, {list, "required=!", -1, "Got an empty trait in"},
		{list, "required=&required=CUSTOM_A", -1, "Got an empty trait in"},

		{list, "resources=", -1, "Badly formed resources parameter"}, {list, "resources=VCPU", -1, "Got: VCPU."},
		{list, "resources=VCPU:1,", -1, "Got: ."}, {list, "resources=VCPU:1:2", -1, "Got: VCPU:1:2."},
		{list, "resources=VCPU:x", -1, "Requested resource VCPU expected positive integer amount. Got: x."},
		{list, "resources=VCPU:1.5", -1, "expected positive integer amount"},
		{list, "resources=VCPU:0", -1, "requires amount >= 1. Got: 0."}, {list, "resources=VCPU:-3", -1, "requires amount >= 1. Got: -3."},

		{candidates, cpu, 10, ""}, {candidates, "", -1, "at least one resources or resources[$S] parameter"},
		{candidates, cpu + "&limit=5", 16, unexpected}, {candidates, cpu + "&limit=0&limit=6", 16, unexpected},
		{candidates, cpu + "&limit=0", -1, "'0' does not match"}, {candidates, cpu + "&limit=-1", -1, "'-1' does not match"},
		{candidates, cpu + "&limit=", -1, "does not match"}, {candidates, cpu + "&limit=1x", -1, "'1x' does not match"},
		{candidates, cpu + "&required=CUSTOM_A", 17, unexpected}, {candidates, cpu + "&member_of=" + group, 21, unexpected},
		{candidates, cpu + "&required=!CUSTOM_A", 22, form}, {candidates, cpu + "&member_of=!" + group, 32, "Forbidden member_of parameters"},
		{candidates, cpu + "&required=in:CUSTOM_A,CUSTOM_B", 39, "only supported since microversion 1.39"},
		{candidates, "resources1=VCPU:1", 25, unexpected}, {candidates, "resources_NET-1=VCPU:1", 33, "does not match any of the regexes"},
		{candidates, "resources01=VCPU:1", 33, "does not match any of the regexes"},
		{candidates, "resources" + strings.Repeat("x", 65) + "=VCPU:1", -1, "does not match any of the regexes"},
		{candidates, cpu + "&in_tree=" + one, 31, "does not match any of the regexes"}, {candidates, cpu + "&in_tree=1", -1, "'in_tree' parameter to be a format of uuid. Got: 1"},
		{candidates, cpu + "&root_required=CUSTOM_A,!CUSTOM_B", 35, "does not match any of the regexes"},
		{candidates, cpu + "&root_required=CUSTOM_A&root_required=CUSTOM_B", -1, "may be specified only once. placement.query.duplicate_key"},
		{candidates, cpu + "&root_required=CUSTOM_A,!CUSTOM_A", -1, "found in root_required: CUSTOM_A placement.query.bad_value"},
		{candidates, cpu + "&root_required=in:CUSTOM_A,CUSTOM_B", -1, "in:CUSTOM_A,CUSTOM_B"}, {candidates, cpu + "&root_required=", -1, "Got an empty trait in"},
		{candidates, two1 + "&group_policy=none", 25, unexpected}, {candidates, two1 + "&group_policy=isolate", 25, unexpected},
		{candidates, two1, -1, `The "group_policy" parameter is required`}, {candidates, two1 + "&group_policy=", -1, "'' is not one of ['none', 'isolate']"},
		{candidates, two1 + "&group_policy=all", -1, "'all' is not one of ['none', 'isolate']"},
		{candidates, two1 + "&group_policy=none&same_subtree=1,2", 36, "does not match any of the regexes"},
		{candidates, two1 + "&group_policy=none&same_subtree=1,3", -1, "should be specified in `same_subtree`: ['3'] not found"},
		{candidates, two1 + "&group_policy=none&same_subtree=1,", -1, "Empty string (unsuffixed group)"},
		{candidates, two1 + "&required3=CUSTOM_A&group_policy=none&same_subtree=1,3", 36, "does not match any of the regexes"},
		{candidates, two1 + "&required3=CUSTOM_A&group_policy=none", -1, "Resourceless suffixed group request should be specified in `same_subtree`"},
		{candidates, "required=CUSTOM_A", -1, "at least one resources or resources[$S] parameter. placement.query.missing_value"},
		{candidates, cpu + "&required=CUSTOM_A,!CUSTOM_A", -1, "required: (CUSTOM_A)"}, {candidates, cpu + "&name=one", -1, "does not match any of the regexes"},
		{candidates, cpu + "&required=CUSTOM_C", -1, "No such trait(s): CUSTOM_C"}, {candidates, "resources=NONE:1", -1, "No such resource class NONE"},

		{"/usages", "project_id=demo", 9, ""}, {"/usages", "project_id=demo&user_id=d", 9, ""}, {"/usages", "user_id=d", -1, "'project_id' is a required property"},
		{"/usages", "project_id=demo&consumer_type=INSTANCE", 38, unexpected}, {"/usages", "project_id=demo&consumer_type=all", 38, unexpected},
		{"/usages", "project_id=demo&consumer_type=instance", -1, "'instance' does not match"},
		{"/usages", "project_id=demo&user_id=", -1, "is too short"}, {"/usages", "project_id=demo&user_id=" + strings.Repeat("x", 256), -1, "is too long"},
		{"/usages", "project_id=demo&all=1", -1, unexpected},

		{"/traits", "", 6, ""}, {"/traits", "name=in:CUSTOM_A,CUSTOM_B", 6, ""}, {"/traits", "name=startswith:CUSTOM", 6, ""},
		{"/traits", "name=CUSTOM_A", -1, `Badly formatted name parameter`}, {"/traits", "associated=TRUE", 6, ""},
		{"/traits", "associated=1", -1, `only accepts "true" or "false"`}, {"/traits", "associated=", -1, `only accepts "true" or "false"`},
		{"/traits", "name=like:CUSTOM_A", 6, ""},
		{"/traits", "limit=1", -1, unexpected},

		{candidates, cpu + "&limit=5&limit=0", -1, "'0' does not match"},

		// These look at no parameter.
		{"/resource_classes", "limit=x", 2, ""}, {list + "/" + one, "x=y", 0, ""}, {list + "/" + one + "/inventories", "x=y", 0, ""},
		{list + "/" + one + "/aggregates", "x=y", 1, ""}, {list + "/" + one + "/traits", "x=y", 6, ""}, {list + "/" + one + "/usages", "x=y", 0, ""},
		{list + "/" + one + "/allocations", "x=y", 0, ""}, {"/allocations/" + consumer, "x=y", 0, ""},
	} {
		name := test.path + "?" + test.query
		refused := test.since - 1
		if test.since < 0 {
			refused = 39
		} else {
			for _, minor := range []int{test.since, 39} {
				status, said := ask(minor, test.path, test.query)
				if status != 200 {
					t.Errorf("1.%d %s: got %d %s, want 200", minor, name, status, said)
				}
			}
		}
		if test.before == "" {
			continue
		}
		status, said := ask(refused, test.path, test.query)
		if status != 400 || !strings.Contains(said, test.before) {
			t.Errorf("1.%d %s: got %d %s, want 400 with %s", refused, name, status, said, test.before)
		}
	}
}
