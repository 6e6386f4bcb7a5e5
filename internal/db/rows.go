package db

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/uptrace/bun"
	"zombiezen.com/go/sqlite"

	"nacre/internal/db/lite"
)

// Rows of SQLite go past database/sql and the query builder: lists of a
// thousand rows spend most of their time there.

// setter puts a column into a value, which shares what the row before has there if
// the texts are the same: rows of a list have most of them in common. What a list
// was read into must therefore not be changed in place, maps in it for example.
type setter func(into reflect.Value, row *sqlite.Stmt, column int, last *before) error

// before is what the columns of the row before had in them; nil before the first,
// which often is the only one.
type before struct {
	columns []past
	room    []byte
}

// past is the last text of a column.
type past struct {
	text  string
	made  reflect.Value // by a Scanner, of the text if it is fresh
	fresh bool
}

var nothing past

// text reads a column's text and tells what else is known of the same one.
func (b *before) text(row *sqlite.Stmt, column int) (string, *past) {
	if b == nil {
		return row.ColumnText(column), &nothing
	}
	size := row.ColumnLen(column)
	b.room = slices.Grow(b.room[:0], size)[:size]
	row.ColumnBytes(column, b.room)
	known := &b.columns[column]
	if string(b.room) != known.text {
		known.text, known.fresh = string(b.room), false
	}
	return known.text, known
}

// columns are the setters of a query's columns, for rows of one type; nil passes
// a column over.
type columns []setter

var knownColumns sync.Map // columnsOf{type, text} → columns

type columnsOf struct {
	row  reflect.Type
	text string
}

// TableOf names the table that has the rows.
func TableOf[R any](tx *Tx) string { return tx.home.read.Table(reflect.TypeFor[R]()).Name }

// Find scans what a query of the builder finds into dest, as Get and All do.
func (tx *Tx) Find(ctx context.Context, q *bun.SelectQuery, dest any) error {
	if tx.pool != nil || tx.conn != nil {
		form, values, ok := lift(q.String())
		if ok {
			return tx.read(ctx, dest, form, values)
		}
	}
	forget(dest)
	return q.Scan(ctx, dest)
}

// Rooms are slices of one length for the parts of lists, used again and again.
type Rooms[T any] struct {
	Size int // rows in each
	pool sync.Pool
}

func (r *Rooms[T]) enter() []T {
	free, ok := r.pool.Get().(*[]T)
	if !ok {
		return make([]T, 0, r.Size)
	}
	return (*free)[:0]
}

// Leave gives a part back that nobody looks at any longer. Who keeps it does no harm.
func (r *Rooms[T]) Leave(part []T) {
	if cap(part) == r.Size {
		part = part[:r.Size]
		clear(part)
		r.pool.Put(&part)
	}
}

// Parts hands over what a query of the builder finds, so many rows at a time,
// while it reads on.
func Parts[T any](ctx context.Context, tx *Tx, q *bun.SelectQuery, rooms *Rooms[T], do func(part []T) error) error {
	size := rooms.Size
	var part []T
	form, values, ok := "", []any(nil), false
	if tx.pool != nil {
		form, values, ok = lift(q.String())
	}
	if !ok {
		err := q.Scan(ctx, &part)
		for len(part) > size && err == nil {
			err = do(part[:size:size])
			part = part[size:]
		}
		if err != nil {
			return err
		}
		return do(part)
	}
	err := tx.visit(ctx, reflect.TypeFor[T](), form, values, func() (reflect.Value, error) {
		if len(part) == size {
			err := do(part)
			if err != nil {
				return reflect.Value{}, err
			}
			part = nil
		}
		if part == nil {
			part = rooms.enter()
		}
		part = part[:len(part)+1]
		return reflect.ValueOf(&part[len(part)-1]).Elem(), nil
	})
	if err != nil {
		return err
	}
	return do(part)
}

// exec runs a statement of the writer to its end, for the reason that prepared.steady
// gives.
func (tx *Tx) exec(ctx context.Context, text string, values []any) (changed int64, err error) {
	return lite.Exec(context.WithoutCancel(ctx), tx.conn, text, values)
}

// rows visits what a query finds.
func (tx *Tx) rows(ctx context.Context, text string, values []any, visit func(row *sqlite.Stmt) error) error {
	if tx.conn != nil {
		return lite.ReadOn(context.WithoutCancel(ctx), tx.conn, text, values, visit)
	}
	return lite.Read(ctx, tx.pool, text, values, visit)
}

// read is scan on SQLite.
func (tx *Tx) read(ctx context.Context, dest any, text string, values []any) error {
	into := reflect.ValueOf(dest).Elem()
	found := 0
	if into.Kind() == reflect.Slice && into.Type().Elem().Kind() != reflect.Uint8 {
		if into.Len() > 0 {
			into.SetZero() // somebody may have the rows of before
		}
		return tx.visit(ctx, into.Type().Elem(), text, values, func() (reflect.Value, error) {
			found++
			if found > into.Cap() {
				into.Grow(found) // most lists are short
			}
			into.SetLen(found)
			into.Index(found - 1).SetZero() // in the room that the caller made, there may be something
			return into.Index(found - 1), nil
		})
	}
	err := tx.visit(ctx, into.Type(), text, values, func() (reflect.Value, error) {
		found++
		if found > 1 {
			return reflect.New(into.Type()).Elem(), nil
		}
		return into, nil
	})
	if err == nil && found == 0 {
		return sql.ErrNoRows
	}
	return err
}

// visit reads rows of a type into the values that place finds for them.
func (tx *Tx) visit(ctx context.Context, row reflect.Type, text string, values []any, place func() (reflect.Value, error)) error {
	of := columnsOf{row, text}
	var setters columns
	var last *before
	rows := 0
	return tx.rows(ctx, text, values, func(s *sqlite.Stmt) error {
		if setters == nil {
			known, ok := knownColumns.Load(of)
			if !ok {
				known = tx.home.columns(row, s)
				knownColumns.Store(of, known)
			}
			setters = known.(columns)
		}
		rows++
		if rows == 2 && tx.conn == nil { // who writes changes what it has read
			last = &before{columns: make([]past, len(setters))}
		}
		into, err := place()
		if err != nil {
			return err
		}
		for i, set := range setters {
			if set == nil {
				continue
			}
			err = set(into, s, i, last)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// columns finds where the columns of the statement go in a row of that type.
func (d *DB) columns(row reflect.Type, s *sqlite.Stmt) columns {
	if row.Kind() != reflect.Struct || isScanner(row) {
		set := setterOf(row)
		if set == nil {
			set = func(reflect.Value, *sqlite.Stmt, int, *before) error {
				return fmt.Errorf("columns are not read into %s", row)
			}
		}
		return columns{set}
	}
	table := d.read.Table(row)
	all := make(columns, s.ColumnCount())
	for i := range all {
		field := table.LookupField(s.ColumnName(i))
		if field == nil {
			continue // of a newer program
		}
		set := setterOf(field.StructField.Type)
		if set == nil {
			set = func(into reflect.Value, row *sqlite.Stmt, column int, _ *before) error {
				return field.Scan(into, lite.Value(row, column))
			}
		}
		value := field.Value
		if len(field.Index) == 1 {
			value = func(of reflect.Value) reflect.Value { return of.Field(field.Index[0]) }
		}
		all[i] = func(into reflect.Value, row *sqlite.Stmt, column int, last *before) error {
			return set(value(into), row, column, last)
		}
	}
	return all
}

func isScanner(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[sql.Scanner]())
}

// setterOf is the setter for values of a type, nil for one that only the query
// builder knows. NULL is the zero value.
func setterOf(t reflect.Type) setter {
	if isScanner(t) {
		return func(into reflect.Value, row *sqlite.Stmt, column int, last *before) error {
			if row.ColumnType(column) != sqlite.TypeText {
				return into.Addr().Interface().(sql.Scanner).Scan(lite.Value(row, column))
			}
			text, past := last.text(row, column)
			if past.fresh {
				into.Set(past.made)
				return nil
			}
			err := into.Addr().Interface().(sql.Scanner).Scan(text)
			if err != nil || last == nil {
				return err
			}
			if !past.made.IsValid() {
				past.made = reflect.New(t).Elem()
			}
			past.made.Set(into)
			past.fresh = true
			return nil
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		set := setterOf(t.Elem())
		if set == nil {
			return nil
		}
		return func(into reflect.Value, row *sqlite.Stmt, column int, last *before) error {
			if row.ColumnIsNull(column) {
				into.SetZero()
				return nil
			}
			into.Set(reflect.New(t.Elem()))
			return set(into.Elem(), row, column, last)
		}
	case reflect.String:
		return func(into reflect.Value, row *sqlite.Stmt, column int, last *before) error {
			text, _ := last.text(row, column)
			into.SetString(text)
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(into reflect.Value, row *sqlite.Stmt, column int, _ *before) error {
			into.SetInt(row.ColumnInt64(column))
			return nil
		}
	case reflect.Bool:
		return func(into reflect.Value, row *sqlite.Stmt, column int, _ *before) error {
			into.SetBool(row.ColumnInt64(column) != 0)
			return nil
		}
	case reflect.Float64:
		return func(into reflect.Value, row *sqlite.Stmt, column int, _ *before) error {
			into.SetFloat(row.ColumnFloat(column))
			return nil
		}
	}
	return nil
}
