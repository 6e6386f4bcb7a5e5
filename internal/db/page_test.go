package db_test

import (
	"fmt"
	"slices"
	"sort"
	"testing"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"nacre/internal/db"
)

// usageRow has columns with few distinct values, so that ties are common.
type usageRow struct {
	bun.BaseModel `bun:"table:quota_limits,alias:quota_limits"`

	Project  string `bun:"project,pk"`
	Resource string `bun:"resource"`
	Hard     int64  `bun:"hard"`
}

// Whatever the order, walking page by page, forth or back, gives every row once
// and in that order.
func TestPagesAreTheWholeListInOrder(t *testing.T) {
	d := open(t)
	rapid.Check(t, func(r *rapid.T) {
		rows := drawRows(r)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `DELETE FROM quota_limits`)
			if err == nil && len(rows) > 0 {
				err = tx.Insert(t.Context(), &rows)
			}
			return err
		})
		if err != nil {
			r.Fatal(err)
		}
		sorts := rapid.SliceOfNDistinct(rapid.Custom(func(r *rapid.T) db.Sort {
			return db.Sort{
				Column: rapid.SampledFrom([]string{"resource", "hard", "project"}).Draw(r, "column"),
				Desc:   rapid.Bool().Draw(r, "desc"),
			}
		}), 0, 3, func(s db.Sort) string { return s.Column }).Draw(r, "sorts")
		limit := rapid.IntRange(1, 5).Draw(r, "limit")
		reverse := rapid.Bool().Draw(r, "reverse")

		want := names(sorted(rows, sorts))
		var got []string
		page := db.Page{Limit: limit, Sort: sorts, Reverse: reverse}
		for {
			part, more := read(t, d, page)
			if len(part) > limit || more && len(part) < limit {
				r.Fatalf("page of %d rows, more %v, limit %d", len(part), more, limit)
			}
			if reverse {
				got = append(names(part), got...)
			} else {
				got = append(got, names(part)...)
			}
			if !more {
				break
			}
			page.Marker = part[len(part)-1].Project
			if reverse {
				page.Marker = part[0].Project
			}
		}
		if !slices.Equal(got, want) {
			r.Fatalf("sorted by %v: got %v, want %v", sorts, got, want)
		}
	})
}

func drawRows(r *rapid.T) []usageRow {
	n := rapid.IntRange(0, 20).Draw(r, "rows")
	rows := make([]usageRow, n)
	for i := range rows {
		rows[i] = usageRow{
			Project:  fmt.Sprintf("p%02d", (i*7)%23),
			Resource: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "resource"),
			Hard:     int64(rapid.IntRange(0, 2).Draw(r, "hard")),
		}
	}
	return rows
}

func sorted(rows []usageRow, sorts []db.Sort) []usageRow {
	list := slices.Clone(rows)
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		for _, s := range sorts {
			less, more := a.Project < b.Project, a.Project > b.Project
			switch s.Column {
			case "resource":
				less, more = a.Resource < b.Resource, a.Resource > b.Resource
			case "hard":
				less, more = a.Hard < b.Hard, a.Hard > b.Hard
			}
			if less || more {
				return less != s.Desc
			}
		}
		return a.Project < b.Project
	})
	return list
}

func names(rows []usageRow) []string {
	list := []string{}
	for _, r := range rows {
		list = append(list, r.Project)
	}
	return list
}

func read(t *testing.T, d *db.DB, page db.Page) (rows []usageRow, more bool) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return page.Cut(tx.NewSelect().Model(&rows), "quota_limits", "project").Scan(t.Context())
	})
	if err != nil {
		t.Fatal(err)
	}
	return db.Trim(page, rows)
}
