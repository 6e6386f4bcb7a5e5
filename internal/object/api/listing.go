package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// listing reads which part of a listing is asked for.
func listing(c *api.Call) (object.Listing, error) {
	q := c.Query()
	for _, name := range []string{"marker", "end_marker", "prefix", "delimiter", "path", "format", "limit"} {
		if !legible(q.Get(name)) {
			return object.Listing{}, sentence(errs.BadRequest, `"%s" parameter not valid UTF-8`, name)
		}
	}
	l := object.Listing{
		Limit: object.MaxListing, Marker: q.Get("marker"), EndMarker: q.Get("end_marker"),
		Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), VersionMarker: q.Get("version_marker"),
	}
	l.Reverse, _ = boolean.Parse(q.Get("reverse"))
	if q.Has("path") {
		l.Prefix, l.Delimiter, l.Flat = q.Get("path"), "/", true
		if l.Prefix != "" {
			l.Prefix = strings.TrimRight(l.Prefix, "/") + "/"
		}
	}
	// Swift takes digits for a limit, and anything else for none.
	n, err := strconv.ParseUint(q.Get("limit"), 10, 31)
	if err == nil {
		l.Limit = int(n)
	}
	if l.Limit > object.MaxListing {
		return l, sentence(errs.Precondition, "Maximum limit is %d", object.MaxListing)
	}
	return l, nil
}

// The media types of listings, in the order in which we would rather send them.
var forms = []string{"text/plain", "application/json", "application/xml", "text/xml"}

// form chooses the media type by the parameter format or the header Accept.
func form(c *api.Call) (string, error) {
	switch strings.ToLower(c.Query().Get("format")) {
	case "":
	case "json":
		return "application/json", nil
	case "xml":
		return "application/xml", nil
	default:
		return "text/plain", nil
	}
	c.SetHeader("Vary", "Accept")
	accept := strings.Join(c.Request().Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return forms[0], nil
	}
	for _, pattern := range patterns(accept) {
		for _, f := range forms {
			if matches(pattern, f) {
				return f, nil
			}
		}
	}
	return "", errs.New(errs.NotAcceptable, "The resource is not available in a format acceptable to your browser.")
}

// patterns lists what an Accept header takes, the most wanted first.
func patterns(accept string) []string {
	type wish struct {
		pattern string
		quality float64
	}
	var wishes []wish
	for _, part := range strings.Split(accept, ",") {
		pattern, parameters, _ := strings.Cut(part, ";")
		w := wish{strings.ToLower(strings.TrimSpace(pattern)), 1}
		for _, p := range strings.Split(parameters, ";") {
			value, isQuality := strings.CutPrefix(strings.TrimSpace(p), "q=")
			q, err := strconv.ParseFloat(value, 64)
			if isQuality && err == nil {
				w.quality = q
			}
		}
		if w.quality > 0 {
			wishes = append(wishes, w)
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int {
		switch {
		case a.quality > b.quality:
			return -1
		case a.quality < b.quality:
			return 1
		}
		return 0
	})
	var out []string
	for _, w := range wishes {
		out = append(out, w.pattern)
	}
	return out
}

func matches(pattern, form string) bool {
	kind, any := strings.CutSuffix(pattern, "/*")
	return pattern == form || pattern == "*/*" || (any && strings.HasPrefix(form, kind+"/"))
}

type objectEntry struct {
	Name         string     `json:"name"`
	Bytes        int64      `json:"bytes"`
	Hash         string     `json:"hash"`
	ContentType  string     `json:"content_type"`
	LastModified api.Micros `json:"last_modified"`

	SLOEtag     string `json:"slo_etag,omitempty"`
	SymlinkPath string `json:"symlink_path,omitempty"`
	SymlinkEtag string `json:"symlink_etag,omitempty"`
}

// versionEntry is an object in a listing of versions.
type versionEntry struct {
	objectEntry
	VersionID string `json:"version_id"`
	IsLatest  bool   `json:"is_latest"`
}

type subdirEntry struct {
	Subdir string `json:"subdir"`
}

type containerEntry struct {
	Name         string     `json:"name"`
	Count        int64      `json:"count"`
	Bytes        int64      `json:"bytes"`
	LastModified api.Micros `json:"last_modified"`
}

// write answers a listing in the chosen form.
func write(c *api.Call, form, root, name string, entries []object.Entry) (any, error) {
	reply := api.Reply{ContentType: form + "; charset=utf-8", Status: http.StatusOK}
	switch form {
	case "application/json":
		views := make([]any, len(entries))
		for i, e := range entries {
			views[i] = entryView(root, e)
		}
		var err error
		reply.Body, err = api.Encode(views, c.Version)
		return reply, err
	case "application/xml", "text/xml":
		reply.Body = entriesXML(root, name, entries)
		return reply, nil
	}
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(e.Name + "\n")
	}
	reply.Body = []byte(text.String())
	if len(entries) == 0 {
		reply.Status = http.StatusNoContent
	}
	return reply, nil
}

func entryView(root string, e object.Entry) any {
	switch {
	case e.Subdir:
		return subdirEntry{e.Name}
	case root == "account":
		return containerEntry{e.Name, e.Count, e.Size, api.Micros(e.UpdatedAt.Time())}
	}
	v := objectEntry{Name: e.Name, Bytes: e.Size, Hash: e.Etag, ContentType: e.ContentType, LastModified: api.Micros(e.UpdatedAt.Time())}
	if len(e.Manifest.V.Segments) > 0 {
		v.SLOEtag = `"` + e.Etag + `"`
	}
	if link := e.Manifest.V.Link; link != nil {
		v.SymlinkPath = (&url.URL{Path: "/v1/" + link.Account + "/" + link.Container + "/" + link.Object}).EscapedPath()
		v.SymlinkEtag = link.Etag
	}
	if e.Version != 0 {
		return versionEntry{v, e.VersionID(), e.Latest}
	}
	return v
}

func entriesXML(root, name string, entries []object.Entry) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s name=\"%s\">", root, escapeXML(name))
	for _, e := range entries {
		at := e.UpdatedAt.Time().Format("2006-01-02T15:04:05.000000")
		switch {
		case e.Subdir && root == "account":
			fmt.Fprintf(&b, "\n<subdir name=\"%s\" />", escapeXML(e.Name))
		case e.Subdir:
			fmt.Fprintf(&b, `<subdir name="%s"><name>%s</name></subdir>`, escapeXML(e.Name), escapeXML(e.Name))
		case root == "account":
			fmt.Fprintf(&b, "\n<container><name>%s</name><count>%d</count><bytes>%d</bytes><last_modified>%s</last_modified></container>",
				escapeXML(e.Name), e.Count, e.Size, at)
		default:
			fmt.Fprintf(&b, "<object><name>%s</name><hash>%s</hash><bytes>%d</bytes><content_type>%s</content_type><last_modified>%s</last_modified></object>",
				escapeXML(e.Name), e.Etag, e.Size, escapeXML(e.ContentType), at)
		}
	}
	if root == "account" {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "</%s>", root)
	return []byte(b.String())
}
