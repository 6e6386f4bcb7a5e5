package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) domains() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/domains", Rule: "identity:list_domains", Do: api.Get(h.listDomains)},
		{Method: "POST", Path: "/domains", Rule: "identity:create_domain", OK: 201, Do: api.Body(h.createDomain)},
		{Method: "GET", Path: "/domains/{domain_id}", Rule: "identity:get_domain", Do: api.Get(h.showDomain)},
		{Method: "PATCH", Path: "/domains/{domain_id}", Rule: "identity:update_domain", Do: api.Body(h.updateDomain)},
		{Method: "DELETE", Path: "/domains/{domain_id}", Rule: "identity:delete_domain", OK: 204, Do: api.Empty(h.deleteDomain)},
	}
}

type domainView struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Enabled     bool           `json:"enabled"`
	Tags        []string       `json:"tags"`
	Options     map[string]any `json:"options"`
	Links       selfLink       `json:"links"`
}

type domainReply struct {
	Domain open `json:"domain"`
}

type domainsReply struct {
	Domains []open    `json:"domains"`
	Links   listLinks `json:"links"`
}

func viewDomain(c *api.Call, d identity.Domain) open {
	return open{domainView{d.ID, d.Name, d.Description, d.Enabled, d.Tags.V, d.Options.V, selfLink{c.URL("/domains/" + d.ID)}}, d.Extra.V}
}

func viewDomains(c *api.Call, domains []identity.Domain) domainsReply {
	reply := domainsReply{Links: links(c)}
	for _, d := range domains {
		reply.Domains = append(reply.Domains, viewDomain(c, d))
	}
	return reply
}

func domainTarget(id string) auth.Target {
	return auth.Target{Domain: id, Attrs: map[string]string{"target.domain.id": id, "target.domain_id": id}}
}

func (h handlers) listDomains(c *api.Call) (domainsReply, error) {
	only, err := authorizeList(c, "target.domain.id")
	if err != nil {
		return domainsReply{}, err
	}
	domains, err := h.identity.Domains(c.Context(), c.Query().Get("name"), enabledFilter(c))
	if err != nil {
		return domainsReply{}, err
	}
	if only != "" {
		domains = keep(domains, func(d identity.Domain) bool { return d.ID == only })
	}
	return viewDomains(c, domains), nil
}

func keep[T any](list []T, want func(T) bool) []T {
	var out []T
	for _, item := range list {
		if want(item) {
			out = append(out, item)
		}
	}
	return out
}

// foundFor finds, then authorizes. Whoever may not see the thing hears 403 also
// when it doesn't exist, as with Keystone.
func foundFor[T any](c *api.Call, thing T, err error, target func(T) auth.Target) (T, error) {
	if errs.Is(err, errs.NotFound) {
		denied := c.Authorize(auth.Target{})
		if denied != nil {
			return thing, denied
		}
	}
	if err != nil {
		return thing, err
	}
	return thing, c.Authorize(target(thing))
}

func (h handlers) findDomain(c *api.Call) (identity.Domain, error) {
	d, err := h.identity.Domain(c.Context(), c.PathValue("domain_id"))
	return foundFor(c, d, err, func(d identity.Domain) auth.Target { return domainTarget(d.ID) })
}

func (h handlers) showDomain(c *api.Call) (domainReply, error) {
	d, err := h.findDomain(c)
	if err != nil {
		return domainReply{}, err
	}
	return domainReply{viewDomain(c, d)}, nil
}

type domainCreate struct {
	_           struct{}       `check:"open"`
	Name        string         `json:"name" check:"required,min=1,max=64"`
	Description *string        `json:"description"`
	Enabled     *bool          `json:"enabled"`
	Tags        []string       `json:"tags" check:"max=80"`
	Options     map[string]any `json:"options"`
}

type createDomainRequest struct {
	_      struct{}     `check:"open"`
	Domain domainCreate `json:"domain" check:"required"`
}

func (h handlers) createDomain(c *api.Call, in createDomainRequest) (domainReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return domainReply{}, err
	}
	extra, err := extraOf(c, "domain", in.Domain)
	if err != nil {
		return domainReply{}, err
	}
	d, err := h.identity.CreateDomain(c.Context(), identity.Domain{
		Name: in.Domain.Name, Description: text(in.Domain.Description), Enabled: orTrue(in.Domain.Enabled),
		Tags: db.Of(tagsOf(in.Domain.Tags)), Options: db.Of(in.Domain.Options), Extra: db.Of(extra),
	})
	if err != nil {
		return domainReply{}, err
	}
	return domainReply{viewDomain(c, d)}, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orTrue(b *bool) bool { return b == nil || *b }

func tagsOf(tags []string) []string {
	if tags == nil {
		return []string{}
	}
	return tags
}

type domainUpdate struct {
	_           struct{}        `check:"open"`
	Name        *string         `json:"name" check:"min=1,max=64"`
	Description api.Opt[string] `json:"description"`
	Enabled     *bool           `json:"enabled"`
	Tags        *[]string       `json:"tags"`
	Options     *map[string]any `json:"options"`
}

type updateDomainRequest struct {
	_      struct{}     `check:"open"`
	Domain domainUpdate `json:"domain" check:"required"`
}

func (h handlers) updateDomain(c *api.Call, in updateDomainRequest) (domainReply, error) {
	d, err := h.findDomain(c)
	if err != nil {
		return domainReply{}, err
	}
	extra, err := extraOf(c, "domain", in.Domain)
	if err != nil {
		return domainReply{}, err
	}
	d, err = h.identity.UpdateDomain(c.Context(), d.ID, func(d *identity.Domain) error {
		set(&d.Name, in.Domain.Name)
		set(&d.Enabled, in.Domain.Enabled)
		set(&d.Tags.V, in.Domain.Tags)
		if in.Domain.Description.Set {
			d.Description = in.Domain.Description.V
		}
		d.Options.V = changedOptions(d.Options.V, in.Domain.Options)
		d.Extra.V = merged(d.Extra.V, extra)
		return nil
	})
	if err != nil {
		return domainReply{}, err
	}
	return domainReply{viewDomain(c, d)}, nil
}

// set replaces a value when another was given.
func set[T any](have *T, asked *T) {
	if asked != nil {
		*have = *asked
	}
}

// changedOptions lays options over others; null removes one.
func changedOptions(have map[string]any, asked *map[string]any) map[string]any {
	if asked == nil {
		return have
	}
	out := merged(have, *asked)
	for name, value := range *asked {
		if value == nil {
			delete(out, name)
		}
	}
	return out
}

func (h handlers) deleteDomain(c *api.Call) error {
	d, err := h.findDomain(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteDomain(c.Context(), d.ID)
}
