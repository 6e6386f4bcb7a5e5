package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/boolean"
	"nacre/internal/compute"
	"nacre/internal/compute/scheduler"
	"nacre/internal/errs"
)

// hostRoutes is what is below the servers: zones, hypervisors, services.
func (h handlers) hostRoutes() []api.Route {
	v53 := api.V(2, 53)
	return []api.Route{
		{Method: "GET", Path: "/os-availability-zone", Rule: "os_compute_api:os-availability-zone:list", Do: api.Get(h.listZones)},
		{Method: "GET", Path: "/os-availability-zone/detail", Rule: "os_compute_api:os-availability-zone:detail", Do: api.Get(h.detailZones)},
		{Method: "GET", Path: "/os-hypervisors", Rule: "os_compute_api:os-hypervisors:list", Do: api.Get(h.listHypervisors)},
		{Method: "GET", Path: "/os-hypervisors/detail", Rule: "os_compute_api:os-hypervisors:list-detail", Do: api.Get(h.detailHypervisors)},
		{Method: "GET", Path: "/os-hypervisors/statistics", Until: api.V(2, 87), Rule: "os_compute_api:os-hypervisors:statistics", Do: api.Get(h.statistics)},
		{Method: "GET", Path: "/os-hypervisors/{hypervisor_id}", Rule: "os_compute_api:os-hypervisors:show", Do: api.Get(h.showHypervisor)},
		{Method: "GET", Path: "/os-hypervisors/{hypervisor_id}/uptime", Until: api.V(2, 87), Rule: "os_compute_api:os-hypervisors:uptime", Do: api.Get(h.showUptime)},
		{Method: "GET", Path: "/os-hypervisors/{hypervisor_hostname_pattern}/search", Until: api.V(2, 52), Rule: "os_compute_api:os-hypervisors:search", Do: api.Get(h.searchHypervisors)},
		{Method: "GET", Path: "/os-hypervisors/{hypervisor_hostname_pattern}/servers", Until: api.V(2, 52), Rule: "os_compute_api:os-hypervisors:servers", Do: api.Get(h.searchHypervisorsServers)},
		{Method: "GET", Path: "/os-services", Rule: "os_compute_api:os-services:list", Do: api.Get(h.listServices)},
		{Method: "PUT", Path: "/os-services/disable", Until: api.V(2, 52), Rule: "os_compute_api:os-services:update", Do: api.Body(h.disableOld)},
		{Method: "PUT", Path: "/os-services/disable-log-reason", Until: api.V(2, 52), Rule: "os_compute_api:os-services:update", Do: api.Body(h.disableForReason)},
		{Method: "PUT", Path: "/os-services/enable", Until: api.V(2, 52), Rule: "os_compute_api:os-services:update", Do: api.Body(h.enableOld)},
		{Method: "PUT", Path: "/os-services/force-down", Since: api.V(2, 11), Until: api.V(2, 52), Rule: "os_compute_api:os-services:update", Do: api.Body(h.forceDownOld)},
		{Method: "PUT", Path: "/os-services/{service_id}", Since: v53, Rule: "os_compute_api:os-services:update", Do: api.Body(h.updateService)},
		{Method: "DELETE", Path: "/os-services/{service_id}", Rule: "os_compute_api:os-services:delete", OK: 204, Do: api.Empty(h.deleteService)},
	}
}

type zoneView struct {
	Name  string                                `json:"zoneName"`
	State zoneState                             `json:"zoneState"`
	Hosts map[string]map[string]zoneServiceView `json:"hosts"`
}

type zoneState struct {
	Available bool `json:"available"`
}

type zoneServiceView struct {
	Available bool       `json:"available"`
	Active    bool       `json:"active"`
	Updated   api.Micros `json:"updated_at"`
}

type zonesReply struct {
	Zones []any `json:"availabilityZoneInfo"`
}

// plainZone is a zone whose hosts the caller may not see.
type plainZone struct {
	Name  string    `json:"zoneName"`
	State zoneState `json:"zoneState"`
	Hosts *string   `json:"hosts"`
}

func (h handlers) zones(c *api.Call) ([]zoneView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	list, err := h.compute.Hypervisors(c.Context())
	if err != nil {
		return nil, err
	}
	var zones []zoneView
	for _, host := range list {
		i := slices.IndexFunc(zones, func(z zoneView) bool { return z.Name == host.Zone })
		if i < 0 {
			i = len(zones)
			zones = append(zones, zoneView{Name: host.Zone, Hosts: map[string]map[string]zoneServiceView{}})
		}
		active := !host.Service.Disabled
		zones[i].State.Available = zones[i].State.Available || active
		zones[i].Hosts[host.Host.Name] = map[string]zoneServiceView{
			"nova-compute": {Available: host.Up(), Active: active, Updated: api.Micros(host.Host.SeenAt)},
		}
	}
	return zones, nil
}

func (h handlers) listZones(c *api.Call) (zonesReply, error) {
	zones, err := h.zones(c)
	reply := zonesReply{}
	for _, z := range zones {
		reply.Zones = append(reply.Zones, plainZone{Name: z.Name, State: z.State})
	}
	return reply, err
}

func (h handlers) detailZones(c *api.Call) (zonesReply, error) {
	zones, err := h.zones(c)
	reply := zonesReply{}
	for _, z := range zones {
		reply.Zones = append(reply.Zones, z)
	}
	return reply, err
}

// hypervisorName is what every view of a hypervisor begins with.
type hypervisorName struct {
	ID       any    `json:"id"`
	Hostname string `json:"hypervisor_hostname"`
	State    string `json:"state"`
	Status   string `json:"status"`
}

// hypervisorView is the full view; lists without detail show its first fields.
type hypervisorView struct {
	hypervisorName
	Servers *[]serverRef `json:"servers,omitempty" since:"2.53"`
}

type serverRef struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
}

type hypervisorDetail struct {
	hypervisorView
	Type       string          `json:"hypervisor_type"`
	Version    int             `json:"hypervisor_version"`
	HostIP     string          `json:"host_ip"`
	Service    serviceRef      `json:"service"`
	Uptime     *string         `json:"uptime" since:"2.88"`
	VCPUs      int64           `json:"vcpus" until:"2.87"`
	MemoryMB   int64           `json:"memory_mb" until:"2.87"`
	LocalGB    int64           `json:"local_gb" until:"2.87"`
	VCPUsUsed  int64           `json:"vcpus_used" until:"2.87"`
	MemoryUsed int64           `json:"memory_mb_used" until:"2.87"`
	LocalUsed  int64           `json:"local_gb_used" until:"2.87"`
	FreeRAM    int64           `json:"free_ram_mb" until:"2.87"`
	FreeDisk   int64           `json:"free_disk_gb" until:"2.87"`
	CPUInfo    json.RawMessage `json:"cpu_info" until:"2.87"`
	Workload   int             `json:"current_workload" until:"2.87"`
	RunningVMs int             `json:"running_vms" until:"2.87"`
	LeastDisk  int64           `json:"disk_available_least" until:"2.87"`
}

type serviceRef struct {
	ID     any     `json:"id"`
	Host   string  `json:"host"`
	Reason *string `json:"disabled_reason"`
}

type hypervisorsReply struct {
	Hypervisors []any      `json:"hypervisors"`
	Links       []api.Link `json:"hypervisors_links,omitempty"`
}

func nameHypervisor(c *api.Call, host compute.Hypervisor) hypervisorName {
	v := hypervisorName{ID: host.Host.ID, Hostname: host.Host.Name, State: "down", Status: "enabled"}
	if c.Version < api.V(2, 53) {
		v.ID = host.Service.Seq
	}
	if host.Up() {
		v.State = "up"
	}
	if host.Service.Disabled {
		v.Status = "disabled"
	}
	return v
}

func detailHypervisor(c *api.Call, host compute.Hypervisor) hypervisorDetail {
	info, used := host.Host.Info, host.Offer.Used
	memory := used[scheduler.MemoryMB] + host.Offer.Inventory[scheduler.MemoryMB].Reserved
	disk := used[scheduler.DiskGB] + host.Offer.Inventory[scheduler.DiskGB].Reserved
	v := hypervisorDetail{
		hypervisorView: hypervisorView{hypervisorName: nameHypervisor(c, host)},
		Type:           info.Type, Version: info.Version, HostIP: info.Address,
		Service: serviceRef{ID: host.Service.ID, Host: host.Host.Name, Reason: orNull(host.Service.Reason)},
		VCPUs:   int64(info.VCPUs), MemoryMB: int64(info.MemoryMB), LocalGB: int64(info.DiskGB),
		VCPUsUsed: used[scheduler.VCPU], MemoryUsed: memory, LocalUsed: disk,
		FreeRAM: int64(info.MemoryMB) - memory, FreeDisk: int64(info.DiskGB) - disk, LeastDisk: int64(info.DiskGB) - disk,
		RunningVMs: host.Running, CPUInfo: cpuInfo(c, info.CPUInfo),
	}
	if c.Version < api.V(2, 53) {
		v.Service.ID = host.Service.Seq
	}
	return v
}

// cpuInfo is an object since 2.28 and was its text before.
func cpuInfo(c *api.Call, text string) json.RawMessage {
	if text == "" || !json.Valid([]byte(text)) {
		text = "{}"
	}
	if c.Version >= api.V(2, 28) {
		return json.RawMessage(text)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage(`""`)
	}
	return quoted
}

func (h handlers) listHypervisors(c *api.Call) (hypervisorsReply, error) {
	return h.hypervisors(c, func(host compute.Hypervisor, v hypervisorView) any { return v })
}

func (h handlers) detailHypervisors(c *api.Call) (hypervisorsReply, error) {
	var shown []*hypervisorDetail
	reply, err := h.hypervisors(c, func(host compute.Hypervisor, v hypervisorView) any {
		d := detailHypervisor(c, host)
		d.Servers = v.Servers
		shown = append(shown, &d)
		return &d
	})
	if err != nil {
		return reply, err
	}
	h.tellUptimes(c, shown...)
	return reply, nil
}

// tellUptimes fills in how long the hosts have been up.
func (h handlers) tellUptimes(c *api.Call, list ...*hypervisorDetail) {
	if c.Version < api.V(2, 88) {
		return
	}
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.Hostname
	}
	told := h.compute.Uptimes(c.Context(), names)
	for _, v := range list {
		v.Uptime = orNull(told[v.Hostname])
	}
}

func (h handlers) hypervisors(c *api.Call, view func(compute.Hypervisor, hypervisorView) any) (hypervisorsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return hypervisorsReply{}, err
	}
	list, err := h.compute.Hypervisors(c.Context())
	if err != nil {
		return hypervisorsReply{}, err
	}
	reply := hypervisorsReply{Hypervisors: []any{}}
	page, err := pageSince(c, api.V(2, 33), api.List{ZeroIsNone: true})
	if err != nil || page.None {
		return reply, err
	}
	pattern := ""
	if c.Version >= api.V(2, 53) {
		pattern = c.Query().Get("hypervisor_hostname_pattern")
	}
	behind := page.Marker == ""
	for _, host := range list {
		if pattern != "" && !strings.Contains(host.Host.Name, pattern) {
			continue
		}
		v := hypervisorView{hypervisorName: nameHypervisor(c, host)}
		if !behind {
			behind = fmt.Sprint(v.ID) == page.Marker
			continue
		}
		if page.Limit > 0 && len(reply.Hypervisors) == page.Limit {
			reply.Links = next(c, true, last(reply.Hypervisors))
			break
		}
		with, _ := boolean.Parse(c.Query().Get("with_servers"))
		v.Servers, err = h.serversOn(c, host, with)
		if err != nil {
			return hypervisorsReply{}, err
		}
		reply.Hypervisors = append(reply.Hypervisors, view(host, v))
	}
	if !behind {
		return hypervisorsReply{}, errs.BadRequestf("marker [%s] not found", page.Marker)
	}
	if pattern != "" && len(reply.Hypervisors) == 0 {
		return hypervisorsReply{}, noneMatches(pattern)
	}
	return reply, nil
}

func last(views []any) string {
	switch v := views[len(views)-1].(type) {
	case hypervisorView:
		return fmt.Sprint(v.ID)
	case *hypervisorDetail:
		return fmt.Sprint(v.ID)
	}
	return ""
}

// serversOn lists a host's servers when they are asked for. Since 2.75 an
// empty list is shown too.
func (h handlers) serversOn(c *api.Call, host compute.Hypervisor, with bool) (*[]serverRef, error) {
	if !with || c.Version < api.V(2, 53) {
		return nil, nil
	}
	refs, err := h.serverRefs(c, host)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 && c.Version < api.V(2, 75) {
		return nil, nil
	}
	return &refs, nil
}

func (h handlers) serverRefs(c *api.Call, host compute.Hypervisor) ([]serverRef, error) {
	servers, err := h.compute.ServersOn(c.Context(), host.Host.Name)
	refs := []serverRef{}
	for _, server := range servers {
		refs = append(refs, serverRef{Name: server.Name, UUID: server.ID})
	}
	return refs, err
}

type hypervisorReply struct {
	Hypervisor hypervisorDetail `json:"hypervisor"`
}

// hypervisor authorizes the call and finds its hypervisor.
func (h handlers) hypervisor(c *api.Call) (compute.Hypervisor, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return compute.Hypervisor{}, err
	}
	id := c.PathValue("hypervisor_id")
	if c.Version >= api.V(2, 53) && !uuidLike(id) {
		return compute.Hypervisor{}, errs.BadRequestf("Invalid uuid %s", id)
	}
	list, err := h.compute.Hypervisors(c.Context())
	if err != nil {
		return compute.Hypervisor{}, err
	}
	for _, host := range list {
		if fmt.Sprint(nameHypervisor(c, host).ID) == id {
			return host, nil
		}
	}
	return compute.Hypervisor{}, errs.NotFoundf("Hypervisor with ID '%s' could not be found.", id)
}

func (h handlers) showHypervisor(c *api.Call) (hypervisorReply, error) {
	host, err := h.hypervisor(c)
	if err != nil {
		return hypervisorReply{}, err
	}
	v := detailHypervisor(c, host)
	with, _ := boolean.Parse(c.Query().Get("with_servers"))
	v.Servers, err = h.serversOn(c, host, with)
	if err != nil {
		return hypervisorReply{}, err
	}
	h.tellUptimes(c, &v)
	return hypervisorReply{v}, nil
}

type statisticsReply struct {
	Statistics map[string]int64 `json:"hypervisor_statistics"`
}

func (h handlers) statistics(c *api.Call) (statisticsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return statisticsReply{}, err
	}
	list, err := h.compute.Hypervisors(c.Context())
	if err != nil {
		return statisticsReply{}, err
	}
	sum := map[string]int64{"count": 0, "current_workload": 0}
	for _, host := range list {
		if host.Service.Disabled {
			continue
		}
		v := detailHypervisor(c, host)
		sum["count"]++
		for key, n := range map[string]int64{
			"vcpus": v.VCPUs, "memory_mb": v.MemoryMB, "local_gb": v.LocalGB, "vcpus_used": v.VCPUsUsed, "memory_mb_used": v.MemoryUsed,
			"local_gb_used": v.LocalUsed, "free_ram_mb": v.FreeRAM, "free_disk_gb": v.FreeDisk, "running_vms": int64(v.RunningVMs),
			"disk_available_least": v.LeastDisk,
		} {
			sum[key] += n
		}
	}
	return statisticsReply{sum}, nil
}
