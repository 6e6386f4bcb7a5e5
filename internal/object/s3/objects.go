package s3

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// kept are headers that an object is later served with.
var kept = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

// incoming reads from the headers what an object is to be.
func incoming(e entry) (object.Object, error) {
	c := e.c
	o := object.Object{Account: e.Account, Container: e.Container, Name: e.Object, ContentType: c.Header("Content-Type"), Meta: db.Of(object.Meta{})}
	if o.ContentType == "" {
		o.ContentType = "binary/octet-stream"
	}
	for name, values := range c.Request().Header {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok && key != "" {
			o.Meta.V[key] = strings.Join(values, ",")
		}
	}
	headers := map[string]string{}
	for _, name := range kept {
		value := c.Header(name)
		if name == "Content-Encoding" {
			value = withoutChunks(value)
		}
		if value != "" {
			headers[name] = value
		}
	}
	o.Headers = db.Of(headers)
	if class := c.Header("X-Amz-Storage-Class"); class != "" && class != "STANDARD" {
		return o, fault(errs.BadRequest, "InvalidStorageClass", "The storage class you specified is not valid")
	}
	var err error
	o.ReadACL, err = canned(c.Header("X-Amz-Acl"))
	if err != nil {
		return o, err
	}
	tags, err := readTags(c.Header("X-Amz-Tagging"), 10)
	o.Tags = db.Of(tags)
	return o, err
}

// withoutChunks leaves out the encoding that only the way here had.
func withoutChunks(encoding string) string {
	var out []string
	for _, part := range strings.Split(encoding, ",") {
		part = strings.TrimSpace(part)
		if part != "" && part != "aws-chunked" {
			out = append(out, part)
		}
	}
	return strings.Join(out, ",")
}

// condition reads If-Match and If-None-Match of a write.
func condition(c *api.Call) object.Condition {
	match, none := c.Header("If-Match"), c.Header("If-None-Match")
	if match == "" && none == "" {
		return nil
	}
	failed := fault(errs.Precondition, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	return func(present *object.Object) error {
		switch {
		case none == "*" && present != nil, none != "" && none != "*" && present != nil && present.Etag == strings.Trim(none, `"`):
			return failed
		case match != "" && present == nil:
			return fault(errs.NotFound, "NoSuchKey", "The specified key does not exist.")
		case match != "" && match != "*" && present.Etag != strings.Trim(match, `"`):
			return failed
		}
		return nil
	}
}

func (h handlers) putObject(e entry) (any, error) {
	if len(e.c.Request().TransferEncoding) == 0 && e.c.Header("Content-Length") == "" && e.c.Header("X-Amz-Decoded-Content-Length") == "" {
		return nil, fault(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	if e.c.Request().ContentLength > object.MaxObjectSize {
		return nil, fault(errs.BadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")
	}
	o, err := incoming(e)
	if err != nil {
		return nil, err
	}
	stored, err := h.store.Put(e.c.Context(), o, condition(e.c), e.c.Request().Body)
	if err != nil {
		return nil, err
	}
	e.c.SetHeader("Etag", `"`+stored.Etag+`"`)
	e.version(stored.VersionID())
	return api.Reply{Status: http.StatusOK}, nil
}

// version tells which version was written, where there are versions.
func (e entry) version(id string) {
	if e.box.Settings.V.Versioning != "" && id != "" {
		e.c.SetHeader("X-Amz-Version-Id", id)
	}
}

func errNoKey(err error, versioned bool) error {
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	if versioned {
		return fault(errs.NotFound, "NoSuchVersion", "The specified version does not exist.")
	}
	return fault(errs.NotFound, "NoSuchKey", "The specified key does not exist.")
}

// getObject serves GET and HEAD.
func (h handlers) getObject(e entry) (any, error) {
	c := e.c
	var content object.Content
	var bytes io.ReadSeeker
	if c.Request().Method == http.MethodHead {
		var err error
		content, err = h.store.Content(c.Context(), e.Place, nil)
		if err != nil {
			return nil, errNoKey(err, e.Version != "")
		}
		bytes = io.NewSectionReader(nil, 0, content.Size) // nobody reads it
	} else {
		found, opened, err := h.store.Read(c.Context(), e.Place, allowIn(e))
		if err != nil {
			return nil, errNoKey(err, e.Version != "")
		}
		defer opened.Close()
		content, bytes = found, opened
	}
	err := partRange(c, content)
	if err != nil {
		return nil, err
	}
	objectHeaders(e, content.Object)
	w := &answers{ResponseWriter: c.Takeover()}
	http.ServeContent(w, c.Request(), "", api.ModTime(content.UpdatedAt.Time()), bytes)
	switch w.status {
	case http.StatusPreconditionFailed:
		return nil, fault(errs.Precondition, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, fault(errs.Range, "InvalidRange", "The requested range is not satisfiable")
	}
	c.SetStatus(w.status)
	return api.Done, nil
}

// allowIn lets an object be made of others of the same account, whose caller
// this is.
func allowIn(e entry) object.Allow {
	return func(account, _ string) error {
		if account != e.Account {
			return fault(errs.Forbidden, "AccessDenied", "Access Denied.")
		}
		return nil
	}
}

// answers holds back errors, which S3 has documents for.
type answers struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *answers) WriteHeader(status int) {
	w.status = status
	if status < 400 {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements io.Writer.
func (w *answers) Write(p []byte) (int, error) {
	if w.status >= 400 {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// partRange turns the number of a part into its range.
func partRange(c *api.Call, o object.Content) error {
	text := c.Query().Get("partNumber")
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	chunks := o.Chunks.V
	if err != nil || n < 1 || n > max(1, len(chunks)) || c.Header("Range") != "" {
		return fault(errs.Range, "InvalidPartNumber", "The requested partnumber is not satisfiable")
	}
	if len(chunks) == 0 {
		return nil
	}
	first := int64(0)
	for _, chunk := range chunks[:n-1] {
		first += chunk.Size
	}
	c.Request().Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, first+chunks[n-1].Size-1))
	c.SetHeader("X-Amz-Mp-Parts-Count", strconv.Itoa(len(chunks)))
	return nil
}

func objectHeaders(e entry, o object.Object) {
	c, q := e.c, e.c.Query()
	for name, value := range o.Meta.V {
		c.SetHeader("X-Amz-Meta-"+name, value)
	}
	c.SetHeader("Content-Type", o.ContentType)
	for name, value := range o.Headers.V {
		c.SetHeader(name, value)
	}
	for _, name := range append([]string{"Content-Type"}, kept...) {
		if asked := q.Get("response-" + strings.ToLower(name)); asked != "" {
			c.SetHeader(name, asked)
		}
	}
	c.SetHeader("Etag", `"`+o.Etag+`"`)
	c.SetHeader("Accept-Ranges", "bytes")
	c.SetHeader("X-Amz-Storage-Class", "STANDARD")
	if n := len(o.Tags.V); n > 0 {
		c.SetHeader("X-Amz-Tagging-Count", strconv.Itoa(n))
	}
	// What others have stored must not run in a browser.
	c.SetHeader("Content-Security-Policy", "sandbox")
	c.SetHeader("X-Content-Type-Options", "nosniff")
	e.version(o.VersionID())
}

func (h handlers) deleteObject(e entry) (any, error) {
	d, err := h.store.Delete(e.c.Context(), e.Place, object.Deletion{Promote: true, If: deleteCondition(e.c)})
	if err != nil {
		return nil, err
	}
	if d.Version != "" {
		e.version(d.Version)
	}
	if d.Marker {
		e.c.SetHeader("X-Amz-Delete-Marker", "true")
	}
	return api.Reply{Status: http.StatusNoContent}, nil
}

func deleteCondition(c *api.Call) object.Condition {
	if c.Header("If-Match") == "" {
		return nil
	}
	return condition(c)
}

// source reads what a copy is of, and holds it against the conditions for that.
func (h handlers) source(e entry) (object.Content, io.ReadSeekCloser, error) {
	c := e.c
	text, query, _ := strings.Cut(c.Header("X-Amz-Copy-Source"), "?")
	path, err := url.PathUnescape(text)
	container, key := object.SplitName(path)
	if err != nil || container == "" || key == "" || !legible(path) {
		return object.Content{}, nil, fault(errs.BadRequest, "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	p := object.Place{Account: e.Account, Container: container, Object: key}
	if id, ok := strings.CutPrefix(query, "versionId="); ok {
		p.Version = id
	}
	_, err = h.store.Container(c.Context(), p.Account, p.Container)
	if errs.Is(err, errs.NotFound) {
		return object.Content{}, nil, fault(errs.NotFound, "NoSuchBucket", "The specified bucket does not exist.")
	}
	if err != nil {
		return object.Content{}, nil, err
	}
	content, bytes, err := h.store.Read(c.Context(), p, allowIn(e))
	if err != nil {
		return object.Content{}, nil, errNoKey(err, p.Version != "")
	}
	err = sourceCondition(c, content)
	if err != nil {
		bytes.Close()
		return object.Content{}, nil, err
	}
	if p.Version != "" || content.VersionID() != object.NullVersion {
		c.SetHeader("X-Amz-Copy-Source-Version-Id", content.VersionID())
	}
	return content, bytes, nil
}

func sourceCondition(c *api.Call, o object.Content) error {
	header := func(name string) string { return c.Header("X-Amz-Copy-Source-If-" + name) }
	changed := api.ModTime(o.UpdatedAt.Time())
	holds := true
	if tag := header("Match"); tag != "" {
		holds = strings.Trim(tag, `"`) == o.Etag
	} else if since, err := http.ParseTime(header("Unmodified-Since")); err == nil {
		holds = !changed.After(since)
	}
	if tag := header("None-Match"); tag != "" {
		holds = holds && strings.Trim(tag, `"`) != o.Etag
	} else if since, err := http.ParseTime(header("Modified-Since")); err == nil {
		holds = holds && changed.After(since)
	}
	if !holds {
		return fault(errs.Precondition, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	}
	return nil
}

type copyDoc struct {
	XMLName      xml.Name
	LastModified string
	ETag         string
}

func copied(name, etag string, at db.Time) (any, error) {
	return answer(copyDoc{xml.Name{Space: namespace, Local: name}, stamp(at.Time()), `"` + etag + `"`})
}

func (h handlers) copyObject(e entry) (any, error) {
	c := e.c
	o, err := incoming(e)
	if err != nil {
		return nil, err
	}
	source, bytes, err := h.source(e)
	if err != nil {
		return nil, err
	}
	defer bytes.Close()
	replaced, err := directive(c, "X-Amz-Metadata-Directive")
	if err != nil {
		return nil, err
	}
	retagged, err := directive(c, "X-Amz-Tagging-Directive")
	if err != nil {
		return nil, err
	}
	itself := source.Container == o.Container && source.Name == o.Name
	if itself && source.Latest && !replaced {
		return nil, fault(errs.BadRequest, "InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if !replaced {
		o.Meta, o.Headers, o.ContentType = source.Meta, source.Headers, source.ContentType
	}
	if !retagged {
		o.Tags = source.Tags
	}
	if source.Size > object.MaxObjectSize {
		return nil, fault(errs.BadRequest, "InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(object.MaxObjectSize))
	}
	stored, err := h.store.Put(c.Context(), o, condition(c), bytes)
	if err != nil {
		return nil, err
	}
	e.version(stored.VersionID())
	return copied("CopyObjectResult", stored.Etag, stored.UpdatedAt)
}

// directive tells whether a copy takes something from the request instead of
// from its source.
func directive(c *api.Call, header string) (replace bool, err error) {
	switch c.Header(header) {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	return false, fault(errs.BadRequest, "InvalidArgument", "Unknown directive in %s.", strings.ToLower(header))
}
