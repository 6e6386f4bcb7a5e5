package network

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// tagged is a kind of resource that has tags.
type tagged struct {
	kind
	// whole reads a row as events show it.
	whole func(ctx context.Context, tx *db.Tx, id string) (any, error)
}

// taggable are the kinds that have tags, by their names in paths.
var taggable = map[string]tagged{
	"networks": {networkKind, wholly(func(ctx context.Context, tx *db.Tx, id string) (Network, error) {
		n, err := holdNetwork(ctx, tx, id)
		if err != nil {
			return n, err
		}
		return n, withSubnets(ctx, tx, []*Network{&n})
	})},
	"subnets": {subnetKind, wholly(readSubnet)},
	"ports":   {portKind, wholly(readPort)},
	"routers": {routerKind, wholly(readRouter)},
	"floatingips": {floatingKind, wholly(func(ctx context.Context, tx *db.Tx, id string) (FloatingIP, error) {
		f, err := readFloating(ctx, tx, id)
		if err != nil {
			return f, err
		}
		return f, withDetails(ctx, tx, []*FloatingIP{&f})
	})},
	"security-groups": {groupKind, wholly(func(ctx context.Context, tx *db.Tx, id string) (Group, error) {
		g, err := readGroup(ctx, tx, id)
		if err != nil {
			return g, err
		}
		return g, withRules(ctx, tx, []*Group{&g})
	})},
	"trunks":   {trunkKind, wholly(managed)},
	"policies": {policyKind, wholly(readPolicy)},
	"subnetpools": {poolKind, wholly(func(ctx context.Context, tx *db.Tx, id string) (SubnetPool, error) {
		return hold[SubnetPool](ctx, tx, poolKind, id)
	})},
}

// wholly leaves open which type a read returns.
func wholly[R any](read func(ctx context.Context, tx *db.Tx, id string) (R, error)) func(ctx context.Context, tx *db.Tx, id string) (any, error) {
	return func(ctx context.Context, tx *db.Tx, id string) (any, error) { return read(ctx, tx, id) }
}

// Tagged is a resource as the calls about its tags see it.
type Tagged struct {
	Kind    string // security_group
	Project string
	Tags    []string
	On      *Network // where it lies, or itself; nil: on none
}

func taggableAt(collection string) (tagged, error) {
	if collection == "security_groups" { // as some clients have it
		collection = "security-groups"
	}
	k, known := taggable[collection]
	if !known {
		return tagged{}, errs.NotFoundf("The resource could not be found.").Typed("HTTPNotFound")
	}
	return k, nil
}

// Tagged finds a resource that the scope may see by the name of its collection.
func (s *Service) Tagged(ctx context.Context, scope Scope, collection, id string) (Tagged, error) {
	k, err := taggableAt(collection)
	if err != nil {
		return Tagged{}, err
	}
	var row struct {
		bun.BaseModel `bun:"table:nothing"`
		Project       string            `bun:"project_id"`
		Tags          db.JSON[[]string] `bun:"tags"`
		Network       string            `bun:"network_id"`
	}
	t := Tagged{Kind: k.name}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		network := "''"
		switch {
		case k.table == "networks":
			network = "networks.id"
		case k.onNetwork:
			network = k.table + ".network_id"
		}
		sel := tx.NewSelect().ColumnExpr("?0.project_id, ?0.tags, "+network+" AS network_id", bun.Ident(k.table)).TableExpr("?", bun.Ident(k.table))
		err := k.see(sel, scope).Where("?.id = ?", bun.Ident(k.table), id).Scan(ctx, &row)
		if err != nil {
			return k.read(err, id)
		}
		t.Project, t.Tags = row.Project, row.Tags.V
		if row.Network == "" {
			return nil
		}
		on, err := networkFor(ctx, tx, scope, row.Network)
		t.On = &on
		return err
	})
	return t, err
}

// ChangeTags replaces the tags of a resource, and returns them.
func (s *Service) ChangeTags(ctx context.Context, collection, id string, change func(tags []string) ([]string, error)) (tags []string, err error) {
	k, err := taggableAt(collection)
	if err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var have db.JSON[[]string]
		err := tx.Get(ctx, &have, `SELECT tags FROM ? WHERE id = ?`+tx.Hold(), bun.Ident(k.table), id)
		if err != nil {
			return k.read(err, id)
		}
		tags, err = change(slices.Clone(have.V))
		if err != nil {
			return err
		}
		tags = list(tags)
		_, err = tx.Exec(ctx, `UPDATE ? SET tags = ?, revision = revision + 1, updated_at = ? WHERE id = ?`,
			bun.Ident(k.table), db.Of(tags), db.At(tx.Now()), id)
		if err != nil {
			return fmt.Errorf("write tags of %s: %w", id, err)
		}
		row, err := k.whole(ctx, tx, id)
		if err != nil {
			return err
		}
		return tell(ctx, tx, updated, row, s.zone)
	})
	return tags, err
}
