package api

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// Limits of bulk requests.
const (
	maxDeletes   = 10000
	maxExtracted = 10000 // containers in one archive
	maxFailures  = 1000
	maxDeleteRow = 3*(object.MaxContainerName+object.MaxObjectName) + 3 // bytes of a line, escaped
)

// results is what came of many things that were done in one request. Each is
// whole by itself; the request as a whole may be half done, and tells so.
type results struct {
	done, missing string // how the counters are called; "" leaves one out
	doneCount     int
	missingCount  int
	status        string // as a whole: 200 OK
	text          string // what went wrong as a whole
	failures      [][2]string
}

func (r *results) fail(path, why string) {
	r.failures = append(r.failures, [2]string{(&url.URL{Path: path}).EscapedPath(), why})
	if r.status == "200 OK" || r.status == "201 Created" {
		r.status = "400 Bad Request"
	}
}

// bulkForm chooses the form of the reply; text is what nobody asks for.
func bulkForm(c *api.Call) (string, error) {
	if c.Query().Get("format") == "" && c.Header("Accept") == "" {
		return "text/plain", nil
	}
	return form(c)
}

func (r *results) reply(c *api.Call, form string, status int) (any, error) {
	reply := api.Reply{Status: status, ContentType: form + "; charset=utf-8"}
	if r.failures == nil {
		r.failures = [][2]string{}
	}
	switch form {
	case "application/json":
		out := map[string]any{"Response Status": r.status, "Response Body": r.text, "Errors": r.failures}
		if r.done != "" {
			out[r.done] = r.doneCount
		}
		if r.missing != "" {
			out[r.missing] = r.missingCount
		}
		body, err := json.Marshal(out)
		reply.Body = body
		return reply, err
	case "application/xml", "text/xml":
		var b strings.Builder
		b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<delete>\n")
		tag := func(name string, value any) {
			name = strings.ReplaceAll(strings.ToLower(name), " ", "_")
			fmt.Fprintf(&b, "<%s>%s</%s>\n", name, escapeXML(fmt.Sprint(value)), name)
		}
		if r.done != "" {
			tag(r.done, r.doneCount)
		}
		if r.missing != "" {
			tag(r.missing, r.missingCount)
		}
		tag("Response Body", r.text)
		tag("Response Status", r.status)
		b.WriteString("<errors>\n")
		for _, f := range r.failures {
			fmt.Fprintf(&b, "<object><name>%s</name><status>%s</status></object>\n", escapeXML(f[0]), escapeXML(f[1]))
		}
		b.WriteString("</errors>\n</delete>\n")
		reply.Body = []byte(b.String())
		return reply, nil
	}
	var b strings.Builder
	if r.done != "" {
		fmt.Fprintf(&b, "%s: %d\n", r.done, r.doneCount)
	}
	if r.missing != "" {
		fmt.Fprintf(&b, "%s: %d\n", r.missing, r.missingCount)
	}
	fmt.Fprintf(&b, "Response Body: %s\nResponse Status: %s\nErrors:\n", r.text, r.status)
	for _, f := range r.failures {
		fmt.Fprintf(&b, "%s, %s\n", f[0], f[1])
	}
	reply.Body = []byte(b.String())
	return reply, nil
}

func escapeXML(s string) string {
	var e strings.Builder
	_ = xml.EscapeText(&e, []byte(s)) // a strings.Builder does not fail
	return e.String()
}

// statusOf is an error as a line of results tells it.
func statusOf(err error) string {
	e, ok := errs.As(err)
	if !ok {
		return "500 Internal Error"
	}
	return fmt.Sprintf("%d %s", int(e.Kind), http.StatusText(int(e.Kind)))
}

// bulkDelete deletes what the lines of the body name: objects and, when they are
// empty by then, containers.
func (h handlers) bulkDelete(e entry) (any, error) {
	c := e.c
	form, err := bulkForm(c)
	if err != nil {
		return nil, err
	}
	r := results{done: "Number Deleted", missing: "Number Not Found", status: "200 OK"}
	lines := bufio.NewScanner(c.Request().Body)
	lines.Buffer(make([]byte, 4096), maxDeleteRow+2)
	count := 0
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		count++
		if count > maxDeletes {
			r.status, r.text = "413 Request Entity Too Large", fmt.Sprintf("Maximum Bulk Deletes: %d per request", maxDeletes)
			break
		}
		if len(r.failures) >= maxFailures {
			r.status, r.text = "400 Bad Request", "Max delete failures exceeded"
			break
		}
		name, err := url.PathUnescape(line)
		container, key := object.SplitName(name)
		p := object.Place{Account: e.Account, Container: container, Object: key}
		if err != nil || container == "" || !legible(name) || checkNames(p) != nil {
			r.fail(line, "412 Precondition Failed")
			continue
		}
		h.deleteOne(e, p, &r)
	}
	switch {
	case errors.Is(lines.Err(), bufio.ErrTooLong):
		r.status, r.text = "400 Bad Request", "Line is too long."
	case lines.Err() != nil:
		return nil, errs.BadRequestf("The request body could not be read.").Because(lines.Err())
	case count == 0:
		r.status, r.text = "400 Bad Request", "Invalid bulk delete."
	}
	return r.reply(c, form, http.StatusOK)
}

// deleteOne deletes an object or a container, and notes what came of it.
func (h handlers) deleteOne(e entry, p object.Place, r *results) {
	err := e.may(writes, p)
	existed := true
	switch {
	case err != nil:
	case p.Object == "":
		err = h.store.DeleteContainer(e.c.Context(), p.Account, p.Container)
	default:
		var d object.Deleted
		d, err = h.store.Delete(e.c.Context(), p, object.Deletion{})
		existed = d.Existed
	}
	switch {
	case errs.Is(err, errs.NotFound), err == nil && !existed:
		r.missingCount++
	case err != nil:
		e.c.Log("bulk_error", err.Error())
		r.fail("/"+strings.TrimSuffix(p.Container+"/"+p.Object, "/"), statusOf(err))
	default:
		r.doneCount++
	}
}

// extract makes an object of each file in an archive, below the path of the
// request.
func (h handlers) extract(e entry) (any, error) {
	c := e.c
	form, err := bulkForm(c)
	if err != nil {
		return nil, err
	}
	var source io.Reader = c.Request().Body
	switch c.Query().Get("extract-archive") {
	case "tar":
	case "tar.gz":
		source, err = gzip.NewReader(source)
	case "tar.bz2":
		source = bzip2.NewReader(source)
	default:
		return nil, sentence(errs.BadRequest, "Unsupported archive format")
	}
	r := results{done: "Number Files Created", status: "201 Created"}
	if err != nil {
		r.status, r.text = "400 Bad Request", "Invalid Tar File: "+err.Error()
		return r.reply(c, form, http.StatusOK)
	}
	base := strings.Trim(e.Container+"/"+e.Object, "/")
	known := map[string]bool{}
	files := tar.NewReader(source)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			r.status, r.text = "400 Bad Request", "Invalid Tar File: "+err.Error()
			break
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if len(r.failures) >= maxFailures {
			r.status, r.text = "400 Bad Request", "Too many failures"
			break
		}
		path := strings.TrimPrefix(base+"/"+strings.TrimPrefix(strings.TrimPrefix(header.Name, "./"), "/"), "/")
		err = h.extractOne(e, path, header, files, known)
		if err != nil {
			c.Log("bulk_error", err.Error())
			r.fail(path, statusOf(err))
			continue
		}
		r.doneCount++
	}
	if r.doneCount == 0 && len(r.failures) == 0 && r.text == "" {
		r.status, r.text = "400 Bad Request", "Invalid Tar File: No Valid Files"
	}
	return r.reply(c, form, http.StatusOK)
}

func (h handlers) extractOne(e entry, path string, header *tar.Header, bytes io.Reader, known map[string]bool) error {
	container, name := object.SplitName(path)
	p := object.Place{Account: e.Account, Container: container, Object: name}
	if container == "" || name == "" || !legible(path) {
		return sentence(errs.Precondition, "Invalid path")
	}
	err := checkNames(p)
	if err != nil {
		return err
	}
	if header.Size > object.MaxObjectSize {
		return sentence(errs.TooLarge, "Your request is too large.")
	}
	if !known[container] {
		if len(known) >= maxExtracted {
			return sentence(errs.BadRequest, "More than %d containers to create from tar.", maxExtracted)
		}
		err = h.ensure(e, p)
		if err != nil {
			return err
		}
		known[container] = true
	}
	o := object.Object{Account: e.Account, Container: container, Name: name, ContentType: guess(name), Meta: db.Of(object.Meta{})}
	for key, value := range header.PAXRecords {
		key, isAttr := strings.CutPrefix(key, "SCHILY.xattr.user.")
		metaName, isMeta := strings.CutPrefix(key, "meta.")
		switch {
		case !isAttr || !legible(value):
		case key == "mime_type":
			o.ContentType = value
		case isMeta:
			o.Meta.V[strings.ToLower(metaName)] = value
		}
	}
	_, err = h.store.Put(e.c.Context(), o, nil, bytes)
	return err
}

// ensure makes the container of an extracted file, where that is the caller's to
// make.
func (h handlers) ensure(e entry, p object.Place) error {
	_, err := h.store.Container(e.c.Context(), p.Account, p.Container)
	if err == nil {
		return e.may(writes, p)
	}
	if !errs.Is(err, errs.NotFound) || !e.owner {
		return err
	}
	_, err = h.store.PutContainer(e.c.Context(), p.Account, p.Container, object.ContainerChange{})
	return err
}
