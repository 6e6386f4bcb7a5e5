package api

import (
	"errors"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// List describes how a collection can be cut, sorted and filtered. Whatever a
// client asks for that is not in it is refused or, for filters, ignored.
type List struct {
	Sorts    map[string]string // name in the API → column
	Default  []db.Sort         // order when none is asked for
	MaxLimit int               // rows at most in a page; 0 is 1000
	Filters  map[string]db.Filter

	ZeroIsNone bool // limit=0 asks for no row, as with Nova, not for all that fit
}

// Query gives the query parameters. Kernel and handlers see the same: what cannot be
// read is refused before a handler is called.
func (c *Call) Query() url.Values {
	q, _ := readQuery(c.request.URL.RawQuery)
	return q
}

// escape is one in a query, or a percent sign that begins none.
var escape = regexp.MustCompile(`%([0-9a-fA-F]{2})?`)

// readQuery reads a query as the real services do: a semicolon and a percent sign that
// begins no escape stand for themselves. Go alone would leave out what they are in, and
// a filter that is left out matches everything.
func readQuery(raw string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err == nil {
		return q, nil
	}
	raw = escape.ReplaceAllStringFunc(raw, func(found string) string {
		if found == "%" {
			return "%25"
		}
		return found
	})
	return url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
}

// Page reads which page of the list is asked for. All spellings of the
// services are known: limit, marker, sort_key with sort_dir (repeated), sort
// with key:dir, page_reverse.
func (c *Call) Page(l List) (db.Page, error) {
	q := c.Query()
	maxLimit := l.MaxLimit
	if maxLimit == 0 {
		maxLimit = 1000
	}
	p := db.Page{Limit: maxLimit, Marker: q.Get("marker"), Sort: l.Default}
	if text := q.Get("limit"); q.Has("limit") && text != "" {
		n, err := strconv.Atoi(text)
		if errors.Is(err, strconv.ErrRange) && n > 0 {
			err = nil // more than there is
		}
		if err != nil || n < 0 {
			return db.Page{}, errs.BadRequestf("Invalid input for query parameters limit. Value: %s. limit must be an integer that is not negative.", text)
		}
		p.Limit = min(n, maxLimit)
		if n == 0 {
			p.Limit, p.None = maxLimit, l.ZeroIsNone
		}
	}
	reverse, _ := boolean.Parse(q.Get("page_reverse"))
	p.Reverse = reverse
	sorts, err := sorting(q, l)
	if err != nil {
		return db.Page{}, err
	}
	if sorts != nil {
		p.Sort = sorts
	}
	return p, nil
}

func sorting(q url.Values, l List) ([]db.Sort, error) {
	keys, dirs := q["sort_key"], q["sort_dir"]
	for _, part := range strings.Split(q.Get("sort"), ",") {
		if part == "" {
			continue
		}
		key, dir, _ := strings.Cut(part, ":")
		keys = append(keys, strings.TrimSpace(key))
		for len(dirs) < len(keys)-1 {
			dirs = append(dirs, "")
		}
		dirs = append(dirs, strings.TrimSpace(dir))
	}
	var out []db.Sort
	for _, key := range keys {
		column, known := l.Sorts[key]
		if !known {
			return nil, errs.BadRequestf("Sort key %s is not valid.", key).Typed("HTTPBadRequest")
		}
		out = append(out, db.Sort{Column: column})
	}
	if len(keys) == 0 && len(dirs) > 0 {
		out = slices.Clone(l.Default) // the other way round, perhaps
	}
	for i := range out {
		dir := ""
		switch {
		case i < len(dirs):
			dir = dirs[i]
		case len(dirs) > 0:
			dir = dirs[len(dirs)-1]
		}
		switch strings.ToLower(dir) {
		case "asc":
			out[i].Desc = false
		case "desc":
			out[i].Desc = true
		case "":
			out[i].Desc = len(l.Default) > 0 && l.Default[0].Desc
		default:
			return nil, errs.BadRequestf("Sort direction %s is not valid: it is asc or desc.", dir).Typed("HTTPBadRequest")
		}
	}
	return out, nil
}

// Where reads the filters that the client set. A parameter that is repeated
// matches any of its values.
func (c *Call) Where(l List) ([]db.Cond, error) {
	var out []db.Cond
	for name, values := range c.Query() {
		f, known := l.Filters[name]
		if !known {
			continue
		}
		cond, err := f.Cond(values)
		if err != nil {
			return nil, errs.BadRequestf("Invalid input for query parameter %s. Value: %s. %s.", name, strings.Join(values, ","), err).Typed("InvalidInput")
		}
		out = append(out, cond)
	}
	return out, nil
}

// PageURL is the URL of the page behind (or, reversed, before) the marker, with
// everything else as in this request. Without a marker it is the first (or last).
func (c *Call) PageURL(marker string, reverse bool) string {
	q := c.Query()
	q.Del("marker")
	if marker != "" {
		q.Set("marker", marker)
	}
	q.Del("page_reverse")
	if reverse {
		q.Set("page_reverse", "True")
	}
	return c.Base() + c.request.URL.EscapedPath() + "?" + q.Encode()
}

// Link is one entry of a links list.
type Link struct {
	Rel  string
	Href string
	ID   string // stands behind Href, so that the links of a list have that in common
	Type string // "" for none
}

var linkType = reflect.TypeFor[Link]()

func appendLink(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
	l := held[Link](value)
	dst = appendString(append(dst, `{"rel":`...), l.Rel)
	dst = appendText(append(dst, `,"href":"`...), l.Href)
	dst = append(appendText(dst, l.ID), '"')
	if l.Type != "" {
		dst = appendString(append(dst, `,"type":`...), l.Type)
	}
	return append(dst, '}'), nil
}
