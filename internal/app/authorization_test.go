package app_test

import (
	"net/http"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// open are routes that answer without a token, each with its reason.
var open = map[string]string{
	"keystone POST /v3/auth/tokens": "a token is got here",
	"swift GET /info":               "discovery",

	"keystone POST /v3/users/{user_id}/password": "the former password is the proof",
	"keystone POST /v3/OS-OAUTH1/request_token":  "the signature of a consumer is the proof",
	"keystone POST /v3/OS-OAUTH1/access_token":   "the signature of a consumer is the proof",
	"keystone POST /v3/OS-OAUTH2/token":          "a token is got here",

	"keystone POST /v3/auth/OS-FEDERATION/saml2":                                                     "the token in the body is the proof",
	"keystone POST /v3/auth/OS-FEDERATION/saml2/ecp":                                                 "the token in the body is the proof",
	"keystone POST /v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth":       "a token of an identity provider is the proof",
	"keystone POST /v3/auth/OS-FEDERATION/websso/{protocol_id}":                                      "people sign in here, at a provider",
	"keystone POST /v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocol/{protocol_id}/websso": "people sign in here, at a provider",

	"nacre POST /oidc/authorize":            "people sign in here",
	"nacre POST /oidc/device":               "people sign in here",
	"nacre POST /oidc/token":                "the client's secret, or a code and its verifier, are the proof",
	"nacre POST /oidc/device_authorization": "a client says who it is, and gets what somebody who signs in must approve",
	"nacre POST /oidc/introspect":           "the client's secret is the proof",
	"nacre POST /oidc/revoke":               "the client's secret, and its token, are the proof",
	"nacre POST /oidc/userinfo":             "the access token of a client is the proof",
}

// address fills a described path: with ids where it has parameters.
func address(r routeAt, ids map[string]string) string {
	path := r.mount + strings.TrimPrefix(r.path, r.spec)
	for _, p := range parameter.FindAllString(path, -1) {
		id := ids[strings.Trim(p, "{}")]
		if id == "" {
			id = ids["nobody"]
		}
		path = strings.Replace(path, p, id, 1)
	}
	return path
}

type routeAt struct{ mount, spec, path string }

// Without a token, every route answers 401, but for discovery and sign-in.
func TestEveryRouteWantsAToken(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	cloud.Settle(t)
	before := cloud.Snapshot(t)
	ids := map[string]string{"nobody": "00000000-0000-4000-8000-00000000dead"}
	for _, s := range cloud.App.Kernel.Services() {
		for _, r := range s.Routes {
			path := address(routeAt{s.Mount, "", r.Path}, ids)
			request, err := http.NewRequest(r.Method, cloud.URL+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("OpenStack-API-Version", s.Type+" "+r.Since.String())
			reply, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			reply.Body.Close()
			key := s.Name + " " + r.Method + " " + s.Spec + r.Path
			want := http.StatusUnauthorized
			if r.Public {
				if r.Method != "GET" && r.Method != "HEAD" && r.Method != "OPTIONS" && open[key] == "" {
					t.Errorf("%s is public, and open gives no reason", key)
				}
				continue
			}
			if reply.StatusCode != want {
				t.Errorf("%s: got %d without a token, want %d", key, reply.StatusCode, want)
			}
		}
	}
	cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
}

// A member of a second project gets nothing of the first one's, by no route,
// and changes nothing.
func TestEveryRouteKnowsItsProject(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	ids := badStage(t, cloud)
	stranger := secondProject(t, cloud)
	cloud.Settle(t)
	before := cloud.Snapshot(t)
	params := map[string]string{"nobody": ids["nobody"]}
	for parameter, kind := range map[string]string{
		"server_id": "server", "volume_id": "volume", "network_id": "their network", "subnet_id": "their subnet", "port_id": "their port",
		"security_group_id": "their group", "project_id": "project", "tenant_id": "project", "image_id": "image",
	} {
		params[parameter] = ids[kind]
	}
	asked := 0
	for _, s := range cloud.App.Kernel.Services() {
		for _, r := range s.Routes {
			// Routes that name none of the first project's things are about the caller's own.
			names := parameter.FindAllString(r.Path, -1)
			if r.Public || len(names) == 0 || params[strings.Trim(names[0], "{}")] == "" || names[0] == "{image_id}" {
				continue
			}
			body := "{}"
			if r.Action != "" {
				body = `{"` + r.Action + `": {}}`
			}
			path := address(routeAt{s.Mount, "", r.Path}, params)
			if r.Rule == "os_compute_api:os-quota-sets:defaults" {
				continue // everybody may know the defaults
			}
			reply := stranger.Do(t, r.Method, path, body, "OpenStack-API-Version", s.Type+" "+r.Since.String())
			asked++
			switch reply.Status {
			case 400, 401, 403, 404, 405, 415:
			default:
				t.Errorf("%s %s %s%s (%s): a stranger got %d %.200s", s.Name, r.Method, s.Spec, r.Path, r.Action, reply.Status, reply.Body)
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d routes were asked", asked)
	}
	cloud.Settle(t)
	cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
}

// A reader of a project, and a reader of the system, change nothing by any
// route.
func TestReadersChangeNothing(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	ids := badStage(t, cloud)
	admin := cloud.Admin()
	reader := made(t, admin, "GET", "/identity/v3/roles?name=reader", "roles", nil)
	user := made(t, admin, "POST", "/identity/v3/users", "user", map[string]any{"user": map[string]any{"name": "reader", "password": "secret", "domain_id": "default"}})
	admin.Must(t, 204, "PUT", "/identity/v3/projects/"+ids["project"]+"/users/"+user+"/roles/"+reader, nil)
	admin.Must(t, 204, "PUT", "/identity/v3/system/users/"+user+"/roles/"+reader, nil)
	params := map[string]string{"nobody": ids["nobody"], "user_id": user}
	for parameter, kind := range map[string]string{
		"server_id": "server", "volume_id": "volume", "network_id": "network", "security_group_id": "group",
		"project_id": "project", "tenant_id": "project", "image_id": "image",
	} {
		params[parameter] = ids[kind]
	}
	cloud.Settle(t)
	for name, caller := range map[string]testcloud.User{
		"a project's reader": cloud.User("reader", "secret", "demo"), "a reader of the system": cloud.System("reader", "secret"),
	} {
		caller.Must(t, 200, "GET", "/identity/v3/auth/projects", nil)
		before := cloud.Snapshot(t)
		asked := 0
		for _, s := range cloud.App.Kernel.Services() {
			for _, r := range s.Routes {
				if r.Public || r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS" || harmless[rowOf(s, r)] != "" {
					continue
				}
				body := "{}"
				if r.Action != "" {
					body = `{"` + r.Action + `": {}}`
				}
				path := address(routeAt{s.Mount, "", r.Path}, params)
				reply := caller.Do(t, r.Method, path, body, "OpenStack-API-Version", s.Type+" "+r.Since.String())
				asked++
				switch reply.Status {
				case 400, 401, 403, 404, 405, 411, 415:
				default:
					t.Errorf("%s: %s got %d %.200s", rowOf(s, r), name, reply.Status, reply.Body)
				}
			}
		}
		if asked < 200 {
			t.Errorf("only %d routes were asked", asked)
		}
		cloud.Settle(t)
		cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
	}
}

// harmless are calls that a reader may make though they are no GET, each with
// its reason.
var harmless = map[string]string{
	"cinder POST /v3/{}/volumes/{}/action os-show_image_metadata": "it only shows",
}

// secondProject makes a project with a member.
func secondProject(t *testing.T, cloud *testcloud.Cloud) testcloud.User {
	t.Helper()
	admin := cloud.Admin()
	project := made(t, admin, "POST", "/identity/v3/projects", "project", map[string]any{"project": map[string]any{"name": "second", "domain_id": "default"}})
	user := made(t, admin, "POST", "/identity/v3/users", "user", map[string]any{"user": map[string]any{"name": "stranger", "password": "secret", "domain_id": "default"}})
	member := made(t, admin, "GET", "/identity/v3/roles?name=member", "roles", nil)
	admin.Must(t, 204, "PUT", "/identity/v3/projects/"+project+"/users/"+user+"/roles/"+member, nil)
	return cloud.User("stranger", "secret", "second")
}
