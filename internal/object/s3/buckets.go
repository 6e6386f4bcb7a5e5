package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"regexp"
	"strconv"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// bucketName is what S3 takes for the name of a new bucket.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// region is where all buckets are, as S3's clients call the place that has no
// name.
const region = "us-east-1"

func (h handlers) createBucket(e entry) (any, error) {
	if !bucketName.MatchString(e.Container) {
		return nil, fault(errs.BadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	}
	var in struct {
		LocationConstraint string
	}
	if e.c.Request().ContentLength != 0 {
		err := read(e.c, &in)
		if err != nil {
			return nil, err
		}
	}
	if in.LocationConstraint != "" && in.LocationConstraint != region {
		return nil, fault(errs.BadRequest, "InvalidLocationConstraint", "The specified location-constraint is not valid.")
	}
	acl, err := canned(e.c.Header("X-Amz-Acl"))
	if err != nil {
		return nil, err
	}
	_, err = h.store.PutContainer(e.c.Context(), e.Account, e.Container, object.ContainerChange{
		OnlyNew: errOwned(),
		Set:     func(_ object.Container, s *object.Settings) error { s.Read = acl; return nil },
	})
	if err != nil {
		return nil, err
	}
	e.c.SetHeader("Location", "/"+e.Container)
	return api.Reply{Status: http.StatusOK}, nil
}

func errOwned() error {
	return fault(errs.Conflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
}

func (h handlers) headBucket(e entry) (any, error) {
	e.c.SetHeader("X-Amz-Bucket-Region", region)
	return api.Reply{Status: http.StatusOK, ContentType: "application/xml"}, nil
}

func (h handlers) deleteBucket(e entry) (any, error) {
	err := h.store.DeleteContainer(e.c.Context(), e.Account, e.Container)
	if errs.Is(err, errs.Conflict) {
		return nil, fault(errs.Conflict, "BucketNotEmpty", "The bucket you tried to delete is not empty.")
	}
	return nil, err
}

func (h handlers) location(entry) (any, error) {
	return answer(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
	}{})
}

func (h handlers) logging(entry) (any, error) {
	return answer(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ BucketLoggingStatus"`
	}{})
}

func (h handlers) objectLock(entry) (any, error) {
	return nil, fault(errs.NotFound, "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
}

type objectRow struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	Owner        *owner
	StorageClass string
}

type prefixRow struct{ Prefix string }

type listDoc struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string
	NextMarker            string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	KeyCount              *int
	MaxKeys               int
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []objectRow
	CommonPrefixes        []prefixRow
}

const maxKeys = 1000

// page reads which part of a list is asked for, and how names are written.
func page(c *api.Call, markerName, limitName string) (object.Listing, func(string) string, error) {
	q := c.Query()
	l := object.Listing{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), Marker: q.Get(markerName), Limit: maxKeys}
	name := func(s string) string { return s }
	for _, text := range []string{l.Prefix, l.Delimiter, l.Marker} {
		if !legible(text) {
			return l, nil, fault(errs.BadRequest, "InvalidArgument", "Names must be valid UTF-8.")
		}
	}
	switch q.Get("encoding-type") {
	case "":
	case "url":
		name = func(s string) string { return escape(s, true) }
	default:
		return l, nil, fault(errs.BadRequest, "InvalidArgument", "Invalid Encoding Method specified in Request")
	}
	if text := q.Get(limitName); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return l, nil, fault(errs.BadRequest, "InvalidArgument", "Argument %s must be an integer between 0 and 2147483647", limitName)
		}
		l.Limit = int(min(n, maxKeys))
	}
	return l, name, nil
}

// listObjects serves both versions of the list.
func (h handlers) listObjects(e entry) (any, error) {
	c, q := e.c, e.c.Query()
	second := q.Get("list-type") == "2"
	l, name, err := page(c, "marker", "max-keys")
	if err != nil {
		return nil, err
	}
	doc := listDoc{Name: e.Container, Prefix: name(l.Prefix), Delimiter: name(l.Delimiter), MaxKeys: l.Limit, EncodingType: q.Get("encoding-type")}
	if second {
		l.Marker, doc.StartAfter, doc.ContinuationToken = q.Get("start-after"), name(q.Get("start-after")), q.Get("continuation-token")
		if doc.ContinuationToken != "" {
			behind, err := base64.URLEncoding.DecodeString(doc.ContinuationToken)
			if err != nil || !legible(string(behind)) {
				return nil, fault(errs.BadRequest, "InvalidArgument", "The continuation token provided is incorrect")
			}
			l.Marker = string(behind)
		}
	} else {
		marker := name(l.Marker)
		doc.Marker = &marker
	}
	entries, more, err := listed(l, func(l object.Listing) ([]object.Entry, error) {
		return h.store.Objects(c.Context(), e.Account, e.Container, l)
	})
	if err != nil {
		return nil, err
	}
	var whose *owner
	if !second || q.Get("fetch-owner") == "true" {
		o := e.owner()
		whose = &o
	}
	for _, entry := range entries {
		if entry.Subdir {
			doc.CommonPrefixes = append(doc.CommonPrefixes, prefixRow{name(entry.Name)})
			continue
		}
		doc.Contents = append(doc.Contents, objectRow{name(entry.Name), stamp(entry.UpdatedAt.Time()), `"` + entry.Etag + `"`, entry.Size, whose, "STANDARD"})
	}
	doc.IsTruncated = more
	count := len(entries)
	if second {
		doc.KeyCount = &count
	}
	if more {
		last := entries[count-1].Name
		switch {
		case second:
			doc.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(last))
		case l.Delimiter != "":
			doc.NextMarker = name(last)
		}
	}
	return answer(doc)
}

// listed lists one more than was asked for, to know whether there are more.
func listed(l object.Listing, list func(l object.Listing) ([]object.Entry, error)) (entries []object.Entry, more bool, err error) {
	if l.Limit == 0 {
		return nil, false, nil
	}
	limit := l.Limit
	l.Limit++
	entries, err = list(l)
	if err != nil || len(entries) <= limit {
		return entries, false, err
	}
	return entries[:limit], true, nil
}

type markerRow struct {
	XMLName      xml.Name `xml:"DeleteMarker"`
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	Owner        owner
}

type versionRow struct {
	XMLName      xml.Name `xml:"Version"`
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	ETag         string
	Size         int64
	Owner        owner
	StorageClass string
}

type versionsDoc struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name                string
	Prefix              string
	KeyMarker           string
	VersionIDMarker     string `xml:"VersionIdMarker"`
	NextKeyMarker       string `xml:",omitempty"`
	NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
	MaxKeys             int
	Delimiter           string `xml:",omitempty"`
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	Rows                []any // versionRow, markerRow
	CommonPrefixes      []prefixRow
}

func (h handlers) listVersions(e entry) (any, error) {
	c, q := e.c, e.c.Query()
	l, name, err := page(c, "key-marker", "max-keys")
	if err != nil {
		return nil, err
	}
	l.VersionMarker = q.Get("version-id-marker")
	if l.VersionMarker != "" && l.Marker == "" {
		return nil, fault(errs.BadRequest, "InvalidArgument", "A version-id marker cannot be specified without a key marker.")
	}
	entries, more, err := listed(l, func(l object.Listing) ([]object.Entry, error) {
		return h.store.Versions(c.Context(), e.Account, e.Container, l)
	})
	if err != nil {
		return nil, err
	}
	doc := versionsDoc{
		Name: e.Container, Prefix: name(l.Prefix), KeyMarker: name(l.Marker), VersionIDMarker: l.VersionMarker, MaxKeys: l.Limit,
		Delimiter: name(l.Delimiter), EncodingType: q.Get("encoding-type"), IsTruncated: more,
	}
	for _, entry := range entries {
		if entry.Subdir {
			doc.CommonPrefixes = append(doc.CommonPrefixes, prefixRow{name(entry.Name)})
			continue
		}
		at := stamp(entry.UpdatedAt.Time())
		if entry.Marker {
			doc.Rows = append(doc.Rows, markerRow{Key: name(entry.Name), VersionID: entry.VersionID(), IsLatest: entry.Latest, LastModified: at, Owner: e.owner()})
			continue
		}
		doc.Rows = append(doc.Rows, versionRow{
			Key: name(entry.Name), VersionID: entry.VersionID(), IsLatest: entry.Latest, LastModified: at,
			ETag: `"` + entry.Etag + `"`, Size: entry.Size, Owner: e.owner(), StorageClass: "STANDARD",
		})
	}
	if more {
		last := entries[len(entries)-1]
		doc.NextKeyMarker = name(last.Name)
		if !last.Subdir {
			doc.NextVersionIDMarker = last.VersionID()
		}
	}
	return answer(doc)
}

type deleteIn struct {
	Quiet   bool
	Objects []struct {
		Key       string
		VersionID string `xml:"VersionId"`
	} `xml:"Object"`
}

type deletedRow struct {
	XMLName             xml.Name `xml:"Deleted"`
	Key                 string
	VersionID           string `xml:"VersionId,omitempty"`
	DeleteMarker        bool   `xml:",omitempty"`
	DeleteMarkerVersion string `xml:"DeleteMarkerVersionId,omitempty"`
}

type failedRow struct {
	XMLName   xml.Name `xml:"Error"`
	Key       string
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

type deletedDoc struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Rows    []any
}

// deleteObjects deletes many. What came of each is told of each.
func (h handlers) deleteObjects(e entry) (any, error) {
	var in deleteIn
	err := read(e.c, &in)
	if err != nil {
		return nil, err
	}
	if len(in.Objects) == 0 || len(in.Objects) > maxKeys {
		return nil, fault(errs.BadRequest, "MalformedXML", "A request must name between 1 and %d objects.", maxKeys)
	}
	var doc deletedDoc
	for _, o := range in.Objects {
		p := object.Place{Account: e.Account, Container: e.Container, Object: o.Key, Version: o.VersionID}
		d, err := h.store.Delete(e.c.Context(), p, object.Deletion{Promote: true})
		known, classified := errs.As(err)
		switch {
		case err != nil && !classified:
			e.c.Log("delete_error", err.Error())
			doc.Rows = append(doc.Rows, failedRow{Key: o.Key, VersionID: o.VersionID, Code: "InternalError", Message: "We encountered an internal error. Please try again."})
		case err != nil:
			doc.Rows = append(doc.Rows, failedRow{Key: o.Key, VersionID: o.VersionID, Code: "InvalidArgument", Message: known.Message})
		case !in.Quiet:
			row := deletedRow{Key: o.Key, VersionID: o.VersionID, DeleteMarker: d.Marker}
			if d.Marker {
				row.DeleteMarkerVersion = d.Version
			}
			doc.Rows = append(doc.Rows, row)
		}
	}
	return answer(doc)
}
