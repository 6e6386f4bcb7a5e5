package db_test

import (
	"testing"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
)

// Whatever a pattern is, it matches or its user hears what is wrong: it is no
// failure of ours that the databases know different ones.
func TestPatternsOfUsers(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*db.DB{"SQLite": open(t), "PostgreSQL": openSource(t, dbtest.PostgresSource(t))} {
		for _, pattern := range []string{`a{256}`, `(?P<n>x)`, `\pL`, `\Qx\E`, `x\z`, `^*`, `[[:^alpha:]]`, `a(?i)b`, `(?U)a`, `\x{61}`, `[\d-z]`, `[[.no.]]`, `^a[bc]+$`} {
			conds, err := db.Filter{Column: "project", Match: db.Matches}.Cond([]string{pattern})
			if err != nil {
				t.Errorf("%s: %v", pattern, err)
				continue
			}
			var found []usageRow
			err = d.Read(t.Context(), func(tx *db.Tx) error {
				return tx.Find(t.Context(), db.Where(tx.NewSelect().Model(&found), []db.Cond{conds}), &found)
			})
			if err != nil && !errs.Is(err, errs.BadRequest) {
				t.Errorf("%s on %s: %v, want rows or a bad request", pattern, name, err)
			}
		}
	}
	for pattern, refused := range map[string]bool{`(a)\1`: true, `((a{99}){99}){99}`: true, `(a+b|c{9}){99}`: false, `(`: true, `(a)\\\12`: true, `(a)\\1`: false, `\d1`: false} {
		if err := db.CheckPattern(pattern); (err != nil) != refused {
			t.Errorf("%s: %v, want it refused: %v", pattern, err, refused)
		}
	}
}
