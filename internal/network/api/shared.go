package api

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/network"
)

// scope says whose rows the caller may see.
func scope(c *api.Call) network.Scope {
	s := network.Scope{All: c.Caller.Admin() || c.Caller.Has("service"), Project: c.Caller.Project}
	if s.Project == "" {
		s.Project = nobody // rows without a project are nobody's
	}
	return s
}

// target is a row that belongs to a project, on a network or not.
func target(project string, on *network.Network) auth.Target {
	t := auth.Target{Project: project, Attrs: map[string]string{}}
	if on != nil {
		t.Attrs["network:tenant_id"] = on.Project
		t.Attrs["shared"] = word(on.Shared)
		t.Attrs["router:external"] = word(on.External)
	}
	return t
}

// sharedTarget is a row that may be shared with the caller.
func sharedTarget(project string, shared bool) auth.Target {
	t := target(project, nil)
	t.Attrs["shared"] = word(shared)
	return t
}

// authorizeShared authorizes a call on an object that may be shared with the
// caller. Who may not change it hears that it is not there, as in Neutron, unless
// it is shared with everybody.
func authorizeShared[R any](c *api.Call, project string, shared bool, read func(context.Context, network.Scope, string) (R, error), id string) error {
	err := c.Authorize(sharedTarget(project, shared))
	if err == nil || project == c.Caller.Project {
		return err
	}
	_, hidden := read(c.Context(), network.Scope{Project: nobody}, id)
	if errs.Is(hidden, errs.NotFound) {
		return hidden
	}
	return err
}

// nobody is a project that is none.
const nobody = "none"

// word spells a truth value as policy rules do.
func word(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// guard checks the rule of an attribute that the request sets.
func guard(c *api.Call, isSet bool, rule string, t auth.Target) error {
	if isSet && !c.May(rule, t) {
		return api.Neutron.Forbidden(rule)
	}
	return nil
}

// guards checks the rules prefix:attribute of the attributes that are set.
func guards(c *api.Call, prefix string, t auth.Target, attributes map[string]bool) error {
	for name, isSet := range attributes {
		err := guard(c, isSet, prefix+":"+name, t)
		if err != nil {
			return err
		}
	}
	return nil
}

// owner is the project that a new resource is for.
type owner struct {
	Project *string `json:"project_id" check:"max=255"`
	Tenant  *string `json:"tenant_id" check:"max=255"`
}

func (o owner) project(c *api.Call) (string, error) {
	asked := o.Project
	if asked == nil {
		asked = o.Tenant
	}
	if o.Project != nil && o.Tenant != nil && *o.Project != *o.Tenant {
		return "", errs.BadRequestf("'project_id' and 'tenant_id' do not match").Typed("HTTPBadRequest")
	}
	if asked == nil {
		asked = &c.Caller.Project
	}
	if *asked == "" {
		return "", errs.BadRequestf("A token without a project needs project_id in the request.").Typed("HTTPBadRequest")
	}
	if *asked != c.Caller.Project && !c.Caller.Admin() && !c.Caller.Has("service") {
		return "", errs.BadRequestf("Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin privileges").
			Typed("HTTPBadRequest")
	}
	return *asked, nil
}

// revision reads the revision that an update or deletion is conditional on.
func revision(c *api.Call) (int64, error) {
	text := c.Header("If-Match")
	if text == "" {
		return network.AnyRevision, nil
	}
	number, found := strings.CutPrefix(text, "revision_number=")
	n, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil {
		return 0, errs.BadRequestf("Bad If-Match request: If-Match must be revision_number=<number>.").Typed("BadRequest")
	}
	return n, nil
}

// listed is what a list call needs to know of a resource.
type listed struct {
	plural  string
	columns map[string]db.Filter // attributes that can be filtered and sorted by
}

// byHandler is a filter that a handler reads by itself.
var byHandler = db.Filter{}

// always are the parameters that every list takes.
var always = []string{
	"limit", "marker", "page_reverse", "sort_key", "sort_dir", "fields", "tags", "tags-any", "not-tags", "not-tags-any",
}

func notFilter(name string) error {
	return errs.BadRequestf("['%s'] is invalid attribute for filtering", name).Typed("HTTPBadRequest")
}

// known refuses a filter that the list does not have.
func (l listed) known(c *api.Call) error {
	for _, name := range slices.Sorted(maps.Keys(c.Query())) {
		_, column := l.columns[name]
		if !column && !slices.Contains(always, name) {
			return notFilter(name)
		}
	}
	return nil
}

// common are the attributes that all resources have.
func columns(more map[string]db.Filter) map[string]db.Filter {
	all := map[string]db.Filter{
		"id": {Column: "id"}, "project_id": {Column: "project_id"}, "tenant_id": {Column: "project_id"},
		"description": {Column: "description"}, "revision_number": {Column: "revision", Match: db.Number},
		"changed_since": {Column: "updated_at", Match: db.Since},
	}
	for name, f := range more {
		all[name] = f
	}
	return all
}

// query reads filters, sorting, page and tags.
func (l listed) query(c *api.Call) (network.Query, error) {
	err := l.known(c)
	if err != nil {
		return network.Query{}, err
	}
	sorts := map[string]string{}
	if l.columns["revision_number"].Column != "" { // it has what all resources have
		sorts["created_at"], sorts["updated_at"] = "created_at", "updated_at"
	}
	filters := maps.Clone(l.columns)
	for name, f := range l.columns {
		if f == byHandler {
			delete(filters, name)
		} else if f.Match != db.Since {
			sorts[name] = f.Column
		}
	}
	list := api.List{Sorts: sorts, MaxLimit: math.MaxInt32, Filters: filters}
	page, err := c.Page(list)
	if err != nil {
		return network.Query{}, err
	}
	where, err := c.Where(list)
	if err != nil {
		return network.Query{}, err
	}
	q := c.Query()
	tags := func(name string) []string {
		if q.Get(name) == "" {
			return nil
		}
		return strings.Split(q.Get(name), ",")
	}
	shared, err := flag(c, "shared")
	if err != nil {
		return network.Query{}, err
	}
	return network.Query{Scope: scope(c), Page: page, Shared: shared, Where: where, Tags: network.TagQuery{
		All: tags("tags"), Any: tags("tags-any"), NotAll: tags("not-tags"), NotAny: tags("not-tags-any"),
	}}, nil
}

// flag reads a filter that is a truth value; nil: it was not given.
func flag(c *api.Call, name string) (*bool, error) {
	text := c.Query().Get(name)
	if !c.Query().Has(name) {
		return nil, nil
	}
	want, ok := boolean.Parse(text)
	if !ok {
		return nil, errs.BadRequestf("Invalid input for operation: '%s' is not a truth value for %s.", text, name).Typed("InvalidInput")
	}
	return &want, nil
}

// keyed is a row that a page link can point at.
type keyed interface{ Key() string }

// render makes the body of a list: the rows that the caller sees, cut to the
// fields asked for, and links to the pages beside. As in Neutron a page that is
// full has one behind it, which may be empty, and only that has none.
func render[R keyed](c *api.Call, plural string, rows []R, view func(R) any) map[string]any {
	views := make([]any, 0, len(rows))
	for _, r := range rows {
		views = append(views, fields(c, view(r)))
	}
	body := map[string]any{plural: views}
	q := c.Query()
	var links []api.Link
	limit, _ := strconv.Atoi(q.Get("limit"))
	if limit > 0 {
		first, last := "", ""
		if len(rows) > 0 {
			first, last = rows[0].Key(), rows[len(rows)-1].Key()
		}
		reverse, _ := boolean.Parse(q.Get("page_reverse"))
		full := len(rows) >= limit
		if full || reverse {
			links = append(links, api.Link{Rel: "next", Href: c.PageURL(last, false)})
		}
		if full || !reverse {
			links = append(links, api.Link{Rel: "previous", Href: c.PageURL(first, true)})
		}
	}
	if links != nil {
		body[strings.ReplaceAll(plural, "-", "_")+"_links"] = links
	}
	return body
}

// listOf answers a list call: what the caller may see of a resource, as asked.
func listOf[R keyed](c *api.Call, of listed, read func(context.Context, network.Query) ([]R, error), view func(R) any) (map[string]any, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	q, err := of.query(c)
	if err != nil {
		return nil, err
	}
	rows, err := read(c.Context(), q)
	if err != nil {
		return nil, err
	}
	return render(c, of.plural, rows, view), nil
}

// nothing is what a list shows to a caller who may see none of the rows: as in
// Neutron, whose lists leave out what the rule hides instead of refusing.
func nothing(c *api.Call, plural string) map[string]any {
	c.Grant("an empty list")
	return map[string]any{plural: []any{}}
}

// fields cuts a view to what the client asked for.
func fields(c *api.Call, view any) any {
	only := c.Query()["fields"]
	if len(only) > 0 {
		return api.Fields{View: view, Only: only}
	}
	return view
}

// show makes the body of one resource, cut to the fields asked for.
func show(c *api.Call, name string, view any) map[string]any {
	return map[string]any{name: fields(c, view)}
}

// bulk is api.Body for the creation of one resource or several. Each of several
// may stand in an envelope of its own, as one alone does.
func bulk[In any](name, plural string, do func(*api.Call, In) (map[string]any, error)) api.Handler {
	return func(c *api.Call) (any, error) {
		var in In
		body, err := c.Raw()
		if err != nil {
			return nil, err
		}
		plain, enveloped := unwrapped(body, name, plural)
		if enveloped {
			err = c.DecodeJSON(plain, &in)
		} else {
			err = c.Decode(&in)
		}
		if err != nil {
			return nil, err
		}
		return do(c, in)
	}
}

// unwrapped takes the items of a list out of their envelopes; enveloped is false
// when there was none.
func unwrapped(body []byte, name, plural string) (plain []byte, enveloped bool) {
	var all map[string]json.RawMessage
	var items []json.RawMessage
	if json.Unmarshal(body, &all) != nil || json.Unmarshal(all[plural], &items) != nil {
		return body, false
	}
	for i, item := range items {
		var envelope map[string]json.RawMessage
		err := json.Unmarshal(item, &envelope)
		if err == nil && len(envelope) == 1 && envelope[name] != nil {
			items[i], enveloped = envelope[name], true
		}
	}
	if !enveloped {
		return body, false
	}
	list, err := json.Marshal(items)
	if err != nil {
		return body, false
	}
	all[plural] = list
	plain, err = json.Marshal(all)
	return plain, err == nil
}

// oneOrMany takes the bodies out of a request that holds one or a list.
func oneOrMany[B any](name string, one *B, many []B) ([]B, error) {
	switch {
	case one != nil:
		return []B{*one}, nil
	case len(many) > 0:
		return many, nil
	}
	return nil, errs.BadRequestf("Unable to find '%s' in request body", name).Typed("HTTPBadRequest")
}

// commonView is what all resources show.
type commonView struct {
	ID          string    `json:"id"`
	Tenant      string    `json:"tenant_id"`
	Project     string    `json:"project_id"`
	Description string    `json:"description"`
	Revision    int64     `json:"revision_number"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	Tags        []string  `json:"tags"`
}

func viewCommon(c network.Common) commonView {
	return commonView{
		ID: c.ID, Tenant: c.Project, Project: c.Project, Description: c.Description, Revision: c.Revision,
		CreatedAt: c.CreatedAt.Time(), UpdatedAt: c.UpdatedAt.Time(), Tags: c.Tags.V,
	}
}

// null is the text, or JSON null for none.
func null(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// truth turns an optional truth value of a request into the service's form.
func truth(b *api.Bool) *bool {
	if b == nil {
		return nil
	}
	v := bool(*b)
	return &v
}

// chosen turns a text that may be null into the service's form: nil when it was
// not given, "" for null.
func chosen(o api.Opt[string]) *string {
	if !o.Set {
		return nil
	}
	return &o.V
}

// number is truth for numbers.
func number(n *api.Int) *int {
	if n == nil {
		return nil
	}
	v := int(*n)
	return &v
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
