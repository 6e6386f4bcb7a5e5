package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Params are the parameters that a call knows in its query. The name "_*" stands for
// all that begin so.
type Params map[string]Param

// Param is one of them: since which microversion it is known, 0 if always, and what it
// must be from then on.
type Param struct {
	Since Version
	Form  string // a name of forms; "" is anything, and repeated as often as one likes
}

// forms are what a parameter that stands once can be, with how an error says so. Their
// words and its are those of OpenStack's schemas.
var forms = map[string]func(text string) (problem string){
	"once": func(string) string { return "" },
	"filled": func(text string) string {
		if text == "" {
			return "'' is too short"
		}
		return ""
	},
	"count": func(text string) string {
		if text == "" || strings.Trim(text, "0123456789") != "" {
			return "'" + text + "' does not match '^[0-9]+$'"
		}
		return ""
	},
	"bool": func(text string) string {
		_, ok := boolean.Parse(text)
		if !ok {
			return "'" + text + "' is not one of [True, 'True', 'true', '1', 'on', 'yes', False, 'False', 'false', '0', 'off', 'no']"
		}
		return ""
	},
	"time": func(text string) string {
		_, err := db.ParseTime(text)
		if err != nil {
			return "'" + text + "' is not a 'date-time'"
		}
		return ""
	},
}

// Known names parameters that always were, with spaces between them. A colon and the
// name of a form may follow a name: "limit:count marker:once".
func Known(names string) Params { return Params{}.And(0, names) }

// And adds those that came later.
func (p Params) And(since Version, names string) Params {
	for _, word := range strings.Fields(names) {
		name, form, _ := strings.Cut(word, ":")
		_, known := forms[form]
		if form != "" && !known {
			panic("api: parameters have no form " + form) // a mistake in the program
		}
		p[name] = Param{since, form}
	}
	return p
}

// Loose is the Strict of a row that never refuses a parameter.
const Loose Version = -1

// strictQuery refuses parameters that the call does not know, as OpenStack came to do,
// and those that are not what they should be.
func (c *Call) strictQuery() error {
	if c.request.URL.RawQuery == "" {
		return nil
	}
	since := c.route.Strict
	if since == 0 && c.request.Method == http.MethodGet && !c.route.Public {
		since = c.service.Strict
	}
	strict := since > 0 && c.Version >= since
	query := c.Query()
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		param, known := c.route.Query[name]
		if !known && strings.HasPrefix(name, "_") {
			param, known = c.route.Query["_*"]
		}
		if !known || c.Version < param.Since {
			unknown = append(unknown, name)
			continue
		}
		err := param.check(name, query[name])
		if err != nil {
			return err
		}
	}
	if !strict || len(unknown) == 0 {
		return nil
	}
	return badParam("%s. Additional properties are not allowed ('%s' was unexpected)", unknown[0], unknown[0])
}

// check finds what is wrong with the values of a parameter.
func (p Param) check(name string, values []string) error {
	if p.Form == "" {
		return nil
	}
	if len(values) > 1 {
		list := "['" + strings.Join(values, "', '") + "']"
		return badParam("%s. Value: %s. %s is too long", name, list, list)
	}
	problem := forms[p.Form](values[0])
	if problem != "" {
		return badParam("%s. Value: %s. %s", name, values[0], problem)
	}
	return nil
}

func badParam(format string, args ...any) error {
	return errs.BadRequestf("Invalid input for query parameters "+format, args...)
}
