package api

import (
	"net/http"
	"slices"
	"strings"

	"nacre/internal/errs"
)

// Params are the parameters that a call knows in its query, each with the
// microversion that brought it, 0 for those that always were. The name "_*" stands
// for all that begin so.
type Params map[string]Version

// Known names parameters that always were, with spaces between them.
func Known(names string) Params { return Params{}.And(0, names) }

// And adds those that came later.
func (p Params) And(since Version, names string) Params {
	for _, name := range strings.Fields(names) {
		p[name] = since
	}
	return p
}

// Loose is the Strict of a row that never refuses a parameter.
const Loose Version = -1

// strictQuery refuses parameters that the call does not know, as OpenStack came to do.
func (c *Call) strictQuery() error {
	since := c.route.Strict
	if since == 0 && c.request.Method == http.MethodGet && !c.route.Public {
		since = c.service.Strict
	}
	if since <= 0 || c.Version < since || c.request.URL.RawQuery == "" {
		return nil
	}
	var unknown []string
	for name := range c.Query() {
		began, known := c.route.Query[name]
		if !known && strings.HasPrefix(name, "_") {
			began, known = c.route.Query["_*"]
		}
		if !known || c.Version < began {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	first := slices.Min(unknown)
	return errs.BadRequestf("Invalid input for query parameters %s. Additional properties are not allowed ('%s' was unexpected)", first, first)
}
