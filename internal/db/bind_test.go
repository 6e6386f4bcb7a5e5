package db_test

import (
	"reflect"
	"testing"

	"nacre/internal/db"
)

// TestIn: lists select the same in all ways of asking.
func TestIn(t *testing.T) {
	t.Parallel()
	d := open(t)
	text := "SELECT migration FROM (SELECT 'a' AS name, 1 AS migration UNION ALL SELECT 'b''\"', 2 UNION ALL SELECT 'c', 3) AS t " +
		"WHERE ? <> '' AND (name IN (?) OR migration IN (?)) ORDER BY 1"
	for _, c := range []struct {
		names   []string
		numbers []int64
		want    []int64
	}{
		{nil, nil, nil}, {[]string{"a"}, nil, []int64{1}}, {[]string{"a", `b'"`}, []int64{2, 3}, []int64{1, 2, 3}}, {nil, []int64{3}, []int64{3}},
	} {
		selects(t, d, c.want, text, "x", db.In(c.names), db.In(c.numbers))
	}
}

// selects asks in both ways.
func selects(t *testing.T, d *db.DB, want []int64, text string, args ...any) {
	t.Helper()
	for name, run := range map[string]func(do func(tx *db.Tx) error) error{
		"Read":  func(do func(tx *db.Tx) error) error { return d.Read(t.Context(), do) },
		"Write": func(do func(tx *db.Tx) error) error { return d.Write(t.Context(), do) },
	} {
		var got []int64
		err := run(func(tx *db.Tx) error { return tx.All(t.Context(), &got, text, args...) })
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s of %q: got %d, %v, want %d", name, args, got, err, want)
		}
	}
}

// TestEach: a table of texts finds what IN does, once for each.
func TestEach(t *testing.T) {
	t.Parallel()
	d := open(t)
	text := "SELECT t.n FROM ? AS asked CROSS JOIN (SELECT 'a' AS name, 1 AS n UNION ALL SELECT 'b''\"', 2 UNION ALL SELECT 'c', 3) AS t " +
		"WHERE t.name = asked.value AND ? <> '' AND t.n IN (?) ORDER BY 1"
	for _, c := range []struct {
		names []string
		want  []int64
	}{
		{nil, nil}, {[]string{}, nil}, {[]string{"a"}, []int64{1}}, {[]string{"x", `b'"`, "c"}, []int64{2, 3}},
	} {
		selects(t, d, c.want, text, db.Each(c.names), "x", db.In([]int64{1, 2, 3}))
	}
}
