package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"nacre/internal/clock"
)

type writtenItem struct {
	Name string `json:"name"`
	New  int    `json:"new" since:"2.26"`
}

// TestWritten: a list that is written in parts is the list that is written at once, of
// any length, and again when the buffers are used for the second time. A part that fails
// is an error when it is the first, and else a reply that no client takes for whole.
func TestWritten(t *testing.T) {
	t.Parallel()
	const fails, panics = -1, -2
	type written struct {
		Items *Written `json:"items"`
		Next  string   `json:"next"`
	}
	type list struct {
		Items []writtenItem `json:"items"`
		Next  string        `json:"next"`
	}
	items := func(part, size int) (out []writtenItem) {
		for i := range size {
			out = append(out, writtenItem{strings.Repeat("x", 200), part*1000 + i})
		}
		return out
	}
	var log strings.Builder // of one line at a time, and read when the server has ended
	k := New(Options{
		Tokens: oneToken{}, Policy: policyFunc(func(string) bool { return true }), Clock: clock.Real{},
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	k.Add(Service{
		Name: "nova", Mount: "/compute/v2.1", Envelope: Nova, Versions: &Microversions{Word: "compute", Min: V(2, 1), Max: V(2, 96)},
		Routes: []Route{{Method: "GET", Path: "/list", Rule: "list", Do: Get(func(c *Call) (written, error) {
			all := c.Written()
			var sizes []int
			err := json.Unmarshal([]byte(c.Query().Get("sizes")), &sizes)
			read := make(chan struct{})
			defer close(read)
			for part, size := range sizes {
				all.Part(func(p *Part) error {
					<-read // who reads what the parts are made of is not held up by them
					switch size {
					case fails:
						return errors.New("the disk is gone")
					case panics:
						panic("ouch")
					}
					for _, it := range items(part, size) {
						err := p.Add(&it)
						if err != nil {
							return err
						}
					}
					return nil
				})
			}
			return written{all, "n"}, errors.Join(err, c.AuthorizeOwn())
		})}},
	})
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // on others it asks twice
	get := func(method, version string, sizes []int) (reply *http.Response, body []byte, err error) {
		asked, _ := json.Marshal(sizes)
		r, err := http.NewRequest(method, server.URL+"/compute/v2.1/list?sizes="+url.QueryEscape(string(asked)), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", "good")
		r.Header.Set("OpenStack-API-Version", "compute "+version)
		reply, err = client.Do(r)
		if err != nil {
			return nil, nil, err
		}
		defer reply.Body.Close()
		body, err = io.ReadAll(reply.Body)
		return reply, body, err
	}
	for _, sizes := range [][]int{{}, {0}, {1}, {300}, {2, 0, 1}, {0, 1}, {300, 300}, {300, 300}, {3}, {100, 100, 100, 100, 100, 100, 100}} {
		for _, version := range []string{"2.1", "2.26"} {
			whole := list{Next: "n"}
			for part, size := range sizes {
				whole.Items = append(whole.Items, items(part, size)...)
			}
			v := V(2, 1)
			if version == "2.26" {
				v = V(2, 26)
			}
			want, err := Encode(whole, v)
			if err != nil {
				t.Fatal(err)
			}
			reply, got, err := get("GET", version, sizes)
			if err != nil || reply.StatusCode != 200 || string(got) != string(want) {
				t.Fatalf("parts of %v: got %v %.300s, %v, want %.300s", sizes, reply, got, err, want)
			}
			if known := reply.ContentLength >= 0; len(got) > 4096 && known != (len(sizes) < 2) {
				t.Errorf("parts of %v: the length of the reply is said: %v", sizes, known)
			}
			leave(want)
		}
		_, got, err := get("HEAD", "2.1", sizes)
		if err != nil || len(got) > 0 {
			t.Errorf("parts of %v: HEAD got %.100s, %v", sizes, got, err)
		}
	}
	refused := [][]int{{fails}, {panics}, {fails, 1}, {panics, 300, 300}, {fails, fails}}
	for _, sizes := range refused {
		reply, got, err := get("GET", "2.1", sizes)
		if err != nil || reply.StatusCode != 500 || !strings.Contains(string(got), "An unexpected error") {
			t.Errorf("parts of %v: got %v %.300s, %v", sizes, reply, got, err)
		}
	}
	cut := [][]int{{1, fails}, {300, panics}, {300, 300, 300, 300, fails}}
	for _, sizes := range cut {
		_, got, err := get("GET", "2.1", sizes)
		if err == nil || json.Valid(got) {
			t.Errorf("parts of %v: got %.300s, %v, want a reply that is cut", sizes, got, err)
		}
	}
	old, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	_, err = io.WriteString(old, "GET /compute/v2.1/list?sizes=[300,300] HTTP/1.0\r\nX-Auth-Token: good\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.ReadResponse(bufio.NewReader(old), nil)
	if err != nil || reply.ContentLength < 0 {
		t.Errorf("a client that knows of no chunks got %v, %v", reply, err)
	}
	server.Close()
	if got := strings.Count(log.String(), "level=ERROR"); got != len(refused)+len(cut) {
		t.Errorf("%d errors are logged, want %d: %.2000s", got, len(refused)+len(cut), log.String())
	}
	part := &Part{text: new([]byte)}
	err = part.Add(&struct{ C chan int }{})
	if err == nil {
		t.Error("a channel was written")
	}
}

func TestObjectIsAMap(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{nil, {"a"}, {"a", `b"c`}} {
		as, want := Object[[]writtenItem]{}, map[string][]writtenItem{}
		for i, name := range names {
			list := slices.Repeat([]writtenItem{{Name: name, New: i}}, i)
			as, want[name] = append(as, Member[[]writtenItem]{name, list}), list
		}
		got, err := Encode(as, V(2, 26))
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := Encode(want, V(2, 26))
		if err != nil || string(got) != string(wanted) {
			t.Errorf("got %s, want %s, %v", got, wanted, err)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	got, err := Encode([]Link{{Rel: "self", Href: "http://c/servers/", ID: `a"b`}, {Rel: "alternate", Href: "http://c/x", Type: "t"}}, V(2, 1))
	want := `[{"rel":"self","href":"http://c/servers/a\"b"},{"rel":"alternate","href":"http://c/x","type":"t"}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
