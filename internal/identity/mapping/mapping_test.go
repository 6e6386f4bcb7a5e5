package mapping_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/identity/mapping"
)

type attributes = map[string][]string

// apply applies the rules, which are JSON.
func apply(t testing.TB, rules, version string, a attributes) (mapping.Identity, error) {
	t.Helper()
	m, err := mapping.Parse(json.RawMessage(rules), version)
	if err != nil {
		t.Fatal(err)
	}
	return m.Apply(a)
}

func ephemeral(name string) mapping.User { return mapping.User{Name: name, Type: mapping.Ephemeral} }

var ann = attributes{"NAME": {"ann"}, "MAIL": {"ann@example.org"}, "GROUPS": {"dev", "ops", "staff"}, "ORG": {"Tester"}}

func TestApply(t *testing.T) {
	t.Parallel()
	home := &mapping.Ref{ID: "d1"}
	const user = `{"user":{"name":"{0}"}}`
	for name, c := range map[string]struct {
		rules string
		v2    bool
		want  mapping.Identity // none: nobody
	}{
		"name": {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"}]}]`, want: mapping.Identity{User: ephemeral("ann")}},
		"text around": {rules: `[{"local":[{"user":{"id":"{0}","name":"{0} <{1}> {{0}}","email":"{1}"}}],"remote":[{"type":"NAME"},{"type":"MAIL"}]}]`,
			want: mapping.Identity{User: mapping.User{ID: "ann", Name: "ann <ann@example.org> {0}", Email: "ann@example.org", Type: mapping.Ephemeral}}},
		"missing attribute":     {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"},{"type":"PHONE"}]}]`},
		"any_one_of":            {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"},{"type":"ORG","any_one_of":["Boss","Tester"]}]}]`, want: mapping.Identity{User: ephemeral("ann")}},
		"none of any_one_of":    {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"},{"type":"ORG","any_one_of":["Test"]}]}]`},
		"any_one_of pattern":    {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"},{"type":"ORG","any_one_of":["^Te"],"regex":true}]}]`, want: mapping.Identity{User: ephemeral("ann")}},
		"not_any_of":            {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"},{"type":"ORG","not_any_of":["Boss"]}]}]`, want: mapping.Identity{User: ephemeral("ann")}},
		"one of not_any_of":     {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"},{"type":"GROUPS","not_any_of":["ops"]}]}]`},
		"not_any_of pattern":    {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"},{"type":"MAIL","not_any_of":["@example.org$"],"regex":true}]}]`},
		"empty any_one_of":      {rules: `[{"local":[` + user + `],"remote":[{"type":"NAME"},{"type":"ORG","any_one_of":[]}]}]`},
		"conditions no values":  {rules: `[{"local":[{"user":{"name":"{0}"}}],"remote":[{"type":"ORG","any_one_of":["Tester"]},{"type":"NAME"}]}]`, want: mapping.Identity{User: ephemeral("ann")}},
		"place without a value": {rules: `[{"local":[{"user":{"name":"{1}"}}],"remote":[{"type":"NAME"}]}]`},
		"several where one":     {rules: `[{"local":[{"user":{"name":"{0}"}}],"remote":[{"type":"GROUPS"}]}]`},
		"groups": {rules: `[{"local":[` + user + `,{"groups":"{1}","domain":{"id":"d1"}}],"remote":[{"type":"NAME"},{"type":"GROUPS"}]}]`,
			want: mapping.Identity{User: ephemeral("ann"), Groups: []mapping.Group{{Name: "dev", Domain: home}, {Name: "ops", Domain: home}, {Name: "staff", Domain: home}}}},
		"groups without domain": {rules: `[{"local":[` + user + `,{"groups":"{1}"}],"remote":[{"type":"NAME"},{"type":"GROUPS"}]}]`},
		"whitelist": {rules: `[{"local":[` + user + `,{"groups":"{1}","domain":{"id":"d1"}}],"remote":[{"type":"NAME"},{"type":"GROUPS","whitelist":["ops","root"]}]}]`,
			want: mapping.Identity{User: ephemeral("ann"), Groups: []mapping.Group{{Name: "ops", Domain: home}}}},
		"nothing of a whitelist": {rules: `[{"local":[` + user + `,{"groups":"{1}","domain":{"id":"d1"}}],"remote":[{"type":"NAME"},{"type":"GROUPS","whitelist":["root"]}]}]`,
			want: mapping.Identity{User: ephemeral("ann")}},
		"blacklist pattern": {rules: `[{"local":[` + user + `,{"groups":"{1}","domain":{"id":"d1"}}],"remote":[{"type":"NAME"},{"type":"GROUPS","blacklist":["s$"],"regex":true}]}]`,
			want: mapping.Identity{User: ephemeral("ann"), Groups: []mapping.Group{{Name: "dev", Domain: home}, {Name: "staff", Domain: home}}}},
		"group ids": {rules: `[{"local":[` + user + `,{"group_ids":"{1}"},{"group":{"id":"dev"}},{"group":{"name":"x","domain":{"name":"{0}"}}}],"remote":[{"type":"NAME"},{"type":"GROUPS"}]}]`,
			want: mapping.Identity{User: ephemeral("ann"), Groups: []mapping.Group{{ID: "dev"}, {ID: "ops"}, {ID: "staff"}, {Name: "x", Domain: &mapping.Ref{Name: "ann"}}}}},
		"several rules": {rules: `[{"local":[{"group":{"id":"g1"}}],"remote":[{"type":"ORG","any_one_of":["Tester"]}]},
			{"local":[{"group":{"id":"g2"}}],"remote":[{"type":"ORG","any_one_of":["Boss"]}]},
			{"local":[{"user":{"name":"{0}"}}],"remote":[{"type":"NAME"}]},{"local":[{"user":{"name":"second"}}],"remote":[{"type":"NAME"}]}]`,
			want: mapping.Identity{User: ephemeral("ann"), Groups: []mapping.Group{{ID: "g1"}}}},
		"local user": {rules: `[{"local":[{"user":{"name":"{0}","type":"local","domain":{"name":"Default"}}}],"remote":[{"type":"NAME"}]}]`,
			want: mapping.Identity{User: mapping.User{Name: "ann", Type: mapping.Local, Domain: &mapping.Ref{Name: "Default"}}}},
		"projects": {rules: `[{"local":[` + user + `,{"projects":[{"name":"Of {0}","roles":[{"name":"member"}]}],"domain":{"id":"d1"}}],"remote":[{"type":"NAME"}]}]`,
			want: mapping.Identity{User: ephemeral("ann"), Projects: []mapping.Project{{Name: "Of ann", Roles: []mapping.Ref{{Name: "member"}}}}}},
		"domain of 2.0": {v2: true, rules: `[{"local":[{"user":{"name":"{0}"},"projects":[{"name":"p","roles":[]},{"name":"q","roles":[],"domain":{"id":"d2"}}],"domain":{"id":"d1"}}],"remote":[{"type":"NAME"}]}]`,
			want: mapping.Identity{User: mapping.User{Name: "ann", Type: mapping.Ephemeral, Domain: home}, Projects: []mapping.Project{{Name: "p", Domain: home}, {Name: "q", Domain: &mapping.Ref{ID: "d2"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version := mapping.V1
			if c.v2 {
				version = mapping.V2
			}
			got, err := apply(t, c.rules, version, ann)
			if c.want.User == (mapping.User{}) {
				if err == nil {
					t.Fatalf("got %+v, want nobody", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRemoteUser(t *testing.T) {
	t.Parallel()
	const rules = `[{"local":[{"group":{"id":"g"}}],"remote":[{"type":"ORG"}]}]`
	got, err := apply(t, rules, mapping.V1, attributes{"ORG": {"x"}, mapping.RemoteUser: {"ann@idp"}})
	if err != nil || got.User.Name != "ann@idp" {
		t.Errorf("got %+v and %v, want the remote user", got, err)
	}
	_, err = apply(t, rules, mapping.V1, attributes{"ORG": {"x"}})
	if !errors.Is(err, mapping.ErrNobody) {
		t.Errorf("got %v, want nobody", err)
	}
}

// What a user is called at a provider is a name, whatever it looks like.
func TestAttackMappingValues(t *testing.T) {
	t.Parallel()
	const rules = `[{"local":[{"user":{"name":"{0}"}},{"groups":"{1}","domain":{"id":"d1"}},{"group_ids":"{1}"}],"remote":[{"type":"NAME"},{"type":"GROUPS","blacklist":["admins"]}]}]`
	for _, value := range []string{
		"dev;admins", "['dev', 'admins']", `["admins"]`, `JSON:{"name":"admins","domain":{"id":"default"}}`, `{"name":"admins","domain":{"id":"default"}}`,
		"{1}", "{0}", "{{1}}", "{", "}", "admins ", "dev,admins", "a' OR '1'='1", "%s", "{0.__class__}", "{1[0]}",
	} {
		got, err := apply(t, rules, mapping.V1, attributes{"NAME": {value}, "GROUPS": {value}})
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		want := mapping.Identity{User: ephemeral(value), Groups: []mapping.Group{{Name: value, Domain: &mapping.Ref{ID: "d1"}}, {ID: value}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", value, diff)
		}
	}
	for _, value := range []string{"a\x00b", "a\nb", "\xff", "\u0085"} {
		got, err := apply(t, rules, mapping.V1, attributes{"NAME": {value}, "GROUPS": {"dev"}})
		if err == nil {
			t.Errorf("%q makes %+v", value, got)
		}
	}
}

// Whom no rule is about gets nothing.
func TestAttackMappingUnmapped(t *testing.T) {
	t.Parallel()
	const rules = `[{"local":[{"user":{"name":"{0}"}}],"remote":[{"type":"NAME"},{"type":"ORG","any_one_of":["staff"]}]}]`
	for name, a := range map[string]attributes{
		"nothing": {}, "no condition": {"NAME": {"ann"}}, "empty": {"NAME": {"ann"}, "ORG": {}}, "another": {"NAME": {"ann"}, "ORG": {"staffs"}},
		"joined": {"NAME": {"ann"}, "ORG": {"x;staff"}}, "no name": {"NAME": {""}, "ORG": {"staff"}}, "two names": {"NAME": {"ann", "root"}, "ORG": {"staff"}},
		"other case": {"NAME": {"ann"}, "org": {"staff"}}, "remote user alone": {mapping.RemoteUser: {"root"}},
	} {
		got, err := apply(t, rules, mapping.V1, a)
		if err == nil {
			t.Errorf("%s: got %+v, want nobody", name, got)
		}
	}
}
