package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"nacre/internal/object"
)

// versions lists id, latest and type of all versions.
func (s *service) versions(t *testing.T, query string) []string {
	t.Helper()
	var list []struct {
		Name        string
		Subdir      string
		VersionID   string `json:"version_id"`
		IsLatest    bool   `json:"is_latest"`
		ContentType string `json:"content_type"`
		Bytes       int
	}
	r := s.call(t, demo, "GET", box+"?versions&format=json"+query, "").must(t, 200)
	err := json.Unmarshal([]byte(r.body), &list)
	if err != nil {
		t.Fatal(err, r.body)
	}
	var out []string
	for _, v := range list {
		text := v.Name + v.Subdir + " " + v.VersionID
		if v.IsLatest {
			text += " latest"
		}
		if v.ContentType == object.MarkerType {
			text += " marker"
		}
		out = append(out, text)
	}
	return out
}

func TestVersions(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "")
	s.put(t, box+"/o", "0")
	s.call(t, demo, "POST", box, "", "X-Versions-Enabled: true").must(t, 204)
	first := s.put(t, box+"/o", "1").header.Get("X-Object-Version-Id")
	second := s.put(t, box+"/o", "22").header.Get("X-Object-Version-Id")
	same(t, "versions-json", s.call(t, demo, "GET", box+"?versions&format=json", ""))
	if h := s.call(t, demo, "HEAD", box, "").header; h.Get("X-Container-Object-Count") != "1" || h.Get("X-Container-Bytes-Used") != "4" || h.Get("X-Versions-Enabled") != "True" {
		t.Errorf("the container is %v", h)
	}
	for id, want := range map[string]string{"null": "0", first: "1", second: "22", "": "22"} {
		path := box + "/o"
		if id != "" {
			path += "?version-id=" + id
		}
		if got := s.call(t, demo, "GET", path, "").must(t, 200).body; got != want {
			t.Errorf("version %q is %q, want %q", id, got, want)
		}
	}
	marker := s.call(t, demo, "DELETE", box+"/o", "").must(t, 204).header.Get("X-Object-Version-Id")
	s.call(t, demo, "GET", box+"/o", "").must(t, 404)
	want := []string{"o " + marker + " latest marker", "o " + second, "o " + first, "o null"}
	if got := s.versions(t, ""); !slices.Equal(got, want) {
		t.Errorf("versions are %q, want %q", got, want)
	}
	if got := s.versions(t, "&limit=2"); !slices.Equal(got, want[:2]) {
		t.Errorf("the first page is %q", got)
	}
	if got := s.versions(t, "&limit=2&marker=o&version_marker="+second); !slices.Equal(got, want[2:]) {
		t.Errorf("the second page is %q", got)
	}
	if list := s.list(t, box, object.Listing{}); len(list) != 0 {
		t.Errorf("the container still lists %v", list)
	}
	s.call(t, demo, "DELETE", box, "").must(t, 409)
	s.call(t, demo, "PUT", box+"/o?version-id="+first, "").must(t, 201)
	if got := s.call(t, demo, "GET", box+"/o", "").must(t, 200).body; got != "1" {
		t.Errorf("restored was %q", got)
	}
	s.call(t, demo, "COPY", box+"/o?version-id="+second, "", "Destination: box/p").must(t, 201)
	if got := s.call(t, demo, "GET", box+"/p", "").must(t, 200).body; got != "22" {
		t.Errorf("copied was %q", got)
	}
	s.call(t, demo, "DELETE", box+"/o?version-id="+second, "").must(t, 204)
	s.call(t, demo, "GET", box+"/o?version-id="+second, "").must(t, 404)
	s.call(t, demo, "POST", box, "", "X-Versions-Enabled: false").must(t, 204)
	s.put(t, box+"/o", "n1")
	s.put(t, box+"/o", "n2")
	if got := s.versions(t, "&prefix=o"); len(got) != 3 || got[0] != "o null latest" || !strings.HasSuffix(got[1], "marker") || got[2] != "o "+first {
		t.Errorf("suspended, versions are %q", got)
	}
	s.call(t, demo, "DELETE", box+"/o", "").must(t, 204)
	for _, v := range s.versions(t, "") {
		f := strings.Fields(v)
		s.call(t, demo, "DELETE", box+"/"+f[0]+"?version-id="+f[1], "").must(t, 204)
	}
	s.call(t, demo, "DELETE", box, "").must(t, 204)
	s.turn(t)
	if keys := s.keys(t); len(keys) != 0 {
		t.Errorf("left are the blobs %v", keys)
	}
}

// TestArchive moves former versions to a container of their own.
func TestArchive(t *testing.T) {
	s := start(t, t.TempDir())
	s.put(t, box, "", "X-Versions-Location: old")
	s.put(t, box+"/o", "1")
	s.call(t, demo, "PUT", box+"/o", "2").must(t, 412)
	s.put(t, account+"/old", "")
	s.put(t, box+"/o", "2")
	s.put(t, box+"/o", "3")
	list := s.list(t, account+"/old", object.Listing{})
	if len(list) != 2 || !strings.HasPrefix(list[0], "001o/17961120") {
		t.Errorf("former versions are %v", list)
	}
	for _, want := range []string{"2", "1"} {
		s.call(t, demo, "DELETE", box+"/o", "").must(t, 204)
		if got := s.call(t, demo, "GET", box+"/o", "").must(t, 200).body; got != want {
			t.Errorf("came back %q, want %q", got, want)
		}
	}
	s.call(t, demo, "DELETE", box+"/o", "").must(t, 204)
	s.call(t, demo, "GET", box+"/o", "").must(t, 404)
	s.call(t, demo, "POST", box, "", "X-Remove-Versions-Location: x", "X-History-Location: old").must(t, 204)
	if h := s.call(t, demo, "HEAD", box, "").header; h.Get("X-History-Location") != "old" || h.Get("X-Versions-Location") != "" {
		t.Errorf("the container is %v", h)
	}
	s.put(t, box+"/o", "4")
	s.call(t, demo, "DELETE", box+"/o", "").must(t, 204)
	s.call(t, demo, "GET", box+"/o", "").must(t, 404)
	list = s.list(t, account+"/old", object.Listing{})
	if len(list) != 2 {
		t.Errorf("the history is %v", list)
	}
	if got := s.call(t, demo, "HEAD", account+"/old/"+list[1], "").must(t, 200).header.Get("Content-Type"); got != object.MarkerType {
		t.Errorf("the last entry is %s, want a marker", got)
	}
	for name, want := range map[string]string{box: "0 0", account + "/old": "2 1"} {
		h := s.call(t, demo, "HEAD", name, "").header
		if got := h.Get("X-Container-Object-Count") + " " + h.Get("X-Container-Bytes-Used"); got != want {
			t.Errorf("%s counts %s, want %s", name, got, want)
		}
	}
}
