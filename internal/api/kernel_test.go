package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/errs"
)

type oneToken struct{}

func (oneToken) Caller(_ context.Context, token string) (auth.Caller, error) {
	if token != "good" {
		return auth.Caller{}, errs.Unauthorizedf("no such token")
	}
	return auth.Caller{User: "u", Project: "p", Roles: []string{"member"}}, nil
}

type policyFunc func(rule string) bool

func (f policyFunc) Allows(rule string, _ auth.Caller, _ auth.Target) bool { return f(rule) }

type thingView struct {
	ID   string   `json:"id"`
	Tags []string `json:"tags" since:"2.26"`
	Old  string   `json:"old" until:"2.10"`
	At   time.Time
}

type thingRequest struct {
	Thing struct {
		Name  string      `json:"name" check:"required,min=1,max=8"`
		Size  Int         `json:"size"`
		Share Bool        `json:"share"`
		Desc  Opt[string] `json:"description" since:"2.19"`
	} `json:"thing" check:"required"`
}

type openRequest struct {
	_    struct{} `check:"open"`
	Name string   `json:"name" check:"max=8"`
	Late string   `json:"late" since:"2.50"`
}

func testKernel(t *testing.T) *Kernel {
	t.Helper()
	k := New(Options{
		Tokens: oneToken{},
		Policy: policyFunc(func(rule string) bool { return rule != "never" }),
		Clock:  clock.Real{},
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	k.Add(Service{
		Name: "nova", Mount: "/compute/v2.1", ProjectInPath: true, Envelope: Nova,
		Versions: &Microversions{Word: "compute", Legacy: "X-OpenStack-Nova-API-Version", Min: V(2, 1), Max: V(2, 96)},
		Routes: []Route{
			{Method: "GET", Path: "/things/{id}", Rule: "show", Do: Get(func(c *Call) (thingView, error) {
				return thingView{ID: c.PathValue("id")}, c.AuthorizeOwn()
			})},
			{Method: "GET", Path: "/things/detail", Rule: "show", Do: Get(func(c *Call) (map[string]string, error) {
				return map[string]string{"literal": "yes"}, c.AuthorizeOwn()
			})},
			{Method: "POST", Path: "/things", Rule: "create", OK: 202, Do: Body(func(c *Call, in thingRequest) (map[string]any, error) {
				return map[string]any{"name": in.Thing.Name, "size": int64(in.Thing.Size), "share": bool(in.Thing.Share), "null": in.Thing.Desc.Null}, c.AuthorizeOwn()
			})},
			{Method: "POST", Path: "/open", Rule: "create", Do: Body(func(c *Call, in openRequest) (openRequest, error) {
				return in, c.AuthorizeOwn()
			})},
			{Method: "GET", Path: "/waits", Rule: "show", Do: Empty(func(c *Call) error {
				<-c.Context().Done()
				return fmt.Errorf("wait: %w", c.Context().Err())
			})},
			{Method: "GET", Path: "/taken", Rule: "show", Do: Get(func(c *Call) (any, error) {
				_, err := c.Takeover().Write([]byte("a secret"))
				return Done, err
			})},
			{Method: "PUT", Path: "/stream", Rule: "create", MaxBody: -1, Do: Get(func(c *Call) (int64, error) {
				n, err := io.Copy(io.Discard, c.Request().Body)
				return n, errors.Join(err, c.AuthorizeOwn())
			})},
			{Method: "GET", Path: "/forgot", Rule: "show", Do: Get(func(*Call) (string, error) { return "x", nil })},
			{Method: "GET", Path: "/never", Rule: "never", Do: Empty(func(c *Call) error { return c.AuthorizeOwn() })},
			{Method: "GET", Path: "/late", Rule: "show", Since: V(2, 50), Do: Empty(func(c *Call) error { return c.AuthorizeOwn() })},
			{Method: "GET", Path: "/panic", Rule: "show", Do: Empty(func(*Call) error { panic("ouch") })},
			{Method: "POST", Path: "/things/{id}/action", Action: "stop", Rule: "stop", OK: 202, Do: Empty(func(c *Call) error { return c.AuthorizeOwn() })},
			{Method: "GET", Path: "/keys/{key...}", Public: true, Do: Get(func(c *Call) (string, error) { return c.PathValue("key"), nil })},
		},
		Removed: []Route{{Method: "GET", Path: "/agents"}, {Method: "DELETE", Path: "/things/{id}"}},
	})
	return k
}

func TestKernel(t *testing.T) {
	k := testKernel(t)
	for _, test := range []struct {
		name, method, path, body, version string
		status                            int
		want                              string
	}{
		{name: "no field before its version", method: "GET", path: "/things/1", status: 200, want: `{"id":"1","old":"","At":null}`},
		{name: "field from its version on", method: "GET", path: "/things/1", version: "2.26", status: 200, want: `{"id":"1","tags":[],"At":null}`},
		{name: "literal wins", method: "GET", path: "/things/detail", status: 200, want: `{"literal":"yes"}`},
		{name: "project in path", method: "GET", path: "/p/things/detail", status: 200, want: `{"literal":"yes"}`},
		{name: "another project in path", method: "GET", path: "/q/things/detail", status: 400, want: `Malformed request url`},
		{name: "unknown path", method: "GET", path: "/no/such/path", status: 404, want: `itemNotFound`},
		{name: "no trailing slash", method: "GET", path: "/things/1/", status: 404, want: `itemNotFound`},
		{name: "wrong method", method: "DELETE", path: "/things", status: 405, want: `badMethod`},
		{name: "removed", method: "GET", path: "/agents", version: "2.19", status: 410, want: `{"computeFault":{"code":410,"message":"This resource is no longer available.`},
		{name: "removed beside another method", method: "DELETE", path: "/things/1", status: 410, want: `computeFault`},
		{name: "too new", method: "GET", path: "/things/1", version: "2.97", status: 406, want: `Version 2.97 is not supported by the API. Minimum is 2.1 and maximum is 2.96.`},
		{name: "no version", method: "GET", path: "/things/1", version: "two", status: 400, want: `API Version String two is of invalid format.`},
		{name: "route before its version", method: "GET", path: "/late", status: 404, want: `itemNotFound`},
		{name: "route in its version", method: "GET", path: "/late", version: "latest", status: 200},
		{name: "forgotten authorization", method: "GET", path: "/forgot", status: 500, want: `An unexpected error`},
		{name: "forbidden", method: "GET", path: "/never", status: 403, want: `Policy doesn't allow never to be performed.`},
		{name: "panic", method: "GET", path: "/panic", status: 500, want: `An unexpected error`},
		{name: "words and digits", method: "POST", path: "/things", body: `{"thing":{"name":"a","size":"3","share":"True"}}`, status: 202, want: `{"name":"a","null":false,"share":true,"size":3}`},
		{name: "too long", method: "POST", path: "/things", body: `{"thing":{"name":"123456789"}}`, status: 400, want: `Invalid input for field/attribute name. Value: 123456789. '123456789' is too long`},
		{name: "missing", method: "POST", path: "/things", body: `{"thing":{}}`, status: 400, want: `'name' is a required property`},
		{name: "unknown key", method: "POST", path: "/things", body: `{"thing":{"name":"a","foo":1}}`, status: 400, want: `Additional properties are not allowed ('foo' was unexpected)`},
		{name: "key before its version", method: "POST", path: "/things", body: `{"thing":{"name":"a","description":"x"}}`, status: 400, want: `'description' was unexpected`},
		{name: "null in its version", method: "POST", path: "/things", version: "2.19", body: `{"thing":{"name":"a","description":null}}`, status: 202, want: `"null":true`},
		{name: "wrong type", method: "POST", path: "/things", body: `{"thing":{"name":5}}`, status: 400, want: `5 is not of type 'string'`},
		{name: "no JSON", method: "POST", path: "/things", body: `{"thing":`, status: 400, want: `badRequest`},
		{name: "two values", method: "POST", path: "/things", body: `{"thing":{"name":"a"}} {}`, status: 400, want: `badRequest`},
		{name: "too large", method: "POST", path: "/things", body: `{"thing":"` + strings.Repeat("x", DefaultMaxBody) + `"}`, status: 413, want: `overLimit`},
		{name: "the last of two keys", method: "POST", path: "/things", body: `{"thing":{"name":"a","size":3,"name":"b"}}`, status: 202, want: `{"name":"b","null":false,"share":false,"size":3}`},
		{name: "nothing of an object that is replaced", method: "POST", path: "/things", body: `{"thing":{"name":"123456789","size":-7},"thing":{"name":"b"}}`, status: 202, want: `{"name":"b","null":false,"share":false,"size":0}`},
		{name: "key in capitals", method: "POST", path: "/open", body: `{"NAME":"123456789"}`, status: 200, want: `{"name":""`},
		{name: "key of a later version", method: "POST", path: "/open", body: `{"late":"x"}`, version: "2.49", status: 200, want: `{"name":""}`},
		{name: "number without end", method: "POST", path: "/things", body: `{"thing":{"name":"a","size":1e999999}}`, status: 400, want: `badRequest`},
		{name: "zero byte in a body", method: "POST", path: "/things", body: `{"thing":{"name":"a\u0000"}}`, status: 400, want: `badRequest`},
		{name: "zero byte in the path", method: "GET", path: "/things/%00", status: 404, want: `itemNotFound`},
		{name: "no UTF-8 in the path", method: "GET", path: "/things/%ff", status: 404, want: `itemNotFound`},
		{name: "zero byte in the query", method: "GET", path: "/things/1?name=a%00", status: 400, want: `badRequest`},
		{name: "taken over without authorization", method: "GET", path: "/taken", status: 500, want: `An unexpected error`},
		{name: "action", method: "POST", path: "/things/1/action", body: `{"stop":null}`, status: 202},
		{name: "unknown action", method: "POST", path: "/things/1/action", body: `{"jump":null}`, status: 400, want: `There is no such action: jump`},
		{name: "key byte for byte", method: "GET", path: "/keys/a//b/%2e%2e/c%2Fd", status: 200, want: `"a//b/../c/d"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "http://cloud/compute/v2.1"+test.path, strings.NewReader(test.body))
			r.Header.Set("X-Auth-Token", "good")
			if test.version != "" {
				r.Header.Set("OpenStack-API-Version", "compute "+test.version)
			}
			w := httptest.NewRecorder()
			k.ServeHTTP(w, r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("got %d %s, want %d with %s", w.Code, w.Body, test.status, test.want)
			}
			if w.Header().Get("X-Openstack-Request-Id") == "" {
				t.Error("the reply has no request id")
			}
		})
	}
}

// TestSlowSenders: whoever sends a JSON body slower than the listener allows is
// cut off, a stream is not.
func TestSlowSenders(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(testKernel(t))
	server.Config.ReadTimeout = 100 * time.Millisecond
	server.Start()
	defer server.Close()
	for _, test := range []struct {
		method, path string
		want         int
	}{{"POST", "/things", 400}, {"PUT", "/stream", 200}} {
		body, sender := io.Pipe()
		go func() {
			_, err := sender.Write([]byte("{"))
			if err == nil {
				<-time.After(400 * time.Millisecond) // the slowness
				_, err = sender.Write([]byte("}"))
			}
			sender.CloseWithError(err)
		}()
		r, err := http.NewRequest(test.method, server.URL+"/compute/v2.1"+test.path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", "good")
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", test.path, err)
		}
		reply.Body.Close()
		if reply.StatusCode != test.want {
			t.Errorf("%s: got status %d, want %d", test.path, reply.StatusCode, test.want)
		}
	}
}

func TestKernelWithoutToken(t *testing.T) {
	for _, token := range []string{"", "bad"} {
		r := httptest.NewRequest("GET", "http://cloud/compute/v2.1/things/1", nil)
		r.Header.Set("X-Auth-Token", token)
		w := httptest.NewRecorder()
		testKernel(t).ServeHTTP(w, r)
		const want = `{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}`
		if w.Code != http.StatusUnauthorized || w.Body.String() != want {
			t.Errorf("token %q: got %d %s, want 401 %s", token, w.Code, w.Body, want)
		}
	}
}

func TestClientThatIsGoneIsNoFaultOfOurs(t *testing.T) {
	var log strings.Builder
	k := testKernel(t)
	k.log = slog.New(slog.NewTextHandler(&log, nil)) // from info on
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("GET", "http://cloud/compute/v2.1/waits", nil).WithContext(ctx)
	r.Header.Set("X-Auth-Token", "good")
	w := httptest.NewRecorder()
	k.ServeHTTP(w, r)
	if w.Code != 499 || log.Len() != 0 {
		t.Errorf("got %d and in the log %q, want 499 and nothing", w.Code, log.String())
	}
}

func TestTwoRowsForOneRequestPanic(t *testing.T) {
	no := Empty(func(*Call) error { return nil })
	add := func(rows ...Route) (refused bool) {
		defer func() { refused = recover() != nil }()
		New(Options{}).Add(Service{Mount: "/x", Routes: rows})
		return false
	}
	same := []Route{
		{Method: "GET", Path: "/things/{id}", Public: true, Until: V(2, 10), Do: no},
		{Method: "GET", Path: "/things/{name}", Public: true, Since: V(2, 10), Do: no},
	}
	if !add(same...) {
		t.Error("both rows were taken, though both answer at 2.10")
	}
	same[1].Since = V(2, 11)
	if add(same...) {
		t.Error("rows of different versions were refused")
	}
}

func TestAppendStringIsJSON(t *testing.T) {
	for _, s := range []string{"", "plain", "quo\"te\\", "tab\tline\n\r\x00\x1f", "珠云", "bad\xffutf"} {
		var got string
		err := json.Unmarshal(appendString(nil, s), &got)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		want := strings.ToValidUTF8(s, "\ufffd")
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestNilPointerToWhatMarshalsItselfIsNull(t *testing.T) {
	body, err := Encode(struct {
		At *Micros `json:"at"`
	}{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(body), `{"at":null}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestLongListsAreWrittenInOrder: they are written by several at once.
func TestLongListsAreWrittenInOrder(t *testing.T) {
	t.Parallel()
	long := make([]map[string]any, longSlice+1)
	for i := range long {
		long[i] = map[string]any{"n": i}
	}
	body, err := Encode(long, 0)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(long)
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != string(want) {
		t.Errorf("got %.100s…, want %.100s…", body, want)
	}
	long[longSlice]["n"] = func() {}
	_, err = Encode(long, 0)
	if err == nil {
		t.Error("a list with what is no JSON was written")
	}
}
