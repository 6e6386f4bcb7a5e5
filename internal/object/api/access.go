package api

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// The rules that rows are under. What they mean depends on what the path names:
// to read a container is to list it, to write a container is to manage it, which
// only its account may.
const (
	reads     = "object:read"
	writes    = "object:write"
	reselling = "object:reseller"
)

// entry is a request that was let in: the place it names, the container there,
// and what it may do besides.
type entry struct {
	object.Place
	box   *object.Container // nil when there is none
	owner bool              // may see and set who else may what

	c      *api.Call
	h      handlers
	signed string // account or account/container that a signature opens, "" for none
}

// enter reads the path, finds the container and authorizes. All that may let a
// request in is here: a role in the account's project, an access list of the
// container or the object, a signature.
func (h handlers) enter(c *api.Call) (entry, error) {
	e := entry{c: c, h: h}
	var err error
	e.Place, err = at(c)
	if err != nil {
		return entry{}, err
	}
	if e.Container != "" && checkNames(e.Place) == nil {
		box, err := h.store.Container(c.Context(), e.Account, e.Container)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return entry{}, err
		}
		if err == nil {
			e.box = &box
		}
	}
	e.owner = c.May(writes, auth.Target{Project: project(e.Account)})
	err = e.letIn()
	if err != nil {
		return entry{}, err
	}
	e.cors()
	return e, checkNames(e.Place)
}

func (e *entry) letIn() error {
	rule := e.c.Route().Rule
	if e.Object != "" && isTempURL(e.c) {
		return e.openTempURL()
	}
	asked := e.Place
	if e.Object == "" && e.isWeb() {
		asked.Object = "index" // to see a site is to read its pages
	}
	why := e.reason(rule, asked, e.box)
	if why == "" && rule == reads && e.Object != "" && e.box != nil {
		why = e.objectReason()
	}
	if why == "" {
		return e.c.Refuse()
	}
	e.c.Grant(why)
	return nil
}

// reason is why the caller may read or write at a place, "" for may not.
func (e *entry) reason(rule string, p object.Place, box *object.Container) string {
	if project(p.Account) != "" && e.c.May(rule, auth.Target{Project: project(p.Account)}) {
		return "role"
	}
	if box == nil {
		return ""
	}
	acl := box.Settings.V
	referred, listing := object.Referred(acl.Read, e.c.Header("Referer"))
	switch {
	case rule == reads && object.Granted(acl.Read, e.c.Caller):
		return "container read list"
	case rule == reads && referred && (p.Object != "" || listing):
		return "container referrer list"
	case rule == writes && p.Object != "" && object.Granted(acl.Write, e.c.Caller):
		return "container write list"
	}
	return ""
}

// objectReason is why the caller may read this one object.
func (e *entry) objectReason() string {
	o, err := e.h.store.Object(e.c.Context(), e.Place)
	if err != nil {
		return ""
	}
	referred, _ := object.Referred(o.ReadACL, e.c.Header("Referer"))
	if referred || object.Granted(o.ReadACL, e.c.Caller) {
		return "object read list"
	}
	return ""
}

// allow lets the caller read other containers, for what an object is made of.
func (e *entry) allow(account, container string) error {
	return e.may(reads, object.Place{Account: account, Container: container, Object: "segment"})
}

// may decides about another place than the one the request is about.
func (e *entry) may(rule string, p object.Place) error {
	if e.signed != "" && (e.signed == p.Account || e.signed == p.Account+"/"+p.Container) {
		return nil
	}
	if e.signed == "" && e.reason(rule, p, nil) != "" {
		return nil
	}
	if e.signed == "" {
		box, err := e.h.store.Container(e.c.Context(), p.Account, p.Container)
		if err == nil && e.reason(rule, p, &box) != "" {
			return nil
		}
	}
	return e.c.Refuse()
}

// found is the container, which must be there.
func (e *entry) found() (object.Container, error) {
	if e.box == nil {
		return object.Container{}, errs.NotFoundf("The resource could not be found.")
	}
	return *e.box, nil
}

// project is whose account it is, "" for an account that is none of ours.
func project(account string) string {
	id, isOurs := strings.CutPrefix(account, "AUTH_")
	if !isOurs {
		return ""
	}
	return id
}

// at reads the path. It is unescaped before it is split, as Swift does.
func at(c *api.Call) (object.Place, error) {
	p := object.Place{
		Account: c.PathValue("account"), Container: c.PathValue("container"), Object: c.PathValue("object"),
		Version: c.Query().Get("version-id"),
	}
	head, tail, escaped := strings.Cut(p.Container, "/")
	if escaped {
		p.Container, p.Object = head, tail
		if c.PathValue("object") != "" {
			p.Object = tail + "/" + c.PathValue("object")
		}
	}
	for _, name := range []string{p.Account, p.Container, p.Object} {
		if !legible(name) {
			return object.Place{}, sentence(errs.Precondition, "Invalid UTF8 or contains NULL")
		}
	}
	return p, nil
}

func legible(name string) bool { return utf8.ValidString(name) && !strings.Contains(name, "\x00") }

func checkNames(p object.Place) error {
	switch {
	case !strings.HasPrefix(p.Account, "AUTH_"), len(p.Account) > object.MaxAccountName:
		return sentence(errs.Precondition, "Bad URL")
	case len(p.Container) > object.MaxContainerName:
		return sentence(errs.BadRequest, "Container name length of %d longer than %d", len(p.Container), object.MaxContainerName)
	case len(p.Object) > object.MaxObjectName:
		return sentence(errs.BadRequest, "Object name length of %d longer than %d", len(p.Object), object.MaxObjectName)
	}
	return nil
}

// either serves a path that names a container or an object.
func (h handlers) either(onContainer, onObject func(e entry) (any, error)) api.Handler {
	return func(c *api.Call) (any, error) {
		e, err := h.enter(c)
		if err != nil {
			return nil, err
		}
		if e.Object == "" {
			return onContainer(e)
		}
		return onObject(e)
	}
}

func notContainer(entry) (any, error) {
	return nil, errs.New(errs.MethodNotAllowed, "The method is not allowed for this resource.")
}

// onAccount serves a path that names an account.
func (h handlers) onAccount(do func(e entry) (any, error)) api.Handler {
	return func(c *api.Call) (any, error) {
		e, err := h.enter(c)
		if err != nil {
			return nil, err
		}
		return do(e)
	}
}

// sentence is a refusal that is shown as text instead of as Swift's page.
func sentence(kind errs.Kind, format string, args ...any) error {
	return errs.New(kind, format, args...).Typed("text")
}

// page is a success with the small page that Swift sends with some statuses.
func page(status int) api.Reply {
	reply := api.Reply{Status: status, ContentType: "text/html; charset=UTF-8"}
	if status == http.StatusAccepted {
		reply.Body = []byte("<html><h1>Accepted</h1><p>The request is accepted for processing.</p></html>")
	}
	return reply
}
