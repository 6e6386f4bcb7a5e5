package api

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// A view is a struct with json tags. Further tags say which microversions have
// the field: since:"2.26", until:"2.56". One view per resource is enough,
// always in its newest shape. Nil slices are [], nil maps {}, nil pointers
// null; times are written as 2026-12-01T08:00:00Z. A view that needs a change
// which is more than a field implements Versioned.

// Versioned is a view that becomes another one before it is written.
type Versioned interface {
	// At returns what to write at the microversion.
	At(v Version) any
}

// Fields is a view of which only some top-level keys are written, as Neutron's
// query parameter fields asks. An empty list is all.
type Fields struct {
	View any
	Only []string
}

// Micros is a time that is written with six digits of a second and no zone, as
// Cinder and Nova's instance actions do: 2026-12-01T08:00:00.000000.
type Micros time.Time

func appendMicros(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
	t := time.Time(held[Micros](value))
	if t.IsZero() {
		return append(dst, "null"...), nil
	}
	dst = appendSeconds(append(dst, '"'), t)
	point := len(dst) - len("Z")
	dst = strconv.AppendInt(dst[:point], int64(1_000_000+t.Nanosecond()/1000), 10)
	dst[point] = '.'
	return append(dst, '"'), nil
}

// held is what a value is, without a copy of its own where it can be had.
func held[T any](value reflect.Value) T {
	if value.CanAddr() {
		return *value.Addr().Interface().(*T)
	}
	return value.Interface().(T)
}

// Encode writes a view as JSON in the shape of the microversion.
func Encode(view any, v Version) ([]byte, error) {
	if view == nil {
		return []byte("null"), nil
	}
	return appendAny(make([]byte, 0, 512), reflect.ValueOf(view), v)
}

type appender func(dst []byte, value reflect.Value, v Version) ([]byte, error)

type encoderKey struct {
	t reflect.Type
	v Version
}

var encoders sync.Map // encoderKey → appender

func encoderOf(t reflect.Type, v Version) appender {
	key := encoderKey{t, v}
	known, ok := encoders.Load(key)
	if ok {
		return known.(appender)
	}
	// A type that contains itself finds this indirection while it is compiled.
	var compiled appender
	var once sync.WaitGroup
	once.Add(1)
	encoders.Store(key, appender(func(dst []byte, value reflect.Value, v Version) ([]byte, error) {
		once.Wait()
		return compiled(dst, value, v)
	}))
	compiled = compileView(t, v)
	once.Done()
	encoders.Store(key, compiled)
	return compiled
}

var (
	versionedType = reflect.TypeFor[Versioned]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
	timeType      = reflect.TypeFor[time.Time]()
	microsType    = reflect.TypeFor[Micros]()
	fieldsType    = reflect.TypeFor[Fields]()
)

func appendAny(dst []byte, value reflect.Value, v Version) ([]byte, error) {
	return encoderOf(value.Type(), v)(dst, value, v)
}

func compileView(t reflect.Type, v Version) appender {
	switch {
	case t == fieldsType:
		return appendFields
	case t == writtenType:
		return appendWritten
	case t == linkType:
		return appendLink
	case t == timeType:
		return appendTime
	case t == microsType:
		return appendMicros
	case t.Kind() == reflect.Slice && t.Implements(objectType):
		return compileObject(t, v)
	case t.Implements(versionedType):
		return appendVersioned
	case t.Implements(marshalerType):
		return appendMarshaled
	}
	switch t.Kind() {
	case reflect.String:
		return func(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
			return appendString(dst, value.String()), nil
		}
	case reflect.Bool:
		return func(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
			return strconv.AppendBool(dst, value.Bool()), nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
			return strconv.AppendInt(dst, value.Int(), 10), nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
			return strconv.AppendUint(dst, value.Uint(), 10), nil
		}
	case reflect.Float32, reflect.Float64:
		return appendFloat
	case reflect.Interface:
		return orNull(appendAny)
	case reflect.Pointer:
		return orNull(encoderOf(t.Elem(), v))
	case reflect.Slice, reflect.Array:
		if t == reflect.TypeFor[json.RawMessage]() {
			return func(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
				return append(dst, value.Bytes()...), nil
			}
		}
		return compileSlice(t, v)
	case reflect.Map:
		return compileMap(t, v)
	case reflect.Struct:
		return compileStruct(t, v)
	}
	return func([]byte, reflect.Value, Version) ([]byte, error) {
		return nil, fmt.Errorf("view %s cannot be written", t)
	}
}

// orNull writes what an interface or a pointer holds.
func orNull(write appender) appender {
	return func(dst []byte, value reflect.Value, v Version) ([]byte, error) {
		if value.IsNil() {
			return append(dst, "null"...), nil
		}
		return write(dst, value.Elem(), v)
	}
}

func appendFields(dst []byte, value reflect.Value, v Version) ([]byte, error) {
	f := value.Interface().(Fields)
	body, err := Encode(f.View, v)
	if err != nil || len(f.Only) == 0 {
		return append(dst, body...), err
	}
	var all map[string]json.RawMessage
	err = json.Unmarshal(body, &all)
	if err != nil {
		return nil, fmt.Errorf("choose fields: %w", err)
	}
	only := make(map[string]json.RawMessage, len(f.Only))
	for _, name := range f.Only {
		field, ok := all[name]
		if ok {
			only[name] = field
		}
	}
	return appendAny(dst, reflect.ValueOf(only), v)
}

func appendTime(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
	t := held[time.Time](value)
	if t.IsZero() {
		return append(dst, "null"...), nil
	}
	return append(appendSeconds(append(dst, '"'), t), '"'), nil
}

// appendSeconds writes 2026-12-01T08:00:00Z, in the layout that AppendFormat is
// quickest at.
func appendSeconds(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, time.RFC3339) }

func appendVersioned(dst []byte, value reflect.Value, v Version) ([]byte, error) {
	other := value.Interface().(Versioned).At(v)
	body, err := Encode(other, v)
	return append(dst, body...), err
}

func appendMarshaled(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
	if value.Kind() == reflect.Pointer && value.IsNil() {
		return append(dst, "null"...), nil // a method of the value has none to be called on
	}
	body, err := value.Interface().(json.Marshaler).MarshalJSON()
	return append(dst, body...), err
}

func appendFloat(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
	f := value.Float()
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.AppendFloat(dst, f, 'f', 1, 64), nil // 1.0, as Python writes it
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64), nil
}

func compileSlice(t reflect.Type, v Version) appender {
	if t.Elem().Kind() == reflect.Uint8 {
		return func(dst []byte, value reflect.Value, _ Version) ([]byte, error) {
			body, err := json.Marshal(value.Bytes())
			return append(dst, body...), err
		}
	}
	item := encoderOf(t.Elem(), v)
	items := func(dst []byte, value reflect.Value, v Version) (_ []byte, err error) {
		for i := range value.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst, err = item(dst, value.Index(i), v)
			if err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
	return func(dst []byte, value reflect.Value, v Version) (_ []byte, err error) {
		dst = append(dst, '[')
		if value.Len() < longSlice {
			dst, err = items(dst, value, v)
		} else {
			dst, err = appendParts(dst, value, v, items)
		}
		return append(dst, ']'), err
	}
}

// longSlice is how many items are worth writing side by side.
const longSlice = 400

// appendParts writes a part of the slice on each processor.
func appendParts(dst []byte, value reflect.Value, v Version, items appender) ([]byte, error) {
	texts := make([]*[]byte, runtime.GOMAXPROCS(0))
	var writing errgroup.Group
	for i := range texts {
		text := parts.Get().(*[]byte)
		defer parts.Put(text)
		texts[i] = text
		part := value.Slice(i*value.Len()/len(texts), (i+1)*value.Len()/len(texts))
		writing.Go(func() error {
			written, err := items((*text)[:0], part, v)
			if err == nil {
				*text = written
			}
			return err
		})
	}
	err := writing.Wait()
	if err != nil {
		return nil, err
	}
	return join(dst, texts), nil
}

func compileMap(t reflect.Type, v Version) appender {
	item := encoderOf(t.Elem(), v)
	return func(dst []byte, value reflect.Value, v Version) ([]byte, error) {
		if value.Len() == 0 {
			return append(dst, "{}"...), nil
		}
		keys := value.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(keyText(a), keyText(b)) })
		dst = append(dst, '{')
		var err error
		for i, key := range keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, keyText(key)), ':')
			dst, err = item(dst, value.MapIndex(key), v)
			if err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
}

// Object is a small map of a view, as a list: one that is used again costs nothing.
type Object[T any] []Member[T]

// Member is a key of an Object with its value.
type Member[T any] struct {
	Key   string
	Value T
}

func (Object[T]) isObject() {}

var objectType = reflect.TypeFor[interface{ isObject() }]()

func compileObject(t reflect.Type, v Version) appender {
	item := encoderOf(t.Elem().Field(1).Type, v)
	return func(dst []byte, value reflect.Value, v Version) (_ []byte, err error) {
		dst = append(dst, '{')
		for i := range value.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			member := value.Index(i)
			dst = append(appendString(dst, member.Field(0).String()), ':')
			dst, err = item(dst, member.Field(1), v)
			if err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
}

func keyText(key reflect.Value) string {
	if key.Kind() == reflect.String {
		return key.String()
	}
	return fmt.Sprint(key)
}

type viewField struct {
	index     []int
	prefix    []byte // "name":
	omitEmpty bool
	write     appender
}

func compileStruct(t reflect.Type, v Version) appender {
	fields := viewFields(t, nil, v)
	return func(dst []byte, value reflect.Value, v Version) ([]byte, error) {
		dst = append(dst, '{')
		first := true
		var err error
		for _, f := range fields {
			member := value.FieldByIndex(f.index)
			if f.omitEmpty && isEmpty(member) {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst, err = f.write(append(dst, f.prefix...), member, v)
			if err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
}

func viewFields(t reflect.Type, parent []int, v Version) []viewField {
	var out []viewField
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(parent), i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && inVersion(f, v) {
			out = append(out, viewFields(f.Type, index, v)...)
			continue
		}
		if !f.IsExported() || name == "-" || !inVersion(f, v) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out = append(out, viewField{
			index:     index,
			prefix:    append(appendString(nil, name), ':'),
			omitEmpty: options == "omitempty",
			write:     encoderOf(f.Type, v),
		})
	}
	return out
}

func isEmpty(value reflect.Value) bool {
	switch value.Kind() {
	case reflect.Slice, reflect.Map, reflect.String, reflect.Array:
		return value.Len() == 0
	}
	return value.IsZero()
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. Broken UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte { return append(appendText(append(dst, '"'), s), '"') }

// appendText writes what stands between the quotes.
func appendText(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b < utf8.RuneSelf {
			if b >= 0x20 && b != '"' && b != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch b {
			case '"', '\\':
				dst = append(dst, '\\', b)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[start:i]...), "\ufffd"...)
			start = i + 1
		}
		i += size
	}
	return append(dst, s[start:]...)
}
