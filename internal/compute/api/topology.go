package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/nodeapi"
)

type topologyView struct {
	Nodes    []cellView `json:"nodes"`
	PageSize *int       `json:"pagesize_kb"`
}

type cellView struct {
	CPUs     []int        `json:"vcpu_set"`
	Siblings [][]int      `json:"siblings"`
	MemoryMB int          `json:"memory_mb"`
	Host     *int         `json:"host_node,omitempty"`
	Pins     *map[int]int `json:"cpu_pinning,omitempty"`
}

// topology shows the NUMA cells of a server, and to operators where on its host they
// are. A server without any sees its memory as one, and has none here.
func (h handlers) topology(c *api.Call) (topologyView, error) {
	server, err := h.server(c)
	if err != nil {
		return topologyView{}, err
	}
	topology, sockets, err := h.compute.Topology(c.Context(), server)
	if err != nil {
		return topologyView{}, err
	}
	return viewTopology(topology, sockets, c.May("compute:server:topology:host:index", auth.Target{Project: server.Project})), nil
}

func viewTopology(t *nodeapi.Topology, sockets *nodeapi.Sockets, host bool) topologyView {
	v := topologyView{Nodes: []cellView{}}
	if t == nil {
		return v
	}
	for _, cell := range t.Cells {
		node := cellView{CPUs: cell.CPUs, Siblings: [][]int{}, MemoryMB: cell.MemoryMB}
		if sockets != nil && sockets.Threads > 1 {
			for first := 0; first+sockets.Threads <= len(cell.CPUs); first += sockets.Threads {
				node.Siblings = append(node.Siblings, cell.CPUs[first:first+sockets.Threads])
			}
		}
		if host {
			pins := cell.Pins
			if pins == nil {
				pins = map[int]int{}
			}
			node.Host, node.Pins = &cell.Host, &pins
		}
		if cell.PageKB > 0 {
			v.PageSize = &cell.PageKB
		}
		v.Nodes = append(v.Nodes, node)
	}
	return v
}
