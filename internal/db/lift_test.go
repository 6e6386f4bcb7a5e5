package db

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestLift(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, form string
		values     []any
	}{
		{`SELECT "a"."id" FROM "a" WHERE (id = 'x') AND (deleted_at = 0) LIMIT 10`,
			`SELECT "a"."id" FROM "a" WHERE (id = ?) AND (deleted_at = 0) LIMIT 10`, []any{"x"}},
		{`SELECT * FROM a WHERE name = 'it''s' AND state <> '' AND at > 1764000000000000`,
			`SELECT * FROM a WHERE name = ? AND state <> '' AND at > ?`, []any{"it's", int64(1764000000000000)}},
		{`INSERT INTO "a" ("id", "n", "at") VALUES ('x', 5, -12), ('y', 6, 1.5) ON CONFLICT (id) WHERE latest = 1 DO UPDATE SET n = 7`,
			`INSERT INTO "a" ("id", "n", "at") VALUES (?, ?, -?), (?, ?, 1.5) ON CONFLICT (id) WHERE latest = 1 DO UPDATE SET n = 7`,
			[]any{"x", int64(5), int64(12), "y", int64(6)}},
		{`UPDATE "a'b" SET c1 = X'00ff', d = 'ü?' WHERE e = 12345678901234567890123`,
			`UPDATE "a'b" SET c1 = X'00ff', d = ? WHERE e = 12345678901234567890123`, []any{"ü?"}},
		{`DELETE FROM a`, `DELETE FROM a`, nil},
		{"\n\t\tSELECT a FROM b\n\t\tWHERE c IN ('x', 'y')", "\n\t\tSELECT a FROM b\n\t\tWHERE c IN (?, ?)", []any{"x", "y"}},
	} {
		form, values, ok := lift(c.text)
		if !ok || form != c.form || !reflect.DeepEqual(values, c.values) {
			t.Errorf("%s\nbecame %v %s %q\nwant %s %q", c.text, ok, form, values, c.form, c.values)
		}
	}
	for _, text := range []string{
		"SAVEPOINT job", "PRAGMA x = 'y'", "SELECT 'open", `SELECT "open`, "SELECT 1 -- 'x'", "SELECT /* ' */ 1", "SELECT ?1", "SELECT X'0",
	} {
		_, _, ok := lift(text)
		if ok {
			t.Errorf("%s was lifted", text)
		}
	}
}

// FuzzLift puts the values back.
func FuzzLift(f *testing.F) {
	f.Add("SELECT 'a''b', 1234567890 FROM \"x\" WHERE y = 'z'")
	f.Add("INSERT INTO a VALUES (1, 'x') ON CONFLICT DO NOTHING")
	f.Fuzz(func(t *testing.T, text string) {
		form, values, ok := lift(text)
		if !ok {
			return
		}
		if back := putBack(t, form, values); back != text {
			t.Errorf("%q became %q %q, which is %q", text, form, values, back)
		}
	})
}

// putBack writes values into a form: its question marks in quotes are no places.
func putBack(t *testing.T, form string, values []any) string {
	var b strings.Builder
	for i := 0; i < len(form); {
		end := i + 1
		switch form[i] {
		case '"', '\'':
			_, end = quoted(form, i)
			b.WriteString(form[i:end])
		case '?':
			if len(values) == 0 {
				t.Fatalf("%q has more places than values", form)
			}
			switch v := values[0].(type) {
			case string:
				b.WriteString("'" + strings.ReplaceAll(v, "'", "''") + "'")
			default:
				fmt.Fprint(&b, v)
			}
			values = values[1:]
		default:
			b.WriteByte(form[i])
		}
		i = end
	}
	if len(values) > 0 {
		t.Fatalf("%q has no place for %q", form, values)
	}
	return b.String()
}
