// Package api is Keystone's v3 API on top of the identity service.
//
// Objects of this API may carry attributes that only the client understands;
// they are kept and shown beside the known ones. Handlers find first, since
// most rules look at the domain of what the call is about, then authorize, then
// act.
package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

// New describes the service for the kernel. Clients find it under /v3 too,
// since that is where most of them look.
func New(service *identity.Service, federation Federation) api.Service {
	h := handlers{identity: service, federation: federation}
	return api.Service{
		Name: "keystone", Type: "identity", Mount: "/identity/v3", Aliases: []string{"/v3"}, Spec: "/v3", Envelope: api.Keystone, TrailingSlash: true,
		Routes: guarded(slices.Concat(version(), h.tokens(), h.domains(), h.groups(), h.projects(), h.regions(), h.roles(),
			h.grants(), h.implications(), h.services(), h.endpoints(), h.systemGrants(), h.users(),
			h.credentials(), h.ec2(), h.applicationCredentials(), h.trusts(), h.policies(), h.inheritedGrants(),
			h.endpointFilters(), h.endpointPolicies(), h.limits(), h.domainConfigs(), h.oauth(), h.federationRoutes(), h.signIns(), h.samlProvider(), h.revocations(), h.oauth2())),
	}
}

// guarded keeps replies out of caches, since tokens and secrets are in them, and
// refuses tokens that were got by an access key in all calls but those about the
// token itself: what they are for are the services that were asked by signed
// requests, not who the user is and what it owns.
func guarded(routes []api.Route) []api.Route {
	for i, r := range routes {
		routes[i].Do = func(c *api.Call) (any, error) {
			c.SetHeader("Cache-Control", "no-store")
			if c.Caller.ByAccessKey() && !r.Public && r.Path != "/auth/tokens" {
				return nil, errs.Forbiddenf("You are not authorized to perform the requested action: EC2 credential tokens cannot be used here.")
			}
			return r.Do(c)
		}
	}
	return routes
}

// Discovery lists the versions above the API, and at the root of the cloud.
func Discovery() api.Service {
	return api.Service{Name: "keystone", Type: "identity", Mount: "/identity", Aliases: []string{"/"}, Envelope: api.Keystone, Routes: versions()}
}

type handlers struct {
	identity   *identity.Service
	federation Federation
}

// stamp is a time as Keystone writes it: 2026-12-01T08:00:00.000000Z, null for
// never.
type stamp time.Time

// MarshalJSON implements json.Marshaler.
func (s stamp) MarshalJSON() ([]byte, error) {
	if time.Time(s).IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + time.Time(s).UTC().Format("2006-01-02T15:04:05.000000Z") + `"`), nil
}

// selfLink is the links of one object.
type selfLink struct {
	Self string `json:"self"`
}

// listLinks are the links of a list, which has one page.
type listLinks struct {
	Next     *string `json:"next"`
	Self     string  `json:"self"`
	Previous *string `json:"previous"`
}

func links(c *api.Call) listLinks {
	self := c.Base() + c.Request().URL.EscapedPath()
	query := c.Request().URL.RawQuery
	if query != "" {
		self += "?" + query
	}
	return listLinks{Self: self}
}

// open is a view with the attributes that only the client understands.
type open struct {
	view  any
	extra map[string]any
}

// MarshalJSON implements json.Marshaler. Known attributes win.
func (o open) MarshalJSON() ([]byte, error) {
	body, err := api.Encode(o.view, 0)
	if err != nil || len(o.extra) == 0 {
		return body, err
	}
	known := jsonNames(reflect.TypeOf(o.view))
	extra := make(map[string]any, len(o.extra))
	for name, value := range o.extra {
		if !known[name] {
			extra[name] = value
		}
	}
	if len(extra) == 0 {
		return body, nil
	}
	more, err := json.Marshal(extra)
	if err != nil {
		return nil, fmt.Errorf("write extra attributes: %w", err)
	}
	return slices.Concat(bytes.TrimSuffix(body, []byte("}")), []byte(","), more[1:]), nil
}

// jsonNames lists the keys of a struct.
func jsonNames(t reflect.Type) map[string]bool {
	names := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			maps.Copy(names, jsonNames(f.Type))
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}

// extraOf collects the attributes of the body's object that the request type
// does not know.
func extraOf(c *api.Call, key string, request any) (map[string]any, error) {
	raw, err := c.Raw()
	if err != nil {
		return nil, err
	}
	var body map[string]map[string]any
	// Other keys at the top are ignored, whatever they hold.
	var top map[string]json.RawMessage
	err = json.Unmarshal(raw, &top)
	if err == nil {
		err = json.Unmarshal(fmt.Appendf(nil, `{"object":%s}`, top[key]), &body)
	}
	if err != nil {
		return nil, errs.BadRequestf("Malformed request body.").Because(err)
	}
	extra := body["object"]
	for name := range jsonNames(reflect.TypeOf(request)) {
		delete(extra, name)
	}
	for _, name := range []string{"links", "id"} {
		delete(extra, name)
	}
	return extra, nil
}

// merged lays new attributes over old ones without changing either.
func merged(old, over map[string]any) map[string]any {
	if len(over) == 0 {
		return old
	}
	out := make(map[string]any, len(old)+len(over))
	maps.Copy(out, old)
	maps.Copy(out, over)
	return out
}

// callerDomain is where new objects go when the request names no domain.
func callerDomain(c *api.Call, asked string) string {
	for _, id := range []string{asked, c.Caller.Domain, c.Caller.ProjectDomain} {
		if id != "" {
			return id
		}
	}
	return identity.DefaultDomain
}

// noDomain is a domain id that no domain has.
const noDomain = "-"

// authorizeList checks a list's rule and returns which domain the list is cut
// to, "" for none. A caller with a domain-scoped token sees that domain only.
func authorizeList(c *api.Call, target string) (string, error) {
	own, asked := c.Caller.Domain, c.Query().Get("domain_id")
	err := c.Authorize(auth.Target{Domain: own, Attrs: map[string]string{target: own}})
	switch {
	case err != nil:
		return "", err
	case own == "":
		return asked, nil
	case asked != "" && asked != own:
		return noDomain, nil
	}
	return own, nil
}

// nameParts reads name__contains and its kin. Comparison ignores the case, as
// Keystone's does for them.
func nameParts(c *api.Call) identity.NameParts {
	pick := func(how string) string {
		q := c.Query()
		text := q.Get("name__i" + how)
		if text == "" {
			text = q.Get("name__" + how)
		}
		return text
	}
	return identity.NameParts{Contains: pick("contains"), StartsWith: pick("startswith"), EndsWith: pick("endswith")}
}

// enabledFilter reads ?enabled. Without a value it means true, as in Keystone;
// only 0 and false mean false.
func enabledFilter(c *api.Call) *bool {
	q := c.Query()
	if !q.Has("enabled") {
		return nil
	}
	value, ok := boolean.Parse(q.Get("enabled"))
	enabled := value || !ok
	return &enabled
}

// unchangeable refuses to change what is fixed once a thing exists.
func unchangeable(name string, asked *string, have string) error {
	if asked != nil && *asked != have {
		return errs.BadRequestf("Update of `%s` is not allowed.", name)
	}
	return nil
}

type versionDocument struct {
	ID         string      `json:"id"`
	Status     string      `json:"status"`
	Updated    string      `json:"updated"`
	Links      []api.Link  `json:"links"`
	MediaTypes []mediaType `json:"media-types"`
}

type mediaType struct {
	Base string `json:"base"`
	Type string `json:"type"`
}

// document describes v3 and where it is.
func document(base string) versionDocument {
	return versionDocument{
		ID: "v3.14", Status: "stable", Updated: "2020-04-07T00:00:00Z",
		Links:      []api.Link{{Rel: "self", Href: base + "/identity/v3/"}},
		MediaTypes: []mediaType{{"application/json", "application/vnd.openstack.identity-v3+json"}},
	}
}

type versionValues struct {
	Values []versionDocument `json:"values"`
}

type versionsReply struct {
	Versions versionValues `json:"versions"`
}

func versions() []api.Route {
	list := api.Get(func(c *api.Call) (versionsReply, error) {
		c.SetHeader("Location", c.Base()+"/identity/v3/")
		return versionsReply{versionValues{[]versionDocument{document(c.Base())}}}, nil
	})
	return []api.Route{
		{Method: "GET", Path: "", Public: true, OK: http.StatusMultipleChoices, Do: list},
		{Method: "GET", Path: "/", Public: true, OK: http.StatusMultipleChoices, Do: list},
	}
}

type versionReply struct {
	Version versionDocument `json:"version"`
}

func version() []api.Route {
	show := api.Get(func(c *api.Call) (versionReply, error) { return versionReply{document(c.Base())}, nil })
	return []api.Route{
		{Method: "GET", Path: "", Public: true, Do: show},
		{Method: "GET", Path: "/", Public: true, Do: show},
	}
}
