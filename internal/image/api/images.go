// Package api is Glance's API on top of the image service.
//
// An image is one flat JSON object: attributes beside properties that users
// make up. Its schema (schema.go) tells them apart; it checks what clients
// send and is what /v2/schemas answers. An update is a JSON patch with Glance's
// two media types (patch.go). Bytes go in and out as they are (data.go).
package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/image"
)

// New describes the service for the kernel. Some properties may be protected.
func New(images *image.Service, protection *image.Protection) api.Service {
	h := handlers{images, protection}
	return api.Service{
		Name: "glance", Type: "image", Mount: "/image", Spec: "", Envelope: api.Glance,
		Routes: slices.Concat(versions(), h.infoRoutes(), h.routes(), h.importRoutes(), schemas(), h.memberRoutes(), h.itemRoutes(), h.namespaceRoutes(), h.taskRoutes()),
	}
}

type handlers struct {
	images     *image.Service
	protection *image.Protection
}

// mayTouch is an error unless the caller may do that with the property.
// Attributes are protected by other rules.
func (h handlers) mayTouch(c *api.Call, act image.PropertyAction, name string) error {
	if attributeNames[name] || h.protection.Allows(act, name, c.Caller.Roles) {
		return nil
	}
	return errs.Forbiddenf("Property '%s' is protected", name)
}

func (h handlers) routes() []api.Route {
	const one = "/v2/images/{image_id}"
	return []api.Route{
		{Method: "PUT", Path: one + "/file", Rule: "upload_image", OK: 204, MaxBody: -1, Do: api.Empty(h.upload)},
		{Method: "GET", Path: one + "/file", Rule: "download_image", MaxBody: -1, Do: api.Get(h.download)},
		{Method: "POST", Path: "/v2/images", Rule: "add_image", OK: 201, Do: api.Get(h.create)},
		{Method: "GET", Path: one, Rule: "get_image", Do: api.Get(h.show)},
		{Method: "GET", Path: "/v2/images", Rule: "get_images", Do: api.Get(h.list)},
		{Method: "PATCH", Path: one, Rule: "modify_image", Do: api.Get(h.update)},
		{Method: "DELETE", Path: one, Rule: "delete_image", OK: 204, Do: api.Empty(h.delete)},
		{Method: "POST", Path: one + "/actions/deactivate", Rule: "deactivate", OK: 204, Do: api.Empty(h.deactivate)},
		{Method: "POST", Path: one + "/actions/reactivate", Rule: "reactivate", OK: 204, Do: api.Empty(h.reactivate)},
		{Method: "PUT", Path: one + "/tags/{tag}", Rule: "modify_image", OK: 204, Do: api.Empty(h.addTag)},
		{Method: "DELETE", Path: one + "/tags/{tag}", Rule: "modify_image", OK: 204, Do: api.Empty(h.removeTag)},
	}
}

// body reads a JSON body as Glance does, whatever its media type.
func body(c *api.Call, in any) error {
	raw, err := c.Raw()
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return errs.BadRequestf("Body expected in request.")
	}
	if !json.Valid(raw) {
		return errs.BadRequestf("Malformed JSON in request body.")
	}
	return c.DecodeJSON(raw, in)
}

func (h handlers) create(c *api.Call) (imageView, error) {
	var in attributes
	err := body(c, &in)
	if err != nil {
		return nil, err
	}
	n, err := h.newImage(c, in)
	if err != nil {
		return nil, err
	}
	created, err := h.images.Create(c.Context(), n)
	if err != nil {
		return nil, err
	}
	c.SetHeader("Location", c.URL("/v2/images/"+created.ID))
	c.SetHeader("OpenStack-Image-Import-Methods", strings.Join(image.ImportMethods, ","))
	c.SetHeader("OpenStack-Image-Store-Ids", strings.Join(h.images.StoreIDs(), ","))
	return h.view(c, created), nil
}

// newImage checks what a client says of an image, and whether it may.
func (h handlers) newImage(c *api.Call, in attributes) (image.NewImage, error) {
	n := image.NewImage{Owner: c.Caller.Project, Properties: map[string]string{}}
	for name := range in {
		err := writable(name)
		if name == "id" {
			err = nil
		}
		if err == nil {
			err = h.mayTouch(c, image.CreateProperty, name)
		}
		if err != nil {
			return n, err
		}
	}
	err := in.fill(&n)
	if err != nil {
		return n, err
	}
	if n.Owner == "" {
		return n, errs.Forbiddenf("An image needs an owner: name one, or ask with a token that has a project.")
	}
	target := auth.Target{Project: n.Owner, Attrs: map[string]string{"owner": n.Owner, "visibility": n.Visibility}}
	err = c.AuthorizeRule("add_image", target)
	if err != nil && n.Owner != c.Caller.Project {
		return n, errs.Forbiddenf("You are not permitted to create images owned by '%s'", n.Owner)
	}
	if err != nil {
		return n, err
	}
	return n, mayBecome(c, n.Visibility, target)
}

// fill takes the attributes over. Their types are those of the schema.
func (in attributes) fill(n *image.NewImage) error {
	known := map[string]any{
		"id": &n.ID, "name": &n.Name, "owner": &n.Owner, "visibility": &n.Visibility,
		"disk_format": &n.DiskFormat, "container_format": &n.ContainerFormat, "min_disk": &n.MinDisk, "min_ram": &n.MinRAM,
		"protected": &n.Protected, "os_hidden": &n.Hidden, "tags": &n.Tags,
	}
	for name, value := range in {
		into, isAttribute := known[name]
		if !isAttribute {
			n.Properties[name], _ = value.(string)
			continue
		}
		raw, err := json.Marshal(value)
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			return errs.BadRequestf("The value of %s could not be understood.", name).Because(err)
		}
	}
	return nil
}

// mayBecome checks the rule that guards a visibility.
func mayBecome(c *api.Call, visibility string, target auth.Target) error {
	switch visibility {
	case image.Public:
		return c.AuthorizeRule("publicize_image", target)
	case image.Community:
		return c.AuthorizeRule("communitize_image", target)
	}
	return nil
}

// find reads an image and authorizes the row's rule. One that the caller may
// not see is not found.
func (h handlers) find(c *api.Call) (image.Image, error) {
	found, err := h.images.Image(c.Context(), viewer(c), c.PathValue("image_id"))
	if err != nil {
		return image.Image{}, err
	}
	if !c.May("get_image", target(found)) {
		return image.Image{}, errs.NotFoundf("No image found with ID %s", found.ID)
	}
	return found, c.Authorize(target(found))
}

func viewer(c *api.Call) image.Viewer {
	return image.Viewer{Project: c.Caller.Project, Admin: c.Caller.Admin()}
}

func target(i image.Image) auth.Target {
	return auth.Target{Project: i.Owner, Attrs: map[string]string{"owner": i.Owner, "visibility": i.Visibility}}
}

func (h handlers) show(c *api.Call) (imageView, error) {
	found, err := h.find(c)
	if err != nil {
		return nil, err
	}
	return h.view(c, found), nil
}

func (h handlers) delete(c *api.Call) error {
	found, err := h.find(c)
	if errs.Is(err, errs.NotFound) {
		return errs.NotFoundf("Failed to find image %s to delete", c.PathValue("image_id"))
	}
	if err != nil {
		return err
	}
	return h.images.Delete(c.Context(), found.ID)
}

func (h handlers) deactivate(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	return h.images.Deactivate(c.Context(), found.ID)
}

func (h handlers) reactivate(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	return h.images.Reactivate(c.Context(), found.ID)
}

func (h handlers) addTag(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(map[string]any{"tags": []string{c.PathValue("tag")}})
	if err != nil {
		return err
	}
	err = c.DecodeJSON(raw, &attributes{})
	if err != nil {
		return err
	}
	return h.images.AddTag(c.Context(), found.ID, c.PathValue("tag"))
}

func (h handlers) removeTag(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	return h.images.RemoveTag(c.Context(), found.ID, c.PathValue("tag"))
}

// imageView is the flat object of an image.
type imageView map[string]any

func (h handlers) view(c *api.Call, i image.Image) imageView {
	v := imageView{}
	for name, value := range i.Properties.V {
		if h.protection.Allows(image.ReadProperty, name, c.Caller.Roles) {
			v[name] = value
		}
	}
	self := "/v2/images/" + i.ID
	maps.Copy(v, imageView{
		"id": i.ID, "name": orNull(i.Name), "owner": i.Owner, "visibility": i.Visibility, "status": i.Status,
		"disk_format": orNull(i.DiskFormat), "container_format": orNull(i.ContainerFormat),
		"min_disk": i.MinDisk, "min_ram": i.MinRAM, "size": known(i.Size), "virtual_size": known(i.VirtualSize),
		"checksum": orNull(i.Checksum), "os_hash_algo": nil, "os_hash_value": orNull(i.HashValue),
		"protected": i.Protected, "os_hidden": i.Hidden, "tags": i.Tags.V,
		"created_at": i.CreatedAt.Time(), "updated_at": i.UpdatedAt.Time(),
		"self": self, "file": self + "/file", "schema": "/v2/schemas/image",
	})
	if i.HashValue != "" {
		v["os_hash_algo"] = "sha512"
	}
	if i.Blob != "" {
		v["stores"] = strings.Join(i.Stores.V, ",")
	}
	if i.Import.V != nil {
		v["os_glance_importing_to_stores"], v["os_glance_failed_import"] = strings.Join(i.Import.V.To, ","), strings.Join(i.Import.V.Failed, ",")
		if i.Import.V.Task != "" {
			v["os_glance_import_task"] = i.Import.V.Task
		}
	}
	return v
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func known(n int64) any {
	if n < 0 {
		return nil
	}
	return n
}
