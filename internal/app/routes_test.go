package app_test

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"bytes"

	"nacre/internal/app"
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
	for i, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
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
	return strings.TrimSuffix(parameter.ReplaceAllString(path, "{}"), "/")
}

// beyond are routes that the table does not have, each with its reason.
var beyond = map[string]string{
	"keystone GET ":                              "discovery at the service's root",
	"keystone GET /v3":                           "the version document with and without a slash",
	"nova GET /v2.1":                             "the version document with and without a slash",
	"nova GET /v2":                               "the document of version 2.0, whose link clients follow",
	"neutron GET /v2.0":                          "the resources of the version, with and without a slash",
	"neutron GET /v2.0/quotas/{}/details":        "the table has it with the suffix that clients leave out",
	"cinder GET /v3":                             "the version document with and without a slash",
	"glance GET /v2":                             "version discovery below the service's root",
	"placement GET ":                             "the version document with and without a slash",
	"swift HEAD /v1/{}":                          "the table lists it under GET",
	"cinder GET /v3/{}/snapshots/{}/metadata/{}": "the table spells it snapshot, which Cinder does not answer",
	"glance GET /images":                         "",
}

// Every route is a call of the public APIs, at the same path and method. What
// we have besides stands above, with a reason.
func TestRoutesAreOpenStacks(t *testing.T) {
	known := map[string]bool{}
	for _, o := range operations(t) {
		known[o.service+" "+o.method+" "+unnamed(o.path)] = true
	}
	var out bytes.Buffer
	err := app.Describe(context.Background(), &out, []string{"routes"}, "json")
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
