package app_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"nacre/internal/app"
	"nacre/internal/testcloud"
)

// A service that tells guests something knows the cloud by a token of the operator's
// user, which it has the cloud confirm, and by another one when that was revoked.
func TestVendorDataToken(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // guards what follows
	var cloud *testcloud.Cloud
	var known, refused []string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := r.Header.Get("X-Auth-Token")
		reply := cloud.Admin().Do(t, "GET", "/identity/v3/auth/tokens", nil, "X-Subject-Token", token)
		if reply.Status != 200 {
			refused = append(refused, token)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var is struct {
			Token struct{ User, Project struct{ Name string } }
		}
		reply.JSON(t, &is)
		if is.Token.User.Name != "teller" || is.Token.Project.Name != "telling" {
			t.Errorf("asked by %s of %s", is.Token.User.Name, is.Token.Project.Name)
		}
		known = append(known, token)
		w.Write([]byte(`{"told": true}`))
	}))
	t.Cleanup(service.Close)
	cloud = testcloud.Start(t, testcloud.VendorData(app.VendorData{
		Targets: "one@" + service.URL, Fatal: true, User: "teller", Password: "a long secret", Project: "telling",
	}))
	admin, demo := cloud.Admin(), cloud.Demo()
	project := made(t, admin, "POST", "/identity/v3/projects", "project", map[string]any{"project": map[string]any{"name": "telling"}})
	user := made(t, admin, "POST", "/identity/v3/users", "user", map[string]any{"user": map[string]any{"name": "teller", "password": "a long secret"}})
	role := made(t, admin, "GET", "/identity/v3/roles?name=service", "roles", nil)
	admin.Must(t, 204, "PUT", "/identity/v3/projects/"+project+"/users/"+user+"/roles/"+role, nil)
	boot := func() {
		demo.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
			"name": "told", "flavorRef": demo.Flavor(t, "m1.tiny"), "imageRef": demo.Image(t, "cirros"), "networks": "none", "config_drive": true,
		}}, "OpenStack-API-Version", "compute 2.37")
		cloud.Settle(t)
	}
	boot()
	boot()
	mu.Lock()
	if len(known) != 2 || known[0] != known[1] || len(refused) > 0 {
		t.Fatalf("%d questions with %v, %d refused; want two with one token", len(known), known, len(refused))
	}
	first := known[0]
	mu.Unlock()
	admin.Must(t, 204, "DELETE", "/identity/v3/auth/tokens", nil, "X-Subject-Token", first)
	boot()
	mu.Lock()
	defer mu.Unlock()
	if len(known) != 3 || known[2] == first || len(refused) != 1 || refused[0] != first {
		t.Errorf("%d questions, %d refused; want a third one with another token", len(known), len(refused))
	}
}
