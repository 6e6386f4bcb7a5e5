package api

import (
	"slices"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// operators are the calls about the service itself.
func (h handlers) operators() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/os-availability-zone", Rule: "any", Do: api.Get(h.zones)},
		{Method: "GET", Path: "/os-hosts", Rule: "volume_extension:hosts", Do: api.Get(h.listHosts)},
		{Method: "GET", Path: "/os-hosts/{host_name}", Rule: "volume_extension:hosts", Do: api.Get(h.showHost)},
		{Method: "GET", Path: "/os-services", Rule: "volume_extension:services:index", Do: api.Get(h.services)},
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

type serviceView struct {
	Binary         string     `json:"binary"`
	Host           string     `json:"host"`
	Zone           string     `json:"zone"`
	Status         string     `json:"status"`
	State          string     `json:"state"`
	UpdatedAt      api.Micros `json:"updated_at"`
	DisabledReason *string    `json:"disabled_reason"`
	Cluster        *string    `json:"cluster" since:"3.7"`
	BackendState   string     `json:"backend_state" since:"3.49"`
}

type servicesReply struct {
	Services []serviceView `json:"services"`
}

func (h handlers) services(c *api.Call) (servicesReply, error) {
	reply := servicesReply{}
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	backends, err := h.service.Backends(c.Context())
	q := c.Query()
	for _, b := range backends {
		state := "down"
		if b.Host.Up {
			state = "up"
		}
		view := serviceView{
			Binary: "cinder-volume", Host: backend(b.Host.Name), Zone: h.service.Zone(), Status: "enabled", State: state,
			UpdatedAt: api.Micros(b.Host.SeenAt), BackendState: state,
		}
		if q.Has("host") && q.Get("host") != view.Host && q.Get("host") != b.Host.Name || q.Has("binary") && q.Get("binary") != view.Binary {
			continue
		}
		reply.Services = append(reply.Services, view)
	}
	return reply, err
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
			ServiceState: "enabled", LastUpdate: api.Micros(b.Host.SeenAt),
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

func (h handlers) pools(c *api.Call) (poolsReply, error) {
	reply := poolsReply{}
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	backends, err := h.service.Backends(c.Context())
	detail, _ := api.ParseBool(c.Query().Get("detail"))
	for _, b := range backends {
		view := poolView{Name: pool(b.Host.Name)}
		if detail {
			view.Capabilities = map[string]any{
				"volume_backend_name": "nacre", "vendor_name": "Nacre", "storage_protocol": "NBD", "driver_version": "1.0",
				"total_capacity_gb": b.Host.Info.VolumesGB, "free_capacity_gb": b.Host.Info.FreeGB,
				"provisioned_capacity_gb": float64(b.Provisioned), "allocated_capacity_gb": b.Provisioned,
				"max_over_subscription_ratio": h.service.Overcommit(), "thin_provisioning_support": true,
				"thick_provisioning_support": false, "reserved_percentage": 0, "multiattach": false, "QoS_support": false,
			}
		}
		reply.Pools = append(reply.Pools, view)
	}
	return reply, err
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
}

func (h handlers) extensions(c *api.Call) (extensionsReply, error) {
	reply := extensionsReply{}
	for _, e := range offered {
		reply.Extensions = append(reply.Extensions, extensionView{e[0], e[1], e[2], "2022-07-21T00:00:00+00:00", []string{}})
	}
	return reply, c.AuthorizeOwn()
}
