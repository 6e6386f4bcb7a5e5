package api

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/image"
)

// kind is how the API has one kind of definition: what clients send, what they
// are shown, and what the path calls it.
type kind struct {
	kind  image.ItemKind
	param string
	read  func(c *api.Call) (image.Item, error)
	view  func(image.Item) image.Body
	list  func(items []image.Item) any
}

var (
	objects = kind{image.DefinedObject, "object_name", readItem[objectBody](image.DefinedObject, "self", "schema", "created_at", "updated_at"), viewObject,
		func(items []image.Item) any {
			return object{"objects": views(items, viewObject), "schema": "/v2/schemas/metadefs/objects"}
		}}
	properties = kind{image.DefinedProperty, "property_name", readItem[propertyBody](image.DefinedProperty, "created_at", "updated_at"), viewProperty,
		func(items []image.Item) any {
			byName := map[string]image.Body{}
			for _, item := range items {
				byName[item.Name] = item.Body.V
			}
			return object{"properties": byName}
		}}
	tags = kind{image.DefinedTag, "tag_name", readItem[tagBody](image.DefinedTag, "created_at", "updated_at"), viewTimed,
		func(items []image.Item) any { return object{"tags": views(items, named)} }}
	resourceTypes = kind{image.DefinedType, "name", readItem[typeBody](image.DefinedType, "created_at", "updated_at"), viewTimed,
		func(items []image.Item) any { return object{"resource_type_associations": views(items, viewTimed)} }}
)

func (h handlers) itemRoutes() []api.Route {
	const (
		allObjects    = namespacePath + "/objects"
		oneObject     = allObjects + "/{object_name}"
		allProperties = namespacePath + "/properties"
		oneProperty   = allProperties + "/{property_name}"
		allTags       = namespacePath + "/tags"
		oneTag        = allTags + "/{tag_name}"
		allTypes      = namespacePath + "/resource_types"
	)
	return []api.Route{
		{Method: "POST", Path: allObjects, Rule: "add_metadef_object", OK: 201, Do: h.addItem(objects)},
		{Method: "GET", Path: allObjects, Rule: "get_metadef_objects", Do: h.listItems(objects)},
		{Method: "GET", Path: oneObject, Rule: "get_metadef_object", Do: h.showItem(objects)},
		{Method: "PUT", Path: oneObject, Rule: "modify_metadef_object", Do: h.updateItem(objects)},
		{Method: "DELETE", Path: oneObject, Rule: "delete_metadef_object", OK: 204, Do: h.removeItem(objects)},
		{Method: "DELETE", Path: allObjects, Rule: "delete_metadef_namespace", OK: 204, Do: h.removeItems(objects)},

		{Method: "POST", Path: allProperties, Rule: "add_metadef_property", OK: 201, Do: h.addItem(properties)},
		{Method: "GET", Path: allProperties, Rule: "get_metadef_properties", Do: h.listItems(properties)},
		{Method: "GET", Path: oneProperty, Rule: "get_metadef_property", Do: api.Get(h.showProperty)},
		{Method: "PUT", Path: oneProperty, Rule: "modify_metadef_property", Do: h.updateItem(properties)},
		{Method: "DELETE", Path: oneProperty, Rule: "remove_metadef_property", OK: 204, Do: h.removeItem(properties)},
		{Method: "DELETE", Path: allProperties, Rule: "delete_metadef_namespace", OK: 204, Do: h.removeItems(properties)},

		{Method: "POST", Path: oneTag, Rule: "add_metadef_tag", OK: 201, Do: api.Get(h.addTagDefinition)},
		{Method: "GET", Path: oneTag, Rule: "get_metadef_tag", Do: h.showItem(tags)},
		{Method: "PUT", Path: oneTag, Rule: "modify_metadef_tag", Do: h.updateItem(tags)},
		{Method: "DELETE", Path: oneTag, Rule: "delete_metadef_tag", OK: 204, Do: h.removeItem(tags)},
		{Method: "POST", Path: allTags, Rule: "add_metadef_tags", OK: 201, Do: api.Get(h.setTagDefinitions)},
		{Method: "GET", Path: allTags, Rule: "get_metadef_tags", Do: h.listItems(tags)},
		{Method: "DELETE", Path: allTags, Rule: "delete_metadef_tags", OK: 204, Do: h.removeItems(tags)},

		{Method: "POST", Path: allTypes, Rule: "add_metadef_resource_type_association", OK: 201, Do: h.addItem(resourceTypes)},
		{Method: "GET", Path: allTypes, Rule: "get_metadef_resource_type", Do: h.listItems(resourceTypes)},
		{Method: "DELETE", Path: allTypes + "/{name}", Rule: "remove_metadef_resource_type_association", OK: 204, Do: h.removeItem(resourceTypes)},
	}
}

// The bodies of the kinds.
type (
	objectBody   image.Body
	propertyBody image.Body
	tagBody      image.Body
	typeBody     image.Body
)

// JSONSchema implements api.Schemer.
func (objectBody) JSONSchema() map[string]any { return objectShape }

// JSONSchema implements api.Schemer.
func (propertyBody) JSONSchema() map[string]any { return propertyShape }

// JSONSchema implements api.Schemer.
func (tagBody) JSONSchema() map[string]any { return tagShape }

// JSONSchema implements api.Schemer.
func (typeBody) JSONSchema() map[string]any { return typeShape }

// readItem reads the body of a kind.
func readItem[B ~map[string]json.RawMessage](kind image.ItemKind, fixed ...string) func(c *api.Call) (image.Item, error) {
	return func(c *api.Call) (image.Item, error) {
		var in B
		err := definition(c, &in, fixed...)
		if err != nil {
			return image.Item{}, err
		}
		item := newItem(kind, image.Body(in))
		if item.Name == "" {
			return image.Item{}, errs.BadRequestf("A definition needs a name.")
		}
		return item, nil
	}
}

func views(items []image.Item, view func(image.Item) image.Body) []image.Body {
	list := make([]image.Body, len(items))
	for i, item := range items {
		list[i] = view(item)
	}
	return list
}

// named is the name alone.
func named(i image.Item) image.Body { return image.Body{"name": rawJSON(i.Name)} }

// viewProperty is what the client said.
func viewProperty(i image.Item) image.Body {
	v := maps.Clone(i.Body.V)
	v["name"] = rawJSON(i.Name)
	return v
}

// viewTimed adds when it was said.
func viewTimed(i image.Item) image.Body {
	v := viewProperty(i)
	v["created_at"], v["updated_at"] = rawJSON(i.CreatedAt.Time().Format(time.RFC3339)), rawJSON(i.UpdatedAt.Time().Format(time.RFC3339))
	return v
}

func viewObject(i image.Item) image.Body {
	v := viewTimed(i)
	v["self"], v["schema"] = rawJSON(namespaceURL(i.Namespace)+"/objects/"+url.PathEscape(i.Name)), rawJSON("/v2/schemas/metadefs/object")
	return v
}

// rawJSON is a value of ours as JSON.
func rawJSON(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings, lists of strings and maps of JSON always can be written
	}
	return raw
}

// item finds the definition that the path names, and its namespace.
func (h handlers) item(c *api.Call, k kind, name string) (image.Namespace, image.Item, error) {
	n, err := h.namespace(c)
	if err != nil {
		return image.Namespace{}, image.Item{}, err
	}
	item, err := h.images.Item(c.Context(), n.Name, k.kind, name)
	return n, item, err
}

func (h handlers) addItem(k kind) api.Handler {
	return api.Get(func(c *api.Call) (image.Body, error) {
		n, err := h.namespace(c)
		if err != nil {
			return nil, err
		}
		item, err := k.read(c)
		if err != nil {
			return nil, err
		}
		made, err := h.images.AddItem(c.Context(), n.Name, item)
		if err != nil {
			return nil, err
		}
		return k.view(made), nil
	})
}

func (h handlers) listItems(k kind) api.Handler {
	return api.Get(func(c *api.Call) (any, error) {
		n, err := h.namespace(c)
		if err != nil {
			return nil, err
		}
		page, err := pageOf(c.Query(), definitionSorts("id"))
		if err != nil {
			return nil, err
		}
		if !c.Query().Has("limit") {
			page.Limit = 0 // definitions are not cut unless asked for
		}
		items, err := h.images.Items(c.Context(), n.Name, k.kind, page)
		if err != nil {
			return nil, err
		}
		return k.list(items), nil
	})
}

func (h handlers) showItem(k kind) api.Handler {
	return api.Get(func(c *api.Call) (image.Body, error) {
		_, item, err := h.item(c, k, c.PathValue(k.param))
		if err != nil {
			return nil, err
		}
		return k.view(item), nil
	})
}

// showProperty shows a property by its name or, for a type of resources, by the
// name that it has there.
func (h handlers) showProperty(c *api.Call) (image.Body, error) {
	name, about := c.PathValue(properties.param), c.Query().Get("resource_type")
	if about != "" {
		_, association, err := h.item(c, resourceTypes, about)
		if err != nil {
			return nil, err
		}
		prefix := textOf(association.Body.V["prefix"])
		if prefix == "" || !strings.HasPrefix(name, prefix) {
			return nil, errs.NotFoundf("Property %s does not start with the expected resource type association prefix of '%s'.", name, prefix)
		}
		name = strings.TrimPrefix(name, prefix)
	}
	_, item, err := h.item(c, properties, name)
	if err != nil {
		return nil, err
	}
	return viewProperty(item), nil
}

func (h handlers) updateItem(k kind) api.Handler {
	return api.Get(func(c *api.Call) (image.Body, error) {
		_, item, err := h.item(c, k, c.PathValue(k.param))
		if err != nil {
			return nil, err
		}
		in, err := k.read(c)
		if err != nil {
			return nil, err
		}
		changed, err := h.images.UpdateItem(c.Context(), item, in.Name, in.Body.V)
		if err != nil {
			return nil, err
		}
		return k.view(changed), nil
	})
}

func (h handlers) removeItem(k kind) api.Handler {
	return api.Empty(func(c *api.Call) error {
		n, item, err := h.item(c, k, c.PathValue(k.param))
		if err != nil {
			return err
		}
		return h.images.RemoveItem(c.Context(), n, item)
	})
}

func (h handlers) removeItems(k kind) api.Handler {
	return api.Empty(func(c *api.Call) error {
		n, err := h.namespace(c)
		if err != nil {
			return err
		}
		return h.images.RemoveItems(c.Context(), n, k.kind)
	})
}

// addTagDefinition takes the name from the path, and no body.
func (h handlers) addTagDefinition(c *api.Call) (image.Body, error) {
	n, err := h.namespace(c)
	if err != nil {
		return nil, err
	}
	name := c.PathValue(tags.param)
	err = c.DecodeJSON(rawJSON(object{"name": name}), &tagBody{})
	if err != nil {
		return nil, err
	}
	made, err := h.images.AddItem(c.Context(), n.Name, image.NewItem(image.DefinedTag, name, image.Body{}))
	if err != nil {
		return nil, err
	}
	return viewTimed(made), nil
}

type tagList struct {
	Tags []struct {
		Name string `json:"name" check:"required,min=1,max=80"`
	} `json:"tags"`
}

// setTagDefinitions replaces all tags, or adds to them when the header says so.
func (h handlers) setTagDefinitions(c *api.Call) (any, error) {
	n, err := h.namespace(c)
	if err != nil {
		return nil, err
	}
	var in tagList
	err = definition(c, &in, "created_at", "updated_at")
	if err != nil {
		return nil, err
	}
	var items []image.Item
	for _, tag := range in.Tags {
		items = append(items, image.NewItem(image.DefinedTag, tag.Name, image.Body{}))
	}
	keep, _ := boolean.Parse(c.Header("X-Openstack-Append"))
	err = h.images.SetTags(c.Context(), n, items, keep)
	if err != nil {
		return nil, err
	}
	return tags.list(items), nil
}
