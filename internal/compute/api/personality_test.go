package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The files of a server's personality are among its guest's data, until it is
// rebuilt with others or none. Quotas limit them.
func TestPersonality(t *testing.T) {
	c := start(t, options{hosts: 1})
	file := func(path, contents string) string { return fmt.Sprintf(`{"path":%q,"contents":%q}`, path, contents) }
	request := func(files ...string) string {
		return fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","personality":[%s]}}`, imageID, strings.Join(files, ","))
	}
	hello := file("/etc/motd", "aGVsbG8=")
	for _, test := range []struct {
		why, user string
		status    int
		body      string
	}{
		{"six files", "demo", 403, request(slices.Repeat([]string{hello}, 6)...)},
		{"a long path", "demo", 403, request(file("/"+strings.Repeat("x", 255), "aGVsbG8="))},
		{"a long file", "demo", 403, request(file("/x", strings.Repeat("aaaa", 3414)))},
		{"no base 64", "demo", 400, request(file("/x", "hello!"))},
		{"base 64 cut short", "demo", 400, request(file("/x", "aGVsb"))},
		{"a key too many", "demo", 400, request(`{"path":"/x","contents":"","mode":"0644"}`)},
		{"since 2.57", "demo@2.57", 400, strings.Replace(request(hello), `"name"`, `"networks":"auto","name"`, 1)},
	} {
		if r := c.as(test.user, "POST", "/servers", test.body); r.status != test.status {
			t.Errorf("%s: got %d %s, want %d", test.why, r.status, r.body, test.status)
		}
	}

	made := c.must(202, "demo", "POST", "/servers", strings.Replace(request(hello, file("/srv/page", "cGFnZQ==")), `"name"`, `"config_drive":true,"name"`, 1))
	id := made.at(t, "server", "id").(string)
	c.status(id, "ACTIVE")
	ip := c.must(200, "demo", "GET", "/servers/"+id+"/ips", "").at(t, "addresses", "private", 0, "addr").(string)
	hears := func(path, want string) {
		t.Helper()
		if r := c.ask(t, "node-1", ip, "GET", "/openstack/"+path, ""); r.Status != 200 || !strings.Contains(string(r.Body), want) {
			t.Errorf("%s: got %d %q, want %q", path, r.Status, r.Body, want)
		}
	}
	hears("latest/meta_data.json", `"files":[{"content_path":"/content/0000","path":"/etc/motd"},{"content_path":"/content/0001","path":"/srv/page"}]`)
	hears("content/0001", "page")

	c.must(202, "demo", "POST", "/servers/"+id+"/action", fmt.Sprintf(`{"rebuild":{"imageRef":%q,"personality":[%s]}}`, imageID, file("/etc/issue", "bmV3")))
	c.status(id, "ACTIVE")
	hears("latest/meta_data.json", `"files":[{"content_path":"/content/0000","path":"/etc/issue"}]`)
	hears("content/0000", "new")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", fmt.Sprintf(`{"rebuild":{"imageRef":%q}}`, imageID))
	c.status(id, "ACTIVE")
	if r := c.ask(t, "node-1", ip, "GET", "/openstack/content/0000", ""); r.Status != 404 {
		t.Errorf("after a rebuild without files: got %d %q", r.Status, r.Body)
	}
}
