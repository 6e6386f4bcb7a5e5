package work

import (
	"context"
	"fmt"

	"nacre/internal/db"
)

// Run is one run of a plan as others may see it.
type Run struct {
	ID        string
	Name      string
	Action    string
	Resource  string
	Project   string
	Caller    Caller
	Phase     Phase
	Step      string // the current one, "" when finished
	Reason    string // what it waits for, or why it was undone
	Since     db.Time
	Deadline  db.Time
	CreatedAt db.Time
	UpdatedAt db.Time
	Steps     []StepRun // the journal, by History only; the running step is its last line
}

// Query selects runs for List. Zero fields select all.
type Query struct {
	Resource   string
	Project    string
	Unfinished bool
	Limit      int // 1000 if zero
}

// List returns runs, newest first, without their journals.
func List(ctx context.Context, tx *db.Tx, q Query) ([]Run, error) {
	if q.Limit == 0 {
		q.Limit = 1000
	}
	var rows []row
	s := tx.NewSelect().Model(&rows).OrderExpr("created_at DESC, turn DESC").Limit(int64(q.Limit))
	if q.Resource != "" {
		s = s.Where("resource = ?", q.Resource)
	}
	if q.Project != "" {
		s = s.Where("project = ?", q.Project)
	}
	if q.Unfinished {
		s = s.Where("phase IN ('queued', 'doing', 'undoing')")
	}
	err := s.Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list plans: %w", err)
	}
	runs := make([]Run, 0, len(rows))
	for _, r := range rows {
		runs = append(runs, r.view())
	}
	return runs, nil
}

// History returns all runs of a resource, newest first, with their journals.
func History(ctx context.Context, tx *db.Tx, resource string) ([]Run, error) {
	runs, err := List(ctx, tx, Query{Resource: resource})
	if err != nil {
		return nil, err
	}
	var lines []StepRun
	err = tx.All(ctx, &lines, `
		SELECT s.plan, s.seq, s.step, s.undo, s.started, s.finished, s.result, s.message
		FROM plan_steps AS s JOIN plans AS p ON p.id = s.plan
		WHERE p.resource = ? ORDER BY s.plan, s.seq`, resource)
	if err != nil {
		return nil, fmt.Errorf("read journal of %s: %w", resource, err)
	}
	byPlan := map[string][]StepRun{}
	for _, l := range lines {
		byPlan[l.Plan] = append(byPlan[l.Plan], l)
	}
	for i, r := range runs {
		runs[i].Steps = byPlan[r.ID]
		if r.Phase == doing || r.Phase == undoing && r.Step != "" {
			runs[i].Steps = append(runs[i].Steps, StepRun{
				Plan: r.ID, Seq: len(runs[i].Steps) + 1, Step: r.Step, Undo: r.Phase == undoing,
				Started: r.Since, Message: r.Reason,
			})
		}
	}
	return runs, nil
}

func (r row) view() Run {
	v := Run{
		ID: r.ID, Name: r.Name, Action: r.Action, Resource: r.Resource, Project: r.Project, Caller: r.Caller.V,
		Phase: r.Phase, Step: r.Step, Reason: r.Reason, Since: r.Since, Deadline: r.Deadline,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if r.Phase == undone {
		v.Reason = r.faultMessage()
	}
	return v
}

func (r row) faultMessage() string {
	if r.Fault == "" {
		return r.Reason
	}
	return readFault(r.Fault).Error()
}
