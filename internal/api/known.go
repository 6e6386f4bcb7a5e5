package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// What a handler gets must be what the schema has seen. JSON leaves room between
// the two: a key may be there twice, and the decoder, unlike the schema, takes
// NAME for name. So the checked value itself is written out again, without the
// keys that its type does not know, and the decoder reads that.
func knownJSON(value any, t reflect.Type, v Version) ([]byte, error) {
	dropUnknown(value, t, v)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return out.Bytes(), err
}

var unmarshalerType = reflect.TypeFor[json.Unmarshaler]()

// dropUnknown removes the keys of objects that their struct does not have at
// the microversion. Only open types let such keys come this far.
func dropUnknown(value any, t reflect.Type, v Version) {
	if isOpt(t) {
		dropUnknown(value, t.Field(2).Type, v)
		return
	}
	if t.Implements(schemerType) || t.Implements(versionSchemerType) || reflect.PointerTo(t).Implements(unmarshalerType) {
		return // it reads its JSON by itself
	}
	switch t.Kind() {
	case reflect.Pointer:
		dropUnknown(value, t.Elem(), v)
	case reflect.Slice:
		list, _ := value.([]any)
		for _, item := range list {
			dropUnknown(item, t.Elem(), v)
		}
	case reflect.Map:
		object, _ := value.(map[string]any)
		for _, member := range object {
			dropUnknown(member, t.Elem(), v)
		}
	case reflect.Struct:
		object, _ := value.(map[string]any)
		fields := map[string]reflect.Type{}
		eachField(t, v, func(name string, f reflect.StructField) { fields[name] = f.Type })
		for name, member := range object {
			field, known := fields[name]
			if !known {
				delete(object, name)
				continue
			}
			dropUnknown(member, field, v)
		}
	}
}

// mostNumber and mostExponent bound how a number is written, beyond all that
// fits into a machine word or a float. The schema computes with numbers of any
// size, and 1e999999 takes it a quarter of a second.
const mostNumber, mostExponent = 400, 400

var (
	errNumber = errors.New("a number is out of range")
	errText   = errors.New("a text holds a zero byte")
)

// sane refuses numbers that would take for ever, and texts that no column takes.
func sane(value any) error {
	switch x := value.(type) {
	case string:
		if !isText(x) {
			return errText
		}
	case json.Number:
		text := string(x)
		at := strings.IndexAny(text, "eE")
		if len(text) > mostNumber {
			return errNumber
		}
		if at < 0 {
			return nil
		}
		exponent, err := strconv.Atoi(text[at+1:])
		if err != nil || exponent > mostExponent || exponent < -mostExponent {
			return errNumber
		}
	case []any:
		for _, item := range x {
			err := sane(item)
			if err != nil {
				return err
			}
		}
	case map[string]any:
		for name, member := range x {
			if !isText(name) {
				return errText
			}
			err := sane(member)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
