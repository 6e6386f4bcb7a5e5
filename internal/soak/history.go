package soak

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// History is what users asked of things that they share, and what they were told.
// Each thing is a register: it holds a text, or is gone.
type History struct {
	start time.Time

	mu  sync.Mutex // guards ops
	ops []porcupine.Operation
}

func NewHistory() *History { return &History{start: time.Now()} }

type question struct {
	thing  string
	kind   string // put, get, delete, or drop: what deletes and does not tell whether there was anything
	text   string // of put
	exists bool   // put changes what is there, and makes nothing
}

type answer struct {
	told string // yes, gone, or nothing when there was no answer
	text string // of get
}

const (
	told    = "yes"
	gone    = "gone"
	nothing = ""
)

// add writes down a question and its answer. Without one, the question may have
// its effect at any later time.
func (h *History) add(user int, asked time.Time, q question, a answer) {
	end := time.Since(h.start).Nanoseconds()
	if a.told == nothing {
		if q.kind == "get" {
			return
		}
		end = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: user, Input: q, Call: asked.Sub(h.start).Nanoseconds(), Output: a, Return: end,
	})
}

// register says which answers make sense. Its state is the text, gone at first.
var register = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range all {
			thing := op.Input.(question).thing
			by[thing] = append(by[thing], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return gone },
	Step: func(state, input, output any) (bool, any) {
		q, a := input.(question), output.(answer)
		there := state != gone
		switch {
		case q.kind == "get" && there:
			return a.told == told && "="+a.text == state, state
		case q.kind == "get":
			return a.told == gone, state
		case q.kind == "drop":
			return a.told != gone, gone
		case q.kind == "delete" && there:
			return a.told != gone, gone
		case q.kind == "delete":
			return a.told != told, gone
		case there || !q.exists:
			return a.told != gone, "=" + q.text
		}
		return a.told != told, state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, output) },
}

// Check fails the test for each thing whose answers have no order in which they
// make sense.
func (h *History) Check(t *testing.T) {
	t.Helper()
	unanswered := 0
	for _, op := range h.ops {
		if op.Output.(answer).told == nothing {
			unanswered++
		}
	}
	t.Logf("%d questions about things that users share, %d of them without an answer", len(h.ops), unanswered)
	for _, part := range register.Partition(seen(h.ops)) {
		result := porcupine.CheckOperationsTimeout(register, part, time.Minute)
		if result == porcupine.Ok {
			continue
		}
		var lines []string
		for _, op := range part {
			lines = append(lines, fmt.Sprintf("%d-%d %+v %+v", op.Call/1e6, op.Return/1e6, op.Input, op.Output))
		}
		t.Errorf("the answers about %s are %s: no order explains them\n%s", part[0].Input.(question).thing, result, strings.Join(lines, "\n"))
	}
}

// seen leaves out changes that nobody was told of and nobody saw: they explain
// nothing, and each of them doubles what there is to try.
func seen(ops []porcupine.Operation) []porcupine.Operation {
	texts := map[string]bool{}
	for _, op := range ops {
		if op.Input.(question).kind == "get" {
			texts[op.Output.(answer).text] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op porcupine.Operation) bool {
		q := op.Input.(question)
		return q.kind == "put" && q.exists && op.Output.(answer).told == nothing && !texts[q.text]
	})
}

// sharer is a user of things that others use at the same time.
type sharer struct {
	worker
	history *History
	number  int
	ports   []string
	objects string // URL path of the container
	bucket  bucket // the same by S3
}

func (s *sharer) turn() {
	q := question{kind: []string{"put", "put", "get", "get", "get", "get", "delete"}[s.r.IntN(7)], text: fmt.Sprintf("%d-%d", s.number, s.r.Uint32())}
	if s.r.IntN(2) == 0 {
		s.port(q)
		return
	}
	s.object(q)
}

// port changes and reads the name of a port; ports are not removed.
func (s *sharer) port(q question) {
	q.thing, q.exists = "port "+s.ports[s.r.IntN(len(s.ports))], true
	path := "/network/v2.0/ports/" + strings.TrimPrefix(q.thing, "port ")
	method, body := "GET", any(nil)
	if q.kind == "put" {
		method, body = "PUT", map[string]any{"port": map[string]any{"name": q.text}}
	} else {
		q.kind = "get"
	}
	s.note(q, func() (int, []byte, error) { return s.c.Do(method, path, body) }, "port", []int{200}, func(body []byte) string { return fieldOf(body, "port", "name") })
}

// times is how many times an object has its text, so that a torn one shows. One
// that is sent in parts has it more often.
const times = 5000

// object writes, reads and removes an object, by Swift or by S3.
func (s *sharer) object(q question) {
	name := fmt.Sprintf("shared-%d", s.r.IntN(4))
	q.thing = "object " + name
	word := []byte(q.text + " ")
	// Signatures of S3 are good for a quarter of an hour, and the clock of a scenario
	// may be far ahead.
	if s.Lives || s.r.IntN(2) == 0 {
		method := map[string]string{"put": "PUT", "get": "GET", "delete": "DELETE"}[q.kind]
		good := map[string]int{"put": 201, "get": 200, "delete": 204}[q.kind]
		ask := func() (int, []byte, error) { return s.c.Do(method, s.objects+"/"+name, bytes.Repeat(word, times)) }
		s.note(q, ask, "object "+name+" by Swift", []int{good, 404}, whole)
		return
	}
	count, kind, expected := times, q.kind, []int{200, 404}
	switch {
	case kind == "delete":
		q.kind, expected = "drop", []int{204}
	case kind == "put" && s.r.IntN(4) == 0:
		count = (partSize + partSize/8) / len(word)
	}
	ask := func() (int, []byte, error) { return s.c.S3(s.bucket, kind, name, bytes.Repeat(word, count)) }
	s.note(q, ask, "object "+name+" by S3", expected, whole)
}

// whole is the text that an object has again and again, or what shows that it is
// torn.
func whole(body []byte) string {
	text, _, _ := strings.Cut(string(body), " ")
	count := len(body) / (len(text) + 1)
	if count != times && len(body) < partSize || string(body) != strings.Repeat(text+" ", count) {
		return fmt.Sprintf("%d torn bytes", len(body))
	}
	return text
}

// note asks, and writes down what was told. What was refused since there is no
// space must not have had an effect, so it is left out.
func (s *sharer) note(q question, ask func() (int, []byte, error), what string, expected []int, text func(body []byte) string) {
	asked := time.Now()
	a := answer{}
	code, reply, err := ask()
	status := s.heard(q.kind+" "+what, code, reply, err, expected, func(body []byte) { a = answer{told, text(body)} })
	switch status {
	case notAsked, http.StatusInsufficientStorage:
		return
	case http.StatusNotFound:
		a.told = gone
	}
	s.history.add(s.number, asked, q, a)
}
