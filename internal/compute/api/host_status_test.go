package api_test

import (
	"testing"

	"nacre/internal/db"
)

// What is said of a server's host is what Nova says, in its order: forced down, then
// disabled, then silent.
func TestHostStatus(t *testing.T) {
	c := start(t, options{hosts: 1})
	err := c.policy.Override([]byte("os_compute_api:servers:show:host_status:unknown-only: role:member\n"))
	if err != nil {
		t.Fatal(err)
	}
	id := c.active("web", "")
	service := c.must(200, "admin@2.53", "GET", "/os-services?host=node-1", "").at(t, "services", 0, "id").(string)
	want := func(status, member any) {
		t.Helper()
		for who, want := range map[string]any{"admin": status, "demo": member, "reader": nil} {
			one := c.must(200, who+"@2.16", "GET", "/servers/"+id, "").at(t, "server").(map[string]any)
			query := map[string]string{"admin": "?all_tenants=1"}[who]
			list := c.must(200, who+"@2.16", "GET", "/servers/detail"+query, "").at(t, "servers", 0).(map[string]any)
			for name, server := range map[string]map[string]any{"show": one, "list": list} {
				got, has := server["host_status"]
				if got != want || has != (want != nil) {
					t.Errorf("%s for %s: host_status %v (there: %v), want %v", name, who, got, has, want)
				}
			}
		}
	}
	set := func(body string) {
		t.Helper()
		c.must(200, "admin@2.53", "PUT", "/os-services/"+service, body)
	}
	want("UP", nil)
	set(`{"status":"disabled"}`)
	want("MAINTENANCE", nil)
	set(`{"forced_down":true}`)
	want("DOWN", nil)
	set(`{"forced_down":false,"status":"enabled"}`)

	c.mute.Store("node-1", true)
	c.cut("node-1")
	err = c.db.Write(c.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(c.ctx, "UPDATE hosts SET seen_at = 1") // rather than wait
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	heard := func(status string) {
		t.Helper()
		c.until("the host is "+status, func() bool {
			return c.must(200, "admin@2.16", "GET", "/servers/"+id, "").at(t, "server", "host_status") == status
		})
	}
	heard("UNKNOWN")
	want("UNKNOWN", "UNKNOWN")
	set(`{"status":"disabled"}`)
	want("MAINTENANCE", nil)
	set(`{"forced_down":true}`)
	want("DOWN", nil)
	set(`{"forced_down":false,"status":"enabled"}`)
	want("UNKNOWN", "UNKNOWN")

	c.mute.Delete("node-1")
	heard("UP")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"shelve":null}`)
	c.status(id, "SHELVED_OFFLOADED")
	want("", nil)
}
