package api_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"nacre/internal/object"
)

func TestReplies(t *testing.T) {
	s := start(t, t.TempDir())
	same(t, "container-put", s.call(t, demo, "PUT", box, "", "X-Container-Meta-Color: red"))
	same(t, "container-put-again", s.call(t, demo, "PUT", box, ""))
	same(t, "container-empty", s.call(t, demo, "GET", box, ""))
	same(t, "object-put", s.call(t, demo, "PUT", box+"/a/b.txt", "hello", "Content-Type: text/plain", "X-Object-Meta-Author: ann",
		"Content-Disposition: attachment"))
	same(t, "object-get", s.call(t, demo, "GET", box+"/a/b.txt", ""))
	same(t, "object-head", s.call(t, demo, "HEAD", box+"/a/b.txt", ""))
	same(t, "object-range", s.call(t, demo, "GET", box+"/a/b.txt", "", "Range: bytes=1-3"))
	same(t, "object-range-beyond", s.call(t, demo, "GET", box+"/a/b.txt", "", "Range: bytes=9-"))
	same(t, "object-not-modified", s.call(t, demo, "GET", box+"/a/b.txt", "", "If-None-Match: 5d41402abc4b2a76b9719d911017c592"))
	same(t, "object-missing", s.call(t, demo, "GET", box+"/none", ""))
	s.put(t, box+"/c&d", "xyz", "Content-Type: a/b")
	same(t, "list-text", s.call(t, demo, "GET", box, ""))
	same(t, "list-json", s.call(t, demo, "GET", box+"?format=json&delimiter=/", ""))
	same(t, "list-xml", s.call(t, demo, "GET", box+"?delimiter=/", "", "Accept: application/xml"))
	same(t, "container-head", s.call(t, demo, "HEAD", box, ""))
	same(t, "container-not-empty", s.call(t, demo, "DELETE", box, ""))
	same(t, "object-post", s.call(t, demo, "POST", box+"/a/b.txt", "", "X-Object-Meta-Title: t", "Content-Type: text/x"))
	same(t, "object-after-post", s.call(t, demo, "HEAD", box+"/a/b.txt", ""))
	same(t, "object-copy", s.call(t, demo, "COPY", box+"/a/b.txt", "", "Destination: box/new%20one", "X-Object-Meta-More: m"))
	same(t, "account-post", s.call(t, demo, "POST", account, "", "X-Account-Meta-Plan: gold"))
	same(t, "account-head", s.call(t, demo, "HEAD", account, ""))
	same(t, "account-json", s.call(t, demo, "GET", account+"/?format=json", ""))
	same(t, "account-xml", s.call(t, demo, "GET", account+"?format=xml", ""))
	same(t, "object-delete", s.call(t, demo, "DELETE", box+"/a/b.txt", ""))
	same(t, "no-token", s.call(t, "", "GET", box, ""))
	same(t, "another-account", s.call(t, other, "GET", box, ""))
	same(t, "info", s.call(t, "", "GET", "/info", ""))
	r := s.call(t, demo, "HEAD", account, "")
	if !regexp.MustCompile(`^tx[0-9a-f]{21}-[0-9a-f]{10}$`).MatchString(r.header.Get("X-Trans-Id")) {
		t.Errorf("X-Trans-Id is %q", r.header.Get("X-Trans-Id"))
	}
}

func TestBadInput(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	s.put(t, box+"/o", "kept")
	long := func(n int) string { return strings.Repeat("n", n) }
	var tooMany []string
	for i := range object.MaxMetaCount + 1 {
		tooMany = append(tooMany, fmt.Sprintf("X-Object-Meta-K%d: v", i))
	}
	var tooMuch []string
	for i := range 20 {
		tooMuch = append(tooMuch, fmt.Sprintf("X-Container-Meta-K%d: %s", i, long(250)))
	}
	for _, test := range []struct {
		name, token, method, path, body string
		headers                         []string
		status                          int
		want                            string
	}{
		{"no container", demo, "GET", account + "/none", "", nil, 404, "The resource could not be found."},
		{"no container to put into", demo, "PUT", account + "/none/o", "x", nil, 404, "could not be found"},
		{"no container to change", demo, "POST", account + "/none", "", nil, 404, ""},
		{"no container to delete", demo, "DELETE", account + "/none", "", nil, 404, ""},
		{"no object to change", demo, "POST", box + "/none", "", nil, 404, ""},
		{"no object to delete", demo, "DELETE", box + "/none", "", nil, 404, ""},
		{"another's container", other, "PUT", account + "/theirs", "", nil, 403, "Access was denied to this resource."},
		{"admin is no reseller", admin, "GET", account, "", nil, 403, "Access was denied"},
		{"reader writes", reader, "PUT", box + "/x", "x", nil, 403, "Access was denied"},
		{"no role reads", "x/demo/none", "GET", box, "", nil, 403, ""},
		{"bad token", "nonsense", "GET", box, "", nil, 401, "<h1>Unauthorized</h1>"},
		{"not our account", demo, "GET", "/v1/demo", "", nil, 403, ""},
		{"long container", demo, "PUT", account + "/" + long(257), "", nil, 400, "Container name length of 257 longer than 256"},
		{"long object", demo, "PUT", box + "/" + long(1025), "x", nil, 400, "Object name length of 1025 longer than 1024"},
		{"broken UTF-8", demo, "PUT", box + "/%ff", "x", nil, 412, "Invalid UTF8 or contains NULL"},
		{"null", demo, "PUT", box + "/a%00b", "x", nil, 412, "Invalid UTF8 or contains NULL"},
		{"broken UTF-8 in a listing", demo, "GET", box + "?prefix=%ff", "", nil, 400, `"prefix" parameter not valid UTF-8`},
		{"limit", demo, "GET", box + "?limit=10001", "", nil, 412, "Maximum limit is 10000"},
		{"no form", demo, "GET", box, "", []string{"Accept: image/png"}, 406, "acceptable to your browser"},
		{"wrong etag", demo, "PUT", box + "/o", "x", []string{"Etag: 5d41402abc4b2a76b9719d911017c592"}, 422, "Unable to process"},
		{"exists", demo, "PUT", box + "/o", "x", []string{"If-None-Match: *"}, 412, "A precondition for this request was not met."},
		{"condition on put", demo, "PUT", box + "/o", "x", []string{"If-None-Match: abc"}, 400, "If-None-Match only supports *"},
		{"condition on get", demo, "GET", box + "/o", "", []string{"If-Match: abc"}, 412, ""},
		{"long metadata name", demo, "PUT", box + "/o", "x", []string{"X-Object-Meta-" + long(129) + ": v"}, 400, "Metadata name too long"},
		{"long metadata value", demo, "PUT", box + "/o", "x", []string{"X-Object-Meta-A: " + long(257)}, 400, "Metadata value longer than 256"},
		{"too many metadata", demo, "PUT", box + "/o", "x", tooMany, 400, "Too many metadata items; max 90"},
		{"too much metadata", demo, "POST", box, "", tooMuch, 400, "Total metadata too large; max 4096"},
		{"no metadata name", demo, "POST", box, "", []string{"X-Container-Meta-: v"}, 400, "Metadata name cannot be empty"},
		{"manifest of nothing", demo, "PUT", box + "/o", "", []string{"X-Object-Manifest: box"}, 400, "container/prefix"},
		{"no segments", demo, "PUT", box + "/o?multipart-manifest=put", "[]", nil, 400, "at least one"},
		{"segments that are none", demo, "PUT", box + "/o?multipart-manifest=put", `[{"path":"/box/none"}]`, nil, 400, "404 Not Found"},
		{"segments that are no JSON", demo, "PUT", box + "/o?multipart-manifest=put", "<", nil, 400, "valid JSON"},
		{"strange segments", demo, "PUT", box + "/o?multipart-manifest=put", `[{"path":"/box/o","x":1}]`, nil, 400, "valid JSON"},
		{"bad range of a segment", demo, "PUT", box + "/o?multipart-manifest=put", `[{"path":"/box/o","range":"9-2"}]`, nil, 400, "range"},
		{"access list", demo, "POST", box, "", []string{"X-Container-Read: .x:*"}, 400, "Unknown designator"},
		{"referrers who write", demo, "POST", box, "", []string{"X-Container-Write: .r:*"}, 400, "Referrers not allowed in write ACL"},
		{"both kinds of versions", demo, "POST", box, "", []string{"X-Versions-Enabled: true", "X-Versions-Location: v"}, 400, "Cannot enable"},
		{"archive with a slash", demo, "POST", box, "", []string{"X-Versions-Location: a/b"}, 412, "must be a container name"},
		{"expired from the start", demo, "PUT", box + "/x", "x", []string{"X-Delete-At: 1"}, 400, "X-Delete-At in past"},
		{"expiry that is no number", demo, "PUT", box + "/x", "x", []string{"X-Delete-After: soon"}, 400, "Non-integer X-Delete-After"},
		{"link to itself", demo, "PUT", box + "/x", "", []string{"X-Symlink-Target: box/x"}, 400, "cannot target itself"},
		{"link with bytes", demo, "PUT", box + "/x", "x", []string{"X-Symlink-Target: box/o"}, 400, "zero byte body"},
		{"link to another tag", demo, "PUT", box + "/x", "", []string{"X-Symlink-Target: box/o", "X-Symlink-Target-Etag: no"}, 409, "does not match"},
		{"quota that is no number", demo, "POST", box, "", []string{"X-Container-Meta-Quota-Bytes: many"}, 400, "Invalid bytes quota"},
		{"quota of one's own account", demo, "POST", account, "", []string{"X-Account-Meta-Quota-Bytes: 1"}, 403, ""},
		{"archive of no known form", demo, "PUT", box + "?extract-archive=zip", "x", nil, 400, "Unsupported archive format"},
		{"version that is none", demo, "GET", box + "/o?version-id=x", "", nil, 400, "Invalid version"},
		{"version that is gone", demo, "GET", box + "/o?version-id=0000000001.00000", "", nil, 404, ""},
		{"form without a signature", "", "POST", box, "--x--", []string{"Content-Type: multipart/form-data; boundary=x"}, 400, ""},
		{"account that others sell", demo, "PUT", account, "", nil, 403, ""},
		{"policy", demo, "PUT", account + "/gold", "", []string{"X-Storage-Policy: gold"}, 400, "Invalid X-Storage-Policy"},
		{"copy to nowhere", demo, "COPY", box + "/o", "", nil, 412, "Destination header required"},
		{"copy to a container", demo, "COPY", box + "/o", "", []string{"Destination: box"}, 412, "must be of the form"},
		{"copy a container", demo, "COPY", box + "/", "", []string{"Destination: box/x"}, 405, ""},
		{"copy with a body", demo, "PUT", box + "/x", "y", []string{"X-Copy-From: box/o"}, 400, "zero byte body"},
		{"copy from a name with a zero byte", demo, "PUT", box + "/x", "", []string{"X-Copy-From: box/%00"}, 412, "must be of the form"},
		{"zero byte in a query", demo, "GET", box + "?prefix=%00", "", nil, 400, `"prefix" parameter not valid UTF-8`},
		{"copy nothing", demo, "PUT", box + "/x", "", []string{"X-Copy-From: box/none"}, 404, ""},
		{"copy from another's account", demo, "PUT", box + "/x", "", []string{"X-Copy-From: box/o", "X-Copy-From-Account: AUTH_other"}, 403, ""},
		{"wrong method", demo, "PATCH", box + "/o", "", nil, 405, ""},
		{"delete the account", demo, "DELETE", account, "", nil, 403, ""},
		{"not empty", demo, "DELETE", box, "", nil, 409, "There was a conflict when trying to complete your request."},
	} {
		r := s.call(t, test.token, test.method, test.path, test.body, test.headers...)
		if r.status != test.status || !strings.Contains(r.body, test.want) {
			t.Errorf("%s: got %d %s, want %d %s", test.name, r.status, r.body, test.status, test.want)
		}
	}
	if got := s.call(t, demo, "GET", box+"/o", "").body; got != "kept" {
		t.Errorf("refused requests left the object as %q", got)
	}
	if got := s.call(t, demo, "GET", box, "").body; got != "o\n" {
		t.Errorf("refused requests left the container as %q", got)
	}
}

// TestNames keeps names byte for byte.
func TestNames(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, account+"/b%C3%B6x", "")
	names := map[string]string{ // as sent: as kept
		"a//b": "a//b", "a/./b": "a/./b", "a/../b": "a/../b", "/lead": "/lead", "tail/": "tail/", "a%2Fb": "a/b", "%E7%8F%A0%E4%BA%91": "珠云",
		"sp%20ace": "sp ace", "plus+plus": "plus+plus", "per%25cent": "per%cent", "q%3Fx": "q?x", "h%23x": "h#x", "new%0Aline": "new\nline",
		"semi;colon": "semi;colon", "col:on": "col:on", "%F4%8F%BF%BFmax": "\U0010ffffmax",
	}
	for sent, kept := range names {
		s.put(t, account+"/b%C3%B6x/"+sent, kept)
	}
	for sent, kept := range names {
		if got := s.call(t, demo, "GET", account+"/b%C3%B6x/"+sent, "").must(t, 200).body; got != kept {
			t.Errorf("%s holds %q, want %q", sent, got, kept)
		}
		list := s.list(t, account+"/b%C3%B6x", object.Listing{Prefix: kept})
		if len(list) == 0 || list[0] != kept {
			t.Errorf("%s is listed as %q, want %q", sent, list, kept)
		}
	}
	s.call(t, demo, "GET", account+"/b%C3%B6x", "", "Accept: text/xml").must(t, 200)
	// A slash behind a container is still the container; one that is escaped
	// begins the object.
	s.call(t, demo, "HEAD", account+"/b%C3%B6x/", "").must(t, 204)
	if got := s.call(t, demo, "GET", account+"/b%C3%B6x%2Fa%2F%2Fb", "").must(t, 200).body; got != "a//b" {
		t.Errorf("the escaped path holds %q, want a//b", got)
	}
	for sent := range names {
		s.call(t, demo, "DELETE", account+"/b%C3%B6x/"+sent, "").must(t, 204)
	}
	s.call(t, demo, "DELETE", account+"/b%C3%B6x/", "").must(t, 204)
}

func TestConditions(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	made := s.put(t, box+"/o", "0123456789", "Content-Type: text/plain")
	etag, modified := made.header.Get("Etag"), made.header.Get("Last-Modified")
	for _, test := range []struct {
		header string
		status int
		want   string
	}{
		{"If-Match: " + etag, 200, "0123456789"}, {`If-Match: "` + etag + `"`, 200, "0123456789"}, {"If-Match: *", 200, "0123456789"},
		{"If-Match: abc, def", 412, ""}, {"If-None-Match: " + etag, 304, ""}, {`If-None-Match: x, "` + etag + `"`, 304, ""},
		{"If-None-Match: abc", 200, "0123456789"}, {"If-None-Match: *", 304, ""},
		{"If-Modified-Since: " + modified, 304, ""}, {"If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT", 200, "0123456789"},
		{"If-Unmodified-Since: " + modified, 200, "0123456789"}, {"If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT", 412, ""},
		{"Range: bytes=0-2", 206, "012"}, {"Range: bytes=-2", 206, "89"}, {"Range: bytes=8-20", 206, "89"}, {"Range: bytes=10-", 416, ""},
	} {
		r := s.call(t, demo, "GET", box+"/o", "", test.header)
		if r.status != test.status || (r.status < 300 && r.body != test.want) {
			t.Errorf("%s: got %d %q, want %d %q", test.header, r.status, r.body, test.status, test.want)
		}
	}
	many := s.call(t, demo, "GET", box+"/o", "", "Range: bytes=0-1,4-5").must(t, 206)
	if !strings.HasPrefix(many.header.Get("Content-Type"), "multipart/byteranges") {
		t.Errorf("two ranges came as %s", many.header.Get("Content-Type"))
	}
	r := s.call(t, demo, "GET", box+"/o", "", "Range: bytes=0-1", "If-Range: other").must(t, 200)
	if r.body != "0123456789" {
		t.Errorf("If-Range with another tag: got %q", r.body)
	}
}

func TestMetadata(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "", "X-Container-Meta-A: 1", "X-Container-Meta-B: 2")
	s.call(t, demo, "POST", box, "", "X-Container-Meta-B: ", "X-Container-Meta-C: 珠").must(t, 204)
	s.call(t, demo, "POST", box, "", "X-Remove-Container-Meta-A: x", "X-Container-Meta-D_e: 4").must(t, 204)
	h := s.call(t, demo, "HEAD", box, "").must(t, 204).header
	if h.Get("X-Container-Meta-A") != "" || h.Get("X-Container-Meta-B") != "" || h.Get("X-Container-Meta-C") != "珠" || h.Get("X-Container-Meta-D-E") != "4" {
		t.Errorf("container metadata is %v", h)
	}
	s.put(t, box+"/o", "x", "X-Object-Meta-A: 1", "Content-Encoding: gzip", "Content-Type: x/y")
	s.call(t, demo, "POST", box+"/o", "", "X-Object-Meta-B: 2").must(t, 202)
	h = s.call(t, demo, "HEAD", box+"/o", "").must(t, 200).header
	if h.Get("X-Object-Meta-A") != "" || h.Get("X-Object-Meta-B") != "2" || h.Get("Content-Encoding") != "" || h.Get("Content-Type") != "x/y" {
		t.Errorf("object metadata is %v", h)
	}
	s.put(t, box+"/copy", "", "X-Copy-From: /box/o", "X-Object-Meta-C: 3")
	h = s.call(t, demo, "HEAD", box+"/copy", "").must(t, 200).header
	if h.Get("X-Object-Meta-B") != "2" || h.Get("X-Object-Meta-C") != "3" || h.Get("Content-Type") != "x/y" {
		t.Errorf("the copy's metadata is %v", h)
	}
	s.put(t, box+"/copy", "", "X-Copy-From: /box/o", "X-Fresh-Metadata: true", "Content-Type: z/z")
	h = s.call(t, demo, "HEAD", box+"/copy", "").must(t, 200).header
	if h.Get("X-Object-Meta-B") != "" || h.Get("Content-Type") != "z/z" {
		t.Errorf("the fresh copy's metadata is %v", h)
	}
	for name, want := range map[string]string{"a.html": "text/html", "a": "application/octet-stream", "a.png": "image/png"} {
		s.put(t, box+"/"+name, "x")
		if got := s.call(t, demo, "HEAD", box+"/"+name, "").header.Get("Content-Type"); got != want {
			t.Errorf("%s has the type %s, want %s", name, got, want)
		}
	}
}
