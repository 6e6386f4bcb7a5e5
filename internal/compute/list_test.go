package compute

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// Who looks for the few servers in a state that is seldom does not go through those
// that run; who looks for those that run takes them in the order of lists, and a page
// begins at its marker.
func TestListsHaveAnIndex(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := dbtest.OpenFile(t, filepath.Join(t.TempDir(), "nacre.db"))
	loop := func(columns, more string) string {
		return "SELECT " + columns + " FROM servers WHERE " + seldom + " AND vm_state = 'x' AND task_state = '' AND deleted_at = 0" + more
	}
	list := func(q Query) string {
		q.Page.Limit, q.Page.Sort = 1000, newestFirst
		var text string
		err := d.Read(ctx, func(tx *db.Tx) error {
			text = q.Page.Cut(q.where(tx.NewSelect().Model((*Server)(nil))), "servers", "id").String()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, test := range map[string]struct{ query, want string }{
		"shelved for long":      {loop("*", ""), "servers_seldom (vm_state=? AND deleted_at=?)"},
		"deleted for long":      {loop("id", " AND soft_deleted_at <= 1"), "servers_seldom (vm_state=? AND deleted_at=?)"},
		"broken, of a project":  {list(Query{Project: "p", Statuses: []string{"ERROR"}}), "servers_seldom (vm_state=? AND deleted_at=?)"},
		"on no host":            {list(Query{Statuses: []string{"SHELVED_OFFLOADED"}}), "servers_seldom (vm_state=? AND deleted_at=?)"},
		"running":               {list(Query{Statuses: []string{"ACTIVE"}}), "servers_created (deleted_at=?)"},
		"running, of a project": {list(Query{Project: "p", Statuses: []string{"ACTIVE"}}), "servers_project (project=? AND deleted_at=?)"},
		"behind a marker":       {list(Query{Page: db.Page{Marker: "x"}}), "servers_created (deleted_at=? AND created_at<?)"},
		"being rebuilt":         {list(Query{Statuses: []string{"REBUILD"}}), "servers_created (deleted_at=?)"},
	} {
		var plan []struct{ ID, Parent, Notused, Detail string }
		err := d.Read(ctx, func(tx *db.Tx) error { return tx.All(ctx, &plan, "EXPLAIN QUERY PLAN "+test.query) })
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(plan[0].Detail, "USING INDEX "+test.want) {
			t.Errorf("%s: the plan is %v, want the index %s\n%s", name, plan, test.want, test.query)
		}
	}
}

// Every status is found in the states that have it, and only there.
func TestStatesOfStatuses(t *testing.T) {
	for status, want := range map[string][]VMState{
		"ERROR": {Errored}, "REBUILD": {Active, Errored, Stopped}, "MIGRATING": {Active, PausedState}, "REVERT_RESIZE": {Resized}, "UNKNOWN": nil,
	} {
		if got := statesOf([]string{status}); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", status, got, want)
		}
	}
	for state, is := range statusOf {
		if got := statesOf([]string{is.word}); !slices.Contains(got, state) {
			t.Errorf("%s: got %v, want also %s", is.word, got, state)
		}
	}
}
