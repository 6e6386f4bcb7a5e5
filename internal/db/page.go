package db

import (
	"strings"

	"github.com/uptrace/bun"
)

// Page is one page of a list, cut by keyset: it starts behind the row whose
// key is Marker, wherever that stands now.
type Page struct {
	Limit   int    // rows at most; 0 for all
	None    bool   // no row
	Marker  string // "" for the start
	Sort    []Sort // the key column is appended when it is missing
	Reverse bool   // the page that ends before Marker; rows come in reversed order
}

// Sort orders by one column, which must not be NULL.
type Sort struct {
	Column string // a column name from a fixed list, never user input
	Desc   bool
}

// Cut orders and cuts a query over the table, whose key column names rows
// uniquely, and asks for one row more than the page has, so that the caller
// knows whether another page follows (see Trim).
func (p Page) Cut(q *bun.SelectQuery, table, key string) *bun.SelectQuery {
	sorts := p.Sort
	keyed := false
	for _, s := range sorts {
		keyed = keyed || s.Column == key
	}
	if !keyed {
		sorts = append(append([]Sort{}, sorts...), Sort{Column: key})
	}
	for _, s := range sorts {
		direction := " ASC"
		if s.Desc != p.Reverse {
			direction = " DESC"
		}
		q = q.OrderExpr("?"+direction, bun.Ident(s.Column))
	}
	if p.None {
		q = q.Where("1 = 0")
	}
	if p.Marker != "" {
		q = p.behind(q, table, key, sorts)
	}
	if p.Limit > 0 {
		q = q.Limit(int64(p.Limit) + 1)
	}
	return q
}

// behind spells (a, b, key) > (marker's a, b, key) for mixed directions, such that an
// index can begin at the marker: a >= m.a AND (a > m.a OR b >= m.b AND (b > m.b OR key > m.key)).
func (p Page) behind(q *bun.SelectQuery, table, key string, sorts []Sort) *bun.SelectQuery {
	var text strings.Builder
	var args []any
	for i, s := range sorts {
		op := " >"
		if s.Desc != p.Reverse {
			op = " <"
		}
		last := i == len(sorts)-1
		column := []any{bun.Ident(s.Column)}
		marker := []any{bun.Ident(s.Column), bun.Ident(table), bun.Ident(key), p.Marker}
		if !last {
			text.WriteString("?" + op + "= (SELECT ? FROM ? WHERE ? = ?) AND (")
			args = append(append(args, column...), marker...)
		}
		text.WriteString("?" + op + " (SELECT ? FROM ? WHERE ? = ?)")
		args = append(append(args, column...), marker...)
		if !last {
			text.WriteString(" OR ")
		}
	}
	text.WriteString(strings.Repeat(")", len(sorts)-1))
	return q.Where(text.String(), args...)
}

// Trim takes away the row that only told of a further page, puts a reversed
// page back in order, and tells whether there are further rows in its direction.
func Trim[T any](p Page, rows []T) (page []T, more bool) {
	if p.Limit > 0 && len(rows) > p.Limit {
		rows, more = rows[:p.Limit], true
	}
	if p.Reverse {
		for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
			rows[i], rows[j] = rows[j], rows[i]
		}
	}
	return rows, more
}
