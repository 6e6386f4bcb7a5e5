package api_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"nacre/internal/db"
)

// The password that is answered is the one that the guest finds on its config drive, and
// nowhere else.
func TestAdminPasswordsAreOnTheConfigDrive(t *testing.T) {
	c := start(t, options{hosts: 2})
	on := func(id string) string {
		t.Helper()
		var said struct {
			Pass string `json:"admin_pass"`
		}
		check(t, json.Unmarshal([]byte(c.onDrive(t, id, "meta_data.json")), &said))
		return said.Pass
	}
	for _, asked := range []string{"", `,"adminPass":"s3cret"`} {
		said := func(r reply, path ...any) string {
			t.Helper()
			pass := r.at(t, path...).(string)
			if asked != "" && pass != "s3cret" || pass == "" {
				t.Errorf("%q is answered by the password %q", asked, pass)
			}
			return pass
		}
		r := c.must(202, "demo", "POST", "/servers", fmt.Sprintf(`{"server":{"name":"web","imageRef":%q,"flavorRef":"1","config_drive":true%s}}`, imageID, asked))
		id := r.at(t, "server", "id").(string)
		pass := said(r, "server", "adminPass")
		shown := c.status(id, "ACTIVE")
		if got := on(id); got != pass {
			t.Errorf("made with %q: the drive says %q, want %q", asked, got, pass)
		}
		ip := shown.at(t, "server", "addresses", "private", 0, "addr").(string)
		meta := c.ask(t, c.hostOf(id), ip, "GET", "/openstack/latest/meta_data.json", "")
		var told map[string]any
		check(t, json.Unmarshal(meta.Body, &told))
		if _, has := told["admin_pass"]; meta.Status != 200 || has || told["uuid"] != id {
			t.Errorf("the metadata service says %d %s", meta.Status, meta.Body)
		}
		path := "/servers/" + id + "/action"
		rebuilt := said(c.must(202, "demo", "POST", path, fmt.Sprintf(`{"rebuild":{"imageRef":%q%s}}`, imageID, asked)), "server", "adminPass")
		c.status(id, "ACTIVE")
		if got := on(id); got != rebuilt {
			t.Errorf("rebuilt with %q: the drive says %q, want %q", asked, got, rebuilt)
		}
		body := `{"rescue":null}`
		if asked != "" {
			body = `{"rescue":{"adminPass":"s3cret"}}`
		}
		rescued := said(c.must(200, "demo", "POST", path, body), "adminPass")
		c.status(id, "RESCUE")
		if got := on(id); got != rescued {
			t.Errorf("rescued by %s: the drive says %q, want %q", body, got, rescued)
		}
		c.must(202, "demo", "POST", path, `{"unrescue":null}`)
		c.status(id, "ACTIVE")
		if got := on(id); got != rebuilt {
			t.Errorf("rescued and again as before: the drive says %q, want %q", got, rebuilt)
		}
	}
	var kept int
	other := c.active("other", `,"adminPass":"s3cret"`)
	check(t, c.db.Read(c.ctx, func(tx *db.Tx) error {
		return tx.Get(c.ctx, &kept, "SELECT COUNT(*) FROM server_secrets WHERE server = ? AND admin_pass <> ''", other)
	}))
	if kept != 0 {
		t.Error("the password of a server without a config drive is kept")
	}
}
