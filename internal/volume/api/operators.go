package api

import (
	"slices"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// operators are the calls about the service itself.
func (h handlers) operators() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/os-availability-zone", Rule: "any", Do: api.Get(h.zones)},
		{Method: "GET", Path: "/os-hosts", Rule: "volume_extension:hosts", Scope: "admin_project_id", Do: api.Get(h.listHosts)},
		{Method: "GET", Path: "/os-hosts/{host_name}", Rule: "volume_extension:hosts", Scope: "admin_project_id", Do: api.Get(h.showHost)},
		{Method: "GET", Path: "/capabilities/{hostname}", Rule: "volume_extension:capabilities", Do: api.Get(h.capabilities)},
		{Method: "GET", Path: "/scheduler-stats/get_pools", Rule: "scheduler_extension:scheduler_stats:get_pools", Do: api.Get(h.pools)},
		{Method: "GET", Path: "/extensions", Rule: "any", Do: api.Get(h.extensions)},
	}
}

type zoneView struct {
	Name  string `json:"zoneName"`
	State struct {
		Available bool `json:"available"`
	} `json:"zoneState"`
}

type zonesReply struct {
	Zones []zoneView `json:"availabilityZoneInfo"`
}

func (h handlers) zones(c *api.Call) (zonesReply, error) {
	zone := zoneView{Name: h.service.Zone()}
	zone.State.Available = true
	return zonesReply{[]zoneView{zone}}, c.AuthorizeOwn()
}

type hostView struct {
	Name          string     `json:"host_name"`
	Service       string     `json:"service"`
	Zone          string     `json:"zone"`
	ServiceStatus string     `json:"service-status"`
	ServiceState  string     `json:"service-state"`
	LastUpdate    api.Micros `json:"last-update"`
}

type hostsReply struct {
	Hosts []hostView `json:"hosts"`
}

func (h handlers) listHosts(c *api.Call) (hostsReply, error) {
	reply := hostsReply{}
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	backends, err := h.service.Backends(c.Context())
	for _, b := range backends {
		status := "unavailable"
		if b.Host.Up {
			status = "available"
		}
		reply.Hosts = append(reply.Hosts, hostView{
			Name: backend(b.Host.Name), Service: "cinder-volume", Zone: h.service.Zone(), ServiceStatus: status,
			ServiceState: enabled(b), LastUpdate: api.Micros(b.Host.SeenAt),
		})
	}
	return reply, err
}

type shareView struct {
	Resource struct {
		Host        string `json:"host"`
		Project     string `json:"project"`
		Volumes     string `json:"volume_count"`
		VolumesGB   string `json:"total_volume_gb"`
		Snapshots   string `json:"snapshot_count"`
		SnapshotsGB string `json:"total_snapshot_gb"`
	} `json:"resource"`
}

type hostReply struct {
	Host []shareView `json:"host"`
}

func viewShare(host string, s volume.Share) shareView {
	var view shareView
	r := &view.Resource
	r.Host, r.Project = host, s.Project
	r.Volumes, r.VolumesGB = strconv.FormatInt(s.Volumes, 10), strconv.FormatInt(s.VolumesGB, 10)
	r.Snapshots, r.SnapshotsGB = strconv.FormatInt(s.Snapshots, 10), strconv.FormatInt(s.SnapshotsGB, 10)
	return view
}

func (h handlers) showHost(c *api.Call) (hostReply, error) {
	reply := hostReply{}
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	name := c.PathValue("host_name")
	backends, err := h.service.Backends(c.Context())
	if err != nil {
		return reply, err
	}
	if !slices.ContainsFunc(backends, func(b volume.Backend) bool { return backend(b.Host.Name) == name }) {
		return reply, errs.NotFoundf("Host %s could not be found.", name)
	}
	shares, err := h.service.Shares(c.Context(), strings.TrimSuffix(name, backend("")))
	total := volume.Share{Project: "(total)"}
	for _, s := range shares {
		total.Volumes += s.Volumes
		total.VolumesGB += s.VolumesGB
		total.Snapshots += s.Snapshots
		total.SnapshotsGB += s.SnapshotsGB
	}
	for _, s := range append([]volume.Share{total}, shares...) {
		reply.Host = append(reply.Host, viewShare(name, s))
	}
	return reply, err
}

type poolView struct {
	Name         string         `json:"name"`
	Capabilities map[string]any `json:"capabilities,omitempty"`
}

type poolsReply struct {
	Pools []poolView `json:"pools"`
}

// pools lists hosts with what they have. Since 3.28 filters are heard: a name, and
// since 3.35 a type whose volumes it can keep.
func (h handlers) pools(c *api.Call) (poolsReply, error) {
	reply := poolsReply{}
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	q := c.Query()
	kind := ""
	if c.Version >= api.V(3, 35) {
		kind = q.Get("volume_type")
	}
	backends, err := h.service.BackendsFor(c.Context(), kind)
	detail, _ := boolean.Parse(q.Get("detail"))
	for _, b := range backends {
		view := poolView{Name: pool(b.Host.Name)}
		if c.Version >= api.V(3, 28) && q.Has("name") && q.Get("name") != view.Name {
			continue
		}
		if detail {
			view.Capabilities = h.service.Capabilities(b)
			view.Capabilities["backend_state"] = state(b)
			view.Capabilities["timestamp"] = api.Micros(b.Host.SeenAt)
		}
		reply.Pools = append(reply.Pools, view)
	}
	return reply, err
}

type capabilityView struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Type        string `json:"type"`
}

type capabilitiesReply struct {
	Namespace   string                    `json:"namespace"`
	Vendor      any                       `json:"vendor_name"`
	Backend     any                       `json:"volume_backend_name"`
	Pool        *string                   `json:"pool_name"`
	Driver      any                       `json:"driver_version"`
	Protocol    any                       `json:"storage_protocol"`
	DisplayName *string                   `json:"display_name"`
	Description *string                   `json:"description"`
	Visibility  *string                   `json:"visibility"`
	Targets     []string                  `json:"replication_targets"`
	Properties  map[string]capabilityView `json:"properties"`
}

// properties are the capabilities that a type may ask for.
var properties = map[string]capabilityView{
	"thin_provisioning":         {"Thin Provisioning", "A volume takes the room that was written to.", "boolean"},
	"qos":                       {"QoS", "Limits are kept by the host itself, not by the hypervisor.", "boolean"},
	"replication_enabled":       {"Replication", "Volumes are replicated to another host.", "boolean"},
	"consistent_group_snapshot": {"Consistent group snapshots", "Groups are snapshotted as they are at one moment.", "boolean"},
}

func (h handlers) capabilities(c *api.Call) (capabilitiesReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return capabilitiesReply{}, err
	}
	name := c.PathValue("hostname")
	backends, err := h.service.Backends(c.Context())
	for _, b := range backends {
		if !names(name, b) {
			continue
		}
		has := h.service.Capabilities(b)
		return capabilitiesReply{
			Namespace: "OS::Storage::Capabilities::" + backend(b.Host.Name), Vendor: has["vendor_name"], Backend: has["volume_backend_name"],
			Driver: has["driver_version"], Protocol: has["storage_protocol"], Properties: properties,
		}, nil
	}
	if err == nil {
		err = errs.NotFoundf("Host %s could not be found.", name)
	}
	return capabilitiesReply{}, err
}

type extensionView struct {
	Alias       string   `json:"alias"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Updated     string   `json:"updated"`
	Links       []string `json:"links"`
}

type extensionsReply struct {
	Extensions []extensionView `json:"extensions"`
}

// offered are the extensions of old whose calls are here.
var offered = [][3]string{
	{"os-volume-actions", "VolumeActions", "Actions on volumes."},
	{"os-admin-actions", "AdminActions", "Actions on volumes and snapshots for admins."},
	{"os-availability-zone", "AvailabilityZones", "Availability zones."},
	{"os-quota-sets", "Quotas", "Quotas of projects."},
	{"os-quota-class-sets", "QuotaClasses", "Default quotas."},
	{"os-hosts", "Hosts", "Hosts that keep volumes."},
	{"os-services", "Services", "State of services."},
	{"os-types-manage", "TypesManage", "Volume types."},
	{"os-types-extra-specs", "TypesExtraSpecs", "Extra specs of volume types."},
	{"os-volume-type-access", "VolumeTypeAccess", "Volume types for some projects."},
	{"os-used-limits", "UsedLimits", "Limits with what is used."},
	{"os-vol-image-meta", "VolumeImageMetadata", "What a volume's image said."},
	{"os-vol-host-attr", "VolumeHostAttribute", "Where a volume is."},
	{"os-vol-tenant-attr", "VolumeTenantAttribute", "Whose a volume is."},
	{"os-vol-mig-status-attr", "VolumeMigStatusAttribute", "Migration status of a volume."},
	{"os-extended-snapshot-attributes", "ExtendedSnapshotAttributes", "Project and progress of a snapshot."},
	{"scheduler-stats", "Scheduler_stats", "What backends have."},
	{"capabilities", "Capabilities", "What backends are capable of."},
	{"qos-specs", "Qos_specs_manage", "Quality of service of volume types."},
	{"os-volume-transfer", "VolumeTransfer", "Volumes that change hands between projects."},
}

func (h handlers) extensions(c *api.Call) (extensionsReply, error) {
	reply := extensionsReply{}
	for _, e := range offered {
		reply.Extensions = append(reply.Extensions, extensionView{e[0], e[1], e[2], "2022-07-21T00:00:00+00:00", []string{}})
	}
	return reply, c.AuthorizeOwn()
}
