package api

import (
	"maps"

	"nacre/internal/api"
)

// object is a JSON object of a schema.
type object = map[string]any

// schemas tell clients what the resources look like. Each is served for one
// resource and for a list of it, in the same frame.
func schemas() []api.Route {
	image := shape("image", baseProperties())
	image["additionalProperties"] = object{"type": "string"}
	image["links"] = []api.Link{{Rel: "self", Href: "{self}"}, {Rel: "enclosure", Href: "{file}"}, {Rel: "describedby", Href: "{schema}"}}
	stub := maps.Clone(taskShape["properties"].(object))
	for _, name := range []string{"input", "result", "message"} {
		delete(stub, name)
	}
	properties := list("properties", propertyShape)
	properties["properties"].(object)["properties"] = object{"type": "object", "additionalProperties": bare(propertyShape)}
	serve := func(path string, schema object) api.Route {
		return api.Route{Method: "GET", Path: "/v2/schemas/" + path, Rule: "any",
			Do: api.Get(func(c *api.Call) (object, error) { return schema, c.AuthorizeOwn() })}
	}
	return []api.Route{
		serve("images", list("images", image)),
		serve("image", image),
		serve("members", list("members", memberShape)),
		serve("member", memberShape),
		serve("metadefs/namespace", namespaceShape),
		serve("metadefs/namespaces", list("namespaces", namespaceShape)),
		serve("metadefs/resource_type", typeShape),
		serve("metadefs/resource_types", list("resource_type_associations", typeShape)),
		serve("metadefs/object", objectShape),
		serve("metadefs/objects", list("objects", objectShape)),
		serve("metadefs/property", propertyShape),
		serve("metadefs/properties", properties),
		serve("metadefs/tag", tagShape),
		serve("metadefs/tags", list("tags", tagShape)),
		serve("tasks", list("tasks", shape("task", stub))),
		serve("task", taskShape),
	}
}

// shape is the schema of one resource. Only what it names may be sent.
func shape(name string, properties object, required ...any) object {
	s := object{"name": name, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// defined adds the definitions that the shape refers to.
func defined(s object) object {
	s["definitions"] = definitions
	return s
}

// bare is a shape inside of another one, which has the definitions.
func bare(s object) object {
	s = maps.Clone(s)
	delete(s, "definitions")
	return s
}

// list is the schema of a page of a resource.
func list(name string, item object) object {
	text := object{"type": "string"}
	s := object{
		"name": name,
		"properties": object{
			name:     object{"type": "array", "items": bare(item)},
			"first":  text,
			"next":   text,
			"schema": text,
		},
		"links": []api.Link{{Rel: "first", Href: "{first}"}, {Rel: "next", Href: "{next}"}, {Rel: "describedby", Href: "{schema}"}},
	}
	if item["definitions"] != nil {
		s["definitions"] = item["definitions"]
	}
	return s
}

// text is a string with a description and, unless 0, a limit.
func text(description string, limit int) object {
	s := object{"type": "string", "description": description}
	if limit > 0 {
		s["maxLength"] = limit
	}
	return s
}

// moment is a time that only the service sets.
func moment(description string) object {
	return object{"type": "string", "readOnly": true, "description": description, "format": "date-time"}
}

func ref(name string) object { return object{"$ref": "#/definitions/" + name} }

var fixedText = object{"type": "string", "readOnly": true}

var memberShape = shape("member", object{
	"member_id":  text("An identifier for the image member (tenantId)", 0),
	"image_id":   object{"type": "string", "description": "An identifier for the image", "pattern": uuidPattern},
	"status":     object{"type": "string", "description": "The status of this image member", "enum": []any{"pending", "accepted", "rejected"}},
	"created_at": text("Date and time of image member creation", 0),
	"updated_at": text("Date and time of last modification of image member", 0),
	"schema":     fixedText,
})

var taskShape = shape("task", object{
	"id":         object{"type": "string", "description": "An identifier for the task", "pattern": uuidPattern},
	"type":       object{"type": "string", "description": "The type of task represented by this content", "enum": []any{"import", "api_image_import", "location_import"}},
	"status":     object{"type": "string", "description": "The current status of this task", "enum": []any{"pending", "processing", "success", "failure"}},
	"input":      object{"type": []any{"null", "object"}, "description": "The parameters required by task, JSON blob"},
	"result":     object{"type": []any{"null", "object"}, "description": "The result of current task, JSON blob"},
	"owner":      text("An identifier for the owner of this task", 0),
	"message":    text("Human-readable informative message only included when appropriate (usually on failure)", 0),
	"image_id":   text("Image associated with the task", 0),
	"request_id": text("Human-readable informative request-id", 0),
	"user_id":    text("User associated with the task", 0),
	"expires_at": object{"type": []any{"null", "string"}, "description": "Datetime when this resource would be subject to removal"},
	"created_at": text("Datetime when this resource was created", 0),
	"updated_at": text("Datetime when this resource was updated", 0),
	"self":       fixedText,
	"schema":     fixedText,
})

var namespaceShape = defined(shape("namespace", object{
	"namespace":                  text("The unique namespace text.", 80),
	"display_name":               text("The user friendly name for the namespace. Used by UI if available.", 80),
	"description":                text("Provides a user friendly description of the namespace.", 500),
	"visibility":                 object{"type": "string", "description": "Scope of namespace accessibility.", "enum": []any{"public", "private"}},
	"protected":                  object{"type": "boolean", "description": "If true, namespace will not be deletable."},
	"owner":                      text("Owner of the namespace.", 255),
	"created_at":                 moment("Date and time of namespace creation"),
	"updated_at":                 moment("Date and time of the last namespace modification"),
	"schema":                     fixedText,
	"self":                       fixedText,
	"resource_type_associations": object{"type": "array", "items": object{"type": "object", "properties": typeProperties, "required": []any{"name"}}},
	"properties":                 ref("property"),
	"objects":                    object{"type": "array", "items": object{"type": "object", "properties": objectProperties, "required": []any{"name"}}},
	"tags":                       object{"type": "array", "items": object{"type": "object", "properties": object{"name": text("", 80)}, "required": []any{"name"}}},
}, "namespace"))

var typeProperties = object{
	"name": text("Resource type names should be aligned with Heat resource types whenever possible", 80),
	"prefix": text("Specifies the prefix to use for the given resource type. Any properties in the namespace should be prefixed "+
		"with this prefix when being applied to the specified resource type. Must include prefix separator (e.g. a colon :).", 80),
	"properties_target": text("Tells apart the kinds of key and value pairs that some resource types have several of, "+
		"such as the user and the image metadata of volumes.", 80),
	"created_at": moment("Date and time of resource type association"),
	"updated_at": moment("Date and time of the last resource type association modification"),
}

var typeShape = shape("resource_type_association", typeProperties, "name")

var objectProperties = object{
	"name":        text("", 80),
	"description": text("", 0),
	"required":    ref("stringArray"),
	"properties":  ref("property"),
	"schema":      fixedText,
	"self":        fixedText,
	"created_at":  moment("Date and time of object creation"),
	"updated_at":  moment("Date and time of the last object modification"),
}

var objectShape = defined(shape("object", objectProperties, "name"))

var tagShape = shape("tag", object{
	"name":       object{"type": "string", "maxLength": 80},
	"created_at": moment("Date and time of tag creation"),
	"updated_at": moment("Date and time of the last tag modification"),
}, "name")

var valueType = object{"type": []any{"string", "null"}, "enum": []any{"array", "boolean", "integer", "number", "object", "string", nil}}

var propertyProperties = object{
	"name":            object{"type": "string", "maxLength": 80},
	"title":           object{"type": "string"},
	"description":     object{"type": "string"},
	"operators":       object{"type": "array", "items": object{"type": "string"}},
	"type":            valueType,
	"required":        ref("stringArray"),
	"minimum":         object{"type": "number"},
	"maximum":         object{"type": "number"},
	"maxLength":       ref("positiveInteger"),
	"minLength":       ref("positiveIntegerDefault0"),
	"pattern":         object{"type": "string", "format": "regex"},
	"enum":            object{"type": "array"},
	"readonly":        object{"type": "boolean"},
	"default":         object{},
	"items":           object{"type": "object", "properties": object{"type": valueType, "enum": object{"type": "array"}}},
	"maxItems":        ref("positiveInteger"),
	"minItems":        ref("positiveIntegerDefault0"),
	"uniqueItems":     object{"type": "boolean", "default": false},
	"additionalItems": object{"type": "boolean"},
}

var propertyShape = defined(shape("property", propertyProperties, "type", "title", "name"))

// definitions are what the shapes of metadata definitions refer to.
var definitions = object{
	"positiveInteger":         object{"type": "integer", "minimum": 0},
	"positiveIntegerDefault0": object{"allOf": []any{ref("positiveInteger"), object{"default": 0}}},
	"stringArray":             object{"type": "array", "items": object{"type": "string"}, "uniqueItems": true},
	"property": object{"type": "object", "additionalProperties": object{
		"type": "object", "required": []any{"title", "type"}, "properties": propertyProperties}},
}
