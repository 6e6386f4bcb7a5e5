package api

import (
	"cmp"
	"encoding/json"
	"net/netip"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// untilBoot is how long servers had an older name, too.
var untilBoot = api.V(2, 102)

// serverRoutes is the servers API in the order of the API reference.
func (h handlers) serverRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/servers", Rule: "os_compute_api:servers:index", Do: api.Get(h.listServers)},
		{Method: "POST", Path: "/servers", Rule: "os_compute_api:servers:create", OK: 202, Do: api.Body(h.createServer)},
		{Method: "GET", Path: "/os-volumes_boot", Until: untilBoot, Rule: "os_compute_api:servers:index", Do: api.Get(h.listServers)}, // an older name
		{Method: "POST", Path: "/os-volumes_boot", Until: untilBoot, Rule: "os_compute_api:servers:create", OK: 202, Do: api.Body(h.createServer)},
		{Method: "GET", Path: "/servers/detail", Rule: "os_compute_api:servers:detail", Do: api.Get(h.detailServers)},
		{Method: "GET", Path: "/servers/{server_id}", Rule: "os_compute_api:servers:show", Do: api.Get(h.showServer)},
		{Method: "PUT", Path: "/servers/{server_id}", Rule: "os_compute_api:servers:update", Do: api.Body(h.updateServer)},
		{Method: "DELETE", Path: "/servers/{server_id}", Rule: "os_compute_api:servers:delete", OK: 204, Do: api.Empty(h.deleteServer)},
	}
}

type createdServer struct {
	ID         string      `json:"id"`
	Links      []api.Link  `json:"links"`
	DiskConfig string      `json:"OS-DCF:diskConfig"`
	Groups     []groupName `json:"security_groups"`
	AdminPass  string      `json:"adminPass"`
}

type createdReply struct {
	Server createdServer `json:"server"`
}

type reservationReply struct {
	ID string `json:"reservation_id"`
}

func (h handlers) createServer(c *api.Call, in createRequest) (any, error) {
	err := inProject(c)
	if err != nil {
		return nil, err
	}
	input, err := in.input(c)
	if err != nil {
		return nil, err
	}
	err = mayCreate(c, in, &input)
	if err != nil {
		return nil, err
	}
	input.AdminPass = cmp.Or(in.Server.AdminPass, password())
	servers, err := h.compute.CreateServers(c.Context(), input)
	if err != nil {
		return nil, err
	}
	first := servers[0]
	c.Log("server_id", first.ID)
	if in.Server.ReturnID {
		return reservationReply{first.Reservation}, nil
	}
	c.SetHeader("Location", c.URL("/servers/"+first.ID))
	out := createdServer{ID: first.ID, Links: links(c, "/servers/"+first.ID), DiskConfig: first.DiskConfig(), AdminPass: input.AdminPass}
	for _, g := range in.Server.Groups {
		out.Groups = append(out.Groups, groupName(g))
	}
	if in.Server.Groups == nil {
		out.Groups = []groupName{{"default"}}
	}
	return createdReply{out}, nil
}

// mayCreate reads where the server should go, and asks the rules for what is asked for.
func mayCreate(c *api.Call, in createRequest, out *compute.NewServer) error {
	requested := out.Host != ""
	if in.Server.Zone != nil {
		zone, host, err := zoneAndHost(*in.Server.Zone)
		if err != nil {
			return err
		}
		out.Zone = zone
		if host != "" {
			out.Host, out.Anyway = host, true
		}
	}
	own := auth.Target{Project: c.Caller.Project, User: c.Caller.User}
	for _, asked := range []struct {
		is   bool
		rule string
	}{
		{out.Anyway, "os_compute_api:servers:create:forced_host"},
		{requested, "compute:servers:create:requested_destination"},
		{len(out.Disks) > 0, "os_compute_api:servers:create:attach_volume"},
		{len(out.Cards) > 0 || out.AutoNetwork || out.NoNetwork, "os_compute_api:servers:create:attach_network"},
		{len(out.Certificates) > 0, "os_compute_api:servers:create:trusted_certs"},
	} {
		if !asked.is {
			continue
		}
		err := c.AuthorizeRule(asked.rule, own)
		if err != nil {
			return err
		}
	}
	if out.Anyway && requested {
		return errs.BadRequestf("One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are mutually exclusive.")
	}
	out.ZeroDisk = c.May(zeroDisk, own)
	outside := c.May(attachExternal, own)
	for i := range out.Cards {
		out.Cards[i].Outside = outside
	}
	return nil
}

// attachExternal is the rule for a card on an external network that is not shared.
const attachExternal = "network:attach_external_network"

// zeroDisk is the rule for a root disk that no flavor limits: it is as large as its
// image says, and nobody counts it.
const zeroDisk = "os_compute_api:servers:create:zero_disk_flavor"

type basicServer struct {
	ID    string     `json:"id"`
	Name  string     `json:"name"`
	Links []api.Link `json:"links"`
}

type basicServersReply struct {
	Servers []basicServer `json:"servers"`
	Links   []api.Link    `json:"servers_links,omitempty"`
}

func (h handlers) listServers(c *api.Call) (basicServersReply, error) {
	reply := basicServersReply{Servers: []basicServer{}}
	more, err := h.find(c, "index", func(servers []compute.Server) {
		for _, server := range servers {
			reply.Servers = append(reply.Servers, basicServer{server.ID, server.Name, links(c, "/servers/"+server.ID)})
		}
	})
	if more {
		reply.Links = next(c, more, reply.Servers[len(reply.Servers)-1].ID)
	}
	return reply, err
}

func (h handlers) detailServers(c *api.Call) (serversReply, error) {
	see := seen(c, auth.Target{Project: c.Caller.Project, User: c.Caller.User})
	list, last := c.Written(), ""
	more, err := h.find(c, "detail", func(servers []compute.Server) {
		if len(servers) == 0 {
			return
		}
		last = servers[len(servers)-1].ID
		list.Part(func(part *api.Part) error {
			defer compute.LetGo(servers)
			details, err := h.details(c, servers, see)
			if err != nil {
				return err
			}
			viewer := h.viewer(c, details, see)
			for i := range servers {
				err = part.Add(viewer.of(&servers[i]))
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	return serversReply{Servers: list, Links: next(c, more, last)}, err
}

func (h handlers) showServer(c *api.Call) (serverReply, error) {
	server, err := h.server(c)
	if err != nil {
		return serverReply{}, err
	}
	return h.full(c, server)
}

// full is the reply with the whole of one server.
func (h handlers) full(c *api.Call, server compute.Server) (serverReply, error) {
	see := seen(c, of(server))
	see.groups = true
	details, err := h.details(c, []compute.Server{server}, see)
	if err != nil {
		return serverReply{}, err
	}
	return serverReply{h.viewer(c, details, see).of(&server)}, nil
}

type updateRequest struct {
	Server updateServer `json:"server" check:"required"`
}

type updateServer struct {
	Name        *string         `json:"name" check:"min=1,max=255,pattern=name,notnull"`
	DiskConfig  string          `json:"OS-DCF:diskConfig" check:"enum=AUTO|MANUAL"`
	AccessIP4   *address        `json:"accessIPv4" check:"format=ipv4,notnull"`
	AccessIP6   *address        `json:"accessIPv6" check:"format=ipv6,notnull"`
	Description api.Opt[string] `json:"description" since:"2.19" check:"max=255"`
	PinnedZone  api.Opt[string] `json:"pinned_availability_zone" since:"2.104" check:"min=1,max=255"`
	Hostname    *hostname       `json:"hostname" since:"2.90" check:"notnull"`
}

func (h handlers) updateServer(c *api.Call, in updateRequest) (any, error) {
	server, err := h.server(c)
	if err != nil {
		return nil, err
	}
	change := compute.ServerUpdate{Name: in.Server.Name, Hostname: (*string)(in.Server.Hostname), AccessIP4: (*string)(in.Server.AccessIP4), AccessIP6: (*string)(in.Server.AccessIP6),
		AutoDisk: autoDisk(in.Server.DiskConfig)}
	if in.Server.PinnedZone.Set {
		change.PinnedZone = &in.Server.PinnedZone.V // null is none
	}
	if in.Server.Description.Set {
		text := &in.Server.Description.V
		if in.Server.Description.Null {
			text = nil
		}
		change.Description = &text
	}
	server, err = h.compute.UpdateServer(c.Context(), act(c, server), change)
	if err != nil {
		return nil, err
	}
	reply, err := h.full(c, server)
	if err != nil || c.Version >= api.V(2, 75) {
		return reply, err
	}
	return updatedReply{brief(reply.Server)}, nil
}

// autoDisk reads OS-DCF:diskConfig, nil for one that was left out.
func autoDisk(config string) *bool {
	if config == "" {
		return nil
	}
	auto := config == "AUTO"
	return &auto
}

func (h handlers) deleteServer(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.DeleteServer(c.Context(), act(c, server))
}

// address is an IP address, in its shortest form.
type address string

// UnmarshalJSON implements json.Unmarshaler.
func (a *address) UnmarshalJSON(b []byte) error {
	var ip netip.Addr
	err := json.Unmarshal(b, &ip)
	*a = address(ip.String())
	return err
}
