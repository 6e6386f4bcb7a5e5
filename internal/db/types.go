package db

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// Time is a moment as a column keeps it: microseconds since 1970 in UTC, 0 for
// never.
type Time int64

// At makes a Time. The zero time is never.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMicro())
}

// Time gives the moment in UTC, the zero time for never.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(t)).UTC()
}

// JSON is a column that holds a value as JSON text.
type JSON[T any] struct{ V T }

// Of wraps a value for a JSON column.
func Of[T any](v T) JSON[T] { return JSON[T]{V: v} }

// Value implements driver.Valuer.
func (j JSON[T]) Value() (driver.Value, error) {
	b, err := json.Marshal(j.V)
	if err != nil {
		return nil, fmt.Errorf("write JSON column: %w", err)
	}
	return string(b), nil
}

// Scan implements sql.Scanner. NULL and the empty text are the zero value.
func (j *JSON[T]) Scan(src any) error {
	var zero T
	j.V = zero
	var b []byte
	switch s := src.(type) {
	case nil:
		return nil
	case string:
		b = []byte(s)
	case []byte:
		b = s
	default:
		return fmt.Errorf("read JSON column: cannot read %T", src)
	}
	switch kind := reflect.TypeFor[T]().Kind(); { // the usual ones, without a parser
	case len(b) == 0 || string(b) == "null":
		return nil
	case string(b) == "{}" && kind == reflect.Map:
		reflect.ValueOf(&j.V).Elem().Set(reflect.MakeMap(reflect.TypeFor[T]()))
		return nil
	case string(b) == "[]" && kind == reflect.Slice:
		reflect.ValueOf(&j.V).Elem().Set(reflect.MakeSlice(reflect.TypeFor[T](), 0, 0))
		return nil
	}
	err := json.Unmarshal(b, &j.V)
	if err != nil {
		return fmt.Errorf("read JSON column: %w", err)
	}
	return nil
}

// ParseTime reads the forms of a time that OpenStack's clients send: ISO 8601
// with or without a zone, a fraction, or a T. Without a zone it is UTC.
func ParseTime(text string) (time.Time, error) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999",
		"2006-01-02T15:04:05-0700", "2006-01-02T15:04", "2006-01-02",
	} {
		t, err := time.Parse(layout, text)
		if err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", text)
}
