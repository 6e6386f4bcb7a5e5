package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// meta reads the metadata headers with the prefix X-<kind>-Meta-, and their
// removals, which are empty values.
func meta(c *api.Call, kind string) (object.Meta, error) {
	prefix, removal := "X-"+kind+"-Meta-", "X-Remove-"+kind+"-Meta-"
	out := object.Meta{}
	for header := range c.Request().Header {
		name, removed := strings.CutPrefix(header, removal)
		if removed && name != "" {
			out[strings.ToLower(name)] = ""
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
		out[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return out, nil
}

func setMeta(c *api.Call, kind string, m object.Meta) {
	for name, value := range m {
		c.SetHeader("X-"+kind+"-Meta-"+name, value)
	}
}

// stamp spells a time as Swift's timestamps: seconds with five digits.
func stamp(at time.Time) string {
	return fmt.Sprintf("%d.%05d", at.Unix(), at.Nanosecond()/10000)
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
	c.SetHeader("X-Timestamp", stamp(first))
	c.SetHeader("Last-Modified", api.ModTime(last).UTC().Format(http.TimeFormat))
}
