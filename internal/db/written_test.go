package db

import (
	"context"
	"reflect"
	"testing"

	"github.com/uptrace/bun"
)

type word string

type part struct {
	ID string `bun:"id,pk"`
}

type inserted struct {
	bun.BaseModel `bun:"table:inserted"`
	part

	Word    word
	Text    string `bun:"written"`
	Null    *string
	Pointer *string
	Count   int
	Time    Time
	Yes     bool
	JSON    JSON[map[string]string]
	Unseen  string `bun:"-"`
}

// openInserted opens a database that has a table for rows of that type, and a column
// of a newer program.
func openInserted(t *testing.T) *DB {
	t.Helper()
	d, err := openSQLite(t.Context(), t.TempDir()+"/db", newest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	err = d.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE inserted (id TEXT PRIMARY KEY, word TEXT, written TEXT, "null" TEXT, pointer TEXT,
			count INTEGER, time BIGINT, yes INTEGER, json TEXT, newer TEXT DEFAULT 'of a newer program', generation INTEGER DEFAULT 0)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestInsertWritesAsTheBuilderDoes: a row of a type is the same whether a prepared
// statement inserts it or the query builder.
func TestInsertWritesAsTheBuilderDoes(t *testing.T) {
	t.Parallel()
	d := openInserted(t)
	text := "it's ?"
	row := inserted{part: part{"a"}, Word: "w", Text: text, Pointer: &text, Count: -3, Time: 5, Yes: true, JSON: Of(map[string]string{"k": "v"})}
	if d.insertionOf(reflect.TypeFor[inserted]()) == nil {
		t.Fatal("the type is left to the query builder")
	}
	var got []inserted
	err := d.Write(t.Context(), func(tx *Tx) error {
		err := tx.Insert(t.Context(), &row)
		if err != nil {
			return err
		}
		second := row
		second.ID = "b"
		_, err = tx.IDB.NewInsert().Model(&[]inserted{second}).Exec(t.Context())
		if err != nil {
			return err
		}
		third, fourth := row, row
		third.ID, fourth.ID = "c", "d"
		err = tx.Insert(t.Context(), &[]*inserted{&third, &fourth})
		if err != nil {
			return err
		}
		if err := tx.Insert(context.Background(), &row); !IsDuplicate(err) {
			t.Errorf("the same row again: got %v, want a duplicate", err)
		}
		return tx.All(t.Context(), &got, "SELECT * FROM inserted ORDER BY id")
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || !reflect.DeepEqual(got[0], row) {
		t.Fatalf("got %+v, want %+v", got, row)
	}
	for i := range got {
		got[i].ID = "a"
		if !reflect.DeepEqual(got[0], got[i]) {
			t.Errorf("row %d is %+v, want %+v", i, got[i], got[0])
		}
	}
}

// TestUpdateWritesAsTheBuilderDoes: so does an update.
func TestUpdateWritesAsTheBuilderDoes(t *testing.T) {
	t.Parallel()
	d := openInserted(t)
	text := "it's ?"
	a, b := inserted{part: part{"a"}, Pointer: &text}, inserted{part: part{"b"}, Null: &text}
	want := inserted{part: part{"a"}, Word: "w", Text: text, Pointer: &text, Count: -3, Time: 5, Yes: true, JSON: Of(map[string]string{"k": "v"})}
	columns := []string{"word", "written", "null", "pointer", "count", "time", "yes", "json"}
	if d.updateOf(reflect.TypeFor[inserted](), columns) == nil {
		t.Fatal("the columns are left to the query builder")
	}
	var got []inserted
	err := d.Write(t.Context(), func(tx *Tx) error {
		for _, row := range []*inserted{&a, &b} {
			err := tx.Insert(t.Context(), row)
			if err != nil {
				return err
			}
		}
		changed, err := tx.Update(t.Context(), &want, columns...)
		if changed != 1 || err != nil {
			t.Errorf("%d rows changed, %v", changed, err)
		}
		missing := inserted{part: part{"c"}}
		changed, err = tx.Update(t.Context(), &missing, "word")
		if changed != 0 || err != nil {
			t.Errorf("of a row that isn't there %d were changed, %v", changed, err)
		}
		for count, expected := range map[int64]int64{8: 0, 0: 1} { // the column generation is one of a newer program here
			changed, err = tx.UpdateAt(t.Context(), &want, count, "word")
			if changed != expected || err != nil {
				t.Errorf("at generation %d %d rows were changed, %v; want %d", count, changed, err, expected)
			}
		}
		other := want
		other.ID = "b"
		_, err = tx.IDB.NewUpdate().Model(&other).Column(columns...).WherePK().Exec(t.Context())
		if err != nil {
			return err
		}
		return tx.All(t.Context(), &got, "SELECT * FROM inserted ORDER BY id")
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !reflect.DeepEqual(got[0], want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	got[1].ID = "a"
	if !reflect.DeepEqual(got[0], got[1]) {
		t.Errorf("the query builder wrote %+v, want %+v", got[1], got[0])
	}
}
