package s3

import (
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

type startedDoc struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
	Bucket   string
	Key      string
	UploadID string `xml:"UploadId"`
}

func (h handlers) startUpload(e entry) (any, error) {
	o, err := incoming(e)
	if err != nil {
		return nil, err
	}
	u, err := h.store.StartUpload(e.c.Context(), o)
	if err != nil {
		return nil, err
	}
	return answer(startedDoc{Bucket: e.Container, Key: e.Object, UploadID: u.ID})
}

// part reads the number and the upload of a part.
func (e entry) part() (number int, upload string, err error) {
	number, err = strconv.Atoi(e.c.Query().Get("partNumber"))
	if err != nil || number < 1 || number > object.MaxParts {
		return 0, "", fault(errs.BadRequest, "InvalidArgument", "Part number must be an integer between 1 and %d, inclusive", object.MaxParts)
	}
	return number, e.c.Query().Get("uploadId"), nil
}

func (h handlers) putPart(e entry) (any, error) {
	number, upload, err := e.part()
	if err != nil {
		return nil, err
	}
	if e.c.Request().ContentLength > object.MaxObjectSize {
		return nil, fault(errs.BadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")
	}
	p, err := h.store.PutPart(e.c.Context(), e.Place, upload, number, "", e.c.Request().Body)
	if err != nil {
		return nil, err
	}
	e.c.SetHeader("Etag", `"`+p.Chunk.V.MD5+`"`)
	return api.Reply{Status: http.StatusOK}, nil
}

func (h handlers) copyPart(e entry) (any, error) {
	number, upload, err := e.part()
	if err != nil {
		return nil, err
	}
	source, bytes, err := h.source(e)
	if err != nil {
		return nil, err
	}
	defer bytes.Close()
	var from io.Reader = bytes
	if text := e.c.Header("X-Amz-Copy-Source-Range"); text != "" {
		text, isBytes := strings.CutPrefix(text, "bytes=")
		first, last, err := object.ParseRange(text)
		if !isBytes || err != nil || first < 0 || last < 0 || last >= source.Size {
			return nil, fault(errs.BadRequest, "InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
		}
		_, err = bytes.Seek(first, io.SeekStart)
		if err != nil {
			return nil, err
		}
		from = io.LimitReader(bytes, last-first+1)
	}
	p, err := h.store.PutPart(e.c.Context(), e.Place, upload, number, "", from)
	if err != nil {
		return nil, err
	}
	return copied("CopyPartResult", p.Chunk.V.MD5, p.UpdatedAt)
}

type partRow struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
}

type partsDoc struct {
	XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
	Bucket               string
	Key                  string
	UploadID             string `xml:"UploadId"`
	Initiator            owner
	Owner                owner
	StorageClass         string
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Parts                []partRow `xml:"Part"`
}

func (h handlers) listParts(e entry) (any, error) {
	c, q := e.c, e.c.Query()
	l, name, err := page(c, "", "max-parts")
	if err != nil {
		return nil, err
	}
	behind := 0
	if text := q.Get("part-number-marker"); text != "" {
		behind, err = strconv.Atoi(text)
		if err != nil || behind < 0 {
			return nil, fault(errs.BadRequest, "InvalidArgument", "Argument part-number-marker must be an integer")
		}
	}
	u, err := h.store.Upload(c.Context(), e.Place, q.Get("uploadId"))
	if err != nil {
		return nil, err
	}
	parts, err := h.store.Parts(c.Context(), u.ID, behind, l.Limit+1)
	if err != nil {
		return nil, err
	}
	doc := partsDoc{
		Bucket: e.Container, Key: name(e.Object), UploadID: u.ID, Initiator: e.owner(), Owner: e.owner(), StorageClass: "STANDARD",
		PartNumberMarker: behind, MaxParts: l.Limit, IsTruncated: len(parts) > l.Limit,
	}
	for _, p := range parts[:min(len(parts), l.Limit)] {
		doc.Parts = append(doc.Parts, partRow{p.Number, stamp(p.UpdatedAt.Time()), `"` + p.Chunk.V.MD5 + `"`, p.Chunk.V.Size})
		doc.NextPartNumberMarker = p.Number
	}
	return answer(doc)
}

type uploadRow struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	Initiator    owner
	Owner        owner
	StorageClass string
	Initiated    string
}

type uploadsDoc struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket             string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	Prefix             string
	Delimiter          string `xml:",omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Uploads            []uploadRow `xml:"Upload"`
	CommonPrefixes     []prefixRow
}

func (h handlers) listUploads(e entry) (any, error) {
	c, q := e.c, e.c.Query()
	l, name, err := page(c, "key-marker", "max-uploads")
	if err != nil {
		return nil, err
	}
	doc := uploadsDoc{
		Bucket: e.Container, KeyMarker: name(l.Marker), UploadIDMarker: q.Get("upload-id-marker"), Prefix: name(l.Prefix),
		Delimiter: name(l.Delimiter), EncodingType: q.Get("encoding-type"), MaxUploads: l.Limit,
	}
	limit := l.Limit
	l.Limit++
	uploads, err := h.store.Uploads(c.Context(), e.Account, e.Container, l, doc.UploadIDMarker)
	if err != nil {
		return nil, err
	}
	doc.IsTruncated = len(uploads) > limit
	rolled := ""
	for _, u := range uploads[:min(len(uploads), limit)] {
		if doc.IsTruncated {
			doc.NextKeyMarker, doc.NextUploadIDMarker = name(u.Name), u.ID
		}
		if dir, ok := l.Subdir(u.Name); ok {
			if dir != rolled {
				rolled = dir
				doc.CommonPrefixes = append(doc.CommonPrefixes, prefixRow{name(dir)})
			}
			continue
		}
		doc.Uploads = append(doc.Uploads, uploadRow{name(u.Name), u.ID, e.owner(), e.owner(), "STANDARD", stamp(u.CreatedAt.Time())})
	}
	return answer(doc)
}

type completeIn struct {
	Parts []struct {
		PartNumber int
		ETag       string
	} `xml:"Part"`
}

type completedDoc struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
	Location string
	Bucket   string
	Key      string
	ETag     string
}

func (h handlers) completeUpload(e entry) (any, error) {
	c := e.c
	var in completeIn
	err := read(c, &in)
	if err != nil {
		return nil, err
	}
	if len(in.Parts) == 0 || len(in.Parts) > object.MaxParts {
		return nil, fault(errs.BadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	refs := make([]object.PartRef, len(in.Parts))
	for i, p := range in.Parts {
		refs[i] = object.PartRef{Number: p.PartNumber, Etag: p.ETag}
	}
	o, err := h.store.CompleteUpload(c.Context(), e.Place, c.Query().Get("uploadId"), refs, condition(c))
	if err != nil {
		return nil, err
	}
	e.version(o.VersionID())
	scheme := "http"
	if c.Request().TLS != nil {
		scheme = "https"
	}
	return answer(completedDoc{
		Location: scheme + "://" + c.Request().Host + c.Request().URL.EscapedPath(), Bucket: e.Container, Key: e.Object, ETag: `"` + o.Etag + `"`,
	})
}

func (h handlers) abortUpload(e entry) (any, error) {
	return nil, h.store.AbortUpload(e.c.Context(), e.Place, e.c.Query().Get("uploadId"))
}
