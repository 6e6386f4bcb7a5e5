package api_test

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	ns      = "/v2/metadefs/namespaces"
	compute = ns + "/OS::Compute::Quota"
)

func TestDefinitions(t *testing.T) {
	s := start(t, t.TempDir())
	same(t, "namespace-create", s.call(t, admin, "POST", ns, `{"namespace":"OS::Compute::Quota","display_name":"Flavor Quota","visibility":"public",
		"protected":false,"resource_type_associations":[{"name":"OS::Nova::Flavor","prefix":"quota:"},{"name":"My::Type"}],
		"properties":{"cpu_shares":{"title":"CPU shares","type":"integer","minimum":1,"default":1024}},
		"objects":[{"name":"Disk","description":"limits","required":["a"],"properties":{"a":{"title":"A","type":"string","enum":["x","y"]}}}],
		"tags":[{"name":"quota"}]}`))
	same(t, "namespace-show", s.call(t, reader, "GET", compute, ""))
	same(t, "namespace-prefixed", s.call(t, reader, "GET", compute+"?resource_type=OS::Nova::Flavor", ""))
	same(t, "namespaces", s.call(t, reader, "GET", ns+"?resource_types=OS::Nova::Flavor,x&limit=1", ""))
	same(t, "resource-types", s.call(t, reader, "GET", "/v2/metadefs/resource_types", ""))

	same(t, "object-create", s.call(t, admin, "POST", compute+"/objects", `{"name":"CPU","properties":{"b":{"title":"B","type":"number","maximum":2.5}}}`))
	same(t, "objects", s.call(t, reader, "GET", compute+"/objects?sort_key=name&sort_dir=asc", ""))
	same(t, "object-update", s.call(t, admin, "PUT", compute+"/objects/CPU", `{"name":"CPUs","description":"now more"}`))
	s.call(t, reader, "GET", compute+"/objects/CPU", "").must(t, 404)
	same(t, "object-show", s.call(t, reader, "GET", compute+"/objects/CPUs", ""))

	same(t, "property-create", s.call(t, admin, "POST", compute+"/properties", `{"name":"io","title":"I/O","type":"array","items":{"type":"string"},"uniqueItems":true}`))
	same(t, "properties", s.call(t, reader, "GET", compute+"/properties", ""))
	same(t, "property-prefixed", s.call(t, reader, "GET", compute+"/properties/quota:io?resource_type=OS::Nova::Flavor", ""))
	s.call(t, reader, "GET", compute+"/properties/io?resource_type=OS::Nova::Flavor", "").must(t, 404)
	s.call(t, admin, "PUT", compute+"/properties/io", `{"name":"cpu_shares","title":"I/O","type":"array"}`).must(t, 409)

	same(t, "tag-create", s.call(t, admin, "POST", compute+"/tags/one", ""))
	s.call(t, admin, "POST", compute+"/tags", `{"tags":[{"name":"two"}]}`, "X-Openstack-Append: true").must(t, 201)
	same(t, "tags", s.call(t, reader, "GET", compute+"/tags?sort_key=name&sort_dir=asc&marker=one", ""))
	same(t, "tags-replace", s.call(t, admin, "POST", compute+"/tags", `{"tags":[{"name":"b"},{"name":"a"}]}`))
	same(t, "type-add", s.call(t, admin, "POST", compute+"/resource_types", `{"name":"OS::Nova::Server","properties_target":"metadata"}`))
	same(t, "types", s.call(t, reader, "GET", compute+"/resource_types?sort_key=name&sort_dir=asc", ""))

	for _, path := range []string{"/objects/Disk", "/properties/io", "/tags/a", "/resource_types/My::Type", "/objects", "/properties", "/tags"} {
		s.call(t, reader, "DELETE", compute+path, "").must(t, 403)
		s.call(t, admin, "DELETE", compute+path, "").must(t, 204)
	}
	same(t, "namespace-emptied", s.call(t, reader, "GET", compute, ""))
}

// A private namespace is its owner's, a protected one stays, and a renamed one
// takes its definitions along.
func TestNamespaces(t *testing.T) {
	s := start(t, t.TempDir())
	s.call(t, demo, "POST", ns, `{"namespace":"mine"}`).must(t, 403)
	s.call(t, admin, "POST", ns, `{"namespace":"mine","owner":"demo","protected":true,"tags":[{"name":"t"}]}`).must(t, 201)
	s.call(t, admin, "POST", ns, `{"namespace":"mine"}`).must(t, 409)
	s.call(t, other, "GET", ns+"/mine", "").must(t, 404)
	s.call(t, other, "GET", ns+"/mine/tags", "").must(t, 404)
	s.call(t, reader, "GET", ns+"/mine", "").must(t, 200)
	s.call(t, admin, "DELETE", ns+"/mine", "").must(t, 403)
	s.call(t, admin, "DELETE", ns+"/mine/tags/t", "").must(t, 403)
	s.call(t, admin, "PUT", ns+"/mine", `{"namespace":"ours","owner":"demo"}`).must(t, 200)
	s.call(t, reader, "GET", ns+"/mine", "").must(t, 404)
	s.call(t, reader, "GET", ns+"/ours/tags/t", "").must(t, 200)
	s.call(t, admin, "DELETE", ns+"/ours", "").must(t, 204)
	s.call(t, admin, "GET", ns+"/ours/tags/t", "").must(t, 404)
	for body, want := range map[string]int{
		`{}`: 400, `{"namespace":"` + strings.Repeat("x", 81) + `"}`: 400, `{"namespace":"x","visibility":"shared"}`: 400, `{"namespace":"x","created_at":"now"}`: 403,
		`{"namespace":"x","color":"red"}`: 400, `{"namespace":"x","objects":[{"description":"no name"}]}`: 400, `{"namespace":"x","properties":{"p":{"type":"string"}}}`: 400,
	} {
		s.call(t, admin, "POST", ns, body).must(t, want)
	}
}

// Every schema is served under its name, with the definitions it refers to.
func TestSchemas(t *testing.T) {
	s := start(t, t.TempDir())
	for path, want := range map[string]string{
		"image": "image", "images": "images", "member": "member", "members": "members", "task": "task", "tasks": "tasks",
		"metadefs/namespace": "namespace", "metadefs/namespaces": "namespaces", "metadefs/object": "object", "metadefs/objects": "objects",
		"metadefs/property": "property", "metadefs/properties": "properties", "metadefs/tag": "tag", "metadefs/tags": "tags",
		"metadefs/resource_type": "resource_type_association", "metadefs/resource_types": "resource_type_associations",
	} {
		reply := s.call(t, reader, "GET", "/v2/schemas/"+path, "").must(t, 200)
		var schema struct {
			Name        string
			Definitions map[string]any
		}
		err := json.Unmarshal([]byte(reply.body), &schema)
		if err != nil || schema.Name != want {
			t.Errorf("%s: got the name %q (%v), want %q", path, schema.Name, err, want)
		}
		if strings.Contains(reply.body, "#/definitions/") != (len(schema.Definitions) > 0) {
			t.Errorf("%s: refers to definitions it does not have, or has some it does not need", path)
		}
	}
}
