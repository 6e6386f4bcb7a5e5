package api

import (
	"encoding/json"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) attachments() []api.Route {
	since := api.V(3, 27)
	const one = "/attachments/{attachment_id}"
	return []api.Route{
		{Method: "DELETE", Path: one, Rule: "volume:attachment_delete", Since: since, Do: api.Get(h.deleteAttachment)},
		{Method: "GET", Path: one, Rule: "volume:get", Since: since, Do: api.Get(h.showAttachment)},
		{Method: "GET", Path: "/attachments/detail", Rule: "volume:get_all", Since: since, Do: api.Get(h.listAttachmentsDetail)},
		{Method: "GET", Path: "/attachments", Rule: "volume:get_all", Since: since, Do: api.Get(h.listAttachments)},
		{Method: "POST", Path: "/attachments", Rule: "volume:attachment_create", Since: since, Do: api.Body(h.createAttachment)},
		{Method: "PUT", Path: one, Rule: "volume:attachment_update", Since: since, Do: api.Body(h.updateAttachment)},
		{Method: "POST", Path: one + "/action", Action: "os-complete", Rule: "volume:attachment_complete", Since: api.V(3, 44), OK: 204, Do: api.Empty(h.completeAttachment)},
	}
}

type attachmentSummary struct {
	ID       string  `json:"id"`
	Status   string  `json:"status"`
	Instance *string `json:"instance"`
	VolumeID string  `json:"volume_id"`
}

type attachmentView struct {
	attachmentSummary
	AttachedAt     string          `json:"attached_at"`
	DetachedAt     string          `json:"detached_at"`
	AttachMode     string          `json:"attach_mode"`
	ConnectionInfo *connectionInfo `json:"connection_info"`
}

// connectionInfo says how the volume is reached: the node of the host that
// the connector named finds the export by volume and epoch.
type connectionInfo struct {
	DriverVolumeType string             `json:"driver_volume_type"`
	VolumeID         string             `json:"volume_id"`
	AttachmentID     string             `json:"attachment_id"`
	Epoch            int64              `json:"epoch"`
	AccessMode       string             `json:"access_mode"`
	Encrypted        bool               `json:"encrypted"`
	QosSpecs         *map[string]string `json:"qos_specs"`
	Data             map[string]string  `json:"data"`
}

// specsToKeep are null where there are none.
func specsToKeep(a volume.Attachment) *map[string]string {
	if a.Connection.V.Qos == nil {
		return nil
	}
	return &a.Connection.V.Qos
}

type attachmentReply struct {
	Attachment attachmentView `json:"attachment"`
}

func summarize(a volume.Attachment) attachmentSummary {
	return attachmentSummary{a.ID, a.Status, orNull(a.Server), a.Volume}
}

func viewAttachment(a volume.Attachment) attachmentReply {
	view := attachmentView{attachmentSummary: summarize(a), AttachMode: a.Mode}
	if a.AttachedAt != 0 {
		view.AttachedAt = a.AttachedAt.Time().Format("2006-01-02T15:04:05.000000")
	}
	if a.Epoch > 0 {
		view.ConnectionInfo = &connectionInfo{
			DriverVolumeType: "nacre", VolumeID: a.Volume, AttachmentID: a.ID, Epoch: a.Epoch, AccessMode: a.Mode,
			Encrypted: a.Connection.V.Encrypted, QosSpecs: specsToKeep(a),
			Data: map[string]string{"host": a.Host, "mountpoint": a.Device},
		}
	}
	return attachmentReply{view}
}

var attachmentList = api.List{
	Sorts:   map[string]string{"id": "id", "created_at": "created_at", "status": "status", "attach_status": "status", "volume_id": "volume"},
	Default: newestFirst,
	Filters: map[string]db.Filter{
		"volume_id": {Column: "volume"}, "status": {Column: "status"}, "attach_status": {Column: "status"},
		"instance_id": {Column: "server"}, "instance_uuid": {Column: "server"},
	},
}

func (h handlers) attachmentRows() listing[volume.Attachment] {
	return listing[volume.Attachment]{
		List: attachmentList, name: "attachments", links: "attachments_links", read: h.service.Attachments,
		id: func(a volume.Attachment) string { return a.ID },
	}
}

func (h handlers) listAttachments(c *api.Call) (listReply, error) {
	return h.attachmentRows().answer(c, func(a volume.Attachment) any { return summarize(a) })
}

func (h handlers) listAttachmentsDetail(c *api.Call) (listReply, error) {
	return h.attachmentRows().answer(c, func(a volume.Attachment) any { return viewAttachment(a).Attachment })
}

func (h handlers) foundAttachment(c *api.Call) (volume.Attachment, error) {
	a, err := h.service.Attachment(c.Context(), viewer(c), c.PathValue("attachment_id"))
	if err != nil {
		return volume.Attachment{}, err
	}
	return a, c.Authorize(auth.Target{Project: a.Project})
}

func (h handlers) showAttachment(c *api.Call) (attachmentReply, error) {
	a, err := h.foundAttachment(c)
	return viewAttachment(a), err
}

type createAttachmentRequest struct {
	Attachment struct {
		Volume    string          `json:"volume_uuid" check:"required,pattern=uuid"`
		Server    optionalID      `json:"instance_uuid"`
		Connector json.RawMessage `json:"connector"`
		Mode      *string         `json:"mode" check:"enum=rw|ro" since:"3.54"`
	} `json:"attachment" check:"required"`
}

// isObject tells whether a connector was given, null and {} not counting.
func isObject(raw json.RawMessage) bool {
	var object map[string]any
	return json.Unmarshal(raw, &object) == nil && len(object) > 0
}

func (h handlers) createAttachment(c *api.Call, in createAttachmentRequest) (attachmentReply, error) {
	v, err := h.service.Volume(c.Context(), viewer(c), in.Attachment.Volume)
	if err != nil {
		return attachmentReply{}, err
	}
	err = c.Authorize(of(v.Project))
	if err != nil {
		return attachmentReply{}, err
	}
	var connector json.RawMessage
	if isObject(in.Attachment.Connector) {
		connector = in.Attachment.Connector
	}
	a, err := h.service.CreateAttachment(c.Context(), viewer(c), v.ID, string(in.Attachment.Server), first(in.Attachment.Mode), connector)
	return viewAttachment(a), err
}

type updateAttachmentRequest struct {
	Attachment struct {
		Connector json.RawMessage `json:"connector" check:"required"`
	} `json:"attachment" check:"required"`
}

func (h handlers) updateAttachment(c *api.Call, in updateAttachmentRequest) (attachmentReply, error) {
	a, err := h.foundAttachment(c)
	if err != nil {
		return attachmentReply{}, err
	}
	if !isObject(in.Attachment.Connector) {
		return attachmentReply{}, errs.BadRequestf("Invalid input for field/attribute connector. Value: %s. It must be an object that is not empty.", in.Attachment.Connector)
	}
	a, err = h.service.UpdateAttachment(c.Context(), viewer(c), a.ID, in.Attachment.Connector)
	return viewAttachment(a), err
}

type restReply struct {
	Attachments []attachmentSummary `json:"attachments"`
}

func (h handlers) deleteAttachment(c *api.Call) (restReply, error) {
	reply := restReply{}
	a, err := h.foundAttachment(c)
	if err != nil {
		return reply, err
	}
	rest, err := h.service.DeleteAttachment(c.Context(), viewer(c), a.ID)
	for _, other := range rest {
		reply.Attachments = append(reply.Attachments, summarize(other))
	}
	return reply, err
}

func (h handlers) completeAttachment(c *api.Call) error {
	a, err := h.foundAttachment(c)
	if err != nil {
		return err
	}
	return h.service.CompleteAttachment(c.Context(), viewer(c), a.ID)
}
