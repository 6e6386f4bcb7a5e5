package api

import (
	"mime"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/fetch"
	"nacre/internal/image"
	"nacre/internal/work"
)

func (h handlers) importRoutes() []api.Route {
	const one = "/v2/images/{image_id}"
	return []api.Route{
		{Method: "PUT", Path: one + "/stage", Rule: "modify_image", OK: 204, MaxBody: -1, Do: api.Empty(h.stage)},
		{Method: "POST", Path: one + "/import", Rule: "modify_image", OK: 202, Do: api.Empty(h.importImage)},
		{Method: "POST", Path: one + "/locations", Rule: "add_image_location", Do: api.Empty(h.addLocation)},
		{Method: "GET", Path: one + "/locations", Rule: "fetch_image_location", Do: api.Get(h.listLocations)},
		{Method: "DELETE", Path: "/v2/stores/{store_id}/{image_id}", Rule: "delete_image_location", OK: 204, Do: api.Empty(h.removeFromStore)},
	}
}

// octets checks that a body is bytes, and returns how many are announced.
func octets(c *api.Call) (int64, error) {
	media, _, err := mime.ParseMediaType(c.Header("Content-Type"))
	if err != nil || media != "application/octet-stream" {
		return 0, errs.New(errs.UnsupportedMedia, "Invalid content type %s", c.Header("Content-Type"))
	}
	size, err := announced(c)
	if err == nil && size > image.MaxSize {
		err = image.TooLarge(size)
	}
	return size, err
}

func (h handlers) stage(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	_, err = octets(c)
	if err != nil {
		return err
	}
	return h.images.Stage(c.Context(), found.ID, c.Request().Body)
}

// importBody is what is asked of an import.
type importBody struct {
	Method *struct {
		Name *string  `json:"name"`
		URI  string   `json:"uri"`
		_    struct{} `check:"open"`
	} `json:"method"`
	Stores      []string `json:"stores"`
	All         any      `json:"all_stores"`
	MustSucceed any      `json:"all_stores_must_succeed"`
	_           struct{} `check:"open"`
}

// read checks what no schema says of an import.
func (in importBody) read(c *api.Call) (image.NewImport, error) {
	var n image.NewImport
	var isBool bool
	switch {
	case in.Method == nil:
		return n, errs.BadRequestf("Import request requires a 'method' field.")
	case in.Method.Name == nil:
		return n, errs.BadRequestf("Import request requires a 'name' field.")
	case !slices.Contains(image.ImportMethods, *in.Method.Name):
		return n, errs.BadRequestf("Unknown import method name '%s'.", *in.Method.Name)
	}
	n = image.NewImport{Method: *in.Method.Name, URI: in.Method.URI, MustSucceed: true, Stores: in.Stores, By: by(c)}
	if in.All != nil {
		n.All, isBool = in.All.(bool)
		if !isBool {
			return n, errs.BadRequestf("'all_stores' must be boolean value only")
		}
	}
	if in.MustSucceed != nil {
		n.MustSucceed, isBool = in.MustSucceed.(bool)
		if !isBool {
			return n, errs.BadRequestf("'all_stores_must_succeed' must be boolean value only")
		}
	}
	one := c.Header("X-Image-Meta-Store")
	switch {
	case n.All && (in.Stores != nil || one != ""):
		return n, errs.BadRequestf("All_stores parameter can't be used with x-image-meta-store header or stores parameter")
	case in.Stores != nil && one != "":
		return n, errs.BadRequestf("Stores parameter and x-image-meta-store header can't be both specified")
	case one != "":
		n.Stores = []string{one}
	}
	if n.Method == image.WebDownload {
		err := fetch.Check(n.URI)
		if err != nil {
			return n, errs.BadRequestf("URI for web-download does not pass filtering: %s", err)
		}
	}
	return n, nil
}

// by is on whose behalf a plan runs.
func by(c *api.Call) work.Caller {
	return work.Caller{User: c.Caller.User, Project: c.Caller.Project, Request: c.RequestID()}
}

func (h handlers) importImage(c *api.Call) error {
	found, err := h.images.Image(c.Context(), viewer(c), c.PathValue("image_id"))
	if err != nil {
		return err
	}
	var in importBody
	err = body(c, &in)
	if err != nil {
		return err
	}
	n, err := in.read(c)
	if err != nil {
		return err
	}
	if n.Method == image.CopyImage {
		err = c.AuthorizeRule("copy_image", target(found))
	} else {
		err = c.Authorize(target(found))
	}
	if err != nil {
		return err
	}
	n.Request, err = c.Raw()
	if err != nil {
		return err
	}
	_, err = h.images.Import(c.Context(), found.ID, n)
	return err
}

// locationBody names where the bytes of an image are.
type locationBody struct {
	URL      string `json:"url" check:"required,max=2000"`
	Validate *struct {
		Checksum  string   `json:"checksum"`
		HashAlgo  string   `json:"os_hash_algo"`
		HashValue string   `json:"os_hash_value"`
		_         struct{} `check:"open"`
	} `json:"validation_data"`
	_ struct{} `check:"open"`
}

// addLocation brings bytes from a location into the default store: an image
// that stayed where it is could change after it was looked at.
func (h handlers) addLocation(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	if found.Status != image.Queued {
		return errs.Conflictf("It's not allowed to add locations if image status is %s.", found.Status)
	}
	var in locationBody
	err = body(c, &in)
	if err != nil {
		return err
	}
	err = fetch.Check(in.URL)
	if err != nil {
		return errs.BadRequestf("Invalid location: %s", err)
	}
	n := image.NewImport{Method: image.WebDownload, URI: in.URL, MustSucceed: true, TaskType: image.TaskLocationImport, By: by(c)}
	if in.Validate != nil {
		if in.Validate.HashValue != "" && in.Validate.HashAlgo != "sha512" {
			return errs.BadRequestf("os_hash_algo must be sha512, not %q", in.Validate.HashAlgo)
		}
		n.Expect = &image.Expected{Checksum: strings.ToLower(in.Validate.Checksum), HashValue: strings.ToLower(in.Validate.HashValue)}
	}
	n.Request, err = c.Raw()
	if err != nil {
		return err
	}
	_, err = h.images.Import(c.Context(), found.ID, n)
	return err
}

type locationView struct {
	URL      string            `json:"url"`
	Metadata map[string]string `json:"metadata"`
}

func (h handlers) listLocations(c *api.Call) ([]locationView, error) {
	who := viewer(c)
	who.Admin = who.Admin || c.Caller.Has("service")
	found, err := h.images.Image(c.Context(), who, c.PathValue("image_id"))
	if err != nil {
		return nil, err
	}
	err = c.Authorize(target(found))
	if err != nil {
		return nil, err
	}
	list := []locationView{}
	for _, l := range h.images.Locations(found) {
		list = append(list, locationView{l.URL, map[string]string{"store": l.Store}})
	}
	return list, nil
}

func (h handlers) removeFromStore(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	return h.images.RemoveFrom(c.Context(), found.ID, c.PathValue("store_id"))
}
