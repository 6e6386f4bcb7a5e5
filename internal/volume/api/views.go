package api

import (
	"nacre/internal/api"
	"nacre/internal/volume"
)

type volumeReply struct {
	Volume volumeView `json:"volume"`
}

type volumeView struct {
	ID                string            `json:"id"`
	Status            string            `json:"status"`
	Size              int64             `json:"size"`
	Zone              string            `json:"availability_zone"`
	CreatedAt         api.Micros        `json:"created_at"`
	UpdatedAt         api.Micros        `json:"updated_at"`
	Name              *string           `json:"name"`
	Description       *string           `json:"description"`
	VolumeType        *string           `json:"volume_type"`
	SnapshotID        *string           `json:"snapshot_id"`
	SourceVolID       *string           `json:"source_volid"`
	Metadata          map[string]string `json:"metadata"`
	Links             []api.Link        `json:"links"`
	UserID            string            `json:"user_id"`
	Bootable          string            `json:"bootable"`
	Encrypted         bool              `json:"encrypted"`
	ReplicationStatus *string           `json:"replication_status"`
	ConsistencyGroup  *string           `json:"consistencygroup_id"`
	Multiattach       bool              `json:"multiattach"`
	Attachments       []attachedView    `json:"attachments"`
	MigrationStatus   *string           `json:"migration_status"`
	GroupID           *string           `json:"group_id" since:"3.13"`
	SharedTargets     *bool             `json:"shared_targets" since:"3.48"`
	ServiceUUID       *string           `json:"service_uuid" since:"3.48"`
	VolumeTypeID      string            `json:"volume_type_id" since:"3.63"`
	ConsumesQuota     bool              `json:"consumes_quota" since:"3.65"`

	// What only lists and shows have, most by a rule of its own.
	ImageMetadata map[string]string `json:"volume_image_metadata,omitempty"`

	Tenant      any `json:"os-vol-tenant-attr:tenant_id,omitempty"`
	Host        any `json:"os-vol-host-attr:host,omitempty"`
	Migstat     any `json:"os-vol-mig-status-attr:migstat,omitempty"`
	NameID      any `json:"os-vol-mig-status-attr:name_id,omitempty"`
	ProviderID  any `json:"provider_id,omitempty" since:"3.21"`
	ClusterName any `json:"cluster_name,omitempty" since:"3.61"`
}

type attachedView struct {
	ID           string     `json:"id"`
	AttachmentID string     `json:"attachment_id"`
	VolumeID     string     `json:"volume_id"`
	ServerID     *string    `json:"server_id"`
	HostName     *string    `json:"host_name"`
	Device       *string    `json:"device"`
	AttachedAt   api.Micros `json:"attached_at"`
}

// view shows one volume in detail.
func (h handlers) view(c *api.Call, v volume.Volume) (volumeView, error) {
	names, err := h.service.TypeNames(c.Context())
	return viewVolume(c, v, names), err
}

func viewVolume(c *api.Call, v volume.Volume, types map[string]string) volumeView {
	bootable := "false"
	if v.Bootable {
		bootable = "true"
	}
	view := volumeView{
		ID: v.ID, Status: v.Status, Size: v.SizeGB, Zone: v.Zone, CreatedAt: stamp(v.CreatedAt), UpdatedAt: stamp(v.UpdatedAt),
		Name: orNull(v.Name), Description: orNull(v.Description), VolumeType: orNull(types[v.Type]), VolumeTypeID: v.Type,
		SnapshotID: orNull(v.Snapshot), SourceVolID: orNull(v.Source), GroupID: orNull(v.Group), Metadata: v.AllMetadata(), Links: links(c, "/volumes/"+v.ID),
		UserID: v.User, Bootable: bootable, Multiattach: v.Multiattach, Encrypted: v.Key != "", MigrationStatus: orNull(v.Migration), ConsumesQuota: true,
	}
	if c.Version < api.V(3, 69) {
		view.SharedTargets = new(bool) // later: null, which is unknown
	}
	for _, a := range v.Attachments {
		if a.Status != volume.Attached && a.Status != volume.Detaching {
			continue
		}
		view.Attachments = append(view.Attachments, attachedView{
			ID: v.ID, AttachmentID: a.ID, VolumeID: v.ID, ServerID: orNull(a.Server), HostName: orNull(a.Host),
			Device: orNull(a.Device), AttachedAt: stamp(a.AttachedAt),
		})
	}
	return view
}

// null is a null that is written although the field may be left out.
var null = (*string)(nil)

// extend adds what lists and shows have besides.
func extend(c *api.Call, view *volumeView, v volume.Volume) {
	view.ImageMetadata = v.ImageMetadata.V
	target := of(v.Project)
	if c.May("volume_extension:volume_tenant_attribute", target) {
		view.Tenant = v.Project
	}
	if c.May("volume_extension:volume_host_attribute", target) {
		view.Host = null
		if v.Host != "" {
			view.Host = pool(v.Host)
		}
		view.ProviderID, view.ClusterName = null, null
	}
	if c.May("volume_extension:volume_mig_status_attribute", target) {
		view.Migstat, view.NameID = orNull(v.Migration), null
	}
}

// backend and pool are how operators know where a volume is.
func backend(host string) string { return host + "@nacre" }
func pool(host string) string    { return backend(host) + "#volumes" }
