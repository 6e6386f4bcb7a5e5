package object

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Listing says which part of an account or container to list.
type Listing struct {
	Limit     int    // at most this many entries
	Marker    string // names behind this one, in the order of the list
	EndMarker string // names before this one, "" for no end
	Prefix    string
	Delimiter string // names that go on behind it are rolled up into one entry
	Flat      bool   // leave the rolled-up entries out, and a name that is the prefix
	Reverse   bool

	// VersionMarker is the version of Marker that a listing of versions goes on
	// behind, "" for all of the name.
	VersionMarker string

	versions bool
	behind   int64 // version of Marker, 0 for all
}

// Entry is one row of a listing: a container, an object, or a rolled-up prefix.
type Entry struct {
	Name        string
	Subdir      bool
	Size        int64 // bytes of the object, or of all objects in the container
	Count       int64 // objects in the container
	Etag        string
	ContentType string
	CreatedAt   db.Time // of a container
	UpdatedAt   db.Time

	// Of a listing of versions.
	Version     int64
	Latest      bool
	Unversioned bool
	Marker      bool

	Manifest db.JSON[Manifest]
}

// VersionID is how clients call the version of the entry.
func (e Entry) VersionID() string {
	return Object{Version: e.Version, Unversioned: e.Unversioned}.VersionID()
}

// Containers lists an account.
func (s *Service) Containers(ctx context.Context, account string, l Listing) ([]Entry, error) {
	return s.roll(ctx, l, func(tx *db.Tx) *bun.SelectQuery {
		return tx.NewSelect().TableExpr("object_containers").
			ColumnExpr("name, bytes AS size, objects AS count, created_at, updated_at").Where("account = ?", account)
	})
}

// Objects lists a container.
func (s *Service) Objects(ctx context.Context, account, container string, l Listing) ([]Entry, error) {
	return s.roll(ctx, l, func(tx *db.Tx) *bun.SelectQuery {
		return tx.NewSelect().TableExpr("object_versions").ColumnExpr("name, size, etag, content_type, updated_at, manifest").
			Where("account = ? AND container = ? AND latest = 1 AND marker = 0", account, container)
	})
}

// Versions lists all versions in a container, the newest of a name first.
func (s *Service) Versions(ctx context.Context, account, container string, l Listing) ([]Entry, error) {
	if l.Marker != "" && l.VersionMarker != "" {
		p := Place{account, container, l.Marker, l.VersionMarker}
		var o Object
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			var err error
			o, err = lookup(ctx, tx, p)
			return err
		})
		n, isStamp := ParseStamp(l.VersionMarker)
		switch {
		case err == nil:
			l.behind = o.Version
		case errs.Is(err, errs.NotFound) && isStamp:
			l.behind = n // it went meanwhile
		case !errs.Is(err, errs.NotFound):
			return nil, err
		}
	}
	l.versions = true
	return s.roll(ctx, l, func(tx *db.Tx) *bun.SelectQuery {
		return tx.NewSelect().TableExpr("object_versions").
			ColumnExpr("name, size, etag, content_type, updated_at, manifest, version, latest, unversioned, marker").
			Where("account = ? AND container = ?", account, container)
	})
}

// How many rows a listing with a delimiter reads at a time: few at first, since
// behind a rolled-up prefix most of them may be useless.
const firstChunk, lastChunk = 32, 1024

// roll lists in chunks: behind a rolled-up prefix it goes on with the first
// name that does not have it, so that a million names below one prefix cost one
// step of the index.
func (s *Service) roll(ctx context.Context, l Listing, base func(tx *db.Tx) *bun.SelectQuery) ([]Entry, error) {
	w := l.window()
	start := w.low
	out := []Entry{}
	rolled := "" // the last prefix that was rolled up
	chunk := firstChunk
	for len(out) < l.Limit {
		n := l.Limit - len(out)
		if l.Delimiter != "" {
			n = chunk
		}
		var rows []Entry
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			return w.cut(base(tx)).Limit(int64(n)).Scan(ctx, &rows)
		})
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		inside := false // of a prefix that was rolled up
		for _, row := range rows {
			w.pass(row)
			var dir string
			dir, inside = l.Subdir(row.Name)
			switch {
			case !inside && l.Flat && row.Name == l.Prefix:
			case !inside:
				out = append(out, row)
			case dir != rolled:
				rolled = dir
				if !l.Flat && dir != start {
					out = append(out, Entry{Name: dir, Subdir: true})
				}
			}
			if len(out) == l.Limit {
				return out, nil
			}
		}
		if len(rows) < n {
			return out, nil
		}
		chunk = min(2*chunk, lastChunk)
		if inside {
			w.skip(rolled)
			chunk = firstChunk
		}
	}
	return out, nil
}

// Subdir is the prefix of a name up to and with the delimiter.
func (l Listing) Subdir(name string) (string, bool) {
	if l.Delimiter == "" {
		return "", false
	}
	i := strings.Index(name[len(l.Prefix):], l.Delimiter)
	if i < 0 {
		return "", false
	}
	dir := name[:len(l.Prefix)+i+len(l.Delimiter)]
	return dir, !l.Flat || dir != name
}

// window is the range of names that is still to be listed.
type window struct {
	low     string // "" for none
	at      bool   // low itself belongs to it
	high    string // "" for none; never belongs to it
	reverse bool

	versions bool  // each name has several rows, the newest first
	behind   int64 // of low, these versions and newer ones are passed; 0 for all
}

func (l Listing) window() window {
	w := window{low: l.Marker, high: l.EndMarker, reverse: l.Reverse, versions: l.versions, behind: l.behind}
	if l.Reverse {
		w.low, w.high = w.high, w.low
	}
	if l.Prefix == "" {
		return w
	}
	if w.low < l.Prefix {
		w.low, w.at, w.behind = l.Prefix, true, 0
	}
	end := after(l.Prefix)
	if w.high == "" || (end != "" && end < w.high) {
		w.high = end
	}
	return w
}

// pass leaves a row behind.
func (w *window) pass(row Entry) {
	if w.reverse {
		w.high = row.Name
		return
	}
	w.low, w.at = row.Name, false
	if w.versions {
		w.behind = row.Version
	}
}

// skip leaves all names with the prefix behind.
func (w *window) skip(prefix string) {
	if w.reverse {
		w.high = prefix
		return
	}
	w.low, w.at, w.behind = after(prefix), true, 0
}

func (w *window) cut(q *bun.SelectQuery) *bun.SelectQuery {
	switch {
	case w.low != "" && w.behind != 0:
		q = q.Where("name > ? OR (name = ? AND version < ?)", w.low, w.low, w.behind)
	case w.low != "" && w.at:
		q = q.Where("name >= ?", w.low)
	case w.low != "":
		q = q.Where("name > ?", w.low)
	}
	if w.high != "" {
		q = q.Where("name < ?", w.high)
	}
	if w.reverse {
		return q.OrderExpr("name DESC")
	}
	if w.versions {
		return q.OrderExpr("name ASC, version DESC")
	}
	return q.OrderExpr("name ASC")
}

// after is the first text that is greater than all that begin with the prefix:
// the prefix with its last character replaced by the next one. "" means that
// there is none.
func after(prefix string) string {
	for prefix != "" {
		r, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch {
		case r == utf8.MaxRune:
			continue // there is no next one
		case r == 0xd7ff:
			r = 0xe000 // between them are surrogates, which are no characters
		default:
			r++
		}
		return prefix + string(r)
	}
	return ""
}
