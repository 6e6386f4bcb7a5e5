// Package api is Swift's API on top of the object store.
//
// What Swift says, it says in headers: metadata, counters, conditions. The
// handlers here therefore read and write headers, and answer listings in the
// three forms that Swift knows: text, JSON and XML.
package api

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// New describes the service for the kernel.
func New(store *object.Service) api.Service {
	h := handlers{store}
	return api.Service{Name: "swift", Type: "object-store", Mount: "", Spec: "", Envelope: api.Swift, Routes: h.routes()}
}

type handlers struct{ store *object.Service }

func (h handlers) routes() []api.Route {
	const account, container = "/v1/{account}", "/v1/{account}/{container}"
	const file = container + "/{object...}"
	return []api.Route{
		{Method: "GET", Path: account, Rule: "object:read", Do: api.Get(h.showAccount)},
		{Method: "POST", Path: account, Rule: "object:write", OK: 204, Do: api.Empty(h.updateAccount)},
		{Method: "HEAD", Path: account, Rule: "object:read", OK: 204, Do: api.Empty(h.headAccount)},
		{Method: "GET", Path: container, Rule: "object:read", Do: api.Get(h.showContainer)},
		{Method: "PUT", Path: container, Rule: "object:write", OK: 201, Do: api.Empty(h.putContainer)},
		{Method: "POST", Path: container, Rule: "object:write", OK: 204, Do: api.Empty(h.updateContainer)},
		{Method: "HEAD", Path: container, Rule: "object:read", OK: 204, Do: api.Empty(h.headContainer)},
		{Method: "DELETE", Path: container, Rule: "object:write", OK: 204, Do: api.Empty(h.deleteContainer)},
		{Method: "GET", Path: file, Rule: "object:read", MaxBody: -1, Do: api.Get(h.get)},
		{Method: "PUT", Path: file, Rule: "object:write", OK: 201, MaxBody: -1, Do: api.Empty(h.put)},
		{Method: "DELETE", Path: file, Rule: "object:write", OK: 204, Do: api.Empty(h.delete)},
		{Method: "HEAD", Path: file, Rule: "object:read", Do: api.Get(h.get)},
		{Method: "POST", Path: file, Rule: "object:write", OK: 202, Do: api.Empty(h.update)},
		{Method: "GET", Path: "/info", Public: true, Do: api.Get(info)},
	}
}

type infoView struct {
	Swift map[string]any `json:"swift"`
}

func info(*api.Call) (infoView, error) {
	return infoView{map[string]any{
		"max_file_size": object.MaxObjectSize, "max_meta_name_length": object.MaxMetaName,
		"max_meta_value_length": object.MaxMetaValue, "max_meta_count": object.MaxMetaCount,
		"max_meta_overall_size": object.MaxMetaSize, "max_object_name_length": object.MaxObjectName,
		"max_container_name_length": object.MaxContainerName, "max_account_name_length": object.MaxAccountName,
		"container_listing_limit": object.MaxListing, "account_listing_limit": object.MaxListing,
		"strict_cors_mode": true, "allow_account_management": false, "account_autocreate": true, "version": "2.30.0",
	}}, nil
}

// authorize checks the row's rule for the account in the path, and the lengths
// of the names.
func authorize(c *api.Call) (account, container string, err error) {
	account, container = c.PathValue("account"), c.PathValue("container")
	err = c.Authorize(auth.Target{Project: strings.TrimPrefix(account, "AUTH_")})
	if err != nil {
		return "", "", err
	}
	if !strings.HasPrefix(account, "AUTH_") || len(account) > object.MaxAccountName {
		return "", "", errs.New(errs.Precondition, "Bad URL: the account is AUTH_ and a project id.")
	}
	if len(container) > object.MaxContainerName {
		return "", "", errs.BadRequestf("Container name length of %d longer than %d", len(container), object.MaxContainerName)
	}
	return account, container, nil
}

// meta reads the metadata headers with the prefix X-<kind>-Meta-, and their
// removals, which are empty values.
func meta(c *api.Call, kind string) (object.Meta, error) {
	prefix, removal := "X-"+kind+"-Meta-", "X-Remove-"+kind+"-Meta-"
	out := object.Meta{}
	size := 0
	for header, values := range c.Request().Header {
		name, removed := strings.CutPrefix(header, removal)
		if removed {
			out[strings.ToLower(name)] = ""
			continue
		}
		name, ok := strings.CutPrefix(header, prefix)
		if !ok {
			continue
		}
		value := values[0]
		size += len(name) + len(value)
		switch {
		case name == "":
			return nil, errs.BadRequestf("Metadata name cannot be empty")
		case len(name) > object.MaxMetaName:
			return nil, errs.BadRequestf("Metadata name too long: %s%s", prefix, name)
		case len(value) > object.MaxMetaValue:
			return nil, errs.BadRequestf("Metadata value longer than %d: %s%s", object.MaxMetaValue, prefix, name)
		}
		out[strings.ToLower(name)] = value
	}
	if len(out) > object.MaxMetaCount {
		return nil, errs.BadRequestf("Too many metadata items; max %d", object.MaxMetaCount)
	}
	if size > object.MaxMetaSize {
		return nil, errs.BadRequestf("Total metadata too large; max %d", object.MaxMetaSize)
	}
	return out, nil
}

func setMeta(c *api.Call, kind string, m object.Meta) {
	for name, value := range m {
		c.SetHeader("X-"+kind+"-Meta-"+name, value)
	}
}

func setTimes(c *api.Call, t db.Time) {
	at := t.Time()
	if t == 0 {
		at = c.Now()
	}
	c.SetHeader("X-Timestamp", fmt.Sprintf("%d.%05d", at.Unix(), at.Nanosecond()/10000))
	c.SetHeader("Last-Modified", api.ModTime(at).UTC().Format(http.TimeFormat))
}

func listing(c *api.Call) (object.Listing, error) {
	q := c.Query()
	l := object.Listing{Marker: q.Get("marker"), EndMarker: q.Get("end_marker"), Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter")}
	l.Reverse, _ = api.ParseBool(q.Get("reverse"))
	if q.Has("path") {
		l.Prefix, l.Delimiter = strings.TrimSuffix(q.Get("path"), "/")+"/", "/"
		if q.Get("path") == "" {
			l.Prefix = ""
		}
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return l, errs.New(errs.Precondition, "Invalid limit: %s", text)
		}
		if n > object.MaxListing {
			return l, errs.New(errs.Precondition, "Maximum limit is %d", object.MaxListing)
		}
		l.Limit = n
	}
	return l, nil
}

type objectEntry struct {
	Name         string     `json:"name"`
	Bytes        int64      `json:"bytes"`
	Hash         string     `json:"hash"`
	ContentType  string     `json:"content_type"`
	LastModified api.Micros `json:"last_modified"`
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

// write answers a listing in the form that the client asks for.
func write(c *api.Call, root, name string, entries []object.Entry) any {
	form := c.Query().Get("format")
	accept := c.Header("Accept")
	switch {
	case form == "json" || (form == "" && strings.Contains(accept, "application/json")):
		views := make([]any, len(entries))
		for i, e := range entries {
			views[i] = entryView(root, e)
		}
		return views
	case form == "xml" || (form == "" && (strings.Contains(accept, "application/xml") || strings.Contains(accept, "text/xml"))):
		return api.Reply{ContentType: "application/xml; charset=utf-8", Body: entriesXML(root, name, entries)}
	}
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(e.Name + "\n")
	}
	reply := api.Reply{ContentType: "text/plain; charset=utf-8", Body: []byte(text.String())}
	if len(entries) == 0 {
		reply.Status = http.StatusNoContent
	}
	return reply
}

func entryView(root string, e object.Entry) any {
	switch {
	case e.Subdir:
		return subdirEntry{e.Name}
	case root == "account":
		return containerEntry{e.Name, e.Count, e.Size, api.Micros(e.UpdatedAt.Time())}
	}
	return objectEntry{e.Name, e.Size, e.Etag, e.ContentType, api.Micros(e.UpdatedAt.Time())}
}

func entriesXML(root, name string, entries []object.Entry) []byte {
	var b strings.Builder
	escape := func(s string) string {
		var e strings.Builder
		_ = xml.EscapeText(&e, []byte(s)) // a strings.Builder does not fail
		return e.String()
	}
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s name=\"%s\">", root, escape(name))
	for _, e := range entries {
		at := e.UpdatedAt.Time().Format("2006-01-02T15:04:05.000000")
		switch {
		case e.Subdir:
			fmt.Fprintf(&b, `<subdir name="%s"><name>%s</name></subdir>`, escape(e.Name), escape(e.Name))
		case root == "account":
			fmt.Fprintf(&b, "<container><name>%s</name><count>%d</count><bytes>%d</bytes><last_modified>%s</last_modified></container>",
				escape(e.Name), e.Count, e.Size, at)
		default:
			fmt.Fprintf(&b, "<object><name>%s</name><hash>%s</hash><bytes>%d</bytes><content_type>%s</content_type><last_modified>%s</last_modified></object>",
				escape(e.Name), e.Etag, e.Size, escape(e.ContentType), at)
		}
	}
	fmt.Fprintf(&b, "</%s>", root)
	return []byte(b.String())
}
