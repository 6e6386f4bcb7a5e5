package api

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A request type is its own schema. Each field may say in a tag check, parts
// separated by commas:
//
//	required       the key must be there
//	nullable       null is allowed (pointers, Opt: always, but for notnull)
//	notnull        null is not allowed, though the field is a pointer
//	min=N, max=N   length of a string, number of items, or value of a number
//	enum=a|b       one of these
//	pattern=NAME   matches the pattern of that name below
//	format=ipv4    an address; also ipv6, and ip for either
//	open           (on a field named _ of type struct{}) further keys are allowed
//	nonempty       at least one key (objects)
//	keys=NAME      each key matches the pattern of that name (maps)
//
// and in the tags since and until which microversions know it. A type may give
// its own schema by implementing Schemer, or VersionSchemer when microversions
// differ.

// Schemer gives the JSON schema of a type that tags cannot describe.
type Schemer interface {
	JSONSchema() map[string]any
}

// VersionSchemer is Schemer for a type that microversions read differently.
type VersionSchemer interface {
	JSONSchemaAt(v Version) map[string]any
}

// patterns are the named patterns, as OpenStack's parameter types have them.
var patterns = map[string]string{
	"name":     `^(?:[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?)$`, // printable, no space at the ends
	"text":     `^[^\p{C}\p{Zl}\p{Zp}]*$`,
	"zone":     `^(?:[^:\s\x00-\x1f\x7f](?:[^:\x00-\x1f\x7f]*[^:\s\x00-\x1f\x7f])?)$`, // a name without colons
	"uuid":     `^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$`,
	"image":    `^([0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12})?$`, // a UUID, or empty
	"id":       `^[a-zA-Z0-9-]+$`,
	"hostname": `^[a-zA-Z0-9._-]*$`,
	"key":      `^[a-zA-Z0-9-_:. ]{1,255}$`, // metadata keys
	"base64":   `^[A-Za-z0-9+/\s]*={0,2}\s*$`,
	"tag":      `^[^,/]*$`,
	"disk":     `^[a-zA-Z0-9._/-]*$`,
	"device":   `(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$`, // of a disk
	"class":    `^[A-Z0-9_]+$`,                                  // Placement's names
	"custom":   `^CUSTOM_[A-Z0-9_]+$`,                           // those that users add
	"uuid36":   `^[0-9a-fA-F-]{36}$`,
	"percent":  `^(100|[0-9]{1,2})%$`,
	"nonblank": `[\S]+`, // Keystone's names
	"url":      `^[a-zA-Z0-9+.-]+:.+`,
}

type schemaKey struct {
	t reflect.Type
	v Version
}

var schemas sync.Map // schemaKey → *jsonschema.Schema

// check validates a body against the type at a microversion, and returns as JSON
// what of it the type knows. The error is a *Violation, or says that the body is
// no JSON.
func check(t reflect.Type, v Version, body []byte) ([]byte, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	err = sane(value)
	if err != nil {
		return nil, err
	}
	value = wholes(value, t, v)
	schema, err := compile(t, v)
	if err != nil {
		panic(fmt.Sprintf("schema of %s: %v", t, err)) // our fault, not the client's
	}
	err = schema.Validate(value)
	invalid, ok := err.(*jsonschema.ValidationError)
	if ok {
		v := violation(invalid, value)
		v.Schema = nameOf(t)
		return nil, v
	}
	if err != nil {
		return nil, err
	}
	return knownJSON(value, t, v)
}

// nameOf is the name that the schema of a Schemer gives itself.
func nameOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer || !t.Implements(schemerType) {
		return ""
	}
	name, _ := reflect.Zero(t).Interface().(Schemer).JSONSchema()["name"].(string)
	return name
}

func compile(t reflect.Type, v Version) (*jsonschema.Schema, error) {
	key := schemaKey{t, v}
	known, ok := schemas.Load(key)
	if ok {
		return known.(*jsonschema.Schema), nil
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, f := range formats {
		compiler.RegisterFormat(f)
	}
	const url = "nacre:///request.json" // a name alone would be looked up in the working folder, which may be gone
	err := compiler.AddResource(url, normal(schemaOf(t, "", v)))
	if err != nil {
		return nil, err
	}
	schema, err := compiler.Compile(url)
	if err != nil {
		return nil, err
	}
	schemas.Store(key, schema)
	return schema, nil
}

var (
	schemerType        = reflect.TypeFor[Schemer]()
	versionSchemerType = reflect.TypeFor[VersionSchemer]()
)

// ownSchema is the schema that a type gives itself, if it does.
func ownSchema(t reflect.Type, v Version) (map[string]any, bool) {
	switch {
	case t.Kind() == reflect.Pointer:
		return nil, false
	case t.Implements(schemerType):
		return reflect.Zero(t).Interface().(Schemer).JSONSchema(), true
	case t.Implements(versionSchemerType):
		return reflect.Zero(t).Interface().(VersionSchemer).JSONSchemaAt(v), true
	}
	return nil, false
}

// schemaOf derives the schema of a type with the check tag of its field.
func schemaOf(t reflect.Type, tag string, v Version) map[string]any {
	own, has := ownSchema(t, v)
	if has {
		own = maps.Clone(own) // another field may have other limits
		limits(own, tag)
		return own
	}
	s := map[string]any{}
	nullable := hasPart(tag, "nullable")
	switch {
	case t.Kind() == reflect.Pointer && hasPart(tag, "notnull"):
		return schemaOf(t.Elem(), tag, v)
	case t.Kind() == reflect.Pointer:
		return withNull(schemaOf(t.Elem(), tag, v))
	case isOpt(t):
		return withNull(schemaOf(t.Field(2).Type, tag, v))
	case t == reflect.TypeFor[Int]():
		s["type"] = []any{"integer", "string"}
		s["pattern"] = "^-?[0-9]+$"
		span(s, t)
	case t == reflect.TypeFor[Bool]():
		s["enum"] = []any{true, false, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t",
			"False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f"}
	default:
		byKind(s, t, v)
	}
	limits(s, tag)
	if nullable {
		return withNull(s)
	}
	return s
}

func byKind(s map[string]any, t reflect.Type, v Version) {
	switch t.Kind() {
	case reflect.String:
		s["type"] = "string"
	case reflect.Bool:
		s["type"] = "boolean"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64:
		s["type"] = "integer"
		span(s, t)
	case reflect.Float64:
		s["type"] = "number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 { // json.RawMessage and the like: anything
			return
		}
		s["type"] = "array"
		s["items"] = schemaOf(t.Elem(), "", v)
	case reflect.Map:
		s["type"] = "object"
		s["additionalProperties"] = schemaOf(t.Elem(), "", v)
	case reflect.Struct:
		ofStruct(s, t, v)
	}
}

func ofStruct(s map[string]any, t reflect.Type, v Version) {
	properties := map[string]any{}
	var required []any
	s["type"], s["additionalProperties"] = "object", false
	eachField(t, v, func(name string, f reflect.StructField) {
		tag := f.Tag.Get("check")
		if name == "" {
			if hasPart(tag, "open") {
				delete(s, "additionalProperties")
			}
			if hasPart(tag, "nonempty") {
				s["minProperties"] = 1
			}
			return
		}
		properties[name] = schemaOf(f.Type, tag, v)
		if hasPart(tag, "required") {
			required = append(required, name)
		}
	})
	s["properties"] = properties
	if required != nil {
		s["required"] = required
	}
}

// eachField calls the function for the fields of a request type that a
// microversion knows, those of embedded structs among them. The field _, which
// speaks for the whole type, has no name.
func eachField(t reflect.Type, v Version, do func(name string, f reflect.StructField)) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !inVersion(f, v):
		case f.Name == "_":
			do("", f)
		case f.Anonymous && name == "":
			eachField(f.Type, v, do)
		case name != "" && name != "-":
			do(name, f)
		}
	}
}

func inVersion(f reflect.StructField, v Version) bool {
	since, _ := ParseVersion(f.Tag.Get("since"))
	until, _ := ParseVersion(f.Tag.Get("until"))
	return v.within(since, until)
}

func isOpt(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "Opt[") && t.PkgPath() == "nacre/internal/api"
}

func hasPart(tag, part string) bool {
	for _, p := range strings.Split(tag, ",") {
		if p == part {
			return true
		}
	}
	return false
}

// limits adds what the tag says besides the type.
func limits(s map[string]any, tag string) {
	lower, upper := "minimum", "maximum"
	switch s["type"] {
	case "string":
		lower, upper = "minLength", "maxLength"
	case "array":
		lower, upper = "minItems", "maxItems"
	case "object":
		lower, upper = "minProperties", "maxProperties"
	}
	for _, part := range strings.Split(tag, ",") {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(value)
		switch name {
		case "min":
			s[lower] = n
		case "max":
			s[upper] = n
		case "format":
			s["format"] = value
			continue
		case "enum":
			var list []any
			for _, word := range strings.Split(value, "|") {
				list = append(list, word)
			}
			s["enum"] = list
			continue
		case "pattern", "keys":
			pattern, known := patterns[value]
			if !known {
				panic("no pattern named " + value)
			}
			if name == "keys" {
				s["propertyNames"] = map[string]any{"pattern": pattern}
				continue
			}
			s["pattern"] = pattern
			continue
		default:
			continue
		}
		if err != nil {
			panic("bad check tag " + tag)
		}
	}
}

func withNull(s map[string]any) map[string]any {
	enum, ok := s["enum"].([]any)
	if ok {
		s["enum"] = append(enum, nil)
	}
	switch t := s["type"].(type) {
	case string:
		s["type"] = []any{t, "null"}
	case []any:
		if !slices.Contains(t, any("null")) {
			s["type"] = append(append([]any{}, t...), "null")
		}
	}
	return s
}

// normal turns Go numbers and maps into what the schema library wants.
func normal(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for key, value := range x {
			out[key] = normal(value)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, value := range x {
			out[i] = normal(value)
		}
		return out
	case int:
		return float64(x)
	}
	return v
}
