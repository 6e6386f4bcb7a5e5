package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) actions() []api.Route {
	const path = "/volumes/{volume_id}/action"
	const base, admin = "volume_extension:volume_actions:", "volume_extension:volume_admin_actions:"
	const image = "volume_extension:volume_image_metadata:"
	return []api.Route{
		{Method: "POST", Path: path, Action: "os-extend", Rule: "volume:extend", OK: 202, Do: api.BodyEmpty(h.extend)},
		{Method: "POST", Path: path, Action: "os-extend_volume_completion", Rule: admin + "extend_volume_completion", Since: api.V(3, 71), OK: 202, Do: api.BodyEmpty(h.completeExtension)},
		{Method: "POST", Path: path, Action: "os-reset_status", Rule: admin + "reset_status", OK: 202, Do: api.BodyEmpty(h.resetStatus)},
		{Method: "POST", Path: path, Action: "os-set_image_metadata", Rule: image + "set", Do: api.Body(h.setImageMetadata)},
		{Method: "POST", Path: path, Action: "os-unset_image_metadata", Rule: image + "remove", Do: api.BodyEmpty(h.unsetImageMetadata)},
		{Method: "POST", Path: path, Action: "os-show_image_metadata", Rule: image + "show", Do: api.Get(h.showImageMetadata)},
		{Method: "POST", Path: path, Action: "os-attach", Rule: base + "attach", OK: 202, Do: api.BodyEmpty(h.attach)},
		{Method: "POST", Path: path, Action: "os-detach", Rule: base + "detach", OK: 202, Do: api.BodyEmpty(h.detach)},
		{Method: "POST", Path: path, Action: "os-force_detach", Rule: admin + "force_detach", OK: 202, Do: api.BodyEmpty(h.forceDetach)},
		{Method: "POST", Path: path, Action: "os-retype", Rule: "volume:retype", OK: 202, Do: api.BodyEmpty(h.retype)},
		{Method: "POST", Path: path, Action: "os-force_delete", Rule: admin + "force_delete", OK: 202, Do: api.Empty(h.forceDelete)},
		{Method: "POST", Path: path, Action: "os-set_bootable", Rule: "volume:update", Do: api.BodyEmpty(h.setBootable)},
		{Method: "POST", Path: path, Action: "os-reserve", Rule: base + "reserve", OK: 202, Do: h.move("reserve", volume.Attaching, volume.Available)},
		{Method: "POST", Path: path, Action: "os-unreserve", Rule: base + "unreserve", OK: 202, Do: h.move("unreserve", volume.Available, volume.Attaching)},
		{Method: "POST", Path: path, Action: "os-begin_detaching", Rule: base + "begin_detaching", OK: 202, Do: h.move("detach", volume.Detaching, volume.InUse)},
		{Method: "POST", Path: path, Action: "os-roll_detaching", Rule: base + "roll_detaching", OK: 202, Do: h.move("roll detaching", volume.InUse, volume.Detaching)},
		{Method: "POST", Path: path, Action: "os-update_readonly_flag", Rule: "volume:update_readonly_flag", OK: 202, Do: api.BodyEmpty(h.setReadonly)},
	}
}

// move is an action that changes the status and nothing else.
func (h handlers) move(what, to string, from ...string) api.Handler {
	return api.Empty(func(c *api.Call) error {
		v, err := h.found(c)
		if err != nil {
			return err
		}
		return h.service.Move(c.Context(), viewer(c), v.ID, what, to, from...)
	})
}

type extendRequest struct {
	Extend struct {
		Size api.Int `json:"new_size" check:"required,min=1,max=2147483647"`
	} `json:"os-extend" check:"required"`
}

func (h handlers) extend(c *api.Call, in extendRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	return h.service.ExtendVolume(c.Context(), viewer(c), v.ID, int64(in.Extend.Size), c.Version >= api.V(3, 42))
}

type completionRequest struct {
	Completion struct {
		Error api.Bool `json:"error"`
	} `json:"os-extend_volume_completion" check:"required"`
}

// completeExtension is how compute reports that it has made a volume larger for
// Cinder's drivers that cannot. Here hosts do it, and nobody waits for a report.
func (h handlers) completeExtension(c *api.Call, _ completionRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	return errs.BadRequestf("Invalid volume: volume %s, whose status is %s, has no extension that compute is to complete.", v.ID, v.Status)
}

type resetRequest struct {
	Reset struct {
		Status       *string `json:"status"`
		AttachStatus *string `json:"attach_status"`
		Migration    *string `json:"migration_status"`
	} `json:"os-reset_status" check:"required"`
}

var (
	statuses = map[string]bool{
		volume.Creating: true, volume.Available: true, volume.Deleting: true, volume.Failed: true, volume.ErrorDeleting: true,
		"error_managing": true, "managing": true, volume.Attaching: true, volume.InUse: true, volume.Detaching: true,
		"maintenance": true, volume.Reserved: true, volume.ErrorExtending: true,
	}
	attachStatuses = map[string]bool{"attached": true, "detached": true}
)

func (h handlers) resetStatus(c *api.Call, in resetRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	r := in.Reset
	switch {
	case r.Status == nil && r.AttachStatus == nil && r.Migration == nil:
		return errs.BadRequestf("Must specify 'status', 'attach_status' or 'migration_status' for update.")
	case r.Status != nil && !statuses[*r.Status]:
		return errs.BadRequestf("Must specify a valid status")
	case r.AttachStatus != nil && !attachStatuses[*r.AttachStatus]:
		return errs.BadRequestf("Must specify a valid attach status")
	}
	return h.service.ResetStatus(c.Context(), viewer(c), v.ID, r.Status, r.AttachStatus, r.Migration)
}

type setImageRequest struct {
	Set metadataBody `json:"os-set_image_metadata" check:"required"`
}

func (h handlers) setImageMetadata(c *api.Call, in setImageRequest) (metadataBody, error) {
	v, err := h.found(c)
	if err != nil {
		return metadataBody{}, err
	}
	all, err := h.service.ChangeImageMetadata(c.Context(), viewer(c), v.ID, addTo(in.Set.Metadata))
	return metadataBody{all}, err
}

type unsetImageRequest struct {
	Unset struct {
		Key string `json:"key" check:"required,min=1,max=255"`
	} `json:"os-unset_image_metadata" check:"required"`
}

func (h handlers) unsetImageMetadata(c *api.Call, in unsetImageRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	_, err = h.service.ChangeImageMetadata(c.Context(), viewer(c), v.ID, withoutKey(in.Unset.Key))
	return err
}

func (h handlers) showImageMetadata(c *api.Call) (metadataBody, error) {
	v, err := h.found(c)
	return metadataBody{v.ImageMetadata.V}, err
}

type attachRequest struct {
	Attach struct {
		Server     *string `json:"instance_uuid"`
		Host       *string `json:"host_name" check:"max=255"`
		Mountpoint string  `json:"mountpoint" check:"required,min=1,max=255"`
		Mode       *string `json:"mode" check:"enum=rw|ro"`
	} `json:"os-attach" check:"required"`
}

func (h handlers) attach(c *api.Call, in attachRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	server, host, mode := first(in.Attach.Server), first(in.Attach.Host), first(in.Attach.Mode)
	if mode == "" {
		mode = "rw"
	}
	switch {
	case server != "" && host != "":
		return errs.BadRequestf("Invalid request to attach volume to an instance %s and a host %s simultaneously", server, host)
	case server == "" && host == "":
		return errs.BadRequestf("Invalid request to attach volume to an invalid target")
	}
	return h.service.Attach(c.Context(), viewer(c), v.ID, server, host, in.Attach.Mountpoint, mode)
}

type detachRequest struct {
	Detach struct {
		Attachment optionalID `json:"attachment_id"`
	} `json:"os-detach" check:"nullable"`
}

func (h handlers) detach(c *api.Call, in detachRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	return h.service.Release(c.Context(), viewer(c), v.ID, string(in.Detach.Attachment), false)
}

type forceDetachRequest struct {
	Detach struct {
		Attachment optionalID     `json:"attachment_id"`
		Connector  map[string]any `json:"connector" check:"nullable"`
	} `json:"os-force_detach" check:"required"`
}

func (h handlers) forceDetach(c *api.Call, in forceDetachRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	return h.service.Release(c.Context(), viewer(c), v.ID, string(in.Detach.Attachment), true)
}

type retypeRequest struct {
	Retype struct {
		Type   string  `json:"new_type" check:"required,min=1,max=255"`
		Policy *string `json:"migration_policy" check:"enum=on-demand|never"`
	} `json:"os-retype" check:"required"`
}

func (h handlers) retype(c *api.Call, in retypeRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	return h.service.Retype(c.Context(), viewer(c), v.ID, in.Retype.Type, first(in.Retype.Policy) == "on-demand")
}

func (h handlers) forceDelete(c *api.Call) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	return h.service.DeleteVolume(c.Context(), viewer(c), v.ID, false, true)
}

type bootableRequest struct {
	Set struct {
		Bootable api.Bool `json:"bootable" check:"required"`
	} `json:"os-set_bootable" check:"required"`
}

func (h handlers) setBootable(c *api.Call, in bootableRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	bootable := bool(in.Set.Bootable)
	return h.service.SetFlags(c.Context(), viewer(c), v.ID, &bootable, nil)
}

type readonlyRequest struct {
	Set struct {
		Readonly api.Bool `json:"readonly" check:"required"`
	} `json:"os-update_readonly_flag" check:"required"`
}

func (h handlers) setReadonly(c *api.Call, in readonlyRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	readonly := bool(in.Set.Readonly)
	return h.service.SetFlags(c.Context(), viewer(c), v.ID, nil, &readonly)
}
