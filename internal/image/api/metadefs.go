package api

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/image"
)

const (
	namespacesPath = "/v2/metadefs/namespaces"
	namespacePath  = namespacesPath + "/{namespace_name}"
)

func (h handlers) namespaceRoutes() []api.Route {
	return []api.Route{
		{Method: "POST", Path: namespacesPath, Rule: "add_metadef_namespace", OK: 201, Do: api.Get(h.createNamespace)},
		{Method: "GET", Path: namespacesPath, Rule: "get_metadef_namespaces", Do: api.Get(h.listNamespaces)},
		{Method: "GET", Path: namespacePath, Rule: "get_metadef_namespace", Do: api.Get(h.showNamespace)},
		{Method: "PUT", Path: namespacePath, Rule: "modify_metadef_namespace", Do: api.Get(h.updateNamespace)},
		{Method: "DELETE", Path: namespacePath, Rule: "delete_metadef_namespace", OK: 204, Do: api.Empty(h.deleteNamespace)},
		{Method: "GET", Path: "/v2/metadefs/resource_types", Rule: "list_metadef_resource_types", Do: api.Get(h.listResourceTypes)},
	}
}

type namespaceView struct {
	Namespace   string                `json:"namespace"`
	DisplayName string                `json:"display_name,omitempty"`
	Description string                `json:"description,omitempty"`
	Visibility  string                `json:"visibility"`
	Protected   bool                  `json:"protected"`
	Owner       string                `json:"owner"`
	CreatedAt   time.Time             `json:"created_at"`
	UpdatedAt   time.Time             `json:"updated_at"`
	Types       []image.Body          `json:"resource_type_associations,omitempty"`
	Properties  map[string]image.Body `json:"properties,omitempty"`
	Objects     []image.Body          `json:"objects,omitempty"`
	Tags        []image.Body          `json:"tags,omitempty"`
	Self        string                `json:"self"`
	Schema      string                `json:"schema"`
}

type namespacesView struct {
	Namespaces []namespaceView `json:"namespaces"`
	First      string          `json:"first"`
	Next       string          `json:"next,omitempty"`
	Schema     string          `json:"schema"`
}

// viewNamespace shows a namespace with some of its items.
func viewNamespace(n image.Namespace, items []image.Item) namespaceView {
	v := namespaceView{
		Namespace: n.Name, DisplayName: n.DisplayName, Description: n.Description, Visibility: n.Visibility, Protected: n.Protected,
		Owner: n.Owner, CreatedAt: n.CreatedAt.Time(), UpdatedAt: n.UpdatedAt.Time(), Self: namespaceURL(n.Name), Schema: "/v2/schemas/metadefs/namespace",
	}
	for _, item := range items {
		if item.Namespace != n.Name {
			continue
		}
		switch item.Kind {
		case image.DefinedType:
			v.Types = append(v.Types, viewTimed(item))
		case image.DefinedObject:
			v.Objects = append(v.Objects, viewObject(item))
		case image.DefinedTag:
			v.Tags = append(v.Tags, named(item))
		case image.DefinedProperty:
			if v.Properties == nil {
				v.Properties = map[string]image.Body{}
			}
			v.Properties[item.Name] = item.Body.V
		}
	}
	return v
}

func namespaceURL(name string) string { return namespacesPath + "/" + url.PathEscape(name) }

// namespaceBody is a namespace as clients send it.
type namespaceBody struct {
	Namespace   string                `json:"namespace"`
	DisplayName string                `json:"display_name"`
	Description string                `json:"description"`
	Visibility  string                `json:"visibility"`
	Protected   bool                  `json:"protected"`
	Owner       string                `json:"owner"`
	Types       []image.Body          `json:"resource_type_associations"`
	Properties  map[string]image.Body `json:"properties"`
	Objects     []image.Body          `json:"objects"`
	Tags        []image.Body          `json:"tags"`
}

// JSONSchema implements api.Schemer.
func (namespaceBody) JSONSchema() map[string]any { return namespaceShape }

// readNamespace reads the body. What it leaves open is the caller's, and private.
func readNamespace(c *api.Call) (in namespaceBody, n image.Namespace, err error) {
	err = definition(c, &in, "self", "schema", "created_at", "updated_at")
	if err != nil {
		return in, n, err
	}
	n = image.Namespace{
		Name: in.Namespace, DisplayName: in.DisplayName, Description: in.Description, Visibility: in.Visibility, Protected: in.Protected, Owner: in.Owner,
	}
	if n.Visibility == "" {
		n.Visibility = image.Private
	}
	if n.Owner == "" {
		n.Owner = c.Caller.Project
	}
	if n.Name == "" {
		return in, n, errs.BadRequestf("A namespace needs a name.")
	}
	return in, n, nil
}

// definition reads a body that must not say what only the service knows.
func definition(c *api.Call, in any, fixed ...string) error {
	raw, err := c.Raw()
	if err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	err = json.Unmarshal(raw, &keys)
	if err == nil {
		for _, name := range fixed {
			if keys[name] != nil {
				return errs.Forbiddenf("Attribute '%s' is read-only.", name)
			}
		}
	}
	return body(c, in)
}

// addRules guard what a namespace may bring along when it is made.
var addRules = map[image.ItemKind]string{
	image.DefinedType: "add_metadef_resource_type_association", image.DefinedObject: "add_metadef_object",
	image.DefinedTag: "add_metadef_tag", image.DefinedProperty: "add_metadef_property",
}

func (h handlers) createNamespace(c *api.Call) (namespaceView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return namespaceView{}, err
	}
	in, n, err := readNamespace(c)
	if err != nil {
		return namespaceView{}, err
	}
	var items []image.Item
	for kind, bodies := range map[image.ItemKind][]image.Body{image.DefinedType: in.Types, image.DefinedObject: in.Objects, image.DefinedTag: in.Tags} {
		for _, b := range bodies {
			items = append(items, newItem(kind, b))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Properties)) {
		items = append(items, image.NewItem(image.DefinedProperty, name, in.Properties[name]))
	}
	for _, item := range items {
		err = c.AuthorizeRule(addRules[item.Kind], namespaceTarget(n))
		if err != nil {
			return namespaceView{}, err
		}
	}
	made, err := h.images.CreateNamespace(c.Context(), n, items)
	if err != nil {
		return namespaceView{}, err
	}
	c.SetHeader("Location", c.URL(namespaceURL(made.Name)))
	return viewNamespace(made, items), nil
}

// newItem takes the name out of a body.
func newItem(kind image.ItemKind, b image.Body) image.Item {
	name := textOf(b["name"])
	b = maps.Clone(b)
	delete(b, "name")
	return image.NewItem(kind, name, b)
}

func namespaceTarget(n image.Namespace) auth.Target {
	return auth.Target{Project: n.Owner, Attrs: map[string]string{"owner": n.Owner, "visibility": n.Visibility}}
}

// namespace finds the namespace of the path and authorizes the row's rule.
func (h handlers) namespace(c *api.Call) (image.Namespace, error) {
	found, err := h.images.Namespace(c.Context(), viewer(c), c.PathValue("namespace_name"))
	if err != nil {
		return image.Namespace{}, err
	}
	return found, c.Authorize(namespaceTarget(found))
}

func (h handlers) listNamespaces(c *api.Call) (namespacesView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return namespacesView{}, err
	}
	q := c.Query()
	page, err := pageOf(q, definitionSorts("name"))
	if err != nil {
		return namespacesView{}, err
	}
	query := image.NamespaceQuery{Visibility: q.Get("visibility")}
	if !slices.Contains([]string{"", image.Public, image.Private}, query.Visibility) {
		return namespacesView{}, errs.BadRequestf("Invalid visibility value: %s", query.Visibility)
	}
	if q.Get("resource_types") != "" {
		query.ResourceTypes = strings.Split(q.Get("resource_types"), ",")
	}
	reply := namespacesView{First: namespacesPath + rest(q, ""), Schema: "/v2/schemas/metadefs/namespaces"}
	if page.Limit == 0 {
		return reply, nil
	}
	list, more, err := h.images.Namespaces(c.Context(), viewer(c), query, page)
	if err != nil {
		return namespacesView{}, err
	}
	names := make([]string, len(list))
	for i, n := range list {
		names[i] = n.Name
	}
	types, err := h.images.ItemsOf(c.Context(), names, image.DefinedType)
	if err != nil {
		return namespacesView{}, err
	}
	for _, n := range list {
		reply.Namespaces = append(reply.Namespaces, viewNamespace(n, types))
	}
	if more {
		reply.Next = namespacesPath + rest(q, names[len(names)-1])
	}
	return reply, nil
}

// definitionSorts are what definitions can be sorted by; their key is the name.
func definitionSorts(key string) sorts {
	return sorts{keys: []string{"created_at", "updated_at", "name", "namespace"}, columns: map[string]string{"namespace": "name"}, last: key}
}

func (h handlers) showNamespace(c *api.Call) (namespaceView, error) {
	found, err := h.namespace(c)
	if err != nil {
		return namespaceView{}, err
	}
	items, err := h.images.ItemsOf(c.Context(), []string{found.Name},
		image.DefinedType, image.DefinedObject, image.DefinedTag, image.DefinedProperty)
	if err != nil {
		return namespaceView{}, err
	}
	v := viewNamespace(found, items)
	for _, about := range v.Types {
		if textOf(about["name"]) == c.Query().Get("resource_type") {
			v.prefix(textOf(about["prefix"]))
		}
	}
	return v, nil
}

// prefix puts before the names of all properties what they have on a type of
// resources.
func (v *namespaceView) prefix(prefix string) {
	v.Properties = prefixed(v.Properties, prefix)
	for _, o := range v.Objects {
		var properties map[string]json.RawMessage
		var required []string
		if json.Unmarshal(o["properties"], &properties) == nil {
			o["properties"] = rawJSON(prefixed(properties, prefix))
		}
		if json.Unmarshal(o["required"], &required) == nil {
			for i := range required {
				required[i] = prefix + required[i]
			}
			o["required"] = rawJSON(required)
		}
	}
}

func prefixed[T any](properties map[string]T, prefix string) map[string]T {
	out := make(map[string]T, len(properties))
	for name, p := range properties {
		out[prefix+name] = p
	}
	return out
}

func (h handlers) updateNamespace(c *api.Call) (namespaceView, error) {
	found, err := h.namespace(c)
	if err != nil {
		return namespaceView{}, err
	}
	_, n, err := readNamespace(c)
	if err != nil {
		return namespaceView{}, err
	}
	changed, err := h.images.UpdateNamespace(c.Context(), found.Name, n)
	return viewNamespace(changed, nil), err
}

func (h handlers) deleteNamespace(c *api.Call) error {
	found, err := h.namespace(c)
	if err != nil {
		return err
	}
	return h.images.DeleteNamespace(c.Context(), found)
}

type resourceTypeView struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

type resourceTypesView struct {
	Types []resourceTypeView `json:"resource_types"`
}

func (h handlers) listResourceTypes(c *api.Call) (reply resourceTypesView, err error) {
	err = c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	types, err := h.images.ResourceTypes(c.Context())
	for _, t := range types {
		reply.Types = append(reply.Types, resourceTypeView{t.Name, t.CreatedAt.Time(), t.UpdatedAt.Time()})
	}
	return reply, err
}
