package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
)

// kind is a resource as the mechanisms see it that all resources have in common:
// how it is read and listed, who sees it, what its tags are and who is told.
type kind struct {
	name      string // of rules and events: security_group
	object    string // what RBAC policies call it, "" when it cannot be shared
	table     string
	missing   func(id string) error
	visible   func(q *bun.SelectQuery, s Scope) *bun.SelectQuery // nil: the project's own and what is shared with it
	onNetwork bool                                               // its rules ask about its network
}

// see keeps what the scope may see.
func (k kind) see(q *bun.SelectQuery, s Scope) *bun.SelectQuery {
	switch {
	case s.All:
		return q
	case k.visible != nil:
		return k.visible(q, s)
	case k.object == "":
		return owned(q, k.table, s)
	}
	return q.Where("(?.project_id = ? OR ?.id IN (SELECT object_id FROM rbac_policies WHERE object_type = ? AND target IN ('*', ?)))",
		bun.Ident(k.table), s.Project, bun.Ident(k.table), k.object, s.Project)
}

// one reads a row that the scope may see.
func one[R any](ctx context.Context, tx *db.Tx, k kind, scope Scope, id string) (R, error) {
	var row R
	err := tx.Find(ctx, k.see(tx.NewSelect().Model(&row), scope).Where("?.id = ?", bun.Ident(k.table), id), &row)
	return row, k.read(err, id)
}

// hold reads a row that is going to be changed.
func hold[R any](ctx context.Context, tx *db.Tx, k kind, id string) (R, error) {
	var row R
	err := tx.Find(ctx, tx.Held(tx.NewSelect().Model(&row).Where("?.id = ?", bun.Ident(k.table), id)), &row)
	return row, k.read(err, id)
}

func (k kind) read(err error, id string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return k.missing(id)
	}
	if err != nil {
		return fmt.Errorf("read %s %s: %w", k.name, id, err)
	}
	return nil
}

// rows reads a page of a list, narrowed as the functions say.
func rows[R any](ctx context.Context, tx *db.Tx, k kind, q Query, narrow ...func(*bun.SelectQuery) *bun.SelectQuery) (list []R, err error) {
	sel := k.see(tx.NewSelect().Model(&list), q.Scope)
	for _, n := range narrow {
		sel = n(sel)
	}
	if q.Shared != nil {
		sel = k.shared(sel, q.Scope, *q.Shared)
	}
	err = page(ctx, tx, sel, k.table, q, &list, k.missing)
	return list, err
}

// refs are pointers to the rows.
func refs[R any](list []R) []*R {
	out := make([]*R, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// remove deletes the row.
func (k kind) remove(ctx context.Context, tx *db.Tx, id string) error {
	_, err := tx.Exec(ctx, `DELETE FROM ? WHERE id = ?`, bun.Ident(k.table), id)
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", k.name, id, err)
	}
	return nil
}

// look reads a row that the scope may see. What whole does, if there is any, fills
// in what is kept elsewhere.
func look[R any](ctx context.Context, s *Service, k kind, scope Scope, id string, whole filler[R]) (r R, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		r, err = one[R](ctx, tx, k, scope, id)
		if err != nil || whole == nil {
			return err
		}
		return whole(ctx, tx, scope, []*R{&r})
	})
	return r, err
}

// browse reads a page of the rows that the scope may see.
func browse[R any](ctx context.Context, s *Service, k kind, q Query, whole filler[R], narrow ...func(*bun.SelectQuery) *bun.SelectQuery) (list []R, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		list, err = rows[R](ctx, tx, k, q, narrow...)
		if err != nil || whole == nil {
			return err
		}
		return whole(ctx, tx, q.Scope, refs(list))
	})
	return list, err
}

// filler completes rows for whoever asks.
type filler[R any] func(ctx context.Context, tx *db.Tx, scope Scope, list []*R) error

// unscoped is a filler that fills in the same whoever asks.
func unscoped[R any](fill func(context.Context, *db.Tx, []*R) error) filler[R] {
	return func(ctx context.Context, tx *db.Tx, _ Scope, list []*R) error { return fill(ctx, tx, list) }
}
