package api

import (
	"strings"
	"testing"
)

// TestWritten: a list written in parts is the list that is written at once, of any
// length, and again when the buffers are used for the second time.
func TestWritten(t *testing.T) {
	t.Parallel()
	type item struct {
		Name string `json:"name"`
		New  int    `json:"new" since:"2.26"`
	}
	type list struct {
		Items []item `json:"items"`
		Next  string `json:"next"`
	}
	type written struct {
		Items []*Written `json:"items"`
		Next  string     `json:"next"`
	}
	for _, sizes := range [][]int{{}, {0}, {1}, {2, 0, 1}, {300, 300}, {300, 300}, {3}} {
		for _, version := range []Version{V(2, 1), V(2, 26)} {
			whole, parted := list{Next: "n"}, written{Next: "n"}
			for n, size := range sizes {
				part := &Written{}
				for i := range size {
					it := item{strings.Repeat("x", 200), n*1000 + i}
					whole.Items = append(whole.Items, it)
					err := part.Add(&it, version)
					if err != nil {
						t.Fatal(err)
					}
				}
				parted.Items = append(parted.Items, part)
			}
			want, err := Encode(whole, version)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Encode(parted, version)
			if err != nil || string(got) != string(want) {
				t.Fatalf("parts of %v: got %.300s, %v, want %.300s", sizes, got, err, want)
			}
			leave(got)
		}
	}
	part := &Written{}
	err := part.Add(&struct{ C chan int }{}, 0)
	if err == nil {
		t.Error("a channel was written")
	}
}
