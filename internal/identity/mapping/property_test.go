package mapping_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nacre/internal/identity/mapping"
)

// value draws what somebody may be called by a provider, with all that could have
// a meaning in a rule or a list.
var value = rapid.StringMatching(`[a-c;,'"{}\[\]0-9 :$^.*]{1,8}`)

func drawAttributes(t *rapid.T) attributes {
	a := attributes{"NAME": {value.Draw(t, "name")}}
	for _, name := range []string{"A", "B"} {
		values := rapid.SliceOfN(value, 0, 4).Draw(t, name)
		if len(values) > 0 {
			a[name] = values
		}
	}
	return a
}

func rulesOf(t *rapid.T, condition string, list []string) json.RawMessage {
	remote := map[string]any{"type": "A"}
	if condition != "" {
		remote[condition] = list
	}
	rules, err := json.Marshal([]any{map[string]any{
		"local":  []any{map[string]any{"user": map[string]any{"name": "{0}"}}, map[string]any{"groups": "{1}", "domain": map[string]any{"id": "d"}}},
		"remote": []any{map[string]any{"type": "NAME"}, remote},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func outcome(t *rapid.T, rules json.RawMessage, a attributes) (mapping.Identity, bool) {
	m, err := mapping.Parse(rules, mapping.V1)
	if err != nil {
		t.Fatal(err)
	}
	first, err := m.Apply(a)
	again, errAgain := m.Apply(a)
	if (err == nil) != (errAgain == nil) || cmp.Diff(first, again) != "" {
		t.Fatalf("twice the same gives %+v, %v and %+v, %v", first, err, again, errAgain)
	}
	return first, err == nil
}

func names(groups []mapping.Group) []string {
	var out []string
	for _, g := range groups {
		out = append(out, g.Name)
	}
	return out
}

// TestValuesStayValues: whatever values there are, the user has the one name, and
// the groups are the values that the list leaves, each once, in the rule's domain.
func TestValuesStayValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, list := drawAttributes(t), rapid.SliceOfN(value, 0, 3).Draw(t, "list")
		listed := func(v string) bool { return slices.Contains(list, v) }
		for condition, keep := range map[string]func(v string) bool{
			"": func(string) bool { return true }, "whitelist": listed, "blacklist": func(v string) bool { return !listed(v) },
		} {
			got, ok := outcome(t, rulesOf(t, condition, list), a)
			if ok != (len(a["A"]) > 0) {
				t.Fatalf("%s of %v: mapped is %v", condition, a, ok)
			}
			if !ok {
				continue
			}
			var want []string
			for _, v := range a["A"] {
				if keep(v) && !slices.Contains(want, v) {
					want = append(want, v)
				}
			}
			if got.User.Name != a["NAME"][0] || !slices.Equal(names(got.Groups), want) {
				t.Fatalf("%s %q of %q: got %+v, want groups %q", condition, list, a, got, want)
			}
			for _, g := range got.Groups {
				if g.ID != "" || g.Domain.ID != "d" {
					t.Fatalf("a group elsewhere: %+v", g)
				}
			}
		}
	})
}

// TestConditionsAreOpposites: one of any_one_of and not_any_of holds, unless the
// attribute is missing, when neither does.
func TestConditionsAreOpposites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, list := drawAttributes(t), rapid.SliceOfN(value, 1, 3).Draw(t, "list")
		condition := func(word string) bool {
			rules, err := json.Marshal([]any{map[string]any{"local": []any{map[string]any{"user": map[string]any{"name": "{0}"}}},
				"remote": []any{map[string]any{"type": "NAME"}, map[string]any{"type": "A", word: list}}}})
			if err != nil {
				t.Fatal(err)
			}
			_, ok := outcome(t, rules, a)
			return ok
		}
		any, none := condition("any_one_of"), condition("not_any_of")
		if len(a["A"]) == 0 && (any || none) || len(a["A"]) > 0 && any == none {
			t.Fatalf("%q of %q: any %v, none %v", list, a, any, none)
		}
	})
}

// TestOthersDontMatter: attributes that no rule names change nothing.
func TestOthersDontMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttributes(t)
		rules := rulesOf(t, "", nil)
		with, ok := outcome(t, rules, a)
		delete(a, "B")
		a[value.Draw(t, "another")+"-"] = []string{"x", "y"}
		without, okWithout := outcome(t, rules, a)
		if ok != okWithout || cmp.Diff(with, without) != "" {
			t.Fatalf("got %+v and %+v", with, without)
		}
	})
}
