package ovsdb

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
)

// schema says for each table and column what its values look like.
type schema map[string]map[string]column

type column struct {
	key   string // type of an atom
	value string // type of a map's values, "" when it is no map
	min   int
	max   int // -1 for no limit
}

// parseSchema reads the answer to get_schema.
func parseSchema(data []byte) (schema, error) {
	var doc struct {
		Tables map[string]struct {
			Columns map[string]struct {
				Type json.RawMessage `json:"type"`
			} `json:"columns"`
		} `json:"tables"`
	}
	err := json.Unmarshal(data, &doc)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	s := schema{}
	for table, t := range doc.Tables {
		columns := map[string]column{}
		for name, c := range t.Columns {
			col, err := parseColumn(c.Type)
			if err != nil {
				return nil, fmt.Errorf("read schema of %s.%s: %w", table, name, err)
			}
			columns[name] = col
		}
		s[table] = columns
	}
	return s, nil
}

func parseColumn(data []byte) (column, error) {
	var atom string
	if json.Unmarshal(data, &atom) == nil {
		return column{key: atom, min: 1, max: 1}, nil
	}
	var full struct {
		Key   json.RawMessage `json:"key"`
		Value json.RawMessage `json:"value"`
		Min   *int            `json:"min"`
		Max   json.RawMessage `json:"max"`
	}
	err := json.Unmarshal(data, &full)
	if err != nil {
		return column{}, err
	}
	c := column{min: 1, max: 1}
	c.key, err = parseAtomType(full.Key)
	if err != nil {
		return column{}, err
	}
	if full.Value != nil {
		c.value, err = parseAtomType(full.Value)
		if err != nil {
			return column{}, err
		}
	}
	if full.Min != nil {
		c.min = *full.Min
	}
	if string(full.Max) == `"unlimited"` {
		c.max = -1
	} else if full.Max != nil {
		err = json.Unmarshal(full.Max, &c.max)
	}
	return c, err
}

func parseAtomType(data []byte) (string, error) {
	var name string
	if json.Unmarshal(data, &name) == nil {
		return name, nil
	}
	var full struct {
		Type string `json:"type"`
	}
	err := json.Unmarshal(data, &full)
	return full.Type, err
}

func (c column) scalar() bool { return c.value == "" && c.min == 1 && c.max == 1 }

// zero is what the server leaves out of new rows.
func (c column) zero() any {
	switch {
	case c.value != "":
		return Map{}
	case !c.scalar():
		return Set{}
	}
	switch c.key {
	case "integer", "real":
		return "0"
	case "boolean":
		return "false"
	case "uuid":
		return "00000000-0000-0000-0000-000000000000"
	}
	return ""
}

// decode reads a value from the wire.
func (c column) decode(data json.RawMessage) (any, error) {
	if c.scalar() {
		return decodeAtom(data)
	}
	var pair []json.RawMessage
	tag := ""
	if len(data) > 0 && data[0] == '[' {
		err := json.Unmarshal(data, &pair)
		if err != nil {
			return nil, err
		}
		if len(pair) != 2 {
			return nil, fmt.Errorf("value %.60s is no pair", data)
		}
		err = json.Unmarshal(pair[0], &tag)
		if err != nil {
			return nil, err
		}
	}
	switch tag {
	case "map":
		var entries [][2]json.RawMessage
		err := json.Unmarshal(pair[1], &entries)
		if err != nil {
			return nil, err
		}
		m := make(Map, len(entries))
		for _, e := range entries {
			key, err := decodeAtom(e[0])
			if err != nil {
				return nil, err
			}
			m[key], err = decodeAtom(e[1])
			if err != nil {
				return nil, err
			}
		}
		return m, nil
	case "set":
		var atoms []json.RawMessage
		err := json.Unmarshal(pair[1], &atoms)
		if err != nil {
			return nil, err
		}
		s := make(Set, len(atoms))
		for _, a := range atoms {
			atom, err := decodeAtom(a)
			if err != nil {
				return nil, err
			}
			s[atom] = struct{}{}
		}
		return s, nil
	}
	atom, err := decodeAtom(data)
	if err != nil {
		return nil, err
	}
	return SetOf(atom), nil
}

func decodeAtom(data json.RawMessage) (string, error) {
	if len(data) == 0 {
		return "", fmt.Errorf("empty value")
	}
	switch data[0] {
	case '"':
		var s string
		err := json.Unmarshal(data, &s)
		return s, err
	case '[':
		var pair [2]string
		err := json.Unmarshal(data, &pair)
		return pair[1], err
	}
	return string(data), nil
}

// encode writes a value for the wire.
func (c column) encode(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if !c.scalar() {
			return nil, fmt.Errorf("text %q for a column of another kind", v)
		}
		return encodeAtom(c.key, v)
	case Set:
		if c.scalar() || c.value != "" {
			return nil, fmt.Errorf("set for a column of another kind")
		}
		return c.encodeSet(v)
	case Map:
		if c.value == "" {
			return nil, fmt.Errorf("map for a column of another kind")
		}
		entries := make([][2]any, 0, len(v))
		for key, value := range v {
			k, err := encodeAtom(c.key, key)
			if err != nil {
				return nil, err
			}
			val, err := encodeAtom(c.value, value)
			if err != nil {
				return nil, err
			}
			entries = append(entries, [2]any{k, val})
		}
		return []any{"map", entries}, nil
	}
	return nil, fmt.Errorf("value of type %T", v)
}

func (c column) encodeSet(s Set) (any, error) {
	atoms := make([]any, 0, len(s))
	for a := range s {
		atom, err := encodeAtom(c.key, a)
		if err != nil {
			return nil, err
		}
		atoms = append(atoms, atom)
	}
	return []any{"set", atoms}, nil
}

func encodeAtom(kind, text string) (any, error) {
	switch kind {
	case "integer", "real":
		_, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		return json.Number(text), nil
	case "boolean":
		return strconv.ParseBool(text)
	case "uuid":
		return []string{"uuid", text}, nil
	}
	return text, nil
}

// apply returns the column's value after a difference that the server reported.
func (c column) apply(old, diff any) any {
	if c.max == 1 {
		return diff
	}
	switch diff := diff.(type) {
	case Set:
		before, _ := old.(Set)
		after := maps.Clone(before)
		if after == nil {
			after = Set{}
		}
		for a := range diff {
			if after.Has(a) {
				delete(after, a)
			} else {
				after[a] = struct{}{}
			}
		}
		return after
	case Map:
		before, _ := old.(Map)
		after := maps.Clone(before)
		if after == nil {
			after = Map{}
		}
		for key, value := range diff {
			had, ok := after[key]
			if ok && had == value {
				delete(after, key)
			} else {
				after[key] = value
			}
		}
		return after
	}
	return diff
}
