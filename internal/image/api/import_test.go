package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nacre/internal/db"
	"nacre/internal/image"
	"nacre/internal/quota"
)

// source serves paths to the web-download.
func source(t *testing.T, pages map[string]string) (url, address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, page)
	}))
	t.Cleanup(s.Close)
	return s.URL, strings.TrimPrefix(s.URL, "http://")
}

// work runs the plans until nothing moves.
func (s *service) work(t testing.TB) {
	t.Helper()
	_, err := s.engine.Turn(ctx)
	if err != nil {
		t.Fatal(err)
	}
}

// tasks are the statuses and messages of an image's tasks.
func (s *service) tasks(t testing.TB, token, id string) string {
	t.Helper()
	var reply struct {
		Tasks []struct{ Type, Status, Message string }
	}
	err := json.Unmarshal([]byte(s.call(t, token, "GET", "/v2/images/"+id+"/tasks", "").must(t, 200).body), &reply)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, task := range reply.Tasks {
		out += task.Type + " " + task.Status + " " + task.Message + "; "
	}
	return out
}

func want(t *testing.T, what string, got any, want string) {
	t.Helper()
	if fmt.Sprint(got) != want {
		t.Errorf("%s: got %q, want %q", what, fmt.Sprint(got), want)
	}
}

const queued = `{"disk_format":"raw","container_format":"bare"}`

func TestGlanceDirect(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, queued)
	one := "/v2/images/" + id
	direct := `{"method":{"name":"glance-direct"}}`
	s.call(t, demo, "POST", one+"/import", direct).must(t, 409)
	s.call(t, reader, "PUT", one+"/stage", "hello", octets).must(t, 403)
	s.call(t, demo, "PUT", one+"/stage", "hello").must(t, 415)
	s.call(t, demo, "PUT", one+"/stage", "hello", octets).must(t, 204)
	want(t, "status when staged", s.show(t, demo, id)["status"], "uploading")
	s.call(t, demo, "PUT", one+"/stage", "hello", octets).must(t, 409)
	s.call(t, demo, "PUT", one+"/file", "hello", octets).must(t, 409)
	s.call(t, demo, "GET", one+"/file", "").must(t, 204)
	s.clock.Advance(time.Hour)
	s.turn(t) // what is staged stays

	s.call(t, demo, "POST", one+"/import", direct).must(t, 202)
	got := s.show(t, demo, id)
	want(t, "status when imported", got["status"], "importing")
	want(t, "stores it goes to", got["os_glance_importing_to_stores"], "local")
	s.call(t, demo, "POST", one+"/import", direct).must(t, 409)
	s.work(t)
	got = s.show(t, demo, id)
	want(t, "status", got["status"], "active")
	want(t, "checksum", got["checksum"], "5d41402abc4b2a76b9719d911017c592")
	want(t, "stores", got["stores"], "local")
	want(t, "stores that are left", got["os_glance_importing_to_stores"], "")
	want(t, "stores that failed", got["os_glance_failed_import"], "")
	want(t, "bytes", s.call(t, demo, "GET", one+"/file", "").must(t, 200).body, "hello")
	want(t, "tasks", s.tasks(t, demo, id), "api_image_import success Copied 0 MiB; ")
	want(t, "blobs", len(s.keys(t)), "1")
	s.call(t, demo, "POST", one+"/import", direct).must(t, 409)
}

func TestWebDownload(t *testing.T) {
	url, address := source(t, map[string]string{"/disk": "from the web", "/bad": "QFI\xfb" + strings.Repeat("\x00", 600)})
	s := start(t, t.TempDir(), address)
	elsewhere, _ := source(t, nil)
	ask := func(id, uri, more string) reply {
		return s.call(t, demo, "POST", "/v2/images/"+id+"/import", `{"method":{"name":"web-download","uri":"`+uri+`"}`+more+`}`)
	}
	id := s.create(t, demo, queued)
	for _, uri := range []string{"", "disk.img", "file:///etc/passwd", "ftp://x/y", "http://user:secret@x/y"} {
		ask(id, uri, "").must(t, 400)
	}
	ask(id, url+"/disk", `,"all_stores":true,"stores":["local"]`).must(t, 400)
	ask(id, url+"/disk", `,"all_stores":"yes"`).must(t, 400)
	ask(id, url+"/disk", `,"stores":["nowhere"]`).must(t, 409)
	s.call(t, other, "POST", "/v2/images/"+id+"/import", `{"method":{"name":"web-download","uri":"`+url+`"}}`).must(t, 404)
	s.call(t, demo, "POST", "/v2/images/"+id+"/import", `{"method":{"name":"by-post"}}`).must(t, 400)
	s.call(t, demo, "POST", "/v2/images/"+id+"/import", `{}`).must(t, 400)

	for uri, message := range map[string]string{
		url + "/missing":                 "answered 404 Not Found",
		elsewhere + "/disk":              "not public",
		"http://169.254.169.254/latest/": "not public",
		"http://nowhere.invalid/disk":    "could not be fetched",
		url + "/bad":                     "was refused",
	} {
		ask(id, uri, "").must(t, 202)
		s.work(t)
		got := s.show(t, demo, id)
		want(t, uri+": status", got["status"], "queued")
		want(t, uri+": stores that failed", got["os_glance_failed_import"], "local")
		told := s.tasks(t, demo, id)
		if !strings.Contains(told, "failure") || !strings.Contains(told, message) {
			t.Errorf("%s: got the tasks %q, want a failure that says %q", uri, told, message)
		}
	}
	want(t, "blobs after failures", len(s.keys(t)), "0")

	ask(id, url+"/disk", `,"all_stores":true`).must(t, 202)
	s.work(t)
	got := s.show(t, demo, id)
	want(t, "status", got["status"], "active")
	want(t, "stores", got["stores"], "local,second")
	want(t, "size", got["size"], "12")
	want(t, "blobs", len(s.keys(t)), "1")
	s.call(t, admin, "DELETE", "/v2/stores/local/"+id, "").must(t, 204)
	want(t, "blobs when taken out of the first store", len(s.keys(t)), "0")
	want(t, "bytes from the second store", s.call(t, demo, "GET", "/v2/images/"+id+"/file", "").must(t, 200).body, "from the web")
	s.call(t, admin, "DELETE", "/v2/stores/second/"+id, "").must(t, 403)
	s.call(t, admin, "DELETE", "/v2/stores/local/"+id, "").must(t, 404)
	s.call(t, demo, "DELETE", "/v2/stores/second/"+id, "").must(t, 403)
	s.turn(t)
	want(t, "bytes after the sweep", s.call(t, demo, "GET", "/v2/images/"+id+"/file", "").must(t, 200).body, "from the web")
}

// An image that is deleted takes its import along.
func TestDeleteDuringImport(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, queued)
	s.call(t, demo, "PUT", "/v2/images/"+id+"/stage", "hello", octets).must(t, 204)
	s.call(t, demo, "POST", "/v2/images/"+id+"/import", `{"method":{"name":"glance-direct"}}`).must(t, 202)
	s.call(t, demo, "DELETE", "/v2/images/"+id, "").must(t, 204)
	s.work(t)
	s.call(t, demo, "GET", "/v2/images/"+id, "").must(t, 404)
	want(t, "blobs", len(s.keys(t)), "0")
	var reply struct{ Tasks []struct{ Status string } }
	err := json.Unmarshal([]byte(s.call(t, admin, "GET", "/v2/tasks?type=api_image_import", "").must(t, 200).body), &reply)
	if err != nil || len(reply.Tasks) != 1 || reply.Tasks[0].Status != "failure" {
		t.Errorf("got the tasks %+v (%v), want one that has failed", reply.Tasks, err)
	}
}

func TestCopyImage(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, queued)
	one := "/v2/images/" + id
	ask := func(token, more string) reply {
		return s.call(t, token, "POST", one+"/import", `{"method":{"name":"copy-image"}`+more+`}`)
	}
	ask(admin, `,"all_stores":true`).must(t, 409)
	s.call(t, demo, "PUT", one+"/file", "hello", octets, "X-Image-Meta-Store: nowhere").must(t, 400)
	s.call(t, demo, "PUT", one+"/file", "hello", octets, "X-Image-Meta-Store: second").must(t, 204)
	want(t, "store of the upload", s.show(t, demo, id)["stores"], "second")
	ask(demo, `,"all_stores":true`).must(t, 403)
	ask(admin, `,"stores":["second"]`).must(t, 400)
	ask(admin, `,"stores":["local"]`).must(t, 202)
	s.call(t, admin, "DELETE", "/v2/stores/second/"+id, "").must(t, 409)
	want(t, "status while it is copied", s.show(t, demo, id)["status"], "active")
	s.work(t)
	got := s.show(t, demo, id)
	want(t, "stores", got["stores"], "second,local")
	want(t, "stores that are left", got["os_glance_importing_to_stores"], "")
	ask(admin, `,"all_stores":true`).must(t, 202) // it is everywhere already
	s.work(t)
	want(t, "tasks", s.tasks(t, demo, id), "api_image_import success ; api_image_import success ; ")
	same(t, "locations", blurred(s.call(t, admin, "GET", one+"/locations", "").must(t, 200)))
	s.call(t, demo, "GET", one+"/locations", "").must(t, 403)
	s.call(t, demo, "DELETE", one, "").must(t, 204)
	for i, store := range s.stores {
		n := 0
		err := store.List(ctx, "", func(string) error { n++; return nil })
		if err != nil || n > 0 {
			t.Errorf("store %d has %d blobs left (%v)", i, n, err)
		}
	}
}

// blurred hides what differs between runs.
func blurred(r reply) reply {
	var list []map[string]any
	err := json.Unmarshal([]byte(r.body), &list)
	if err != nil {
		return r
	}
	for _, l := range list {
		l["url"] = strings.SplitAfter(l["url"].(string), "://")[0]
	}
	raw, err := json.Marshal(list)
	if err == nil {
		r.body = string(raw)
		r.header.Del("Content-Length")
	}
	return r
}

func TestLocations(t *testing.T) {
	url, address := source(t, map[string]string{"/disk": "hello"})
	s := start(t, t.TempDir(), address)
	id := s.create(t, demo, queued)
	add := func(body string) reply { return s.call(t, demo, "POST", "/v2/images/"+id+"/locations", body) }
	for _, body := range []string{`{}`, `{"url":"file:///etc/passwd"}`, `{"url":"` + url + `/disk","validation_data":{"os_hash_algo":"md5","os_hash_value":"x"}}`} {
		add(body).must(t, 400)
	}
	add(`{"url":"`+url+`/disk","validation_data":{"checksum":"00000000000000000000000000000000"}}`).must(t, 200)
	s.work(t)
	want(t, "status when the checksum differs", s.show(t, demo, id)["status"], "queued")
	add(`{"url":"`+url+`/disk","validation_data":{"checksum":"5D41402ABC4B2A76B9719D911017C592"}}`).must(t, 200)
	s.work(t)
	want(t, "status", s.show(t, demo, id)["status"], "active")
	add(`{"url":"`+url+`/disk"}`).must(t, 409)
}

func TestTasks(t *testing.T) {
	url, address := source(t, map[string]string{"/disk": "hello"})
	s := start(t, t.TempDir(), address)
	body := `{"type":"import","input":{"import_from":"` + url + `/disk","import_from_format":"raw","image_properties":{"id":"` + oneID + `","name":"x","disk_format":"raw","container_format":"bare"}}}`
	s.call(t, demo, "POST", "/v2/tasks", body).must(t, 403)
	for _, bad := range []string{`{}`, `{"type":"export","input":{}}`, `{"type":"import","input":{}}`, `{"type":"import","input":{"import_from":"file:///x","import_from_format":"raw","image_properties":{}}}`} {
		s.call(t, admin, "POST", "/v2/tasks", bad).must(t, 400)
	}
	made := s.call(t, admin, "POST", "/v2/tasks", body).must(t, 201)
	var task struct{ ID, Status string }
	err := json.Unmarshal([]byte(made.body), &task)
	if err != nil || task.Status != "pending" {
		t.Fatalf("got the task %+v (%v)", task, err)
	}
	s.call(t, admin, "DELETE", "/v2/tasks/"+task.ID, "").must(t, 409)
	s.work(t)
	want(t, "status of the image", s.show(t, admin, oneID)["status"], "active")
	shown := s.call(t, admin, "GET", "/v2/tasks/"+task.ID, "").must(t, 200).body
	if !strings.Contains(shown, `"result":{"image_id":"`+oneID+`"}`) || !strings.Contains(shown, `"expires_at":"2026-12-03T08:00:00Z"`) {
		t.Errorf("got the task %s", shown)
	}
	listed := s.call(t, admin, "GET", "/v2/tasks?status=success&limit=1&sort_dir=asc", "").must(t, 200).body
	if !strings.Contains(listed, task.ID) || strings.Contains(listed, "import_from") {
		t.Errorf("got the list %s", listed)
	}
	s.call(t, admin, "GET", "/v2/tasks?status=done", "").must(t, 400)
	s.call(t, demo, "GET", "/v2/tasks", "").must(t, 403)
	s.clock.Advance(49 * time.Hour)
	s.turn(t)
	s.call(t, admin, "GET", "/v2/tasks/"+task.ID, "").must(t, 404)
}

func TestCache(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, queued)
	s.call(t, admin, "PUT", "/v2/cache/"+id, "").must(t, 400)
	s.call(t, demo, "PUT", "/v2/images/"+id+"/file", "hello", octets).must(t, 204)
	s.call(t, demo, "PUT", "/v2/cache/"+id, "").must(t, 403)
	s.call(t, admin, "PUT", "/v2/cache/"+oneID, "").must(t, 404)
	s.call(t, admin, "PUT", "/v2/cache/"+id, "").must(t, 202)
	state := func() string { return s.call(t, admin, "GET", "/v2/cache", "").must(t, 200).body }
	want(t, "state when queued", state(), `{"cached_images":[],"queued_images":["`+id+`"]}`)
	s.turn(t)
	want(t, "bytes", s.call(t, demo, "GET", "/v2/images/"+id+"/file", "").must(t, 200).body, "hello")
	want(t, "state when cached", state(), `{"cached_images":[{"image_id":"`+id+`","hits":1,"last_accessed":1796112000.0,"last_modified":1796112000.0,"size":5}],"queued_images":[]}`)
	s.call(t, demo, "GET", "/v2/cache", "").must(t, 403)
	s.call(t, admin, "POST", "/v2/cache/clean", "").must(t, 200)
	want(t, "pruned", s.call(t, admin, "POST", "/v2/cache/prune", "").must(t, 200).body, `{"total_files_pruned":0,"total_bytes_pruned":0}`)
	s.call(t, admin, "DELETE", "/v2/cache", "", "X-Image-Cache-Clear-Target: queue").must(t, 204)
	s.call(t, admin, "DELETE", "/v2/cache", "", "X-Image-Cache-Clear-Target: all").must(t, 400)
	if !strings.Contains(state(), id) {
		t.Error("clearing the queue has cleared the cache")
	}
	s.call(t, admin, "DELETE", "/v2/cache/"+id, "").must(t, 204)
	s.call(t, admin, "DELETE", "/v2/cache/"+oneID, "").must(t, 404)
	want(t, "state when dropped", state(), `{"cached_images":[],"queued_images":[]}`)
	s.call(t, admin, "PUT", "/v2/cache/"+id, "").must(t, 202)
	s.turn(t)
	s.call(t, demo, "DELETE", "/v2/images/"+id, "").must(t, 204)
	want(t, "state when the image is gone", state(), `{"cached_images":[],"queued_images":[]}`)
}

func TestQuotas(t *testing.T) {
	s := start(t, t.TempDir())
	set := func(limits map[string]int64) {
		err := s.db.Write(ctx, func(tx *db.Tx) error { return quota.Set(ctx, tx, "demo", limits) })
		if err != nil {
			t.Fatal(err)
		}
	}
	set(map[string]int64{quota.ImageCount: 2, quota.ImageUploading: 1, quota.ImageSize: 0, quota.ImageStaged: 0})
	mib := strings.Repeat("x", 1<<20)
	first, second := s.create(t, demo, queued), s.create(t, demo, queued)
	s.call(t, demo, "POST", "/v2/images", queued).must(t, 413)
	s.call(t, demo, "PUT", "/v2/images/"+first+"/stage", mib, octets).must(t, 204)
	s.call(t, demo, "PUT", "/v2/images/"+second+"/file", "x", octets).must(t, 413)
	same(t, "usage", s.call(t, demo, "GET", "/v2/info/usage", ""))
	s.call(t, demo, "POST", "/v2/images/"+first+"/import", `{"method":{"name":"glance-direct"},"all_stores":true}`).must(t, 202)
	s.work(t)
	s.call(t, demo, "PUT", "/v2/images/"+second+"/file", "x", octets).must(t, 413)
	same(t, "usage-imported", s.call(t, demo, "GET", "/v2/info/usage", ""))
	set(map[string]int64{quota.ImageSize: 2})
	s.call(t, demo, "PUT", "/v2/images/"+second+"/file", "x", octets).must(t, 204)
}

func TestInfo(t *testing.T) {
	s := start(t, t.TempDir())
	same(t, "stores", s.call(t, reader, "GET", "/v2/info/stores", ""))
	same(t, "stores-detail", s.call(t, admin, "GET", "/v2/info/stores/detail", ""))
	s.call(t, demo, "GET", "/v2/info/stores/detail", "").must(t, 403)
	one := s.create(t, demo, queued)
	s.call(t, demo, "PATCH", "/v2/images/"+one, `[{"op":"add","path":"/color","value":"red"}]`, "Content-Type: application/json-patch+json").must(t, 200)
}

// Protected properties are touched and seen by the roles that the file names.
func TestPropertyProtection(t *testing.T) {
	protection, err := image.ParseProtection("# licences\n[^licence_.*]\ncreate = admin\nread = admin, member\nupdate = admin\ndelete = !\n[.*]\ncreate=@\nread=@\nupdate=@\ndelete=@\n")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir())
	s.protection = protection
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	s.call(t, demo, "POST", "/v2/images", `{"licence_key":"x"}`).must(t, 403)
	id := s.create(t, admin, `{"owner":"demo","licence_key":"secret","color":"red"}`)
	one := "/v2/images/" + id
	want(t, "seen by a member", s.show(t, demo, id)["licence_key"], "secret")
	want(t, "seen by a reader", s.show(t, reader, id)["licence_key"], "<nil>")
	want(t, "what is not protected", s.show(t, reader, id)["color"], "red")
	patch := func(token, op string) reply {
		return s.call(t, token, "PATCH", one, `[{"op":"`+op+`","path":"/licence_key","value":"y"}]`, patch21)
	}
	patch(demo, "replace").must(t, 403)
	patch(demo, "remove").must(t, 403)
	patch(admin, "replace").must(t, 200)
	patch(admin, "remove").must(t, 403)
	s.call(t, demo, "PATCH", one, `[{"op":"add","path":"/licence_more","value":"y"}]`, patch21).must(t, 403)
	s.call(t, demo, "PATCH", one, `[{"op":"replace","path":"/name","value":"y"},{"op":"remove","path":"/color"}]`, patch21).must(t, 200)
	for _, bad := range []string{"create = x", "[(]", "[a]\ncreate = x", "[a]\nwrite = x", "[a]\nnothing"} {
		_, err := image.ParseProtection(bad)
		if err == nil {
			t.Errorf("%q: was taken", bad)
		}
	}
}
