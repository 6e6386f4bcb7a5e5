package api

import (
	"fmt"

	"nacre/internal/api"
	"nacre/internal/nodeapi"
)

// guestRoutes is what looks into running guests, or reaches into them.
func (h handlers) guestRoutes() []api.Route {
	const path = "/servers/{server_id}"
	return []api.Route{
		{Method: "GET", Path: path + "/diagnostics", Rule: "os_compute_api:os-server-diagnostics", Do: api.Get(h.diagnose)},
		{Method: "GET", Path: path + "/topology", Since: api.V(2, 78), Rule: "compute:server:topology:index", Do: api.Get(h.topology)},
		{Method: "POST", Path: path + "/action", Action: "trigger_crash_dump", Since: api.V(2, 17), Rule: "os_compute_api:servers:trigger_crash_dump", OK: 202, Do: api.BodyEmpty(h.crash)},
		{Method: "POST", Path: path + "/action", Action: "changePassword", Rule: "os_compute_api:os-admin-password", OK: 202, Do: api.BodyEmpty(h.changePassword)},
	}
}

type diagnosticsView struct {
	State        string       `json:"state"`
	Driver       string       `json:"driver"`
	Hypervisor   *string      `json:"hypervisor"`
	HypervisorOS *string      `json:"hypervisor_os"`
	Uptime       int64        `json:"uptime"`
	ConfigDrive  bool         `json:"config_drive"`
	NumCPUs      int          `json:"num_cpus"`
	NumNICs      int          `json:"num_nics"`
	NumDisks     int          `json:"num_disks"`
	Memory       memoryDetail `json:"memory_details"`
	CPUs         []cpuDetail  `json:"cpu_details"`
	NICs         []nicDetail  `json:"nic_details"`
	Disks        []diskDetail `json:"disk_details"`
}

type memoryDetail struct {
	Maximum int64  `json:"maximum"`
	Used    *int64 `json:"used"`
}

type cpuDetail struct {
	ID   int   `json:"id"`
	Time int64 `json:"time"`
	Use  *int  `json:"utilisation"` // would take two looks
}

type nicDetail struct {
	MAC       string `json:"mac_address"`
	RxOctets  int64  `json:"rx_octets"`
	RxErrors  int64  `json:"rx_errors"`
	RxDrop    int64  `json:"rx_drop"`
	RxPackets int64  `json:"rx_packets"`
	RxRate    *int64 `json:"rx_rate"`
	TxOctets  int64  `json:"tx_octets"`
	TxErrors  int64  `json:"tx_errors"`
	TxDrop    int64  `json:"tx_drop"`
	TxPackets int64  `json:"tx_packets"`
	TxRate    *int64 `json:"tx_rate"`
}

type diskDetail struct {
	ReadBytes     int64 `json:"read_bytes"`
	ReadRequests  int64 `json:"read_requests"`
	WriteBytes    int64 `json:"write_bytes"`
	WriteRequests int64 `json:"write_requests"`
	Errors        int64 `json:"errors_count"`
}

// diagnose answers in the form that all hypervisors share since 2.48; before,
// each had its own, and this is libvirt's.
func (h handlers) diagnose(c *api.Call) (any, error) {
	server, err := h.server(c)
	if err != nil {
		return nil, err
	}
	d, err := h.compute.Diagnose(c.Context(), server)
	if err != nil {
		return nil, err
	}
	if c.Version < api.V(2, 48) {
		return counters(d), nil
	}
	kind, linux := "qemu", "linux"
	v := diagnosticsView{
		State: server.PowerWord(), Driver: "libvirt", Hypervisor: &kind, HypervisorOS: &linux, Uptime: d.Uptime, ConfigDrive: server.ConfigDrive,
		NumCPUs: len(d.CPUs), NumNICs: len(d.NICs), NumDisks: len(d.Disks), Memory: memoryDetail{d.MemoryMB, d.UsedMB},
		CPUs: []cpuDetail{}, NICs: []nicDetail{}, Disks: []diskDetail{},
	}
	for _, cpu := range d.CPUs {
		v.CPUs = append(v.CPUs, cpuDetail{ID: cpu.ID, Time: cpu.Time})
	}
	for _, n := range d.NICs {
		v.NICs = append(v.NICs, nicDetail{
			MAC: n.MAC, RxOctets: n.RxBytes, RxErrors: n.RxErrors, RxDrop: n.RxDrops, RxPackets: n.RxPackets,
			TxOctets: n.TxBytes, TxErrors: n.TxErrors, TxDrop: n.TxDrops, TxPackets: n.TxPackets,
		})
	}
	for _, disk := range d.Disks {
		v.Disks = append(v.Disks, diskDetail{disk.ReadBytes, disk.ReadRequests, disk.WriteBytes, disk.WriteRequests, disk.Errors})
	}
	return v, nil
}

// counters are the diagnostics as libvirt's driver told them.
func counters(d nodeapi.Diagnostics) map[string]int64 {
	out := map[string]int64{"memory": d.MemoryMB << 10, "memory-actual": d.MemoryMB << 10}
	if d.RSSKB != nil {
		out["memory-rss"] = *d.RSSKB
	}
	for _, cpu := range d.CPUs {
		out[fmt.Sprintf("cpu%d_time", cpu.ID)] = cpu.Time
	}
	for _, disk := range d.Disks {
		out[disk.Name+"_read"], out[disk.Name+"_read_req"] = disk.ReadBytes, disk.ReadRequests
		out[disk.Name+"_write"], out[disk.Name+"_write_req"] = disk.WriteBytes, disk.WriteRequests
		out[disk.Name+"_errors"] = disk.Errors
	}
	for i, n := range d.NICs {
		name := fmt.Sprintf("vnet%d_", i)
		out[name+"rx"], out[name+"rx_packets"], out[name+"rx_errors"], out[name+"rx_drop"] = n.RxBytes, n.RxPackets, n.RxErrors, n.RxDrops
		out[name+"tx"], out[name+"tx_packets"], out[name+"tx_errors"], out[name+"tx_drop"] = n.TxBytes, n.TxPackets, n.TxErrors, n.TxDrops
	}
	return out
}

type crashRequest struct {
	Crash null `json:"trigger_crash_dump" check:"required"`
}

// null is the only value of what has none.
type null struct{}

// JSONSchema implements api.Schemer.
func (null) JSONSchema() map[string]any { return map[string]any{"type": "null"} }

func (h handlers) crash(c *api.Call, _ crashRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.CrashServer(c.Context(), act(c, server))
}

type changePasswordRequest struct {
	Change struct {
		AdminPass string `json:"adminPass" check:"required"`
	} `json:"changePassword" check:"required"`
}

func (h handlers) changePassword(c *api.Call, in changePasswordRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.ChangePassword(c.Context(), act(c, server), in.Change.AdminPass)
}
