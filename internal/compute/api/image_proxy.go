package api

import (
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// untilImageMetadata is the last microversion that passes calls about the
// metadata of images on.
var untilImageMetadata = api.V(2, 38)

// Nova has no rules for these calls: who may use images may.
const (
	imagesRead  = "project_reader_or_admin"
	imagesWrite = "project_member_or_admin"
)

// imageProxyRoutes is images, which the image service has.
func (h handlers) imageProxyRoutes() []api.Route {
	const path = "/images/{image_id}"
	return []api.Route{
		{Method: "GET", Path: "/images", Until: untilNetwork, Rule: imagesRead, Do: api.Get(h.listImages)},
		{Method: "GET", Path: "/images/detail", Until: untilNetwork, Rule: imagesRead, Do: api.Get(h.detailImages)},
		{Method: "GET", Path: path, Until: untilNetwork, Rule: imagesRead, Do: api.Get(h.showImage)},
		{Method: "DELETE", Path: path, Until: untilNetwork, Rule: imagesWrite, OK: 204, Do: api.Empty(h.deleteImage)},
		{Method: "GET", Path: path + "/metadata", Until: untilImageMetadata, Rule: imagesRead, Do: api.Get(h.listImageMetadata)},
		{Method: "POST", Path: path + "/metadata", Until: untilImageMetadata, Rule: imagesWrite, Do: api.Body(h.addImageMetadata)},
		{Method: "PUT", Path: path + "/metadata", Until: untilImageMetadata, Rule: imagesWrite, Do: api.Body(h.setImageMetadata)},
		{Method: "GET", Path: path + "/metadata/{key}", Until: untilImageMetadata, Rule: imagesRead, Do: api.Get(h.showImageItem)},
		{Method: "PUT", Path: path + "/metadata/{key}", Until: untilImageMetadata, Rule: imagesWrite, Do: api.Body(h.putImageItem)},
		{Method: "DELETE", Path: path + "/metadata/{key}", Until: untilImageMetadata, Rule: imagesWrite, OK: 204, Do: api.Empty(h.deleteImageItem)},
	}
}

type basicImage struct {
	ID    string     `json:"id"`
	Name  *string    `json:"name"`
	Links []api.Link `json:"links"`
}

type imageView struct {
	ID       string            `json:"id"`
	Name     *string           `json:"name"`
	Status   string            `json:"status"`
	Created  time.Time         `json:"created"`
	Updated  time.Time         `json:"updated"`
	MinDisk  int64             `json:"minDisk"`
	MinRAM   int64             `json:"minRam"`
	Progress int               `json:"progress"`
	Metadata map[string]string `json:"metadata"`
	Links    []api.Link        `json:"links"`
	Size     int64             `json:"OS-EXT-IMG-SIZE:size"`
	Server   *serverOfImage    `json:"server,omitempty"`
}

type serverOfImage struct {
	ID    string     `json:"id"`
	Links []api.Link `json:"links"`
}

func imageLinks(c *api.Call, id string) []api.Link {
	return []api.Link{
		{Rel: "self", Href: c.URL("/images/" + id)}, {Rel: "bookmark", Href: c.Base() + "/compute/images/" + id},
		{Rel: "alternate", Href: c.Base() + "/image/images/" + id, Type: "application/vnd.openstack.image"},
	}
}

// imageStatus is Nova's word for an image's status, and its progress.
func imageStatus(status string) (word string, progress int) {
	switch status {
	case "active":
		return "ACTIVE", 100
	case "queued", "saving", "uploading", "importing":
		return "SAVING", 50
	}
	return "UNKNOWN", 0
}

func viewImage(c *api.Call, i compute.ImageDetails) imageView {
	v := imageView{
		ID: i.ID, Name: orNull(i.Name), Created: i.CreatedAt, Updated: i.UpdatedAt, MinDisk: i.MinDiskGB, MinRAM: i.MinRAMMB,
		Metadata: i.Properties, Links: imageLinks(c, i.ID), Size: i.FileBytes,
	}
	v.Status, v.Progress = imageStatus(i.Status)
	server := i.Properties["instance_uuid"]
	if server != "" {
		v.Server = &serverOfImage{server, links(c, "/servers/"+server)}
	}
	return v
}

// findImages lists the images that the call's filters let through, a page of them.
func (h handlers) findImages(c *api.Call) (list []compute.ImageDetails, next []api.Link, err error) {
	err = c.AuthorizeOwn()
	if err != nil {
		return nil, nil, err
	}
	page, err := c.Page(api.List{})
	if err != nil {
		return nil, nil, err
	}
	all, err := h.compute.Images().Images(c.Context(), c.Caller)
	if err != nil {
		return nil, nil, err
	}
	query := c.Query()
	server := query.Get("server")
	server = server[strings.LastIndex(server, "/")+1:]
	var since time.Time
	if text := query.Get("changes-since"); text != "" {
		since, err = db.ParseTime(text)
		if err != nil {
			return nil, nil, errs.BadRequestf("Invalid changes-since value")
		}
	}
	behind := page.Marker == ""
	for _, i := range all {
		if !behind {
			behind = i.ID == page.Marker
			continue
		}
		status, _ := imageStatus(i.Status)
		kind := i.Properties["image_type"]
		if kind == "" {
			kind = "base"
		}
		switch {
		case query.Get("name") != "" && query.Get("name") != i.Name,
			query.Get("status") != "" && !strings.EqualFold(query.Get("status"), status),
			query.Get("type") != "" && query.Get("type") != kind,
			server != "" && i.Properties["instance_uuid"] != server,
			i.UpdatedAt.Before(since):
			continue
		}
		if page.Limit > 0 && len(list) == page.Limit {
			next = []api.Link{{Rel: "next", Href: c.PageURL(list[len(list)-1].ID, false)}}
			break
		}
		list = append(list, i)
	}
	if !behind {
		return nil, nil, errs.BadRequestf("marker [%s] not found", page.Marker)
	}
	return list, next, nil
}

type basicImagesReply struct {
	Images []basicImage `json:"images"`
	Links  []api.Link   `json:"images_links,omitempty"`
}

func (h handlers) listImages(c *api.Call) (basicImagesReply, error) {
	list, next, err := h.findImages(c)
	reply := basicImagesReply{Images: []basicImage{}, Links: next}
	for _, i := range list {
		reply.Images = append(reply.Images, basicImage{i.ID, orNull(i.Name), imageLinks(c, i.ID)})
	}
	return reply, err
}

type imagesReply struct {
	Images []imageView `json:"images"`
	Links  []api.Link  `json:"images_links,omitempty"`
}

func (h handlers) detailImages(c *api.Call) (imagesReply, error) {
	list, next, err := h.findImages(c)
	reply := imagesReply{Images: []imageView{}, Links: next}
	for _, i := range list {
		reply.Images = append(reply.Images, viewImage(c, i))
	}
	return reply, err
}

// seeImage finds an image that the caller sees.
func (h handlers) seeImage(c *api.Call) (compute.ImageDetails, error) {
	i, err := h.compute.Images().ImageDetails(c.Context(), c.Caller, c.PathValue("image_id"))
	if errs.Is(err, errs.NotFound) {
		return i, errs.NotFoundf("Image not found.")
	}
	if err != nil {
		return i, err
	}
	c.Log("image_id", i.ID)
	return i, c.AuthorizeOwn()
}

// ownImage finds an image that the caller may change.
func (h handlers) ownImage(c *api.Call) (compute.ImageDetails, error) {
	i, err := h.seeImage(c)
	if err != nil {
		return i, err
	}
	if i.Project != c.Caller.Project && !c.Caller.Admin() {
		return i, api.Nova.Forbidden(c.Route().Rule)
	}
	return i, c.Authorize(auth.Target{Project: i.Project})
}

type imageReply struct {
	Image imageView `json:"image"`
}

func (h handlers) showImage(c *api.Call) (imageReply, error) {
	i, err := h.seeImage(c)
	return imageReply{viewImage(c, i)}, err
}

func (h handlers) deleteImage(c *api.Call) error {
	i, err := h.ownImage(c)
	if err != nil {
		return err
	}
	return h.compute.Images().DeleteImage(c.Context(), i.ID)
}

type imageMetadataBody struct {
	Metadata metadataRequest `json:"metadata" check:"required"`
}

type imageMetadataReply struct {
	Metadata map[string]string `json:"metadata"`
}

func (h handlers) listImageMetadata(c *api.Call) (imageMetadataReply, error) {
	i, err := h.seeImage(c)
	return imageMetadataReply{i.Properties}, err
}

func (h handlers) addImageMetadata(c *api.Call, in imageMetadataBody) (imageMetadataReply, error) {
	return h.changeImage(c, in.Metadata, false)
}

func (h handlers) setImageMetadata(c *api.Call, in imageMetadataBody) (imageMetadataReply, error) {
	return h.changeImage(c, in.Metadata, true)
}

// changeImage adds properties, or makes them be exactly these.
func (h handlers) changeImage(c *api.Call, set map[string]string, exactly bool) (imageMetadataReply, error) {
	i, err := h.ownImage(c)
	if err != nil {
		return imageMetadataReply{}, err
	}
	var remove []string
	for name := range i.Properties {
		if _, stays := set[name]; exactly && !stays {
			remove = append(remove, name)
		}
	}
	err = h.compute.Images().SetImageProperties(c.Context(), i.ID, set, remove)
	if err != nil {
		return imageMetadataReply{}, err
	}
	i, err = h.compute.Images().ImageDetails(c.Context(), c.Caller, i.ID)
	return imageMetadataReply{i.Properties}, err
}

type imageItem struct {
	Meta metadataRequest `json:"meta" check:"required"`
}

func (h handlers) showImageItem(c *api.Call) (imageItem, error) {
	i, err := h.seeImage(c)
	if err != nil {
		return imageItem{}, err
	}
	key := c.PathValue("key")
	value, has := i.Properties[key]
	if !has {
		return imageItem{}, errs.NotFoundf("Metadata item was not found")
	}
	return imageItem{metadataRequest{key: value}}, nil
}

func (h handlers) putImageItem(c *api.Call, in imageItem) (imageItem, error) {
	value, has := in.Meta[c.PathValue("key")]
	if !has || len(in.Meta) != 1 {
		return imageItem{}, errs.BadRequestf("Request body and URI mismatch")
	}
	_, err := h.changeImage(c, map[string]string{c.PathValue("key"): value}, false)
	return in, err
}

func (h handlers) deleteImageItem(c *api.Call) error {
	i, err := h.ownImage(c)
	if err != nil {
		return err
	}
	key := c.PathValue("key")
	if _, has := i.Properties[key]; !has {
		return errs.NotFoundf("Metadata item was not found")
	}
	return h.compute.Images().SetImageProperties(c.Context(), i.ID, nil, []string{key})
}
