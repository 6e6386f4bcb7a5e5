package api

import (
	"context"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// listing is a list call: Cinder's are all cut, sorted, filtered and counted
// alike. A listing says what differs.
type listing[T any] struct {
	api.List
	name  string // of the rows in the reply
	links string // of the links in the reply
	read  func(ctx context.Context, q volume.Query, page db.Page) (rows []T, more bool, err error)
	count func(ctx context.Context, q volume.Query) (int64, error) // nil: with_count does nothing
	id    func(T) string
	extra func(c *api.Call, q *volume.Query) // reads filters that are no columns; nil: there are none
	all   bool                               // the rows are nobody's: everyone who may list them sees all
}

// listReply is the rows by their name, with links and a count.
type listReply map[string]any

// answer lists rows as the query asks, each seen through a view.
func (l listing[T]) answer(c *api.Call, view func(T) any) (listReply, error) {
	return l.whole(c, func(rows []T) ([]any, error) {
		views := make([]any, len(rows))
		for i, row := range rows {
			views[i] = view(row)
		}
		return views, nil
	})
}

// whole is answer for views that are made of all rows at once.
func (l listing[T]) whole(c *api.Call, see func(rows []T) ([]any, error)) (listReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	page, offset, err := paged(c, l.List)
	if err != nil {
		return nil, err
	}
	q, err := l.query(c)
	if err != nil {
		return nil, err
	}
	rows, more, err := l.read(c.Context(), q, page)
	if err != nil {
		return nil, err
	}
	rows = without(c, rows, offset)
	views, err := see(rows)
	if err != nil {
		return nil, err
	}
	reply := listReply{l.name: views}
	if len(rows) > 0 {
		following := next(c, more, len(rows), l.id(rows[len(rows)-1]))
		if following != nil {
			reply[l.links] = following
		}
	}
	if l.count != nil && counted(c) {
		reply["count"], err = l.count(c.Context(), q)
	}
	return reply, err
}

// query reads which rows are wanted.
func (l listing[T]) query(c *api.Call) (volume.Query, error) {
	q := volume.Query{}
	if !l.all {
		q.Project = scope(c)
	}
	if l.extra != nil {
		l.extra(c, &q)
	}
	err := familiar(c, strings.TrimSuffix(l.name, "s"))
	if err != nil {
		return q, err
	}
	q.Where, err = c.Where(l.List)
	if err != nil || c.Version < api.V(3, 34) {
		return q, err
	}
	for name, values := range c.Query() {
		base, like := strings.CutSuffix(name, "~")
		f, known := l.Filters[base]
		if !like || !known || f.Match != db.Equal {
			continue
		}
		cond, err := db.Filter{Column: f.Column, Match: db.Contains}.Cond(values)
		if err != nil {
			return q, err
		}
		q.Where = append(q.Where, cond)
	}
	return q, nil
}

// newestFirst is the order of most lists.
var newestFirst = []db.Sort{{Column: "created_at", Desc: true}, {Column: "id", Desc: true}}

// dated adds what all resources can be filtered by since 3.60.
func dated(filters map[string]db.Filter) map[string]db.Filter {
	filters["created_at"] = db.Filter{Column: "created_at", Match: db.Compared}
	filters["updated_at"] = db.Filter{Column: "updated_at", Match: db.Compared}
	return filters
}

// filterable are the resources whose filters are told, in Cinder's words, with
// those filters that are no columns.
var filterable = []struct {
	resource string
	list     *api.List
	more     []string
}{
	{"volume", &volumeList, []string{"metadata", "glance_metadata"}},
	{"backup", &backupList, []string{"metadata"}},
	{"snapshot", &snapshotList, []string{"metadata"}},
	{"group", &groupList, nil},
	{"group_snapshot", &groupSnapshotList, nil},
	{"attachment", &attachmentList, nil},
	{"message", &messageList, nil},
	{"pool", &api.List{}, []string{"name", "volume_type"}},
	{"volume_type", &typeList, []string{"is_public", "extra_specs"}},
}

// paging is what a query says beside filters.
var paging = []string{"limit", "marker", "offset", "sort", "sort_key", "sort_dir", "all_tenants", "with_count", "list_volume"}

// familiar refuses filters that a list does not know, as Cinder does since 3.31,
// and since 3.52 for types. Operators may ask for what they like.
func familiar(c *api.Call, resource string) error {
	since := api.V(3, 31)
	if resource == "volume_type" {
		since = api.V(3, 52)
	}
	told := filtersOf(resource)
	if told == nil || c.Version < since || c.Caller.Admin() {
		return nil
	}
	var strange []string
	for name := range c.Query() {
		base := name
		if c.Version >= api.V(3, 34) {
			base = strings.TrimSuffix(name, "~")
		}
		if !slices.Contains(told, base) && !slices.Contains(paging, name) {
			strange = append(strange, name)
		}
	}
	if len(strange) == 0 {
		return nil
	}
	slices.Sort(strange)
	return errs.BadRequestf("Invalid filters %s are found in query options.", strings.Join(strange, ","))
}

// filtersOf are the filters that are told of a resource, nil when none are.
func filtersOf(resource string) []string {
	for _, f := range filterable {
		if f.resource != resource {
			continue
		}
		names := append([]string{}, f.more...)
		for name := range f.list.Filters {
			names = append(names, name)
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	return nil
}

type filtersView struct {
	Resource string   `json:"resource"`
	Filters  []string `json:"filters"`
}

type filtersReply struct {
	Filters []filtersView `json:"resource_filters"`
}

func (h handlers) resourceFilters(c *api.Call) (filtersReply, error) {
	reply := filtersReply{Filters: []filtersView{}}
	only := c.Query().Get("resource")
	for _, f := range filterable {
		if only != "" && only != f.resource {
			continue
		}
		reply.Filters = append(reply.Filters, filtersView{f.resource, filtersOf(f.resource)})
	}
	return reply, c.AuthorizeOwn()
}

// nameOf refuses names that say nothing.
func nameOf(name, what string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "", errs.BadRequestf("%s name can not be empty.", what)
	}
	return name, nil
}
