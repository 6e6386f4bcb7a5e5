package api

import (
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Written is the long list of a reply, as a field of its view. It is made part by part,
// several of them at once, and goes out as it is made: it is nowhere as a whole.
type Written struct {
	version Version
	group   errgroup.Group
	parts   []*Part
	at      int // where it stands in the rest of the reply
}

// Written makes the list of the call's reply. There is at most one.
func (c *Call) Written() *Written {
	c.written = &Written{version: c.Version}
	c.written.group.SetLimit(runtime.NumCPU())
	return c.written
}

// Part has the next part of the list made, beside those before. It waits while there are
// as many under way as processors.
func (w *Written) Part(make func(part *Part) error) {
	p := &Part{version: w.version, text: parts.Get().(*[]byte)}
	*p.text = (*p.text)[:0]
	p.done.Add(1)
	w.parts = append(w.parts, p)
	w.group.Go(func() error {
		defer p.done.Done()
		defer func() {
			caught := recover()
			if caught != nil {
				p.err = fmt.Errorf("panic: %v\n%s", caught, stack())
			}
		}()
		p.err = make(p)
		return nil
	})
}

// Part is a part of a Written.
type Part struct {
	version Version
	text    *[]byte // items, with commas between them
	done    sync.WaitGroup
	err     error
}

// Add writes one more item, a pointer to a view.
func (p *Part) Add(item any) error {
	text := *p.text
	if len(text) > 0 {
		text = append(text, ',')
	}
	text, err := appendAny(text, reflect.ValueOf(item), p.version)
	if err == nil {
		*p.text = text
	}
	return err
}

var writtenType = reflect.TypeFor[*Written]()

// appendWritten leaves the place of the list in a reply.
func appendWritten(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
	value.Interface().(*Written).at = len(dst) + 1
	return append(dst, "[]"...), nil
}

// writeAround writes the reply around the call's list and the list into it. Only the
// first part can still fail in the form of an error.
func (c *Call) writeAround(status int, body []byte) {
	w := c.written
	size := int64(-1)
	if len(w.parts) > 0 && !w.parts[0].ready() {
		c.fail(w.parts[0].err)
		return
	}
	switch len(w.parts) {
	case 0:
		size = int64(len(body))
	case 1:
		size = int64(len(body) + len(*w.parts[0].text))
	}
	c.begin(status, "application/json", size)
	if c.request.Method == http.MethodHead {
		return
	}
	c.send(body[:w.at])
	some := false
	for _, p := range w.parts {
		if !p.ready() {
			c.abort(p.err)
		}
		if some && len(*p.text) > 0 {
			c.send([]byte{','})
		}
		some = some || len(*p.text) > 0
		c.send(*p.text)
		parts.Put(p.text)
	}
	c.send(body[w.at:])
}

func (p *Part) ready() bool {
	p.done.Wait()
	return p.err == nil
}

// parts are buffers for those of long lists, and bodies for what has them, which are
// as large again and again.
var (
	parts  = sync.Pool{New: func() any { return new([]byte) }}
	bodies = sync.Pool{New: func() any { return new([]byte) }}
)

// largeBody is from how many bytes on a body is worth keeping.
const largeBody = 64 << 10

// join writes the texts, with commas between them.
func join(dst []byte, texts []*[]byte) []byte {
	size := 64 // for what stands behind
	for _, text := range texts {
		size += len(*text) + 1
	}
	if size >= largeBody && cap(dst)-len(dst) < size {
		body := bodies.Get().(*[]byte)
		dst = append(slices.Grow((*body)[:0], len(dst)+size), dst...)
	}
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, *text...)
	}
	return dst
}

// leave gives a body back that nobody reads any longer.
func leave(body []byte) {
	if cap(body) >= largeBody {
		bodies.Put(&body)
	}
}
