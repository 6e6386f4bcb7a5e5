package api

import (
	"net/netip"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// serverRoutes is the servers API in the order of the API reference.
func (h handlers) serverRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/servers", Rule: "os_compute_api:servers:index", Do: api.Get(h.listServers)},
		{Method: "POST", Path: "/servers", Rule: "os_compute_api:servers:create", OK: 202, Do: api.Body(h.createServer)},
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
	err = h.place(c, in, &input)
	if err != nil {
		return nil, err
	}
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
	out := createdServer{ID: first.ID, Links: links(c, "/servers/"+first.ID), DiskConfig: "MANUAL", AdminPass: in.Server.AdminPass}
	if out.AdminPass == "" {
		out.AdminPass = password()
	}
	if in.Server.DiskConfig != "" {
		out.DiskConfig = in.Server.DiskConfig
	}
	for _, g := range in.Server.Groups {
		out.Groups = append(out.Groups, groupName{g.Name})
	}
	if in.Server.Groups == nil {
		out.Groups = []groupName{{"default"}}
	}
	return createdReply{out}, nil
}

// place reads where the server should go. Only some may name a host.
func (h handlers) place(c *api.Call, in createRequest, out *compute.NewServer) error {
	if in.Server.Zone != nil {
		zone, host, err := zoneAndHost(*in.Server.Zone)
		if err != nil {
			return err
		}
		out.Zone = zone
		if host != "" {
			out.Host = host
		}
	}
	if out.Host == "" {
		return nil
	}
	return c.AuthorizeRule("os_compute_api:servers:create:forced_host", auth.Target{Project: c.Caller.Project, User: c.Caller.User})
}

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
	servers, more, err := h.find(c, "index")
	if err != nil {
		return basicServersReply{}, err
	}
	reply := basicServersReply{Servers: make([]basicServer, len(servers))}
	for i, server := range servers {
		reply.Servers[i] = basicServer{server.ID, server.Name, links(c, "/servers/"+server.ID)}
	}
	if more {
		reply.Links = next(c, more, servers[len(servers)-1].ID)
	}
	return reply, nil
}

func (h handlers) detailServers(c *api.Call) (serversReply, error) {
	servers, more, err := h.find(c, "detail")
	if err != nil {
		return serversReply{}, err
	}
	views, err := h.viewServers(c, servers, seen(c, auth.Target{Project: c.Caller.Project, User: c.Caller.User}))
	if err != nil {
		return serversReply{}, err
	}
	reply := serversReply{Servers: views}
	if more {
		reply.Links = next(c, more, servers[len(servers)-1].ID)
	}
	return reply, nil
}

// serverList is how lists of servers can be cut and filtered. Some filters are
// for admins only.
var serverList = api.List{
	Sorts: map[string]string{
		"created_at": "created_at", "updated_at": "updated_at", "uuid": "id", "display_name": "name", "name": "name",
		"vm_state": "vm_state", "task_state": "task_state", "power_state": "power_state", "launched_at": "launched_at",
		"host": "host", "user_id": "user_id", "project_id": "project", "image_ref": "image", "key_name": "created_at",
		"launch_index": "launch_index", "locked": "locked", "root_device_name": "root_device", "hostname": "hostname",
		"instance_type_id": "flavor_id", "access_ip_v4": "access_ip4", "access_ip_v6": "access_ip6", "config_drive": "config_drive",
	},
	Default: []db.Sort{{Column: "created_at", Desc: true}, {Column: "id", Desc: true}},
	Filters: map[string]db.Filter{
		"image": {Column: "image"}, "flavor": {Column: "flavor_id"},
		"key_name": {Column: "key_name"}, "reservation_id": {Column: "reservation"}, "config_drive": {Column: "config_drive", Match: db.Flag},
		"locked": {Column: "locked", Match: db.Flag}, "description": {Column: "description", Match: db.Contains},
		"vm_state": {Column: "vm_state"}, "task_state": {Column: "task_state"}, "power_state": {Column: "power_state", Match: db.Number},
		"launch_index": {Column: "launch_index", Match: db.Number}, "hostname": {Column: "hostname"}, "user_id": {Column: "user_id"},
		"access_ip_v4": {Column: "access_ip4"}, "access_ip_v6": {Column: "access_ip6"}, "host": {Column: "host"}, "node": {Column: "host"},
	},
}

// adminFilters are ignored when others send them; before 2.83 all but the
// oldest were.
var adminFilters = []string{"host", "node", "vm_state", "task_state", "power_state", "launch_index", "hostname"}

func (h handlers) find(c *api.Call, action string) ([]compute.Server, bool, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, false, err
	}
	params := c.Query()
	q := compute.Query{Project: c.Caller.Project, Name: params.Get("name"), IP: params.Get("ip"), Brief: action == "index"}
	if params.Get("ip6") != "" {
		q.IP = params.Get("ip6")
	}
	if q.Project == "" {
		q.Project = "-"
	}
	all := false
	if params.Has("all_tenants") {
		var ok bool
		all, ok = api.ParseBool(params.Get("all_tenants"))
		if !ok && params.Get("all_tenants") != "" {
			return nil, false, errs.BadRequestf("Invalid input for query parameters all_tenants. Value: %s. It is not a truth value.", params.Get("all_tenants"))
		}
		all = all || !ok
	}
	admin := c.May("os_compute_api:servers:allow_all_filters", auth.Target{})
	if all {
		err = c.AuthorizeRule("os_compute_api:servers:"+action+":get_all_tenants", auth.Target{Project: c.Caller.Project})
		if err != nil {
			return nil, false, err
		}
		q.Project = params.Get("project_id")
		if q.Project == "" {
			q.Project = params.Get("tenant_id")
		}
	}
	q.Page, err = c.Page(serverList)
	if err != nil {
		return nil, false, err
	}
	err = filters(c, &q, admin)
	if err != nil {
		return nil, false, err
	}
	if q.IP == "" {
		return h.compute.Servers(c.Context(), q)
	}
	return h.byAddress(c, q)
}

func filters(c *api.Call, q *compute.Query, admin bool) error {
	params := c.Query()
	list := serverList
	if !admin {
		list.Filters = map[string]db.Filter{}
		for name, f := range serverList.Filters {
			if !slices.Contains(adminFilters, name) {
				list.Filters[name] = f
			}
		}
	}
	var err error
	q.Conds, err = c.Where(list)
	if err != nil {
		return err
	}
	if admin {
		q.Deleted, _ = api.ParseBool(params.Get("deleted"))
	}
	if params.Has("uuid") {
		q.IDs = params["uuid"]
	}
	for _, status := range params["status"] {
		status = strings.ToUpper(status)
		if !compute.KnownStatus(status) {
			if c.Version >= api.V(2, 38) {
				return errs.BadRequestf("Invalid status value: %s", status)
			}
		}
		q.Statuses = append(q.Statuses, status)
		if status == "DELETED" {
			if !admin {
				return errs.Forbiddenf("Only administrators may list deleted instances")
			}
			q.Deleted = true
		}
	}
	for _, t := range []struct {
		name string
		into *db.Time
	}{{"changes-since", &q.ChangedSince}, {"changes-before", &q.ChangedBefore}} {
		text := params.Get(t.name)
		if text == "" || (t.name == "changes-before" && c.Version < api.V(2, 66)) {
			continue
		}
		at, err := db.ParseTime(text)
		if err != nil {
			return errs.BadRequestf("Invalid input for query parameters %s. Value: %s. '%s' is not a 'date-time'", t.name, text, text)
		}
		*t.into = db.At(at)
	}
	if q.ChangedSince > 0 && q.ChangedBefore > 0 && q.ChangedBefore < q.ChangedSince {
		return errs.BadRequestf("The value of changes-since must be less than or equal to changes-before.")
	}
	if c.Version >= api.V(2, 26) {
		for _, t := range []struct {
			name string
			into *[]string
		}{{"tags", &q.Tags}, {"tags-any", &q.TagsAny}, {"not-tags", &q.NotTags}, {"not-tags-any", &q.NotTagsAny}} {
			if params.Get(t.name) != "" {
				*t.into = strings.Split(params.Get(t.name), ",")
			}
		}
	}
	return nil
}

// byAddress filters by address, which is the ports' matter: all servers are
// looked at, and the page is cut afterwards.
func (h handlers) byAddress(c *api.Call, q compute.Query) ([]compute.Server, bool, error) {
	page := q.Page
	q.Page.Limit = 0
	servers, _, err := h.compute.Servers(c.Context(), q)
	if err != nil {
		return nil, false, err
	}
	details, err := h.compute.Details(c.Context(), servers, false)
	if err != nil {
		return nil, false, err
	}
	want := strings.Trim(q.IP, "^$")
	var found []compute.Server
	for _, server := range servers {
		hit := false
		for _, p := range details.Ports[server.ID] {
			for _, a := range p.Addresses {
				hit = hit || strings.Contains(a.IP, want) || slices.ContainsFunc(a.Floating, func(ip string) bool { return strings.Contains(ip, want) })
			}
		}
		if hit {
			found = append(found, server)
		}
	}
	if page.Limit > 0 && len(found) > page.Limit {
		return found[:page.Limit], true, nil
	}
	return found, false, nil
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
	views, err := h.viewServers(c, []compute.Server{server}, see)
	if err != nil {
		return serverReply{}, err
	}
	return serverReply{views[0]}, nil
}

type updateRequest struct {
	Server updateServer `json:"server" check:"required"`
}

type updateServer struct {
	Name        *string         `json:"name" check:"min=1,max=255,pattern=name"`
	DiskConfig  string          `json:"OS-DCF:diskConfig" check:"enum=AUTO|MANUAL"`
	AccessIP4   *string         `json:"accessIPv4"`
	AccessIP6   *string         `json:"accessIPv6"`
	Description api.Opt[string] `json:"description" since:"2.19" check:"max=255"`
	Hostname    *string         `json:"hostname" since:"2.90" check:"min=2,max=255,pattern=hostname"`
}

func (h handlers) updateServer(c *api.Call, in updateRequest) (any, error) {
	server, err := h.server(c)
	if err != nil {
		return nil, err
	}
	change := compute.ServerUpdate{Name: in.Server.Name, Hostname: in.Server.Hostname, AccessIP4: in.Server.AccessIP4, AccessIP6: in.Server.AccessIP6}
	if in.Server.Description.Set {
		text := &in.Server.Description.V
		if in.Server.Description.Null {
			text = nil
		}
		change.Description = &text
	}
	for _, a := range []struct {
		field  string
		ip     *string
		family int
	}{{"accessIPv4", in.Server.AccessIP4, 4}, {"accessIPv6", in.Server.AccessIP6, 6}} {
		if a.ip != nil && *a.ip != "" && !isIP(*a.ip, a.family) {
			return nil, errs.BadRequestf("Invalid input for field/attribute %s. Value: %s. '%s' is not a 'ipv%d'", a.field, *a.ip, *a.ip, a.family)
		}
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

func (h handlers) deleteServer(c *api.Call) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	return h.compute.DeleteServer(c.Context(), act(c, server))
}

func isIP(text string, family int) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Zone() == "" && ((family == 4 && ip.Is4()) || (family == 6 && ip.Is6()))
}
