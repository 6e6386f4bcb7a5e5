package api

import (
	"slices"
	"strings"
	"unicode/utf8"

	"nacre/internal/errs"
	"nacre/internal/image"
)

// attributes is the flat object of an image, as clients send it.
type attributes map[string]any

// JSONSchema implements api.Schemer.
func (attributes) JSONSchema() map[string]any {
	return map[string]any{
		"name":                 "image",
		"type":                 "object",
		"properties":           baseProperties(),
		"additionalProperties": map[string]any{"type": "string"},
	}
}

// readOnly are attributes that no client may set, reserved names that nobody
// may use.
var (
	readOnly = []string{"created_at", "updated_at", "status", "checksum", "size", "virtual_size", "self", "file", "schema",
		"direct_url", "os_hash_algo", "os_hash_value", "stores", "id"}
	reserved = []string{"location", "deleted", "deleted_at"}
)

const maxPropertyName = 255

const uuidPattern = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"

// writable tells whether a client may set the attribute or property.
func writable(name string) error {
	switch {
	case slices.Contains(readOnly, name):
		return errs.Forbiddenf("Attribute '%s' is read-only.", name)
	case slices.Contains(reserved, name) || strings.HasPrefix(name, "os_glance"):
		return errs.Forbiddenf("Attribute '%s' is reserved.", name)
	case name == "locations":
		return errs.Forbiddenf("It's not allowed to update locations if locations are invisible.")
	case name == "" || utf8.RuneCountInString(name) > maxPropertyName:
		return errs.BadRequestf("Custom property should not be greater than %d characters.", maxPropertyName)
	}
	return nil
}

// attributeNames are what an image has besides properties.
var attributeNames = func() map[string]bool {
	names := map[string]bool{}
	for name := range baseProperties() {
		names[name] = true
	}
	return names
}()

func baseProperties() map[string]any {
	of := func(description string, schema map[string]any) map[string]any {
		schema["description"] = description
		return schema
	}
	text := func(limit int) map[string]any {
		return map[string]any{"type": []any{"null", "string"}, "maxLength": limit}
	}
	number := func() map[string]any { return map[string]any{"type": "integer", "maximum": 2147483647} }
	truth := func() map[string]any { return map[string]any{"type": "boolean"} }
	oneOf := func(words []string) map[string]any {
		list := []any{nil}
		for _, word := range words {
			list = append(list, word)
		}
		return map[string]any{"type": []any{"null", "string"}, "enum": list}
	}
	fixed := func(schema map[string]any) map[string]any {
		schema["readOnly"] = true
		return schema
	}
	word := func() map[string]any { return map[string]any{"type": "string"} }
	size := func() map[string]any { return map[string]any{"type": []any{"null", "integer"}} }
	return map[string]any{
		"id":   of("An identifier for the image", map[string]any{"type": "string", "pattern": uuidPattern}),
		"name": of("Descriptive name for the image", text(255)),
		"status": of("Status of the image", fixed(map[string]any{"type": "string", "enum": []any{"queued", "saving", "active",
			"killed", "deleted", "uploading", "importing", "pending_delete", "deactivated"}})),
		"visibility": of("Scope of image accessibility", map[string]any{"type": "string",
			"enum": []any{"community", "public", "private", "shared"}}),
		"protected":        of("If true, image will not be deletable.", truth()),
		"os_hidden":        of("If true, image will not appear in default image list response.", truth()),
		"checksum":         of("md5 hash of image contents.", fixed(text(32))),
		"os_hash_algo":     of("Algorithm to calculate the os_hash_value", fixed(text(64))),
		"os_hash_value":    of("Hexdigest of the image contents using the algorithm specified by the os_hash_algo", fixed(text(128))),
		"owner":            of("Owner of the image", text(255)),
		"size":             of("Size of image file in bytes", fixed(size())),
		"virtual_size":     of("Virtual size of image in bytes", fixed(size())),
		"container_format": of("Format of the container", oneOf(image.ContainerFormats)),
		"disk_format":      of("Format of the disk", oneOf(image.DiskFormats)),
		"created_at":       of("Date and time of image registration", fixed(word())),
		"updated_at":       of("Date and time of the last image modification", fixed(word())),
		"tags": of("List of strings related to the image", map[string]any{"type": "array",
			"items": map[string]any{"type": "string", "maxLength": 255}}),
		"direct_url": of("URL to access the image file kept in external store", fixed(word())),
		"min_ram":    of("Amount of ram (in MB) required to boot image.", number()),
		"min_disk":   of("Amount of disk space (in GB) required to boot image.", number()),
		"self":       of("An image self url", fixed(word())),
		"file":       of("An image file url", fixed(word())),
		"schema":     of("An image schema url", fixed(word())),
		"stores":     of("Store in which image data resides.", fixed(word())),
	}
}
