package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"nacre/internal/db"
)

const (
	oneID = "11111111-1111-4111-8111-111111111111"
	twoID = "22222222-2222-4222-8222-222222222222"

	patch20 = "Content-Type: application/openstack-images-v2.0-json-patch"
	patch21 = "Content-Type: application/openstack-images-v2.1-json-patch"
)

func TestReplies(t *testing.T) {
	s := start(t, t.TempDir())
	one := "/v2/images/" + oneID
	same(t, "create", s.call(t, demo, "POST", "/v2/images", `{"id":"`+oneID+`","name":"cirros","disk_format":"raw","container_format":"bare",
		"min_disk":1,"tags":["b","a","a"],"hw_rng_model":"virtio","owner_specified.openstack.md5":""}`))
	same(t, "create-empty", s.call(t, demo, "POST", "/v2/images", `{"id":"`+twoID+`"}`))
	same(t, "download-queued", s.call(t, demo, "GET", one+"/file", ""))
	same(t, "upload", s.call(t, demo, "PUT", one+"/file", "hello, world", octets))
	same(t, "show", s.call(t, demo, "GET", one, ""))
	same(t, "list", s.call(t, demo, "GET", "/v2/images?sort=name:asc", ""))
	same(t, "list-page", s.call(t, demo, "GET", "/v2/images?limit=1&sort_key=id&sort_dir=asc", ""))
	same(t, "download", s.call(t, demo, "GET", one+"/file", ""))
	same(t, "download-range", s.call(t, demo, "GET", one+"/file", "", "Range: bytes=7-"))
	same(t, "download-range-beyond", s.call(t, demo, "GET", one+"/file", "", "Range: bytes=12-"))
	same(t, "patch", s.call(t, demo, "PATCH", one, `[{"op":"replace","path":"/name","value":"cirros 2"},
		{"op":"add","path":"/os_distro","value":"cirros"},{"op":"replace","path":"/tags","value":["x"]},
		{"op":"remove","path":"/hw_rng_model"},{"op":"replace","path":"/protected","value":true},
		{"op":"replace","path":"/min_disk","value":2},{"op":"replace","path":"/visibility","value":"private"}]`, patch21))
	same(t, "patch-media-type", s.call(t, demo, "PATCH", one, `[]`, "Content-Type: application/json"))
	same(t, "delete-protected", s.call(t, demo, "DELETE", one, ""))
	same(t, "delete-protected-json", s.call(t, demo, "DELETE", one, "", "Accept: application/json"))
	same(t, "not-found", s.call(t, other, "GET", one, ""))
	same(t, "no-token", s.call(t, "", "GET", one, ""))
	same(t, "versions", s.call(t, "", "GET", "/", ""))
	same(t, "schema", s.call(t, demo, "GET", "/v2/schemas/image", ""))
	same(t, "import-info", s.call(t, demo, "GET", "/v2/info/import", ""))
}

func TestBadInput(t *testing.T) {
	s := start(t, t.TempDir())
	s.create(t, demo, `{"id":"`+oneID+`","name":"mine","disk_format":"raw","container_format":"bare","color":"red"}`)
	s.create(t, demo, `{"id":"`+twoID+`","protected":true}`)
	one, two, nobody := "/v2/images/"+oneID, "/v2/images/"+twoID, "/v2/images/33333333-3333-4333-8333-333333333333"
	long := strings.Repeat("x", 256)
	patch := func(op, path, value string) string {
		return `[{"op":"` + op + `","path":"` + path + `","value":` + value + `}]`
	}
	for _, test := range []struct {
		name, token, method, path, body, header string
		status                                  int
		want                                    string
	}{
		{"no body", demo, "POST", "/v2/images", ``, "", 400, "Body expected in request."},
		{"no JSON", demo, "POST", "/v2/images", `{"name":`, "", 400, "Malformed JSON in request body."},
		{"no object", demo, "POST", "/v2/images", `[1]`, "", 400, "Provided object does not match schema"},
		{"long name", demo, "POST", "/v2/images", `{"name":"` + long + `"}`, "", 400, "is too long"},
		{"number as name", demo, "POST", "/v2/images", `{"name":5}`, "", 400, "is not of type"},
		{"property that is no string", demo, "POST", "/v2/images", `{"color":5}`, "", 400, "is not of type"},
		{"long property name", demo, "POST", "/v2/images", `{"` + long + `":"x"}`, "", 400, "should not be greater than 255"},
		{"disk format", demo, "POST", "/v2/images", `{"disk_format":"floppy"}`, "", 400, "floppy"},
		{"visibility", demo, "POST", "/v2/images", `{"visibility":"secret"}`, "", 400, "secret"},
		{"negative disk", demo, "POST", "/v2/images", `{"min_disk":-1}`, "", 400, "Cannot be a negative value"},
		{"huge disk", demo, "POST", "/v2/images", `{"min_disk":99999999999999999999}`, "", 400, "Provided object"},
		{"id", demo, "POST", "/v2/images", `{"id":"../../etc/passwd"}`, "", 400, "does not match"},
		{"id taken", demo, "POST", "/v2/images", `{"id":"` + oneID + `"}`, "", 409, "Image ID " + oneID + " already exists!"},
		{"read-only", demo, "POST", "/v2/images", `{"size":5}`, "", 403, "Attribute 'size' is read-only."},
		{"reserved", demo, "POST", "/v2/images", `{"deleted":"x"}`, "", 403, "Attribute 'deleted' is reserved."},
		{"reserved namespace", demo, "POST", "/v2/images", `{"os_glance_x":"x"}`, "", 403, "Attribute 'os_glance_x' is reserved."},
		{"too many tags", demo, "POST", "/v2/images", `{"tags":` + many(129) + `}`, "", 413, "Attempted: 129, Maximum: 128"},
		{"large body", demo, "POST", "/v2/images", `{"a":"` + strings.Repeat("x", 200000) + `"}`, "", 413, "too large"},
		{"for others", demo, "POST", "/v2/images", `{"owner":"other"}`, "", 403, "You are not permitted to create images owned by 'other'"},
		{"for nobody", "root//admin", "POST", "/v2/images", `{}`, "", 403, "An image needs an owner"},
		{"public", demo, "POST", "/v2/images", `{"visibility":"public"}`, "", 403, "publicize_image"},
		{"reader", reader, "POST", "/v2/images", `{}`, "", 403, "add_image"},
		{"no role", "x/demo/none", "GET", "/v2/images", ``, "", 403, "get_images"},
		{"no such image", demo, "GET", nobody, ``, "", 404, "No image found with ID"},
		{"no such image to delete", demo, "DELETE", nobody, ``, "", 404, "Failed to find image"},
		{"another's image", other, "DELETE", one, ``, "", 404, "Failed to find image"},
		{"another's upload", other, "PUT", one + "/file", `x`, octets, 404, "No image found"},
		{"another's patch", other, "PATCH", one, `[]`, patch21, 404, "No image found"},
		{"reader's delete", reader, "DELETE", one, ``, "", 403, "delete_image"},
		{"reader's patch", reader, "PATCH", one, patch("replace", "/name", `"x"`), patch21, 403, "modify_image"},
		{"wrong method", demo, "POST", one, ``, "", 405, ""},
		{"upload type", demo, "PUT", one + "/file", `x`, "Content-Type: text/plain", 415, "Invalid content type text/plain"},
		{"upload without formats", demo, "PUT", two + "/file", `x`, octets, 400, "Properties disk_format, container_format must be set prior to saving data."},
		{"deactivate queued", demo, "POST", one + "/actions/deactivate", ``, "", 403, "Not allowed to deactivate image in status &#39;queued&#39;"},
		{"protected", demo, "DELETE", two, ``, "", 403, "Image " + twoID + " is protected and cannot be deleted."},
		{"limit", demo, "GET", "/v2/images?limit=x", ``, "", 400, "limit param must be an integer"},
		{"negative limit", demo, "GET", "/v2/images?limit=-1", ``, "", 400, "limit param must be positive"},
		{"marker", demo, "GET", "/v2/images?marker=nothing", ``, "", 400, "No image found with ID nothing"},
		{"another's marker", other, "GET", "/v2/images?marker=" + oneID, ``, "", 400, "No image found with ID"},
		{"sort key", demo, "GET", "/v2/images?sort_key=owner", ``, "", 400, "Invalid sort key: owner. It must be one of the following: name, status"},
		{"sort direction", demo, "GET", "/v2/images?sort_dir=up", ``, "", 400, "Invalid sort direction: up"},
		{"two sort forms", demo, "GET", "/v2/images?sort=name&sort_key=id", ``, "", 400, "Old and new sorting syntax cannot be combined"},
		{"directions", demo, "GET", "/v2/images?sort_key=id&sort_dir=asc&sort_dir=asc", ``, "", 400, "Number of sort dirs does not match"},
		{"list visibility", demo, "GET", "/v2/images?visibility=x", ``, "", 400, "Invalid visibility value: x"},
		{"hidden", demo, "GET", "/v2/images?os_hidden=maybe", ``, "", 400, "Valid values are"},
		{"size", demo, "GET", "/v2/images?size_min=x", ``, "", 400, "non-numeric"},
		{"time", demo, "GET", "/v2/images?created_at=gt:yesterday", ``, "", 400, "Use ISO 8601"},
		{"operator", demo, "GET", "/v2/images?name=like:x", ``, "", 400, "unknown operator"},
		{"open quote", demo, "GET", `/v2/images?name=in:%22x`, ``, "", 400, "quote is not closed"},
		{"patch no list", demo, "PATCH", one, `{}`, patch21, 400, "Request body must be a JSON array of operation objects."},
		{"patch no objects", demo, "PATCH", one, `[1]`, patch21, 400, "Operations must be JSON objects."},
		{"patch no op", demo, "PATCH", one, `[{}]`, patch21, 400, "Unable to find `op` in JSON Schema change."},
		{"patch wrong op", demo, "PATCH", one, `[{"op":"move"}]`, patch21, 400, "Invalid operation: `move`."},
		{"patch no path", demo, "PATCH", one, `[{"op":"add"}]`, patch21, 400, "Unable to find &#39;path&#39;"},
		{"patch no value", demo, "PATCH", one, `[{"op":"add","path":"/a"}]`, patch21, 400, "requires a member named"},
		{"patch relative path", demo, "PATCH", one, patch("add", "a", `"x"`), patch21, 400, "does not start with"},
		{"patch deep path", demo, "PATCH", one, patch("add", "/tags/-", `"x"`), patch21, 400, "Invalid JSON pointer"},
		{"patch tilde", demo, "PATCH", one, patch("add", "/a~", `"x"`), patch21, 400, "recognized escape sequence"},
		{"patch read-only", demo, "PATCH", one, patch("replace", "/status", `"active"`), patch21, 403, "read-only"},
		{"patch locations", demo, "PATCH", one, patch("replace", "/locations", `[]`), patch21, 403, "locations are invisible"},
		{"patch attribute away", demo, "PATCH", one, patch("remove", "/name", `null`), patch21, 403, "Property name may not be removed."},
		{"patch what is not there", demo, "PATCH", one, patch("replace", "/size_of_hat", `"x"`), patch21, 409, "Property size_of_hat does not exist."},
		{"patch type", demo, "PATCH", one, patch("replace", "/min_disk", `"x"`), patch21, 400, "is not of type"},
		{"patch owner", demo, "PATCH", one, patch("replace", "/owner", `"other"`), patch21, 403, "Owner can&#39;t be updated by non admin."},
		{"patch public", demo, "PATCH", one, patch("replace", "/visibility", `"public"`), patch21, 403, "publicize_image"},
		{"old patch two members", demo, "PATCH", one, `[{"add":"/a","remove":"/b"}]`, patch20, 400, "only one member"},
		{"old patch no member", demo, "PATCH", one, `[{"value":"/a"}]`, patch20, 400, "exactly one member"},
		{"old patch add again", demo, "PATCH", one, `[{"add":"/color","value":"blue"}]`, patch20, 409, "already present"},
		{"long tag", demo, "PUT", one + "/tags/" + long, ``, "", 400, "is too long"},
		{"tag that is not there", demo, "DELETE", one + "/tags/none", ``, "", 404, ""},
	} {
		r := s.call(t, test.token, test.method, test.path, test.body, test.header)
		if r.status != test.status || !strings.Contains(r.body, strings.ReplaceAll(test.want, "'", "&#39;")) {
			t.Errorf("%s: got %d %s, want %d %s", test.name, r.status, r.body, test.status, test.want)
		}
	}
	if got := s.show(t, demo, oneID); got["name"] != "mine" || got["color"] != "red" || got["status"] != "queued" {
		t.Errorf("refused requests left the image as %v", got)
	}
}

func many(n int) string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprintf("t%03d", i))
	}
	raw, _ := json.Marshal(tags)
	return string(raw)
}

func TestPatchIsAllOrNothing(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, `{"name":"before"}`)
	s.call(t, demo, "PATCH", "/v2/images/"+id, `[{"op":"replace","path":"/name","value":"after"},{"op":"remove","path":"/nothing"}]`, patch21).must(t, 409)
	if got := s.show(t, demo, id)["name"]; got != "before" {
		t.Errorf("name is %v, want before", got)
	}
	s.call(t, demo, "PATCH", "/v2/images/"+id, `[{"replace":"/name","value":null},{"add":"/a~1b~0c","value":"x"}]`, patch20).must(t, 200)
	got := s.show(t, demo, id)
	if got["name"] != nil || got["a/b~c"] != "x" {
		t.Errorf("got %v, want name null and a/b~c x", got)
	}
	s.call(t, admin, "PATCH", "/v2/images/"+id, `[{"op":"replace","path":"/owner","value":"other"}]`, patch21).must(t, 200)
	s.call(t, demo, "GET", "/v2/images/"+id, "").must(t, 404)
	s.call(t, other, "GET", "/v2/images/"+id, "").must(t, 200)
}

// TestIDsDoNotComeBack: hosts keep images by their id, so that the id of a
// deleted image would bring its bytes to whoever takes it.
func TestIDsDoNotComeBack(t *testing.T) {
	s := start(t, t.TempDir())
	const chosen = "5ae1d5a5-0000-4000-8000-000000000001"
	s.call(t, demo, "POST", "/v2/images", `{"id":"`+chosen+`"}`).must(t, 201)
	s.call(t, demo, "DELETE", "/v2/images/"+chosen, "").must(t, 204)
	r := s.call(t, other, "POST", "/v2/images", `{"id":"`+chosen+`"}`).must(t, 409)
	if !strings.Contains(r.body, "already exists") {
		t.Errorf("got %s", r.body)
	}
}

func TestTags(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, `{"tags":["b"]}`)
	s.call(t, demo, "PUT", "/v2/images/"+id+"/tags/%E7%8F%A0%2F1", "").must(t, 204)
	s.call(t, demo, "PUT", "/v2/images/"+id+"/tags/b", "").must(t, 204)
	if got := fmt.Sprint(s.show(t, demo, id)["tags"]); got != "[b 珠/1]" {
		t.Errorf("tags are %s, want [b 珠/1]", got)
	}
	s.call(t, demo, "DELETE", "/v2/images/"+id+"/tags/b", "").must(t, 204)
	s.call(t, demo, "PATCH", "/v2/images/"+id, `[{"op":"replace","path":"/tags","value":`+many(128)+`}]`, patch21).must(t, 200)
	s.call(t, demo, "PUT", "/v2/images/"+id+"/tags/one-more", "").must(t, 413)
}

// TestVisibility asks for every image as everybody, one by one and in lists.
func TestVisibility(t *testing.T) {
	s := start(t, t.TempDir())
	ids := map[string]string{}
	for _, visibility := range []string{"private", "shared", "community"} {
		ids[visibility] = s.create(t, demo, `{"name":"`+visibility+`","visibility":"`+visibility+`"}`)
	}
	ids["public"] = s.create(t, admin, `{"name":"public","visibility":"public"}`)
	for _, test := range []struct {
		who, query string
		shown      []string // by id
		listed     string
	}{
		{demo, "", []string{"private", "shared", "community", "public"}, "community private public shared"},
		{reader, "?visibility=private", []string{"private", "shared", "community", "public"}, "private"},
		{other, "", []string{"community", "public"}, "public"},
		{other, "?visibility=community", []string{"community", "public"}, "community"},
		{other, "?visibility=all", []string{"community", "public"}, "community public"},
		{other, "?visibility=shared", []string{"community", "public"}, ""},
		{admin, "", []string{"private", "shared", "community", "public"}, "private public shared"},
		{admin, "?visibility=all", []string{"private", "shared", "community", "public"}, "community private public shared"},
	} {
		for visibility, id := range ids {
			want := 404
			if slices.Contains(test.shown, visibility) {
				want = 200
			}
			if got := s.call(t, test.who, "GET", "/v2/images/"+id, "").status; got != want {
				t.Errorf("%s shows the %s image: got %d, want %d", test.who, visibility, got, want)
			}
		}
		got := strings.Join(sorted(s.names(t, test.who, test.query)), " ")
		if got != test.listed {
			t.Errorf("%s lists %q: got %s, want %s", test.who, test.query, got, test.listed)
		}
	}
	// What is seen and is another's can't be changed.
	for _, visibility := range []string{"public", "community"} {
		s.call(t, other, "PATCH", "/v2/images/"+ids[visibility], `[{"op":"add","path":"/a","value":"x"}]`, patch21).must(t, 403)
		s.call(t, other, "DELETE", "/v2/images/"+ids[visibility], "").must(t, 403)
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// names lists all pages.
func (s *service) names(t testing.TB, token, query string) []string {
	t.Helper()
	next := "/v2/images" + query
	var names []string
	for next != "" {
		var page struct {
			Images []struct{ Name string }
			Next   string
		}
		err := json.Unmarshal([]byte(s.call(t, token, "GET", next, "").must(t, 200).body), &page)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Images {
			names = append(names, i.Name)
		}
		next = page.Next
	}
	return names
}

func TestListFilters(t *testing.T) {
	s := start(t, t.TempDir())
	for i := range 30 {
		hidden := i == 29
		s.create(t, demo, fmt.Sprintf(`{"name":"i%02d","min_disk":%d,"os_hidden":%t,"disk_format":%q,"container_format":"bare",
			"tags":["t%d","all"],"color":%q}`, i, i%3, hidden, []string{"raw", "qcow2"}[i%2], i%3, []string{"red", "RED", `a","b":"c`}[i%3]))
		s.clock.Advance(1e9)
	}
	page := s.call(t, demo, "GET", "/v2/images", "").must(t, 200)
	if !strings.Contains(page.body, `"next":"/v2/images?marker=`) || strings.Count(page.body, `"id"`) != 25 {
		t.Errorf("a page is not 25 images and a link: %s", page.body)
	}
	for query, want := range map[string]int{
		"": 29, "?limit=7": 29, "?limit=7&sort=min_disk:asc": -1, "?sort_key=disk_format&sort_key=name&sort_dir=asc&limit=4": 29,
		"?os_hidden=true": 1, "?name=i03": 1, "?name=in:i03,i04,%22i05%22": 3, "?disk_format=eq:raw": 15,
		"?tag=t0": 10, "?tag=t0&tag=all": 10, "?tag=t": 0, "?tag=T0": 0, "?color=red": 10, "?color=RED": 10, "?color=Red": 0,
		"?b=c": 0, "?" + url.Values{"color": {`a","b":"c`}}.Encode(): 9, "?min_disk=2": 9, "?min_disk_max=1": 20,
		"?created_at=gte:2026-12-01T08:00:10Z": 19, "?created_at=2026-12-01T08:00:10Z": 1, "?updated_at=lt:2026-12-01T08:00:10Z": 10,
		"?status=queued": 29, "?status=active": 0, "?owner=demo": 29, "?owner=other": 0, "?protected=true": 0, "?size_min=1": 0,
		"?limit=0": 0, "?nosuchproperty=x": 0,
	} {
		if want < 0 {
			s.call(t, demo, "GET", "/v2/images"+query, "").must(t, 400)
			continue
		}
		got := s.names(t, demo, query)
		if len(got) != want {
			t.Errorf("%s: got %d images %v, want %d", query, len(got), got, want)
		}
		if len(slices.Compact(sorted(got))) != want {
			t.Errorf("%s: an image came twice", query)
		}
	}
	got := s.names(t, demo, "?sort=disk_format:desc,name:asc&limit=4")
	if got[0] != "i00" || got[14] != "i28" || got[15] != "i01" {
		t.Errorf("sorted by disk format and name: got %v", got)
	}
}

// TestEvents reads what leaves through the outbox.
func TestEvents(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, `{"name":"cirros","disk_format":"raw","container_format":"bare","color":"red"}`)
	s.call(t, demo, "PUT", "/v2/images/"+id+"/file", "bytes", octets).must(t, 204)
	s.call(t, demo, "PATCH", "/v2/images/"+id, `[{"op":"replace","path":"/name","value":"x"}]`, patch21).must(t, 200)
	s.call(t, demo, "PATCH", "/v2/images/"+id, `[{"op":"remove","path":"/nothing"}]`, patch21).must(t, 409)
	s.call(t, demo, "DELETE", "/v2/images/"+id, "").must(t, 204)
	var rows []struct{ Topic, Type, Resource, Payload string }
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, "SELECT topic, type, resource, payload FROM outbox ORDER BY seq")
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"image.create queued", "image.prepare saving", "image.upload active", "image.activate active", "image.update active", "image.delete deleted"}
	var got []string
	for _, row := range rows {
		var payload map[string]any
		err := json.Unmarshal([]byte(row.Payload), &payload)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row.Type+" "+payload["status"].(string))
		if row.Topic != "notifications.glance" || row.Resource != id || payload["id"] != id || payload["owner"] != "demo" {
			t.Errorf("event %v is not about the image", row)
		}
		if len(payload) != 20 {
			t.Errorf("event has %d fields, want 20: %v", len(payload), payload)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got events %v, want %v", got, want)
	}
}
