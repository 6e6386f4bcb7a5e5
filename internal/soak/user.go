package soak

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Ledger is what the cloud has acknowledged.
type Ledger struct {
	mu      sync.Mutex // guards the maps
	created map[string]bool
	doomed  map[string]bool // its removal was asked for
	removed map[string]bool // its removal was acknowledged
}

func NewLedger() *Ledger {
	return &Ledger{created: map[string]bool{}, doomed: map[string]bool{}, removed: map[string]bool{}}
}

// note writes an id into one of the maps.
func (l *Ledger) note(in map[string]bool, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in[id] = true
}

// gone counts what was removed.
func (l *Ledger) gone() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.removed)
}

// Check compares with what exists at the end.
func (l *Ledger) Check(t *testing.T, what string, exists func(id string) bool) {
	t.Helper()
	for id := range l.created {
		switch {
		case l.removed[id] && exists(id):
			t.Errorf("%s %s: its removal was acknowledged, and it is there", what, id)
		case !l.doomed[id] && !exists(id):
			t.Errorf("%s %s was acknowledged, nobody asked to remove it, and it is gone", what, id)
		}
	}
}

// worker is one user's day: it makes, changes and removes things as long as it
// is told to, and writes down what was acknowledged.
type worker struct {
	*Day
	c     *Client
	admin *Client
	r     *rand.Rand
}

func idOf(body []byte, key string) string { return fieldOf(body, key, "id") }

// fieldOf reads a field of what a reply has under the key.
func fieldOf(body []byte, key, field string) string {
	var reply map[string]map[string]any
	err := json.Unmarshal(body, &reply)
	text, ok := reply[key][field].(string)
	if err != nil || !ok {
		return ""
	}
	return text
}

// things are what a worker has made and not removed.
type things struct{ servers, disks, images, rules []string }

func (w *worker) turn(has *things) {
	mine, disks, images := &has.servers, &has.disks, &has.images
	pick := func(list []string) string { return list[w.r.IntN(len(list))] }
	if w.Lives && len(*mine) > 0 && w.r.IntN(2) == 0 {
		w.live(pick(*mine), has)
		return
	}
	switch n := w.r.IntN(16); {
	case n == 13 && len(has.rules) < 5:
		port := 1 + w.r.IntN(60000)
		w.ask("POST", "/network/v2.0/security-group-rules", map[string]any{"security_group_rule": map[string]any{
			"security_group_id": w.group, "direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port,
		}}, []int{201, 409}, func(body []byte) {
			id := idOf(body, "security_group_rule")
			w.Rules.note(w.Rules.created, id)
			has.rules = append(has.rules, id)
		})
	case n == 14 && len(has.rules) > 0:
		w.remove(&has.rules, w.Rules, "/network/v2.0/security-group-rules/", []int{204, 404})
	case n == 15:
		w.c.forget() // the next question is asked with a new token
	case n == 10 && len(*images) < 3:
		w.ask("POST", "/image/v2/images", map[string]any{"name": "w", "disk_format": "raw", "container_format": "bare"}, []int{201}, func(body []byte) {
			var image struct{ ID string }
			err := json.Unmarshal(body, &image)
			if err == nil {
				w.Images.note(w.Images.created, image.ID)
				*images = append(*images, image.ID)
			}
		})
	case n == 11 && len(*images) > 0:
		w.ask("POST", "/image/v2/images/"+pick(*images)+"/import",
			map[string]any{"method": map[string]any{"name": "web-download", "uri": w.c.urls[0] + "/identity/v3"}}, []int{202, 404, 409}, nil)
	case n == 12 && len(*images) > 0:
		w.remove(images, w.Images, "/image/v2/images/", []int{204, 404})
	case n < 3 && len(*mine) < 4:
		w.ask("POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
			"name": "w", "flavorRef": "1", "imageRef": w.image, "networks": []any{map[string]any{"uuid": w.network}},
		}}, []int{202, 403}, func(body []byte) {
			id := idOf(body, "server")
			w.Servers.note(w.Servers.created, id)
			*mine = append(*mine, id)
		})
	case n < 4 && len(*disks) < 3:
		w.ask("POST", "/volume/v3/volumes", map[string]any{"volume": map[string]any{"name": "w", "size": 1}}, []int{202, 413}, func(body []byte) {
			id := idOf(body, "volume")
			w.Volumes.note(w.Volumes.created, id)
			*disks = append(*disks, id)
		})
	case n < 5 && len(*mine) > 0 && len(*disks) > 0:
		w.ask("POST", "/compute/v2.1/servers/"+pick(*mine)+"/os-volume_attachments",
			map[string]any{"volumeAttachment": map[string]any{"volumeId": pick(*disks)}}, []int{200, 400, 403, 404, 409}, nil)
	case n < 6 && len(*mine) > 0 && len(*disks) > 0:
		server := pick(*mine)
		if !w.Deaf || w.stopped(server) {
			w.ask("DELETE", "/compute/v2.1/servers/"+server+"/os-volume_attachments/"+pick(*disks), nil, []int{202, 400, 404, 409}, nil)
		}
	case n < 8 && len(*mine) > 0:
		action := []string{"os-stop", "os-start"}[w.r.IntN(2)]
		w.ask("POST", "/compute/v2.1/servers/"+pick(*mine)+"/action", map[string]any{action: nil}, []int{202, 404, 409}, nil)
	case n < 9 && len(*mine) > 0:
		w.remove(mine, w.Servers, "/compute/v2.1/servers/", []int{204, 404, 409})
	case len(*disks) > 0:
		w.remove(disks, w.Volumes, "/volume/v3/volumes/", []int{202, 404, 400})
	}
}

// stopped tells whether a server rests.
func (w *worker) stopped(server string) bool {
	status, body, err := w.c.Do("GET", "/compute/v2.1/servers/"+server, nil)
	return err == nil && status == 200 && fieldOf(body, "server", "status") == "SHUTOFF" && fieldOf(body, "server", "OS-EXT-STS:task_state") == ""
}

// remove asks for the end of one of the list, and forgets it when it was
// answered that it goes or is gone.
func (w *worker) remove(list *[]string, from *Ledger, path string, expected []int) {
	id := (*list)[w.r.IntN(len(*list))]
	from.note(from.doomed, id)
	status := w.ask("DELETE", path+id, nil, expected, func([]byte) { from.note(from.removed, id) })
	if status == expected[0] || status == http.StatusNotFound {
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == id })
	}
}

// notAsked is the status of a question that reached nobody.
const notAsked = -1

// ask calls acked when the cloud has acknowledged with the first status. It
// returns the status, 0 when there was no answer.
func (w *worker) ask(method, path string, body any, expected []int, acked func(body []byte)) int {
	status, reply, err := w.c.Do(method, path, body)
	return w.heard(method+" "+path, status, reply, err, expected, acked)
}

// heard is what ask does with an answer.
func (w *worker) heard(what string, status int, reply []byte, err error, expected []int, acked func(body []byte)) int {
	if err != nil {
		w.lost.Add(1)
		<-time.After(time.Duration(w.r.IntN(200)) * time.Millisecond) // users don't hammer
		if errors.Is(err, errNotAsked) {
			return notAsked
		}
		return 0
	}
	w.answered.Add(1)
	if status == expected[0] && acked != nil {
		acked(reply)
	}
	if status == expected[0] && !strings.HasPrefix(what, "GET ") && !strings.HasPrefix(what, "get ") {
		w.accepted.Add(1)
	}
	if !slices.Contains(expected, status) && status != http.StatusInsufficientStorage {
		w.t.Errorf("%s: unexpected %d %s", what, status, reply)
	}
	return status
}
