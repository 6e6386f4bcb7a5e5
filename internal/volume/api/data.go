package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// data are the actions that move a volume's bytes, or say how to get at them.
func (h handlers) data() []api.Route {
	const path, base = "/volumes/{volume_id}/action", "volume_extension:volume_actions:"
	return []api.Route{
		{Method: "POST", Path: path, Action: "os-volume_upload_image", Rule: base + "upload_image", OK: 202, Do: api.Body(h.uploadImage)},
		{Method: "POST", Path: path, Action: "os-initialize_connection", Rule: base + "initialize_connection", Do: api.Body(h.initializeConnection)},
		{Method: "POST", Path: path, Action: "os-terminate_connection", Rule: base + "terminate_connection", OK: 202, Do: api.BodyEmpty(h.terminateConnection)},
		{Method: "POST", Path: path, Action: "revert", Rule: "volume:revert_to_snapshot", Since: api.V(3, 40), OK: 202, Do: api.BodyEmpty(h.revert)},
		{Method: "POST", Path: path, Action: "os-reimage", Rule: "volume:reimage", Since: api.V(3, 68), OK: 202, Do: api.BodyEmpty(h.reimage)},
	}
}

type uploadRequest struct {
	Upload struct {
		ImageName       string    `json:"image_name" check:"required,min=1,max=255"`
		Force           *api.Bool `json:"force"`
		DiskFormat      *string   `json:"disk_format" check:"enum=raw|vmdk|vdi|qcow2|vhd|vhdx|ploop"`
		ContainerFormat *string   `json:"container_format" check:"max=255"`
		Visibility      *string   `json:"visibility" check:"enum=community|public|private|shared" since:"3.1"`
		Protected       *api.Bool `json:"protected" since:"3.1"`
	} `json:"os-volume_upload_image" check:"required"`
}

type uploadReply struct {
	Upload uploadView `json:"os-volume_upload_image"`
}

type uploadView struct {
	ID              string     `json:"id"`
	UpdatedAt       api.Micros `json:"updated_at"`
	Status          string     `json:"status"`
	Description     *string    `json:"display_description"`
	Size            int64      `json:"size"`
	VolumeType      typeView   `json:"volume_type"`
	ImageID         string     `json:"image_id"`
	ContainerFormat string     `json:"container_format"`
	DiskFormat      string     `json:"disk_format"`
	ImageName       string     `json:"image_name"`
	Visibility      string     `json:"visibility" since:"3.1"`
	Protected       bool       `json:"protected" since:"3.1"`
}

func (h handlers) uploadImage(c *api.Call, in uploadRequest) (uploadReply, error) {
	v, err := h.found(c)
	if err != nil {
		return uploadReply{}, err
	}
	image := volume.NewImage{
		Name: in.Upload.ImageName, DiskFormat: orElse(first(in.Upload.DiskFormat), "raw"),
		ContainerFormat: orElse(first(in.Upload.ContainerFormat), "bare"),
		Visibility:      orElse(first(in.Upload.Visibility), "private"), Protected: isTrue(in.Upload.Protected),
	}
	if image.Visibility == "public" && !c.May("volume_extension:volume_actions:upload_public", of(v.Project)) {
		return uploadReply{}, errs.Forbiddenf("Policy doesn't allow volume_extension:volume_actions:upload_public to be performed.")
	}
	up, err := h.service.UploadVolume(c.Context(), viewer(c), v.ID, image, isTrue(in.Upload.Force))
	if err != nil {
		return uploadReply{}, err
	}
	c.Log("image_id", up.Image.ID)
	return uploadReply{uploadView{
		ID: v.ID, UpdatedAt: stamp(up.Volume.UpdatedAt), Status: up.Volume.Status, Description: orNull(v.Description), Size: v.SizeGB,
		VolumeType: viewType(c, up.Type), ImageID: up.Image.ID, ContainerFormat: up.Image.ContainerFormat, DiskFormat: up.Image.DiskFormat,
		ImageName: up.Image.Name, Visibility: up.Image.Visibility, Protected: up.Image.Protected,
	}}, nil
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

type revertRequest struct {
	Revert struct {
		Snapshot string `json:"snapshot_id" check:"required,pattern=uuid"`
	} `json:"revert" check:"required"`
}

func (h handlers) revert(c *api.Call, in revertRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	return h.service.Revert(c.Context(), viewer(c), v.ID, in.Revert.Snapshot)
}

type reimageRequest struct {
	Reimage struct {
		Image    string    `json:"image_id" check:"required,pattern=uuid"`
		Reserved *api.Bool `json:"reimage_reserved"`
	} `json:"os-reimage" check:"required"`
}

func (h handlers) reimage(c *api.Call, in reimageRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	reserved := isTrue(in.Reimage.Reserved)
	if reserved && !c.May("volume:reimage_reserved", of(v.Project)) {
		return errs.Forbiddenf("Policy doesn't allow volume:reimage_reserved to be performed.")
	}
	return h.service.Reimage(c.Context(), viewer(c), v.ID, in.Reimage.Image, reserved)
}

// The older way to connect a host: the connection is an attachment that belongs
// to no server, and ends with it.

type initializeRequest struct {
	Connect struct {
		Connector map[string]any `json:"connector" check:"required"`
	} `json:"os-initialize_connection" check:"required"`
}

type connectionReply struct {
	Info connection `json:"connection_info"`
}

// connection says how the volume is reached: the node of the connector's host
// finds the export by volume and epoch.
type connection struct {
	Type string         `json:"driver_volume_type"`
	Data connectionData `json:"data"`
}

type connectionData struct {
	VolumeID   string `json:"volume_id"`
	Attachment string `json:"attachment_id"`
	Epoch      int64  `json:"epoch"`
	Host       string `json:"host"`
	AccessMode string `json:"access_mode"`
	Encrypted  bool   `json:"encrypted"`
	Discard    bool   `json:"discard"`

	QosSpecs *map[string]string `json:"qos_specs"`
}

func (h handlers) initializeConnection(c *api.Call, in initializeRequest) (connectionReply, error) {
	v, err := h.found(c)
	if err != nil {
		return connectionReply{}, err
	}
	host, _ := in.Connect.Connector["host"].(string)
	a, err := h.service.Initialize(c.Context(), viewer(c), v.ID, host, in.Connect.Connector)
	if err != nil {
		return connectionReply{}, err
	}
	return connectionReply{connection{"nacre", connectionData{
		VolumeID: v.ID, Attachment: a.ID, Epoch: a.Epoch, Host: a.Host, AccessMode: a.Mode, Discard: true,
		Encrypted: a.Connection.V.Encrypted, QosSpecs: specsToKeep(a),
	}}}, nil
}

type terminateRequest struct {
	Connect struct {
		Connector map[string]any `json:"connector" check:"required"`
	} `json:"os-terminate_connection" check:"required"`
}

func (h handlers) terminateConnection(c *api.Call, in terminateRequest) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	host, _ := in.Connect.Connector["host"].(string)
	return h.service.Terminate(c.Context(), viewer(c), v.ID, host)
}
