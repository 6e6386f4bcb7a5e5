package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// volumeRoutes is the volumes of servers.
func (h handlers) volumeRoutes() []api.Route {
	const path = "/servers/{server_id}/os-volume_attachments"
	return []api.Route{
		{Method: "GET", Path: path, Rule: "os_compute_api:os-volumes-attachments:index", Do: api.Get(h.listAttachments)},
		{Method: "POST", Path: path, Until: api.V(2, 100), Rule: "os_compute_api:os-volumes-attachments:create", Do: api.Body(h.attachVolume)},
		{Method: "POST", Path: path, Since: api.V(2, 101), Rule: "os_compute_api:os-volumes-attachments:create", OK: 202, Do: api.BodyEmpty(h.startAttach)},
		{Method: "GET", Path: path + "/{volume_id}", Rule: "os_compute_api:os-volumes-attachments:show", Do: api.Get(h.showAttachment)},
		{Method: "PUT", Path: path + "/{volume_id}", Rule: "os_compute_api:os-volumes-attachments:update", OK: 202, Do: api.BodyEmpty(h.updateAttachment)},
		{Method: "DELETE", Path: path + "/{volume_id}", Rule: "os_compute_api:os-volumes-attachments:delete", OK: 202, Do: api.Empty(h.detachVolume)},
	}
}

type attachmentView struct {
	ID         string  `json:"id" until:"2.88"`
	Server     string  `json:"serverId"`
	Volume     string  `json:"volumeId"`
	Device     string  `json:"device"`
	Tag        *string `json:"tag" since:"2.70"`
	Delete     bool    `json:"delete_on_termination" since:"2.79"`
	Attachment string  `json:"attachment_id" since:"2.89"`
	BDM        string  `json:"bdm_uuid" since:"2.89"`
}

type attachmentsReply struct {
	Attachments []attachmentView `json:"volumeAttachments"`
}

type attachmentReply struct {
	Attachment attachmentView `json:"volumeAttachment"`
}

func viewAttachment(a compute.Attachment) attachmentView {
	return attachmentView{
		ID: a.Volume, Server: a.Server, Volume: a.Volume, Device: a.Device, Tag: a.Tag, Delete: a.DeleteOnTermination,
		Attachment: a.ID, BDM: a.ID,
	}
}

func (h handlers) listAttachments(c *api.Call) (attachmentsReply, error) {
	server, err := h.server(c)
	if err != nil {
		return attachmentsReply{}, err
	}
	first, most, err := window(c)
	if err != nil {
		return attachmentsReply{}, err
	}
	_, list, err := h.compute.Attachments(c.Context(), server.Project, server.ID)
	reply := attachmentsReply{}
	list = list[min(first, len(list)):]
	for _, a := range list[:min(most, len(list))] {
		reply.Attachments = append(reply.Attachments, viewAttachment(a))
	}
	return reply, err
}

// whileShelved refuses to change the volumes of a shelved server before 2.20.
func whileShelved(c *api.Call, server compute.Server, action string) error {
	if c.Version >= api.V(2, 20) || server.VMState != compute.Shelved && server.VMState != compute.Offloaded {
		return nil
	}
	return errs.Conflictf("Cannot '%s' instance %s while it is in vm_state %s", action, server.ID, server.VMState)
}

// knowsShared tells whether the client expects volumes that several servers may have.
func knowsShared(c *api.Call) bool { return c.Version >= api.V(2, 60) }

type attachRequest struct {
	Attachment struct {
		Volume string   `json:"volumeId" check:"required,pattern=uuid"`
		Device *string  `json:"device" check:"pattern=device"`
		Tag    *string  `json:"tag" since:"2.49" check:"min=1,max=60,pattern=tag,notnull"`
		Delete api.Bool `json:"delete_on_termination" since:"2.79"`
	} `json:"volumeAttachment" check:"required"`
}

// newAttachment is what an attach answers: unlike the other views it never
// lost its id.
type newAttachment struct {
	ID     string  `json:"id"`
	Server string  `json:"serverId"`
	Volume string  `json:"volumeId"`
	Device string  `json:"device"`
	Tag    *string `json:"tag" since:"2.70"`
	Delete bool    `json:"delete_on_termination" since:"2.79"`
}

type newAttachmentReply struct {
	Attachment newAttachment `json:"volumeAttachment"`
}

func (h handlers) attachVolume(c *api.Call, in attachRequest) (newAttachmentReply, error) {
	server, err := h.server(c)
	if err != nil {
		return newAttachmentReply{}, err
	}
	err = whileShelved(c, server, "attach_volume")
	if err != nil {
		return newAttachmentReply{}, err
	}
	a, err := h.compute.AttachVolume(c.Context(), act(c, server), c.Caller, compute.NewAttachment{
		Volume: in.Attachment.Volume, Tag: in.Attachment.Tag, DeleteOnTermination: bool(in.Attachment.Delete), Shared: knowsShared(c),
	})
	c.Log("volume_id", in.Attachment.Volume)
	return newAttachmentReply{newAttachment{a.Volume, a.Server, a.Volume, a.Device, a.Tag, a.DeleteOnTermination}}, err
}

// startAttach is attachVolume since it answers nothing: what becomes of it, the
// server's actions tell.
func (h handlers) startAttach(c *api.Call, in attachRequest) error {
	_, err := h.attachVolume(c, in)
	return err
}

func (h handlers) showAttachment(c *api.Call) (attachmentReply, error) {
	server, err := h.server(c)
	if err != nil {
		return attachmentReply{}, err
	}
	_, a, err := h.compute.Attachment(c.Context(), server.Project, server.ID, c.PathValue("volume_id"))
	return attachmentReply{viewAttachment(a)}, err
}

type updateAttachmentRequest struct {
	Attachment attachmentChange `json:"volumeAttachment" check:"required"`
}

type attachmentChange struct {
	Volume string    `json:"volumeId" check:"required,pattern=uuid"`
	Device *string   `json:"device" since:"2.85" check:"pattern=device"`
	Tag    *string   `json:"tag" since:"2.85" check:"min=1,max=60,pattern=tag,notnull"`
	Delete *api.Bool `json:"delete_on_termination" since:"2.85" check:"notnull"`
	Server *string   `json:"serverId" since:"2.85" check:"pattern=uuid,notnull"`
	ID     *string   `json:"id" since:"2.85" check:"pattern=uuid,notnull"`
}

// updateAttachment has another volume take the place of one, which was all that it
// did before 2.85, and says what becomes of a volume with its server. Another service
// may ask for the former, whosever the server is.
func (h handlers) updateAttachment(c *api.Call, in updateAttachmentRequest) error {
	const rule = "os_compute_api:os-volumes-attachments:swap"
	volume, changes := c.PathValue("volume_id"), c.Version >= api.V(2, 85)
	swaps, project := !changes || in.Attachment.Volume != volume, scope(c)
	if swaps && c.May(rule, auth.Target{}) {
		project = ""
	}
	server, err := h.compute.Server(c.Context(), project, c.PathValue("server_id"))
	if err != nil {
		return err
	}
	c.Log("server_id", server.ID)
	c.Log("volume_id", volume)
	if swaps {
		err = c.AuthorizeRule(rule, auth.Target{})
	} else {
		err = c.Authorize(of(server))
	}
	if err == nil && changes {
		err = h.changeAttachment(c, server, volume, in.Attachment)
	}
	if err != nil || !swaps {
		return err
	}
	return h.compute.SwapVolume(c.Context(), act(c, server), volume, in.Attachment.Volume)
}

// changeAttachment changes what can be changed, and refuses to change the rest.
func (h handlers) changeAttachment(c *api.Call, server compute.Server, volume string, in attachmentChange) error {
	_, a, err := h.compute.Attachment(c.Context(), server.Project, server.ID, volume)
	if err != nil {
		return err
	}
	tag := ""
	if a.Tag != nil {
		tag = *a.Tag
	}
	for _, fixed := range []struct {
		name string
		is   string
		want *string
	}{{"id", volume, in.ID}, {"serverId", server.ID, in.Server}, {"device", a.Device, in.Device}, {"tag", tag, in.Tag}} {
		if fixed.want != nil && *fixed.want != fixed.is {
			return errs.BadRequestf("The %s property is not mutable", fixed.name)
		}
	}
	if in.Delete == nil {
		return nil
	}
	return h.compute.KeepVolume(c.Context(), act(c, server), volume, bool(*in.Delete))
}

func (h handlers) detachVolume(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	c.Log("volume_id", c.PathValue("volume_id"))
	err = whileShelved(c, server, "detach_volume")
	if err != nil {
		return err
	}
	return h.compute.DetachVolume(c.Context(), act(c, server), c.PathValue("volume_id"))
}
