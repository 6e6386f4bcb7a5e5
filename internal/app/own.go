package app

import (
	"encoding/json"
	"fmt"
	"time"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/work"
)

// own is /nacre/v1: what OpenStack has no call for.
func (cloud *Cloud) own(websso api.Handler) api.Service {
	return api.Service{
		Name: "nacre", Type: "nacre", Mount: "/nacre/v1", Spec: "/nacre/v1", Envelope: api.Keystone,
		Routes: append([]api.Route{
			{Method: "GET", Path: "/plans", Rule: "nacre:plans:list", Do: api.Get(cloud.listPlans)},
			{Method: "GET", Path: "/loops", Rule: "nacre:loops:list", Do: api.Get(cloud.listLoops)},
			{Method: "GET", Path: "/schedule", Rule: "nacre:schedule:show", Do: api.Get(cloud.showSchedule)},
			{Method: "GET", Path: "/permission", Rule: "nacre:permission:show", Do: api.Get(cloud.showPermission)},
			{Method: "GET", Path: "/websso", Public: true, Do: websso},
		}, cloud.clusterRoutes()...),
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
