package placement

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// atOnce calls the function for 0 to n-1, all side by side, and counts those that
// succeed. Whoever is refused hears of a conflict.
func atOnce(t *testing.T, n int, do func(i int) error) int {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := do(i)
			switch {
			case err == nil:
				won.Add(1)
			case !errs.Is(err, errs.Conflict):
				t.Errorf("writer %d: %v, want a conflict", i, err)
			}
		})
	}
	wg.Wait()
	return int(won.Load())
}

// Of many who want the last of two providers at the same time, in one claim, as many
// get it as there is room for; of two who change the same consumer, one does.
func TestManyWriters(t *testing.T) {
	s := open(t)
	for _, id := range []string{"a", "b"} {
		report(t, s, id, 2) // 8 VCPUs
	}
	claim := func(consumer int, generation, n int64) Claim {
		return Claim{Consumer: fmt.Sprint("c", consumer), Project: "p", User: "u", Generation: generation,
			From: map[string]Resources{"a": {VCPU: n}, "b": {VCPU: n}}}
	}
	got := map[int]bool{}
	var mu sync.Mutex
	won := atOnce(t, 40, func(i int) error {
		err := s.SetAllocations(t.Context(), claim(i, Nobody, 1))
		mu.Lock()
		defer mu.Unlock()
		got[i] = err == nil
		return err
	})
	if won != 8 || used(t, s, "a", VCPU) != 8 || used(t, s, "b", VCPU) != 8 {
		t.Fatalf("%d claims of 8 won, and %d and %d are used", won, used(t, s, "a", VCPU), used(t, s, "b", VCPU))
	}
	var winners []int
	for i, has := range got {
		if has {
			winners = append(winners, i)
		}
	}
	// Two at a time change each of four consumers, and two take what a fifth gives
	// back.
	won = atOnce(t, 8, func(i int) error {
		return s.SetAllocations(t.Context(), Claim{Consumer: fmt.Sprint("c", winners[i/2]), Project: "p", User: "u", Generation: 1,
			From: map[string]Resources{"a": {VCPU: 1}}})
	})
	if won != 4 || used(t, s, "a", VCPU) != 8 || used(t, s, "b", VCPU) != 4 {
		t.Errorf("%d of 4 changes won, and %d and %d are used, want 8 and 4", won, used(t, s, "a", VCPU), used(t, s, "b", VCPU))
	}
	won = atOnce(t, 2, func(i int) error {
		from := claim(winners[4], 1, 0)
		from.From = nil
		return s.SetAllocations(t.Context(), claim(100+i, Nobody, 1), from)
	})
	if won != 1 || used(t, s, "a", VCPU) != 8 || used(t, s, "b", VCPU) != 4 {
		t.Errorf("%d of 1 exchanges won, and %d and %d are used, want 8 and 4", won, used(t, s, "a", VCPU), used(t, s, "b", VCPU))
	}
	// Two reshape the same provider, and of two that change its inventories one does.
	p, err := s.Provider(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	won = atOnce(t, 4, func(i int) error {
		stock := map[string]Inventory{VCPU: Inventory{Total: 8}.whole("b", VCPU)}
		if i%2 == 0 {
			return s.Reshape(t.Context(), map[string]Shape{"b": {Generation: p.Generation, Inventories: stock}}, nil)
		}
		_, err := s.SetInventories(t.Context(), "b", p.Generation, stock)
		return err
	})
	if won != 1 {
		t.Errorf("%d of 4 wrote on the ground of the same generation, want 1", won)
	}
}

// A server takes from several providers of a host what it asks for, once however
// often it claims; of many who want the last device of a host, as many get one as
// there are.
func TestClaimRequest(t *testing.T) {
	s := open(t)
	report(t, s, "host", 8)
	for i := range 3 {
		id := fmt.Sprint("card", i)
		_, err := s.CreateProvider(t.Context(), id, id, "host")
		if err == nil {
			_, err = s.SetInventories(t.Context(), id, 0, map[string]Inventory{"PGPU": Inventory{Total: 1}.whole(id, "PGPU")})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := Request{Groups: map[string]RequestGroup{"": {Resources: map[string]int64{VCPU: 1}}, "1": {Resources: map[string]int64{"PGPU": 1}}}}
	claim := func(server string) error {
		return s.db.Write(t.Context(), func(tx *db.Tx) error { return s.ClaimRequest(t.Context(), tx, server, "p", "u", "host", want) })
	}
	won := atOnce(t, 6, func(i int) error { return claim(fmt.Sprint("s", i)) })
	if won != 3 || used(t, s, "host", VCPU) != 3 {
		t.Errorf("%d servers got one of 3 cards, and %d VCPUs are used", won, used(t, s, "host", VCPU))
	}
	for i := range 6 {
		before, had, _, err := s.Allocations(t.Context(), fmt.Sprint("s", i))
		if err != nil || len(had) == 0 {
			continue
		}
		err = claim(before.ID)
		after, has, _, _ := s.Allocations(t.Context(), before.ID)
		if err != nil || after.Generation != before.Generation || fmt.Sprint(had) != fmt.Sprint(has) {
			t.Errorf("claiming again: %v, from %v to %v", err, had, has)
		}
	}
	// What nobody makes takes nothing.
	err := s.db.Read(t.Context(), func(tx *db.Tx) error {
		want.Groups["1"] = RequestGroup{}
		able, take, err := s.Rehearse(t.Context(), tx, want)
		n := 0
		for n < 100 && take("host") {
			n++
		}
		if !able["host"] || n != 29 {
			t.Errorf("a host with 29 VCPUs left could serve %v, and takes %d", able, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkCandidates asks for a thousand of the hosts of a large cloud, each with
// two NUMA nodes below it.
func BenchmarkCandidates(b *testing.B) {
	for _, hosts := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			s := large(b, hosts)
			ask := Ask{Limit: 1000, Isolate: true, Groups: map[string]Need{
				"": {Resources: Resources{DiskGB: 10}}, "1": {Resources: Resources{VCPU: 2, MemoryMB: 512}}, "2": {Resources: Resources{VCPU: 2, MemoryMB: 512}},
			}}
			for b.Loop() {
				chosen, _, err := s.Candidates(b.Context(), ask)
				if err != nil || len(chosen) != 1000 {
					b.Fatalf("%d candidates, %v", len(chosen), err)
				}
			}
		})
	}
}

// large makes a cloud of so many hosts.
func large(b *testing.B, hosts int) *Service {
	s := open(b)
	err := s.db.Write(b.Context(), func(tx *db.Tx) error {
		for i := range hosts {
			root := fmt.Sprint("host", i)
			providers := []Provider{{ID: root, Name: root, Root: root}}
			stock := []Inventory{Inventory{Total: 1000}.whole(root, DiskGB)}
			for _, numa := range []string{"-numa0", "-numa1"} {
				providers = append(providers, Provider{ID: root + numa, Name: root + numa, Root: root, Parent: root})
				stock = append(stock, Inventory{Total: 32}.whole(root+numa, VCPU), Inventory{Total: 65536}.whole(root+numa, MemoryMB))
			}
			for _, rows := range []any{&providers, &stock} {
				err := tx.Insert(b.Context(), rows)
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}
