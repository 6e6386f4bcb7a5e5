package api

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Violation is the first way in which a body differs from its schema.
type Violation struct {
	Schema  string   // name of the schema, when it has one
	Path    string   // keys from the top, joined by dots
	Field   string   // the last key; empty at the top
	Value   string   // the offending value as Python prints it, since the sentences are Python's
	Text    string   // what is wrong
	Missing []string // required keys that are not there
	Unknown []string // keys that nobody knows
	Rule    string   // the schema's keyword that is broken: required, maxLength …
	At      string   // where that stands in the schema, as Python prints it: ['properties']['total']
}

// Error implements error.
func (v *Violation) Error() string { return v.Path + ": " + v.Text }

// violation finds the deepest first cause and words it as Python's jsonschema
// does, since clients have come to match those sentences.
func violation(e *jsonschema.ValidationError, root any) *Violation {
	name := ""
	for len(e.Causes) > 0 {
		names, ok := e.ErrorKind.(*kind.PropertyNames)
		if ok {
			name = names.Property
		}
		e = e.Causes[0]
	}
	at := e.InstanceLocation
	value := root
	for _, key := range at {
		switch x := value.(type) {
		case map[string]any:
			value = x[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(x) {
				value = nil
				continue
			}
			value = x[i]
		}
	}
	v := &Violation{Path: strings.Join(at, "."), Value: plain(value)}
	if len(at) > 0 {
		v.Field = at[len(at)-1]
	}
	v.Rule, v.At = ruleOf(e)
	pattern, ok := e.ErrorKind.(*kind.Pattern)
	if name != "" && ok {
		// Python has no word for names but says what names there may be.
		v.Unknown, v.Rule = []string{name}, "additionalProperties"
		v.Text = fmt.Sprintf("'%s' does not match any of the regexes: '%s'", name, pattern.Want)
		return v
	}
	v.describe(e.ErrorKind, python(value))
	return v
}

// ruleOf is the keyword of the schema that an error is about, and where it stands.
func ruleOf(e *jsonschema.ValidationError) (rule, at string) {
	path := e.ErrorKind.KeywordPath()
	if len(path) > 0 {
		rule = path[0]
	}
	_, fragment, _ := strings.Cut(e.SchemaURL, "#")
	for _, part := range strings.Split(strings.TrimPrefix(fragment, "/"), "/") {
		if part != "" {
			at += "['" + part + "']"
		}
	}
	return rule, at
}

func (v *Violation) describe(why jsonschema.ErrorKind, value string) {
	switch k := why.(type) {
	case *kind.Required:
		v.Missing = k.Missing
		v.Text = fmt.Sprintf("'%s' is a required property", k.Missing[0])
	case *kind.AdditionalProperties:
		v.Unknown = k.Properties
		quoted := make([]string, len(k.Properties))
		for i, p := range k.Properties {
			quoted[i] = "'" + p + "'"
		}
		verb := "was"
		if len(quoted) > 1 {
			verb = "were"
		}
		v.Text = fmt.Sprintf("Additional properties are not allowed (%s %s unexpected)", strings.Join(quoted, ", "), verb)
	case *kind.Type:
		v.Text = fmt.Sprintf("%s is not of type '%s'", value, strings.Join(k.Want, "', '"))
	case *kind.MaxLength:
		v.Text = value + " is too long"
	case *kind.MinLength:
		v.Text = value + " is too short"
	case *kind.MaxItems:
		v.Text = value + " is too long"
	case *kind.MinItems:
		v.Text = value + " is too short"
	case *kind.MinProperties:
		v.Text = value + " does not have enough properties"
	case *kind.MaxProperties:
		v.Text = value + " has too many properties"
	case *kind.Minimum:
		v.Text = fmt.Sprintf("%s is less than the minimum of %s", value, k.Want.RatString())
	case *kind.Maximum:
		v.Text = fmt.Sprintf("%s is greater than the maximum of %s", value, k.Want.RatString())
	case *kind.Pattern:
		v.Text = fmt.Sprintf("%s does not match '%s'", value, k.Want)
		if k.Want == patterns["name"] { // a sentence, as in Nova: the pattern tells nobody what is wrong
			v.Text = "The " + v.Field + " must be: printable characters. Can not start or end with whitespace."
		}
	case *kind.Format:
		v.Text = fmt.Sprintf("%s is not a '%s'", value, k.Want)
	case *kind.UniqueItems:
		v.Text = value + " has non-unique elements"
	case *kind.Enum:
		words := make([]string, len(k.Want))
		for i, word := range k.Want {
			words[i] = python(word)
		}
		v.Text = fmt.Sprintf("%s is not one of [%s]", value, strings.Join(words, ", "))
	default:
		v.Text = value + " is not valid"
	}
}

// plain prints a JSON value as Python's str does: strings without quotes.
func plain(value any) string {
	text, ok := value.(string)
	if ok {
		return strings.Trim(python(text), "'")
	}
	return python(value)
}

// python prints a JSON value as Python's repr does, cut at 200 characters.
func python(value any) string {
	text := ""
	switch x := value.(type) {
	case nil:
		text = "None"
	case bool:
		text = "False"
		if x {
			text = "True"
		}
	case string:
		text = "'" + x + "'"
	case []any:
		items := make([]string, len(x))
		for i, item := range x {
			items[i] = python(item)
		}
		text = "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		items := make([]string, 0, len(x))
		for _, key := range slices.Sorted(maps.Keys(x)) {
			items = append(items, "'"+key+"': "+python(x[key]))
		}
		text = "{" + strings.Join(items, ", ") + "}"
	default:
		text = fmt.Sprint(value)
	}
	const limit = 200
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
