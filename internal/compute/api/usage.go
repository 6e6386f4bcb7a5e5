package api

import (
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// usageRoutes is what projects have used over a span of time.
func (h handlers) usageRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/os-simple-tenant-usage", Rule: "os_compute_api:os-simple-tenant-usage:list", Do: api.Get(h.listUsage)},
		{Method: "GET", Path: "/os-simple-tenant-usage/{tenant_id}", Rule: "os_compute_api:os-simple-tenant-usage:show", Do: api.Get(h.showUsage)},
	}
}

type usageOfProject struct {
	Tenant  string           `json:"tenant_id"`
	Start   api.Micros       `json:"start"`
	Stop    api.Micros       `json:"stop"`
	Hours   float64          `json:"total_hours"`
	Memory  float64          `json:"total_memory_mb_usage"`
	Cores   float64          `json:"total_vcpus_usage"`
	Disk    float64          `json:"total_local_gb_usage"`
	Servers *[]usageOfServer `json:"server_usages,omitempty"`
}

type usageOfServer struct {
	ID     string     `json:"instance_id"`
	Name   string     `json:"name"`
	Tenant string     `json:"tenant_id"`
	Flavor string     `json:"flavor"`
	Hours  float64    `json:"hours"`
	Memory int64      `json:"memory_mb"`
	Disk   int64      `json:"local_gb"`
	VCPUs  int64      `json:"vcpus"`
	Start  api.Micros `json:"started_at"`
	End    api.Micros `json:"ended_at"`
	State  string     `json:"state"`
	Uptime int64      `json:"uptime"`
}

type usagesReply struct {
	Usages []usageOfProject `json:"tenant_usages"`
	Links  []api.Link       `json:"tenant_usages_links,omitempty"`
}

// usageReply is one project's usage; one without any is an empty object.
type usageReply struct {
	Usage any        `json:"tenant_usage"`
	Links []api.Link `json:"tenant_usage_links,omitempty"`
}

// span reads start and end; what is left out is four weeks back, and now.
func span(c *api.Call) (start, end time.Time, err error) {
	end = c.Now()
	start = end.Add(-28 * 24 * time.Hour)
	for name, into := range map[string]*time.Time{"start": &start, "end": &end} {
		text := c.Query().Get(name)
		if text == "" {
			continue
		}
		*into, err = usageTime(text)
		if err != nil {
			return start, end, errs.BadRequestf("Invalid datetime string: Datetime is in invalid format")
		}
	}
	if end.Before(start) {
		return start, end, errs.BadRequestf("Invalid start time. The start time cannot occur after the end time.")
	}
	return start, end, nil
}

func usageTime(text string) (time.Time, error) {
	at, err := db.ParseTime(text)
	if err == nil {
		return at, nil
	}
	for _, form := range []string{"2006-01-02", "2006-01-02 15:04:05.000000", "2006-01-02 15:04:05"} {
		at, formErr := time.Parse(form, text)
		if formErr == nil {
			return at, nil
		}
	}
	return at, err
}

// sums adds the usage of servers up by project, in the order they come in.
func sums(list []compute.UsageOfServer, start, end time.Time, detailed bool) []usageOfProject {
	var out []usageOfProject
	for _, u := range list {
		s, f := u.Server, u.Server.Flavor.V
		if len(out) == 0 || out[len(out)-1].Tenant != s.Project {
			out = append(out, usageOfProject{Tenant: s.Project, Start: api.Micros(start), Stop: api.Micros(end)})
			if detailed {
				out[len(out)-1].Servers = &[]usageOfServer{}
			}
		}
		p := &out[len(out)-1]
		p.Hours += u.Hours
		p.Memory += u.Hours * float64(f.RAM)
		p.Cores += u.Hours * float64(f.VCPUs)
		p.Disk += u.Hours * float64(f.Disk+f.Ephemeral)
		if !detailed {
			continue
		}
		v := usageOfServer{
			ID: s.ID, Name: s.Name, Tenant: s.Project, Flavor: f.Name, Hours: u.Hours, Memory: f.RAM, Disk: f.Disk + f.Ephemeral, VCPUs: f.VCPUs,
			Start: api.Micros(s.LaunchedAt.Time()), State: string(s.VMState), Uptime: int64(u.Until.Sub(s.LaunchedAt.Time()).Seconds()),
		}
		if s.VMState == compute.Deleted {
			v.State, v.End = "terminated", api.Micros(s.DeletedAt.Time())
		}
		*p.Servers = append(*p.Servers, v)
	}
	return out
}

// usage reads a page of a project's servers ("" for all), and the link to the next
// one, which a full page has. Before 2.40 there is only the first.
func (h handlers) usage(c *api.Call, project string, detailed bool) ([]usageOfProject, []api.Link, error) {
	start, end, err := span(c)
	if err != nil {
		return nil, nil, err
	}
	page := db.Page{Limit: mostUsages}
	paged := c.Version >= api.V(2, 40)
	if paged {
		page, err = c.Page(api.List{MaxLimit: mostUsages, ZeroIsNone: true})
		if err != nil {
			return nil, nil, err
		}
		page.Reverse = false // Nova has no such pages
	}
	list, err := h.compute.Usage(c.Context(), project, start, end, page)
	if err != nil {
		return nil, nil, err
	}
	var links []api.Link
	if paged && len(list) == page.Limit {
		links = next(c, true, list[len(list)-1].Server.ID)
	}
	return sums(list, start, end, detailed), links, nil
}

// mostUsages bounds the servers of a reply.
const mostUsages = 1000

func (h handlers) listUsage(c *api.Call) (usagesReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return usagesReply{}, err
	}
	usages, links, err := h.usage(c, "", c.Query().Get("detailed") == "1")
	return usagesReply{usages, links}, err
}

func (h handlers) showUsage(c *api.Call) (usageReply, error) {
	project := c.PathValue("tenant_id")
	err := c.Authorize(auth.Target{Project: project})
	if err != nil {
		return usageReply{}, err
	}
	usages, links, err := h.usage(c, project, true)
	if len(usages) == 0 {
		return usageReply{struct{}{}, links}, err
	}
	return usageReply{usages[0], links}, err
}
