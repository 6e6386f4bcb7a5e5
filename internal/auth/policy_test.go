package auth

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	admin  = Caller{User: "u-admin", Project: "p-admin", ProjectDomain: "default", UserDomain: "default", Roles: []string{"admin", "manager", "member", "reader"}}
	member = Caller{User: "u-demo", UserName: "demo", Project: "p-demo", ProjectDomain: "default", UserDomain: "default", Roles: []string{"member", "reader"}}
	domain = Caller{User: "u-dom", Domain: "d1", UserDomain: "d1", Roles: []string{"manager", "reader"}}
	system = Caller{User: "u-sys", System: true, Roles: []string{"reader"}}
	nobody = Caller{}
)

func TestChecks(t *testing.T) {
	t.Parallel()
	attrs := func(pairs ...string) Target {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return Target{Attrs: m}
	}
	own := Target{Project: "p-demo", User: "u-demo", Domain: "d1"}
	foreign := Target{Project: "p-other", User: "u-other", Domain: "d2"}
	cases := []struct {
		check  string
		caller Caller
		target Target
		want   bool
	}{
		{"", nobody, own, true},
		{"@", nobody, own, true},
		{"!", admin, own, false},
		{"not !", nobody, own, true},
		{"role:member", member, own, true},
		{"role:MEMBER", member, own, true},
		{"role:memb", member, own, false},
		{"role:members", member, own, false},
		{"role:admin", member, own, false},
		{"role:%(role)s", member, attrs("role", "member"), true},
		{"role:%(role)s", member, own, false},
		{"roles:reader", member, own, true},
		{"roles:Reader", member, own, false},
		{"is_admin:True", admin, foreign, true},
		{"is_admin:True", member, own, false},
		{"is_admin:1", admin, own, false},
		{"is_admin:False", member, own, true},
		{"system_scope:all", system, own, true},
		{"system_scope:all", admin, own, false},
		{"project_id:%(project_id)s", member, own, true},
		{"tenant_id:%(tenant_id)s", member, own, true},
		{"tenant_id:%(tenant_id)s", member, foreign, false},
		{"tenant_id:%(network:tenant_id)s", member, attrs("network:tenant_id", "p-demo"), true},
		{"project_id:%(target.project.id)s", member, attrs("target.project.id", "p-demo"), true},
		{"project_id:%(target.project.id)s", member, own, false},
		{"project_id:%(project_id)s", nobody, Target{}, false},
		{"project_id:%(project_id)s", domain, attrs("project_id", ""), false},
		{"project_id:%(project_id)s", domain, attrs("project_id", "None"), false},
		{"user_id:%(user_id)s", member, own, true},
		{"user_id:%(user_id)s", member, foreign, false},
		{"domain_id:%(domain_id)s", domain, own, true},
		{"token.domain.id:%(target.user.domain_id)s", domain, attrs("target.user.domain_id", "d1"), true},
		{"token.project.domain.id:%(target.domain.id)s", member, attrs("target.domain.id", "default"), true},
		{"domain_id:None", member, own, true},
		{"domain_id:None", domain, own, false},
		{"not domain_id:None", domain, own, true},
		{"service_roles:service", admin, own, false},
		{"user_name:demo", member, own, true},
		{"user_name:pre-%(n)s-post", Caller{UserName: "pre-x-post"}, attrs("n", "x"), true},
		{"user_name:pre-%(n)s-post", Caller{UserName: "pre-x-posts"}, attrs("n", "x"), false},
		{"user_name:pre-%(n)s-post", Caller{UserName: "pre-x"}, attrs("n", "x"), false},
		{"'manager':%(target.role.name)s", member, attrs("target.role.name", "manager"), true},
		{"'manager':%(target.role.name)s", member, attrs("target.role.name", "admin"), false},
		{`"manager":%(target.role.name)s`, member, attrs(), false},
		{"None:%(target.role.domain_id)s", member, attrs("target.role.domain_id", ""), true},
		{"None:%(target.role.domain_id)s", member, attrs("target.role.domain_id", "d1"), false},
		{"None:%(target.role.domain_id)s", member, attrs(), false},
		{"not None:%(target.role.domain_id)s", member, attrs("target.role.domain_id", "d1"), true},
		{"True:%(user.enabled)s", member, attrs("user.enabled", "true"), true},
		{"True:%(user.enabled)s", member, attrs("user.enabled", "False"), false},
		{"7:%(n)s", member, attrs("n", "7"), true},
		{"field:networks:shared=True", member, attrs("shared", "true"), true},
		{"field:networks:shared=True", member, attrs("shared", "false"), false},
		{"field:networks:shared=True", member, attrs(), false},
		{"field:port:device_owner=~network:", member, attrs("device_owner", "network:dhcp"), true},
		{"field:port:device_owner=~network:", member, attrs("device_owner", "compute:network:x"), false},
		{"field:port:device_owner=", member, attrs("device_owner", ""), true},

		{"role:admin or role:member and role:none", member, own, false},
		{"role:member or role:member and role:none", member, own, true},
		{"(role:admin or role:member) and role:none", member, own, false},
		{"role:none and role:member or role:reader", member, own, true},
		{"not role:admin and role:member", member, own, true},
		{"not (role:admin or role:member)", member, own, false},
		{"not not role:member", member, own, true},
		{"role:member AND NOT role:admin", member, own, true},
		{"((role:member))", member, own, true},
		{"( role:admin ) or ( ( role:reader and project_id:%(project_id)s ) )", member, own, true},

		{"rule:project_reader_or_admin", member, own, true},
		{"rule:project_reader_or_admin", member, foreign, false},
		{"rule:project_reader_or_admin", admin, foreign, true},
		{"rule:project_manager_or_admin", member, own, false},
		{"rule:admin_or_owner", member, own, true},
		{"rule:system_reader", system, own, true},
		{"rule:system_reader", member, own, false},
		{"rule:nobody", admin, own, false},
	}
	for _, c := range cases {
		p, err := NewPolicy(append(BaseRules[:len(BaseRules):len(BaseRules)], Rule{"test", c.check}))
		if err != nil {
			t.Errorf("%q: %v", c.check, err)
			continue
		}
		got := p.Allows("test", c.caller, c.target)
		if got != c.want {
			t.Errorf("%q for user %q on %+v: got %v, want %v", c.check, c.caller.User, c.target, got, c.want)
		}
	}
}

func TestBadRules(t *testing.T) {
	t.Parallel()
	cases := []struct{ check, reason string }{
		{" ", "missing at the end"},
		{"role:a or", "missing at the end"},
		{"role:a role:b", `unexpected "role:b"`},
		{"and role:a", `unexpected "and"`},
		{"(role:a", "closing parenthesis is missing"},
		{"role:a)", `unexpected ")"`},
		{"()", `unexpected ")"`},
		{"role", "not of the form kind:match"},
		{"role:", "not of the form kind:match"},
		{":x", "not of the form kind:match"},
		{"'quoted'", "not of the form kind:match"},
		{"rule:missing", `unknown rule "missing"`},
		{"rule:test", "refers to itself"},
		{"colour:blue", `no attribute "colour"`},
		{"user_id:%(user_id", "after % stands (name)s"},
		{"user_id:%()s", "after % stands (name)s"},
		{"http://example.org/check", "remote checks are not supported"},
		{"field:networks", "field:resource:attribute=value"},
		{"field:networks:shared", "field:resource:attribute=value"},
		{"field:port:owner=~(", "missing closing"},
		{strings.Repeat("(", 100) + "@" + strings.Repeat(")", 100), "nested more than"},
		{strings.Repeat("not ", 100) + "@", "nested more than"},
	}
	for _, c := range cases {
		_, err := NewPolicy([]Rule{{"test", c.check}})
		if err == nil || !strings.Contains(err.Error(), c.reason) || !strings.Contains(err.Error(), `"test"`) {
			t.Errorf("%q: got error %v, want one naming the rule and saying %q", c.check, err, c.reason)
		}
	}
	_, err := NewPolicy([]Rule{{"a", "@"}, {"a", "!"}})
	if err == nil || !strings.Contains(err.Error(), `"a" is registered twice`) {
		t.Errorf("duplicate: got error %v", err)
	}
	_, err = NewPolicy([]Rule{{"a", "rule:b"}, {"b", "not rule:c"}, {"c", "@ or (rule:a)"}})
	if err == nil || !strings.Contains(err.Error(), "refers to itself") {
		t.Errorf("circle: got error %v", err)
	}
}

func TestBaseRulesCompile(t *testing.T) {
	t.Parallel()
	_, err := NewPolicy(BaseRules)
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnknownRuleAllowsNobody(t *testing.T) {
	t.Parallel()
	p, err := NewPolicy([]Rule{{"known", "@"}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Allows("unknown", admin, Target{}) || p.Has("unknown") {
		t.Error("an unknown rule let the admin pass")
	}
	if !p.Has("known") {
		t.Error("a known rule is missing")
	}
}

func TestOverride(t *testing.T) {
	t.Parallel()
	p, err := NewPolicy([]Rule{{"helper", "role:admin"}, {"show", "rule:helper"}, {"list", "role:reader"}})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Override([]byte("# who may\nhelper: role:member\n\"mine\": \"user_id:u-demo\"\nlist: [[\"role:admin\", \"rule:mine\"], [\"role:none\"]]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Allows("show", member, Target{}) {
		t.Error("the overridden helper isn't used by the rule that names it")
	}
	if p.Allows("list", member, Target{}) {
		t.Error("the legacy list form let a member pass, want admin and u-demo, or none")
	}
	want := []Rule{{"helper", "role:member"}, {"show", "rule:helper"}, {"list", "(role:admin and rule:mine) or (role:none)"}, {"mine", "user_id:u-demo"}}
	if diff := cmp.Diff(want, p.Rules()); diff != "" {
		t.Errorf("rules differ (-want +got):\n%s", diff)
	}

	for file, reason := range map[string]string{
		"show: rule:gone":            `unknown rule "gone"`,
		"show: 'role:a or'":          "missing at the end",
		"show: 3":                    "want text or a list",
		"show:":                      "want text or a list",
		"show: [[3]]":                "3 is not a check",
		"show: ['role:a or role:b']": "is not a check",
		"[a, b]":                     "read policy file",
		"a: b: c":                    "read policy file",
	} {
		err := p.Override([]byte(file))
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: got error %v, want %q", file, err, reason)
		}
	}
	if diff := cmp.Diff(want, p.Rules()); diff != "" {
		t.Errorf("a refused file changed the rules (-want +got):\n%s", diff)
	}

	err = p.Override([]byte(`{"list": [], "show": [[]]}`))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Allows("list", nobody, Target{}) || p.Allows("show", admin, Target{}) {
		t.Error("want an empty list to allow all, and a list of nothing to allow nobody")
	}
	if p.Has("mine") {
		t.Error("a later file didn't forget the earlier one")
	}
}

// TestParserAgainstModel builds random trees, prints them with as few or as
// many parentheses as it likes, and compares the answers.
func TestParserAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, want := expression(t, 0, 4)
		p, err := NewPolicy([]Rule{{"x", text}})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got := p.Allows("x", member, Target{})
		if got != want {
			t.Fatalf("%q: got %v, want %v", text, got, want)
		}
	})
}

// expression draws a rule that binds at least as tight as level (0 or, 1 and,
// 2 not or leaf) and what it evaluates to for member.
func expression(t *rapid.T, level, depth int) (string, bool) {
	kind := rapid.IntRange(level, 3).Draw(t, "kind")
	if depth == 0 || kind == 3 {
		leaves := []struct {
			text string
			want bool
		}{{"role:member", true}, {"role:admin", false}, {"@", true}, {"!", false}}
		l := rapid.SampledFrom(leaves).Draw(t, "leaf")
		return l.text, l.want
	}
	if rapid.Bool().Draw(t, "parentheses") {
		text, want := expression(t, 0, depth-1)
		return "(" + text + ")", want
	}
	switch kind {
	case 0:
		a, wantA := expression(t, 1, depth-1)
		b, wantB := expression(t, 0, depth-1)
		return a + " or " + b, wantA || wantB
	case 1:
		a, wantA := expression(t, 2, depth-1)
		b, wantB := expression(t, 1, depth-1)
		return a + "  And " + b, wantA && wantB
	}
	a, want := expression(t, 2, depth-1)
	return "not " + a, !want
}

// TestStrangersNeverMatch: whatever ids look like, nobody passes an ownership
// check on something of which either side has none.
func TestStrangersNeverMatch(t *testing.T) {
	t.Parallel()
	p, err := NewPolicy([]Rule{{"own", "project_id:%(project_id)s or user_id:%(user_id)s or domain_id:%(target.domain_id)s"}})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom([]string{"", "a", "b", "None", "%(user_id)s"})
		c := Caller{Project: id.Draw(t, "p"), User: id.Draw(t, "u"), Domain: id.Draw(t, "d")}
		g := Target{Project: id.Draw(t, "tp"), User: id.Draw(t, "tu"), Attrs: map[string]string{"target.domain_id": id.Draw(t, "td")}}
		same := func(a, b string) bool { return a != "" && a == b }
		want := same(c.Project, g.Project) || same(c.User, g.User) || same(c.Domain, g.Attrs["target.domain_id"])
		got := p.Allows("own", c, g)
		if got != want {
			t.Fatalf("%+v on %+v: got %v, want %v", c, g, got, want)
		}
	})
}

func TestAllowsDoesNotAllocate(t *testing.T) {
	p, err := NewPolicy(append(BaseRules[:len(BaseRules):len(BaseRules)], Rule{"show", "rule:project_member_or_admin or field:networks:shared=True"}))
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Project: "p-other", Attrs: map[string]string{"shared": "False"}}
	n := testing.AllocsPerRun(1000, func() { p.Allows("show", member, target) })
	if n != 0 {
		t.Errorf("one answer allocates %v times, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range BaseRules {
		f.Add(r.Check)
	}
	f.Add("((not @) or 'a':%(b)s and field:x:y=~z")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := NewPolicy([]Rule{{"x", text}})
		if err != nil {
			return
		}
		p.Allows("x", member, Target{Project: "p"})
	})
}

func BenchmarkAllows(b *testing.B) {
	p, err := NewPolicy(append(BaseRules[:len(BaseRules):len(BaseRules)], Rule{"show", "rule:project_member_or_admin"}))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Allows("show", member, Target{Project: "p-demo"})
	}
}
