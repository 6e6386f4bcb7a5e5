package api

import (
	"context"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) volumes() []api.Route {
	const metadataRule = "volume:update_volume_metadata"
	return []api.Route{
		{Method: "GET", Path: "/volumes/detail", Rule: "volume:get_all", Do: api.Get(h.listDetail)},
		{Method: "POST", Path: "/volumes", Rule: "volume:create", OK: 202, Do: api.Body(h.create)},
		{Method: "GET", Path: "/volumes", Rule: "volume:get_all", Do: api.Get(h.list)},
		{Method: "GET", Path: "/volumes/{volume_id}", Rule: "volume:get", Do: api.Get(h.show)},
		{Method: "PUT", Path: "/volumes/{volume_id}", Rule: "volume:update", Do: api.Body(h.update)},
		{Method: "DELETE", Path: "/volumes/{volume_id}", Rule: "volume:delete", OK: 202, Do: api.Empty(h.delete)},
		{Method: "POST", Path: "/volumes/{volume_id}/metadata", Rule: "volume:create_volume_metadata", Do: api.Body(h.addMetadata)},
		{Method: "GET", Path: "/volumes/{volume_id}/metadata", Rule: "volume:get_volume_metadata", Do: api.Get(h.showMetadata)},
		{Method: "PUT", Path: "/volumes/{volume_id}/metadata", Rule: metadataRule, Do: api.Body(h.replaceMetadata)},
		{Method: "GET", Path: "/volumes/{volume_id}/metadata/{key}", Rule: "volume:get_volume_metadata", Do: api.Get(h.showMetadataItem)},
		{Method: "DELETE", Path: "/volumes/{volume_id}/metadata/{key}", Rule: "volume:delete_volume_metadata", Do: api.Empty(h.deleteMetadataItem)},
		{Method: "PUT", Path: "/volumes/{volume_id}/metadata/{key}", Rule: metadataRule, Do: api.Body(h.setMetadataItem)},
		{Method: "GET", Path: "/volumes/summary", Rule: "volume:get_all", Since: api.V(3, 12), Do: api.Get(h.summary)},
	}
}

type createRequest struct {
	Volume struct {
		_                  struct{}   `check:"open" until:"3.52"`
		Name               *string    `json:"name" check:"max=255"`
		DisplayName        *string    `json:"display_name" check:"max=255"`
		Description        *string    `json:"description" check:"max=255"`
		DisplayDescription *string    `json:"display_description" check:"max=255"`
		Size               *api.Int   `json:"size" check:"min=1,max=2147483647"`
		VolumeType         *string    `json:"volume_type" check:"max=255"`
		Zone               *string    `json:"availability_zone" check:"max=255"`
		ImageRef           *string    `json:"imageRef" check:"max=255"`
		ImageID            *string    `json:"image_id" check:"max=255"`
		SnapshotID         optionalID `json:"snapshot_id"`
		SourceVolID        optionalID `json:"source_volid"`
		ConsistencyGroup   optionalID `json:"consistencygroup_id"`
		GroupID            *string    `json:"group_id" check:"max=255" since:"3.13"`
		BackupID           optionalID `json:"backup_id" since:"3.47"`
		Multiattach        *api.Bool  `json:"multiattach"`
		Metadata           metadata   `json:"metadata"`
	} `json:"volume" check:"required"`
	// Of the hints about hosts, local_to_instance is heard.
	Hints map[string]any `json:"OS-SCH-HNT:scheduler_hints" check:"nullable"`
}

func (h handlers) create(c *api.Call, in createRequest) (volumeReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return volumeReply{}, err
	}
	if c.Caller.Project == "" {
		return volumeReply{}, errs.Forbiddenf("A volume needs a project: ask with a token that has one.")
	}
	v := in.Volume
	asked := volume.NewVolume{
		Name: first(v.Name, v.DisplayName), Description: first(v.Description, v.DisplayDescription),
		Type: first(v.VolumeType), Zone: first(v.Zone), Image: first(v.ImageRef, v.ImageID),
		Source: string(v.SourceVolID), Snapshot: string(v.SnapshotID), Backup: string(v.BackupID), Group: first(v.GroupID), Metadata: v.Metadata,
		Multiattach: isTrue(v.Multiattach),
	}
	local, given := in.Hints["local_to_instance"]
	if given {
		asked.Beside, given = local.(string)
		if !given {
			return volumeReply{}, errs.BadRequestf("Invalid input received: The hint local_to_instance is the id of an instance.")
		}
	}
	if v.Size != nil {
		asked.SizeGB = int64(*v.Size)
	}
	sources := 0
	for _, source := range []string{asked.Image, asked.Source, asked.Snapshot, asked.Backup} {
		if source != "" {
			sources++
		}
	}
	switch {
	case sources > 1:
		return volumeReply{}, errs.BadRequestf("Invalid input received: May specify only one of snapshot, imageRef, source volume or backup")
	case v.ConsistencyGroup != "":
		return volumeReply{}, errs.BadRequestf("Invalid input received: Consistency groups are not available here.")
	case v.Size == nil && asked.Source == "" && asked.Snapshot == "" && asked.Backup == "":
		return volumeReply{}, errs.BadRequestf("Invalid input received: Volume size 'None' must be an integer and greater than 0")
	}
	created, err := h.service.CreateVolume(c.Context(), viewer(c), asked)
	if err != nil {
		return volumeReply{}, err
	}
	c.Log("volume_id", created.ID)
	view, err := h.view(c, created)
	return volumeReply{view}, err
}

// first is the first text that is there, without spaces at its ends.
func first(texts ...*string) string {
	for _, text := range texts {
		if text != nil {
			return strings.TrimSpace(*text)
		}
	}
	return ""
}

// found reads the call's volume and authorizes the call for it.
func (h handlers) found(c *api.Call) (volume.Volume, error) {
	v, err := h.service.Volume(c.Context(), viewer(c), c.PathValue("volume_id"))
	if err != nil {
		return volume.Volume{}, err
	}
	c.Log("volume_id", v.ID)
	return v, c.Authorize(of(v.Project))
}

func (h handlers) show(c *api.Call) (volumeReply, error) {
	v, err := h.found(c)
	if err != nil {
		return volumeReply{}, err
	}
	view, err := h.view(c, v)
	extend(c, &view, v)
	return volumeReply{view}, err
}

var volumeList = api.List{
	Sorts: map[string]string{
		"id": "id", "name": "name", "display_name": "name", "size": "size", "status": "status", "created_at": "created_at",
		"updated_at": "updated_at", "availability_zone": "zone", "bootable": "bootable", "host": "host",
	},
	Default: newestFirst,
	Filters: dated(map[string]db.Filter{
		"id": {Column: "id"}, "name": {Column: "name"}, "display_name": {Column: "name"}, "status": {Column: "status"},
		"availability_zone": {Column: "zone"}, "bootable": {Column: "bootable", Match: db.Flag}, "size": {Column: "size", Match: db.Number},
		"description": {Column: "description"}, "migration_status": {Column: "migration"}, "user_id": {Column: "user_id"},
		"group_id": {Column: "volume_group"}, "source_volid": {Column: "source"}, "snapshot_id": {Column: "snapshot"},
	}),
}

// volumeRows is the list of volumes.
func (h handlers) volumeRows(attachments bool) listing[volume.Volume] {
	return listing[volume.Volume]{
		List: volumeList, name: "volumes", links: "volumes_links", id: func(v volume.Volume) string { return v.ID },
		extra: func(c *api.Call, q *volume.Query) {
			q.Metadata, q.Attachments = pairs(c.Query().Get("metadata")), attachments
			if c.Version >= api.V(3, 4) {
				q.ImageMetadata = pairs(c.Query().Get("glance_metadata"))
			}
		},
		read: h.service.Volumes,
		count: func(ctx context.Context, q volume.Query) (int64, error) {
			number, _, err := h.service.CountVolumes(ctx, q)
			return number, err
		},
	}
}

type volumeSummary struct {
	ID    string     `json:"id"`
	Name  *string    `json:"name"`
	Links []api.Link `json:"links"`
}

func (h handlers) list(c *api.Call) (listReply, error) {
	return h.volumeRows(false).answer(c, func(v volume.Volume) any {
		return volumeSummary{v.ID, orNull(v.Name), links(c, "/volumes/"+v.ID)}
	})
}

func (h handlers) listDetail(c *api.Call) (listReply, error) {
	return h.volumeRows(true).whole(c, func(rows []volume.Volume) ([]any, error) {
		names, err := h.service.TypeNames(c.Context())
		if err != nil {
			return nil, err
		}
		views := make([]any, len(rows))
		for i, v := range rows {
			view := viewVolume(c, v, names)
			extend(c, &view, v)
			views[i] = view
		}
		return views, nil
	})
}

type summaryReply struct {
	Summary struct {
		Size     int64               `json:"total_size"`
		Count    int64               `json:"total_count"`
		Metadata map[string][]string `json:"metadata" since:"3.36"`
	} `json:"volume-summary"`
}

func (h handlers) summary(c *api.Call) (summaryReply, error) {
	var reply summaryReply
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	q := volume.Query{Project: scope(c)}
	reply.Summary.Count, reply.Summary.Size, err = h.service.CountVolumes(c.Context(), q)
	if err != nil || c.Version < api.V(3, 36) {
		return reply, err
	}
	rows, _, err := h.service.Volumes(c.Context(), q, db.Page{})
	reply.Summary.Metadata = map[string][]string{}
	seen := map[[2]string]bool{}
	for _, v := range rows {
		for key, value := range v.Metadata.V {
			if !seen[[2]string{key, value}] {
				seen[[2]string{key, value}] = true
				reply.Summary.Metadata[key] = append(reply.Summary.Metadata[key], value)
			}
		}
	}
	return reply, err
}

type updateRequest struct {
	Volume struct {
		Name               api.Opt[string] `json:"name" check:"max=255"`
		DisplayName        api.Opt[string] `json:"display_name" check:"max=255"`
		Description        api.Opt[string] `json:"description" check:"max=255"`
		DisplayDescription api.Opt[string] `json:"display_description" check:"max=255"`
		Metadata           metadata        `json:"metadata"`
	} `json:"volume" check:"required"`
}

// given is the text of the first key that was sent, nil if none was.
func given(options ...api.Opt[string]) *string {
	for _, o := range options {
		if o.Set {
			text := strings.TrimSpace(o.V)
			return &text
		}
	}
	return nil
}

func (h handlers) update(c *api.Call, in updateRequest) (volumeReply, error) {
	v, err := h.found(c)
	if err != nil {
		return volumeReply{}, err
	}
	name, description := given(in.Volume.Name, in.Volume.DisplayName), given(in.Volume.Description, in.Volume.DisplayDescription)
	if name == nil && description == nil && in.Volume.Metadata == nil {
		return volumeReply{}, errs.BadRequestf("Invalid input for field/attribute volume. Value: {}. One of name, description or metadata must be given.")
	}
	v, err = h.service.UpdateVolume(c.Context(), viewer(c), v.ID, name, description, in.Volume.Metadata)
	if err != nil {
		return volumeReply{}, err
	}
	view, err := h.view(c, v)
	return volumeReply{view}, err
}

func (h handlers) delete(c *api.Call) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	cascade, _ := boolean.Parse(c.Query().Get("cascade"))
	force, _ := boolean.Parse(c.Query().Get("force"))
	force = force && c.Version >= api.V(3, 23)
	if force {
		err = c.AuthorizeRule("volume:force_delete", of(v.Project))
		if err != nil {
			return err
		}
	}
	return h.service.DeleteVolume(c.Context(), viewer(c), v.ID, cascade, force)
}
