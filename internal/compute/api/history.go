package api

import (
	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// historyRoutes is what was done to servers: runs of plans, and their steps as
// events.
func (h handlers) historyRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/servers/{server_id}/os-instance-actions", Rule: "os_compute_api:os-instance-actions:list", Do: api.Get(h.listHistory)},
		{Method: "GET", Path: "/servers/{server_id}/os-instance-actions/{request_id}", Rule: "os_compute_api:os-instance-actions:show", Do: api.Get(h.showHistory)},
	}
}

type actionView struct {
	Action    string     `json:"action"`
	Server    string     `json:"instance_uuid"`
	Request   string     `json:"request_id"`
	User      string     `json:"user_id"`
	Project   string     `json:"project_id"`
	StartTime api.Micros `json:"start_time"`
	Message   *string    `json:"message"`
	Updated   api.Micros `json:"updated_at" since:"2.58"`

	Events *[]eventView `json:"events,omitempty"`
}

type eventView struct {
	Event     string     `json:"event"`
	Start     api.Micros `json:"start_time"`
	Finish    api.Micros `json:"finish_time"`
	Result    *string    `json:"result"`
	Traceback **string   `json:"traceback,omitempty"`
	HostID    string     `json:"hostId" since:"2.62"`
	Host      *string    `json:"host,omitempty" since:"2.62"`
	Details   **string   `json:"details,omitempty" since:"2.84"`
}

type actionsReply struct {
	Actions []actionView `json:"instanceActions"`
	Links   []api.Link   `json:"links,omitempty"`
}

type actionReply struct {
	Action actionView `json:"instanceAction"`
}

// past finds the server, also a deleted one since 2.21, and what was done.
func (h handlers) past(c *api.Call) (compute.Server, []work.Run, error) {
	server, runs, err := h.compute.History(c.Context(), scope(c), c.PathValue("server_id"))
	if err != nil {
		return server, nil, err
	}
	if server.VMState == compute.Deleted && c.Version < api.V(2, 21) {
		return server, nil, errs.NotFoundf("Instance %s could not be found.", server.ID)
	}
	var shown []work.Run
	for _, run := range runs {
		if run.Action != "" {
			shown = append(shown, run)
		}
	}
	return server, shown, c.Authorize(of(server))
}

func (h handlers) listHistory(c *api.Call) (actionsReply, error) {
	server, runs, err := h.past(c)
	if err != nil {
		return actionsReply{}, err
	}
	reply := actionsReply{Actions: []actionView{}}
	page, err := pageSince(c, api.V(2, 58), api.List{ZeroIsNone: true})
	if err != nil || page.None {
		return reply, err
	}
	var since, before db.Time
	if c.Version >= api.V(2, 58) {
		err = changes(c, &since, &before)
		if err != nil {
			return actionsReply{}, err
		}
	}
	behind := page.Marker == ""
	for _, run := range runs {
		if !behind {
			behind = run.Caller.Request == page.Marker
			continue
		}
		if run.UpdatedAt < since || before > 0 && run.UpdatedAt > before {
			continue
		}
		if page.Limit > 0 && len(reply.Actions) == page.Limit {
			reply.Links = next(c, true, reply.Actions[page.Limit-1].Request)
			break
		}
		reply.Actions = append(reply.Actions, viewRun(server, run))
	}
	if !behind {
		return actionsReply{}, errs.BadRequestf("marker [%s] not found", page.Marker)
	}
	return reply, nil
}

func viewRun(server compute.Server, run work.Run) actionView {
	v := actionView{
		Action: run.Action, Server: server.ID, Request: run.Caller.Request, User: run.Caller.User, Project: run.Caller.Project,
		StartTime: api.Micros(run.CreatedAt.Time()), Updated: api.Micros(run.UpdatedAt.Time()),
	}
	if run.Phase == "undoing" || run.Phase == "undone" {
		text := "Error"
		v.Message = &text
	}
	return v
}

func (h handlers) showHistory(c *api.Call) (actionReply, error) {
	server, runs, err := h.past(c)
	if err != nil {
		return actionReply{}, err
	}
	for _, run := range runs {
		if run.Caller.Request != c.PathValue("request_id") {
			continue
		}
		v := viewRun(server, run)
		hosts := c.May("os_compute_api:os-instance-actions:events", of(server))
		if hosts || c.Version >= api.V(2, 51) {
			events := viewSteps(server, run, hosts, c.May("os_compute_api:os-instance-actions:events:details", of(server)))
			v.Events = &events
		}
		return actionReply{v}, nil
	}
	return actionReply{}, errs.NotFoundf("Action for request_id %s on instance %s not found", c.PathValue("request_id"), server.ID)
}

// viewSteps shows the steps of a run, newest first: on which host, and what lies behind
// an error or a wait, to those who may see it.
func viewSteps(server compute.Server, run work.Run, hosts, details bool) []eventView {
	events := []eventView{}
	for i := len(run.Steps) - 1; i >= 0; i-- {
		step := run.Steps[i]
		e := eventView{
			Event: step.Step, HostID: server.HostID(),
			Start: api.Micros(step.Started.Time()), Finish: api.Micros(step.Finished.Time()),
		}
		if step.Undo {
			e.Event = "undo " + step.Step
		}
		if step.Result != "" {
			result := "Success"
			if step.Result != "success" {
				result = "Error"
			}
			e.Result = &result
		}
		if details {
			e.Details = new(orNull(step.Message))
		}
		if hosts {
			trace := orNull("")
			if step.Result == "error" {
				trace = orNull(step.Message)
			}
			e.Traceback, e.Host = &trace, &server.Host
		}
		events = append(events, e)
	}
	return events
}
