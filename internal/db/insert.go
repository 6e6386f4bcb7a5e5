package db

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/uptrace/bun/schema"
)

// insertion is how a row of one type is inserted into SQLite: by a statement that
// is parsed once.
type insertion struct {
	text   string
	fields []*schema.Field
}

var insertions sync.Map // reflect.Type → *insertion; nil: the query builder has to spell it

func (d *DB) insertionOf(t reflect.Type) *insertion {
	known, ok := insertions.Load(t)
	if ok {
		return known.(*insertion)
	}
	table := d.read.Table(t)
	in := &insertion{fields: table.Fields}
	names := make([]string, len(table.Fields))
	for i, f := range table.Fields {
		names[i] = string(f.SQLName)
	}
	in.text = "INSERT INTO " + string(table.SQLName) + " (" + strings.Join(names, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(names)-1) + ")"
	if slices.ContainsFunc(table.Fields, func(f *schema.Field) bool {
		return f.AutoIncrement || f.NullZero || f.SQLDefault != "" || f.NotNull && f.IsPtr
	}) {
		in = nil // the database may choose a value
	}
	insertions.Store(t, in)
	return in
}

// insertRow inserts a row by a prepared statement. It is not done where there is
// none, or where a value is none of the driver's.
func (tx *Tx) insertRow(ctx context.Context, row reflect.Value) (done bool, err error) {
	in := tx.home.insertionOf(row.Type())
	if tx.prepared == nil || in == nil {
		return false, nil
	}
	values := make([]any, len(in.fields))
	for i, f := range in.fields {
		values[i] = f.Value(row).Interface()
	}
	stmt, values, err := tx.prepared.get(ctx, in.text, values)
	if stmt == nil || err != nil {
		return err != nil, err
	}
	_, err = stmt.ExecContext(tx.prepared.steadied(ctx), values...)
	return true, err
}
