package api

import (
	"maps"
	"net/http"
	"net/url"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// copyObject serves COPY, which is PUT with X-Copy-From seen from the other end.
// It reads where it is asked, and writes elsewhere.
func (h handlers) copyObject(c *api.Call) (any, error) {
	from, err := h.enter(c)
	if err != nil {
		return nil, err
	}
	if from.Object == "" {
		return notContainer(from)
	}
	if c.Header("Destination") == "" {
		return nil, sentence(errs.Precondition, "Destination header required")
	}
	to := from
	to.Place, err = otherPlace(from, "Destination", true)
	if err != nil {
		return nil, err
	}
	err = from.may(writes, to.Place)
	if err != nil {
		return nil, err
	}
	to.box = nil
	if box, err := h.store.Container(c.Context(), to.Account, to.Container); err == nil {
		to.box = &box
	}
	return h.copy(from.Place, to)
}

// copyFrom serves PUT with X-Copy-From.
func (h handlers) copyFrom(to entry) (any, error) {
	if to.c.Request().ContentLength > 0 {
		return nil, sentence(errs.BadRequest, "Copy requests require a zero byte body")
	}
	from, err := otherPlace(to, "X-Copy-From", true)
	if err != nil {
		return nil, err
	}
	err = to.may(reads, from)
	if err != nil {
		return nil, err
	}
	return h.copy(from, to)
}

// otherPlace reads a second place from a header, <container>/<object>, with its
// account in the header <name>-Account.
func otherPlace(e entry, header string, versioned bool) (object.Place, error) {
	text, query, _ := strings.Cut(e.c.Header(header), "?")
	text, err := url.PathUnescape(text)
	container, name := object.SplitName(text)
	if err != nil || container == "" || name == "" || !legible(text) {
		return object.Place{}, sentence(errs.Precondition, "%s header must be of the form <container name>/<object name>", header)
	}
	p := object.Place{Account: e.Account, Container: container, Object: name}
	if versioned && strings.HasPrefix(query, "version-id=") {
		p.Version = strings.TrimPrefix(query, "version-id=")
	}
	other := e.c.Header(header + "-Account")
	if other != "" && other != e.Account {
		p.Account, err = url.PathUnescape(other)
		if err != nil || strings.Contains(p.Account, "/") || !legible(p.Account) {
			return object.Place{}, sentence(errs.Precondition, "Account name cannot contain slashes")
		}
	}
	return p, checkNames(p)
}

// copy makes an object of another one's bytes, or, where the query asks for it,
// of what it is made of.
func (h handlers) copy(from object.Place, to entry) (any, error) {
	c, q := to.c, to.c.Query()
	_, err := to.found()
	if err != nil {
		return nil, err
	}
	target, err := h.incoming(to)
	if err != nil {
		return nil, err
	}
	raw := q.Get("multipart-manifest") == "get" || q.Get("symlink") == "get"
	var source object.Content
	if raw {
		source.Object, err = h.store.Object(c.Context(), from)
		raw = len(source.Manifest.V.Segments) > 0 || source.Manifest.V.Link != nil
	}
	if err != nil {
		return nil, err
	}
	if !raw {
		var bytes interface {
			Read(p []byte) (int, error)
			Close() error
		}
		source, bytes, err = h.store.Read(c.Context(), from, to.allow)
		if err != nil {
			return nil, err
		}
		defer bytes.Close()
		if source.Size > object.MaxObjectSize {
			return nil, sentence(errs.TooLarge, "Your request is too large.")
		}
		target = derived(c, target, source.Object)
		copyHeaders(c, from, source.Object, target)
		target.Etag = ""
		return h.answerPut(to, target, bytes)
	}
	target = derived(c, target, source.Object)
	target.Manifest, target.Size, target.Etag = source.Manifest, source.Size, source.Etag
	copyHeaders(c, from, source.Object, target)
	condition, err := condition(c)
	if err != nil {
		return nil, err
	}
	stored, err := h.store.Place(c.Context(), target, condition)
	if err != nil {
		return nil, err
	}
	return putReply(to, stored), nil
}

// derived is what a copy is like: as its source, but for what the headers say.
func derived(c *api.Call, target, source object.Object) object.Object {
	fresh, _ := boolean.Parse(c.Header("X-Fresh-Metadata"))
	if c.Header("Content-Type") == "" {
		target.ContentType = source.ContentType
	}
	if fresh {
		return target
	}
	both := object.Meta{}
	maps.Copy(both, source.Meta.V)
	maps.Copy(both, target.Meta.V)
	target.Meta = db.Of(both)
	if len(target.Headers.V) == 0 {
		target.Headers = source.Headers
	}
	return target
}

func copyHeaders(c *api.Call, from object.Place, source, target object.Object) {
	c.SetHeader("X-Copied-From", (&url.URL{Path: from.Container + "/" + from.Object}).EscapedPath())
	c.SetHeader("X-Copied-From-Account", from.Account)
	c.SetHeader("X-Copied-From-Last-Modified", api.ModTime(source.UpdatedAt.Time()).UTC().Format(http.TimeFormat))
	setMeta(c, "Object", target.Meta.V)
}
