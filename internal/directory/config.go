package directory

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"nacre/internal/boolean"
)

// Config says where a directory is and how its entries are read. It is made by
// Parse from the options of Keystone's [ldap] group.
type Config struct {
	servers        []string // as URLs, in the order in which they are tried
	anyOrder       bool
	user, password string
	deref          int
	pageSize       int
	startTLS       bool
	caFile, caDir  string
	trustAnyone    bool // tls_req_cert is never or allow

	users, groups         kind
	email, defaultProject string
	enabled               enabledRule
	members               memberRule

	retries       int
	retryDelay    time.Duration
	timeout       time.Duration // of connecting to one server, and of one question
	search, signs connections
}

// kind is how entries of one kind are found and read.
type kind struct {
	base   string
	scope  int
	filter string // of all of them
	id     string
	name   string
	about  string
	more   []pair // attributes that are shown under a name of ours
	ignore []string
}

type pair struct{ attribute, name string }

// enabledRule tells who is enabled.
type enabledRule struct {
	attribute string
	mask      int64 // 0 for none
	otherwise string
	invert    bool

	emulated bool // members of a group are enabled
	group    string
	members  memberRule
}

// memberRule is how a group names its members.
type memberRule struct {
	attribute string
	ids       bool // by their ids rather than by their names
	nested    bool // members of groups in the group are members, as Active Directory finds them
}

// connections are how many there are at a time and how long each is kept.
type connections struct {
	size     int
	lifetime time.Duration
	kept     bool
}

const defaultTimeout = 5 * time.Second

var (
	attributeName = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)(;[A-Za-z0-9-]+)*$`)
	derefs        = map[string]int{"default": ldap.NeverDerefAliases, "never": ldap.NeverDerefAliases, "searching": ldap.DerefInSearching, "finding": ldap.DerefFindingBaseObj, "always": ldap.DerefAlways}
)

// Parse reads options, all of which must be there, and says which is wrong.
func Parse(options map[string]any) (Config, error) {
	r := &reader{options: options}
	c := Config{
		anyOrder: r.flag("randomize_urls"), user: r.text("user"), password: r.text("password"),
		pageSize: r.number("page_size"), startTLS: r.flag("use_tls"),
		caFile: r.text("tls_cacertfile"), caDir: r.text("tls_cacertdir"),
		trustAnyone: r.choice("tls_req_cert", "demand", "allow", "never") != "demand",
		email:       r.attribute("user_mail_attribute"), defaultProject: r.attribute("user_default_project_id_attribute"),
		retries: r.number("pool_retry_max"), retryDelay: r.seconds("pool_retry_delay"),
		search: connections{r.number("pool_size"), r.seconds("pool_connection_lifetime"), r.flag("use_pool")},
		signs:  connections{r.number("auth_pool_size"), r.seconds("auth_pool_connection_lifetime"), r.flag("use_auth_pool")},
	}
	c.servers = r.servers(c.startTLS)
	c.deref = derefs[r.choice("alias_dereferencing", "default", "never", "searching", "finding", "always")]
	if r.flag("chase_referrals") {
		r.bad("chase_referrals", "referrals are never followed: name each server in url")
	}
	c.timeout = defaultTimeout
	for _, option := range []string{"connection_timeout", "pool_connection_timeout"} {
		if given := r.seconds(option); given > 0 {
			c.timeout = given
		}
	}
	c.users, c.groups = r.kind("user", "description"), r.kind("group", "desc")
	c.members = memberRule{r.attribute("group_member_attribute"), r.flag("group_members_are_ids"), r.flag("group_ad_nesting")}
	c.enabled = r.enabled(c)
	if c.user != "" && c.password == "" {
		r.bad("password", "user is set, and an empty password would bind as nobody")
	}
	if c.search.size < 1 || c.signs.size < 1 {
		r.bad("pool_size", "a pool needs one connection at least")
	}
	return c, errors.Join(r.problems...)
}

// enabled reads what tells who is enabled.
func (r *reader) enabled(c Config) enabledRule {
	e := enabledRule{
		attribute: r.attribute("user_enabled_attribute"), mask: int64(r.number("user_enabled_mask")), otherwise: r.text("user_enabled_default"),
		invert: r.flag("user_enabled_invert"), emulated: r.flag("user_enabled_emulation"), group: r.text("user_enabled_emulation_dn"),
		members: memberRule{attribute: "member"},
	}
	if e.mask != 0 {
		_, err := strconv.ParseInt(e.otherwise, 10, 64)
		if err != nil {
			r.bad("user_enabled_default", "with a mask it must be a number")
		}
	}
	if e.group == "" {
		e.group = "cn=enabled_users," + c.users.base
	}
	r.dn("user_enabled_emulation_dn", e.group)
	if r.flag("user_enabled_emulation_use_group_config") {
		e.members = c.members
	}
	return e
}

// kind reads how users or groups are found.
func (r *reader) kind(prefix, about string) kind {
	k := kind{
		base: r.text(prefix + "_tree_dn"), scope: ldap.ScopeSingleLevel, filter: r.filter(prefix),
		id: r.attribute(prefix + "_id_attribute"), name: r.attribute(prefix + "_name_attribute"),
		about: r.attribute(prefix + "_" + about + "_attribute"), ignore: r.list(prefix + "_attribute_ignore"),
	}
	if k.base == "" {
		k.base = r.text("suffix")
	}
	r.dn(prefix+"_tree_dn", k.base)
	if r.choice("query_scope", "one", "sub") == "sub" {
		k.scope = ldap.ScopeWholeSubtree
	}
	if k.id == "" || k.name == "" {
		r.bad(prefix+"_id_attribute", "id and name need an attribute")
	}
	option := prefix + "_additional_attribute_mapping"
	for _, item := range r.list(option) {
		attribute, name, _ := strings.Cut(item, ":")
		attribute, name = strings.TrimSpace(attribute), strings.TrimSpace(name)
		secret := strings.EqualFold(attribute, "userPassword") || strings.EqualFold(attribute, r.text("user_pass_attribute"))
		if !attributeName.MatchString(attribute) || name == "" || secret {
			r.bad(option, "%q is not an attribute to show, a colon and a name", item)
			continue
		}
		k.more = append(k.more, pair{attribute, name})
	}
	return k
}

// filter makes the filter of all entries of a kind.
func (r *reader) filter(prefix string) string {
	own := strings.TrimSpace(r.text(prefix + "_filter"))
	if own != "" && !strings.HasPrefix(own, "(") {
		own = "(" + own + ")"
	}
	filter := "(objectClass=" + ldap.EscapeFilter(r.text(prefix+"_objectclass")) + ")" + own
	_, err := ldap.CompileFilter("(&" + filter + ")")
	if err != nil {
		r.bad(prefix+"_filter", "it is not an LDAP filter: %s", err)
	}
	return filter
}

// reader reads options of the types that Keystone's have, and collects what is
// wrong with them. Numbers and booleans may be written as text.
type reader struct {
	options  map[string]any
	problems []error
}

func (r *reader) bad(option, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("option %s: "+format, append([]any{option}, args...)...))
}

func (r *reader) text(option string) string {
	switch value := r.options[option].(type) {
	case nil:
		return ""
	case string:
		return strings.ReplaceAll(value, "%(password)s", fmt.Sprint(r.options["password"]))
	case bool, float64, int:
		return fmt.Sprint(value)
	}
	r.bad(option, "it must be text")
	return ""
}

func (r *reader) attribute(option string) string {
	name := r.text(option)
	if name != "" && !attributeName.MatchString(name) {
		r.bad(option, "%q is not the name of an attribute", name)
	}
	return name
}

func (r *reader) dn(option, dn string) {
	_, err := ldap.ParseDN(dn)
	if err != nil {
		r.bad(option, "%q is not a distinguished name", dn)
	}
}

func (r *reader) choice(option string, choices ...string) string {
	value := r.text(option)
	if !slices.Contains(choices, value) {
		r.bad(option, "%q is none of %s", value, strings.Join(choices, ", "))
	}
	return value
}

func (r *reader) float(option string) float64 {
	text := r.text(option)
	if text == "" {
		return 0
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value != value || value > 1e9 || value < -1 {
		r.bad(option, "%q is not a number that it can be", text)
		return 0
	}
	return value
}

func (r *reader) number(option string) int {
	value := int(r.float(option))
	if value < 0 {
		r.bad(option, "it must not be below 0")
	}
	return value
}

func (r *reader) seconds(option string) time.Duration {
	return time.Duration(r.float(option) * float64(time.Second))
}

func (r *reader) flag(option string) bool {
	text := r.text(option)
	value, ok := boolean.Parse(text)
	if text != "" && !ok {
		r.bad(option, "%q is neither true nor false", text)
	}
	return value
}

func (r *reader) list(option string) []string {
	var items []string
	switch value := r.options[option].(type) {
	case nil:
	case string:
		items = strings.Split(value, ",")
	case []any:
		for _, item := range value {
			items = append(items, fmt.Sprint(item))
		}
	default:
		r.bad(option, "it must be a list")
	}
	out := []string{}
	for _, item := range items {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// servers reads the URLs. TLS is either from the first byte on or begun by a
// command, not both. A URL of another kind may stand in a configuration, as in
// Keystone's; nobody connects to it (errScheme).
func (r *reader) servers(startTLS bool) []string {
	list := r.list("url")
	if len(list) == 0 {
		r.bad("url", "it names no server")
	}
	for _, server := range list {
		scheme, _, _ := strings.Cut(server, "://")
		switch scheme {
		case "ldap", "ldaps":
			u, err := url.Parse(server)
			if err == nil && u.Hostname() != "" {
				break
			}
			r.bad("url", "%q names no host", server)
		}
		if scheme == "ldaps" && startTLS {
			r.bad("use_tls", "ldaps:// is TLS already")
		}
	}
	return list
}
