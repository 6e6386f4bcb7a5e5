package work_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"nacre/internal/await"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/work"
)

const childSource = "NACRE_WORK_TEST_CHILD"

// TestMain is also the child process that TestKilledEngineGoesOn kills.
func TestMain(m *testing.M) {
	source := os.Getenv(childSource)
	if source != "" {
		err := runForEver(source)
		fmt.Println("child:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

type killState struct{ Resource string }

// killPlan has effects that break a primary key when they are doubled.
func killPlan() work.Plan[killState] {
	p := work.Plan[killState]{Name: "kill"}
	for i := range 5 {
		p.Steps = append(p.Steps, work.Step[killState]{Name: fmt.Sprint("step ", i), Tx: func(ctx context.Context, tx *db.Tx, s *killState) error {
			_, err := tx.Exec(ctx, `INSERT INTO quota_limits (project, resource, hard) VALUES (?, ?, 1)`, s.Resource, i)
			if err == nil {
				tx.After(func() { fmt.Println("step") })
			}
			return err
		}})
	}
	return p
}

func runForEver(source string) error {
	d, err := db.Open(context.Background(), source)
	if err != nil {
		return err
	}
	e := work.New(work.Options{DB: d, Log: slog.New(slog.DiscardHandler)})
	work.Register(e, killPlan())
	return e.Run(context.Background())
}

func TestKilledEngineGoesOn(t *testing.T) {
	const plans, kills = 200, 6
	source := dbtest.Source(t)
	d, err := db.Open(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		for i := range plans {
			resource := fmt.Sprint("r", i)
			_, err := work.Start(t.Context(), tx, killPlan(), resource, killState{resource})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for k := range kills {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childSource+"="+source)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		err = child.Start()
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+17*k && lines.Scan(); n++ {
		}
		child.Process.Kill()
		for lines.Scan() {
		}
		child.Wait()
	}
	defer d.Close()
	e := work.New(work.Options{DB: d, Log: slog.New(slog.DiscardHandler)})
	work.Register(e, killPlan())
	// A claim of the last life may still be on its way to the database: it is taken
	// over when its lease is over.
	await.Until(t, "all plans to end", time.Minute, func() bool {
		_, err := e.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var left int
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.Get(t.Context(), &left, `SELECT COUNT(*) FROM plans WHERE phase <> 'done'`)
		})
		if err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	var unfinished, effects, journalled int
	err = d.Read(t.Context(), func(tx *db.Tx) error {
		err := tx.Get(t.Context(), &unfinished, `SELECT COUNT(*) FROM plans WHERE phase <> 'done' OR owner <> ''`)
		if err != nil {
			return err
		}
		err = tx.Get(t.Context(), &effects, `SELECT COUNT(*) FROM quota_limits`)
		if err != nil {
			return err
		}
		return tx.Get(t.Context(), &journalled, `SELECT COUNT(*) FROM plan_steps`)
	})
	if err != nil {
		t.Fatal(err)
	}
	if unfinished != 0 || effects != plans*5 || journalled != plans*5 {
		t.Errorf("got %d unfinished, %d effects, %d journal lines, want 0, %d, %d", unfinished, effects, journalled, plans*5, plans*5)
	}
}
