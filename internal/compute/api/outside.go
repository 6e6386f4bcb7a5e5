package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

// outsideRoutes is what other services tell compute and ask of it, and what
// auditors do.
func (h handlers) outsideRoutes() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/os-server-external-events", Rule: "os_compute_api:os-server-external-events:create", OK: 200, Do: api.Body(h.hearEvents)},
		{Method: "POST", Path: "/os-assisted-volume-snapshots", Rule: "os_compute_api:os-assisted-volume-snapshots:create", OK: 200, Do: api.BodyEmpty(h.assistSnapshot)},
		{Method: "DELETE", Path: "/os-assisted-volume-snapshots/{snapshot_id}", Rule: "os_compute_api:os-assisted-volume-snapshots:delete", OK: 204, Do: api.Empty(h.unassistSnapshot)},
		{Method: "GET", Path: "/os-instance_usage_audit_log", Rule: "os_compute_api:os-instance-usage-audit-log:list", Do: api.Get(h.listAudits)},
		{Method: "GET", Path: "/os-instance_usage_audit_log/{before_timestamp}", Rule: "os_compute_api:os-instance-usage-audit-log:show", Do: api.Get(h.showAudits)},
	}
}

type externalEvents struct {
	Events []externalEvent `json:"events" check:"required,min=1"`
}

type externalEvent struct {
	Server string  `json:"server_uuid" check:"required,pattern=uuid"`
	Name   string  `json:"name" check:"required,max=255"`
	Status string  `json:"status" check:"enum=failed|completed|in-progress"`
	Tag    *string `json:"tag,omitempty" check:"max=255,notnull"`
}

type heardEvent struct {
	Server string  `json:"server_uuid"`
	Name   string  `json:"name"`
	Status string  `json:"status"`
	Tag    *string `json:"tag,omitempty"`
	Code   int     `json:"code"`
}

type heardReply struct {
	Events []heardEvent `json:"events"`
}

// eventsSince are the events that there are, with the microversion that brought
// each.
var eventsSince = []struct {
	name  string
	since api.Version
}{
	{"network-changed", minVersion}, {"network-vif-plugged", minVersion}, {"network-vif-unplugged", minVersion}, {"network-vif-deleted", minVersion},
	{"volume-extended", api.V(2, 51)}, {"power-update", api.V(2, 76)}, {"accelerator-request-bound", api.V(2, 82)}, {"volume-reimaged", api.V(2, 93)},
}

func (h handlers) hearEvents(c *api.Call, in externalEvents) (heardReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return heardReply{}, err
	}
	var known []string
	for _, e := range eventsSince {
		if c.Version >= e.since {
			known = append(known, e.name)
		}
	}
	var events []compute.ExternalEvent
	reply := heardReply{Events: []heardEvent{}}
	for i, e := range in.Events {
		if !slices.Contains(known, e.Name) {
			return heardReply{}, errs.BadRequestf("Invalid input for field/attribute name. Value: %s. '%s' is not one of %q", e.Name, e.Name, known)
		}
		if e.Status == "" {
			in.Events[i].Status, e.Status = "completed", "completed"
		}
		event := compute.ExternalEvent{Server: e.Server, Name: e.Name, Status: e.Status}
		if e.Tag != nil {
			event.Tag = *e.Tag
		}
		events = append(events, event)
	}
	outcomes, err := h.compute.HearEvents(c.Context(), events)
	if err != nil {
		return heardReply{}, err
	}
	for i, e := range in.Events {
		heard := heardEvent{e.Server, e.Name, "completed", e.Tag, int(outcomes[i])}
		if heard.Code != http.StatusOK {
			heard.Status = "failed"
			c.SetStatus(http.StatusMultiStatus)
		}
		reply.Events = append(reply.Events, heard)
	}
	return reply, nil
}

type assistRequest struct {
	Snapshot struct {
		Volume string `json:"volume_id" check:"required,min=1"`
		Info   struct {
			Snapshot string `json:"snapshot_id" check:"required,min=1"`
			Type     string `json:"type" check:"required,enum=qcow2"`
			File     string `json:"new_file" check:"required,min=1"`
			ID       string `json:"id" check:"min=1"`
		} `json:"create_info" check:"required"`
	} `json:"snapshot" check:"required"`
}

func (h handlers) assistSnapshot(c *api.Call, in assistRequest) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return h.compute.AssistSnapshot(c.Context(), in.Snapshot.Volume)
}

func (h handlers) unassistSnapshot(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	var info struct {
		Volume string `json:"volume_id"`
	}
	text := c.Query().Get("delete_info")
	err = json.Unmarshal([]byte(text), &info)
	if err != nil || info.Volume == "" {
		return errs.BadRequestf("delete_info must be JSON with the key volume_id, and is %q.", text)
	}
	return h.compute.AssistSnapshot(c.Context(), info.Volume)
}

// auditLog is of one period. No host runs the audits that Nova's setting
// instance_usage_audit turns on: what was used is told as it happens, and summed
// up by os-simple-tenant-usage.
type auditLog struct {
	NotRun       []string            `json:"hosts_not_run"`
	Log          map[string]struct{} `json:"log"`
	Hosts        int                 `json:"num_hosts"`
	HostsDone    int                 `json:"num_hosts_done"`
	HostsNotRun  int                 `json:"num_hosts_not_run"`
	HostsRunning int                 `json:"num_hosts_running"`
	Status       string              `json:"overall_status"`
	Beginning    string              `json:"period_beginning"`
	Ending       string              `json:"period_ending"`
	Errors       int                 `json:"total_errors"`
	Instances    int                 `json:"total_instances"`
}

type auditsReply struct {
	Log auditLog `json:"instance_usage_audit_logs"`
}

type auditReply struct {
	Log auditLog `json:"instance_usage_audit_log"`
}

func (h handlers) listAudits(c *api.Call) (auditsReply, error) {
	log, err := h.audits(c, c.Now())
	return auditsReply{log}, err
}

func (h handlers) showAudits(c *api.Call) (auditReply, error) {
	text := c.PathValue("before_timestamp")
	before, err := time.Parse("2006-01-02 15:04:05", text) // fractions of seconds are read as well
	if err != nil {
		err = c.AuthorizeOwn()
		if err == nil {
			err = errs.BadRequestf("Invalid timestamp for date %s", text)
		}
		return auditReply{}, err
	}
	log, err := h.audits(c, before)
	return auditReply{log}, err
}

// audits is about the last month that was over at the time.
func (h handlers) audits(c *api.Call, before time.Time) (auditLog, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return auditLog{}, err
	}
	list, err := h.compute.Hypervisors(c.Context())
	if err != nil {
		return auditLog{}, err
	}
	before = before.UTC()
	end := time.Date(before.Year(), before.Month(), 1, 0, 0, 0, 0, time.UTC)
	const form = "2006-01-02 15:04:05"
	log := auditLog{
		NotRun: []string{}, Log: map[string]struct{}{}, Hosts: len(list), HostsNotRun: len(list),
		Status:    fmt.Sprintf("0 of %d hosts done. 0 errors.", len(list)),
		Beginning: end.AddDate(0, -1, 0).Format(form), Ending: end.Format(form),
	}
	for _, host := range list {
		log.NotRun = append(log.NotRun, host.Host.Name)
	}
	return log, nil
}
