package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/placement"
	placementapi "nacre/internal/placement/api"
)

type tokens struct{}

func (tokens) Caller(_ context.Context, token string) (auth.Caller, error) {
	switch token {
	case "admin":
		return auth.Caller{User: "a", Project: "admin", Roles: []string{"admin", "reader"}}, nil
	case "service":
		return auth.Caller{User: "s", Project: "service", Roles: []string{"service"}}, nil
	case "demo":
		return auth.Caller{User: "d", Project: "demo", Roles: []string{"member", "reader"}}, nil
	}
	return auth.Caller{}, errs.Unauthorizedf("no such token")
}

func start(t *testing.T) http.Handler {
	t.Helper()
	d, err := db.Open(t.Context(), dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	s, err := placement.New(t.Context(), placement.Options{DB: d})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := auth.NewPolicy(append(append([]auth.Rule{}, auth.BaseRules...), placement.Policy...))
	if err != nil {
		t.Fatal(err)
	}
	k := api.New(api.Options{Tokens: tokens{}, Policy: policy, Clock: clock.Real{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), PublicURL: "http://cloud"})
	k.Add(placementapi.New(s))
	return k
}

const (
	one      = "11111111-1111-4111-8111-111111111111"
	two      = "22222222-2222-4222-8222-222222222222"
	consumer = "33333333-3333-4333-8333-333333333333"
	group    = "44444444-4444-4444-8444-444444444444"
)

type step struct {
	who, method, path, body string
	status                  int
	has                     string // in the body; "" for anything
}

func (s step) run(t *testing.T, h http.Handler) {
	t.Helper()
	name, version, _ := strings.Cut(s.who, "@")
	r := httptest.NewRequest(s.method, "/placement"+s.path, strings.NewReader(s.body))
	r.Header.Set("X-Auth-Token", name)
	if s.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if version != "" {
		r.Header.Set("OpenStack-API-Version", "placement "+version)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != s.status || !strings.Contains(w.Body.String(), s.has) {
		t.Errorf("%s %s %s %s: got %d %s\nwant %d with %q", s.who, s.method, s.path, s.body, w.Code, w.Body, s.status, s.has)
	}
	if w.Code >= 400 && !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s: error body is no JSON: %s", s.method, s.path, w.Body)
	}
}

func TestPlacement(t *testing.T) {
	h := start(t)
	for _, s := range []step{
		{"admin", "GET", "/", "", 200, `"max_version":"1.39"`},
		{"demo", "GET", "/resource_providers", "", 403, `{"errors":[{`},
		{"admin@1.40", "GET", "/resource_providers", "", 406, `"max_version":"1.39"`},
		{"admin", "GET", "/resource_providers", "", 200, `{"resource_providers":[]}`},
		{"admin", "POST", "/resource_providers", `{"name":"one","uuid":"` + one + `"}`, 201, ""},
		{"admin@1.20", "POST", "/resource_providers", `{"name":"two","uuid":"` + two + `"}`, 200, `"name":"two"`},
		{"admin@1.39", "POST", "/resource_providers", `{"name":"two"}`, 409, `"code":"placement.duplicate_name"`},
		{"admin", "POST", "/resource_providers", `{"name":""}`, 400, "JSON does not validate: '' is too short"},
		{"admin", "POST", "/resource_providers", `{"name":`, 400, ""},
		{"admin@1.14", "GET", "/resource_providers/" + one, "", 200, `"parent_provider_uuid":null,"root_provider_uuid":"` + one + `"`},
		{"admin", "GET", "/resource_providers/" + group, "", 404, "No resource provider with uuid " + group + " found"},

		{"admin", "PUT", "/resource_providers/" + one + "/inventories", `{"resource_provider_generation":0,"inventories":{"VCPU":{"total":4,"allocation_ratio":2.0},"MEMORY_MB":{"total":1024,"reserved":24}}}`, 200, `"resource_provider_generation":1`},
		{"admin@1.39", "PUT", "/resource_providers/" + one + "/inventories", `{"resource_provider_generation":0,"inventories":{}}`, 409, `"code":"placement.concurrent_update"`},
		{"admin", "PUT", "/resource_providers/" + one + "/inventories", `{"resource_provider_generation":1,"inventories":{"NONE":{"total":4}}}`, 400, "NONE"},
		{"admin", "PUT", "/resource_providers/" + one + "/inventories", `{"resource_provider_generation":1,"inventories":{"VCPU":{"total":0}}}`, 400, "is less than the minimum of 1"},
		{"admin", "GET", "/resource_providers/" + one + "/inventories/VCPU", "", 200, `"total":4,"reserved":0,"min_unit":1,"max_unit":2147483647,"step_size":1,"allocation_ratio":2.0`},
		{"admin@1.25", "PUT", "/resource_providers/" + one + "/inventories/VCPU", `{"resource_provider_generation":1,"total":4,"reserved":4}`, 400, "reserved"},

		{"admin@1.6", "PUT", "/traits/CUSTOM_FAST", "", 201, ""},
		{"admin@1.6", "PUT", "/traits/CUSTOM_FAST", "", 204, ""},
		{"admin@1.6", "PUT", "/traits/fast", "", 400, "The trait is invalid"},
		{"admin@1.6", "PUT", "/resource_providers/" + one + "/traits", `{"resource_provider_generation":1,"traits":["CUSTOM_FAST","HW_CPU_X86_AVX2"]}`, 200, `"resource_provider_generation":2`},
		{"admin@1.6", "PUT", "/resource_providers/" + one + "/traits", `{"resource_provider_generation":2,"traits":["CUSTOM_SLOW"]}`, 400, "No such trait CUSTOM_SLOW"},
		{"admin@1.6", "DELETE", "/traits/CUSTOM_FAST", "", 409, "in use"},
		{"admin@1.6", "GET", "/traits?name=startswith:CUSTOM", "", 200, `{"traits":["CUSTOM_FAST"]}`},
		{"admin@1.6", "GET", "/traits/HW_CPU_X86_AVX2", "", 204, ""},
		{"admin@1.19", "PUT", "/resource_providers/" + one + "/aggregates", `{"resource_provider_generation":2,"aggregates":["` + group + `"]}`, 200, `"resource_provider_generation":3`},
		{"admin@1.1", "GET", "/resource_providers/" + one + "/aggregates", "", 200, `{"aggregates":["` + group + `"]}`},
		{"admin@1.7", "PUT", "/resource_classes/CUSTOM_GOLD", "", 201, ""},
		{"admin@1.7", "PUT", "/resource_classes/CUSTOM_GOLD", "", 204, ""},
		{"admin@1.2", "DELETE", "/resource_classes/VCPU", "", 400, "Cannot delete standard resource class"},
		{"admin@1.2", "DELETE", "/resource_classes/CUSTOM_GOLD", "", 204, ""},

		{"admin@1.39", "GET", "/resource_providers?resources=VCPU:8&required=CUSTOM_FAST&member_of=" + group, "", 200, one},
		{"admin@1.39", "GET", "/resource_providers?resources=VCPU:9", "", 200, `{"resource_providers":[]}`},
		{"admin@1.39", "GET", "/resource_providers?required=!CUSTOM_FAST", "", 200, two},
		{"admin@1.39", "GET", "/allocation_candidates?resources=VCPU:2,MEMORY_MB:100", "", 200, `"allocation_requests":[{"allocations":{"` + one + `":{"resources":{"MEMORY_MB":100,"VCPU":2}}},"mappings":{"":["` + one + `"]}}]`},
		{"admin@1.10", "GET", "/allocation_candidates?resources=VCPU:2", "", 200, `{"allocation_requests":[{"allocations":[{"resource_provider":{"uuid":"` + one + `"},"resources":{"VCPU":2}}]}]`},
		{"admin@1.39", "GET", "/allocation_candidates?resources=VCPU:none", "", 400, "expected positive integer amount. Got: none"},
		{"admin@1.39", "GET", "/allocation_candidates?resources=NONE:1", "", 400, "No such resource class NONE"},
		{"admin@1.39", "GET", "/allocation_candidates", "", 400, `"code":"placement.query.missing_value"`},
		{"admin@1.39", "GET", "/allocation_candidates?resources1=VCPU:1&resources2=VCPU:1&group_policy=isolate", "", 200, `"allocation_requests":[]`},
		{"admin@1.39", "GET", "/allocation_candidates?resources1=VCPU:1&resources2=VCPU:1&group_policy=none", "", 200, `{"resources":{"VCPU":2}}`},

		{"admin@1.28", "PUT", "/allocations/" + consumer, `{"consumer_generation":null,"project_id":"demo","user_id":"d","allocations":{"` + one + `":{"resources":{"VCPU":8}}}}`, 204, ""},
		{"admin@1.28", "PUT", "/allocations/" + consumer, `{"consumer_generation":null,"project_id":"demo","user_id":"d","allocations":{"` + one + `":{"resources":{"VCPU":8}}}}`, 409, "consumer generation conflict - expected 1 but got None"},
		{"admin@1.38", "GET", "/allocations/" + consumer, "", 200, `"project_id":"demo","user_id":"d","consumer_generation":1,"consumer_type":"unknown"`},
		{"admin@1.28", "PUT", "/allocations/" + group, `{"consumer_generation":null,"project_id":"demo","user_id":"d","allocations":{"` + one + `":{"resources":{"VCPU":1}}}}`, 409, "would exceed the capacity"},
		{"admin", "GET", "/resource_providers/" + one + "/usages", "", 200, `"usages":{"MEMORY_MB":0,"VCPU":8}`},
		{"admin@1.9", "GET", "/usages?project_id=demo", "", 200, `{"usages":{"VCPU":8}}`},
		{"demo@1.9", "GET", "/usages?project_id=demo", "", 200, `{"usages":{"VCPU":8}}`},
		{"demo@1.9", "GET", "/usages?project_id=other", "", 403, ""},
		{"admin@1.38", "GET", "/usages?project_id=demo", "", 200, `{"usages":{"unknown":{"VCPU":8,"consumer_count":1}}}`},
		{"admin", "GET", "/resource_providers/" + one + "/allocations", "", 200, `"` + consumer + `":{"resources":{"VCPU":8}}`},
		{"admin", "DELETE", "/resource_providers/" + one, "", 409, "has allocations"},
		{"admin@1.5", "DELETE", "/resource_providers/" + one + "/inventories", "", 409, "in use"},
		{"admin", "DELETE", "/allocations/" + consumer, "", 204, ""},
		{"admin", "DELETE", "/allocations/" + consumer, "", 404, "No allocations for consumer"},

		{"admin@1.14", "PUT", "/resource_providers/" + two, `{"name":"two","parent_provider_uuid":"` + one + `"}`, 200, `"root_provider_uuid":"` + one + `"`},
		{"admin@1.36", "PUT", "/resource_providers/" + two, `{"name":"two","parent_provider_uuid":null}`, 400, "un-parenting"},
		{"admin@1.37", "PUT", "/resource_providers/" + one, `{"name":"one","parent_provider_uuid":"` + two + `"}`, 400, "loop"},
		{"admin", "DELETE", "/resource_providers/" + one, "", 409, "child resource providers"},
		{"admin@1.37", "PUT", "/resource_providers/" + two, `{"name":"two","parent_provider_uuid":null}`, 200, `"parent_provider_uuid":null`},
		{"admin", "DELETE", "/resource_providers/" + one, "", 204, ""},
		{"admin", "DELETE", "/resource_providers/" + one, "", 404, ""},
	} {
		s.run(t, h)
	}
}

// A generation that no provider and no consumer can have is one that has changed.
func TestGenerationsNobodyHas(t *testing.T) {
	h := start(t)
	const provider = "/resource_providers/" + one
	step{"admin", "POST", "/resource_providers", `{"name":"one","uuid":"` + one + `"}`, 201, ""}.run(t, h)
	step{"admin", "POST", provider + "/inventories", `{"resource_class":"VCPU","total":4}`, 201, ""}.run(t, h)
	for _, n := range []string{"-1", "-2", "-1.0", "1" + strings.Repeat("0", 30), "1e30"} {
		of := `{"resource_provider_generation":` + n
		allocations := `{"consumer_generation":` + n + `,"project_id":"demo","user_id":"d","consumer_type":"INSTANCE","allocations":{"` + one + `":{"resources":{"VCPU":1}}}}`
		for _, s := range []struct{ method, path, body string }{
			{"PUT", provider + "/inventories", of + `,"inventories":{}}`},
			{"PUT", provider + "/inventories/VCPU", of + `,"total":8}`},
			{"PUT", provider + "/traits", of + `,"traits":[]}`},
			{"PUT", provider + "/aggregates", of + `,"aggregates":[]}`},
			{"PUT", "/allocations/" + consumer, allocations},
			{"POST", "/allocations", `{"` + consumer + `":` + allocations + `}`},
		} {
			step{"admin@1.39", s.method, s.path, s.body, 409, `"code":"placement.concurrent_update"`}.run(t, h)
		}
		step{"service@1.39", "POST", "/reshaper", `{"inventories":{"` + one + `":` + of + `,"inventories":{}}},"allocations":{}}`, 409, `"code":"placement.concurrent_update"`}.run(t, h)
	}
}

// Numbers are read as Placement reads them.
func TestNumbers(t *testing.T) {
	h := start(t)
	const provider = "/resource_providers/" + one
	for _, s := range []step{
		{"admin", "POST", "/resource_providers", `{"name":"one","uuid":"` + one + `"}`, 201, ""},
		{"admin", "POST", provider + "/inventories", `{"resource_class":"FPGA","total":1e2}`, 201, `"total":100`},
		{"admin", "POST", provider + "/inventories", `{"resource_class":"PGPU","total":1e10}`, 400, "10000000000 is greater than the maximum of 2147483647"},
		{"admin", "POST", provider + "/inventories", `{"resource_class":"PGPU","total":1,"resource_provider_generation":null}`, 400, "None is not of type 'integer'"},
		{"admin", "PUT", provider + "/inventories/FPGA", `{"total":1,"resource_provider_generation":null}`, 400, "None is not of type 'integer'"},
		{"admin", "PUT", provider + "/inventories/FPGA", `{"total":1}`, 400, "'resource_provider_generation' is a required property"},
		{"admin", "POST", provider + "/inventories", `{"resource_class":"VGPU","total":2147483647,"allocation_ratio":1e30}`, 201, ""},
		{"admin@1.28", "PUT", "/allocations/" + consumer, `{"consumer_generation":null,"project_id":"demo","user_id":"d","allocations":{"` + one + `":{"resources":{"VGPU":1e30}}}}`, 409, "would violate inventory constraints"},
		{"admin@1.28", "PUT", "/allocations/" + consumer, `{"consumer_generation":null,"project_id":"demo","user_id":"d","allocations":{"` + one + `":{"resources":{"VGPU":2147483647.0}}}}`, 204, ""},
		{"admin@1.4", "DELETE", provider + "/inventories", "", 405, ""},
	} {
		s.run(t, h)
	}
}

// The generation of a provider grows with what Placement counts as its change.
func TestGenerationsGrow(t *testing.T) {
	h := start(t)
	is := func(n string) string { return `"resource_provider_generation":` + n }
	allocate := func(generation, allocations string) string {
		return `{"consumer_generation":` + generation + `,"project_id":"demo","user_id":"d","allocations":{` + allocations + `}}`
	}
	const vcpu = `":{"resources":{"VCPU":1}}`
	for _, s := range []step{
		{"admin", "POST", "/resource_providers", `{"name":"one","uuid":"` + one + `"}`, 201, ""},
		{"admin", "POST", "/resource_providers", `{"name":"two","uuid":"` + two + `"}`, 201, ""},
		{"admin", "PUT", "/resource_providers/" + one + "/inventories", `{"resource_provider_generation":0,"inventories":{"VCPU":{"total":4}}}`, 200, is("1")},
		{"admin", "PUT", "/resource_providers/" + two + "/inventories", `{"resource_provider_generation":0,"inventories":{"VCPU":{"total":4}}}`, 200, is("1")},
		{"admin@1.39", "PUT", "/resource_providers/" + one + "/traits", `{"resource_provider_generation":1,"traits":["HW_CPU_X86_AVX2","HW_CPU_X86_SSE"]}`, 200, is("2")},
		{"admin@1.39", "PUT", "/resource_providers/" + one + "/traits", `{"resource_provider_generation":2,"traits":["HW_CPU_X86_SSE","HW_CPU_X86_AVX2"]}`, 200, is("2")},
		{"admin@1.39", "DELETE", "/resource_providers/" + two + "/traits", "", 204, ""},
		{"admin", "GET", "/resource_providers/" + two + "/usages", "", 200, is("1")},
		{"admin@1.39", "PUT", "/resource_providers/" + one + "/aggregates", `{"resource_provider_generation":2,"aggregates":[]}`, 200, is("3")},
		{"admin@1.18", "PUT", "/resource_providers/" + one + "/aggregates", `["` + group + `"]`, 200, ""},
		{"admin@1.28", "PUT", "/allocations/" + consumer, allocate("null", `"`+one+vcpu), 204, ""},
		{"admin", "GET", "/resource_providers/" + one + "/usages", "", 200, is("4")},
		{"admin@1.28", "PUT", "/allocations/" + consumer, allocate("1", `"`+two+vcpu), 204, ""},
		{"admin", "GET", "/resource_providers/" + one + "/usages", "", 200, is("4")},
		{"admin", "GET", "/resource_providers/" + two + "/usages", "", 200, is("2")},
		{"admin@1.28", "PUT", "/allocations/" + consumer, allocate("2", ``), 204, ""},
		{"admin", "GET", "/resource_providers/" + two + "/usages", "", 200, is("3")},
		{"admin@1.28", "PUT", "/allocations/" + consumer, allocate("null", `"`+one+vcpu), 204, ""},
		{"admin@1.28", "DELETE", "/allocations/" + consumer, "", 204, ""},
		{"admin", "GET", "/resource_providers/" + one + "/usages", "", 200, is("5") + `,"usages":{"VCPU":0}`},
	} {
		s.run(t, h)
	}
}

// A provider's inventory moves to its child together with what a consumer has
// of it.
func TestReshape(t *testing.T) {
	h := start(t)
	const mine = `"project_id":"demo","user_id":"d","consumer_type":"INSTANCE"`
	moved := func(root, child, consumerGeneration, on string) string {
		return `{"inventories":{"` + one + `":{"resource_provider_generation":` + root + `,"inventories":{"MEMORY_MB":{"total":64}}},"` +
			two + `":{"resource_provider_generation":` + child + `,"inventories":{"VCPU":{"total":4}}}},"allocations":{"` +
			consumer + `":{"consumer_generation":` + consumerGeneration + `,` + mine + `,"allocations":{"` + on + `":{"resources":{"VCPU":4}}}}}}`
	}
	for _, s := range []step{
		{"admin", "POST", "/resource_providers", `{"name":"one","uuid":"` + one + `"}`, 201, ""},
		{"admin@1.14", "POST", "/resource_providers", `{"name":"two","uuid":"` + two + `","parent_provider_uuid":"` + one + `"}`, 201, ""},
		{"admin", "PUT", "/resource_providers/" + one + "/inventories", `{"resource_provider_generation":0,"inventories":{"VCPU":{"total":4},"MEMORY_MB":{"total":64}}}`, 200, ""},
		{"admin@1.38", "PUT", "/allocations/" + consumer, `{"consumer_generation":null,` + mine + `,"allocations":{"` + one + `":{"resources":{"VCPU":4}}}}`, 204, ""},

		{"admin@1.38", "POST", "/reshaper", moved("2", "0", "1", two), 403, "placement:reshaper:reshape"},
		{"service@1.29", "POST", "/reshaper", "{}", 404, ""},
		{"service@1.38", "POST", "/reshaper", `{"inventories":{}}`, 400, "allocations"},
		{"service@1.38", "POST", "/reshaper", moved("1", "0", "1", two), 409, `"code":"placement.concurrent_update"`},
		{"service@1.38", "POST", "/reshaper", moved("2", "0", "null", two), 409, `"code":"placement.concurrent_update"`},
		{"service@1.38", "POST", "/reshaper", moved("2", "0", "1", one), 409, `"code":"placement.inventory.inuse"`},
		{"service@1.38", "POST", "/reshaper", `{"inventories":{"` + group + `":{"resource_provider_generation":0,"inventories":{}}},"allocations":{}}`, 400, "No resource provider with uuid " + group + " found"},
		{"admin", "GET", "/resource_providers/" + one + "/usages", "", 200, `"usages":{"MEMORY_MB":0,"VCPU":4}`},

		{"service@1.38", "POST", "/reshaper", moved("2", "0", "1", two), 204, ""},
		{"admin", "GET", "/resource_providers/" + one + "/usages", "", 200, `"usages":{"MEMORY_MB":0}`},
		{"admin", "GET", "/resource_providers/" + two + "/usages", "", 200, `"usages":{"VCPU":4}`},
		{"admin@1.28", "GET", "/allocations/" + consumer, "", 200, `"consumer_generation":2`},
	} {
		s.run(t, h)
	}
}

// Of two consumers one takes what the other gives back, in one request, in
// whichever order they stand: a migration on a full host.
func TestAllocationsChangeHands(t *testing.T) {
	h := start(t)
	for _, s := range []step{
		{"admin", "POST", "/resource_providers", `{"name":"one","uuid":"` + one + `"}`, 201, ""},
		{"admin", "PUT", "/resource_providers/" + one + "/inventories", `{"resource_provider_generation":0,"inventories":{"VCPU":{"total":4}}}`, 200, ""},
		{"admin@1.28", "PUT", "/allocations/" + consumer, `{"consumer_generation":null,"project_id":"demo","user_id":"d","allocations":{"` + one + `":{"resources":{"VCPU":4}}}}`, 204, ""},
		{"admin@1.28", "POST", "/allocations", `{"` + group + `":{"consumer_generation":null,"project_id":"demo","user_id":"d","allocations":{"` + one + `":{"resources":{"VCPU":4}}}},"` +
			consumer + `":{"consumer_generation":1,"project_id":"demo","user_id":"d","allocations":{}}}`, 204, ""},
		{"admin@1.28", "GET", "/allocations/" + consumer, "", 200, `{"allocations":{}}`},
		{"admin", "GET", "/resource_providers/" + one + "/usages", "", 200, `"usages":{"VCPU":4}`},
	} {
		s.run(t, h)
	}
}

func TestRulesAreRegistered(t *testing.T) {
	known := map[string]bool{}
	for _, r := range append(append([]auth.Rule{}, auth.BaseRules...), placement.Policy...) {
		known[r.Name] = true
	}
	for _, route := range placementapi.New(nil).Routes {
		if !route.Public && !known[route.Rule] {
			t.Errorf("%s %s names rule %s, which nobody registered", route.Method, route.Path, route.Rule)
		}
	}
}
