package api

import (
	"strings"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/errs"
)

// metadataRoutes is the metadata of servers.
func (h handlers) metadataRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/servers/{server_id}/metadata", Rule: "os_compute_api:server-metadata:index", Do: api.Get(h.listMetadata)},
		{Method: "POST", Path: "/servers/{server_id}/metadata", Rule: "os_compute_api:server-metadata:create", Do: api.Body(h.addMetadata)},
		{Method: "PUT", Path: "/servers/{server_id}/metadata", Rule: "os_compute_api:server-metadata:update_all", Do: api.Body(h.replaceMetadata)},
		{Method: "GET", Path: "/servers/{server_id}/metadata/{key}", Rule: "os_compute_api:server-metadata:show", Do: api.Get(h.showMetadata)},
		{Method: "PUT", Path: "/servers/{server_id}/metadata/{key}", Rule: "os_compute_api:server-metadata:update", Do: api.Body(h.setMetadata)},
		{Method: "DELETE", Path: "/servers/{server_id}/metadata/{key}", Rule: "os_compute_api:server-metadata:delete", OK: 204, Do: api.Empty(h.deleteMetadata)},
	}
}

type metadataBody struct {
	Metadata metadataRequest `json:"metadata" check:"required"`
}

type metaBody struct {
	Meta metadataRequest `json:"meta" check:"required,min=1,max=1"`
}

func (h handlers) listMetadata(c *api.Call) (metadataBody, error) {
	server, err := h.server(c)
	return metadataBody{server.Metadata.V}, err
}

func (h handlers) addMetadata(c *api.Call, in metadataBody) (metadataBody, error) {
	return h.changeMetadata(c, in, false)
}

func (h handlers) replaceMetadata(c *api.Call, in metadataBody) (metadataBody, error) {
	return h.changeMetadata(c, in, true)
}

func (h handlers) changeMetadata(c *api.Call, in metadataBody, replace bool) (metadataBody, error) {
	server, err := h.server(c)
	if err != nil {
		return metadataBody{}, err
	}
	server, err = h.compute.SetMetadata(c.Context(), act(c, server), in.Metadata, replace)
	return metadataBody{server.Metadata.V}, err
}

func (h handlers) showMetadata(c *api.Call) (metaBody, error) {
	server, err := h.server(c)
	if err != nil {
		return metaBody{}, err
	}
	key := c.PathValue("key")
	value, has := server.Metadata.V[key]
	if !has {
		return metaBody{}, errs.NotFoundf("Metadata item was not found")
	}
	return metaBody{metadataRequest{key: value}}, nil
}

func (h handlers) setMetadata(c *api.Call, in metaBody) (metaBody, error) {
	server, err := h.server(c)
	if err != nil {
		return metaBody{}, err
	}
	key := c.PathValue("key")
	value, has := in.Meta[key]
	if !has {
		return metaBody{}, errs.BadRequestf("Request body and URI mismatch")
	}
	_, err = h.compute.SetMetadata(c.Context(), act(c, server), map[string]string{key: value}, false)
	return in, err
}

func (h handlers) deleteMetadata(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.DeleteMetadata(c.Context(), act(c, server), c.PathValue("key"))
}

// tagRoutes is the tags of servers.
func (h handlers) tagRoutes() []api.Route {
	const path = "/servers/{server_id}/tags"
	since := api.V(2, 26)
	return []api.Route{
		{Method: "GET", Path: path, Since: since, Rule: "os_compute_api:os-server-tags:index", Do: api.Get(h.listTags)},
		{Method: "PUT", Path: path, Since: since, Rule: "os_compute_api:os-server-tags:update_all", Do: api.Body(h.replaceTags)},
		{Method: "DELETE", Path: path, Since: since, Rule: "os_compute_api:os-server-tags:delete_all", OK: 204, Do: api.Empty(h.deleteTags)},
		{Method: "GET", Path: path + "/{tag}", Since: since, Rule: "os_compute_api:os-server-tags:show", OK: 204, Do: api.Empty(h.showTag)},
		{Method: "PUT", Path: path + "/{tag}", Since: since, Rule: "os_compute_api:os-server-tags:update", OK: 204, Do: api.Empty(h.addTag)},
		{Method: "DELETE", Path: path + "/{tag}", Since: since, Rule: "os_compute_api:os-server-tags:delete", OK: 204, Do: api.Empty(h.deleteTag)},
	}
}

type tagsBody struct {
	Tags tagsRequest `json:"tags" check:"required"`
}

// tagsRequest are the tags that a server may have.
type tagsRequest []string

// JSONSchema implements api.Schemer.
func (tagsRequest) JSONSchema() map[string]any {
	return map[string]any{"type": "array", "maxItems": 50, "items": map[string]any{
		"type": "string", "minLength": 1, "maxLength": longestTag, "pattern": "^[^,/]*$",
	}}
}

const longestTag = 60

func (h handlers) listTags(c *api.Call) (tagsBody, error) {
	server, err := h.server(c)
	if err != nil {
		return tagsBody{}, err
	}
	tags, err := h.compute.Tags(c.Context(), server.ID)
	return tagsBody{tags}, err
}

func (h handlers) replaceTags(c *api.Call, in tagsBody) (tagsBody, error) {
	server, err := h.server(c)
	if err != nil {
		return tagsBody{}, err
	}
	err = h.compute.SetTags(c.Context(), act(c, server), in.Tags)
	if err != nil {
		return tagsBody{}, err
	}
	tags, err := h.compute.Tags(c.Context(), server.ID)
	return tagsBody{tags}, err
}

func (h handlers) deleteTags(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.SetTags(c.Context(), act(c, server), nil)
}

func (h handlers) showTag(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	tags, err := h.compute.Tags(c.Context(), server.ID)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if tag == c.PathValue("tag") {
			return nil
		}
	}
	return errs.NotFoundf("Server %s has no tag '%s'", server.ID, c.PathValue("tag"))
}

func (h handlers) addTag(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	tag := c.PathValue("tag")
	if utf8.RuneCountInString(tag) > longestTag || strings.ContainsAny(tag, ",/") {
		return errs.BadRequestf("Tag '%s' is invalid. It must be a non empty string without characters '/' and ',', of at most %d characters.", tag, longestTag)
	}
	added, err := h.compute.AddTag(c.Context(), act(c, server), tag)
	if added {
		c.SetStatus(201)
		c.SetHeader("Location", c.URL("/servers/"+server.ID+"/tags/"+tag))
	}
	return err
}

func (h handlers) deleteTag(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.DeleteTag(c.Context(), act(c, server), c.PathValue("tag"))
}
