package quota_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

func open(t *testing.T) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func usage(t *testing.T, d *db.DB, project string, resources ...string) (got map[string]int64) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		got, err = quota.Usage(t.Context(), tx, project, resources...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReserveTakesAllOrNothing(t *testing.T) {
	d := open(t)
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		err := quota.Reserve(t.Context(), tx, "p", quota.Servers(9), quota.VCPUs(18))
		if err != nil {
			return err
		}
		err = quota.Reserve(t.Context(), tx, "p", quota.Servers(1), quota.VCPUs(2), quota.VCPUs(1))
		var e *quota.Exceeded
		want := quota.Exceeded{Resource: "cores", Requested: 3, Used: 18, Limit: 20}
		if !errors.As(err, &e) || *e != want {
			t.Errorf("got %v, want %+v", err, want)
		}
		wrapped := fmt.Errorf("create: %w", err)
		if !errs.Is(wrapped, errs.Forbidden) {
			t.Errorf("%v is not classified as forbidden", wrapped)
		}
		return nil // the caller may go on: nothing is half-reserved
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"instances": 9, "cores": 18}
	got := usage(t, d, "p", "instances", "cores")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLimitsOfProjectThenOfAllThenOfTheTable(t *testing.T) {
	d := open(t)
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		check := func(project, resource string, want int64) {
			t.Helper()
			limits, err := quota.Limits(t.Context(), tx, project, resource)
			if err != nil || limits[resource] != want {
				t.Errorf("limit of %s for %q is %v (%v), want %d", resource, project, limits, err, want)
			}
		}
		check("p", "port", 500)
		err := quota.Set(t.Context(), tx, "", map[string]int64{"port": 600})
		if err != nil {
			return err
		}
		check("p", "port", 600)
		err = quota.Set(t.Context(), tx, "p", map[string]int64{"port": -1, "gigabytes_fast": 5})
		if err != nil {
			return err
		}
		check("p", "port", -1)
		check("p", "gigabytes_fast", 5)
		check("other", "port", 600)
		check("other", "gigabytes_fast", -1)
		projects, err := quota.Overridden(t.Context(), tx, "port")
		if err != nil || !reflect.DeepEqual(projects, []string{"p"}) {
			t.Errorf("overridden: %v, %v, want p", projects, err)
		}
		err = quota.Reserve(t.Context(), tx, "p", quota.Ports(100000))
		if err != nil {
			t.Errorf("unlimited was exceeded: %v", err)
		}
		err = quota.Unset(t.Context(), tx, "p", "port")
		if err != nil {
			return err
		}
		check("p", "port", 600)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentReservationsNeverPassTheLimit(t *testing.T) {
	d := open(t)
	var taken, refused atomic.Int32
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 10 {
				err := d.Write(t.Context(), func(tx *db.Tx) error {
					return quota.Reserve(t.Context(), tx, "p", quota.FloatingIPs(1))
				})
				var e *quota.Exceeded
				switch {
				case err == nil:
					taken.Add(1)
				case errors.As(err, &e):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if taken.Load() != 50 || refused.Load() != 30 {
		t.Errorf("took %d, refused %d, want 50 and 30", taken.Load(), refused.Load())
	}
}

func TestRecountRepairsDrift(t *testing.T) {
	d := open(t)
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		for _, project := range []string{"right", "wrong", "gone"} {
			err := quota.Reserve(t.Context(), tx, project, quota.Routers(2))
			if err != nil {
				return err
			}
		}
		wrong, err := quota.Recount(t.Context(), tx, "router", map[string]int64{"right": 2, "wrong": 3, "new": 1})
		if wrong != 3 {
			t.Errorf("got %d wrong, want 3", wrong)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for project, want := range map[string]int64{"right": 2, "wrong": 3, "gone": 0, "new": 1} {
		got := usage(t, d, project, "router")["router"]
		if got != want {
			t.Errorf("%s has %d, want %d", project, got, want)
		}
	}
}

func TestReleaseGivesBack(t *testing.T) {
	d := open(t)
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		err := quota.Reserve(t.Context(), tx, "p", quota.Volumes(3), quota.Gigabytes(30))
		if err != nil {
			return err
		}
		return quota.Release(t.Context(), tx, "p", quota.Volumes(1), quota.Gigabytes(10))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"volumes": 2, "gigabytes": 20}
	got := usage(t, d, "p", "volumes", "gigabytes")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
