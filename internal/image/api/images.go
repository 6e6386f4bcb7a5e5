// Package api is Glance's v2 API on top of the image service.
//
// An image's own properties stand beside its attributes in one flat object, so
// requests and views are maps here, not structs.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/image"
)

// New describes the service for the kernel.
func New(images *image.Service) api.Service {
	h := handlers{images}
	return api.Service{
		Name: "glance", Type: "image", Mount: "/image", Spec: "", Envelope: api.Glance,
		Routes: slices.Concat(versions(), h.routes(), schemas()),
	}
}

type handlers struct{ images *image.Service }

func (h handlers) routes() []api.Route {
	return []api.Route{
		{Method: "PUT", Path: "/v2/images/{image_id}/file", Rule: "upload_image", OK: 204, MaxBody: -1, Do: api.Empty(h.upload)},
		{Method: "GET", Path: "/v2/images/{image_id}/file", Rule: "download_image", MaxBody: -1, Do: api.Get(h.download)},
		{Method: "POST", Path: "/v2/images", Rule: "add_image", OK: 201, Do: api.Body(h.create)},
		{Method: "GET", Path: "/v2/images/{image_id}", Rule: "get_image", Do: api.Get(h.show)},
		{Method: "GET", Path: "/v2/images", Rule: "get_images", Do: api.Get(h.list)},
		{Method: "DELETE", Path: "/v2/images/{image_id}", Rule: "delete_image", OK: 204, Do: api.Empty(h.delete)},
	}
}

// createRequest is the flat object of a new image.
type createRequest map[string]any

// JSONSchema implements api.Schemer.
func (createRequest) JSONSchema() map[string]any {
	text := func(limit int) map[string]any {
		return map[string]any{"type": []any{"string", "null"}, "maxLength": limit}
	}
	number := map[string]any{"type": "integer", "minimum": 0, "maximum": 2147483647}
	oneOf := func(words []string) map[string]any {
		list := []any{nil}
		for _, word := range words {
			list = append(list, word)
		}
		return map[string]any{"enum": list}
	}
	return map[string]any{
		"type": "object",
		"properties": map[string]any{
			"id":               map[string]any{"type": "string", "pattern": `^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`},
			"name":             text(255),
			"owner":            text(255),
			"visibility":       map[string]any{"enum": []any{"public", "private", "shared", "community"}},
			"disk_format":      oneOf(image.DiskFormats),
			"container_format": oneOf(image.ContainerFormats),
			"min_disk":         number,
			"min_ram":          number,
			"protected":        map[string]any{"type": "boolean"},
			"os_hidden":        map[string]any{"type": "boolean"},
			"tags": map[string]any{"type": "array", "maxItems": 128,
				"items": map[string]any{"type": "string", "minLength": 1, "maxLength": 255}},
		},
		"additionalProperties": map[string]any{"type": "string", "maxLength": 65535},
		"maxProperties":        128 + 11,
	}
}

// readOnly are attributes that no client may set.
var readOnly = []string{"created_at", "updated_at", "status", "checksum", "size", "virtual_size", "self", "file", "schema",
	"direct_url", "os_hash_algo", "os_hash_value", "stores", "locations"}

func (h handlers) create(c *api.Call, in createRequest) (imageView, error) {
	for _, name := range readOnly {
		if _, set := in[name]; set {
			return nil, errs.Forbiddenf("Attribute '%s' is read-only.", name)
		}
	}
	n := image.NewImage{Owner: c.Caller.Project}
	taken := map[string]bool{}
	take := func(name string, into any) error {
		taken[name] = true
		value, set := in[name]
		if !set || value == nil {
			return nil
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, into)
	}
	err := errors.Join(
		take("id", &n.ID), take("name", &n.Name), take("owner", &n.Owner), take("visibility", &n.Visibility),
		take("disk_format", &n.DiskFormat), take("container_format", &n.ContainerFormat),
		take("min_disk", &n.MinDisk), take("min_ram", &n.MinRAM), take("protected", &n.Protected),
		take("os_hidden", &n.Hidden), take("tags", &n.Tags))
	if err != nil {
		return nil, errs.BadRequestf("The image could not be understood: %s", err)
	}
	n.Properties = map[string]string{}
	for name, value := range in {
		if taken[name] {
			continue
		}
		if len(name) > 255 || strings.HasPrefix(name, "os_glance") {
			return nil, errs.Forbiddenf("Attribute '%s' is reserved.", name)
		}
		n.Properties[name], _ = value.(string)
	}
	err = c.Authorize(auth.Target{Project: n.Owner})
	if err != nil {
		return nil, errs.Forbiddenf("You are not permitted to create images owned by '%s'.", n.Owner)
	}
	switch n.Visibility {
	case image.Public:
		err = c.AuthorizeRule("publicize_image", auth.Target{Project: n.Owner})
	case image.Community:
		err = c.AuthorizeRule("communitize_image", auth.Target{Project: n.Owner})
	}
	if err != nil {
		return nil, err
	}
	created, err := h.images.Create(c.Context(), n)
	if err != nil {
		return nil, err
	}
	c.SetHeader("Location", c.URL("/v2/images/"+created.ID))
	c.SetHeader("OpenStack-image-import-methods", "")
	return view(created), nil
}

// find reads an image and authorizes the row's rule. One that the caller may
// not see is not found.
func (h handlers) find(c *api.Call) (image.Image, error) {
	found, err := h.images.Image(c.Context(), viewer(c), c.PathValue("image_id"))
	if err != nil {
		return image.Image{}, err
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
	return view(found), nil
}

func (h handlers) delete(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	return h.images.Delete(c.Context(), found.ID)
}

func (h handlers) upload(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	if c.Header("Content-Type") != "application/octet-stream" {
		return errs.New(errs.UnsupportedMedia, "The image's bytes are sent as application/octet-stream, not as %q.", c.Header("Content-Type"))
	}
	return h.images.Upload(c.Context(), found.ID, c.Request().Body)
}

func (h handlers) download(c *api.Call) (any, error) {
	found, err := h.find(c)
	if err != nil {
		return nil, err
	}
	if found.Status != image.Active {
		c.SetStatus(http.StatusNoContent)
		return nil, nil
	}
	bytes, err := h.images.Open(c.Context(), found)
	if errors.Is(err, fs.ErrNotExist) {
		c.SetStatus(http.StatusNoContent)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", found.ID, err)
	}
	first, last, partial, err := span(c.Header("Range"), found.Size)
	if err != nil {
		bytes.Close()
		return nil, err
	}
	c.SetHeader("Accept-Ranges", "bytes")
	c.SetHeader("X-Content-Type-Options", "nosniff")
	c.SetHeader("Content-Security-Policy", "sandbox")
	reply := api.Reply{ContentType: "application/octet-stream", Size: last - first + 1, Stream: bytes}
	if !partial {
		c.SetHeader("Content-MD5", found.Checksum)
		return reply, nil
	}
	reply.Status = http.StatusPartialContent
	reply.Stream = struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(bytes, first, reply.Size), bytes}
	c.SetHeader("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, found.Size))
	return reply, nil
}

// span reads a Range header with one range. No header is the whole.
func span(header string, size int64) (first, last int64, partial bool, err error) {
	if header == "" {
		return 0, size - 1, false, nil
	}
	refused := errs.New(errs.Range, "The range %s cannot be served: the image has %d bytes.", header, size).
		With("Content-Range", fmt.Sprintf("bytes */%d", size))
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	from, to, isRange := strings.Cut(spec, "-")
	if !isBytes || !isRange || strings.Contains(spec, ",") {
		return 0, 0, false, refused
	}
	first, last = 0, size-1
	switch {
	case from == "":
		var suffix int64
		_, err = fmt.Sscanf(to, "%d", &suffix)
		first = max(0, size-suffix)
	case to == "":
		_, err = fmt.Sscanf(from, "%d", &first)
	default:
		_, err = fmt.Sscanf(spec, "%d-%d", &first, &last)
		last = min(last, size-1)
	}
	if err != nil || first < 0 || first > last {
		return 0, 0, false, refused
	}
	return first, last, true, nil
}

var listing = api.List{
	Sorts: map[string]string{
		"name": "name", "status": "status", "container_format": "container_format", "disk_format": "disk_format",
		"size": "size", "id": "id", "created_at": "created_at", "updated_at": "updated_at",
		"visibility": "visibility", "owner": "owner", "min_disk": "min_disk", "min_ram": "min_ram",
	},
	Default: []db.Sort{{Column: "created_at", Desc: true}, {Column: "id", Desc: true}},
	Filters: map[string]db.Filter{
		"name": {Column: "name"}, "id": {Column: "id"}, "status": {Column: "status"}, "owner": {Column: "owner"},
		"disk_format": {Column: "disk_format"}, "container_format": {Column: "container_format"},
		"checksum": {Column: "checksum"}, "os_hash_value": {Column: "hash_value"},
		"protected": {Column: "protected", Match: db.Flag}, "os_hidden": {Column: "hidden", Match: db.Flag},
		"min_disk": {Column: "min_disk", Match: db.Number}, "min_ram": {Column: "min_ram", Match: db.Number},
		"size_min": {Column: "size", Match: db.AtLeast}, "size_max": {Column: "size", Match: db.AtMost},
	},
}

// notProperties are query parameters that are no filter on a property.
var notProperties = []string{"limit", "marker", "sort_key", "sort_dir", "sort", "visibility", "tag", "member_status"}

type listView struct {
	Images []imageView `json:"images"`
	First  string      `json:"first"`
	Next   string      `json:"next,omitempty"`
	Schema string      `json:"schema"`
}

func (h handlers) list(c *api.Call) (listView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return listView{}, err
	}
	page, err := c.Page(listing)
	if err != nil {
		return listView{}, err
	}
	q := c.Query()
	query := image.Query{Visibility: q.Get("visibility"), Tags: q["tag"], Properties: map[string]string{}}
	if !slices.Contains([]string{"", "all", image.Public, image.Private, image.Shared, image.Community}, query.Visibility) {
		return listView{}, errs.BadRequestf("Invalid visibility value: %s", query.Visibility)
	}
	if !q.Has("os_hidden") {
		query.Where = append(query.Where, db.Cond{Filter: listing.Filters["os_hidden"], Values: []any{0}})
	}
	where, err := c.Where(listing)
	if err != nil {
		return listView{}, err
	}
	query.Where = append(query.Where, where...)
	for name := range q {
		if _, known := listing.Filters[name]; !known && !slices.Contains(notProperties, name) {
			query.Properties[name] = q.Get(name)
		}
	}
	images, more, err := h.images.List(c.Context(), viewer(c), query, page)
	if err != nil {
		return listView{}, err
	}
	reply := listView{Images: make([]imageView, len(images)), Schema: "/v2/schemas/images", First: "/v2/images" + rest(q, "")}
	for i := range images {
		reply.Images[i] = view(images[i])
	}
	if more {
		reply.Next = "/v2/images" + rest(q, images[len(images)-1].ID)
	}
	return reply, nil
}

// rest spells the query of a further page.
func rest(q url.Values, marker string) string {
	q = maps.Clone(q)
	q.Del("marker")
	if marker != "" {
		q.Set("marker", marker)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// imageView is the flat object of an image.
type imageView map[string]any

func view(i image.Image) imageView {
	v := imageView{}
	for name, value := range i.Properties.V {
		v[name] = value
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
