package api_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"nacre/internal/object"
)

// Who else calls.
const (
	seller = "sue/any/reseller"
	nobody = ""
)

// TestAccessLists lets others in by container lists, and nobody else.
func TestAccessLists(t *testing.T) {
	s := start(t, t.TempDir())
	for _, test := range []struct {
		name, read, write    string
		token                string
		get, list, put, head int // what GET of an object, GET of the container, PUT and HEAD of an object answer
		referer              string
	}{
		{"private", "", "", other, 403, 403, 403, 403, ""},
		{"private to nobody", "", "", nobody, 401, 401, 401, 401, ""},
		{"one's own", "", "", demo, 200, 200, 201, 200, ""},
		{"by project and user", "other:bob", "", other, 200, 200, 403, 200, ""},
		{"by project", "other:*", "", other, 200, 200, 403, 200, ""},
		{"by user", "*:bob", "", other, 200, 200, 403, 200, ""},
		{"anybody signed in", "*:*", "", other, 200, 200, 403, 200, ""},
		{"anybody signed in is not nobody", "*:*", "", nobody, 401, 401, 401, 401, ""},
		{"by role", "member", "", other, 200, 200, 403, 200, ""},
		{"another user", "other:ann", "", other, 403, 403, 403, 403, ""},
		{"write only", "", "other:*", other, 403, 403, 201, 403, ""},
		{"public", ".r:*", "", nobody, 200, 401, 401, 200, ""},
		{"public with lists", ".r:*,.rlistings", "", nobody, 200, 200, 401, 200, ""},
		{"lists alone are nothing", ".rlistings", "", nobody, 401, 401, 401, 401, ""},
		{"by page", ".r:.example.com", "", nobody, 200, 401, 401, 200, "http://www.example.com/x"},
		{"by another page", ".r:.example.com", "", nobody, 401, 401, 401, 401, "http://example.org/"},
		{"but one page", ".r:*,.r:-bad.org", "", nobody, 401, 401, 401, 401, "http://bad.org/"},
		{"token that is none", ".r:*", "", "nonsense", 200, 401, 401, 200, ""},
		{"reseller", "", "", seller, 200, 200, 201, 200, ""},
	} {
		name := account + "/" + url.PathEscape(test.name)
		s.put(t, name, "", "X-Container-Read: "+test.read, "X-Container-Write: "+test.write)
		s.put(t, name+"/o", "x")
		var headers []string
		if test.referer != "" {
			headers = append(headers, "Referer: "+test.referer)
		}
		got := [4]int{
			s.call(t, test.token, "GET", name+"/o", "", headers...).status, s.call(t, test.token, "GET", name, "", headers...).status,
			s.call(t, test.token, "PUT", name+"/o", "x", headers...).status, s.call(t, test.token, "HEAD", name+"/o", "", headers...).status,
		}
		if want := [4]int{test.get, test.list, test.put, test.head}; got != want {
			t.Errorf("%s: got %v, want %v", test.name, got, want)
		}
		// Lists let nobody manage the container, and are for its owners to see.
		if test.token == demo || test.token == seller {
			continue
		}
		for _, method := range []string{"PUT", "POST", "DELETE"} {
			if status := s.call(t, test.token, method, name, "", "X-Container-Read: .r:*").status; status != 401 && status != 403 {
				t.Errorf("%s: %s of the container got %d", test.name, method, status)
			}
		}
		if h := s.call(t, test.token, "HEAD", name, "", headers...).header; h.Get("X-Container-Read") != "" {
			t.Errorf("%s: the list is shown: %s", test.name, h.Get("X-Container-Read"))
		}
	}
	// A copy reads, whoever may write.
	s.put(t, "/v1/AUTH_other/mine", "", "X-Auth-Token: "+other)
	for _, r := range []reply{
		s.call(t, other, "COPY", account+"/write%20only/o", "", "Destination: mine/o", "Destination-Account: AUTH_other"),
		s.call(t, other, "PUT", "/v1/AUTH_other/mine/o", "", "X-Copy-From: write only/o", "X-Copy-From-Account: AUTH_demo"),
		s.call(t, other, "COPY", account+"/by%20project/o", "", "Destination: by project/p"),
	} {
		r.must(t, 403)
	}
	s.call(t, other, "COPY", account+"/by%20project/o", "", "Destination: mine/o", "Destination-Account: AUTH_other").must(t, 201)
	h := s.call(t, demo, "HEAD", account+"/public", "").header
	if h.Get("X-Container-Read") != ".r:*" {
		t.Errorf("the owner sees the list %q", h.Get("X-Container-Read"))
	}
	s.call(t, demo, "POST", account+"/public", "", "X-Remove-Container-Read: x").must(t, 204)
	s.call(t, nobody, "GET", account+"/public/o", "").must(t, 401)
}

// sign makes a temporary URL.
func sign(key, method, path string, expires int64, more string) string {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s\n%d\n%s", method, expires, path)
	return fmt.Sprintf("%s?temp_url_sig=%s&temp_url_expires=%d%s", path, hex.EncodeToString(mac.Sum(nil)), expires, more)
}

func TestTemporaryURLs(t *testing.T) {
	s := start(t, t.TempDir())
	now := s.clock.Now().Unix()
	s.call(t, demo, "POST", account, "", "X-Account-Meta-Temp-URL-Key: secret", "X-Account-Meta-Temp-URL-Key-2: second").must(t, 204)
	s.put(t, box, "", "X-Container-Meta-Temp-URL-Key: boxed")
	s.put(t, account+"/elsewhere", "")
	s.put(t, account+"/elsewhere/part", "far")
	s.put(t, box+"/o", "bytes", "X-Object-Meta-Note: private", "X-Object-Meta-Public-Note: for all")
	s.put(t, box+"/far", "", "X-Object-Manifest: elsewhere/p")
	path := box + "/o"
	for _, test := range []struct {
		name, method, url, body string
		status                  int
		headers                 []string
	}{
		{"get", "GET", sign("secret", "GET", path, now+60, ""), "", 200, nil},
		{"second key", "GET", sign("second", "GET", path, now+60, ""), "", 200, nil},
		{"container's key", "GET", sign("boxed", "GET", path, now+60, ""), "", 200, nil},
		{"head by get", "HEAD", sign("secret", "GET", path, now+60, ""), "", 200, nil},
		{"another's key", "GET", sign("guess", "GET", path, now+60, ""), "", 401, nil},
		{"no key", "GET", sign("", "GET", path, now+60, ""), "", 401, nil},
		{"expired", "GET", sign("secret", "GET", path, now-1, ""), "", 401, nil},
		{"another method", "PUT", sign("secret", "GET", path, now+60, ""), "x", 401, nil},
		{"another object", "GET", strings.Replace(sign("secret", "GET", path, now+60, ""), "/o?", "/p?", 1), "", 401, nil},
		{"longer than signed", "GET", strings.Replace(sign("secret", "GET", path, now+60, ""), fmt.Sprint(now+60), fmt.Sprint(now+61), 1), "", 401, nil},
		{"half a signature", "GET", path + "?temp_url_sig=aa", "", 401, nil},
		{"put", "PUT", sign("secret", "PUT", box+"/new", now+60, ""), "x", 201, nil},
		{"put a manifest", "PUT", sign("secret", "PUT", box+"/new", now+60, ""), "", 400, []string{"X-Object-Manifest: elsewhere/p"}},
		{"put a link", "PUT", sign("secret", "PUT", box+"/new", now+60, ""), "", 400, []string{"X-Symlink-Target: elsewhere/part"}},
		{"put a copy", "PUT", sign("secret", "PUT", box+"/new", now+60, ""), "", 400, []string{"X-Copy-From: elsewhere/part"}},
		{"put segments", "PUT", sign("secret", "PUT", box+"/new", now+60, "&multipart-manifest=put"), `[{"path":"/elsewhere/part"}]`, 400, nil},
		{"segments of the account", "GET", sign("secret", "GET", box+"/far", now+60, ""), "", 200, nil},
		{"segments beyond the container", "GET", sign("boxed", "GET", box+"/far", now+60, ""), "", 401, nil},
		{"delete", "DELETE", sign("secret", "DELETE", box+"/new", now+60, ""), "", 204, nil},
		{"by a prefix", "GET", strings.Replace(sign("secret", "GET", "prefix:"+path[:len(path)-1], now+60, "&temp_url_prefix="), "prefix:"+path[:len(path)-1], path, 1), "", 200, nil},
		{"by another prefix", "GET", strings.Replace(sign("secret", "GET", "prefix:"+box+"/z", now+60, "&temp_url_prefix=z"), "prefix:"+box+"/z", path, 1), "", 401, nil},
		{"from here", "GET", strings.Replace(sign("secret", "ip=127.0.0.0/8\nGET", path, now+60, "&temp_url_ip_range=127.0.0.0/8"), "", "", 1), "", 200, nil},
		{"from elsewhere", "GET", sign("secret", "ip=10.0.0.0/8\nGET", path, now+60, "&temp_url_ip_range=10.0.0.0/8"), "", 401, nil},
		{"a time in words", "GET", strings.Replace(sign("secret", "GET", path, now+60, ""), fmt.Sprint("expires=", now+60),
			"expires="+time.Unix(now+60, 0).UTC().Format("2006-01-02T15:04:05Z"), 1), "", 200, nil},
	} {
		r := s.call(t, nobody, test.method, test.url, test.body, test.headers...)
		if r.status != test.status {
			t.Errorf("%s: got %d %s, want %d", test.name, r.status, r.body, test.status)
		}
	}
	same(t, "tempurl-get", s.call(t, nobody, "GET", sign("secret", "GET", path, now+60, ""), ""))
	h := s.call(t, nobody, "GET", sign("secret", "GET", path, now+60, "&filename=a%22b%0A.txt"), "").must(t, 200).header
	if got := h.Get("Content-Disposition"); got != `attachment; filename="a%22b.txt"; filename*=UTF-8''a%22b%0A.txt` {
		t.Errorf("the file is called %s", got)
	}
	s.call(t, other, "HEAD", account, "").must(t, 403)
	h = s.call(t, reader, "HEAD", account, "").must(t, 204).header
	if h.Get("X-Account-Meta-Temp-Url-Key") != "" {
		t.Error("a reader sees the key")
	}
}

func TestFormPost(t *testing.T) {
	s := start(t, t.TempDir())
	s.call(t, demo, "POST", account, "", "X-Account-Meta-Temp-URL-Key: secret").must(t, 204)
	s.put(t, box, "")
	expires := s.clock.Now().Unix() + 60
	post := func(key, path, redirect string, size, count int, files ...string) reply {
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s\n%s\n%d\n%d\n%d", path, redirect, size, count, expires)
		var b strings.Builder
		field := func(name, value string) {
			fmt.Fprintf(&b, "--x\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", name, value)
		}
		field("redirect", redirect)
		field("max_file_size", fmt.Sprint(size))
		field("max_file_count", fmt.Sprint(count))
		field("expires", fmt.Sprint(expires))
		field("signature", hex.EncodeToString(mac.Sum(nil)))
		for i, content := range files {
			fmt.Fprintf(&b, "--x\r\nContent-Disposition: form-data; name=\"f%d\"; filename=\"dir/f%d.txt\"\r\nContent-Type: text/plain\r\n\r\n%s\r\n", i, i, content)
		}
		b.WriteString("--x--\r\n")
		return s.call(t, nobody, "POST", path, b.String(), "Content-Type: multipart/form-data; boundary=x")
	}
	post("secret", box+"/up-", "", 10, 2, "one", "two").must(t, 201)
	if got := s.call(t, demo, "GET", box+"/up-dir/f1.txt", "").must(t, 200); got.body != "two" || got.header.Get("Content-Type") != "text/plain" {
		t.Errorf("the second file is %q, %s", got.body, got.header.Get("Content-Type"))
	}
	post("guess", box+"/up-", "", 10, 2, "x").must(t, 401)
	post("secret", box+"/up-", "", 2, 2, "too long").must(t, 413)
	post("secret", box+"/up-", "", 10, 1, "one", "two").must(t, 400)
	post("secret", account+"/none/", "", 10, 1, "one").must(t, 404)
	s.call(t, demo, "GET", box+"/up-dir/f0.txt", "").must(t, 200)
	if list := s.list(t, box, object.Listing{}); len(list) != 2 {
		t.Errorf("the forms left %v", list)
	}
}

// TestCORS answers pages of other origins as the container's metadata says.
func TestCORS(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "", "X-Container-Meta-Access-Control-Allow-Origin: http://a.example http://b.example",
		"X-Container-Meta-Access-Control-Max-Age: 60", "X-Container-Meta-Access-Control-Expose-Headers: X-Extra", "X-Container-Read: .r:*")
	s.put(t, box+"/o", "x")
	same(t, "cors-preflight", s.call(t, nobody, "OPTIONS", box+"/o", "", "Origin: http://a.example", "Access-Control-Request-Method: PUT",
		"Access-Control-Request-Headers: x-auth-token"))
	s.call(t, nobody, "OPTIONS", box+"/o", "", "Origin: http://c.example", "Access-Control-Request-Method: PUT").must(t, 401)
	s.call(t, nobody, "OPTIONS", account+"/none/o", "", "Origin: http://a.example", "Access-Control-Request-Method: PUT").must(t, 401)
	s.call(t, nobody, "OPTIONS", box, "").must(t, 200)
	h := s.call(t, nobody, "GET", box+"/o", "", "Origin: http://b.example").must(t, 200).header
	if h.Get("Access-Control-Allow-Origin") != "http://b.example" || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "x-extra") {
		t.Errorf("a page is told %v", h)
	}
	h = s.call(t, nobody, "GET", box+"/o", "", "Origin: http://c.example").must(t, 200).header
	if h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page that may not is told %v", h)
	}
}

// TestWeb serves a container as a site.
func TestWeb(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "", "X-Container-Read: .r:*", "X-Container-Meta-Web-Index: index.html", "X-Container-Meta-Web-Error: error.html")
	s.put(t, box+"/index.html", "<h1>home</h1>")
	s.put(t, box+"/404error.html", "<h1>gone</h1>")
	s.put(t, box+"/sub/index.html", "<h1>sub</h1>")
	s.put(t, box+"/list/<b>&.txt", "x")
	same(t, "web-index", s.call(t, nobody, "GET", box+"/", ""))
	s.call(t, nobody, "GET", box+"/sub/", "").must(t, 200)
	for _, path := range []string{box, box + "/sub"} {
		h := s.call(t, nobody, "GET", path, "").must(t, 301).header
		if h.Get("Location") != "http://cloud.example:5000"+path+"/" {
			t.Errorf("%s leads to %s", path, h.Get("Location"))
		}
	}
	same(t, "web-error", s.call(t, nobody, "GET", box+"/none", ""))
	s.call(t, nobody, "GET", box+"/list/", "").must(t, 404)
	s.call(t, demo, "POST", box, "", "X-Container-Meta-Web-Listings: true").must(t, 204)
	s.call(t, nobody, "GET", box+"/list/", "").must(t, 401)
	s.call(t, demo, "POST", box, "", "X-Container-Read: .r:*,.rlistings").must(t, 204)
	same(t, "web-listing", s.call(t, nobody, "GET", box+"/list/", ""))
	if got := s.call(t, demo, "GET", box, "").must(t, 200).body; !strings.Contains(got, "sub/index.html\n") {
		t.Errorf("the owner gets %q instead of the listing", got)
	}
	s.call(t, demo, "GET", box+"/", "", "X-Web-Mode: true").must(t, 200)
}

func TestSignIn(t *testing.T) {
	s := start(t, t.TempDir())
	h := s.call(t, nobody, "GET", "/auth/v1.0", "", "X-Auth-User: demo:ann", "X-Auth-Key: demo").must(t, 200).header
	if h.Get("X-Auth-Token") != "ann/demo/member" || h.Get("X-Storage-Url") != "http://cloud.example:5000/v1/AUTH_demo" {
		t.Errorf("signing in gives %v", h)
	}
	s.call(t, nobody, "GET", "/auth/v1.0", "", "X-Auth-User: demo:ann", "X-Auth-Key: wrong").must(t, 401)
	s.call(t, nobody, "GET", "/auth/v1.0", "", "X-Auth-User: ann", "X-Auth-Key: demo").must(t, 401)
	s.call(t, nobody, "GET", "/healthcheck", "").must(t, 200)
	s.call(t, nobody, "GET", "/crossdomain.xml", "").must(t, 200)
}
