package app_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// forged are the headers by which services of OpenStack, and the proxies before
// them, tell each other who the caller is, in all their spellings.
func forged(user, project string) http.Header {
	h := http.Header{}
	for name, value := range map[string]string{
		"X-Identity-Status": "Confirmed", "X-Service-Identity-Status": "Confirmed",
		"X-User-Id": user, "X-User": user, "X-User-Name": "admin", "X-User-Domain-Id": "default", "X-User-Domain-Name": "Default",
		"X-Project-Id": project, "X-Project-Name": "admin", "X-Project-Domain-Id": "default", "X-Project-Domain-Name": "Default",
		"X-Tenant-Id": project, "X-Tenant-Name": "admin", "X-Tenant": "admin", "X-Domain-Id": "default", "X-Domain-Name": "Default",
		"X-Roles": "admin,service,ResellerAdmin", "X-Role": "admin", "X-Is-Admin-Project": "True", "Openstack-System-Scope": "all", "X-System-Scope": "all",
		"X-Service-Roles": "admin,service", "X-Service-User-Id": user, "X-Service-Project-Id": project, "X-Service-Token": "ADMIN", "X-Service-Catalog": "[]",
		"X-Auth-User": "admin", "X-Auth-Key": "admin", "X-Auth-Project-Id": project, "X-Auth-Admin-User": "admin", "X-Auth-Receipt": "x",
		"X-Authenticated-User": "admin", "X-Remote-User": "admin", "Remote-User": "admin", "Remote_user": "admin", "Remote-Domain": "Default", "Auth-Type": "x",
		"X-Ssl-Client-Cert": "x", "X-Ssl-Client-Verify": "SUCCESS", "Ssl_client_cert": "x", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-User": "admin",
		"X-Openid-Connect-Sub": "admin", "Oidc_claim_sub": "admin", "Oidc-Iss": "x", "Mellon_nameid": "admin", "Shib-Identity-Provider": "x", "X-Trustor-Id": user,
		"X-Is-Admin": "True", "X-Context": `{"is_admin":true}`,
	} {
		h.Set(name, value)
		under := strings.ReplaceAll(name, "-", "_")
		h[under] = []string{value}
		h["HTTP_"+strings.ToUpper(under)] = []string{value}
		h[strings.ToUpper(under)] = []string{value}
	}
	return h
}

// Who the caller is says the token and nothing else, at every route of every
// service: such headers are worth nothing instead of one, and nothing beside one.
func TestAttackForgedHeaders(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	cloud.Settle(t)
	admin, demo := cloud.Admin(), cloud.Demo()
	user := made(t, admin, "GET", "/identity/v3/users?name=admin", "users", nil)
	project := admin.Project(t)
	headers := forged(user, project)
	ask := func(method, path, version, token string, forge bool) int {
		request, err := http.NewRequest(method, cloud.URL+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if forge {
			request.Header = headers.Clone()
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("OpenStack-API-Version", version)
		if token != "" {
			request.Header.Set("X-Auth-Token", token)
		}
		reply, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		return reply.StatusCode
	}
	before := cloud.Snapshot(t)
	ids := map[string]string{"nobody": "00000000-0000-4000-8000-00000000dead", "user_id": user, "project_id": project, "tenant_id": project, "account": "AUTH_" + project}
	alone, beside := 0, 0
	for _, s := range cloud.App.Kernel.Services() {
		for _, r := range s.Routes {
			path, version := address(routeAt{s.Mount, "", r.Path}, ids), s.Type+" "+r.Since.String()
			if r.Public {
				continue
			}
			alone++
			if got := ask(r.Method, path, version, "", true); got != http.StatusUnauthorized {
				t.Errorf("%s %s: got %d with forged headers and no token, want 401", r.Method, path, got)
			}
			if r.Method != "GET" {
				continue
			}
			beside++
			with, without := ask("GET", path, version, demo.Token(), true), ask("GET", path, version, demo.Token(), false)
			if with != without {
				t.Errorf("GET %s: demo gets %d with forged headers and %d without", path, with, without)
			}
		}
	}
	if alone < 500 || beside < 200 {
		t.Errorf("only %d and %d routes were asked", alone, beside)
	}
	cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
}

// Bodies that are made to be expensive are refused by every service, and so is
// XML where JSON is spoken.
func TestAttackBodiesEverywhere(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	cloud.Settle(t)
	demo := cloud.Demo()
	project := demo.Project(t)
	before := cloud.Snapshot(t)
	const entities = `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]><l>&b;&c;</l>`
	for _, path := range []string{
		"/identity/v3/auth/tokens", "/identity/v3/credentials", "/image/v2/images", "/compute/v2.1/servers", "/compute/v2.1/os-keypairs", "/network/v2.0/networks",
		"/volume/v3/" + project + "/volumes", "/placement/resource_providers",
	} {
		for name, test := range map[string]struct {
			kind, body string
		}{
			"10 MB":           {"application/json", `{"a":"` + strings.Repeat("x", 10<<20) + `"}`},
			"deep lists":      {"application/json", `{"a":` + strings.Repeat("[", 50000) + strings.Repeat("]", 50000) + `}`},
			"deep objects":    {"application/json", strings.Repeat(`{"a":`, 15000) + "1" + strings.Repeat("}", 15000)},
			"endless number":  {"application/json", `{"a":1e999999999}`},
			"XML":             {"application/xml", entities},
			"XML, unsaid":     {"application/json", entities},
			"no end":          {"application/json", `{"a":"`},
			"a string's keys": {"application/json", `"__proto__"`},
		} {
			r := demo.Do(t, "POST", path, test.body, "Content-Type", test.kind)
			if r.Status < 400 || r.Status >= 500 {
				t.Errorf("%s to %s: got %d %.200s, want a refusal", name, path, r.Status, r.Body)
			}
		}
	}
	cloud.Same(t, before, func() testcloud.World { return cloud.Snapshot(t) })
}

// What is said to one caller is said to no other by a cache in between.
func TestAttackCachedRepliesEverywhere(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo := cloud.Demo()
	for _, path := range []string{
		"/identity/v3/users", "/identity/v3/auth/projects", "/image/v2/images", "/compute/v2.1/servers/detail", "/network/v2.0/networks",
		"/volume/v3/volumes/detail", "/v1/AUTH_" + demo.Project(t),
	} {
		for _, token := range []string{demo.Token(), "nonsense"} {
			r := demo.Do(t, "GET", path, nil, "X-Auth-Token", token)
			vary := fmt.Sprint(r.Header.Values("Vary"))
			if !strings.Contains(vary, "X-Auth-Token") || strings.Contains(r.Header.Get("Cache-Control"), "public") {
				t.Errorf("GET %s: got %d with Vary %s and Cache-Control %q", path, r.Status, vary, r.Header.Get("Cache-Control"))
			}
		}
	}
}

// What holds passwords and keys is read by its owner alone.
func TestAttackFilesOfOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cloud := testcloud.Start(t, testcloud.Dir(dir), testcloud.OwnDB(), testcloud.Nodes(1))
	cloud.Settle(t)
	secrets := []string{cloud.App.Secrets.Admin, cloud.App.Secrets.Demo}
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range append(secrets, "PRIVATE KEY-----") {
			if bytes.Contains(content, []byte(secret)) {
				files++
				if info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has a secret and the mode %v", strings.TrimPrefix(path, dir), info.Mode())
				}
				break
			}
		}
		name := entry.Name()
		if (strings.Contains(path, "key") || strings.HasSuffix(name, ".db")) && info.Mode().Perm()&0o077 != 0 && !strings.HasSuffix(name, ".pub") {
			t.Errorf("%s has the mode %v", strings.TrimPrefix(path, dir), info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 2 { // clouds.yaml and openrc
		t.Errorf("only %d files hold secrets: the test looks at the wrong ones", files)
	}
}
