package worktest_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/work"
	"nacre/internal/work/worktest"
)

type state struct{ Disk, Machine string }

// world is a host with disks and machines, which survive a crash of ours.
type world map[string]bool

func (w world) plan() work.Plan[state] {
	return work.Plan[state]{Name: "create", Steps: []work.Step[state]{
		{
			Name: "disk",
			Do:   func(ctx context.Context, s *state) error { w[s.Disk] = true; return nil },
			Undo: func(ctx context.Context, s *state) error { delete(w, s.Disk); return nil },
		},
		{
			Name: "count",
			Tx: func(ctx context.Context, tx *db.Tx, s *state) error {
				_, err := tx.Exec(ctx, `INSERT INTO quota_usages (project, resource, used) VALUES ('p', 'r', 1)
					ON CONFLICT (project, resource) DO UPDATE SET used = quota_usages.used + 1`)
				return err
			},
			UndoTx: func(ctx context.Context, tx *db.Tx, s *state) error {
				_, err := tx.Exec(ctx, `DELETE FROM quota_usages WHERE project = 'p'`)
				return err
			},
		},
		{
			Name: "machine", NoReturn: true,
			Do:   func(ctx context.Context, s *state) error { w[s.Machine] = true; return nil },
			Undo: func(ctx context.Context, s *state) error { delete(w, s.Machine); return nil },
		},
		{Name: "tell", Do: func(ctx context.Context, s *state) error { w["told"] = true; return nil }},
	}}
}

func TestExercise(t *testing.T) { exercise(t, func(p *work.Plan[state], w world) {}) }

// Plans with a fault each, which Exercise must find.
var faults = map[string]func(p *work.Plan[state], w world){
	"nothing takes the disk back": func(p *work.Plan[state], w world) { p.Steps[0].Undo = nil },
	"a repeated step makes another machine": func(p *work.Plan[state], w world) {
		p.Steps[2].Do = func(ctx context.Context, s *state) error { w[fmt.Sprint("machine ", len(w))] = true; return nil }
	},
	"undoing twice is an error": func(p *work.Plan[state], w world) {
		p.Steps[0].Undo = func(ctx context.Context, s *state) error {
			if !w[s.Disk] {
				w["lost"] = true
			}
			delete(w, s.Disk)
			return nil
		}
	},
}

const faultName = "NACRE_WORKTEST_FAULT"

// TestFault runs in a process of its own, for TestExerciseFindsFaults.
func TestFault(t *testing.T) {
	fault := faults[os.Getenv(faultName)]
	if fault != nil {
		exercise(t, fault)
	}
}

func TestExerciseFindsFaults(t *testing.T) {
	for name := range faults {
		child := exec.Command(os.Args[0], "-test.run", "^TestFault$")
		child.Env = append(os.Environ(), faultName+"="+name)
		out, err := child.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "world after") {
			t.Errorf("%s: got %v, want Exercise to find it:\n%s", name, err, out)
		}
	}
}

func exercise(t *testing.T, change func(p *work.Plan[state], w world)) {
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		d, err := db.Open(t.Context(), dbtest.Source(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		e := work.New(work.Options{DB: d, Log: slog.New(slog.DiscardHandler)})
		w := world{}
		plan := w.plan()
		change(&plan, w)
		work.Register(e, plan)
		return worktest.Case{
			Plan: "create", Engine: e,
			Start: func(t *testing.T) {
				err := d.Write(t.Context(), func(tx *db.Tx) error {
					_, err := work.Start(t.Context(), tx, plan, "r", state{Disk: "d", Machine: "m"})
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			},
			World: func(t *testing.T) any {
				used := 0
				err := d.Read(t.Context(), func(tx *db.Tx) error {
					return tx.Get(t.Context(), &used, `SELECT COALESCE(SUM(used), 0) FROM quota_usages`)
				})
				if err != nil {
					t.Fatal(err)
				}
				return []any{maps.Clone(map[string]bool(w)), used}
			},
		}
	})
}
