package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"nacre/internal/boolean"
	"nacre/internal/errs"
)

// Get makes a handler of a function that needs no body.
func Get[Out any](do func(c *Call) (Out, error)) Handler {
	return func(c *Call) (any, error) {
		out, err := do(c)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// Empty makes a handler of a function that answers without a body.
func Empty(do func(c *Call) error) Handler {
	return func(c *Call) (any, error) { return nil, do(c) }
}

// Body makes a handler of a function that takes the JSON body. The body is
// checked against the type first: see the tags in schema.go.
func Body[In, Out any](do func(c *Call, in In) (Out, error)) Handler {
	return func(c *Call) (any, error) {
		var in In
		err := c.Decode(&in)
		if err != nil {
			return nil, err
		}
		out, err := do(c, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// BodyEmpty is Body for a function that answers without a body.
func BodyEmpty[In any](do func(c *Call, in In) error) Handler {
	return func(c *Call) (any, error) {
		var in In
		err := c.Decode(&in)
		if err != nil {
			return nil, err
		}
		return nil, do(c, in)
	}
}

// Decode reads the JSON body into a pointer to a request type, checked against
// the schema of that type at the call's microversion.
func (c *Call) Decode(in any) error {
	media := c.Header("Content-Type")
	kind, _, err := mime.ParseMediaType(media)
	if media != "" && (err != nil || !strings.HasSuffix(kind, "json")) {
		return errs.New(errs.UnsupportedMedia, "Unsupported Content-Type")
	}
	body, err := c.readBody()
	if err != nil {
		return err
	}
	if media == "" && c.service.MediaType {
		if len(body) == 0 {
			return errs.New(errs.UnsupportedMedia, "The media type None is not supported, use application/json")
		}
		return errs.BadRequestf("content-type header required when content-length > 0.")
	}
	return c.DecodeJSON(body, in)
}

// DecodeJSON is Decode for JSON that isn't the whole body, or has another media
// type.
func (c *Call) DecodeJSON(body []byte, in any) error {
	if !utf8.Valid(body) {
		return c.service.Envelope.malformed(errors.New("the body is not UTF-8"))
	}
	known, err := check(reflect.TypeOf(in).Elem(), c.Version, body)
	var violation *Violation
	if errors.As(err, &violation) {
		return c.service.Envelope.invalid(*violation)
	}
	if err != nil {
		return c.service.Envelope.malformed(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(known))
	decoder.UseNumber()
	err = decoder.Decode(in)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return c.service.Envelope.invalid(mismatched(mismatch))
	}
	if err != nil {
		return c.service.Envelope.malformed(err)
	}
	return nil
}

// Raw is the JSON body as it was sent, for what a type cannot say (which keys
// were there).
func (c *Call) Raw() ([]byte, error) { return c.readBody() }

// Int is a number that clients may also send as a string of digits. One that is too
// large, where a schema has no limits, is the largest.
type Int int64

// UnmarshalJSON implements json.Unmarshaler.
func (i *Int) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return err
	}
	*i = Int(n)
	return nil
}

// Bool is a truth value that clients may also send as one of the words that
// OpenStack accepts.
type Bool bool

// UnmarshalJSON implements json.Unmarshaler.
func (v *Bool) UnmarshalJSON(b []byte) error {
	value, ok := boolean.Parse(strings.Trim(string(b), `"`))
	if !ok {
		return errors.New("not a truth value")
	}
	*v = Bool(value)
	return nil
}

// Opt is a field that may be missing, null or set: what an update needs to
// know apart.
type Opt[T any] struct {
	Set  bool // the key was there
	Null bool // its value was null
	V    T
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	o.Set = true
	if string(b) == "null" {
		o.Null = true
		return nil
	}
	return json.Unmarshal(b, &o.V)
}

// Or is the value, or the other one when there is none.
func (o Opt[T]) Or(other T) T {
	if !o.Set || o.Null {
		return other
	}
	return o.V
}
