package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// own is /nacre/v1: what OpenStack has no call for.
func (cloud *Cloud) own(signIn []api.Route) api.Service {
	return api.Service{
		Name: "nacre", Type: "nacre", Mount: "/nacre/v1", Spec: "/nacre/v1", Envelope: api.Keystone,
		Routes: slices.Concat([]api.Route{
			{Method: "GET", Path: "/plans", Rule: "nacre:plans:list", Do: api.Get(cloud.listPlans)},
			{Method: "GET", Path: "/loops", Rule: "nacre:loops:list", Do: api.Get(cloud.listLoops)},
			{Method: "GET", Path: "/schedule", Rule: "nacre:schedule:show", Do: api.Get(cloud.showSchedule)},
			{Method: "GET", Path: "/schedule/dry-run", Rule: "nacre:schedule:dry_run", Do: api.Get(cloud.dryRun)},
			{Method: "GET", Path: "/permission", Rule: "nacre:permission:show", Do: api.Get(cloud.showPermission)},
			{Method: "GET", Path: "/domains/{domain_id}/directory", Rule: "nacre:directory:show", Do: api.Get(cloud.showDirectory)},
		}, signIn, cloud.clusterRoutes()),
	}
}

type planView struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Resource string     `json:"resource"`
	Step     string     `json:"step"`
	Status   string     `json:"status"`
	Reason   string     `json:"reason"`
	Since    api.Micros `json:"since"`
	Deadline api.Micros `json:"deadline"`
}

type plansView struct {
	Plans []planView `json:"plans"`
}

// listPlans tells what the work about a resource waits for, newest first; with
// unfinished=true only of what has not ended. A caller sees the plans of its
// project, an admin all.
func (cloud *Cloud) listPlans(c *api.Call) (plansView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return plansView{}, err
	}
	q := work.Query{Resource: c.Query().Get("resource"), Unfinished: c.Query().Get("unfinished") == "true", Limit: 100}
	if !c.Caller.Admin() {
		q.Project = c.Caller.Project
	}
	var runs []work.Run
	err = cloud.DB.Read(c.Context(), func(tx *db.Tx) error {
		var err error
		runs, err = work.List(c.Context(), tx, q)
		return err
	})
	if err != nil {
		return plansView{}, fmt.Errorf("list plans: %w", err)
	}
	v := plansView{Plans: make([]planView, len(runs))}
	for i, r := range runs {
		v.Plans[i] = planView{
			ID: r.ID, Name: r.Name, Resource: r.Resource, Step: r.Step, Status: string(r.Phase), Reason: r.Reason,
			Since: api.Micros(r.Since.Time()), Deadline: api.Micros(r.Deadline.Time()),
		}
	}
	return v, nil
}

type loopView struct {
	Name     string     `json:"name"`
	Every    string     `json:"every"`
	Turns    int        `json:"turns"`
	Acted    int        `json:"acted"`
	Failures int        `json:"failures"`
	LastAt   api.Micros `json:"last_at"`
	Error    string     `json:"error"`
}

type loopsView struct {
	Loops []loopView `json:"loops"`
}

// listLoops tells how the loops are doing.
func (cloud *Cloud) listLoops(c *api.Call) (loopsView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return loopsView{}, err
	}
	v := loopsView{}
	for _, s := range cloud.Loops.Status() {
		v.Loops = append(v.Loops, loopView{
			Name: s.Name, Every: s.Every.Round(time.Millisecond).String(), Turns: s.Turns, Acted: s.Acted,
			Failures: s.Failures, LastAt: api.Micros(s.LastAt), Error: s.Error,
		})
	}
	return v, nil
}

// showSchedule explains where a server is and why.
func (cloud *Cloud) showSchedule(c *api.Call) (json.RawMessage, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return nil, err
	}
	return cloud.Compute.Explain(c.Context(), c.Query().Get("server"))
}

// dryRun tells whether servers of a flavor would find room, and where. Whoever is
// no admin is told how many, and why no more, but not of single hosts.
func (cloud *Cloud) dryRun(c *api.Call) (compute.DryResult, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return compute.DryResult{}, err
	}
	q := c.Query()
	d := compute.DryRun{
		Caller: c.Caller, Flavor: q.Get("flavor"), Image: q.Get("image"), Zone: q.Get("availability_zone"), ServerGroup: q.Get("server_group"), Count: 1,
	}
	if d.Flavor == "" {
		return compute.DryResult{}, errs.BadRequestf("Which flavor? Give its id or name as flavor.")
	}
	if text := q.Get("count"); text != "" {
		d.Count, err = strconv.Atoi(text)
		if err != nil {
			return compute.DryResult{}, errs.BadRequestf("count must be a number, not %.32q.", text)
		}
	}
	if text := q.Get("hints"); text != "" {
		err = json.Unmarshal([]byte(text), &d.Hints)
		if err != nil {
			return compute.DryResult{}, errs.BadRequestf("hints must be an object in JSON.").Because(err)
		}
	}
	result, err := cloud.Compute.DryRun(c.Context(), d)
	if err == nil && !c.Caller.Admin() {
		result.Hosts, result.Explanation.Hosts = []compute.Share{}, nil
		if result.Summary != "" {
			result.Summary = result.Explanation.Summary()
		}
	}
	return result, err
}
