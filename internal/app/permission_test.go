package app_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/auth"
	"nacre/internal/await"
	"nacre/internal/testcloud"
)

type permission struct {
	Allowed bool
	Rule    string
	Roles   []struct {
		Name  string
		Given struct {
			Role      string
			Group     string `json:"group_id"`
			Inherited bool
			Domain    string `json:"domain_id"`
		}
	}
	Because auth.Reason
}

// A role that a group has on a domain, inherited by its projects, is what lets a
// user do something; the answer leads down to it. And to what lacks.
func TestWhyMayTheyOrNot(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	admin, demo := cloud.Admin(), cloud.Demo()
	project := demo.Project(t)
	user := made(t, admin, "POST", "/identity/v3/users", "user", map[string]any{"user": map[string]any{"name": "ann", "password": "secret", "domain_id": "default"}})
	group := made(t, admin, "POST", "/identity/v3/groups", "group", map[string]any{"group": map[string]any{"name": "ops", "domain_id": "default"}})
	member := made(t, admin, "GET", "/identity/v3/roles?name=member", "roles", nil)
	admin.Must(t, 204, "PUT", "/identity/v3/groups/"+group+"/users/"+user, nil)
	ask := func(u testcloud.User, status int, query url.Values) permission {
		t.Helper()
		var p permission
		r := u.Must(t, status, "GET", "/nacre/v1/permission?"+query.Encode(), nil)
		if status == 200 {
			r.JSON(t, &p)
		}
		return p
	}
	boot := url.Values{"user_id": {user}, "project_id": {project}, "method": {"POST"}, "path": {"/compute/v2.1/servers"}}

	p := ask(admin, 200, boot)
	if p.Allowed || len(p.Roles) != 0 || p.Rule != "os_compute_api:servers:create" || p.Because.Holds {
		t.Errorf("without a role: %+v", p)
	}
	admin.Must(t, 204, "PUT", "/identity/v3/OS-INHERIT/domains/default/groups/"+group+"/roles/"+member+"/inherited_to_projects", nil)
	p = ask(admin, 200, boot)
	if !p.Allowed || len(p.Roles) != 2 {
		t.Fatalf("with an inherited role: %+v", p)
	}
	for _, role := range p.Roles {
		if given := role.Given; given.Role != "member" || given.Group != group || !given.Inherited || given.Domain != "default" {
			t.Errorf("role %s comes from %+v", role.Name, given)
		}
	}
	if !holds(p.Because, "role:member") || !holds(p.Because, "project_id:%(project_id)s") || holds(p.Because, "is_admin:True") {
		t.Errorf("the reason is %+v", p.Because)
	}

	ann := cloud.User("ann", "secret", "demo")
	if p := ask(ann, 200, url.Values{"rule": {"os_compute_api:servers:create"}}); !p.Allowed {
		t.Errorf("asked by herself: %+v", p)
	}
	if p := ask(ann, 200, url.Values{"rule": {"os_compute_api:servers:create"}, "target_project_id": {admin.Project(t)}}); p.Allowed {
		t.Errorf("in another project: %+v", p)
	}
	if p := ask(ann, 200, url.Values{"method": {"POST"}, "path": {"/compute/v2.1/servers/x/action"}, "action": {"lock"}}); p.Rule != "os_compute_api:os-lock-server:lock" {
		t.Errorf("an action goes by %s", p.Rule)
	}
	ask(ann, 400, url.Values{"method": {"POST"}, "path": {"/compute/v2.1/servers/x/action"}})
	ask(ann, 400, url.Values{})
	ask(ann, 404, url.Values{"rule": {"no:such"}})
	ask(ann, 404, url.Values{"method": {"POST"}, "path": {"/nowhere"}})
	ask(ann, 403, url.Values{"user_id": {"somebody"}, "rule": {"os_compute_api:servers:create"}})
	ask(admin, 404, url.Values{"user_id": {"nobody"}, "rule": {"os_compute_api:servers:create"}})
}

// holds tells whether a check somewhere in the reason came out true.
func holds(r auth.Reason, check string) bool {
	if r.Check == check && r.Holds {
		return true
	}
	for _, part := range r.Because {
		if holds(part, check) {
			return true
		}
	}
	return false
}

// A policy file counts from the moment it changes. A wrong one changes nothing.
func TestPolicyFileIsFollowed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		err := os.WriteFile(path, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	write("# nothing yet\n")
	cloud := testcloud.Start(t, testcloud.Nodes(1), testcloud.PolicyFile(path), testcloud.MayFail())
	demo := cloud.Demo()
	status := func() int { return demo.Do(t, "GET", "/compute/v2.1/servers", nil).Status }
	if got := status(); got != 200 {
		t.Fatalf("by default: %d, want 200", got)
	}
	write(`"os_compute_api:servers:index": "role:admin"` + "\n")
	await.Until(t, "the new rule to count", 30*time.Second, func() bool { return status() == 403 })
	body := demo.Do(t, "GET", "/compute/v2.1/servers", nil).Body
	if !strings.Contains(string(body), "os_compute_api:servers:index") {
		t.Errorf("the refusal does not name its rule: %s", body)
	}

	var out bytes.Buffer
	err := app.Describe(t.Context(), &out, []string{"policy"}, "json", path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct{ Name, Default, Check string }
	err = json.Unmarshal(out.Bytes(), &rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Name == "os_compute_api:servers:index" && (r.Check != "role:admin" || r.Default != "rule:project_reader_or_admin") {
			t.Errorf("described as %+v", r)
		}
	}
	write(`"os_compute_api:servers:index": "role:"` + "\n")
	err = app.Describe(t.Context(), &out, []string{"policy"}, "json", path)
	if err == nil || !strings.Contains(err.Error(), "os_compute_api:servers:index") {
		t.Errorf("a wrong file: %v, want an error that names the rule", err)
	}
	cloud.Settle(t)
	if got := status(); got != 403 {
		t.Errorf("after a wrong file: %d, want still 403", got)
	}
}
