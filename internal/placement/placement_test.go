package placement

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/errs"
)

func open(t testing.TB) *Service {
	t.Helper()
	d, err := db.Open(context.Background(), dbtest.Source(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	s, err := New(context.Background(), Options{DB: d, Clock: clock.Real{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func report(t *testing.T, s *Service, id string, vcpus int64) {
	t.Helper()
	err := s.Report(context.Background(), id, "name-"+id, map[string]Inventory{
		VCPU: {Total: vcpus, Ratio: 4}, MemoryMB: {Total: 4096, Reserved: 512}, DiskGB: {Total: 100},
	}, []string{"HW_CPU_X86_AVX2"})
	if err != nil {
		t.Fatal(err)
	}
}

func claim(s *Service, server, host string, want Resources) error {
	return s.db.Write(context.Background(), func(tx *db.Tx) error {
		return s.Claim(context.Background(), tx, server, "p", "u", host, want)
	})
}

func used(t *testing.T, s *Service, host, class string) int64 {
	t.Helper()
	_, stock, err := s.Inventories(context.Background(), host)
	if err != nil {
		t.Fatal(err)
	}
	return stock[class].Used
}

func TestClaimTwiceIsOnce(t *testing.T) {
	s := open(t)
	report(t, s, "a", 2)
	for range 2 {
		err := claim(s, "server", "a", Resources{VCPU: 3, MemoryMB: 100})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := used(t, s, "a", VCPU); got != 3 {
		t.Errorf("used VCPU is %d, want 3", got)
	}
	for range 2 {
		err := s.db.Write(context.Background(), func(tx *db.Tx) error { return s.Release(context.Background(), tx, "server") })
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := used(t, s, "a", VCPU); got != 0 {
		t.Errorf("used VCPU is %d after release, want 0", got)
	}
	c, from, _, err := s.Allocations(context.Background(), "server")
	if err != nil || c.ID != "" || len(from) != 0 {
		t.Errorf("got consumer %+v with %v, %v, want nothing", c, from, err)
	}
}

func TestClaimRefused(t *testing.T) {
	tests := []struct {
		name string
		want Resources
		kind errs.Kind
	}{
		{"too much", Resources{VCPU: 9}, errs.Conflict},
		{"reserved memory", Resources{MemoryMB: 4000}, errs.Conflict},
		{"nothing", Resources{VCPU: 0}, errs.Conflict},
		{"class that is not offered", Resources{"PGPU": 1}, errs.Conflict},
		{"unknown class", Resources{"CUSTOM_GOLD": 1}, errs.BadRequest},
		{"second of two", Resources{DiskGB: 1, VCPU: 9}, errs.Conflict},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			report(t, s, "a", 2)
			err := claim(s, "server", "a", test.want)
			if !errs.Is(err, test.kind) {
				t.Errorf("got %v, want one of kind %d", err, test.kind)
			}
			for _, class := range []string{VCPU, MemoryMB, DiskGB} {
				if got := used(t, s, "a", class); got != 0 {
					t.Errorf("used %s is %d, want 0", class, got)
				}
			}
		})
	}
}

// TestManyClaimsNeverOverdraw lets more servers claim than there is room.
func TestManyClaimsNeverOverdraw(t *testing.T) {
	s := open(t)
	report(t, s, "a", 5) // 20 VCPUs
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := claim(s, fmt.Sprint("server", i), "a", Resources{VCPU: 1})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errs.Is(err, errs.Conflict) {
				t.Errorf("claim %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if got := used(t, s, "a", VCPU); won != 20 || got != 20 {
		t.Errorf("%d claims won, %d used, want 20 and 20", won, got)
	}
}

func TestConsumerGeneration(t *testing.T) {
	s := open(t)
	report(t, s, "a", 2)
	set := func(generation int64, vcpus int64) error {
		return s.SetAllocations(context.Background(), Claim{Consumer: "c", Project: "p", User: "u",
			From: map[string]Resources{"a": {VCPU: vcpus}}, Generation: generation})
	}
	steps := []struct {
		generation int64
		conflict   bool
	}{{5, true}, {Nobody, false}, {Nobody, true}, {1, false}, {1, true}, {2, false}, {Any, false}, {4, false}}
	for i, step := range steps {
		err := set(step.generation, int64(i+1))
		if errs.Is(err, errs.Conflict) != step.conflict || (err != nil) != step.conflict {
			t.Errorf("step %d with generation %d: got %v, want conflict %v", i, step.generation, err, step.conflict)
		}
	}
}

func TestReportKeepsWhatOperatorsSet(t *testing.T) {
	s := open(t)
	ctx := context.Background()
	report(t, s, "a", 2)
	p, stock, err := s.Inventories(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	i := stock[VCPU]
	i.Ratio = 16
	_, err = s.SetInventory(ctx, "a", p.Generation, VCPU, i)
	if err != nil {
		t.Fatal(err)
	}
	report(t, s, "a", 3)
	_, stock, err = s.Inventories(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := stock[VCPU]; got.Total != 3 || got.Ratio != 16 {
		t.Errorf("got %+v, want total 3 at ratio 16", got)
	}
	before, _ := s.Provider(ctx, "a")
	report(t, s, "a", 3)
	after, _ := s.Provider(ctx, "a")
	if before.Generation != after.Generation {
		t.Errorf("a report without news raised the generation from %d to %d", before.Generation, after.Generation)
	}
}

func TestWatch(t *testing.T) {
	s := open(t)
	report(t, s, "a", 2)
	var got []Change
	err := s.Watch(context.Background(), func(c Change) { got = append(got, c) })
	if err != nil {
		t.Fatal(err)
	}
	err = claim(s, "server", "a", Resources{VCPU: 1})
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Write(context.Background(), func(tx *db.Tx) error { return s.Release(context.Background(), tx, "server") })
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("no")
	err = s.db.Write(context.Background(), func(tx *db.Tx) error {
		err := s.Claim(context.Background(), tx, "other", "p", "u", "a", Resources{VCPU: 1})
		if err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	var seen []string
	for _, c := range got {
		seen = append(seen, fmt.Sprintf("%s whole=%v used=%d traits=%v", c.Provider.ID, c.Whole, c.Inventories[VCPU].Used, c.Traits))
	}
	want := []string{"a whole=true used=0 traits=[HW_CPU_X86_AVX2]", "a whole=false used=1 traits=[]", "a whole=false used=0 traits=[]"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	// What is given back leaves the generation as it is, and is news all the same.
	for i, grows := range []bool{true, false} {
		a, b := got[i].Provider, got[i+1].Provider
		if b.Generation > a.Generation != grows || b.Revision() <= a.Revision() {
			t.Errorf("change %d: generation went from %d to %d, revision from %d to %d", i+1, a.Generation, b.Generation, a.Revision(), b.Revision())
		}
	}
}

// Another server learns by itself what its hints did not tell, also of what is given
// back, which no generation tells.
func TestFollowRelease(t *testing.T) {
	s := open(t)
	report(t, s, "a", 2)
	err := claim(s, "server", "a", Resources{VCPU: 1})
	if err != nil {
		t.Fatal(err)
	}
	other, err := New(t.Context(), Options{DB: s.db})
	if err != nil {
		t.Fatal(err)
	}
	var last Change
	err = other.Watch(t.Context(), func(c Change) { last = c })
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Write(t.Context(), func(tx *db.Tx) error { return s.Release(t.Context(), tx, "server") })
	if err == nil {
		err = other.follow(t.Context())
	}
	if err != nil || last.Inventories[VCPU].Used != 0 {
		t.Errorf("got %v and %+v, want nothing used", err, last)
	}
	// Of servers that know no revision the generation alone tells.
	err = s.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE inventories SET used = 1 WHERE class = ?", VCPU)
		if err == nil {
			_, err = tx.Exec(t.Context(), "UPDATE resource_providers SET generation = generation + 1")
		}
		return err
	})
	if err == nil {
		other.following.compared = time.Time{}
		err = other.follow(t.Context())
	}
	if err != nil || last.Inventories[VCPU].Used != 1 {
		t.Errorf("got %v and %+v, want 1 used", err, last)
	}
}
