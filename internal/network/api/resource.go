package api

import (
	"context"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/network"
)

// resource answers the calls that all resources have, and does for the others
// what they have in common: they find the row that the path names, do something,
// and show what came of it.
type resource[R keyed] struct {
	name   string // in bodies, such as router
	list   listed
	find   func(*api.Call) (R, error) // finds and authorizes
	rows   func(context.Context, network.Query) (rows []R, err error)
	view   func(*api.Call) func(R) any
	remove func(ctx context.Context, id string, revision int64) error
}

// plain is a view that does not depend on who asks.
func plain[R any](view func(R) any) func(*api.Call) func(R) any {
	return func(*api.Call) func(R) any { return view }
}

// anyRevision is the deletion of what has no revisions.
func anyRevision(remove func(context.Context, string) error) func(context.Context, string, int64) error {
	return func(ctx context.Context, id string, _ int64) error { return remove(ctx, id) }
}

func (r resource[R]) all(c *api.Call) (map[string]any, error) {
	return listOf(c, r.list, r.rows, r.view(c))
}

func (r resource[R]) show(c *api.Call) (map[string]any, error) {
	row, err := r.find(c)
	return r.shown(c, row, err)
}

func (r resource[R]) delete(c *api.Call) error {
	row, rev, err := r.change(c)
	if err != nil {
		return err
	}
	return r.remove(c.Context(), row.Key(), rev)
}

// change finds the row that is to be changed, and the revision that the change is
// conditional on.
func (r resource[R]) change(c *api.Call) (row R, rev int64, err error) {
	row, err = r.find(c)
	if err != nil {
		return row, 0, err
	}
	rev, err = revision(c)
	return row, rev, err
}

// shown answers with a row, unless there is an error.
func (r resource[R]) shown(c *api.Call, row R, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	return show(c, r.name, r.view(c)(row)), nil
}

// made is shown for a new row.
func (r resource[R]) made(c *api.Call, row R, err error) (map[string]any, error) {
	if err == nil {
		c.Log(r.name+"_id", row.Key())
	}
	return r.shown(c, row, err)
}

// several answers with new rows: one or a list, as it was asked.
func (r resource[R]) several(c *api.Call, single bool, rows []R, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	var views []any
	for _, row := range rows {
		c.Log(r.name+"_id", row.Key())
		views = append(views, r.view(c)(row))
	}
	if single {
		return map[string]any{r.name: views[0]}, nil
	}
	return map[string]any{r.list.plural: views}, nil
}

// creates says whose a new resource is, having checked that the caller may make
// it there, with tags if it has any. The target is for further rules.
func (o owner) creates(c *api.Call, name string, on *network.Network, tags []string) (project string, t auth.Target, err error) {
	project, err = o.project(c)
	if err != nil {
		return "", t, err
	}
	t = target(project, on)
	err = c.Authorize(t)
	if err != nil {
		return "", t, err
	}
	return project, t, newTags(c, name, t, tags)
}
