package api

import (
	"net/http"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// meta reads the metadata headers with the prefix X-<kind>-Meta-. Names are in
// lower case, with hyphens where clients write underscores, as a WSGI server has
// them. Removals of an account's or a container's metadata are empty values; an
// object has only what is sent, empty or not.
func meta(c *api.Call, kind string) (object.Meta, error) {
	prefix, removal := "X-"+kind+"-Meta-", "X-Remove-"+kind+"-Meta-"
	out := object.Meta{}
	plain := func(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
	for header := range c.Request().Header {
		name, removed := strings.CutPrefix(header, removal)
		if removed && name != "" && kind != "Object" {
			out[plain(name)] = ""
		}
	}
	for header, values := range c.Request().Header {
		name, ok := strings.CutPrefix(header, prefix)
		if !ok {
			continue
		}
		if name == "" {
			return nil, sentence(errs.BadRequest, "Metadata name cannot be empty")
		}
		out[plain(name)] = strings.Join(values, ",")
	}
	return out, nil
}

func setMeta(c *api.Call, kind string, m object.Meta) {
	for name, value := range m {
		c.SetHeader("X-"+kind+"-Meta-"+name, value)
	}
}

// setTimes says when something was made and last changed. Never is now: an
// account that nobody has written to exists all the same.
func setTimes(c *api.Call, made, changed db.Time) {
	first, last := made.Time(), changed.Time()
	if made == 0 {
		first = c.Now()
	}
	if changed == 0 {
		last = first
	}
	c.SetHeader("X-Timestamp", object.Stamp(first.UnixMicro()/10))
	c.SetHeader("Last-Modified", api.ModTime(last).UTC().Format(http.TimeFormat))
}
