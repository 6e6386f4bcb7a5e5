package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"nacre/internal/object"
)

// list lists over HTTP and returns the names; rolled-up ones as they are.
func (s *service) list(t testing.TB, path string, l object.Listing) []string {
	t.Helper()
	q := url.Values{"format": {"json"}}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("marker", l.Marker)
	set("end_marker", l.EndMarker)
	switch {
	case l.Flat:
		q.Set("path", l.Prefix)
	default:
		set("prefix", l.Prefix)
		set("delimiter", l.Delimiter)
	}
	if l.Reverse {
		q.Set("reverse", "on")
	}
	if l.Limit > 0 {
		q.Set("limit", fmt.Sprint(l.Limit))
	}
	var entries []struct{ Name, Subdir string }
	r := s.call(t, demo, "GET", path+"?"+q.Encode(), "").must(t, 200)
	err := json.Unmarshal([]byte(r.body), &entries)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name+e.Subdir)
	}
	return names
}

// model says what a listing is, slowly: roll up every name, then cut.
func model(names []string, l object.Listing) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	if l.Reverse {
		slices.Reverse(names)
	}
	before := func(a, b string) bool { return (a < b) != l.Reverse && a != b }
	// Swift compares a rolled-up name with the lower end of the list.
	low := l.Marker
	if l.Reverse {
		low = l.EndMarker
	}
	prefix, delimiter := l.Prefix, l.Delimiter
	if l.Flat {
		delimiter = "/"
		if prefix != "" {
			prefix = strings.TrimRight(prefix, "/") + "/"
		}
	}
	out := []string{}
	seen := map[string]bool{}
	for _, name := range names {
		switch {
		case !strings.HasPrefix(name, prefix):
			continue
		case l.Marker != "" && !before(l.Marker, name):
			continue
		case l.EndMarker != "" && !before(name, l.EndMarker):
			continue
		}
		entry := name
		head, tail, found := strings.Cut(name[len(prefix):], delimiter)
		if delimiter != "" && found && (!l.Flat || tail != "") {
			entry = prefix + head + delimiter
			if l.Flat || entry == low {
				continue
			}
		} else if l.Flat && name == prefix {
			continue
		}
		if !seen[entry] {
			seen[entry] = true
			out = append(out, entry)
		}
	}
	return out[:min(len(out), l.Limit)]
}

// TestListingModel compares listings with the model, over names that are full
// of delimiters and of the characters next to them.
func TestListingModel(t *testing.T) {
	s := start(t, t.TempDir())
	word := rapid.StringOfN(rapid.SampledFrom([]rune("ab/.0é\U0010ffff")), 1, 6, -1)
	boxes := 0
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfNDistinct(word, 0, 40, rapid.ID[string]).Draw(r, "names")
		boxes++
		path := fmt.Sprintf("%s/box%d", account, boxes)
		s.put(t, path, "")
		s.keep(t, fmt.Sprintf("box%d", boxes), names)
		some := func(label string) string { return rapid.OneOf(rapid.Just(""), word).Draw(r, label) }
		for range 12 {
			l := object.Listing{
				Marker: some("marker"), EndMarker: some("end"), Prefix: some("prefix"),
				Delimiter: rapid.SampledFrom([]string{"", "/", "a", "b/", "\U0010ffff"}).Draw(r, "delimiter"),
				Flat:      rapid.IntRange(0, 4).Draw(r, "flat") == 0,
				Reverse:   rapid.Bool().Draw(r, "reverse"),
				Limit:     rapid.SampledFrom([]int{1, 2, 3, 5, 10000}).Draw(r, "limit"),
			}
			got, want := s.list(t, path, l), model(names, l)
			if !slices.Equal(got, want) {
				r.Fatalf("%+v of %q: got %q, want %q", l, names, got, want)
			}
		}
	})
}

// TestListingPages follows the markers through more names than one chunk has.
func TestListingPages(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill(t, 1300)
	all := s.list(t, box, object.Listing{})
	if len(all) != 1300 {
		t.Fatalf("got %d names, want 1300", len(all))
	}
	for _, l := range []object.Listing{{Limit: 400}, {Limit: 400, Reverse: true}, {Limit: 7, Delimiter: "/"}, {Limit: 7, Delimiter: "/", Reverse: true}} {
		want := model(all, object.Listing{Delimiter: l.Delimiter, Reverse: l.Reverse, Limit: 10000})
		var got []string
		for {
			page := s.list(t, box, l)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			l.Marker = page[len(page)-1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: got %d names, want %d", l, len(got), len(want))
		}
	}
	if got := s.call(t, demo, "GET", box+"?limit=0", ""); got.status != 204 || got.body != "" {
		t.Errorf("limit=0: got %d %q, want 204", got.status, got.body)
	}
	if got := s.call(t, demo, "GET", box+"?limit=-5", "").must(t, 200); strings.Count(got.body, "\n") != 1300 {
		t.Errorf("a limit that is no number of digits is not ignored")
	}
	h := s.call(t, demo, "HEAD", box, "").header
	if h.Get("X-Container-Object-Count") != "1300" || h.Get("X-Container-Bytes-Used") != "1300" {
		t.Errorf("counters are %v", h)
	}
}
