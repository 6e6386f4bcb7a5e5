package app_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nacre/internal/api"
	"nacre/internal/app"
	"nacre/internal/db/dbtest"
)

// operation is a row of testdata/operations.tsv: a call of the public APIs.
type operation struct {
	service, method, path, microversion, who, codes, action, until, status, rule string
}

func operations(t *testing.T) []operation {
	t.Helper()
	content, err := os.ReadFile("testdata/operations.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []operation
	for i, line := range strings.Split(strings.Trim(string(content), "\n"), "\n") {
		f := strings.Split(line, "\t")
		if i == 0 || len(f) < 10 {
			continue
		}
		out = append(out, operation{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9]})
	}
	if len(out) < 1000 {
		t.Fatalf("the table has %d rows, want more than 1000", len(out))
	}
	return out
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// unnamed is a path whose parameters have no names.
func unnamed(path string) string {
	return strings.TrimSuffix(strings.Replace(parameter.ReplaceAllString(path, "{}"), "/?", "?", 1), "/")
}

// key names a row: service, method, path, action.
func (o operation) key() string {
	return strings.TrimSpace(o.service + " " + o.method + " " + unnamed(o.path) + " " + o.action)
}

// rowOf is the key of a route's row.
func rowOf(s *api.Service, r api.Route) string {
	path := r.Reference()
	if s.ProjectInPath && s.Name == "cinder" && r.ScopeName() != "" && path != "" && path != "/" {
		path = "/{project_id}" + path
	}
	return operation{service: s.Name, method: r.Method, path: s.Spec + path, action: r.Action}.key()
}

// beyond are routes that the table does not have, each with its reason.
var beyond = map[string]string{
	"keystone GET":     "discovery at the service's root",
	"keystone GET /v3": "the version document with and without a slash",
	"keystone POST /v3/auth/OS-FEDERATION/websso/{}":                                "a form of a provider's, as Keystone takes it; the table has GET alone",
	"keystone POST /v3/auth/OS-FEDERATION/identity_providers/{}/protocol/{}/websso": "a form of a provider's, as Keystone takes it; the table has GET alone",
	"nova POST /v2.1/os-cells/sync_instances":                                       "gone in Nova, like the other calls of cells, which are in the table",
	"nova GET /v2.1":                      "the version document with and without a slash",
	"nova GET /v2":                        "the document of version 2.0, whose link clients follow",
	"neutron GET /v2.0":                   "the resources of the version, with and without a slash",
	"neutron GET /v2.0/quotas/{}/details": "the table has it with the suffix that clients leave out",
	"neutron GET /v2.0/floatingip-pools":  "the table spells it with an underscore, and Neutron answers at a hyphen",
	"cinder GET /v3":                      "the version document with and without a slash",
	"glance GET /v2":                      "version discovery below the service's root",
	"placement GET":                       "the version document with and without a slash",
	"placement POST /resource_providers/{}/inventories": "one inventory of a class, which Placement answers without documenting it",
	"swift HEAD /v1/{}":                             "the table lists it under GET",
	"swift POST /v1/{}/{}/{} (multipart/form-data)": "a form below a prefix; the table has the one below a container",
	"swift PUT /v1/{}/{}/{}?extract-archive=":       "an archive below a prefix; the table has the one below a container",
	"swift PUT /v1/{}?extract-archive=":             "an archive of containers; the table has the one below a container",
	"swift DELETE /v1/{}?bulk-delete":               "the older method of the same call",
	"swift PUT /{}?cors":                            "S3's own; Swift has it not",
	"swift DELETE /{}?cors":                         "S3's own; Swift has it not",
	"swift GET /{}?lifecycle":                       "S3's own; Swift has it not",
	"swift PUT /{}?lifecycle":                       "S3's own; Swift has it not",
	"swift DELETE /{}?lifecycle":                    "S3's own; Swift has it not",
	"swift OPTIONS /{}":                             "the question of browsers before a signed request",
	"swift OPTIONS /{}/{}":                          "the question of browsers before a signed request",
	"swift OPTIONS /v1/{}":                          "the table lists it for objects",
	"swift OPTIONS /v1/{}/{}":                       "the table lists it for objects",
	"cinder GET /v3/{}/snapshots/{}/metadata/{}":    "the table spells it snapshot, which Cinder does not answer",
	"glance GET /images":                            "",
}

// Every route is a call of the public APIs, at the same path and method. What
// we have besides stands above, with a reason.
func TestRoutesAreOpenStacks(t *testing.T) {
	known := map[string]bool{}
	for _, o := range operations(t) {
		known[o.service+" "+o.method+" "+unnamed(o.path)] = true
	}
	var out bytes.Buffer
	err := app.Describe(context.Background(), &out, []string{"routes"}, "json", "")
	if err != nil {
		t.Fatal(err)
	}
	var routes []app.RouteRow
	err = json.Unmarshal(out.Bytes(), &routes)
	if err != nil {
		t.Fatal(err)
	}
	if len(routes) < 150 {
		t.Errorf("only %d routes are described", len(routes))
	}
	for _, r := range routes {
		if r.Service == "nacre" {
			continue
		}
		key := r.Service + " " + r.Method + " " + unnamed(r.Path)
		if !known[key] && beyond[key] == "" {
			t.Errorf("%s is no call of the public API", key)
		}
	}
}

// Every call of Swift that is not of its inside alone has a route.
func TestObjectStoreIsWhole(t *testing.T) {
	var out bytes.Buffer
	err := app.Describe(context.Background(), &out, []string{"routes"}, "json", "")
	if err != nil {
		t.Fatal(err)
	}
	var routes []app.RouteRow
	err = json.Unmarshal(out.Bytes(), &routes)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, r := range routes {
		if r.Service == "swift" {
			have[r.Method+" "+unnamed(r.Path)] = true
		}
	}
	for _, o := range operations(t) {
		if o.service == "swift" && o.status != "internal" && !have[o.method+" "+unnamed(o.path)] {
			t.Errorf("%s %s has no route", o.method, o.path)
		}
	}
}

// Calls that Nova has no more answer so, and no other call does.
func TestRemovedCalls(t *testing.T) {
	cloud, err := app.Start(t.Context(), app.Config{DataDir: t.TempDir(), DB: dbtest.Source(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	want, have := map[string]bool{}, map[string]bool{}
	for _, o := range operations(t) {
		if o.service == "nova" && o.status == "removed" {
			want[o.key()] = true
		}
	}
	for _, s := range cloud.Services() {
		for _, r := range s.Removed {
			if key := rowOf(s, r); beyond[key] == "" {
				have[key] = true
			}
		}
	}
	if !maps.Equal(have, want) || len(want) < 50 {
		t.Errorf("got %v, want %v", slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(want)))
	}
}

// otherwise are routes whose rule or success code is not the table's, each with
// its reason.
var otherwise = map[string]string{
	"keystone PUT /v3/domains/{}/users/{}/roles/{}":               "Keystone grants with 204; the table took the code of another row",
	"keystone DELETE /v3/domains/{}/config/{}":                    "Keystone answers 204 here as for its parts; the table took the code of the reference",
	"nova PUT /v2.1/servers/{}":                                   "the table has the rule of a field of the reply",
	"nova POST /v2.1/servers/{}/action rebuild":                   "the table has the rule of a field of the reply",
	"nova POST /v2.1/flavors":                                     "the table has the rule of a field of the reply",
	"nova PUT /v2.1/flavors/{}":                                   "the table has the rule of a field of the reply",
	"nova GET /v2.1/flavors/detail":                               "anybody may; the table has the rule of a field of the reply",
	"nova GET /v2.1/flavors/{}":                                   "anybody may; the table has the rule of a field of the reply",
	"cinder POST /v3/{}/volumes/{}/action os-show_image_metadata": "image metadata has a rule of its own",
	"cinder GET /v3/{}/attachments":                               "a list has the rule of lists",
	"cinder GET /v3/{}/attachments/detail":                        "a list has the rule of lists",
	"nova DELETE /v2.1/os-keypairs/{}":                            "the handler picks the code by microversion",
	"cinder POST /v3/{}/types":                                    "the table has the rule of a field of the reply",
	"cinder POST /v3/{}/qos-specs":                                "Cinder answers 200, as its other creations do that are done at once",
	"cinder GET /v3/{}/group_types/{}":                            "anybody may; the table has the rule of a field of the reply",
}

// Rules and success codes are the public reference's.
func TestRulesAndCodesAreOpenStacks(t *testing.T) {
	cloud, err := app.Start(t.Context(), app.Config{DataDir: t.TempDir(), DB: dbtest.Source(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	want := map[string][]operation{}
	for _, o := range operations(t) {
		key := o.key()
		want[key] = append(want[key], o)
	}
	compared := 0
	for _, s := range cloud.Services() {
		for _, r := range s.Routes {
			key := rowOf(s, r)
			rules, codes := map[string]bool{}, map[string]bool{}
			for _, o := range want[key] {
				for _, rule := range strings.FieldsFunc(o.rule, separator) {
					// One row stands for the tags of every resource.
					rules[strings.Replace(rule, "<resource>", "network", 1)] = true
				}
				if o.status == "not implemented" {
					continue // there, but it may be here
				}
				for _, code := range status.FindAllString(o.codes, -1) {
					codes[code] = true
				}
			}
			if otherwise[key] != "" {
				continue
			}
			compared++
			if len(rules) > 0 && !rules[r.Rule] && !r.Public {
				t.Errorf("%s: rule %s, the table has %v", key, r.Rule, slices.Collect(maps.Keys(rules)))
			}
			code := strconv.Itoa(cmp.Or(r.OK, 200))
			if len(codes) > 0 && !codes[code] {
				t.Errorf("%s: success is %s, the table has %v", key, code, slices.Collect(maps.Keys(codes)))
			}
		}
	}
	if compared < 300 {
		t.Errorf("only %d routes were compared", compared)
	}
}

// status is a code in a cell like 201(<=1.19) 200(>=1.20).
var status = regexp.MustCompile(`\b[2-5]\d\d\b`)

func separator(r rune) bool { return r == ',' || r == ' ' || r == ';' || r == '|' || r == '/' }
