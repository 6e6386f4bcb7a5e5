package api

import (
	"mime"
	"net/url"
	"slices"
	"strings"
)

// A row may serve only requests that have more than its method and path: object
// stores tell calls apart by the query and by headers. Its Variant says what, as
// the public reference spells it:
//
//	?acl                        the query has the key acl
//	?partNumber=&uploadId=      it has both
//	(x-amz-copy-source)         the request has this header
//	(multipart/form-data)       its body has this media type
//
// Among the rows that fit, the one that asks for most is the one.
type needs struct {
	keys    []string
	headers []string
	media   string
}

func parseVariant(text string) needs {
	var n needs
	query, rest, _ := strings.Cut(text, "(")
	query = strings.TrimPrefix(strings.TrimSpace(query), "?")
	if query != "" {
		for _, part := range strings.Split(query, "&") {
			key, _, _ := strings.Cut(part, "=")
			n.keys = append(n.keys, key)
		}
	}
	inner := strings.TrimSuffix(rest, ")")
	switch {
	case inner == "":
	case strings.Contains(inner, "/"):
		n.media = inner
	default:
		n.headers = append(n.headers, inner)
	}
	return n
}

func (n needs) count() int {
	count := len(n.keys) + len(n.headers)
	if n.media != "" {
		count++
	}
	return count
}

func (n needs) met(c *Call, query url.Values) bool {
	for _, key := range n.keys {
		if !query.Has(key) {
			return false
		}
	}
	for _, name := range n.headers {
		if c.Header(name) == "" {
			return false
		}
	}
	if n.media == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(c.Header("Content-Type"))
	return err == nil && media == n.media
}

// variantQuery reads the query when a row asks for it.
func (c *Call) variantQuery(candidates []*endpoint) url.Values {
	reads := slices.ContainsFunc(candidates, func(e *endpoint) bool { return len(e.route.needs.keys) > 0 })
	if !reads || c.request.URL.RawQuery == "" {
		return nil
	}
	return c.Query()
}

// Reference is the path of the row as the public reference spells it, variant
// included.
func (r Route) Reference() string {
	if strings.HasPrefix(r.Variant, "(") {
		return r.Path + " " + r.Variant
	}
	return r.Path + r.Variant
}
