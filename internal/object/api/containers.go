package api

import (
	"net/http"
	"strconv"

	"nacre/internal/api"
	"nacre/internal/object"
)

func (h handlers) headAccount(c *api.Call) error {
	account, _, err := authorize(c)
	if err != nil {
		return err
	}
	a, err := h.store.Account(c.Context(), account)
	if err != nil {
		return err
	}
	accountHeaders(c, a)
	return nil
}

func accountHeaders(c *api.Call, a object.Account) {
	c.SetHeader("X-Account-Container-Count", strconv.FormatInt(a.Containers, 10))
	c.SetHeader("X-Account-Object-Count", strconv.FormatInt(a.Objects, 10))
	c.SetHeader("X-Account-Bytes-Used", strconv.FormatInt(a.Bytes, 10))
	c.SetHeader("Accept-Ranges", "bytes")
	setMeta(c, "Account", a.Meta)
	setTimes(c, a.CreatedAt)
}

func (h handlers) showAccount(c *api.Call) (any, error) {
	account, _, err := authorize(c)
	if err != nil {
		return nil, err
	}
	l, err := listing(c)
	if err != nil {
		return nil, err
	}
	a, err := h.store.Account(c.Context(), account)
	if err != nil {
		return nil, err
	}
	accountHeaders(c, a)
	entries, err := h.store.Containers(c.Context(), account, l)
	if err != nil {
		return nil, err
	}
	return write(c, "account", account, entries), nil
}

func (h handlers) updateAccount(c *api.Call) error {
	account, _, err := authorize(c)
	if err != nil {
		return err
	}
	changes, err := meta(c, "Account")
	if err != nil {
		return err
	}
	return h.store.UpdateAccount(c.Context(), account, changes)
}

func (h handlers) headContainer(c *api.Call) error {
	account, name, err := authorize(c)
	if err != nil {
		return err
	}
	found, err := h.store.Container(c.Context(), account, name)
	if err != nil {
		return err
	}
	containerHeaders(c, found)
	return nil
}

func containerHeaders(c *api.Call, found object.Container) {
	c.SetHeader("X-Container-Object-Count", strconv.FormatInt(found.Objects, 10))
	c.SetHeader("X-Container-Bytes-Used", strconv.FormatInt(found.Bytes, 10))
	c.SetHeader("Accept-Ranges", "bytes")
	c.SetHeader("X-Storage-Policy", "Policy-0")
	setMeta(c, "Container", found.Meta.V)
	setTimes(c, found.UpdatedAt)
}

func (h handlers) showContainer(c *api.Call) (any, error) {
	account, name, err := authorize(c)
	if err != nil {
		return nil, err
	}
	l, err := listing(c)
	if err != nil {
		return nil, err
	}
	found, err := h.store.Container(c.Context(), account, name)
	if err != nil {
		return nil, err
	}
	containerHeaders(c, found)
	entries, err := h.store.Objects(c.Context(), account, name, l)
	if err != nil {
		return nil, err
	}
	return write(c, "container", name, entries), nil
}

func (h handlers) putContainer(c *api.Call) error {
	account, name, err := authorize(c)
	if err != nil {
		return err
	}
	m, err := meta(c, "Container")
	if err != nil {
		return err
	}
	created, err := h.store.PutContainer(c.Context(), account, name, m)
	if err != nil {
		return err
	}
	if !created {
		c.SetStatus(http.StatusAccepted)
	}
	return nil
}

func (h handlers) updateContainer(c *api.Call) error {
	account, name, err := authorize(c)
	if err != nil {
		return err
	}
	changes, err := meta(c, "Container")
	if err != nil {
		return err
	}
	return h.store.UpdateContainer(c.Context(), account, name, changes)
}

func (h handlers) deleteContainer(c *api.Call) error {
	account, name, err := authorize(c)
	if err != nil {
		return err
	}
	return h.store.DeleteContainer(c.Context(), account, name)
}
