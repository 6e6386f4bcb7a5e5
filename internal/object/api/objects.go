package api

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// kept are the request headers that an object is later served with.
var kept = []string{"Content-Disposition", "Content-Encoding", "Content-Language", "Cache-Control", "Expires", "X-Robots-Tag"}

// putObject serves PUT, in all its variants.
func (h handlers) putObject(e entry) (any, error) {
	c, r := e.c, e.c.Request()
	switch {
	case e.Version != "":
		return h.restore(e)
	case c.Query().Get("multipart-manifest") == "put":
		return h.putManifest(e)
	case c.Header("X-Copy-From") != "":
		return h.copyFrom(e)
	}
	if r.ProtoMajor == 1 && r.Header.Get("Content-Length") == "" && len(r.TransferEncoding) == 0 {
		return nil, sentence(http.StatusLengthRequired, "Missing Content-Length header.")
	}
	if r.ContentLength > object.MaxObjectSize {
		return nil, sentence(errs.TooLarge, "Your request is too large.")
	}
	_, err := e.found()
	if err != nil {
		return nil, err
	}
	o, err := h.incoming(e)
	if err != nil {
		return nil, err
	}
	if link := o.Manifest.V.Link; link != nil {
		if r.ContentLength != 0 {
			return nil, sentence(errs.BadRequest, "Symlink requests require a zero byte body")
		}
		if o.ContentType == "application/octet-stream" {
			o.ContentType = "application/symlink"
		}
	}
	return h.answerPut(e, o, r.Body)
}

// incoming reads from the headers what an object is to be: its metadata, how it
// is served, when it expires, what it points to.
func (h handlers) incoming(e entry) (object.Object, error) {
	c := e.c
	m, err := meta(c, "Object")
	if err != nil {
		return object.Object{}, err
	}
	o := object.Object{
		Account: e.Account, Container: e.Container, Name: e.Object,
		Meta: db.Of(m), Headers: db.Of(headers(c)), ContentType: contentType(c, e.Object),
		Etag: strings.ToLower(strings.Trim(c.Header("Etag"), `"`)),
	}
	if !utf8.ValidString(o.ContentType) {
		return object.Object{}, sentence(errs.BadRequest, "Invalid Content-Type")
	}
	o.DeleteAt, err = expiry(c)
	if err != nil {
		return object.Object{}, err
	}
	o.Manifest.V.Prefix, err = manifestPrefix(c)
	if err != nil {
		return object.Object{}, err
	}
	o.Manifest.V.Link, err = h.link(e)
	return o, err
}

// expiry reads when an object is to go, 0 for never.
func expiry(c *api.Call) (int64, error) {
	for _, name := range []string{"X-Delete-After", "X-Delete-At"} {
		text := c.Header(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || n > 1<<40 {
			return 0, sentence(errs.BadRequest, "Non-integer %s", name)
		}
		if name == "X-Delete-After" {
			if n <= 0 {
				return 0, sentence(errs.BadRequest, "X-Delete-After in past")
			}
			n += c.Now().Unix()
		}
		if n <= c.Now().Unix() {
			return 0, sentence(errs.BadRequest, "X-Delete-At in past")
		}
		return n, nil
	}
	return 0, nil
}

// manifestPrefix reads which objects a dynamic large object is made of.
func manifestPrefix(c *api.Call) (string, error) {
	text := c.Header("X-Object-Manifest")
	if text == "" {
		return "", nil
	}
	value, err := url.PathUnescape(text)
	container, prefix := object.SplitName(value)
	if err != nil || container == "" || prefix == "" || !legible(value) || strings.ContainsAny(text, "?&") {
		return "", sentence(errs.BadRequest, "X-Object-Manifest must be in the format container/prefix")
	}
	return strings.TrimPrefix(value, "/"), nil
}

// link reads what a symbolic link leads to. A static one must fit its target.
func (h handlers) link(e entry) (*object.Link, error) {
	text := e.c.Header("X-Symlink-Target")
	if text == "" {
		return nil, nil
	}
	to, err := otherPlace(e, "X-Symlink-Target", false)
	if err != nil {
		return nil, err
	}
	if to == (object.Place{Account: e.Account, Container: e.Container, Object: e.Object}) {
		return nil, sentence(errs.BadRequest, "Symlink cannot target itself")
	}
	l := &object.Link{Account: to.Account, Container: to.Container, Object: to.Object, Etag: strings.Trim(e.c.Header("X-Symlink-Target-Etag"), `"`)}
	if l.Etag == "" {
		return l, nil
	}
	target, err := h.store.Content(e.c.Context(), to, e.allow)
	switch {
	case errs.Is(err, errs.NotFound):
		return nil, sentence(errs.Conflict, "X-Symlink-Target does not exist")
	case err != nil:
		return nil, err
	case target.Etag != l.Etag:
		return nil, sentence(errs.Conflict, "Object Etag %q does not match X-Symlink-Target-Etag header %q", target.Etag, l.Etag)
	}
	l.Size = target.Size
	return l, nil
}

// condition reads If-None-Match, of which a PUT knows one form.
func condition(c *api.Call) (object.Condition, error) {
	switch c.Header("If-None-Match") {
	case "":
		return nil, nil
	case "*":
		return object.OnlyNew, nil
	}
	return nil, sentence(errs.BadRequest, "If-None-Match only supports *")
}

// answerPut stores an object and answers as PUT does.
func (h handlers) answerPut(e entry, o object.Object, bytes io.Reader) (any, error) {
	condition, err := condition(e.c)
	if err != nil {
		return nil, err
	}
	stored, err := h.store.Put(e.c.Context(), o, condition, bytes)
	if err != nil {
		return nil, err
	}
	return putReply(e, stored), nil
}

func putReply(e entry, stored object.Object) api.Reply {
	etag := stored.Etag
	if len(stored.Manifest.V.Segments) > 0 {
		etag = `"` + etag + `"`
	}
	e.c.SetHeader("Etag", etag)
	setTimes(e.c, stored.UpdatedAt, stored.UpdatedAt)
	versionHeader(e, stored)
	return page(http.StatusCreated)
}

func versionHeader(e entry, o object.Object) {
	if e.box != nil && e.box.Settings.V.Versioning != "" {
		e.c.SetHeader("X-Object-Version-Id", o.VersionID())
	}
}

func (h handlers) restore(e entry) (any, error) {
	stored, err := h.store.Restore(e.c.Context(), e.Place)
	if err != nil {
		return nil, err
	}
	return putReply(e, stored), nil
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
	detect, _ := boolean.Parse(c.Header("X-Detect-Content-Type"))
	sent := c.Header("Content-Type")
	if sent != "" && !detect {
		return sent
	}
	return guess(name)
}

func guess(name string) string {
	guessed, _, _ := strings.Cut(mime.TypeByExtension(path.Ext(name)), ";")
	if guessed == "" {
		return "application/octet-stream"
	}
	return guessed
}

// getObject serves GET and HEAD.
func (h handlers) getObject(e entry) (any, error) {
	c := e.c
	if e.isWeb() {
		return h.webObject(e)
	}
	_, err := e.found()
	if err != nil {
		return nil, err
	}
	if c.Query().Get("multipart-manifest") == "get" || c.Query().Get("symlink") == "get" {
		return h.getRaw(e)
	}
	return h.send(e)
}

// send answers with what is at the place.
func (h handlers) send(e entry) (any, error) {
	c := e.c
	if c.Request().Method == http.MethodHead {
		content, err := h.store.Content(c.Context(), e.Place, e.allow)
		if err != nil {
			return nil, err
		}
		return serve(e, content, io.NewSectionReader(nil, 0, content.Size)), nil // nobody reads it
	}
	content, bytes, err := h.store.Read(c.Context(), e.Place, e.allow)
	if err != nil {
		return nil, err
	}
	defer bytes.Close()
	return serve(e, content, bytes), nil
}

// serve answers conditions and ranges, which are the standard library's.
func serve(e entry, o object.Content, bytes io.ReadSeeker) any {
	c := e.c
	objectHeaders(e, o.Object)
	c.SetHeader("Etag", `"`+o.Etag+`"`)
	c.SetHeader("Accept-Ranges", "bytes")
	if o.Via != nil {
		c.SetHeader("Content-Location", (&url.URL{Path: "/v1/" + o.Via.Account + "/" + o.Via.Container + "/" + o.Via.Object}).EscapedPath())
	}
	if e.signed != "" {
		tempHeaders(e, o.Object)
	}
	// Objects share their origin with the dashboard: they must not run there.
	c.SetHeader("Content-Security-Policy", "sandbox")
	c.SetHeader("X-Content-Type-Options", "nosniff")
	w := &plainEtag{ResponseWriter: c.Takeover(), quoted: o.Composed}
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

// objectHeaders tells what an object is.
func objectHeaders(e entry, o object.Object) {
	c, m := e.c, o.Manifest.V
	setMeta(c, "Object", o.Meta.V)
	setTimes(c, o.UpdatedAt, o.UpdatedAt)
	for name, value := range o.Headers.V {
		c.SetHeader(name, value)
	}
	c.SetHeader("Content-Type", o.ContentType)
	versionHeader(e, o)
	if o.DeleteAt != 0 {
		c.SetHeader("X-Delete-At", strconv.FormatInt(o.DeleteAt, 10))
	}
	if m.Prefix != "" {
		c.SetHeader("X-Object-Manifest", (&url.URL{Path: m.Prefix}).EscapedPath())
	}
	// The Etag of an upload in parts is no MD5 of its bytes either.
	if len(m.Segments) > 0 || len(o.Chunks.V) > 1 {
		c.SetHeader("X-Static-Large-Object", "True")
	}
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
// bare, the standard library compares it quoted. That of a large object keeps
// them.
type plainEtag struct {
	http.ResponseWriter
	status int
	quoted bool
}

// WriteHeader implements http.ResponseWriter.
func (w *plainEtag) WriteHeader(status int) {
	w.status = status
	h := w.Header()
	if etag := h.Get("Etag"); etag != "" && !w.quoted {
		h.Set("Etag", strings.Trim(etag, `"`))
	}
	w.ResponseWriter.WriteHeader(status)
}

// ReadFrom hands files to the kernel as they are.
func (w *plainEtag) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(w.ResponseWriter, r)
}

// updateObject serves POST: what the headers do not say again is gone, but for
// the content type.
func (h handlers) updateObject(e entry) (any, error) {
	c := e.c
	in, err := h.incoming(e)
	if err != nil {
		return nil, err
	}
	o, err := h.store.Update(c.Context(), e.Place, func(o *object.Object) error {
		o.Meta, o.Headers, o.DeleteAt, o.Manifest.V.Prefix = in.Meta, in.Headers, in.DeleteAt, in.Manifest.V.Prefix
		o.UpdatedAt = db.At(c.Now())
		if c.Header("Content-Type") != "" {
			o.ContentType = c.Header("Content-Type")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if link := o.Manifest.V.Link; link != nil {
		c.SetHeader("Location", (&url.URL{Path: "/v1/" + link.Account + "/" + link.Container + "/" + link.Object}).EscapedPath())
		return api.Reply{Status: http.StatusTemporaryRedirect, ContentType: "text/plain; charset=UTF-8",
			Body: []byte("The requested POST was applied to a symlink. The object it leads to is at Location.")}, nil
	}
	return page(http.StatusAccepted), nil
}

func (h handlers) deleteObject(e entry) (any, error) {
	if e.c.Query().Get("multipart-manifest") == "delete" {
		return h.deleteManifest(e)
	}
	d, err := h.store.Delete(e.c.Context(), e.Place, object.Deletion{})
	if err != nil {
		return nil, err
	}
	if d.Version != "" {
		e.c.SetHeader("X-Object-Version-Id", d.Version)
	}
	if !d.Existed {
		return nil, errs.NotFoundf("The resource could not be found.")
	}
	return page(http.StatusNoContent), nil
}
