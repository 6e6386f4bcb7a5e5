package auth

import (
	"regexp"
	"strings"
)

// AccessRule allows one kind of call. A caller with rules may make no other.
type AccessRule struct {
	ID      string `json:"id"`
	Service string `json:"service"` // its type: compute
	Method  string `json:"method"`
	Path    string `json:"path"` // as the service knows it: /v2.1/servers/{server_id}

	pattern *regexp.Regexp
}

// wildcard finds what is not literal in the path of a rule: {anything} and * are
// one part of a path or of a segment, ** is any number of segments.
var wildcard = regexp.MustCompile(`\{[^}]*\}|\*\*|\*`)

// Compiled makes a rule ready for use.
func (r AccessRule) Compiled() AccessRule {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	rest := r.Path
	for _, at := range wildcard.FindAllStringIndex(r.Path, -1) {
		begin := len(r.Path) - len(rest)
		pattern.WriteString(regexp.QuoteMeta(r.Path[begin:at[0]]))
		if r.Path[at[0]:at[1]] == "**" {
			pattern.WriteString(`.*`)
		} else {
			pattern.WriteString(`[^/]+`)
		}
		rest = r.Path[at[1]:]
	}
	pattern.WriteString(regexp.QuoteMeta(rest) + `$`)
	r.pattern = regexp.MustCompile(pattern.String())
	return r
}

// Permits tells whether the caller's access rules leave room for a call. Policy
// decides about it all the same.
func (c Caller) Permits(service, method, path string) bool {
	if len(c.AccessRules) == 0 {
		return true
	}
	for _, r := range c.AccessRules {
		if r.Service == service && r.Method == method && r.pattern != nil && r.pattern.MatchString(path) {
			return true
		}
	}
	return false
}
