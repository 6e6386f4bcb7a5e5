package api

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// isWeb tells whether the request wants the container as a web site: when the
// container is one, and nobody is signed in or asks for it.
func (e *entry) isWeb() bool {
	method := e.c.Request().Method
	if e.box == nil || (method != http.MethodGet && method != http.MethodHead) || e.signed != "" {
		return false
	}
	wanted, _ := boolean.Parse(e.c.Header("X-Web-Mode"))
	if e.c.Caller.User != "" && !wanted {
		return false
	}
	m := e.box.Meta.V
	lists, _ := boolean.Parse(m["web-listings"])
	return m["web-index"] != "" || m["web-error"] != "" || lists
}

// webContainer serves the site's first page.
func (h handlers) webContainer(e entry) (any, error) {
	if !strings.HasSuffix(e.c.Request().URL.Path, "/") {
		return withSlash(e), nil
	}
	return h.webFolder(e, "")
}

// webObject serves a page, or what stands for one.
func (h handlers) webObject(e entry) (any, error) {
	_, err := h.store.Object(e.c.Context(), e.Place)
	if err == nil {
		return h.send(e)
	}
	if !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	if strings.HasSuffix(e.Object, "/") {
		return h.webFolder(e, e.Object)
	}
	// A folder without its slash.
	entries, err := h.store.Objects(e.c.Context(), e.Account, e.Container, object.Listing{Prefix: e.Object + "/", Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return withSlash(e), nil
	}
	return h.webError(e)
}

// withSlash leads to the same path with a slash behind it, on this host whatever
// the path begins with.
func withSlash(e entry) api.Reply {
	e.c.SetHeader("Location", e.c.Base()+e.c.Request().URL.EscapedPath()+"/")
	return api.Reply{Status: http.StatusMovedPermanently, ContentType: "text/html; charset=UTF-8"}
}

// webFolder serves the index of a folder, or its listing.
func (h handlers) webFolder(e entry, prefix string) (any, error) {
	m := e.box.Meta.V
	if m["web-index"] != "" {
		at := e
		at.Object = prefix + m["web-index"]
		_, err := h.store.Object(e.c.Context(), at.Place)
		if err == nil {
			return h.send(at)
		}
		if !errs.Is(err, errs.NotFound) {
			return nil, err
		}
	}
	lists, _ := boolean.Parse(m["web-listings"])
	if !lists {
		return h.webError(e)
	}
	box := e.Place
	box.Object = ""
	if e.reason(reads, box, e.box) == "" {
		return nil, e.c.Refuse()
	}
	entries, err := h.store.Objects(e.c.Context(), e.Account, e.Container, object.Listing{Prefix: prefix, Delimiter: "/", Limit: object.MaxListing})
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 && prefix != "" {
		return h.webError(e)
	}
	e.c.SetHeader("Content-Security-Policy", "sandbox")
	e.c.SetHeader("X-Content-Type-Options", "nosniff")
	return api.Reply{Status: http.StatusOK, ContentType: "text/html; charset=UTF-8", Body: []byte(webListing(e, prefix, entries))}, nil
}

func webListing(e entry, prefix string, entries []object.Entry) string {
	var b strings.Builder
	title := "Listing of " + html.EscapeString("/v1/"+e.Account+"/"+e.Container+"/"+prefix)
	style := `<style type="text/css">h1 {font-size: 1em;} th, td {text-align: left; padding: 0 1em 0 0;}</style>`
	if css := e.box.Meta.V["web-listings-css"]; css != "" {
		up := strings.Repeat("../", strings.Count(prefix, "/"))
		style = `<link rel="stylesheet" type="text/css" href="` + html.EscapeString(up+css) + `" />`
	}
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html>\n<head>\n<title>%s</title>\n%s\n</head>\n<body>\n<h1 id=\"title\">%s</h1>\n<table id=\"listing\">\n"+
		"<tr id=\"heading\"><th class=\"colname\">Name</th><th class=\"colsize\">Size</th><th class=\"coldate\">Date</th></tr>\n", title, style, title)
	if prefix != "" {
		b.WriteString("<tr id=\"parent\" class=\"item\"><td class=\"colname\"><a href=\"../\">../</a></td><td></td><td></td></tr>\n")
	}
	for _, entry := range entries {
		name := strings.TrimPrefix(entry.Name, prefix)
		if name == "" {
			continue
		}
		href := html.EscapeString("./" + (&url.URL{Path: name}).EscapedPath())
		if entry.Subdir {
			fmt.Fprintf(&b, "<tr class=\"item subdir\"><td class=\"colname\"><a href=\"%s\">%s</a></td><td></td><td></td></tr>\n", href, html.EscapeString(name))
			continue
		}
		fmt.Fprintf(&b, "<tr class=\"item\"><td class=\"colname\"><a href=\"%s\">%s</a></td><td class=\"colsize\">%d</td><td class=\"coldate\">%s</td></tr>\n",
			href, html.EscapeString(name), entry.Size, entry.UpdatedAt.Time().Format("2006-01-02 15:04:05"))
	}
	b.WriteString("</table>\n</body>\n</html>\n")
	return b.String()
}

// webError answers 404 with the site's own page for it, when there is one.
func (h handlers) webError(e entry) (any, error) {
	notFound := errs.NotFoundf("The resource could not be found.")
	suffix := e.box.Meta.V["web-error"]
	if suffix == "" {
		return nil, notFound
	}
	p := e.Place
	p.Object = "404" + suffix
	content, bytes, err := h.store.Read(e.c.Context(), p, e.allow)
	if err != nil {
		return nil, notFound
	}
	defer bytes.Close()
	const most = 1 << 20
	page := make([]byte, min(content.Size, most))
	_, err = io.ReadFull(bytes, page)
	if err != nil {
		return nil, notFound
	}
	e.c.SetHeader("Content-Security-Policy", "sandbox")
	e.c.SetHeader("X-Content-Type-Options", "nosniff")
	return api.Reply{Status: http.StatusNotFound, ContentType: content.ContentType, Body: page}, nil
}
