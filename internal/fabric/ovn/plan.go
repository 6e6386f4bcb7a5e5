package ovn

import (
	"maps"

	"github.com/google/uuid"

	"nacre/internal/fabric/ovn/ovsdb"
)

// A plan is a database as it should become: the copy we follow, and rows that
// differ from it. The mapping of networks, ports, groups and routers writes into
// a plan what should be; ops then says what has to be done.
//
// Each row has a UUID that follows from what it is for. So nobody has to look up
// rows before they can refer to them, and two writers who make the same object
// make the same row: the later one is refused by the database, and updates.
type plan struct {
	tables ovsdb.Tables
	drafts map[rowKey]*draft
	order  []rowKey
}

type rowKey struct{ table, uuid string }

type draft struct {
	was   ovsdb.Row       // nil: does not exist yet
	row   ovsdb.Row       // nil: to be removed
	owned map[string]bool // set columns that are no longer shared with was
}

func newPlan(tables ovsdb.Tables) *plan {
	return &plan{tables: tables, drafts: map[rowKey]*draft{}}
}

// namespace keeps our row ids apart from those others derive.
var namespace = uuid.MustParse("6f6a52f4-5c0c-4f5e-9d5e-2c1d6f0b7a11")

// rowID derives the UUID of the row with this use.
func rowID(use string, ids ...string) string {
	name := use
	for _, id := range ids {
		name += "/" + id
	}
	return uuid.NewSHA1(namespace, []byte(name)).String()
}

// get returns a row as it should become, nil for none.
func (p *plan) get(table, id string) ovsdb.Row {
	d, ok := p.drafts[rowKey{table, id}]
	if ok {
		return d.row
	}
	return p.tables[table][id]
}

// draft returns the row to be written to.
func (p *plan) draft(table, id string) *draft {
	key := rowKey{table, id}
	d, ok := p.drafts[key]
	if !ok {
		was := p.tables[table][id]
		d = &draft{was: was, row: maps.Clone(was), owned: map[string]bool{}}
		p.drafts[key] = d
		p.order = append(p.order, key)
	}
	return d
}

// put makes the row exist with these columns. Columns it doesn't name stay.
func (p *plan) put(table, id string, columns ovsdb.Row) {
	d := p.draft(table, id)
	if d.row == nil {
		d.row = ovsdb.Row{}
	}
	for name, value := range columns {
		d.row[name] = value
		d.owned[name] = false
	}
}

// link adds a reference to a set, unless the row doesn't exist.
func (p *plan) link(table, id, column, to string) {
	if p.get(table, id) == nil || p.get(table, id).Set(column).Has(to) {
		return
	}
	p.ownedSet(table, id, column)[to] = struct{}{}
}

// unlink removes a reference from a set.
func (p *plan) unlink(table, id, column, to string) {
	if p.get(table, id) == nil || !p.get(table, id).Set(column).Has(to) {
		return
	}
	delete(p.ownedSet(table, id, column), to)
}

func (p *plan) ownedSet(table, id, column string) ovsdb.Set {
	d := p.draft(table, id)
	if !d.owned[column] {
		set := maps.Clone(d.row.Set(column))
		if set == nil {
			set = ovsdb.Set{}
		}
		d.row[column] = set
		d.owned[column] = true
	}
	return d.row.Set(column)
}

// remove makes the row not exist.
func (p *plan) remove(table, id string) {
	if p.get(table, id) == nil {
		return
	}
	p.draft(table, id).row = nil
}

// references are set columns that may grow large or have other writers too: only
// the difference is sent.
var references = map[string]bool{"ports": true, "dns_records": true, "acls": true, "bridges": true, "qos_rules": true}

// ops returns the operations that turn the copy into the plan, none when it
// already is as planned.
func (p *plan) ops() []ovsdb.Op {
	var ops []ovsdb.Op
	for _, key := range p.order {
		d := p.drafts[key]
		switch {
		case d.was == nil && d.row == nil:
		case d.was == nil:
			ops = append(ops, ovsdb.Insert(key.table, key.uuid, d.row))
		case d.row == nil:
			ops = append(ops, ovsdb.Delete(key.table, key.uuid))
		default:
			ops = append(ops, d.changes(key)...)
		}
	}
	return ops
}

func (d *draft) changes(key rowKey) []ovsdb.Op {
	var ops []ovsdb.Op
	update := ovsdb.Row{}
	for name, value := range d.row {
		if ovsdb.Equal(d.was[name], value) {
			continue
		}
		if references[name] {
			was, is := d.was.Set(name), d.row.Set(name)
			ops = append(ops, ovsdb.Change(key.table, key.uuid, name, without(is, was), without(was, is)))
			continue
		}
		update[name] = value
	}
	if len(update) > 0 {
		ops = append(ops, ovsdb.Update(key.table, key.uuid, update))
	}
	return ops
}

func without(all, except ovsdb.Set) ovsdb.Set {
	rest := ovsdb.Set{}
	for a := range all {
		if !except.Has(a) {
			rest[a] = struct{}{}
		}
	}
	return rest
}
