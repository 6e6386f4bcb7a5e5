package api

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/image"
)

const (
	defaultLimit = 25 // Glance's limit_param_default
	maxLimit     = 1000
)

// sorts are what a list can be sorted by. What is equal comes in the order of
// creation, then of the column last.
type sorts struct {
	keys    []string
	columns map[string]string // of the keys that are called otherwise there
	last    string
}

var imageSorts = sorts{keys: []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}, last: "id"}

func (by sorts) column(key string) string {
	column, other := by.columns[key]
	if other {
		return column
	}
	return key
}

// filters are what a list can be filtered by. Any other parameter that is not
// one of the words below is the name of a property.
var filters = map[string]db.Filter{
	"owner": {Column: "owner"}, "checksum": {Column: "checksum"}, "os_hash_value": {Column: "hash_value"},
	"protected": {Column: "protected", Match: db.Flag}, "os_hidden": {Column: "hidden", Match: db.Flag},
	"min_disk": {Column: "min_disk", Match: db.Number}, "min_ram": {Column: "min_ram", Match: db.Number},
	"size": {Column: "size", Match: db.Number}, "virtual_size": {Column: "virtual_size", Match: db.Number},
	"size_min": {Column: "size", Match: db.AtLeast}, "size_max": {Column: "size", Match: db.AtMost},
	"min_disk_min": {Column: "min_disk", Match: db.AtLeast}, "min_disk_max": {Column: "min_disk", Match: db.AtMost},
	"min_ram_min": {Column: "min_ram", Match: db.AtLeast}, "min_ram_max": {Column: "min_ram", Match: db.AtMost},
}

// operable are the filters that also take in:a,b and eq:a.
var operable = []string{"name", "id", "status", "container_format", "disk_format"}

var notProperties = []string{"limit", "marker", "sort_key", "sort_dir", "sort", "visibility", "tag", "member_status"}

type listView struct {
	Images []imageView `json:"images"`
	First  string      `json:"first"`
	Next   string      `json:"next,omitempty"`
	Schema string      `json:"schema"`
}

func (h handlers) list(c *api.Call) (listView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return listView{}, err
	}
	q := c.Query()
	page, err := pageOf(q, imageSorts)
	if err != nil {
		return listView{}, err
	}
	query, err := queryOf(q)
	if err != nil {
		return listView{}, err
	}
	reply := listView{Images: []imageView{}, Schema: "/v2/schemas/images", First: "/v2/images" + rest(q, "")}
	if page.Limit == 0 {
		return reply, nil
	}
	images, more, err := h.images.List(c.Context(), viewer(c), query, page)
	if err != nil {
		return listView{}, err
	}
	for _, i := range images {
		reply.Images = append(reply.Images, h.view(c, i))
	}
	if more {
		reply.Next = "/v2/images" + rest(q, images[len(images)-1].ID)
	}
	return reply, nil
}

// pageOf reads which page is asked for, in which order.
func pageOf(q url.Values, by sorts) (db.Page, error) {
	page := db.Page{Limit: defaultLimit, Marker: q.Get("marker")}
	if q.Has("limit") {
		n, err := strconv.Atoi(strings.TrimSpace(q.Get("limit")))
		if err != nil {
			return page, errs.BadRequestf("limit param must be an integer")
		}
		if n < 0 {
			return page, errs.BadRequestf("limit param must be positive")
		}
		page.Limit = min(n, maxLimit)
	}
	keys, dirs := trimmed(q["sort_key"]), trimmed(q["sort_dir"])
	if q.Has("sort") {
		if len(keys)+len(dirs) > 0 {
			return page, errs.BadRequestf("Old and new sorting syntax cannot be combined")
		}
		for _, part := range strings.Split(q.Get("sort"), ",") {
			key, dir, _ := strings.Cut(part, ":")
			if dir == "" {
				dir = "desc"
			}
			keys, dirs = append(keys, strings.TrimSpace(key)), append(dirs, strings.TrimSpace(dir))
		}
	}
	return page, by.order(&page, keys, dirs)
}

func trimmed(words []string) []string {
	var out []string
	for _, word := range words {
		out = append(out, strings.TrimSpace(word))
	}
	return out
}

// order sorts by the keys, the newest first when there are none.
func (by sorts) order(page *db.Page, keys, dirs []string) error {
	for _, key := range keys {
		if !slices.Contains(by.keys, key) {
			return errs.BadRequestf("Invalid sort key: %s. It must be one of the following: %s.", key, strings.Join(by.keys, ", "))
		}
	}
	for _, dir := range dirs {
		if dir != "asc" && dir != "desc" {
			return errs.BadRequestf("Invalid sort direction: %s", dir)
		}
	}
	if len(dirs) > 1 && len(dirs) != len(keys) {
		return errs.BadRequestf("Number of sort dirs does not match the number of sort keys")
	}
	behind := "desc" // direction of the keys that we append
	if len(dirs) == 1 {
		behind = dirs[0]
	}
	for i, key := range keys {
		dir := behind
		if len(dirs) > 1 {
			dir = dirs[i]
		}
		page.Sort = append(page.Sort, db.Sort{Column: by.column(key), Desc: dir == "desc"})
	}
	for _, key := range []string{"created_at", by.last} {
		if !slices.Contains(keys, key) {
			page.Sort = append(page.Sort, db.Sort{Column: key, Desc: behind == "desc"})
		}
	}
	return nil
}

// queryOf reads the filters.
func queryOf(q url.Values) (image.Query, error) {
	query := image.Query{Visibility: q.Get("visibility"), Tags: trimmed(q["tag"]), Properties: map[string]string{}}
	if !slices.Contains([]string{"", "all", image.Public, image.Private, image.Shared, image.Community}, query.Visibility) {
		return query, errs.BadRequestf("Invalid visibility value: %s", query.Visibility)
	}
	status := q.Get("member_status")
	switch {
	case !q.Has("member_status"):
		query.Member = image.Accepted
	case slices.Contains(image.MemberStatuses, status):
		query.Member = status
	case status != "all":
		return query, errs.BadRequestf("Invalid status: %s", status)
	}
	if q.Get("changes-since") != "" {
		return query, errs.BadRequestf(`The "changes-since" filter is no longer available on v2.`)
	}
	if !q.Has("os_hidden") {
		query.Where = append(query.Where, db.Cond{Filter: filters["os_hidden"], Values: []any{0}})
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		err := addFilter(&query, name, q.Get(name))
		if err != nil {
			return query, err
		}
	}
	return query, nil
}

func addFilter(query *image.Query, name, value string) error {
	filter, known := filters[name]
	switch {
	case slices.Contains(notProperties, name):
		return nil
	case filter.Match == db.Flag && known:
		value = strings.ToLower(value)
		if value != "true" && value != "false" {
			return errs.BadRequestf("Invalid value '%s' for '%s' filter. Valid values are 'true' or 'false'.", value, name)
		}
	case name == "created_at" || name == "updated_at":
		return addTime(query, name, value)
	case slices.Contains(operable, name):
		return addWords(query, name, value)
	case !known:
		query.Properties[name] = value
		return nil
	}
	cond, err := filter.Cond([]string{value})
	if err != nil {
		return errs.BadRequestf("Unable to filter on a range with a non-numeric value.")
	}
	query.Where = append(query.Where, cond)
	return nil
}

// addTime reads gt:2026-01-01T00:00:00Z and the like.
func addTime(query *image.Query, name, value string) error {
	op, text := "eq", value
	at, err := db.ParseTime(value)
	if err != nil {
		op, text, _ = strings.Cut(value, ":")
		at, err = db.ParseTime(text)
	}
	if err != nil {
		return errs.BadRequestf(`Bad "%s" query filter format. Use ISO 8601 DateTime notation.`, name)
	}
	if image.TimeOps[op] == "" {
		return errs.BadRequestf("Unable to filter by unknown operator '%s'.", op)
	}
	query.Times = append(query.Times, image.TimeCond{Column: name, Op: op, At: db.At(at)})
	return nil
}

// addWords reads a value, eq:value or in:value,"value, with a comma".
func addWords(query *image.Query, name, value string) error {
	op, text, hasOp := strings.Cut(value, ":")
	if !hasOp {
		op, text = "eq", value
	}
	cond := db.Cond{Filter: db.Filter{Column: name}}
	switch op {
	case "eq":
		cond.Values = []any{text}
	case "in":
		words, err := split(text)
		if err != nil {
			return err
		}
		cond.Values = words
	default:
		return errs.BadRequestf("Unable to filter by unknown operator '%s'.", op)
	}
	query.Where = append(query.Where, cond)
	return nil
}

// split cuts a list at its commas, except inside of quotes.
func split(text string) ([]any, error) {
	var words []any
	var word strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '"':
			i++
			word.WriteByte('"')
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			words = append(words, word.String())
			word.Reset()
		default:
			word.WriteByte(text[i])
		}
	}
	if quoted {
		return nil, errs.BadRequestf("Invalid filter value %s. The quote is not closed.", text)
	}
	return append(words, word.String()), nil
}

// rest spells the query of a further page.
func rest(q url.Values, marker string) string {
	q = maps.Clone(q)
	q.Del("marker")
	if marker != "" {
		q.Set("marker", marker)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
