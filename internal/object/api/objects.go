package api

import (
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// kept are the request headers that an object is later served with.
var kept = []string{"Content-Disposition", "Content-Encoding", "Content-Language", "Cache-Control", "Expires", "X-Robots-Tag"}

// beyond are headers of an object that ask for what we do not have.
var beyond = []string{"X-Delete-At", "X-Delete-After", "X-Object-Manifest", "X-Symlink-Target"}

func (h handlers) putObject(c *api.Call, p place) (any, error) {
	err := refuse(c, beyond...)
	if err != nil {
		return nil, err
	}
	if c.Header("X-Copy-From") != "" {
		return h.copyFrom(c, p)
	}
	r := c.Request()
	if r.ProtoMajor == 1 && r.Header.Get("Content-Length") == "" && len(r.TransferEncoding) == 0 {
		return nil, sentence(http.StatusLengthRequired, "Missing Content-Length header.")
	}
	if r.ContentLength > object.MaxObjectSize {
		return nil, sentence(errs.TooLarge, "Your request is too large.")
	}
	onlyNew, err := onlyNew(c)
	if err != nil {
		return nil, err
	}
	m, err := meta(c, "Object")
	if err != nil {
		return nil, err
	}
	o := object.Object{
		Account: p.account, Container: p.container, Name: p.object,
		Meta: db.Of(object.Meta{}.Merge(m)), Headers: db.Of(headers(c)), ContentType: contentType(c, p.object),
		Etag: strings.ToLower(strings.Trim(c.Header("Etag"), `"`)),
	}
	if !utf8.ValidString(o.ContentType) {
		return nil, sentence(errs.BadRequest, "Invalid Content-Type")
	}
	return h.answerPut(c, o, onlyNew, r.Body)
}

func onlyNew(c *api.Call) (bool, error) {
	condition := c.Header("If-None-Match")
	if condition != "" && condition != "*" {
		return false, sentence(errs.BadRequest, "If-None-Match only supports *")
	}
	return condition == "*", nil
}

// answerPut stores an object and answers as PUT does.
func (h handlers) answerPut(c *api.Call, o object.Object, onlyNew bool, bytes io.Reader) (any, error) {
	stored, err := h.store.Put(c.Context(), o, onlyNew, bytes)
	if err != nil {
		return nil, err
	}
	c.SetHeader("Etag", stored.Etag)
	setTimes(c, stored.UpdatedAt, stored.UpdatedAt)
	return page(http.StatusCreated), nil
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

// contentType is what the client says, or what the name looks like.
func contentType(c *api.Call, name string) string {
	detect, _ := api.ParseBool(c.Header("X-Detect-Content-Type"))
	sent := c.Header("Content-Type")
	if sent != "" && !detect {
		return sent
	}
	guessed, _, _ := strings.Cut(mime.TypeByExtension(path.Ext(name)), ";")
	if guessed == "" {
		return "application/octet-stream"
	}
	return guessed
}

// getObject serves GET and HEAD: conditions and ranges are the standard
// library's.
func (h handlers) getObject(c *api.Call, p place) (any, error) {
	if c.Request().Method == http.MethodHead {
		o, err := h.store.Object(c.Context(), p.account, p.container, p.object)
		if err != nil {
			return nil, err
		}
		return serve(c, o, io.NewSectionReader(nil, 0, o.Size)), nil // nobody reads it
	}
	o, bytes, err := h.store.Read(c.Context(), p.account, p.container, p.object)
	if err != nil {
		return nil, err
	}
	defer bytes.Close()
	return serve(c, o, bytes), nil
}

func serve(c *api.Call, o object.Object, bytes io.ReadSeeker) any {
	setMeta(c, "Object", o.Meta.V)
	setTimes(c, o.UpdatedAt, o.UpdatedAt)
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
	r := c.Request()
	for _, name := range []string{"If-Match", "If-None-Match", "If-Range"} {
		if value := r.Header.Get(name); value != "" {
			r.Header.Set(name, quoteTags(value))
		}
	}
	http.ServeContent(w, r, "", api.ModTime(o.UpdatedAt.Time()), bytes)
	c.SetStatus(w.status)
	return api.Done
}

// quoteTags puts quotes around the bare tags of a condition, since Swift takes
// both.
func quoteTags(list string) string {
	tags := strings.Split(list, ",")
	for i, tag := range tags {
		tag = strings.TrimSpace(tag)
		isDate := strings.Contains(tag, " ") || strings.Contains(list, " GMT")
		if tag != "*" && !isDate && !strings.HasSuffix(tag, `"`) {
			tag = `"` + tag + `"`
		}
		tags[i] = tag
	}
	return strings.Join(tags, ", ")
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

// ReadFrom hands files to the kernel as they are.
func (w *plainEtag) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(w.ResponseWriter, r)
}

func (h handlers) updateObject(c *api.Call, p place) (any, error) {
	err := refuse(c, beyond...)
	if err != nil {
		return nil, err
	}
	m, err := meta(c, "Object")
	if err != nil {
		return nil, err
	}
	err = h.store.Update(c.Context(), object.Object{
		Account: p.account, Container: p.container, Name: p.object,
		Meta: db.Of(object.Meta{}.Merge(m)), Headers: db.Of(headers(c)), ContentType: c.Header("Content-Type"),
	})
	if err != nil {
		return nil, err
	}
	return page(http.StatusAccepted), nil
}

func (h handlers) deleteObject(c *api.Call, p place) (any, error) {
	err := refuse(c)
	if err != nil {
		return nil, err
	}
	err = h.store.Delete(c.Context(), p.account, p.container, p.object)
	if err != nil {
		return nil, err
	}
	return page(http.StatusNoContent), nil
}
