package api

import (
	"net/http"
	"strconv"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// showAccount serves GET and HEAD.
func (h handlers) showAccount(c *api.Call) (any, error) {
	p, err := at(c)
	if err != nil {
		return nil, err
	}
	form, err := form(c)
	if err != nil {
		return nil, err
	}
	l, err := listing(c)
	if err != nil {
		return nil, err
	}
	a, err := h.store.Account(c.Context(), p.account)
	if err != nil {
		return nil, err
	}
	accountHeaders(c, a)
	if c.Request().Method == http.MethodHead {
		return api.Reply{ContentType: form + "; charset=utf-8"}, nil
	}
	entries, err := h.store.Containers(c.Context(), p.account, l)
	if err != nil {
		return nil, err
	}
	return write(c, form, "account", p.account, entries)
}

func accountHeaders(c *api.Call, a object.Account) {
	c.SetHeader("X-Account-Container-Count", strconv.FormatInt(a.Containers, 10))
	c.SetHeader("X-Account-Object-Count", strconv.FormatInt(a.Objects, 10))
	c.SetHeader("X-Account-Bytes-Used", strconv.FormatInt(a.Bytes, 10))
	c.SetHeader("Accept-Ranges", "bytes")
	setMeta(c, "Account", a.Meta)
	setTimes(c, a.CreatedAt, 0)
}

func (h handlers) updateAccount(c *api.Call) error {
	p, err := at(c)
	if err != nil {
		return err
	}
	err = refuse(c, "X-Account-Access-Control")
	if err != nil {
		return err
	}
	changes, err := meta(c, "Account")
	if err != nil {
		return err
	}
	return h.store.UpdateAccount(c.Context(), p.account, changes)
}

// showContainer serves GET and HEAD.
func (h handlers) showContainer(c *api.Call, p place) (any, error) {
	form, err := form(c)
	if err != nil {
		return nil, err
	}
	l, err := listing(c)
	if err != nil {
		return nil, err
	}
	found, err := h.store.Container(c.Context(), p.account, p.container)
	if err != nil {
		return nil, err
	}
	containerHeaders(c, found)
	if c.Request().Method == http.MethodHead {
		return api.Reply{ContentType: form + "; charset=utf-8", Status: http.StatusNoContent}, nil
	}
	entries, err := h.store.Objects(c.Context(), p.account, p.container, l)
	if err != nil {
		return nil, err
	}
	return write(c, form, "container", p.container, entries)
}

func containerHeaders(c *api.Call, found object.Container) {
	c.SetHeader("X-Container-Object-Count", strconv.FormatInt(found.Objects, 10))
	c.SetHeader("X-Container-Bytes-Used", strconv.FormatInt(found.Bytes, 10))
	c.SetHeader("Accept-Ranges", "bytes")
	c.SetHeader("X-Storage-Policy", policyName)
	setMeta(c, "Container", found.Meta.V)
	setTimes(c, found.CreatedAt, found.UpdatedAt)
}

// containerChanges reads what a client wants of a container.
func containerChanges(c *api.Call) (object.Meta, error) {
	err := refuse(c, "X-Container-Read", "X-Container-Write", "X-Container-Sync-To", "X-Container-Sync-Key",
		"X-Versions-Location", "X-History-Location", "X-Versions-Enabled")
	if err != nil {
		return nil, err
	}
	return meta(c, "Container")
}

func (h handlers) putContainer(c *api.Call, p place) (any, error) {
	policy := c.Header("X-Storage-Policy")
	if policy != "" && policy != policyName {
		return nil, sentence(errs.BadRequest, "Invalid X-Storage-Policy %q", policy)
	}
	m, err := containerChanges(c)
	if err != nil {
		return nil, err
	}
	created, err := h.store.PutContainer(c.Context(), p.account, p.container, m)
	if err != nil {
		return nil, err
	}
	if !created {
		return page(http.StatusAccepted), nil
	}
	return page(http.StatusCreated), nil
}

func (h handlers) updateContainer(c *api.Call, p place) (any, error) {
	changes, err := containerChanges(c)
	if err != nil {
		return nil, err
	}
	err = h.store.UpdateContainer(c.Context(), p.account, p.container, changes)
	if err != nil {
		return nil, err
	}
	return api.Reply{Status: http.StatusNoContent, ContentType: "text/html; charset=UTF-8"}, nil
}

func (h handlers) deleteContainer(c *api.Call, p place) (any, error) {
	err := h.store.DeleteContainer(c.Context(), p.account, p.container)
	if err != nil {
		return nil, err
	}
	return page(http.StatusNoContent), nil
}
