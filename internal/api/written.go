package api

import (
	"reflect"
	"slices"
	"sync"
)

// Written are items of a list that are JSON already, in a view as []*Written, which
// are one list, in their order. A long list is never there as a whole but as text,
// and several goroutines can write it. What is written is shown once.
type Written struct{ text *[]byte }

// Add writes one more item, a pointer to a view, in the shape of the microversion.
func (w *Written) Add(item any, v Version) error {
	if w.text == nil {
		w.text = parts.Get().(*[]byte)
		*w.text = (*w.text)[:0]
	} else {
		*w.text = append(*w.text, ',')
	}
	text, err := appendAny(*w.text, reflect.ValueOf(item), v)
	if err == nil {
		*w.text = text
	}
	return err
}

var writtenType = reflect.TypeFor[[]*Written]()

func appendWritten(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
	var texts []*[]byte
	for _, w := range value.Interface().([]*Written) {
		if w.text != nil {
			texts = append(texts, w.text)
			defer parts.Put(w.text)
			w.text = nil
		}
	}
	dst = append(dst, '[')
	return append(join(dst, texts), ']'), nil
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
