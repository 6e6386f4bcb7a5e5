package api

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"sync"
)

// Written is the long list of a reply, as a field of its view. Parts of it are made side
// by side, and never put together: the first go out while the last are made.
type Written struct {
	version Version
	parts   []*Part
	making  sync.WaitGroup
	turns   chan struct{} // as many parts are made at once as there are processors
	at      int           // where it stands in the rest of the reply
}

// Written makes the list of the call's reply. There is at most one.
func (c *Call) Written() *Written {
	c.written = &Written{version: c.Version, turns: make(chan struct{}, runtime.NumCPU())}
	return c.written
}

// Part has the next part of the list made, and doesn't wait for it: who reads from the
// database meanwhile has a connection, which the parts may want.
func (w *Written) Part(write func(part *Part) error) {
	p := &Part{version: w.version, text: parts.Get().(*[]byte)}
	*p.text = (*p.text)[:0]
	p.done.Add(1)
	w.parts = append(w.parts, p)
	w.making.Go(func() {
		w.turns <- struct{}{}
		defer func() {
			caught := recover()
			if caught != nil {
				p.err = fmt.Errorf("panic: %v\n%s", caught, stack())
			}
			p.done.Done()
			<-w.turns
		}()
		p.err = write(p)
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

// ready waits for the part and tells whether it is what it should be.
func (p *Part) ready() bool {
	p.done.Wait()
	return p.err == nil
}

var writtenType = reflect.TypeFor[*Written]()

// appendWritten leaves the place of the list in a reply, of which it is a field.
func appendWritten(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
	value.Interface().(*Written).at = len(dst) + 1
	return append(dst, "[]"...), nil
}

// writeAround writes the reply around the call's list and the list into it. A list of
// several parts goes out when the first is made, in chunks, for clients that know of them.
// If a later part fails, they learn it by a reply that does not end.
func (c *Call) writeAround(status int, body []byte) {
	w := c.written
	if w.at < 1 || !bytes.HasPrefix(body[w.at-1:], []byte("[]")) {
		c.fail(errors.New("the list is not a field of its reply"))
		return
	}
	first := w.parts
	if len(w.parts) > 1 && c.request.ProtoAtLeast(1, 1) && c.request.Method != http.MethodHead {
		first = w.parts[:1]
	}
	size, behind := int64(len(body)), 0
	for _, p := range first {
		if !p.ready() {
			c.fail(p.err)
			return
		}
		if len(*p.text) > 0 {
			size, behind = size+int64(behind+len(*p.text)), len(",")
		}
	}
	if len(first) < len(w.parts) {
		size = -1
	}
	c.begin(status, "application/json", size)
	if c.request.Method == http.MethodHead || !c.send(body[:w.at]) {
		return
	}
	some := false
	for _, p := range w.parts {
		if !p.ready() {
			c.cut = c.Context().Err() == nil
			c.err = errors.Join(c.err, p.err)
			panic(http.ErrAbortHandler)
		}
		if len(*p.text) == 0 {
			continue
		}
		if some && !c.send([]byte{','}) || !c.send(*p.text) {
			return
		}
		some = true
		parts.Put(p.text)
	}
	c.send(body[w.at:])
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
