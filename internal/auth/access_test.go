package auth

import "testing"

func TestAccessRulesPermitWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule, path string
		want       bool
	}{
		{"/v2.1/servers", "/v2.1/servers", true},
		{"/v2.1/servers", "/v2.1/servers/detail", false},
		{"/v2.1/servers", "/x/v2.1/servers", false},
		{"/v2.1/servers/{server_id}", "/v2.1/servers/1", true},
		{"/v2.1/servers/{server_id}", "/v2.1/servers/1/ips", false},
		{"/v2.1/servers/{server_id}", "/v2.1/servers/", false},
		{"/v2.1/servers/*", "/v2.1/servers/1", true},
		{"/v2.1/servers/*", "/v2.1/servers/1/ips", false},
		{"/v2.1/*/detail", "/v2.1/servers/detail", true},
		{"/v2.1/**", "/v2.1/servers/1/ips", true},
		{"/v2.1/**", "/v2x1/servers", false},
		{"/v2.1/s**s", "/v2.1/servers/1/ips", true},
		{"**", "/anything", true},
		{"/a.c", "/abc", false},
	} {
		c := Caller{AccessRules: []AccessRule{AccessRule{Service: "compute", Method: "GET", Path: test.rule}.Compiled()}}
		if c.Permits("compute", "GET", test.path) != test.want {
			t.Errorf("%s with the rule %s: got %v", test.path, test.rule, !test.want)
		}
		if c.Permits("compute", "POST", test.path) || c.Permits("image", "GET", test.path) {
			t.Errorf("the rule %s permits another method or service", test.rule)
		}
	}
	raw := Caller{AccessRules: []AccessRule{{Service: "compute", Method: "GET", Path: "/"}}}
	if raw.Permits("compute", "GET", "/") {
		t.Errorf("a rule that was not compiled permits something")
	}
	if !(Caller{}).Permits("compute", "GET", "/") {
		t.Errorf("a caller without rules is held back")
	}
}
