package object

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
)

// Listing says which part of an account or container to list.
type Listing struct {
	Limit     int    // at most; 0 is MaxListing
	Marker    string // names after this one
	EndMarker string // names before this one, "" for no end
	Prefix    string
	Delimiter string // names that go on behind it are rolled up into one entry
	Reverse   bool
}

// Entry is one row of a listing: a container, an object, or a rolled-up prefix.
type Entry struct {
	Name        string
	Subdir      bool
	Size        int64 // bytes of the object, or of all objects in the container
	Count       int64 // objects in the container
	Etag        string
	ContentType string
	UpdatedAt   db.Time
}

// Containers lists an account.
func (s *Service) Containers(ctx context.Context, account string, l Listing) ([]Entry, error) {
	return s.roll(ctx, l, func(tx *db.Tx) *bun.SelectQuery {
		return tx.NewSelect().TableExpr("object_containers").
			ColumnExpr("name, bytes AS size, objects AS count, updated_at").Where("account = ?", account)
	})
}

// Objects lists a container.
func (s *Service) Objects(ctx context.Context, account, container string, l Listing) ([]Entry, error) {
	return s.roll(ctx, l, func(tx *db.Tx) *bun.SelectQuery {
		return tx.NewSelect().TableExpr("objects").
			ColumnExpr("name, size, etag, content_type, updated_at").Where("account = ? AND container = ?", account, container)
	})
}

// roll lists in pieces: behind a rolled-up prefix it goes on with the first
// name that does not have it, so that a million names below one prefix cost one
// step of the index.
func (s *Service) roll(ctx context.Context, l Listing, base func(tx *db.Tx) *bun.SelectQuery) ([]Entry, error) {
	if l.Limit <= 0 || l.Limit > MaxListing {
		l.Limit = MaxListing
	}
	out := []Entry{}
	at := l.Marker
	inclusive := false
	for len(out) < l.Limit {
		var rows []Entry
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			return l.cut(base(tx), at, inclusive, l.Limit-len(out)).Scan(ctx, &rows)
		})
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		jumped := false
		for _, row := range rows {
			at, inclusive = row.Name, false
			dir, ok := l.subdir(row.Name)
			if !ok {
				out = append(out, row)
				continue
			}
			if dir != l.Marker {
				out = append(out, Entry{Name: dir, Subdir: true})
			}
			at, inclusive = after(dir), true
			if l.Reverse {
				at, inclusive = dir, false
			}
			jumped = true
			break
		}
		if !jumped {
			break
		}
	}
	return out, nil
}

func (l Listing) cut(q *bun.SelectQuery, at string, inclusive bool, limit int) *bun.SelectQuery {
	forward, back, order := " > ?", " < ?", "name ASC"
	if l.Reverse {
		forward, back, order = back, forward, "name DESC"
	}
	if inclusive {
		forward = " >= ?"
	}
	if at != "" {
		q = q.Where("name"+forward, at)
	}
	if l.EndMarker != "" {
		q = q.Where("name"+back, l.EndMarker)
	}
	if l.Prefix != "" {
		q = q.Where("name >= ? AND name < ?", l.Prefix, after(l.Prefix))
	}
	return q.OrderExpr(order).Limit(int64(limit))
}

// subdir is the prefix of a name up to and with the delimiter.
func (l Listing) subdir(name string) (string, bool) {
	if l.Delimiter == "" {
		return "", false
	}
	rest := strings.TrimPrefix(name, l.Prefix)
	i := strings.Index(rest, l.Delimiter)
	if i < 0 {
		return "", false
	}
	return l.Prefix + rest[:i+len(l.Delimiter)], true
}

// after is the first text that is greater than all that begin with the prefix.
func after(prefix string) string { return prefix + "\U0010ffff" }
