package image

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Query is what a list asks for besides its page.
type Query struct {
	Visibility string // "" or all: whatever the viewer sees, without others' community images
	Member     string // answer that the viewer's project gave to the shared ones of others; "" for any
	Tags       []string
	Properties map[string]string
	Times      []TimeCond
	Where      []db.Cond
}

// TimeCond compares created_at or updated_at with a time.
type TimeCond struct {
	Column string // from a fixed list, never user input
	Op     string // one of the keys of TimeOps
	At     db.Time
}

// TimeOps are the comparisons of times, spelled as in the API.
var TimeOps = map[string]string{"eq": "= ?", "neq": "<> ?", "gt": "> ?", "gte": ">= ?", "lt": "< ?", "lte": "<= ?"}

// List returns the images that the viewer sees and the query matches, and
// whether a further page follows.
func (s *Service) List(ctx context.Context, who Viewer, query Query, page db.Page) (images []Image, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if page.Marker != "" {
			_, err := seen(ctx, tx, who, page.Marker)
			if errs.Is(err, errs.NotFound) {
				return errs.BadRequestf("%s", notFound(page.Marker))
			}
			if err != nil {
				return err
			}
		}
		q := tx.NewSelect().TableExpr("images").ColumnExpr("images.*")
		q = visible(q, who, query.Visibility, query.Member)
		q = db.Where(q, query.Where)
		for _, c := range query.Times {
			q = q.Where("? "+TimeOps[c.Op], bun.Ident(c.Column), c.At)
		}
		for _, tag := range query.Tags {
			q = has(q, "tags", "[", quoted(tag))
		}
		for name, value := range query.Properties {
			q = has(q, "properties", "{", quoted(name)+":"+quoted(value))
		}
		return page.Cut(q, "images", "id").Scan(ctx, &images)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list images: %w", err)
	}
	images, more = db.Trim(page, images)
	return images, more, nil
}

// visible narrows a list to what the viewer sees with the visibility.
func visible(q *bun.SelectQuery, who Viewer, visibility, member string) *bun.SelectQuery {
	shared := q.NewSelect().TableExpr("image_members").ColumnExpr("image").Where("member = ?", who.Project)
	if member != "" {
		shared = shared.Where("status = ?", member)
	}
	switch visibility {
	case "", "all":
		if who.Admin && visibility == "all" {
			return q
		}
		if who.Admin {
			return q.Where("visibility <> ? OR owner = ?", Community, who.Project)
		}
		if visibility == "all" {
			return q.Where("owner = ? OR visibility IN (?, ?) OR (visibility = ? AND id IN (?))", who.Project, Public, Community, Shared, shared)
		}
		return q.Where("owner = ? OR visibility = ? OR (visibility = ? AND id IN (?))", who.Project, Public, Shared, shared)
	case Public, Community:
		return q.Where("visibility = ?", visibility)
	}
	q = q.Where("visibility = ?", visibility)
	switch {
	case who.Admin:
		return q
	case visibility == Shared:
		return q.Where("owner = ? OR id IN (?)", who.Project, shared)
	}
	return q.Where("owner = ?", who.Project)
}

// has looks for a member in the text of a JSON column. A member stands behind
// the opening bracket or a comma; inside of a string the quote that begins it
// would be escaped. REPLACE, unlike LIKE, tells a from A in every database.
func has(q *bun.SelectQuery, column, open, member string) *bun.SelectQuery {
	c := bun.Ident(column)
	return q.Where("(REPLACE(?, ?, '') <> ? OR REPLACE(?, ?, '') <> ?)", c, open+member, c, c, ","+member, c)
}

// quoted spells a string as it stands in a JSON column.
func quoted(text string) string {
	value, err := db.Of(text).Value()
	if err != nil {
		return text
	}
	return value.(string)
}
