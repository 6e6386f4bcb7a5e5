package db

import (
	"database/sql"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// TestReadsAsTheBuilderDoes: rows are the same whether they are read past the query
// builder or by it.
func TestReadsAsTheBuilderDoes(t *testing.T) {
	t.Parallel()
	d := openInserted(t)
	text := "it's ?"
	rows := []inserted{
		{part: part{"a"}, Word: "w", Text: text, Pointer: &text, Count: -3, Time: 5, Yes: true, JSON: Of(map[string]string{"k": "v"})},
		{part: part{"b"}},
		{part: part{"c"}, Pointer: new(string), JSON: Of(map[string]string{})},
	}
	err := d.Write(t.Context(), func(tx *Tx) error { return tx.Insert(t.Context(), &rows) })
	if err != nil {
		t.Fatal(err)
	}
	err = d.Read(t.Context(), func(tx *Tx) error {
		var built, all, selected, found, ids []inserted
		rooms := &Rooms[inserted]{Size: 2}
		var sizes []int
		err := errors.Join(
			tx.Find(t.Context(), tx.NewSelect().Model(&found).Where("id <> ?", "none").Order("id"), &found),
			tx.NewSelect().Model(&built).ColumnExpr("*").Order("id").Scan(t.Context()),
			tx.All(t.Context(), &all, "SELECT * FROM "+TableOf[inserted](tx)+" ORDER BY id"),
			Parts(t.Context(), tx, tx.NewSelect().Model(&inserted{}).Where("id <> ?", "none").Order("id"), rooms, func(part []inserted) error {
				sizes = append(sizes, len(part))
				selected = append(selected, part...)
				rooms.Leave(part)
				return nil
			}),
			Parts(t.Context(), tx, tx.NewSelect().Model(&inserted{}).Column("id").Order("id"), rooms, func(part []inserted) error {
				ids = append(ids, part...)
				return nil
			}))
		for i, row := range ids { // in rooms where whole rows stood
			if !reflect.DeepEqual(row, inserted{part: rows[i].part}) {
				t.Errorf("row %d with nothing but its id is %+v", i, row)
			}
		}
		if !reflect.DeepEqual(built, rows) || !reflect.DeepEqual(all, built) || !reflect.DeepEqual(selected, built) || !reflect.DeepEqual(found, built) {
			t.Errorf("got %+v, %+v and %+v, by the builder %+v, want %+v", all, selected, found, built, rows)
		}
		if !reflect.DeepEqual(sizes, []int{2, 1}) {
			t.Errorf("parts of %d rows, want two and one", sizes)
		}
		var one inserted
		var words []word
		var count int
		var null *string
		var value JSON[map[string]string]
		err = errors.Join(err, tx.Get(t.Context(), &one, "SELECT * FROM inserted WHERE id >= ? ORDER BY id", "b"),
			tx.All(t.Context(), &words, "SELECT word FROM inserted ORDER BY id"),
			tx.Get(t.Context(), &count, "SELECT COUNT(*) FROM inserted"),
			tx.Get(t.Context(), &null, "SELECT NULL"),
			tx.Get(t.Context(), &value, "SELECT json FROM inserted WHERE id = 'a'"))
		if !reflect.DeepEqual(one, rows[1]) || !reflect.DeepEqual(words, []word{"w", "", ""}) || count != 3 || null != nil || value.V["k"] != "v" {
			t.Errorf("got %+v, %q, %d, %v, %v", one, words, count, null, value)
		}
		none := tx.Get(t.Context(), &one, "SELECT * FROM inserted WHERE id = 'z'")
		if !errors.Is(none, sql.ErrNoRows) {
			t.Errorf("no row is %v, want %v", none, sql.ErrNoRows)
		}
		none = tx.Find(t.Context(), tx.NewSelect().Model(&one).Where("id = 'z'"), &one)
		if !errors.Is(none, sql.ErrNoRows) {
			t.Errorf("no row is %v, want %v", none, sql.ErrNoRows)
		}
		all = nil
		err = errors.Join(err, tx.All(t.Context(), &all, "SELECT * FROM inserted WHERE id = 'z'"),
			tx.Find(t.Context(), tx.NewSelect().Model(&found).Where("id = 'z'"), &found))
		if len(all) != 0 || len(found) != 0 {
			t.Errorf("got %+v and %+v, want none", all, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRowsOfOneText: what a row shares with the one before is what it would be alone,
// whatever stands between.
func TestRowsOfOneText(t *testing.T) {
	t.Parallel()
	d := openInserted(t)
	a, empty := "a", ""
	one, other := Of(map[string]string{"k": "v"}), Of(map[string]string{"k": "w"})
	rows := []inserted{
		{part: part{"1"}, Word: "w", Text: "long enough", Pointer: &a, JSON: one},
		{part: part{"2"}, Word: "w", Text: "long enough", Pointer: &a, JSON: one},
		{part: part{"3"}, JSON: one},
		{part: part{"4"}, Word: "w", Text: "long", Pointer: &empty},
		{part: part{"5"}, Word: "w", Text: "long", Pointer: &a, JSON: other},
		{part: part{"6"}, Word: "v", Text: "long enough", Pointer: &a, JSON: other},
		{part: part{"7"}, Word: "w", JSON: one},
	}
	err := d.Write(t.Context(), func(tx *Tx) error { return tx.Insert(t.Context(), &rows) })
	if err != nil {
		t.Fatal(err)
	}
	err = d.Read(t.Context(), func(tx *Tx) error {
		var all []inserted
		err := tx.All(t.Context(), &all, "SELECT * FROM inserted ORDER BY id")
		if !reflect.DeepEqual(all, rows) {
			t.Errorf("got %+v, want %+v", all, rows)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFoundInsideATransaction: what a transaction has written, Find finds.
func TestFoundInsideATransaction(t *testing.T) {
	t.Parallel()
	d := openInserted(t)
	err := d.Write(t.Context(), func(tx *Tx) error {
		rows := []inserted{{part: part{"a"}, Word: "w"}, {part: part{"b"}}}
		err := tx.Insert(t.Context(), &rows)
		var held inserted
		var all []inserted
		err = errors.Join(err, tx.Find(t.Context(), tx.Held(tx.NewSelect().Model(&held).Where("id = ?", "a")), &held),
			tx.Find(t.Context(), tx.NewSelect().Model(&all).Order("id"), &all))
		if held.Word != "w" || len(all) != 2 {
			t.Errorf("got %+v of %+v, want the row with the word", held, all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEmptyJSON: what is read without a parser is what the parser makes of it.
func TestEmptyJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{}", "[]", "null", `{"a":"b"}`} {
		sameJSON(t, text, map[string]string(nil))
		sameJSON(t, text, []int(nil))
		sameJSON(t, text, struct{ A string }{})
	}
}

func sameJSON[T any](t *testing.T, text string, parsed T) {
	t.Helper()
	column := Of(parsed)
	want := json.Unmarshal([]byte(text), &parsed)
	err := column.Scan(text)
	if (err == nil) != (want == nil) || err == nil && !reflect.DeepEqual(column.V, parsed) {
		t.Errorf("%s is read as %#v, %v, want %#v, %v", text, column.V, err, parsed, want)
	}
}
