package s3_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/signer"

	"nacre/internal/object"
)

func (s *service) sign(r *http.Request, access string) {
	if r.Header.Get("X-Amz-Content-Sha256") == "" {
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	}
	*r = *signer.SignV4(*r, access, "secret-"+access, "", "us-east-1")
}

// TestMinio goes through the life of objects with a real client, by both
// versions of signatures.
func TestMinio(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("v2=%v", old), func(t *testing.T) {
			s := start(t)
			c := s.client(t, "demo", old)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(c.MakeBucket(ctx, "box", minio.MakeBucketOptions{}))
			for _, name := range []string{"a/b c", "a//珠+&", "top"} {
				_, err := c.PutObject(ctx, "box", name, strings.NewReader(name), int64(len(name)), minio.PutObjectOptions{
					ContentType: "text/plain", UserMetadata: map[string]string{"color": "red"}, UserTags: map[string]string{"k": "v w"},
				})
				must(err)
				got, err := c.GetObject(ctx, "box", name, minio.GetObjectOptions{})
				must(err)
				content, err := io.ReadAll(got)
				must(err)
				info, err := got.Stat()
				must(err)
				if string(content) != name || info.UserMetadata["Color"] != "red" || info.UserTagCount != 1 || info.ContentType != "text/plain" {
					t.Errorf("%s is %q, %+v", name, content, info)
				}
			}
			big := make([]byte, 11<<20)
			rand.New(rand.NewSource(1)).Read(big)
			made, err := c.PutObject(ctx, "box", "big", bytes.NewReader(big), -1, minio.PutObjectOptions{PartSize: 5 << 20})
			must(err)
			if !strings.HasSuffix(made.ETag, "-3") {
				t.Errorf("an object in parts has the tag %s", made.ETag)
			}
			opts := minio.GetObjectOptions{}
			must(opts.SetRange(5<<20-3, 10<<20+3))
			got, err := c.GetObject(ctx, "box", "big", opts)
			must(err)
			content, err := io.ReadAll(got)
			must(err)
			if !bytes.Equal(content, big[5<<20-3:10<<20+4]) {
				t.Errorf("a range over three parts has %d other bytes", len(content))
			}
			var names []string
			for o := range c.ListObjects(ctx, "box", minio.ListObjectsOptions{Prefix: "", Recursive: false}) {
				must(o.Err)
				names = append(names, o.Key)
			}
			if strings.Join(names, " ") != "big top a/" {
				t.Errorf("listed %v", names)
			}
			_, err = c.CopyObject(ctx, minio.CopyDestOptions{Bucket: "box", Object: "copy"}, minio.CopySrcOptions{Bucket: "box", Object: "a//珠+&"})
			must(err)
			_, err = c.ComposeObject(ctx, minio.CopyDestOptions{Bucket: "box", Object: "composed"},
				minio.CopySrcOptions{Bucket: "box", Object: "big"}, minio.CopySrcOptions{Bucket: "box", Object: "top"})
			must(err)
			info, err := c.StatObject(ctx, "box", "composed", minio.StatObjectOptions{})
			must(err)
			if info.Size != 11<<20+3 {
				t.Errorf("the composed object has %d bytes", info.Size)
			}
			signed, err := c.PresignedGetObject(ctx, "box", "top", time.Minute, nil)
			must(err)
			reply, err := http.Get(signed.String())
			must(err)
			content, err = io.ReadAll(reply.Body)
			reply.Body.Close()
			must(err)
			if string(content) != "top" || reply.Header.Get("Content-Security-Policy") != "sandbox" || reply.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("the signed URL gives %q, %v", content, reply.Header)
			}
			objects := make(chan minio.ObjectInfo)
			go func() {
				defer close(objects)
				for _, name := range []string{"a/b c", "a//珠+&", "top", "big", "copy", "composed"} {
					objects <- minio.ObjectInfo{Key: name}
				}
			}()
			for e := range c.RemoveObjects(ctx, "box", objects, minio.RemoveObjectsOptions{}) {
				t.Errorf("remove %s: %v", e.ObjectName, e.Err)
			}
			must(c.RemoveBucket(ctx, "box"))
			s.sweep(t)
		})
	}
}

// sweep turns the loops until nothing is to be done, and wants no bytes left.
func (s *service) sweep(t *testing.T) {
	t.Helper()
	for range 2 {
		s.clock.Advance(3 * time.Minute)
		for _, l := range s.objects.Loops() {
			err := l.Once(ctx)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	err := s.blobs.List(ctx, "", func(key string) error { return fmt.Errorf("blob %s is left", key) })
	if err != nil {
		t.Error(err)
	}
}

func TestVersions(t *testing.T) {
	s := start(t)
	c := s.client(t, "demo", false)
	err := c.MakeBucket(ctx, "box", minio.MakeBucketOptions{})
	if err == nil {
		err = c.EnableVersioning(ctx, "box")
	}
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, text := range []string{"1", "22", "333"} {
		info, err := c.PutObject(ctx, "box", "o", strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.VersionID)
	}
	err = c.RemoveObject(ctx, "box", "o", minio.RemoveObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "versions", s.call(t, "demo", "GET", "/box?versions", ""))
	same(t, "versions-page", s.call(t, "demo", "GET", "/box?versions&max-keys=2", ""))
	s.call(t, "demo", "GET", "/box/o", "").must(t, 404)
	marker := s.call(t, "demo", "GET", "/box?versions&max-keys=1", "").body
	_, rest, _ := strings.Cut(marker, "<VersionId>")
	id, _, _ := strings.Cut(rest, "<")
	// Without its marker the object is there again; without that version, the one
	// before it.
	for i, remove := range []string{id, ids[2]} {
		s.call(t, "demo", "DELETE", "/box/o?versionId="+remove, "").must(t, 204)
		if got := s.call(t, "demo", "GET", "/box/o", "").must(t, 200); len(got.body) != 3-i || got.header.Get("X-Amz-Version-Id") != ids[2-i] {
			t.Errorf("after %d removals it is %q", i+1, got.body)
		}
	}
	s.call(t, "demo", "GET", "/box/o?versionId="+ids[2], "").must(t, 404)
	r := s.call(t, "demo", "DELETE", "/box/none", "").must(t, 204)
	if r.header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("deleting nothing left no marker: %v", r.header)
	}
	err = c.SuspendVersioning(ctx, "box")
	if err != nil {
		t.Fatal(err)
	}
	s.call(t, "demo", "PUT", "/box/o", "null").must(t, 200)
	if got := s.call(t, "demo", "GET", "/box/o?versionId=null", "").must(t, 200).body; got != "null" {
		t.Errorf("the null version is %q", got)
	}
}

func TestSettings(t *testing.T) {
	s := start(t)
	c := s.client(t, "demo", false)
	err := c.MakeBucket(ctx, "box", minio.MakeBucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.call(t, "demo", "PUT", "/box/o", "x", "x-amz-acl: public-read").must(t, 200)
	same(t, "bucket-acl", s.call(t, "demo", "GET", "/box?acl", ""))
	same(t, "object-acl", s.call(t, "demo", "GET", "/box/o?acl", ""))
	s.call(t, "demo", "PUT", "/box?acl", "", "x-amz-acl: authenticated-read").must(t, 200)
	same(t, "bucket-acl-set", s.call(t, "demo", "GET", "/box?acl", ""))
	s.call(t, "demo", "PUT", "/box?acl", "", "x-amz-acl: public-read-write").must(t, 501)
	s.call(t, "demo", "PUT", "/box?tagging", "<Tagging><TagSet><Tag><Key>team</Key><Value>red &amp; blue</Value></Tag><Tag><Key>珠</Key><Value>云</Value></Tag></TagSet></Tagging>").must(t, 204)
	same(t, "bucket-tags", s.call(t, "demo", "GET", "/box?tagging", ""))
	s.call(t, "demo", "PUT", "/box/o?tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>").must(t, 200)
	same(t, "object-tags", s.call(t, "demo", "GET", "/box/o?tagging", ""))
	s.call(t, "demo", "DELETE", "/box/o?tagging", "").must(t, 204)
	s.call(t, "demo", "PUT", "/box/o?tagging", "<Tagging><TagSet><Tag><Key></Key><Value>1</Value></Tag></TagSet></Tagging>").must(t, 400)
	s.call(t, "demo", "GET", "/box?cors", "").must(t, 404)
	s.call(t, "demo", "PUT", "/box?cors", "<CORSConfiguration><CORSRule><AllowedOrigin>http://*.example</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"+
		"<AllowedMethod>GET</AllowedMethod><AllowedHeader>content-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>9</MaxAgeSeconds></CORSRule></CORSConfiguration>").must(t, 200)
	same(t, "cors", s.call(t, "demo", "GET", "/box?cors", ""))
	const signed = "/box/o?X-Amz-Credential=demo%2F20261201%2Fus-east-1%2Fs3%2Faws4_request"
	h := s.call(t, "", "OPTIONS", signed, "", "Origin: http://a.example", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: content-type").must(t, 200).header
	if h.Get("Access-Control-Allow-Origin") != "http://a.example" || h.Get("Access-Control-Allow-Headers") != "content-type" || h.Get("Access-Control-Max-Age") != "9" {
		t.Errorf("a page is told %v", h)
	}
	for _, bad := range [][]string{{"Origin: http://a.org", "Access-Control-Request-Method: PUT"}, {"Origin: http://a.example", "Access-Control-Request-Method: DELETE"},
		{"Origin: http://a.example", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-other"}} {
		s.call(t, "", "OPTIONS", signed, "", bad...).must(t, 403)
	}
	s.call(t, "", "OPTIONS", "/box/o", "", "Origin: http://a.example", "Access-Control-Request-Method: PUT").must(t, 403)
	if got := s.call(t, "demo", "GET", "/box/o", "", "Origin: http://a.example").header.Get("Access-Control-Expose-Headers"); got != "ETag" {
		t.Errorf("a page may read %q", got)
	}
	for _, name := range []string{"location", "logging", "versioning", "object-lock", "lifecycle", "policy"} {
		same(t, "bucket-"+name, s.call(t, "demo", "GET", "/box?"+name, ""))
	}
	same(t, "buckets", s.call(t, "demo", "GET", "/", ""))
	same(t, "list", s.call(t, "demo", "GET", "/box?delimiter=%2F", ""))
	same(t, "list2", s.call(t, "demo", "GET", "/box?list-type=2&encoding-type=url", ""))
}

// TestLifecycle lets rules end the life of objects, versions and uploads.
func TestLifecycle(t *testing.T) {
	s := start(t)
	c := s.client(t, "demo", false)
	for _, name := range []string{"box", "old"} {
		err := c.MakeBucket(ctx, name, minio.MakeBucketOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := c.EnableVersioning(ctx, "old")
	if err != nil {
		t.Fatal(err)
	}
	rule := func(id, more string) string {
		return "<Rule><ID>" + id + "</ID><Status>Enabled</Status>" + more + "</Rule>"
	}
	set := func(bucket string, rules ...string) reply {
		return s.call(t, "demo", "PUT", "/"+bucket+"?lifecycle", "<LifecycleConfiguration>"+strings.Join(rules, "")+"</LifecycleConfiguration>")
	}
	set("box", rule("logs", "<Filter><Prefix>log/</Prefix></Filter><Expiration><Days>2</Days></Expiration>"),
		rule("tagged", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>"),
		rule("uploads", "<Filter><Prefix></Prefix></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>")).must(t, 200)
	set("old", rule("old", "<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"+
		"<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>")).must(t, 200)
	same(t, "lifecycle", s.call(t, "demo", "GET", "/box?lifecycle", ""))
	for body, want := range map[string]int{
		rule("x", "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"): 501, rule("x", ""): 400,
		rule("x", "<Expiration><Days>-1</Days></Expiration>"): 400, "": 400,
		rule("x", "<Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></Filter><Expiration><Days>1</Days></Expiration>"): 501,
	} {
		set("box", body).must(t, want)
	}
	s.call(t, "demo", "PUT", "/box/log/1", "x").must(t, 200)
	s.call(t, "demo", "PUT", "/box/kept", "x").must(t, 200)
	s.call(t, "demo", "PUT", "/box/tagged", "x", "x-amz-tagging: k=v").must(t, 200)
	s.call(t, "demo", "POST", "/box/up?uploads", "").must(t, 200)
	for _, text := range []string{"1", "2"} {
		s.call(t, "demo", "PUT", "/old/o", text).must(t, 200)
	}
	s.call(t, "demo", "PUT", "/old/p", "x").must(t, 200)
	s.call(t, "demo", "DELETE", "/old/p", "").must(t, 204)
	left := func() string {
		var names []string
		for _, bucket := range []string{"box", "old"} {
			versions, err := s.objects.Versions(ctx, "AUTH_demo", bucket, object.Listing{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range versions {
				names = append(names, v.Name)
			}
		}
		return strings.Join(names, " ")
	}
	for i, want := range []string{"kept log/1 o", "kept o"} {
		s.clock.Advance(25 * time.Hour)
		for range 2 {
			for _, l := range s.objects.Loops() {
				err = l.Once(ctx)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := left(); got != want {
			t.Errorf("after %d days there are %s, want %s", i+1, got, want)
		}
	}
	uploads, err := s.objects.Uploads(ctx, "AUTH_demo", "box", object.Listing{Limit: 10}, "")
	if err != nil || len(uploads) != 0 {
		t.Errorf("uploads are left: %v, %v", uploads, err)
	}
}

// TestUploads goes through uploads in parts, right and wrong.
func TestUploads(t *testing.T) {
	s := start(t)
	s.call(t, "demo", "PUT", "/box", "").must(t, 200)
	begun := s.call(t, "demo", "POST", "/box/o?uploads", "", "x-amz-meta-a: 1")
	same(t, "upload-begun", begun)
	_, rest, _ := strings.Cut(begun.body, "<UploadId>")
	id, _, _ := strings.Cut(rest, "<")
	at := "/box/o?uploadId=" + id
	part := func(n int, text string) string {
		return s.call(t, "demo", "PUT", fmt.Sprintf("%s&partNumber=%d", at, n), text).must(t, 200).header.Get("Etag")
	}
	five := strings.Repeat("x", object.MinPartSize)
	first, second := part(1, five), part(7, "end")
	part(3, "left out")
	same(t, "upload-parts", s.call(t, "demo", "GET", at, ""))
	same(t, "uploads", s.call(t, "demo", "GET", "/box?uploads", ""))
	ref := func(n int, etag string) string {
		return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, etag)
	}
	complete := func(parts ...string) reply {
		return s.call(t, "demo", "POST", at, "<CompleteMultipartUpload>"+strings.Join(parts, "")+"</CompleteMultipartUpload>")
	}
	for name, r := range map[string]reply{
		"InvalidPartOrder": complete(ref(7, second), ref(1, first)), "InvalidPart": complete(ref(1, first), ref(2, second)),
		"EntityTooSmall": complete(ref(3, `"`+hex.EncodeToString(md5sum("left out"))+`"`), ref(7, second)), "MalformedXML": complete(),
	} {
		if r.status != 400 || !strings.Contains(r.body, "<Code>"+name+"</Code>") {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	s.call(t, "demo", "GET", "/box/o", "").must(t, 404)
	same(t, "upload-completed", complete(ref(1, first), ref(7, second)))
	got := s.call(t, "demo", "GET", "/box/o", "").must(t, 200)
	if got.body != five+"end" || got.header.Get("X-Amz-Meta-A") != "1" {
		t.Errorf("the object has %d bytes, %v", len(got.body), got.header)
	}
	got = s.call(t, "demo", "GET", "/box/o?partNumber=2", "").must(t, 206)
	if got.body != "end" || got.header.Get("X-Amz-Mp-Parts-Count") != "2" {
		t.Errorf("its second part is %q", got.body)
	}
	complete(ref(1, first)).must(t, 404)
	s.call(t, "demo", "PUT", at+"&partNumber=1", "late").must(t, 404)
	begun = s.call(t, "demo", "POST", "/box/p?uploads", "").must(t, 200)
	_, rest, _ = strings.Cut(begun.body, "<UploadId>")
	id, _, _ = strings.Cut(rest, "<")
	s.call(t, "demo", "PUT", "/box/p?partNumber=1&uploadId="+id, "", "x-amz-copy-source: box/o", fmt.Sprintf("x-amz-copy-source-range: bytes=%d-%d", len(five), len(five)+2)).must(t, 200)
	s.call(t, "demo", "PUT", "/box/p?partNumber=10001&uploadId="+id, "x").must(t, 400)
	s.call(t, "demo", "PUT", "/box/other?partNumber=1&uploadId="+id, "x").must(t, 404)
	s.call(t, "demo", "DELETE", "/box/p?uploadId="+id, "").must(t, 204)
	for range 2 {
		s.call(t, "demo", "DELETE", "/box/o", "").must(t, 204)
	}
	s.call(t, "demo", "POST", "/box/q?uploads", "").must(t, 200)
	s.call(t, "demo", "DELETE", "/box", "").must(t, 204)
	s.sweep(t)
}

func md5sum(text string) []byte {
	sum := md5.Sum([]byte(text))
	return sum[:]
}

// TestRefusals sends what must not work.
func TestRefusals(t *testing.T) {
	s := start(t)
	s.call(t, "demo", "PUT", "/box", "").must(t, 200)
	s.call(t, "demo", "PUT", "/box/o", "kept").must(t, 200)
	const bomb = `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>`
	wrongMD5 := base64.StdEncoding.EncodeToString(md5sum("other"))
	for _, test := range []struct {
		name, access, method, path, body string
		headers                          []string
		status                           int
		code                             string
	}{
		{"nobody", "", "GET", "/box", "", nil, 403, "AccessDenied"},
		{"nobody writes", "", "PUT", "/box/x", "x", nil, 403, "AccessDenied"},
		{"nobody lists buckets", "", "GET", "/", "", nil, 403, "AccessDenied"},
		{"another project", "other", "GET", "/box", "", nil, 404, "NoSuchBucket"},
		{"another project writes", "other", "PUT", "/box/x", "x", nil, 404, "NoSuchBucket"},
		{"another project copies", "other", "PUT", "/box/x", "", []string{"x-amz-copy-source: box/o"}, 404, "NoSuchBucket"},
		{"a reader writes", "reader", "PUT", "/box/x", "x", nil, 403, "AccessDenied"},
		{"a reader deletes", "reader", "POST", "/box?delete", "<Delete><Object><Key>o</Key></Object></Delete>", nil, 403, "AccessDenied"},
		{"unknown key", "guess", "GET", "/box", "", nil, 403, "InvalidAccessKeyId"},
		{"disabled user", "none", "GET", "/box", "", nil, 403, "AccessDenied"},
		{"no key there", "demo", "GET", "/box/none", "", nil, 404, "NoSuchKey"},
		{"no version", "demo", "GET", "/box/o?versionId=0000000001.00000", "", nil, 404, "NoSuchVersion"},
		{"no bucket", "demo", "DELETE", "/none", "", nil, 404, "NoSuchBucket"},
		{"again", "demo", "PUT", "/box", "", nil, 409, "BucketAlreadyOwnedByYou"},
		{"not empty", "demo", "DELETE", "/box", "", nil, 409, "BucketNotEmpty"},
		{"bucket with a bad name", "demo", "PUT", "/Box_", "", nil, 400, "InvalidBucketName"},
		{"elsewhere", "demo", "PUT", "/far", "<CreateBucketConfiguration><LocationConstraint>mars</LocationConstraint></CreateBucketConfiguration>", nil, 400, "InvalidLocationConstraint"},
		{"policy", "demo", "PUT", "/new?policy", "{}", nil, 501, "NotImplemented"},
		{"encrypted", "demo", "PUT", "/box/x", "x", []string{"x-amz-server-side-encryption: AES256"}, 501, "NotImplemented"},
		{"storage class", "demo", "PUT", "/box/x", "x", []string{"x-amz-storage-class: GLACIER"}, 400, "InvalidStorageClass"},
		{"long key", "demo", "PUT", "/box/" + strings.Repeat("k", 1025), "x", nil, 400, "KeyTooLongError"},
		{"zero byte", "demo", "PUT", "/box/a%00b", "x", nil, 400, "InvalidURI"},
		{"wrong MD5", "demo", "PUT", "/box/o", "x", []string{"Content-MD5: " + wrongMD5}, 400, "BadDigest"},
		{"MD5 that is none", "demo", "PUT", "/box/o", "x", []string{"Content-MD5: abc"}, 400, "InvalidDigest"},
		{"wrong SHA-256", "demo", "PUT", "/box/o", "x", []string{"x-amz-content-sha256: " + strings.Repeat("0", 64)}, 400, "XAmzContentSHA256Mismatch"},
		{"wrong checksum", "demo", "PUT", "/box/o", "x", []string{"x-amz-checksum-crc32: AAAAAA=="}, 400, "BadDigest"},
		{"wrong checksum of a part", "demo", "PUT", "/box/o", "x", []string{"x-amz-checksum-crc64nvme: AAAAAAAAAAA="}, 400, "BadDigest"},
		{"metadata too large", "demo", "PUT", "/box/x", "x", []string{"x-amz-meta-a: " + strings.Repeat("v", 300)}, 400, "InvalidRequest"},
		{"no copy source", "demo", "PUT", "/box/x", "", []string{"x-amz-copy-source: box"}, 400, "InvalidArgument"},
		{"copy to itself", "demo", "PUT", "/box/o", "", []string{"x-amz-copy-source: /box/o"}, 400, "InvalidRequest"},
		{"copy of another", "demo", "PUT", "/box/x", "", []string{"x-amz-copy-source: box/o", "x-amz-copy-source-if-match: no"}, 412, "PreconditionFailed"},
		{"only if new", "demo", "PUT", "/box/o", "x", []string{"If-None-Match: *"}, 412, "PreconditionFailed"},
		{"only if the same", "demo", "PUT", "/box/o", "x", []string{"If-Match: no"}, 412, "PreconditionFailed"},
		{"read if the same", "demo", "GET", "/box/o", "", []string{"If-Match: \"no\""}, 412, "PreconditionFailed"},
		{"range beyond", "demo", "GET", "/box/o", "", []string{"Range: bytes=9-"}, 416, "InvalidRange"},
		{"part beyond", "demo", "GET", "/box/o?partNumber=2", "", nil, 416, "InvalidPartNumber"},
		{"bomb", "demo", "POST", "/box?delete", bomb, nil, 400, "MalformedXML"},
		{"no XML", "demo", "POST", "/box?delete", "{}", nil, 400, "MalformedXML"},
		{"deep XML", "demo", "POST", "/box?delete", strings.Repeat("<a>", 100_000), nil, 400, "MalformedXML"},
		{"endless XML", "demo", "POST", "/box?delete", "<Delete>" + strings.Repeat(" ", 9<<20), nil, 413, "EntityTooLarge"},
		{"nothing to delete", "demo", "POST", "/box?delete", "<Delete></Delete>", nil, 400, "MalformedXML"},
		{"version status", "demo", "PUT", "/box?versioning", "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", nil, 400, "IllegalVersioningConfigurationException"},
		{"upload that is none", "demo", "PUT", "/box/x?partNumber=1&uploadId=none", "x", nil, 404, "NoSuchUpload"},
		{"wrong method", "demo", "PATCH", "/box/o", "", nil, 405, "MethodNotAllowed"},
		{"continuation that is none", "demo", "GET", "/box?list-type=2&continuation-token=%2525", "", nil, 400, "InvalidArgument"},
		{"limit that is none", "demo", "GET", "/box?max-keys=-1", "", nil, 400, "InvalidArgument"},
		{"form", "demo", "POST", "/box", "x", nil, 501, "NotImplemented"},
	} {
		r := s.call(t, test.access, test.method, test.path, test.body, test.headers...)
		if r.status != test.status || !strings.Contains(r.body, "<Code>"+test.code+"</Code>") {
			t.Errorf("%s: got %d %s, want %d %s", test.name, r.status, r.body, test.status, test.code)
		}
	}
	if got := s.call(t, "demo", "GET", "/box/o", "").must(t, 200).body; got != "kept" {
		t.Errorf("refused requests left the object as %q", got)
	}
	if r := s.call(t, "demo", "HEAD", "/new", ""); r.status != 404 {
		t.Errorf("a policy made a bucket: %d", r.status)
	}
}

// TestForgery changes signed requests on their way, and repeats them later.
func TestForgery(t *testing.T) {
	s := start(t)
	s.call(t, "demo", "PUT", "/box", "").must(t, 200)
	send := func(change func(r *http.Request)) int {
		t.Helper()
		r, err := http.NewRequest("PUT", s.url+"/box/o", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Meta-A", "1")
		s.sign(r, "demo")
		change(r)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := send(func(*http.Request) {}); got != 200 {
		t.Fatalf("an honest request got %d", got)
	}
	for name, change := range map[string]func(r *http.Request){
		"another object": func(r *http.Request) { r.URL.Path = "/box/p" },
		"another method": func(r *http.Request) { r.Method = "DELETE" },
		"another host":   func(r *http.Request) { r.Host = "example.com" },
		"another query":  func(r *http.Request) { r.URL.RawQuery = "acl" },
		"another header": func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "2") },
		"a header more":  func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") },
		"a copy":         func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "box/o") },
		"a later time": func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(time.Minute).Format("20060102T150405Z"))
		},
		"another key's name": func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "demo", "other", 1))
		},
		"no signature": func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a)
		},
		"no scope": func(r *http.Request) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=demo, SignedHeaders=host, Signature=00")
		},
		"basic": func(r *http.Request) { r.Header.Set("Authorization", "Basic ZGVtbzpkZW1v") },
	} {
		if got := send(change); got != 403 && got != 400 {
			t.Errorf("%s: got %d", name, got)
		}
	}
	old, err := http.NewRequest("GET", s.url+"/box/o", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.sign(old, "demo")
	again := func(want int) {
		t.Helper()
		answer, err := http.DefaultClient.Do(old)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("repeated, it got %d, want %d", answer.StatusCode, want)
		}
	}
	again(200)
	s.clock.Advance(16 * time.Minute)
	again(403)
	signed, err := s.client(t, "demo", false).PresignedGetObject(ctx, "box", "o", time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Hour)
	reply, err := http.Get(signed.String())
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if reply.StatusCode != 403 {
		t.Errorf("a URL that has expired got %d", reply.StatusCode)
	}
}
