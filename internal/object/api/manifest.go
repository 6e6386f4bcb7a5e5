package api

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// maxManifest is the largest list of segments, in bytes.
const maxManifest = 8 << 20

// segmentIn is a segment as clients write it.
type segmentIn struct {
	Path  *string    `json:"path"`
	Etag  *string    `json:"etag"`
	Size  *api.Int   `json:"size_bytes"`
	Range *string    `json:"range"`
	Data  *base64Raw `json:"data"`
}

// base64Raw is bytes as base64 text.
type base64Raw []byte

// UnmarshalJSON implements json.Unmarshaler.
func (b *base64Raw) UnmarshalJSON(text []byte) error {
	var s string
	err := json.Unmarshal(text, &s)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) == 0 {
		return fmt.Errorf("data must be valid base64 of at least one byte")
	}
	*b = raw
	return nil
}

// putManifest makes a static large object.
func (h handlers) putManifest(e entry) (any, error) {
	c := e.c
	_, err := e.found()
	if err != nil {
		return nil, err
	}
	body, err := c.ReadBody(maxManifest)
	if err != nil {
		return nil, err
	}
	wanted, problems := readSegments(body)
	if len(problems) > 0 {
		return nil, sentence(errs.BadRequest, "%s", strings.Join(problems, "\n"))
	}
	o, err := h.incoming(e)
	if err != nil {
		return nil, err
	}
	condition, err := condition(c)
	if err != nil {
		return nil, err
	}
	stored, faults, err := h.store.Compose(c.Context(), o, wanted, e.allow, condition)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		form, err := bulkForm(c)
		if err != nil {
			return nil, err
		}
		r := results{status: "400 Bad Request"}
		for _, f := range faults {
			r.fail(f.Path, f.Why)
		}
		return r.reply(c, form, http.StatusBadRequest)
	}
	return putReply(e, stored), nil
}

// readSegments reads the list; what is wrong with it is told of each.
func readSegments(body []byte) (wanted []object.Wanted, problems []string) {
	var in []segmentIn
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	if err != nil {
		return nil, []string{"Manifest must be valid JSON: a list of segments."}
	}
	if len(in) > object.MaxSegments {
		return nil, []string{fmt.Sprintf("Number of segments must be <= %d", object.MaxSegments)}
	}
	objects := 0
	for i, s := range in {
		w := object.Wanted{Size: -1}
		switch {
		case s.Data != nil && s.Path == nil:
			w.Data = *s.Data
			wanted = append(wanted, w)
			continue
		case s.Path == nil || s.Data != nil:
			problems = append(problems, fmt.Sprintf("Index %d: expected one of path or data", i))
			continue
		}
		objects++
		w.Path = *s.Path
		container, name := object.SplitName(w.Path)
		if container == "" || name == "" || !legible(w.Path) {
			problems = append(problems, fmt.Sprintf("Index %d: path does not refer to an object. Path must be of the form /container/object.", i))
		}
		if s.Etag != nil {
			w.Etag = strings.Trim(*s.Etag, `"`)
		}
		if s.Size != nil {
			w.Size = int64(*s.Size)
		}
		if s.Range != nil {
			w.Range = *s.Range
			_, _, err := object.ParseRange(w.Range)
			if err != nil {
				problems = append(problems, fmt.Sprintf("Index %d: invalid range", i))
			}
		}
		wanted = append(wanted, w)
	}
	if objects == 0 && len(problems) == 0 {
		problems = append(problems, "Inline data segments require at least one object-backed segment.")
	}
	return wanted, problems
}

// segmentOut is a segment as it is listed.
type segmentOut struct {
	Name         string     `json:"name,omitempty"`
	Bytes        int64      `json:"bytes,omitempty"`
	Hash         string     `json:"hash,omitempty"`
	ContentType  string     `json:"content_type,omitempty"`
	LastModified api.Micros `json:"last_modified,omitempty"`
	Range        string     `json:"range,omitempty"`
	Nested       bool       `json:"sub_slo,omitempty"`
}

// segmentRaw is a segment in the form in which it can be sent again.
type segmentRaw struct {
	Path  string `json:"path"`
	Etag  string `json:"etag"`
	Size  int64  `json:"size_bytes"`
	Range string `json:"range,omitempty"`
}

type segmentData struct {
	Data string `json:"data"`
}

// getRaw serves an object itself where it stands for others: the list of
// segments, or the link.
func (h handlers) getRaw(e entry) (any, error) {
	c := e.c
	o, err := h.store.Object(c.Context(), e.Place)
	if err != nil {
		return nil, err
	}
	m := o.Manifest.V
	switch {
	case m.Link != nil && c.Query().Get("symlink") == "get":
		c.SetHeader("X-Symlink-Target", (&url.URL{Path: m.Link.Container + "/" + m.Link.Object}).EscapedPath())
		c.SetHeader("X-Symlink-Target-Account", m.Link.Account)
		if m.Link.Etag != "" {
			c.SetHeader("X-Symlink-Target-Etag", m.Link.Etag)
			c.SetHeader("X-Symlink-Target-Bytes", fmt.Sprint(m.Link.Size))
		}
		o.Manifest.V = object.Manifest{}
		return serve(e, object.Content{Object: o}, bytes.NewReader(nil)), nil
	case len(m.Segments) > 0 && c.Query().Get("multipart-manifest") == "get":
		body, err := manifestBody(c, m.Segments)
		if err != nil {
			return nil, err
		}
		sum := md5.Sum(body)
		o.ContentType, o.Etag, o.Size = "application/json; charset=utf-8", hex.EncodeToString(sum[:]), int64(len(body))
		return serve(e, object.Content{Object: o}, bytes.NewReader(body)), nil
	case m.Prefix != "" && c.Query().Get("multipart-manifest") == "get":
		return serveOwn(e, h, o)
	}
	return h.send(e)
}

// serveOwn serves the bytes that a manifest has itself.
func serveOwn(e entry, h handlers, o object.Object) (any, error) {
	plain := o
	plain.Manifest.V = object.Manifest{}
	content, own, err := h.store.Own(e.c.Context(), plain)
	if err != nil {
		return nil, err
	}
	defer own.Close()
	content.Object = o
	return serve(e, content, own), nil
}

func manifestBody(c *api.Call, segments []object.Segment) ([]byte, error) {
	raw := c.Query().Get("format") == "raw"
	var out []any
	for _, s := range segments {
		name := "/" + s.Container + "/" + s.Object
		switch {
		case s.Data != nil:
			out = append(out, segmentData{base64.StdEncoding.EncodeToString(s.Data)})
		case raw:
			out = append(out, segmentRaw{name, s.Etag, s.Size, s.Range})
		default:
			out = append(out, segmentOut{name, s.Size, s.Etag, s.ContentType, api.Micros(s.LastModified.Time()), s.Range, s.Nested})
		}
	}
	return api.Encode(out, 0)
}

// deleteManifest deletes a static large object with its segments.
func (h handlers) deleteManifest(e entry) (any, error) {
	c := e.c
	form, err := bulkForm(c)
	if err != nil {
		return nil, err
	}
	o, err := h.store.Object(c.Context(), e.Place)
	if err != nil {
		return nil, err
	}
	places, err := h.store.Segments(c.Context(), o)
	if err != nil {
		return nil, err
	}
	r := results{done: "Number Deleted", missing: "Number Not Found", status: "200 OK"}
	for _, p := range append(places, e.Place) {
		h.deleteOne(e, p, &r)
	}
	return r.reply(c, form, http.StatusOK)
}
