package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// showAccount serves GET and HEAD.
func (h handlers) showAccount(e entry) (any, error) {
	c := e.c
	form, err := form(c)
	if err != nil {
		return nil, err
	}
	l, err := listing(c)
	if err != nil {
		return nil, err
	}
	a, err := h.store.Account(c.Context(), e.Account)
	if err != nil {
		return nil, err
	}
	accountHeaders(e, a)
	if c.Request().Method == http.MethodHead {
		return api.Reply{ContentType: form + "; charset=utf-8"}, nil
	}
	entries, err := h.store.Containers(c.Context(), e.Account, l)
	if err != nil {
		return nil, err
	}
	return write(c, form, "account", e.Account, entries)
}

func accountHeaders(e entry, a object.Account) {
	c := e.c
	c.SetHeader("X-Account-Container-Count", strconv.FormatInt(a.Containers, 10))
	c.SetHeader("X-Account-Object-Count", strconv.FormatInt(a.Objects, 10))
	c.SetHeader("X-Account-Bytes-Used", strconv.FormatInt(a.Bytes, 10))
	if a.Containers > 0 {
		c.SetHeader("X-Account-Storage-Policy-"+policyName+"-Container-Count", strconv.FormatInt(a.Containers, 10))
		c.SetHeader("X-Account-Storage-Policy-"+policyName+"-Object-Count", strconv.FormatInt(a.Objects, 10))
		c.SetHeader("X-Account-Storage-Policy-"+policyName+"-Bytes-Used", strconv.FormatInt(a.Bytes, 10))
	}
	c.SetHeader("Accept-Ranges", "bytes")
	setMeta(c, "Account", shown(e, a.Meta))
	if limit, ok := a.Meta["quota-bytes"]; ok {
		c.SetHeader("X-Account-Quota-Bytes", limit)
	}
	setTimes(c, a.CreatedAt, 0)
}

// shown leaves out what only owners may know.
func shown(e entry, m object.Meta) object.Meta {
	if e.owner {
		return m
	}
	return m.Merge(object.Meta{"temp-url-key": "", "temp-url-key-2": ""})
}

// accountChanges reads what a client wants of an account. Quotas are for those
// who sell, not for those who use.
func accountChanges(e entry) (object.Meta, error) {
	if e.c.Header("X-Account-Access-Control") != "" {
		return nil, sentence(errs.NotImplemented, "X-Account-Access-Control is not supported by this object store.")
	}
	changes, err := meta(e.c, "Account")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"quota-bytes", "quota-count"} {
		value, set := changes[name]
		if !set {
			continue
		}
		err = e.c.AuthorizeRule(reselling, auth.Target{})
		if err != nil {
			return nil, err
		}
		err = checkNumber(value, "Invalid quota")
		if err != nil {
			return nil, err
		}
	}
	return changes, nil
}

func checkNumber(value, complaint string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if value != "" && (err != nil || n < 0) {
		return sentence(errs.BadRequest, "%s", complaint)
	}
	return nil
}

func (h handlers) updateAccount(e entry) (any, error) {
	changes, err := accountChanges(e)
	if err != nil {
		return nil, err
	}
	_, err = h.store.UpdateAccount(e.c.Context(), e.Account, changes)
	if err != nil {
		return nil, err
	}
	return page(http.StatusNoContent), nil
}

func (h handlers) putAccount(e entry) (any, error) {
	changes, err := accountChanges(e)
	if err != nil {
		return nil, err
	}
	created, err := h.store.UpdateAccount(e.c.Context(), e.Account, changes)
	if err != nil {
		return nil, err
	}
	return page(madeOr(created)), nil
}

func (h handlers) deleteAccount(e entry) (any, error) {
	err := h.store.DeleteAccount(e.c.Context(), e.Account)
	if err != nil {
		return nil, err
	}
	return page(http.StatusNoContent), nil
}

func madeOr(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusAccepted
}

// showContainer serves GET and HEAD.
func (h handlers) showContainer(e entry) (any, error) {
	c := e.c
	if e.isWeb() {
		return h.webContainer(e)
	}
	form, err := form(c)
	if err != nil {
		return nil, err
	}
	l, err := listing(c)
	if err != nil {
		return nil, err
	}
	found, err := e.found()
	if err != nil {
		return nil, err
	}
	containerHeaders(e, found)
	if c.Request().Method == http.MethodHead {
		return api.Reply{ContentType: form + "; charset=utf-8", Status: http.StatusNoContent}, nil
	}
	var entries []object.Entry
	if c.Query().Has("versions") {
		entries, err = h.store.Versions(c.Context(), e.Account, e.Container, l)
	} else {
		entries, err = h.store.Objects(c.Context(), e.Account, e.Container, l)
	}
	if err != nil {
		return nil, err
	}
	return write(c, form, "container", e.Container, entries)
}

func containerHeaders(e entry, found object.Container) {
	c, set := e.c, found.Settings.V
	c.SetHeader("X-Container-Object-Count", strconv.FormatInt(found.Objects, 10))
	c.SetHeader("X-Container-Bytes-Used", strconv.FormatInt(found.Bytes, 10))
	c.SetHeader("Accept-Ranges", "bytes")
	c.SetHeader("X-Storage-Policy", policyName)
	setMeta(c, "Container", shown(e, found.Meta.V))
	setTimes(c, found.CreatedAt, found.UpdatedAt)
	if set.Versioning != "" {
		c.SetHeader("X-Versions-Enabled", title(set.Versioning == object.Enabled))
	}
	if set.Archive != "" {
		c.SetHeader(archiveHeader(set.History), url.PathEscape(set.Archive))
	}
	if !e.owner {
		return
	}
	for name, value := range map[string]string{"X-Container-Read": set.Read, "X-Container-Write": set.Write} {
		if value != "" {
			c.SetHeader(name, value)
		}
	}
}

func archiveHeader(history bool) string {
	if history {
		return "X-History-Location"
	}
	return "X-Versions-Location"
}

// title spells a truth value as Swift does in headers.
func title(v bool) string {
	if v {
		return "True"
	}
	return "False"
}

// containerChange reads what a client wants of a container.
func containerChange(c *api.Call) (object.ContainerChange, error) {
	for _, name := range []string{"X-Container-Sync-To", "X-Container-Sync-Key"} {
		if c.Header(name) != "" {
			return object.ContainerChange{}, sentence(errs.NotImplemented, "%s is not supported by this object store.", name)
		}
	}
	m, err := meta(c, "Container")
	if err != nil {
		return object.ContainerChange{}, err
	}
	for name, complaint := range map[string]string{"quota-bytes": "Invalid bytes quota.", "quota-count": "Invalid count quota."} {
		err = checkNumber(m[name], complaint)
		if err != nil {
			return object.ContainerChange{}, err
		}
	}
	return object.ContainerChange{Meta: m, Set: func(_ object.Container, s *object.Settings) error {
		err := setAccess(c, s)
		if err != nil {
			return err
		}
		return setVersions(c, s)
	}}, nil
}

// sent tells what a header sets, or that its X-Remove-… takes it away.
func sent(c *api.Call, name string) (value string, set bool) {
	values, set := c.Request().Header[http.CanonicalHeaderKey(name)]
	if set {
		return strings.Join(values, ","), true
	}
	_, removed := c.Request().Header[http.CanonicalHeaderKey("X-Remove-"+strings.TrimPrefix(name, "X-"))]
	return "", removed
}

func setAccess(c *api.Call, s *object.Settings) error {
	for name, field := range map[string]*string{"X-Container-Read": &s.Read, "X-Container-Write": &s.Write} {
		value, set := sent(c, name)
		if !set {
			continue
		}
		if !legible(value) {
			return sentence(errs.BadRequest, "%s is not valid UTF-8", name)
		}
		clean, err := object.CleanACL(name, value)
		if err != nil {
			return err
		}
		*field = clean
	}
	return nil
}

// setVersions chooses one of the two kinds of versioning, or ends it.
func setVersions(c *api.Call, s *object.Settings) error {
	for _, history := range []bool{false, true} {
		value, set := sent(c, archiveHeader(history))
		if !set {
			continue
		}
		name, err := url.PathUnescape(value)
		if err != nil || strings.Contains(name, "/") || !legible(name) || len(name) > object.MaxContainerName {
			return sentence(errs.Precondition, "%s must be a container name", archiveHeader(history))
		}
		if name == "" && s.Archive != "" && s.History != history {
			continue // the other kind is in use
		}
		s.Archive, s.History = name, history && name != ""
	}
	value, set := sent(c, "X-Versions-Enabled")
	if set && value != "" {
		enabled, ok := boolean.Parse(value)
		if !ok {
			return sentence(errs.BadRequest, "X-Versions-Enabled must be true or false")
		}
		switch {
		case enabled:
			s.Versioning = object.Enabled
		case s.Versioning != "":
			s.Versioning = object.Suspended
		}
	}
	if s.Archive != "" && s.Versioning == object.Enabled {
		return sentence(errs.BadRequest, "Cannot enable object versioning on a container that has a versions or history location")
	}
	return nil
}

func (h handlers) putContainer(e entry) (any, error) {
	policy := e.c.Header("X-Storage-Policy")
	if policy != "" && policy != policyName {
		return nil, sentence(errs.BadRequest, "Invalid X-Storage-Policy %q", policy)
	}
	change, err := containerChange(e.c)
	if err != nil {
		return nil, err
	}
	created, err := h.store.PutContainer(e.c.Context(), e.Account, e.Container, change)
	if err != nil {
		return nil, err
	}
	return page(madeOr(created)), nil
}

func (h handlers) updateContainer(e entry) (any, error) {
	change, err := containerChange(e.c)
	if err != nil {
		return nil, err
	}
	err = h.store.UpdateContainer(e.c.Context(), e.Account, e.Container, change)
	if err != nil {
		return nil, err
	}
	return page(http.StatusNoContent), nil
}

func (h handlers) deleteContainer(e entry) (any, error) {
	err := h.store.DeleteContainer(e.c.Context(), e.Account, e.Container)
	if err != nil {
		return nil, err
	}
	return page(http.StatusNoContent), nil
}
