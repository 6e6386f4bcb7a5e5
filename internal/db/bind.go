package db

import (
	"database/sql/driver"
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// In makes an argument for "x IN (?)". Nothing is in an empty list. One value
// stands for itself.
func In[T any](list []T) any {
	if len(list) == 1 {
		return list[0]
	}
	return in{list}
}

type in struct{ list any }

// AppendQuery implements bun's QueryAppender: one value behind the other.
func (i in) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	return bun.List(i.list).AppendQuery(gen, b)
}

// Each makes an argument for "FROM ? AS x CROSS JOIN …": a table of the texts, in the
// column x.value. Rows of many texts are found by it in two thirds of the time that
// IN takes on SQLite, which sorts the list first. It can be used again.
func Each(list []string) any {
	if len(list) == 1 { // the usual, for plans
		return each{list, list[0]}
	}
	text, _ := json.Marshal(list) // which texts cannot fail at
	return each{list, string(text)}
}

type each struct {
	list []string
	text string // the list in JSON, or the one that is in it
}

// AppendQuery implements bun's QueryAppender.
func (e each) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	b = append(b, "(SELECT unnest(ARRAY["...)
	b, err := bun.List(e.list).AppendQuery(gen, b)
	return append(b, "]::text[]) AS value)"...), err
}

// bind makes a statement and its values such that SQLite parses the text once,
// whatever the values: a list is one value, an array in JSON. It is not ok with an
// argument that is a part of the text, such as a name.
func bind(query string, args []any) (text string, values []any, ok bool) {
	text, values = query, make([]any, len(args))
	f := folded{text: query}
	for i, a := range args {
		switch list := a.(type) {
		case in:
			b, err := json.Marshal(list.list)
			values[i], ok = string(b), err == nil && i < 64
			f.lists |= 1 << i
		case each:
			values[i], ok = list.text, i < 64
			f.tables |= 1 << i
			if len(list.list) == 1 {
				f.ones |= 1 << i
			}
		default:
			values[i], ok = bindable(a)
		}
		if !ok {
			return "", nil, false
		}
	}
	if f.lists|f.tables > 0 {
		text = unfold(f)
	}
	return text, values, true
}

var unfolded sync.Map // folded → string

// folded is a query and which of its arguments are lists, tables, and of these such
// of one row, by their bits.
type folded struct {
	text                string
	lists, tables, ones uint64
}

// unfold writes a query for the arrays among its arguments.
func unfold(f folded) string {
	known, ok := unfolded.Load(f)
	if ok {
		return known.(string)
	}
	var b strings.Builder
	for i, part := range strings.Split(f.text, "?") {
		switch {
		case i == 0:
		case f.lists&(1<<(i-1)) != 0:
			b.WriteString("SELECT value FROM json_each(?)")
		case f.ones&(1<<(i-1)) != 0:
			b.WriteString("(SELECT ? AS value)")
		case f.tables&(1<<(i-1)) != 0:
			b.WriteString("json_each(?)")
		default:
			b.WriteByte('?')
		}
		b.WriteString(part)
	}
	unfolded.Store(f, b.String())
	return b.String()
}

// bindable turns an argument into one of the driver's values.
func bindable(a any) (any, bool) {
	switch a := a.(type) {
	case nil, string, int64, float64, driver.Valuer:
		return a, true
	}
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, true
		}
		return bindable(v.Elem().Interface())
	case reflect.String:
		if v.Type().PkgPath() == "github.com/uptrace/bun" || v.Type().PkgPath() == "github.com/uptrace/bun/schema" {
			return nil, false // a name or a part of the text
		}
		return v.String(), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), true
	case reflect.Float32, reflect.Float64:
		return v.Float(), true
	case reflect.Bool:
		if v.Bool() {
			return int64(1), true
		}
		return int64(0), true
	}
	return nil, false
}
