package app_test

import (
	"strings"
	"testing"

	"nacre/internal/directory/directorytest"
	"nacre/internal/testcloud"
)

// What is wrong with a directory is said step by step.
func TestWhatIsWrongWithADirectory(t *testing.T) {
	t.Parallel()
	slapd := directorytest.Start(t, directorytest.People)
	cloud := testcloud.Start(t, testcloud.Nodes(0))
	admin := cloud.Admin()
	domain := made(t, admin, "POST", "/identity/v3/domains", "domain", map[string]any{"domain": map[string]any{"name": "Company"}})
	admin.Must(t, 404, "GET", "/nacre/v1/domains/"+domain+"/directory", nil)
	admin.Must(t, 404, "GET", "/nacre/v1/domains/ghost/directory", nil)
	config := func(options map[string]any) any {
		return map[string]any{"config": map[string]any{"identity": map[string]any{"driver": "ldap"}, "ldap": options}}
	}
	admin.Must(t, 201, "PUT", "/identity/v3/domains/"+domain+"/config", config(directorytest.Options(slapd.Local)))
	cloud.Demo().Must(t, 403, "GET", "/nacre/v1/domains/"+domain+"/directory", nil)
	for _, test := range []struct {
		option string
		value  any
		good   bool
		want   string // the last step
	}{
		{"", nil, true, "find groups below " + directorytest.Groups + ": staff, operators"},
		{"group_name_attribute", "mail", false, "entries match, but none has one cn and a mail"},
		{"group_tree_dn", "ou=none," + directorytest.Suffix, false, "No Such Object"},
		{"group_filter", "(cn=none)", false, "no entry matches (objectClass=groupOfNames)(cn=none)"},
		{"password", "wrong", false, "bind as " + directorytest.AdminDN + ": LDAP Result Code 49"},
		{"url", "ldap://127.0.0.1:1", false, "connection refused"},
	} {
		options := directorytest.Options(slapd.Local)
		if test.option != "" {
			options[test.option] = test.value
		}
		admin.Must(t, 200, "PUT", "/identity/v3/domains/"+domain+"/config", config(options))
		var reply struct {
			Good  bool
			Steps []struct {
				Step, Detail string
				Good         bool
			}
		}
		admin.Must(t, 200, "GET", "/nacre/v1/domains/"+domain+"/directory", nil).JSON(t, &reply)
		last := reply.Steps[len(reply.Steps)-1]
		if got := last.Step + ": " + last.Detail; reply.Good != test.good || last.Good != test.good || !strings.Contains(got, test.want) {
			t.Errorf("%s = %v: got good %t, %s", test.option, test.value, reply.Good, got)
		}
	}
}
