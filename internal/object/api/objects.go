package api

import (
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// kept are the request headers that an object is later served with.
var kept = []string{"Content-Disposition", "Content-Encoding", "Content-Language", "Cache-Control", "Expires", "X-Robots-Tag"}

// named reads and checks the whole path of an object.
func named(c *api.Call) (object.Object, error) {
	account, container, err := authorize(c)
	if err != nil {
		return object.Object{}, err
	}
	name := c.PathValue("object")
	if name == "" {
		return object.Object{}, errs.New(errs.Precondition, "Bad URL: the object has no name.")
	}
	if len(name) > object.MaxObjectName {
		return object.Object{}, errs.BadRequestf("Object name length of %d longer than %d", len(name), object.MaxObjectName)
	}
	return object.Object{Account: account, Container: container, Name: name}, nil
}

func (h handlers) put(c *api.Call) error {
	o, err := named(c)
	if err != nil {
		return err
	}
	r := c.Request()
	if r.ContentLength < 0 && len(r.TransferEncoding) == 0 {
		return errs.New(411, "Missing Content-Length header.")
	}
	if r.ContentLength > object.MaxObjectSize {
		return errs.TooLargef("Your request is too large.")
	}
	onlyNew := false
	switch condition := c.Header("If-None-Match"); condition {
	case "":
	case "*":
		onlyNew = true
	default:
		return errs.BadRequestf("If-None-Match only supports *")
	}
	m, err := meta(c, "Object")
	if err != nil {
		return err
	}
	o.Meta, o.Headers, o.ContentType = db.Of(object.Meta{}.Merge(m)), db.Of(headers(c)), contentType(c, o.Name)
	o.Etag = strings.ToLower(strings.Trim(c.Header("Etag"), `"`))
	stored, err := h.store.Put(c.Context(), o, onlyNew, r.Body)
	if err != nil {
		return err
	}
	c.SetHeader("Etag", stored.Etag)
	setTimes(c, stored.UpdatedAt)
	c.SetHeader("Content-Type", "text/html; charset=UTF-8")
	return nil
}

func headers(c *api.Call) map[string]string {
	out := map[string]string{}
	for _, name := range kept {
		if value := c.Header(name); value != "" {
			out[name] = value
		}
	}
	return out
}

func contentType(c *api.Call, name string) string {
	detect, _ := api.ParseBool(c.Header("X-Detect-Content-Type"))
	sent := c.Header("Content-Type")
	if sent != "" && !detect {
		return sent
	}
	guessed := mime.TypeByExtension(path.Ext(name))
	if guessed == "" {
		return "application/octet-stream"
	}
	return guessed
}

// get serves GET and HEAD: conditions and ranges are the standard library's.
func (h handlers) get(c *api.Call) (any, error) {
	o, err := named(c)
	if err != nil {
		return nil, err
	}
	o, err = h.store.Object(c.Context(), o.Account, o.Container, o.Name)
	if err != nil {
		return nil, err
	}
	bytes, err := h.store.Open(c.Context(), o)
	if err != nil {
		return nil, fmt.Errorf("open object %s/%s/%s: %w", o.Account, o.Container, o.Name, err)
	}
	defer bytes.Close()
	setMeta(c, "Object", o.Meta.V)
	setTimes(c, o.UpdatedAt)
	for name, value := range o.Headers.V {
		c.SetHeader(name, value)
	}
	c.SetHeader("Etag", `"`+o.Etag+`"`)
	c.SetHeader("Content-Type", o.ContentType)
	c.SetHeader("Accept-Ranges", "bytes")
	// Objects share their origin with the dashboard: they must not run there.
	c.SetHeader("Content-Security-Policy", "sandbox")
	c.SetHeader("X-Content-Type-Options", "nosniff")
	w := &plainEtag{ResponseWriter: c.Takeover()}
	http.ServeContent(w, c.Request(), "", api.ModTime(o.UpdatedAt.Time()), bytes)
	c.SetStatus(w.status)
	return api.Done, nil
}

// plainEtag takes the quotes off the Etag at the last moment: Swift sends it
// bare, the standard library compares it quoted.
type plainEtag struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *plainEtag) WriteHeader(status int) {
	w.status = status
	h := w.Header()
	if etag := h.Get("Etag"); etag != "" {
		h.Set("Etag", strings.Trim(etag, `"`))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (h handlers) update(c *api.Call) error {
	o, err := named(c)
	if err != nil {
		return err
	}
	m, err := meta(c, "Object")
	if err != nil {
		return err
	}
	stored, err := h.store.Object(c.Context(), o.Account, o.Container, o.Name)
	if err != nil {
		return err
	}
	stored.Meta, stored.Headers = db.Of(object.Meta{}.Merge(m)), db.Of(headers(c))
	if sent := c.Header("Content-Type"); sent != "" {
		stored.ContentType = sent
	}
	return h.store.SetMeta(c.Context(), stored)
}

func (h handlers) delete(c *api.Call) error {
	o, err := named(c)
	if err != nil {
		return err
	}
	return h.store.Delete(c.Context(), o.Account, o.Container, o.Name)
}
