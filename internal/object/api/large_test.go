package api_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"nacre/internal/object"
)

func TestDynamicLargeObjects(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	s.put(t, account+"/parts", "")
	for i, text := range []string{"abc", "defg", "hi"} {
		s.put(t, fmt.Sprintf("%s/parts/big/%d", account, i), text)
	}
	s.put(t, box+"/big", "own", "X-Object-Manifest: parts/big/", "Content-Type: text/x")
	same(t, "dlo-get", s.call(t, demo, "GET", box+"/big", ""))
	same(t, "dlo-head", s.call(t, demo, "HEAD", box+"/big", ""))
	same(t, "dlo-range", s.call(t, demo, "GET", box+"/big", "", "Range: bytes=2-4"))
	if got := s.call(t, demo, "GET", box+"/big?multipart-manifest=get", "").must(t, 200).body; got != "own" {
		t.Errorf("the manifest itself holds %q", got)
	}
	etag := s.call(t, demo, "HEAD", box+"/big", "").header.Get("Etag")
	s.call(t, demo, "GET", box+"/big", "", "If-None-Match: "+etag).must(t, 304)
	s.put(t, box+"/copy", "", "X-Copy-From: box/big")
	if got := s.call(t, demo, "GET", box+"/copy", "").must(t, 200); got.body != "abcdefghi" || got.header.Get("X-Object-Manifest") != "" {
		t.Errorf("the copy is %q, %v", got.body, got.header)
	}
	s.put(t, account+"/parts/big/1", "D")
	if got := s.call(t, demo, "GET", box+"/big", "").must(t, 200).body; got != "abcDhi" {
		t.Errorf("with another segment it is %q", got)
	}
	// Who may read the manifest gets no segments that are not for them.
	s.call(t, demo, "POST", box, "", "X-Container-Read: .r:*").must(t, 204)
	s.call(t, "", "GET", box+"/big", "").must(t, 401)
	s.call(t, demo, "POST", account+"/parts", "", "X-Container-Read: .r:*").must(t, 204)
	s.call(t, "", "GET", box+"/big", "").must(t, 200)
	s.call(t, demo, "POST", box+"/big", "").must(t, 202)
	if got := s.call(t, demo, "GET", box+"/big", "").must(t, 200).body; got != "own" {
		t.Errorf("without its manifest it is %q", got)
	}
}

func TestStaticLargeObjects(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	a := s.put(t, box+"/a", "abc").header.Get("Etag")
	s.put(t, box+"/b", "defghi")
	manifest := fmt.Sprintf(`[{"path":"box/a","etag":%q,"size_bytes":3},{"path":"/box/b","range":"1-2"},{"data":"WFla"}]`, a)
	same(t, "slo-put", s.call(t, demo, "PUT", box+"/big?multipart-manifest=put", manifest, "Content-Type: text/x"))
	same(t, "slo-get", s.call(t, demo, "GET", box+"/big", ""))
	same(t, "slo-head", s.call(t, demo, "HEAD", box+"/big", ""))
	same(t, "slo-manifest", s.call(t, demo, "GET", box+"/big?multipart-manifest=get", ""))
	if raw := s.call(t, demo, "GET", box+"/big?multipart-manifest=get&format=raw", "").must(t, 200).body; !strings.Contains(raw, `"range":"1-2"`) {
		t.Errorf("raw segments are %s", raw)
	}
	same(t, "slo-list", s.call(t, demo, "GET", box+"?format=json&prefix=big", ""))
	if got := s.call(t, demo, "GET", box+"/big", "", "Range: bytes=2-5").must(t, 206).body; got != "cefX" {
		t.Errorf("the range is %q", got)
	}
	s.call(t, demo, "PUT", box+"/outer?multipart-manifest=put", `[{"path":"/box/big"},{"path":"/box/a"}]`).must(t, 201)
	if got := s.call(t, demo, "GET", box+"/outer", "").must(t, 200).body; got != "abcefXYZabc" {
		t.Errorf("the nested object is %q", got)
	}
	s.call(t, demo, "COPY", box+"/big?multipart-manifest=get", "", "Destination: box/again").must(t, 201)
	if h := s.call(t, demo, "HEAD", box+"/again", "").must(t, 200).header; h.Get("X-Static-Large-Object") != "True" {
		t.Errorf("the copy of the manifest is %v", h)
	}
	for body, want := range map[string]string{
		`[{"path":"/box/a","etag":"wrong"}]`: "Etag Mismatch", `[{"path":"/box/a","size_bytes":4}]`: "Size Mismatch",
		`[{"path":"/box/a","range":"7-"}]`: "Unsatisfiable Range", `[{"data":"QQ=="}]`: "at least one object",
		`[{"path":"/other/a"}]`: "404 Not Found", `[{"path":"a"}]`: "does not refer to an object",
	} {
		r := s.call(t, demo, "PUT", box+"/bad?multipart-manifest=put", body)
		if r.status != 400 || !strings.Contains(r.body, want) {
			t.Errorf("%s: got %d %s, want 400 %s", body, r.status, r.body, want)
		}
	}
	s.put(t, box+"/a", "ABC") // of the same size
	s.call(t, demo, "GET", box+"/big", "").must(t, 409)
	r := s.call(t, demo, "DELETE", box+"/outer?multipart-manifest=delete", "", "Accept: application/json").must(t, 200)
	var counts map[string]any
	err := json.Unmarshal([]byte(r.body), &counts)
	if err != nil || counts["Number Deleted"] != 4.0 || counts["Number Not Found"] != 1.0 {
		t.Errorf("deleting it with its segments gives %s", r.body)
	}
	if list := s.list(t, box, object.Listing{}); !slices.Equal(list, []string{"again"}) {
		t.Errorf("left are %v", list)
	}
	s.call(t, demo, "GET", box+"/again", "").must(t, 409)
}

// TestNesting builds large objects of large objects that would have billions of
// pieces.
func TestNesting(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	s.put(t, box+"/0", "x")
	refused := false
	for level := 1; level < 9 && !refused; level++ {
		s.put(t, fmt.Sprintf("%s/d%d/self", box, level), "", fmt.Sprintf("X-Object-Manifest: box/d%d/", level-1))
		segment := fmt.Sprintf(`{"path":"/box/%d"},`, level-1)
		r := s.call(t, demo, "PUT", fmt.Sprintf("%s/%d?multipart-manifest=put", box, level), "["+strings.TrimSuffix(strings.Repeat(segment, 100), ",")+"]")
		refused = r.status == 400 && strings.Contains(r.body, "409 Conflict")
		if !refused && r.status != 201 {
			t.Fatalf("level %d: got %d %.100s", level, r.status, r.body)
		}
	}
	if !refused {
		t.Error("large objects nest without end")
	}
	s.put(t, box+"/d0/self", "", "X-Object-Manifest: box/d1/")
	s.call(t, demo, "GET", box+"/d1/self", "").must(t, 409)
}

func TestLinks(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	etag := s.put(t, box+"/o", "target", "X-Object-Meta-A: 1").header.Get("Etag")
	s.put(t, box+"/l", "", "X-Symlink-Target: box/o")
	same(t, "link-get", s.call(t, demo, "GET", box+"/l", ""))
	same(t, "link-itself", s.call(t, demo, "GET", box+"/l?symlink=get", ""))
	s.put(t, box+"/l2", "", "X-Symlink-Target: box/l")
	s.call(t, demo, "GET", box+"/l2", "").must(t, 200)
	s.put(t, box+"/l3", "", "X-Symlink-Target: box/l2")
	s.call(t, demo, "GET", box+"/l3", "").must(t, 409)
	s.put(t, box+"/static", "", "X-Symlink-Target: box/o", "X-Symlink-Target-Etag: "+etag)
	s.call(t, demo, "GET", box+"/static", "").must(t, 200)
	if h := s.call(t, demo, "POST", box+"/l", "", "X-Object-Meta-B: 2").must(t, 307).header; h.Get("Location") != box+"/o" {
		t.Errorf("POST to the link leads to %s", h.Get("Location"))
	}
	s.put(t, box+"/o", "changed")
	s.call(t, demo, "GET", box+"/static", "").must(t, 409)
	s.put(t, box+"/loop1", "", "X-Symlink-Target: box/loop2")
	s.put(t, box+"/loop2", "", "X-Symlink-Target: box/loop1")
	s.call(t, demo, "GET", box+"/loop1", "").must(t, 409)
	s.call(t, demo, "DELETE", box+"/l", "").must(t, 204)
	s.call(t, demo, "GET", box+"/o", "").must(t, 200)
	s.put(t, box+"/away", "", "X-Symlink-Target: box/o", "X-Symlink-Target-Account: AUTH_other")
	s.call(t, demo, "GET", box+"/away", "").must(t, 403)
}

func TestExpiry(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	at := s.clock.Now().Unix() + 100
	s.put(t, box+"/o", "x", fmt.Sprintf("X-Delete-At: %d", at))
	s.put(t, box+"/after", "x", "X-Delete-After: 100")
	s.put(t, box+"/kept", "x", "X-Delete-After: 100")
	if got := s.call(t, demo, "HEAD", box+"/after", "").header.Get("X-Delete-At"); got != fmt.Sprint(at) {
		t.Errorf("it expires at %s, want %d", got, at)
	}
	s.call(t, demo, "POST", box+"/kept", "").must(t, 202)
	s.clock.Advance(101 * time.Second)
	s.call(t, demo, "GET", box+"/o", "").must(t, 404)
	s.call(t, demo, "HEAD", box+"/after", "").must(t, 404)
	s.call(t, demo, "POST", box+"/o", "").must(t, 404)
	s.put(t, box+"/o", "new", "If-None-Match: *")
	s.turn(t)
	s.turn(t)
	if list := s.list(t, box, object.Listing{}); !slices.Equal(list, []string{"kept", "o"}) {
		t.Errorf("left are %v", list)
	}
	if keys := s.keys(t); len(keys) != 2 {
		t.Errorf("got %d blobs, want 2", len(keys))
	}
	if h := s.call(t, demo, "HEAD", box, "").header; h.Get("X-Container-Object-Count") != "2" || h.Get("X-Container-Bytes-Used") != "4" {
		t.Errorf("the container counts %v", h)
	}
}

func TestQuotas(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "", "X-Container-Meta-Quota-Bytes: 10", "X-Container-Meta-Quota-Count: 2")
	s.put(t, box+"/a", "12345")
	s.call(t, demo, "PUT", box+"/b", "123456").must(t, 413)
	s.put(t, box+"/b", "12345")
	s.call(t, demo, "PUT", box+"/c", "").must(t, 413)
	s.put(t, box+"/b", "54321") // in place of the former
	s.call(t, demo, "PUT", box+"/c", "", "X-Copy-From: box/a").must(t, 413)
	s.put(t, account+"/free", "")
	s.call(t, seller, "POST", account, "", "X-Account-Meta-Quota-Bytes: 12").must(t, 204)
	s.call(t, demo, "PUT", account+"/free/x", "123").must(t, 413)
	s.put(t, account+"/free/x", "12")
	if h := s.call(t, demo, "HEAD", account, "").header; h.Get("X-Account-Meta-Quota-Bytes") != "12" {
		t.Errorf("the account's quota is shown as %v", h)
	}
	s.call(t, seller, "POST", account, "", "X-Account-Meta-Quota-Bytes: ").must(t, 204)
	s.put(t, account+"/free/x", "12345")
}

// archive makes a tar of files.
func archive(t *testing.T, files map[string]string, zipped bool) string {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(&out)
	if zipped {
		w = tar.NewWriter(zip)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(files[name])), Mode: 0o600,
			PAXRecords: map[string]string{"SCHILY.xattr.user.meta.color": "red"}})
		if err == nil {
			_, err = w.Write([]byte(files[name]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err := w.Close()
	if err == nil && zipped {
		err = zip.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestBulk(t *testing.T) {
	s := start(t, t.TempDir())
	files := map[string]string{"./a.txt": "one", "dir/b": "two", "../up": "three"}
	same(t, "bulk-extract", s.call(t, demo, "PUT", box+"/in?extract-archive=tar.gz", archive(t, files, true)))
	if list := s.list(t, box, object.Listing{}); !slices.Equal(list, []string{"in/../up", "in/a.txt", "in/dir/b"}) {
		t.Errorf("extracted were %v", list)
	}
	if h := s.call(t, demo, "HEAD", box+"/in/a.txt", "").must(t, 200).header; h.Get("X-Object-Meta-Color") != "red" || h.Get("Content-Type") != "text/plain" {
		t.Errorf("a file became %v", h)
	}
	s.call(t, demo, "PUT", account+"?extract-archive=tar", archive(t, map[string]string{"c1/x": "1", "c2/y": "2"}, false)).must(t, 200)
	s.call(t, demo, "HEAD", account+"/c2/y", "").must(t, 200)
	r := s.call(t, demo, "PUT", box+"?extract-archive=tar.gz", "no archive", "Accept: application/json").must(t, 200)
	if !strings.Contains(r.body, `"Response Status":"400 Bad Request"`) {
		t.Errorf("no archive gives %s", r.body)
	}
	cut := archive(t, map[string]string{"whole": "1", "zorn": strings.Repeat("x", 4000)}, false)
	r = s.call(t, demo, "PUT", account+"/cut?extract-archive=tar", cut[:len(cut)-4000]).must(t, 200)
	if list := s.list(t, account+"/cut", object.Listing{}); !slices.Equal(list, []string{"whole"}) || !strings.Contains(r.body, "400 Bad Request") {
		t.Errorf("an archive that is cut off left %v: %s", list, r.body)
	}
	same(t, "bulk-delete", s.call(t, demo, "POST", account+"?bulk-delete", "box/in/a.txt\n/box/in/dir%2Fb\nbox/none\nc1\n%ff\n", "Content-Type: text/plain"))
	same(t, "bulk-delete-xml", s.call(t, demo, "DELETE", account+"/?bulk-delete", "c1/x\nc1\n", "Accept: application/xml"))
	s.call(t, other, "POST", account+"?bulk-delete", "c2/y\n").must(t, 403)
	s.call(t, demo, "HEAD", account+"/c2/y", "").must(t, 200)
	r = s.call(t, demo, "POST", account+"?bulk-delete", strings.Repeat("n", 100_000)).must(t, 200)
	if !strings.Contains(r.body, "Line is too long") {
		t.Errorf("a long line gives %s", r.body)
	}
}

func TestDeleteAccount(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "", "X-Versions-Enabled: true")
	s.put(t, box+"/o", "1")
	s.put(t, box+"/o", "2")
	s.call(t, seller, "DELETE", account, "").must(t, 204)
	s.call(t, demo, "GET", account, "").must(t, 410)
	s.call(t, demo, "PUT", account+"/new", "").must(t, 410)
	s.turn(t)
	s.turn(t)
	s.call(t, demo, "GET", account, "").must(t, 204)
	if keys := s.keys(t); len(keys) != 0 {
		t.Errorf("left are the blobs %v", keys)
	}
}
