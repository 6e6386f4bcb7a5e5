package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A default project gives nobody a role there.
func TestAttackDefaultProject(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, theirs := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "admin")
	c.call(t, "PATCH", "/v3/users/"+me, demo, `{"user":{"default_project_id":"`+theirs+`"}}`).want(403)
	c.call(t, "PATCH", "/v3/users/"+me, admin, `{"user":{"default_project_id":"`+theirs+`"}}`).want(200)
	r := c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, "")).want(201)
	if strings.Contains(string(r.body), theirs) {
		t.Errorf("the default project became the token's: %s", r.body)
	}
	c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, onAdmin)).want(401)
}

// To take a role that is not there, to check it, or to delete the group it would
// come from gives nobody anything.
func TestAttackTakingGivesNothing(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "admin")
	role := c.find(t, admin, "roles", "admin")
	group := c.create(t, admin, "groups", "group", map[string]any{"name": "g"})
	for _, at := range []string{"/projects/" + project, "/domains/default", "/system"} {
		for _, who := range []string{"/users/" + me, "/groups/" + group} {
			c.expect(t, []expectation{
				{admin, "DELETE", at + who + "/roles/" + role, "", 404},
				{admin, "HEAD", at + who + "/roles/" + role, "", 404},
			})
		}
	}
	c.expect(t, []expectation{
		{admin, "DELETE", "/groups/" + group + "/users/" + me, "", 404},
		{admin, "DELETE", "/groups/" + group, "", 204},
	})
	for _, scope := range []string{onAdmin, onDomain, onSystem} {
		c.call(t, "POST", "/v3/auth/tokens", "", password("demo", "Default", c.boot.DemoPassword, scope)).want(401)
	}
}

// Many callers at once are each themselves, on connections that they share.
func TestAttackCallersMixedUp(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin := c.admin(t)
	tokens := map[string]string{}
	for i := range 8 {
		name := fmt.Sprintf("user-%d", i)
		id := c.create(t, admin, "users", "user", map[string]any{"name": name, "password": "pw"})
		tokens[id] = c.token(t, password(name, "Default", "pw", ""))
	}
	var all sync.WaitGroup
	for id, token := range tokens {
		for range 2 {
			all.Go(func() {
				for range 100 {
					request, err := http.NewRequest("GET", c.server.URL+"/v3/auth/tokens", nil)
					if err != nil {
						t.Error(err)
						return
					}
					request.Header.Set("X-Auth-Token", token)
					request.Header.Set("X-Subject-Token", token)
					response, err := http.DefaultClient.Do(request)
					if err != nil {
						t.Error(err)
						return
					}
					var got struct {
						Token struct {
							User struct{ ID string }
						}
					}
					err = json.NewDecoder(response.Body).Decode(&got)
					response.Body.Close()
					if err != nil || response.StatusCode != 200 || got.Token.User.ID != id {
						t.Errorf("user %s was taken for %+v: %d, %v", id, got, response.StatusCode, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
}

// A method that is named a thousand times is tried once.
func TestAttackMethodsRepeated(t *testing.T) {
	t.Parallel()
	c := start(t)
	user := map[string]any{"name": "demo", "domain": map[string]any{"id": "default"}, "password": "wrong"}
	guess := func(times int) int {
		body := authBody(map[string]any{"identity": map[string]any{"methods": slices.Repeat([]string{"password"}, times), "password": map[string]any{"user": user}}}, "")
		return c.call(t, "POST", "/v3/auth/tokens", "", body).status
	}
	// Thirty wrong guesses are refused as such, each counting one.
	for i := range 30 {
		if got := guess(1000); got != 401 {
			t.Fatalf("guess %d: got %d, want 401", i, got)
		}
	}
	if got := guess(1); got != 429 {
		t.Errorf("the guess after them: got %d, want 429", got)
	}
}
