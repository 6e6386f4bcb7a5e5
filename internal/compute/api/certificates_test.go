package api_test

import (
	"fmt"
	"testing"
)

// Who may have signed the image is kept with a server until a rebuild says
// otherwise.
func TestTrustedCertificates(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.server("web", `,"trusted_image_certificates":["a","b"]`)
	c.status(id, "ACTIVE")
	shown := func() string {
		return fmt.Sprint(c.must(200, "demo@2.63", "GET", "/servers/"+id, "").at(t, "server", "trusted_image_certificates"))
	}
	rebuild := func(status int, what string) {
		t.Helper()
		c.must(status, "demo@2.63", "POST", "/servers/"+id+"/action", fmt.Sprintf(`{"rebuild":{"imageRef":%q%s}}`, imageID, what))
		c.status(id, "ACTIVE")
	}
	for _, step := range []struct{ rebuilt, want string }{
		{"", "[a b]"}, {`,"trusted_image_certificates":["c"]`, "[c]"}, {`,"trusted_image_certificates":null`, "<nil>"},
	} {
		rebuild(202, step.rebuilt)
		if got := shown(); got != step.want {
			t.Errorf("rebuilt with %q: got certificates %s, want %s", step.rebuilt, got, step.want)
		}
	}
	for _, bad := range []string{`[]`, `[""]`, `["a","a"]`, `"a"`} {
		rebuild(400, `,"trusted_image_certificates":`+bad)
	}
	c.must(400, "demo@2.63", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"web","flavorRef":"1","networks":"auto","trusted_image_certificates":["a"],
		"block_device_mapping_v2":[{"boot_index":0,"source_type":"image","destination_type":"volume","uuid":%q,"volume_size":1}]}}`, imageID))
}
