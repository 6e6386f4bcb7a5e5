package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/vif"
)

type serverReply struct {
	Server *serverView `json:"server"`
}

type serversReply struct {
	Servers *api.Written `json:"servers"` // serverView each
	Links   []api.Link   `json:"servers_links,omitempty"`
}

// serverView is the full view. Fields that a policy rule hides are pointers
// and left out when nil.
type serverView struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Status      string            `json:"status"`
	TenantID    string            `json:"tenant_id"`
	UserID      string            `json:"user_id"`
	Metadata    map[string]string `json:"metadata"`
	HostID      string            `json:"hostId"`
	Image       any               `json:"image"`
	Flavor      serverFlavor      `json:"flavor"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
	Addresses   addressesView     `json:"addresses"`
	AccessIP4   string            `json:"accessIPv4"`
	AccessIP6   string            `json:"accessIPv6"`
	Links       []api.Link        `json:"links"`
	DiskConfig  string            `json:"OS-DCF:diskConfig"`
	Fault       *faultView        `json:"fault,omitempty"`
	Progress    *int              `json:"progress,omitempty"`
	Zone        string            `json:"OS-EXT-AZ:availability_zone"`
	ConfigDrive string            `json:"config_drive"`
	KeyName     *string           `json:"key_name"`
	Launched    api.Micros        `json:"OS-SRV-USG:launched_at"`
	Terminated  api.Micros        `json:"OS-SRV-USG:terminated_at"`
	Groups      []groupName       `json:"security_groups,omitempty"`

	Host         **string `json:"OS-EXT-SRV-ATTR:host,omitempty"`
	InstanceName *string  `json:"OS-EXT-SRV-ATTR:instance_name,omitempty"`
	Hypervisor   **string `json:"OS-EXT-SRV-ATTR:hypervisor_hostname,omitempty"`
	Hostname     *string  `json:"OS-EXT-SRV-ATTR:hostname,omitempty" since:"2.3"`
	Kernel       *string  `json:"OS-EXT-SRV-ATTR:kernel_id,omitempty" since:"2.3"`
	Ramdisk      *string  `json:"OS-EXT-SRV-ATTR:ramdisk_id,omitempty" since:"2.3"`
	LaunchIndex  *int     `json:"OS-EXT-SRV-ATTR:launch_index,omitempty" since:"2.3"`
	Reservation  *string  `json:"OS-EXT-SRV-ATTR:reservation_id,omitempty" since:"2.3"`
	RootDevice   **string `json:"OS-EXT-SRV-ATTR:root_device_name,omitempty" since:"2.3"`
	UserData     **string `json:"OS-EXT-SRV-ATTR:user_data,omitempty" since:"2.3"`

	TaskState  *string        `json:"OS-EXT-STS:task_state"`
	VMState    string         `json:"OS-EXT-STS:vm_state"`
	PowerState int            `json:"OS-EXT-STS:power_state"`
	Volumes    []volumeOfView `json:"os-extended-volumes:volumes_attached"`

	Locked       bool      `json:"locked" since:"2.9"`
	HostStatus   *string   `json:"host_status,omitempty" since:"2.16"`
	Description  *string   `json:"description" since:"2.19"`
	Tags         []string  `json:"tags" since:"2.26"`
	Certificates *[]string `json:"trusted_image_certificates" since:"2.63"`
	ServerGroups *[]string `json:"server_groups,omitempty" since:"2.71"`
	LockedReason *string   `json:"locked_reason" since:"2.73"`
	PinnedZone   *string   `json:"pinned_availability_zone" since:"2.96"`

	Hints map[string][]string `json:"scheduler_hints" since:"2.100"`
}

// updatedView is what an update answered before 2.75: the view without what
// once were extensions.
type updatedView struct {
	ID           string                    `json:"id"`
	Name         string                    `json:"name"`
	Status       string                    `json:"status"`
	TenantID     string                    `json:"tenant_id"`
	UserID       string                    `json:"user_id"`
	Metadata     map[string]string         `json:"metadata"`
	HostID       string                    `json:"hostId"`
	Image        any                       `json:"image"`
	Flavor       serverFlavor              `json:"flavor"`
	Created      time.Time                 `json:"created"`
	Updated      time.Time                 `json:"updated"`
	Addresses    map[string][]plainAddress `json:"addresses"`
	AccessIP4    string                    `json:"accessIPv4"`
	AccessIP6    string                    `json:"accessIPv6"`
	Links        []api.Link                `json:"links"`
	DiskConfig   string                    `json:"OS-DCF:diskConfig"`
	Fault        *faultView                `json:"fault,omitempty"`
	Progress     *int                      `json:"progress,omitempty"`
	Locked       bool                      `json:"locked" since:"2.9"`
	Description  *string                   `json:"description" since:"2.19"`
	Tags         []string                  `json:"tags" since:"2.26"`
	Certificates *[]string                 `json:"trusted_image_certificates" since:"2.63"`
	ServerGroups *[]string                 `json:"server_groups,omitempty" since:"2.71"`
	LockedReason *string                   `json:"locked_reason" since:"2.73"`
}

type updatedReply struct {
	Server updatedView `json:"server"`
}

func brief(v *serverView) updatedView {
	return updatedView{
		ID: v.ID, Name: v.Name, Status: v.Status, TenantID: v.TenantID, UserID: v.UserID, Metadata: v.Metadata, HostID: v.HostID,
		Image: v.Image, Flavor: v.Flavor, Created: v.Created, Updated: v.Updated, AccessIP4: v.AccessIP4, AccessIP6: v.AccessIP6,
		Links: v.Links, DiskConfig: v.DiskConfig, Fault: v.Fault, Progress: v.Progress, Locked: v.Locked, Description: v.Description,
		Tags: v.Tags, Certificates: v.Certificates, ServerGroups: v.ServerGroups, LockedReason: v.LockedReason, Addresses: plain(v.Addresses),
	}
}

type serverFlavor struct {
	ID         string             `json:"id" until:"2.46"`
	Links      []api.Link         `json:"links" until:"2.46"`
	VCPUs      int64              `json:"vcpus" since:"2.47"`
	RAM        int64              `json:"ram" since:"2.47"`
	Disk       int64              `json:"disk" since:"2.47"`
	Ephemeral  int64              `json:"ephemeral" since:"2.47"`
	Swap       int64              `json:"swap" since:"2.47"`
	Name       string             `json:"original_name" since:"2.47"`
	ExtraSpecs *map[string]string `json:"extra_specs,omitempty" since:"2.47"`
}

type imageOfView struct {
	ID         string            `json:"id"`
	Links      []api.Link        `json:"links"`
	Properties map[string]string `json:"properties" since:"2.98"`
}

type faultView struct {
	Code    int       `json:"code"`
	Created time.Time `json:"created"`
	Message string    `json:"message"`
	Details *string   `json:"details,omitempty"`
}

type groupName struct {
	Name string `json:"name"`
}

// addressesView are addresses by the names of their networks.
type addressesView = api.Object[[]addressView]

type addressView struct {
	Version int    `json:"version"`
	Addr    string `json:"addr"`
	Type    string `json:"OS-EXT-IPS:type"`
	MAC     string `json:"OS-EXT-IPS-MAC:mac_addr"`
}

type volumeOfView struct {
	ID     string `json:"id"`
	Delete bool   `json:"delete_on_termination" since:"2.3"`
}

// shows says what the caller may see of a server beyond the plain view.
type shows struct {
	attributes  bool
	hostStatus  bool
	hostUnknown bool // the host's status if that is UNKNOWN
	extraSpecs  bool
	groups      bool // server groups, which lists leave out
}

func seen(c *api.Call, target auth.Target) shows {
	return shows{
		attributes:  c.May("os_compute_api:os-extended-server-attributes", target),
		hostStatus:  c.May("os_compute_api:servers:show:host_status", target),
		hostUnknown: c.May("os_compute_api:servers:show:host_status:unknown-only", target),
		extraSpecs:  c.May("os_compute_api:servers:show:flavor-extra-specs", target),
	}
}

// details reads what the views of the servers show besides their rows.
func (h handlers) details(c *api.Call, servers []compute.Server, see shows) (compute.Details, error) {
	return h.compute.Details(c.Context(), servers, see.attributes && c.Version >= api.V(2, 3))
}

// serverViewer views servers, one after the other. What a view points to is the server's
// or stands here, so it holds until the next: long lists would make much garbage.
type serverViewer struct {
	h       handlers
	c       *api.Call
	see     shows
	details compute.Details
	links   []api.Link // self and bookmark, of the image, of the flavor: but for the ids

	view      serverView
	image     imageOfView
	addresses addressesView
	groups    []groupName
	volumes   []volumeOfView
	progress  int

	task, name, userData, hostStatus, none string

	host, rootDevice, orUserData *string
}

func (h handlers) viewer(c *api.Call, details compute.Details, see shows) *serverViewer {
	return &serverViewer{h: h, c: c, see: see, details: details, links: append(links(c, "/servers/"), bookmark(c, "/images/"), bookmark(c, "/flavors/"))}
}

// of views a server.
func (w *serverViewer) of(s *compute.Server) *serverView {
	ports := w.details.Ports[s.ID]
	w.addresses, w.groups = addresses(w.addresses[:0], ports), groupNames(w.groups[:0], ports)
	w.links[0].ID, w.links[1].ID = s.ID, s.ID
	w.view = serverView{
		ID: s.ID, Name: s.Name, Status: s.Status(), TenantID: s.Project, UserID: s.UserID,
		Metadata: s.Metadata.V, HostID: s.HostID(), Image: w.imageOf(s), Flavor: w.flavorOf(s),
		Created: s.CreatedAt.Time(), Updated: s.UpdatedAt.Time(), Addresses: w.addresses,
		AccessIP4: s.AccessIP4, AccessIP6: s.AccessIP6, Links: w.links[:2], DiskConfig: s.DiskConfig(),
		Zone: w.h.compute.ZoneOf(s.Host), KeyName: s.KeyName,
		Launched: api.Micros(s.LaunchedAt.Time()), Terminated: api.Micros(s.TerminatedAt.Time()),
		Groups: w.groups, VMState: string(s.VMState), PowerState: int(s.PowerState),
		Locked: s.Locked, Description: s.Description, Tags: w.details.Tags[s.ID], LockedReason: s.LockedReason, Hints: viewHints(s.SchedulerHints.V),
	}
	v := &w.view
	if s.ConfigDrive {
		v.ConfigDrive = "True"
	}
	if s.TaskState != "" {
		w.task = string(s.TaskState)
		v.TaskState = &w.task
	}
	if s.Zone != "" {
		v.PinnedZone = &s.Zone
	}
	if w.c.Version < api.V(2, 19) && s.Description == nil {
		v.Description = &s.Name
	}
	percent, has := s.Progress()
	if has {
		w.progress = percent
		v.Progress = &w.progress
	}
	if s.Fault.V != nil && (v.Status == "ERROR" || v.Status == "DELETED") {
		f := s.Fault.V
		v.Fault = &faultView{Code: f.Code, Message: f.Message, Created: f.Created.Time()}
		if w.see.attributes && f.Code == 500 {
			v.Fault.Details = new(cmp.Or(f.Details, f.Message))
		}
	}
	w.volumes = w.volumes[:0]
	for _, a := range w.details.Volumes[s.ID] {
		w.volumes = append(w.volumes, volumeOfView{a.Volume, a.DeleteOnTermination})
	}
	v.Volumes = w.volumes
	if w.see.hostStatus || w.see.hostUnknown {
		w.hostStatus = w.h.compute.HostStatus(s.Host)
		if w.see.hostStatus || w.hostStatus == compute.HostUnknown {
			v.HostStatus = &w.hostStatus
		}
	}
	if w.see.groups {
		groups := []string{}
		if s.ServerGroup != "" {
			groups = append(groups, s.ServerGroup)
		}
		v.ServerGroups = &groups
	}
	if len(s.Certificates.V) > 0 {
		v.Certificates = &s.Certificates.V
	}
	if w.see.attributes || w.c.Version >= api.V(2, 90) {
		v.Hostname = &s.Hostname
	}
	if w.see.attributes {
		w.addAttributes(s)
	}
	return v
}

// addAttributes shows what is about the host and the request, to admins.
func (w *serverViewer) addAttributes(s *compute.Server) {
	w.name, w.userData = s.InstanceName(), w.details.UserData(s.ID)
	w.host, w.rootDevice, w.orUserData = notEmpty(&s.Host), notEmpty(&s.RootDevice), notEmpty(&w.userData)
	v := &w.view
	v.Host, v.Hypervisor, v.InstanceName = &w.host, &w.host, &w.name
	v.Kernel, v.Ramdisk = &w.none, &w.none
	v.LaunchIndex, v.Reservation, v.RootDevice, v.UserData = &s.LaunchIndex, &s.Reservation, &w.rootDevice, &w.orUserData
}

// imageOf is the image in the view of a server, "" for none.
func (w *serverViewer) imageOf(s *compute.Server) any {
	if s.Image == "" {
		return ""
	}
	w.links[2].ID = s.Image
	w.image = imageOfView{s.Image, w.links[2:3], standardProperties(s.ImageProperties.V)}
	return &w.image
}

// flavorOf is the flavor in the view of a server.
func (w *serverViewer) flavorOf(s *compute.Server) serverFlavor {
	f := &s.Flavor.V
	w.links[3].ID = f.ID
	v := serverFlavor{
		ID: f.ID, VCPUs: f.VCPUs, RAM: f.RAM, Disk: f.Disk, Ephemeral: f.Ephemeral, Swap: f.Swap, Name: f.Name, Links: w.links[3:],
	}
	if w.see.extraSpecs {
		v.ExtraSpecs = &f.ExtraSpecs.V
	}
	return v
}

// orNull makes a pointer for a field that is null when there is nothing.
func orNull(text string) *string { return notEmpty(&text) }

// notEmpty is orNull of what is kept already.
func notEmpty(text *string) *string {
	if *text == "" {
		return nil
	}
	return text
}

// standardProperties are those of an image that mean something to the cloud, as
// far as their names tell.
func standardProperties(all map[string]string) map[string]string {
	if len(all) == 0 {
		return nil
	}
	out := map[string]string{}
	for name, value := range all {
		means := slices.ContainsFunc([]string{"hw_", "img_", "os_", "vmware_", "xenapi_"}, func(p string) bool { return strings.HasPrefix(name, p) })
		if means || slices.Contains(otherProperties, name) {
			out[name] = value
		}
	}
	return out
}

var otherProperties = []string{
	"architecture", "auto_disk_config", "bdm_v2", "bittorrent", "block_device_mapping", "cache_in_nova", "hypervisor_type",
	"hypervisor_version_requires", "ipxe_boot", "mappings", "owner_id", "root_device_name", "traits_required", "vm_mode",
}

// viewHints shows each hint as a list, whatever it was given as.
func viewHints(hints map[string]any) map[string][]string {
	if len(hints) == 0 {
		return nil
	}
	out := map[string][]string{}
	for name, value := range hints {
		list, several := value.([]any)
		if !several {
			list = []any{value}
		}
		for _, v := range list {
			out[name] = append(out[name], fmt.Sprint(v))
		}
	}
	return out
}

// addresses adds the fixed and floating addresses, by network.
func addresses(to addressesView, ports []vif.Port) addressesView {
	for _, p := range ports {
		at, has := slices.BinarySearchFunc(to, p.NetworkName, func(m api.Member[[]addressView], name string) int { return strings.Compare(m.Key, name) })
		if !has && len(p.Addresses) > 0 {
			next := api.Member[[]addressView]{Key: p.NetworkName}
			if len(to) < cap(to) { // there was one before, with room
				next.Value = to[:len(to)+1][len(to)].Value[:0]
			}
			to = slices.Insert(to, at, next)
		}
		for _, a := range p.Addresses {
			to[at].Value = append(to[at].Value, addressView{family(a.IP), a.IP, "fixed", p.MAC})
			for _, floating := range a.Floating {
				to[at].Value = append(to[at].Value, addressView{family(floating), floating, "floating", p.MAC})
			}
		}
	}
	return to
}

func family(ip string) int {
	if strings.Contains(ip, ":") {
		return 6
	}
	return 4
}

// groupNames adds the security groups of all ports.
func groupNames(to []groupName, ports []vif.Port) []groupName {
	for _, p := range ports {
		for _, g := range p.Groups {
			to = append(to, groupName{g.Name})
		}
	}
	return to
}
