package api

import (
	"strconv"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// volumeProxyRoutes is volumes and snapshots, which the volume service has.
func (h handlers) volumeProxyRoutes() []api.Route {
	const volume, snapshot = "/os-volumes/{volume_id}", "/os-snapshots/{snapshot_id}"
	return []api.Route{
		{Method: "GET", Path: "/os-volumes", Until: untilNetwork, Rule: "os_compute_api:os-volumes:list", Do: api.Get(h.listVolumes)},
		{Method: "POST", Path: "/os-volumes", Until: untilNetwork, Rule: "os_compute_api:os-volumes:create", Do: api.Body(h.createVolume)},
		{Method: "GET", Path: "/os-volumes/detail", Until: untilNetwork, Rule: "os_compute_api:os-volumes:detail", Do: api.Get(h.listVolumes)},
		{Method: "GET", Path: volume, Until: untilNetwork, Rule: "os_compute_api:os-volumes:show", Do: api.Get(h.showVolume)},
		{Method: "DELETE", Path: volume, Until: untilNetwork, Rule: "os_compute_api:os-volumes:delete", OK: 202, Do: api.Empty(h.deleteVolume)},
		{Method: "GET", Path: "/os-snapshots", Until: untilNetwork, Rule: "os_compute_api:os-volumes:snapshots:list", Do: api.Get(h.listSnapshots)},
		{Method: "POST", Path: "/os-snapshots", Until: untilNetwork, Rule: "os_compute_api:os-volumes:snapshots:create", Do: api.Body(h.createSnapshot)},
		{Method: "GET", Path: "/os-snapshots/detail", Until: untilNetwork, Rule: "os_compute_api:os-volumes:snapshots:detail", Do: api.Get(h.listSnapshots)},
		{Method: "GET", Path: snapshot, Until: untilNetwork, Rule: "os_compute_api:os-volumes:snapshots:show", Do: api.Get(h.showSnapshot)},
		{Method: "DELETE", Path: snapshot, Until: untilNetwork, Rule: "os_compute_api:os-volumes:snapshots:delete", OK: 202, Do: api.Empty(h.deleteSnapshot)},
	}
}

// volumePassedOn words a refusal of the volume service as Nova does, to which a
// full quota is a thing that is forbidden.
func volumePassedOn(err error) error {
	e, classified := errs.As(err)
	if classified && e.Kind == errs.TooLarge {
		return errs.Forbiddenf("%s", e.Message).Because(err)
	}
	return err
}

// window reads which rows of a list are asked for: so many, without the first.
func window(c *api.Call) (first, most int, err error) {
	first, err = amount(c, "offset")
	if err != nil {
		return 0, 0, err
	}
	const limit = 1000
	most, err = amount(c, "limit")
	if most == 0 {
		most = limit
	}
	return first, min(most, limit), err
}

// amount reads a number from the query, 0 when it is not there.
func amount(c *api.Call, name string) (int, error) {
	if !c.Query().Has(name) {
		return 0, nil
	}
	text := c.Query().Get(name)
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, errs.BadRequestf("Invalid input for query parameters %s. Value: %s. %s must be an integer that is not negative.", name, text, name)
	}
	return int(n), nil
}

// proxiedVolume is the one view of a volume: lists were meant to have a shorter
// one, and never did.
type proxiedVolume struct {
	ID          string            `json:"id"`
	Status      string            `json:"status"`
	Size        int64             `json:"size"`
	Zone        string            `json:"availabilityZone"`
	Created     api.Micros        `json:"createdAt"`
	Attachments []proxiedDisk     `json:"attachments"`
	Name        *string           `json:"displayName"`
	Description *string           `json:"displayDescription"`
	Type        *string           `json:"volumeType"`
	Snapshot    *string           `json:"snapshotId"`
	Metadata    map[string]string `json:"metadata"`
}

// proxiedDisk is a volume of a server. A volume that nobody has shows one without
// fields.
type proxiedDisk struct {
	ID     string `json:"id,omitempty"`
	Volume string `json:"volumeId,omitempty"`
	Server string `json:"serverId,omitempty"`
	Device string `json:"device,omitempty"`
}

func viewVolume(v compute.VolumeDetails) proxiedVolume {
	disk := proxiedDisk{}
	if v.Server != "" {
		disk = proxiedDisk{v.ID, v.ID, v.Server, v.Device}
	}
	return proxiedVolume{
		ID: v.ID, Status: v.Status, Size: v.SizeGB, Zone: v.Zone, Created: api.Micros(v.CreatedAt), Attachments: []proxiedDisk{disk},
		Name: orNull(v.Name), Description: orNull(v.Description), Type: orNull(v.Type), Snapshot: orNull(v.Snapshot), Metadata: v.Metadata,
	}
}

type proxiedVolumesReply struct {
	Volumes []proxiedVolume `json:"volumes"`
}

type proxiedVolumeReply struct {
	Volume proxiedVolume `json:"volume"`
}

func (h handlers) listVolumes(c *api.Call) (proxiedVolumesReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return proxiedVolumesReply{}, err
	}
	first, most, err := window(c)
	if err != nil {
		return proxiedVolumesReply{}, err
	}
	list, err := h.compute.VolumeProxy().Volumes(c.Context(), c.Caller, first, most)
	reply := proxiedVolumesReply{Volumes: []proxiedVolume{}}
	for _, v := range list {
		reply.Volumes = append(reply.Volumes, viewVolume(v))
	}
	return reply, err
}

type createVolumeRequest struct {
	Volume struct {
		Size        count           `json:"size" check:"required,max=2147483647"`
		Type        string          `json:"volume_type" check:"max=255"`
		Metadata    metadataRequest `json:"metadata"`
		Snapshot    string          `json:"snapshot_id"`
		Zone        string          `json:"availability_zone" check:"max=255"`
		Name        string          `json:"display_name" check:"max=255"`
		Description string          `json:"display_description" check:"max=255"`
	} `json:"volume" check:"required"`
}

func (h handlers) createVolume(c *api.Call, in createVolumeRequest) (proxiedVolumeReply, error) {
	err := inProject(c)
	if err != nil {
		return proxiedVolumeReply{}, err
	}
	v := in.Volume
	made, err := h.compute.VolumeProxy().CreateVolume(c.Context(), c.Caller, compute.NewVolume{
		Name: v.Name, Description: v.Description, Metadata: v.Metadata, SizeGB: int64(v.Size), Type: v.Type, Zone: v.Zone, Snapshot: v.Snapshot,
	})
	if err != nil {
		return proxiedVolumeReply{}, volumePassedOn(err)
	}
	c.Log("volume_id", made.ID)
	c.SetHeader("Location", c.URL("/os-volumes/"+made.ID))
	return proxiedVolumeReply{viewVolume(made)}, nil
}

// volume finds the call's volume and authorizes the call for it.
func (h handlers) volume(c *api.Call) (compute.VolumeDetails, error) {
	v, err := h.compute.VolumeProxy().Volume(c.Context(), c.Caller, c.PathValue("volume_id"))
	if err != nil {
		return v, err
	}
	c.Log("volume_id", v.ID)
	return v, c.Authorize(auth.Target{Project: v.Project})
}

func (h handlers) showVolume(c *api.Call) (proxiedVolumeReply, error) {
	v, err := h.volume(c)
	return proxiedVolumeReply{viewVolume(v)}, err
}

func (h handlers) deleteVolume(c *api.Call) error {
	v, err := h.volume(c)
	if err != nil {
		return err
	}
	return h.compute.VolumeProxy().DeleteVolume(c.Context(), c.Caller, v)
}

type proxiedSnapshot struct {
	ID          string     `json:"id"`
	Volume      string     `json:"volumeId"`
	Status      string     `json:"status"`
	Size        int64      `json:"size"`
	Created     api.Micros `json:"createdAt"`
	Name        *string    `json:"displayName"`
	Description *string    `json:"displayDescription"`
}

func viewSnapshot(s compute.SnapshotDetails) proxiedSnapshot {
	return proxiedSnapshot{s.ID, s.Volume, s.Status, s.SizeGB, api.Micros(s.CreatedAt), orNull(s.Name), orNull(s.Description)}
}

type proxiedSnapshotsReply struct {
	Snapshots []proxiedSnapshot `json:"snapshots"`
}

type proxiedSnapshotReply struct {
	Snapshot proxiedSnapshot `json:"snapshot"`
}

func (h handlers) listSnapshots(c *api.Call) (proxiedSnapshotsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return proxiedSnapshotsReply{}, err
	}
	first, most, err := window(c)
	if err != nil {
		return proxiedSnapshotsReply{}, err
	}
	list, err := h.compute.VolumeProxy().Snapshots(c.Context(), c.Caller, first, most)
	reply := proxiedSnapshotsReply{Snapshots: []proxiedSnapshot{}}
	for _, s := range list {
		reply.Snapshots = append(reply.Snapshots, viewSnapshot(s))
	}
	return reply, err
}

type createSnapshotRequest struct {
	Snapshot struct {
		Volume      string   `json:"volume_id" check:"required"`
		Force       api.Bool `json:"force"`
		Name        string   `json:"display_name" check:"max=255"`
		Description string   `json:"display_description" check:"max=255"`
	} `json:"snapshot" check:"required"`
}

func (h handlers) createSnapshot(c *api.Call, in createSnapshotRequest) (proxiedSnapshotReply, error) {
	err := inProject(c)
	if err != nil {
		return proxiedSnapshotReply{}, err
	}
	s := in.Snapshot
	made, err := h.compute.VolumeProxy().CreateSnapshot(c.Context(), c.Caller, s.Volume, s.Name, s.Description, bool(s.Force))
	if err != nil {
		return proxiedSnapshotReply{}, volumePassedOn(err)
	}
	c.Log("snapshot_id", made.ID)
	return proxiedSnapshotReply{viewSnapshot(made)}, nil
}

// snapshot finds the call's snapshot and authorizes the call for it.
func (h handlers) snapshot(c *api.Call) (compute.SnapshotDetails, error) {
	s, err := h.compute.VolumeProxy().Snapshot(c.Context(), c.Caller, c.PathValue("snapshot_id"))
	if err != nil {
		return s, err
	}
	c.Log("snapshot_id", s.ID)
	return s, c.Authorize(auth.Target{Project: s.Project})
}

func (h handlers) showSnapshot(c *api.Call) (proxiedSnapshotReply, error) {
	s, err := h.snapshot(c)
	return proxiedSnapshotReply{viewSnapshot(s)}, err
}

func (h handlers) deleteSnapshot(c *api.Call) error {
	s, err := h.snapshot(c)
	if err != nil {
		return err
	}
	return h.compute.VolumeProxy().DeleteSnapshot(c.Context(), c.Caller, s)
}
