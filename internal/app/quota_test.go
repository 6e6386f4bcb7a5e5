package app_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"nacre/internal/testcloud"
)

// The last of a quota goes to one of those who ask for it at once.
func TestTheLastOfAQuotaGoesToOne(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo, admin := cloud.Demo(), cloud.Admin()
	project := demo.Project(t)
	admin.Must(t, 200, "PUT", "/compute/v2.1/os-quota-sets/"+project, `{"quota_set":{"instances":1}}`)
	admin.Must(t, 200, "PUT", "/volume/v3/os-quota-sets/"+project, `{"quota_set":{"volumes":1}}`)
	admin.Must(t, 200, "PUT", "/network/v2.0/quotas/"+project, `{"quota":{"floatingip":1}}`)
	private, public, image := demo.Network(t, "private"), demo.Network(t, "public"), demo.Image(t, "cirros")
	for _, c := range []struct {
		path, body    string
		made, refused int
	}{
		{"/compute/v2.1/servers", `{"server":{"name":"s","flavorRef":"1","imageRef":"` + image + `","networks":[{"uuid":"` + private + `"}]}}`,
			http.StatusAccepted, http.StatusForbidden},
		{"/volume/v3/volumes", `{"volume":{"size":1}}`, http.StatusAccepted, http.StatusRequestEntityTooLarge},
		{"/network/v2.0/floatingips", `{"floatingip":{"floating_network_id":"` + public + `"}}`, http.StatusCreated, http.StatusConflict},
	} {
		var made atomic.Int32
		var asking sync.WaitGroup
		for range 16 {
			asking.Go(func() {
				reply := demo.Do(t, "POST", c.path, c.body)
				switch reply.Status {
				case c.made:
					made.Add(1)
				case c.refused:
				default:
					t.Errorf("POST %s: got %d %s, want %d or %d", c.path, reply.Status, reply.Body, c.made, c.refused)
				}
			})
		}
		asking.Wait()
		if made.Load() != 1 {
			t.Errorf("POST %s: %d got the one that was left", c.path, made.Load())
		}
	}
}
