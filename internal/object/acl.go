package object

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"nacre/internal/auth"
	"nacre/internal/errs"
)

// An access list is Swift's: elements with commas between them. An element is
// .r:HOST for readers that come from a web page there (* for anybody, -HOST for
// all but those), .rlistings for that they may list, too, PROJECT:USER by id
// with * for any, or the name of a role.

// CleanACL writes an access list in the one form that we keep. Only lists for
// reading know where readers come from.
func CleanACL(header, text string) (string, error) {
	var out []string
	for _, raw := range strings.Split(text, ",") {
		raw = strings.TrimSpace(raw)
		if raw == "" {
			continue
		}
		kind, host, isPair := strings.Cut(raw, ":")
		kind, host = strings.TrimSpace(kind), strings.TrimSpace(host)
		switch {
		case !strings.HasPrefix(kind, "."):
			out = append(out, raw)
			continue
		case !isPair && kind == ".rlistings":
			out = append(out, raw)
			continue
		case !isPair:
			return "", refusedACL(header, "Unknown designator %q in ACL: %q", kind, raw)
		}
		if !slices.Contains([]string{".r", ".ref", ".referer", ".referrer"}, kind) {
			return "", refusedACL(header, "Unknown designator %q in ACL: %q", kind, raw)
		}
		if strings.Contains(strings.ToLower(header), "write") {
			return "", refusedACL(header, "Referrers not allowed in write ACL: %q", raw)
		}
		host, denied := strings.CutPrefix(host, "-")
		host = strings.TrimSpace(host)
		if host != "*" {
			host = strings.TrimPrefix(host, "*")
		}
		if host == "" || host == "." {
			return "", refusedACL(header, "No host/domain value after referrer designation in ACL: %q", raw)
		}
		if denied {
			host = "-" + host
		}
		out = append(out, ".r:"+host)
	}
	return strings.Join(out, ","), nil
}

func refusedACL(header, format string, args ...any) error {
	return sentence(errs.BadRequest, "%s: %s", header, fmt.Sprintf(format, args...))
}

// elements splits a clean list.
func elements(acl string) []string {
	if acl == "" {
		return nil
	}
	return strings.Split(acl, ",")
}

// Referred tells whether somebody whom nobody knows may read, by the page that
// led here, and whether such a reader may list.
func Referred(acl, referrer string) (read, list bool) {
	host := "unknown"
	u, err := url.Parse(referrer)
	if referrer != "" && err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	for _, e := range elements(acl) {
		pattern, isHost := strings.CutPrefix(e, ".r:")
		if !isHost {
			list = list || e == ".rlistings"
			continue
		}
		pattern, denied := strings.CutPrefix(pattern, "-")
		if pattern == "*" || pattern == host || (strings.HasPrefix(pattern, ".") && strings.HasSuffix(host, pattern)) {
			read = !denied
		}
	}
	return read, read && list
}

// Granted tells whether the list names the caller. Names stand for ids only in
// the default domain, where nobody else can take them.
func Granted(acl string, caller auth.Caller) bool {
	if caller.User == "" {
		return false
	}
	users, projects := []string{"*", caller.User}, []string{"*", caller.Project}
	if caller.UserDomain == defaultDomain && caller.ProjectDomain == defaultDomain {
		users, projects = append(users, caller.UserName), append(projects, caller.ProjectName)
	}
	for _, e := range elements(acl) {
		project, user, isPair := strings.Cut(e, ":")
		switch {
		case strings.HasPrefix(e, "."):
		case isPair && slices.Contains(projects, project) && slices.Contains(users, user):
			return true
		case !isPair && caller.Has(e):
			return true
		}
	}
	return false
}

const defaultDomain = "default"
