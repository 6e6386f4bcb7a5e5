package api

import (
	"encoding/json"
	"mime"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/image"
)

// The media types of an update. The oldest one names the operation as a key,
// {"replace": "/name", "value": "x"}; the others are RFC 6902's form, of which
// the newest is the own name.
const (
	patch20  = "application/openstack-images-v2.0-json-patch"
	patch21  = "application/openstack-images-v2.1-json-patch"
	patchRFC = "application/json-patch+json"
)

var ops = map[string]image.Op{"add": image.Add, "remove": image.Remove, "replace": image.Replace}

// step is one operation of a patch, in either form.
type step struct {
	op    image.Op
	path  string
	value json.RawMessage // nil for none
}

func (h handlers) update(c *api.Call) (imageView, error) {
	found, err := h.find(c)
	if err != nil {
		return nil, err
	}
	media, _, err := mime.ParseMediaType(c.Header("Content-Type"))
	if err != nil || (media != patch20 && media != patch21 && media != patchRFC) {
		return nil, errs.New(errs.UnsupportedMedia, "Image PATCH expects Content-Type one of: %s, %s, %s", patch20, patch21, patchRFC).
			With("Accept-Patch", patch20+", "+patch21+", "+patchRFC)
	}
	raw, err := c.Raw()
	if err != nil {
		return nil, err
	}
	steps, err := parsePatch(raw, media == patch20)
	if err != nil {
		return nil, err
	}
	changes := make([]image.Change, len(steps))
	for i, s := range steps {
		changes[i], err = s.change(c, found)
		if err == nil {
			err = h.mayTouch(c, touched(changes[i], found), changes[i].Name)
		}
		if err != nil {
			return nil, err
		}
		if media == patch20 && s.op == image.Add {
			changes[i].Op = image.Insert
		}
	}
	if len(changes) == 0 {
		return h.view(c, found), nil
	}
	changed, err := h.images.Update(c.Context(), found.ID, changes)
	if err != nil {
		return nil, err
	}
	return h.view(c, changed), nil
}

// touched is what a change does with a property.
func touched(change image.Change, found image.Image) image.PropertyAction {
	_, there := found.Properties.V[change.Name]
	switch {
	case change.Op == image.Remove:
		return image.DeleteProperty
	case there:
		return image.UpdateProperty
	}
	return image.CreateProperty
}

// parsePatch reads the list of operations.
func parsePatch(raw []byte, older bool) ([]step, error) {
	if len(raw) == 0 {
		return nil, errs.BadRequestf("Body expected in request.")
	}
	if !json.Valid(raw) {
		return nil, errs.BadRequestf("Malformed JSON in request body.")
	}
	var list []json.RawMessage
	err := json.Unmarshal(raw, &list)
	if err != nil || list == nil {
		return nil, errs.BadRequestf("Request body must be a JSON array of operation objects.")
	}
	steps := make([]step, len(list))
	for i, item := range list {
		var members map[string]json.RawMessage
		err = json.Unmarshal(item, &members)
		if err != nil || members == nil {
			return nil, errs.BadRequestf("Operations must be JSON objects.")
		}
		if older {
			steps[i], err = olderStep(members)
		} else {
			steps[i], err = newerStep(members)
		}
		if err != nil {
			return nil, err
		}
	}
	return steps, nil
}

func newerStep(members map[string]json.RawMessage) (step, error) {
	const known = "It must be one of the following: add, remove, replace."
	if members["op"] == nil {
		return step{}, errs.BadRequestf("Unable to find `op` in JSON Schema change. " + known)
	}
	name := textOf(members["op"])
	op, isOp := ops[name]
	if !isOp {
		return step{}, errs.BadRequestf("Invalid operation: `%s`. "+known, name)
	}
	if members["path"] == nil {
		return step{}, errs.BadRequestf("Unable to find 'path' in JSON Schema change")
	}
	return step{op, textOf(members["path"]), members["value"]}.complete(name)
}

func olderStep(members map[string]json.RawMessage) (step, error) {
	found := ""
	for name := range ops {
		if members[name] == nil {
			continue
		}
		if found != "" {
			return step{}, errs.BadRequestf(`Operation objects must contain only one member named "add", "remove", or "replace".`)
		}
		found = name
	}
	if found == "" {
		return step{}, errs.BadRequestf(`Operation objects must contain exactly one member named "add", "remove", or "replace".`)
	}
	return step{ops[found], textOf(members[found]), members["value"]}.complete(found)
}

func (s step) complete(op string) (step, error) {
	if s.op != image.Remove && s.value == nil {
		return step{}, errs.BadRequestf(`Operation "%s" requires a member named "value".`, op)
	}
	return s, nil
}

// textOf is a JSON string; anything else is empty, which is no path and no name.
func textOf(raw json.RawMessage) string {
	var out string
	err := json.Unmarshal(raw, &out)
	if err != nil {
		return ""
	}
	return out
}

// change checks one step against the schema and the caller's rights.
func (s step) change(c *api.Call, found image.Image) (image.Change, error) {
	name, err := pointer(s.path)
	if err != nil {
		return image.Change{}, err
	}
	change := image.Change{Op: s.op, Name: name}
	err = writable(name)
	if err != nil || s.op == image.Remove {
		return change, err
	}
	raw, err := json.Marshal(map[string]json.RawMessage{name: s.value})
	if err != nil {
		return change, err
	}
	var checked attributes
	err = c.DecodeJSON(raw, &checked)
	if err != nil {
		return change, err
	}
	change.Value, err = plain(checked[name])
	if err != nil {
		return change, err
	}
	switch {
	case name == "owner" && !c.Caller.Admin():
		return change, errs.Forbiddenf("Owner can't be updated by non admin.")
	case name == "visibility":
		visibility, _ := change.Value.(string)
		return change, mayBecome(c, visibility, target(found))
	}
	return change, nil
}

// plain turns decoded JSON into the types that attributes have.
func plain(value any) (any, error) {
	switch v := value.(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return nil, errs.BadRequestf("%s is not an integer.", v)
		}
		return n, nil
	case []any:
		list := make([]string, 0, len(v))
		for _, item := range v {
			word, _ := item.(string) // the schema wants strings
			list = append(list, word)
		}
		return list, nil
	}
	return value, nil
}

// pointer reads a JSON pointer to a top-level name.
func pointer(path string) (string, error) {
	tail, rooted := strings.CutPrefix(path, "/")
	if !rooted {
		return "", errs.BadRequestf("Pointer `%s` does not start with \"/\".", path)
	}
	if strings.TrimSpace(tail) == "" {
		return "", errs.BadRequestf("Pointer `%s` does not contains valid token.", path)
	}
	if strings.HasSuffix(tail, "/") {
		return "", errs.BadRequestf("Pointer `%s` end with \"/\".", path)
	}
	for i := range len(path) {
		if path[i] == '~' && (i+1 == len(path) || (path[i+1] != '0' && path[i+1] != '1')) {
			return "", errs.BadRequestf("Pointer `%s` contains \"~\" not part of a recognized escape sequence.", path)
		}
	}
	if strings.Contains(tail, "/") {
		return "", errs.BadRequestf("Invalid JSON pointer for this resource: '%s'", path)
	}
	return strings.TrimSpace(strings.NewReplacer("~1", "/", "~0", "~").Replace(tail)), nil
}
