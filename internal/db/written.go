package db

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/uptrace/bun/schema"
)

// written is how a row of one type gets into SQLite: by a statement that is parsed
// once, with the values of these fields.
type written struct {
	text   string
	fields []*schema.Field
}

var insertions sync.Map // reflect.Type → *written; nil: the query builder has to spell it

func (d *DB) insertionOf(t reflect.Type) *written {
	known, ok := insertions.Load(t)
	if ok {
		return known.(*written)
	}
	table := d.read.Table(t)
	in := &written{fields: table.Fields}
	names := make([]string, len(table.Fields))
	for i, f := range table.Fields {
		names[i] = string(f.SQLName)
	}
	in.text = "INSERT INTO " + string(table.SQLName) + " (" + strings.Join(names, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(names)-1) + ")"
	if slices.ContainsFunc(table.Fields, func(f *schema.Field) bool {
		return f.AutoIncrement || f.SQLDefault != "" || !isPlain(f)
	}) {
		in = nil // the database may choose a value
	}
	insertions.Store(t, in)
	return in
}

// insertRows inserts a row or several by a statement that is parsed once. It is not
// done where there is none, or where a value is none of the driver's.
func (tx *Tx) insertRows(ctx context.Context, rows reflect.Value) (done bool, err error) {
	if tx.conn == nil {
		return false, nil
	}
	if rows.Kind() == reflect.Struct {
		return tx.insertRow(ctx, rows)
	}
	for i := range rows.Len() {
		done, err = tx.insertRow(ctx, reflect.Indirect(rows.Index(i)))
		if !done && i > 0 {
			return true, fmt.Errorf("row %d has other values than the first", i)
		}
		if !done || err != nil {
			return done, err
		}
	}
	return done, nil
}

func (tx *Tx) insertRow(ctx context.Context, row reflect.Value) (done bool, err error) {
	in := tx.home.insertionOf(row.Type())
	if in == nil {
		return false, nil
	}
	_, done, err = tx.execRow(ctx, row, *in)
	return done, err
}

// execRow runs a statement with a row's values, and more behind them.
func (tx *Tx) execRow(ctx context.Context, row reflect.Value, w written, more ...any) (changed int64, done bool, err error) {
	values := make([]any, len(w.fields), len(w.fields)+len(more))
	for i, f := range w.fields {
		values[i] = f.Value(row).Interface()
	}
	text, values, ok := bind(w.text, append(values, more...))
	if !ok {
		return 0, false, nil
	}
	changed, err = tx.exec(ctx, text, values)
	return changed, true, err
}

var updates sync.Map // updateKey → *written; nil: the query builder has to spell it

type updateKey struct {
	row     reflect.Type
	columns string
}

func (d *DB) updateOf(t reflect.Type, columns []string) *written {
	key := updateKey{t, strings.Join(columns, " ")}
	known, ok := updates.Load(key)
	if ok {
		return known.(*written)
	}
	table := d.read.Table(t)
	w := &written{}
	for _, name := range columns {
		f := table.LookupField(name)
		if f == nil || !isPlain(f) {
			updates.Store(key, (*written)(nil))
			return nil
		}
		w.fields = append(w.fields, f)
	}
	w.text = "UPDATE " + string(table.SQLName) + " SET " + terms(w.fields, ", ") + " WHERE " + terms(table.PKs, " AND ")
	w.fields = append(w.fields, table.PKs...)
	updates.Store(key, w)
	return w
}

// isPlain tells whether the builder writes the field's value as it is, not NULL or the
// column's default for some.
func isPlain(f *schema.Field) bool { return !f.NullZero && !(f.NotNull && f.IsPtr) }

func terms(fields []*schema.Field, between string) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = string(f.SQLName) + " = ?"
	}
	return strings.Join(list, between)
}

// updateRow writes columns of a row that is there, if need be only at a generation.
func (tx *Tx) updateRow(ctx context.Context, row any, columns []string, generation ...any) (changed int64, done bool, err error) {
	if tx.conn == nil || len(columns) == 0 {
		return 0, false, nil
	}
	of := reflect.ValueOf(row).Elem()
	w := tx.home.updateOf(of.Type(), columns)
	if w == nil {
		return 0, false, nil
	}
	update := *w
	if len(generation) > 0 {
		update.text += " AND generation = ?"
	}
	return tx.execRow(ctx, of, update, generation...)
}
