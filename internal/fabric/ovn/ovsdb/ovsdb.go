// Package ovsdb speaks to an OVSDB server, as RFC 7047 and ovsdb-server(7)
// describe it.
//
// A Client keeps a copy of the tables it was told to follow, and sends
// transactions. The server reports what a transaction changed before it
// answers the transaction, so whoever has the answer also sees the effect in the
// copy. When the connection breaks, the client connects again and reads
// everything anew; a transaction that was under way then returns
// ErrDisconnected, and nobody knows whether it happened.
//
// Values have one form, in the copy as well as in what callers write: a column
// that holds exactly one atom is a string, every other column without keys is a
// Set, and one with keys is a Map. Atoms are text: "true", "42", a UUID. The
// schema, which the client asks the server for, says how they look on the wire.
//
// Generated models were the alternative. They are some 20,000 lines for three
// schemas, want every table followed whole, and hide the one thing that matters
// here: which operations a change becomes.
package ovsdb

import (
	"errors"
	"maps"
	"slices"
)

// ErrDisconnected says that the server went away while a transaction was under
// way.
var ErrDisconnected = errors.New("connection to the database server broke")

// Set is the value of a column with any number of atoms, optional ones included.
type Set map[string]struct{}

// Map is the value of a column with keys.
type Map map[string]string

// Row maps columns to values of type string, Set or Map.
type Row map[string]any

// SetOf makes a Set.
func SetOf(atoms ...string) Set {
	s := make(Set, len(atoms))
	for _, a := range atoms {
		s[a] = struct{}{}
	}
	return s
}

// Has says whether the atom is in the set.
func (s Set) Has(atom string) bool {
	_, ok := s[atom]
	return ok
}

// Sorted returns the atoms in order.
func (s Set) Sorted() []string {
	return slices.Sorted(maps.Keys(s))
}

// String returns a column that holds one atom, "" when the row has none.
func (r Row) String(column string) string {
	s, _ := r[column].(string)
	return s
}

// Set returns a column that holds any number of atoms. It must not be changed.
func (r Row) Set(column string) Set {
	s, _ := r[column].(Set)
	return s
}

// Map returns a column with keys. It must not be changed.
func (r Row) Map(column string) Map {
	m, _ := r[column].(Map)
	return m
}

// Is says whether an optional column holds exactly this atom.
func (r Row) Is(column, atom string) bool {
	s := r.Set(column)
	return len(s) == 1 && s.Has(atom)
}

// Equal says whether two values are the same.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case string:
		return a == b
	case Set:
		b, ok := b.(Set)
		return ok && maps.Equal(a, b)
	case Map:
		b, ok := b.(Map)
		return ok && maps.Equal(a, b)
	}
	return false
}

// Tables is the client's copy: table name, row UUID, row.
type Tables map[string]map[string]Row

// Op is one operation of a transaction.
type Op struct {
	kind   string
	table  string
	uuid   string
	row    Row
	column string
	add    Set
	remove Set
}

// Insert makes a row with the given UUID.
func Insert(table, uuid string, row Row) Op {
	return Op{kind: "insert", table: table, uuid: uuid, row: row}
}

// Update overwrites the given columns of a row.
func Update(table, uuid string, row Row) Op {
	return Op{kind: "update", table: table, uuid: uuid, row: row}
}

// Change adds atoms to a set and removes others from it.
func Change(table, uuid, column string, add, remove Set) Op {
	return Op{kind: "mutate", table: table, uuid: uuid, column: column, add: add, remove: remove}
}

// Delete removes a row.
func Delete(table, uuid string) Op {
	return Op{kind: "delete", table: table, uuid: uuid}
}

// Increment adds one to an integer.
func Increment(table, uuid, column string) Op {
	return Op{kind: "increment", table: table, uuid: uuid, column: column}
}

// Commit makes the transaction durable before the server answers it.
func Commit() Op {
	return Op{kind: "commit"}
}
