package api_test

import (
	"strings"
	"testing"
)

// An image that is shared is seen by its members, and listed once they accept.
func TestMembers(t *testing.T) {
	s := start(t, t.TempDir())
	id := s.create(t, demo, `{"id":"`+oneID+`","name":"shared","disk_format":"raw","container_format":"bare"}`)
	one, members := "/v2/images/"+id, "/v2/images/"+id+"/members"
	s.call(t, other, "GET", one, "").must(t, 404)
	s.call(t, other, "GET", members, "").must(t, 404)
	same(t, "member-create", s.call(t, demo, "POST", members, `{"member":"other"}`))
	s.call(t, demo, "POST", members, `{"member":"other"}`).must(t, 409)
	s.call(t, demo, "POST", members, `{"member":"third"}`).must(t, 200)
	s.call(t, reader, "POST", members, `{"member":"fourth"}`).must(t, 403)

	listed := func(query string) bool {
		return strings.Contains(s.call(t, other, "GET", "/v2/images"+query, "").must(t, 200).body, id)
	}
	s.call(t, other, "GET", one, "").must(t, 200)
	if listed("") || !listed("?member_status=pending") || !listed("?member_status=all&visibility=shared") || listed("?visibility=private") {
		t.Error("a pending share is listed where it should not be, or not where it should be")
	}
	s.call(t, demo, "PUT", members+"/other", `{"status":"accepted"}`).must(t, 403)
	s.call(t, other, "PUT", members+"/other", `{"status":"maybe"}`).must(t, 400)
	s.call(t, other, "PUT", members+"/third", `{"status":"accepted"}`).must(t, 404)
	same(t, "member-accept", s.call(t, other, "PUT", members+"/other", `{"status":"accepted"}`))
	if !listed("") || listed("?member_status=pending") {
		t.Error("an accepted share is not listed, or is listed as pending")
	}
	same(t, "members-as-owner", s.call(t, demo, "GET", members, ""))
	same(t, "members-as-member", s.call(t, other, "GET", members, ""))
	s.call(t, other, "GET", members+"/third", "").must(t, 404)
	s.call(t, other, "DELETE", members+"/other", "").must(t, 403)
	s.call(t, other, "PATCH", one, `[{"op":"add","path":"/x","value":"y"}]`, patch21).must(t, 403)
	s.call(t, other, "DELETE", one, "").must(t, 403)

	s.call(t, demo, "DELETE", members+"/other", "").must(t, 204)
	s.call(t, demo, "DELETE", members+"/other", "").must(t, 404)
	s.call(t, other, "GET", one, "").must(t, 404)
	s.call(t, demo, "PATCH", one, `[{"op":"replace","path":"/visibility","value":"private"}]`, patch21).must(t, 200)
	s.call(t, demo, "GET", members, "").must(t, 403)
	s.call(t, "carl/third/member", "GET", one, "").must(t, 404)
	s.call(t, demo, "DELETE", one, "").must(t, 204)
}
