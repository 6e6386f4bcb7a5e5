// Package s3 is Amazon's S3 API on top of the object store.
//
// It has a port of its own, since S3's clients take the whole path for
// themselves. A bucket is a container in the account of the project that the
// access key belongs to, and everything in it can also be reached by Swift's API:
// versions are Swift's versions, access lists Swift's lists, metadata Swift's
// metadata. What Swift has no word for, tags, rules for pages of other origins,
// lifecycle rules, the parts of an upload, the store keeps beside it.
//
// Requests prove themselves by a signature instead of a token: sign.go finds the
// caller, and makes the body a stream that fails when it is not what was signed.
// A failing stream leaves nothing behind, so that nobody has to hold a body back
// until its end is known.
//
// What we do not have is refused by name, never passed over: a client that asks
// for encryption shall not think that it got it.
package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// Key is an access key.
type Key struct {
	Secret string
	// Caller says who is behind it and what they may do now.
	Caller func(ctx context.Context) (auth.Caller, error)
}

// Keys looks up access keys. One that nobody has is errs.NotFound.
type Keys func(ctx context.Context, access string) (Key, error)

// New describes the service for a kernel of its own.
func New(store *object.Service, keys Keys) api.Service {
	h := handlers{store, keys}
	return api.Service{Name: "swift", Type: "s3", RawNames: true, Envelope: api.S3, Identify: h.identify, Routes: h.routes()}
}

type handlers struct {
	store *object.Service
	keys  Keys
}

const (
	reads  = "object:read"
	writes = "object:write"
)

func (h handlers) routes() []api.Route {
	const bucket, key = "/{bucket}", "/{bucket}/{key...}"
	rows := []api.Route{
		{Method: "GET", Path: "/", Rule: reads, Do: h.do(h.listBuckets)},
		{Method: "PUT", Path: bucket, Rule: writes, Do: h.do(h.createBucket)},
		{Method: "HEAD", Path: bucket, Rule: reads, Do: h.in(h.headBucket)},
		{Method: "DELETE", Path: bucket, Rule: writes, OK: 204, Do: h.in(h.deleteBucket)},
		{Method: "GET", Path: bucket, Rule: reads, Do: h.in(h.listObjects)},
		{Method: "GET", Path: bucket, Variant: "?list-type=2", Rule: reads, Do: h.in(h.listObjects)},
		{Method: "GET", Path: bucket, Variant: "?versions", Rule: reads, Do: h.in(h.listVersions)},
		{Method: "GET", Path: bucket, Variant: "?location", Rule: reads, Do: h.in(h.location)},
		{Method: "GET", Path: bucket, Variant: "?acl", Rule: reads, Do: h.in(h.bucketACL)},
		{Method: "PUT", Path: bucket, Variant: "?acl", Rule: writes, Do: h.in(h.setBucketACL)},
		{Method: "GET", Path: bucket, Variant: "?versioning", Rule: reads, Do: h.in(h.versioning)},
		{Method: "PUT", Path: bucket, Variant: "?versioning", Rule: writes, Do: h.in(h.setVersioning)},
		{Method: "GET", Path: bucket, Variant: "?uploads", Rule: reads, Do: h.in(h.listUploads)},
		{Method: "GET", Path: bucket, Variant: "?object-lock", Rule: reads, OK: 404, Do: h.in(h.objectLock)},
		{Method: "GET", Path: bucket, Variant: "?logging", Rule: reads, Do: h.in(h.logging)},
		{Method: "GET", Path: bucket, Variant: "?tagging", Rule: reads, Do: h.in(h.bucketTags)},
		{Method: "POST", Path: bucket, Variant: "?delete", Rule: writes, Do: h.in(h.deleteObjects)},
		{Method: "GET", Path: key, Rule: reads, Do: h.in(h.getObject)},
		{Method: "HEAD", Path: key, Rule: reads, Do: h.in(h.getObject)},
		{Method: "PUT", Path: key, Rule: writes, Do: h.in(h.putObject)},
		{Method: "PUT", Path: key, Variant: "(x-amz-copy-source)", Rule: writes, Do: h.in(h.copyObject)},
		{Method: "DELETE", Path: key, Rule: writes, OK: 204, Do: h.in(h.deleteObject)},
		{Method: "GET", Path: key, Variant: "?acl", Rule: reads, Do: h.in(h.objectACL)},
		{Method: "PUT", Path: key, Variant: "?acl", Rule: writes, Do: h.in(h.setObjectACL)},
		{Method: "GET", Path: key, Variant: "?tagging", Rule: reads, Do: h.in(h.objectTags)},
		{Method: "POST", Path: key, Variant: "?uploads", Rule: writes, Do: h.in(h.startUpload)},
		{Method: "PUT", Path: key, Variant: "?partNumber=&uploadId=", Rule: writes, Do: h.in(h.putPart)},
		{Method: "PUT", Path: key, Variant: "?partNumber=&uploadId= (x-amz-copy-source)", Rule: writes, Do: h.in(h.copyPart)},
		{Method: "GET", Path: key, Variant: "?uploadId=", Rule: reads, Do: h.in(h.listParts)},
		{Method: "POST", Path: key, Variant: "?uploadId=", Rule: writes, Do: h.in(h.completeUpload)},
		{Method: "DELETE", Path: key, Variant: "?uploadId=", Rule: writes, OK: 204, Do: h.in(h.abortUpload)},
		{Method: "GET", Path: key, Variant: "?versionId=", Rule: reads, Do: h.in(h.getObject)},
		{Method: "DELETE", Path: key, Variant: "?versionId=", Rule: writes, OK: 204, Do: h.in(h.deleteObject)},
		{Method: "GET", Path: bucket, Variant: "?cors", Rule: reads, Do: h.in(h.bucketCORS)},
		{Method: "PUT", Path: bucket, Variant: "?tagging", Rule: writes, OK: 204, Do: h.in(h.setBucketTags)},
		{Method: "DELETE", Path: bucket, Variant: "?tagging", Rule: writes, OK: 204, Do: h.in(h.deleteBucketTags)},
		{Method: "PUT", Path: key, Variant: "?tagging", Rule: writes, Do: h.in(h.setObjectTags)},
		{Method: "DELETE", Path: key, Variant: "?tagging", Rule: writes, OK: 204, Do: h.in(h.deleteObjectTags)},

		// What Swift's own S3 has not.
		{Method: "PUT", Path: bucket, Variant: "?cors", Rule: writes, Do: h.in(h.setBucketCORS)},
		{Method: "DELETE", Path: bucket, Variant: "?cors", Rule: writes, OK: 204, Do: h.in(h.deleteBucketCORS)},
		{Method: "GET", Path: bucket, Variant: "?lifecycle", Rule: reads, Do: h.in(h.lifecycle)},
		{Method: "PUT", Path: bucket, Variant: "?lifecycle", Rule: writes, Do: h.in(h.setLifecycle)},
		{Method: "DELETE", Path: bucket, Variant: "?lifecycle", Rule: writes, OK: 204, Do: h.in(h.deleteLifecycle)},
		{Method: "OPTIONS", Path: bucket, Public: true, Do: h.preflight},
		{Method: "OPTIONS", Path: key, Public: true, Do: h.preflight},

		{Method: "POST", Path: bucket, Rule: writes, OK: 501, Do: h.in(missing)},
		{Method: "PUT", Path: bucket, Variant: "?logging", Rule: writes, OK: 501, Do: h.in(missing)},
		{Method: "PUT", Path: bucket, Variant: "?object-lock", Rule: writes, OK: 501, Do: h.in(missing)},
		{Method: "GET", Path: key, Variant: "?torrent", Rule: reads, OK: 501, Do: h.in(missing)},
		{Method: "POST", Path: key, Variant: "?restore", Rule: writes, OK: 501, Do: h.in(missing)},
	}
	for _, name := range []string{"policy", "website", "notification", "requestPayment", "publicAccessBlock"} {
		rows = append(rows, api.Route{Method: "GET", Path: bucket, Variant: "?" + name, Rule: reads, OK: 501, Do: h.in(missing)})
	}
	for _, row := range rows {
		if row.Path == bucket {
			row.Path += "/"
			rows = append(rows, row)
		}
	}
	for i := range rows {
		rows[i].MaxBody = -1
	}
	return rows
}

// unknown are keys of a query that ask for what no row has. Without this list a
// PUT of a policy would make a bucket.
var unknown = []string{
	"accelerate", "analytics", "attributes", "encryption", "intelligent-tiering", "inventory", "legal-hold", "metrics", "notification",
	"object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "restore",
	"retention", "select", "torrent", "website", "append",
}

// beyond are headers that ask for what we do not have.
var beyond = []string{
	"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Object-Lock-Mode",
	"X-Amz-Object-Lock-Legal-Hold", "X-Amz-Bucket-Object-Lock-Enabled", "X-Amz-Website-Redirect-Location", "X-Amz-Grant-Read",
	"X-Amz-Grant-Write", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write-Acp", "X-Amz-Grant-Full-Control", "X-Amz-Write-Offset-Bytes",
}

func fault(kind errs.Kind, code, format string, args ...any) error {
	return errs.New(kind, format, args...).Typed(code)
}

func missing(entry) (any, error) {
	return nil, fault(errs.NotImplemented, "NotImplemented", "A header or query you provided requested a function that is not implemented.")
}

// entry is a request that was let in.
type entry struct {
	object.Place
	c   *api.Call
	h   handlers
	box object.Container
}

// do authorizes by the row's rule in the account of the caller's project.
func (h handlers) do(do func(e entry) (any, error)) api.Handler {
	return func(c *api.Call) (any, error) {
		e := entry{c: c, h: h}
		if c.Caller.User == "" || c.Caller.Project == "" {
			return nil, fault(errs.Forbidden, "AccessDenied", "Access Denied.")
		}
		e.Place = object.Place{
			Account: "AUTH_" + c.Caller.Project, Container: c.PathValue("bucket"), Object: c.PathValue("key"), Version: c.Query().Get("versionId"),
		}
		err := c.Authorize(auth.Target{Project: c.Caller.Project})
		if err != nil {
			return nil, err
		}
		for _, name := range unknown {
			if c.Query().Has(name) && c.Route().Variant != "?"+name {
				return missing(e)
			}
		}
		for _, name := range beyond {
			if c.Header(name) != "" {
				return missing(e)
			}
		}
		if len(e.Object) > object.MaxObjectName {
			return nil, fault(errs.BadRequest, "KeyTooLongError", "Your key is too long.")
		}
		if !legible(e.Container) || !legible(e.Object) {
			return nil, fault(errs.BadRequest, "InvalidURI", "Could not parse the specified URI.")
		}
		return do(e)
	}
}

// in is do for what is in a bucket, which must be there.
func (h handlers) in(do func(e entry) (any, error)) api.Handler {
	return h.do(func(e entry) (any, error) {
		var err error
		e.box, err = h.store.Container(e.c.Context(), e.Account, e.Container)
		if errs.Is(err, errs.NotFound) {
			return nil, fault(errs.NotFound, "NoSuchBucket", "The specified bucket does not exist.")
		}
		if err != nil {
			return nil, err
		}
		e.cors(e.box)
		return do(e)
	})
}

func legible(name string) bool { return utf8.ValidString(name) && !strings.Contains(name, "\x00") }

const (
	namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
	maxXML    = 8 << 20
)

// answer writes a document.
func answer(doc any) (any, error) {
	body, err := xml.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return api.Reply{Status: http.StatusOK, ContentType: "application/xml", Body: append([]byte(xml.Header), body...)}, nil
}

// read reads the document in the body.
func read(c *api.Call, doc any) error {
	body, err := c.ReadBody(maxXML)
	if err != nil {
		return err
	}
	// Entities that the document declares itself are refused by the library.
	err = xml.NewDecoder(bytes.NewReader(body)).Decode(doc)
	if err != nil {
		return errs.New(errs.BadRequest, "The XML you provided was not well-formed or did not validate against our published schema.").
			Typed("MalformedXML").Because(err)
	}
	return nil
}

// stamp is a time as S3 writes it in documents.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type owner struct {
	ID          string
	DisplayName string
}

func (e entry) owner() owner { return owner{e.c.Caller.Project, e.c.Caller.ProjectName} }

type bucketRow struct {
	Name         string
	CreationDate string
}

type bucketsDoc struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner   owner
	Buckets []bucketRow `xml:"Buckets>Bucket"`
}

func (h handlers) listBuckets(e entry) (any, error) {
	doc := bucketsDoc{Owner: e.owner()}
	l := object.Listing{Limit: object.MaxListing}
	for {
		entries, err := h.store.Containers(e.c.Context(), e.Account, l)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			doc.Buckets = append(doc.Buckets, bucketRow{entry.Name, stamp(entry.CreatedAt.Time())})
		}
		if len(entries) < l.Limit {
			return answer(doc)
		}
		l.Marker = entries[len(entries)-1].Name
	}
}
