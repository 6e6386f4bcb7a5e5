package api

import (
	"net/http"
	"net/url"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// copyObject serves COPY, which is PUT with X-Copy-From seen from the other end.
func (h handlers) copyObject(c *api.Call, from place) (any, error) {
	err := refuse(c, beyond...)
	if err != nil {
		return nil, err
	}
	if c.Header("Destination") == "" {
		return nil, sentence(errs.Precondition, "Destination header required")
	}
	to, err := otherPlace(c, "Destination", from.account)
	if err != nil {
		return nil, err
	}
	return h.copy(c, from, to)
}

// copyFrom serves PUT with X-Copy-From.
func (h handlers) copyFrom(c *api.Call, to place) (any, error) {
	if c.Request().ContentLength > 0 {
		return nil, sentence(errs.BadRequest, "Copy requests require a zero byte body")
	}
	from, err := otherPlace(c, "X-Copy-From", to.account)
	if err != nil {
		return nil, err
	}
	return h.copy(c, from, to)
}

// otherPlace reads the other end of a copy from a header, <container>/<object>,
// and authorizes it when it is in another account.
func otherPlace(c *api.Call, header, account string) (place, error) {
	text, err := url.PathUnescape(c.Header(header))
	container, name, ok := strings.Cut(strings.TrimPrefix(text, "/"), "/")
	if err != nil || !ok || container == "" || name == "" || !legible(text) {
		return place{}, sentence(errs.Precondition, "%s header must be of the form <container name>/<object name>", header)
	}
	p := place{account, container, name}
	other := c.Header(header + "-Account")
	if other != "" && other != account {
		p.account, err = url.PathUnescape(other)
		if err != nil || strings.Contains(p.account, "/") || !legible(p.account) {
			return place{}, sentence(errs.Precondition, "Account name cannot contain slashes")
		}
		rule := "object:read"
		if header == "Destination" {
			rule = "object:write"
		}
		err = c.AuthorizeRule(rule, auth.Target{Project: strings.TrimPrefix(p.account, "AUTH_")})
		if err != nil {
			return place{}, err
		}
	}
	return p, checkNames(p)
}

func (h handlers) copy(c *api.Call, from, to place) (any, error) {
	onlyNew, err := onlyNew(c)
	if err != nil {
		return nil, err
	}
	source, bytes, err := h.store.Read(c.Context(), from.account, from.container, from.object)
	if err != nil {
		return nil, err
	}
	defer bytes.Close()
	changes, err := meta(c, "Object")
	if err != nil {
		return nil, err
	}
	m := object.Meta{}
	fresh, _ := api.ParseBool(c.Header("X-Fresh-Metadata"))
	if !fresh {
		m = source.Meta.V
	}
	target := object.Object{
		Account: to.account, Container: to.container, Name: to.object, ContentType: source.ContentType,
		Meta: db.Of(m.Merge(changes)), Headers: db.Of(headers(c)),
	}
	if !fresh && len(target.Headers.V) == 0 {
		target.Headers = source.Headers
	}
	if sent := c.Header("Content-Type"); sent != "" {
		target.ContentType = sent
	}
	c.SetHeader("X-Copied-From", (&url.URL{Path: from.container + "/" + from.object}).EscapedPath())
	c.SetHeader("X-Copied-From-Account", from.account)
	c.SetHeader("X-Copied-From-Last-Modified", api.ModTime(source.UpdatedAt.Time()).UTC().Format(http.TimeFormat))
	setMeta(c, "Object", target.Meta.V)
	return h.answerPut(c, target, onlyNew, bytes)
}
