package db_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

const childSource = "NACRE_DB_TEST_CHILD"

// TestMain is also the child process that TestKilledWriterLosesNothing kills.
func TestMain(m *testing.M) {
	source := os.Getenv(childSource)
	if source != "" {
		writeForEver(source)
		return
	}
	os.Exit(m.Run())
}

func open(t testing.TB) *db.DB {
	t.Helper()
	return openSource(t, dbtest.Source(t))
}

func openSource(t testing.TB, source string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// add counts in a table that is there anyway.
func add(ctx context.Context, tx *db.Tx, project string, n int) error {
	_, err := tx.Exec(ctx, `INSERT INTO quota_usages (project, resource, used) VALUES (?, 'r', ?)`, project, n)
	return err
}

func count(t testing.TB, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(context.Background(), func(tx *db.Tx) error {
		return tx.Get(context.Background(), &n, `SELECT COUNT(*) FROM quota_usages`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestManyWritersEachGetTheirOwn(t *testing.T) {
	d := open(t)
	no := errors.New("no")
	var writers sync.WaitGroup
	for w := range 32 {
		writers.Go(func() {
			for i := range 20 {
				after := false
				err := d.Write(t.Context(), func(tx *db.Tx) error {
					tx.After(func() { after = true })
					err := add(t.Context(), tx, fmt.Sprint(w, " ", i), 1)
					if err == nil && i%4 == 0 {
						return no
					}
					return err
				})
				if i%4 == 0 && (err != no || after) {
					t.Errorf("writer %d/%d: got %v, after %v, want its own error and no hint", w, i, err, after)
				}
				if i%4 != 0 && (err != nil || !after) {
					t.Errorf("writer %d/%d: got %v, after %v, want success and its hint", w, i, err, after)
				}
			}
		})
	}
	writers.Wait()
	if got := count(t, d); got != 32*15 {
		t.Errorf("got %d rows, want %d", got, 32*15)
	}
}

func TestFailedStatementLeavesTheRestOfTheGroup(t *testing.T) {
	d := open(t)
	var writers sync.WaitGroup
	var mu sync.Mutex
	duplicates := 0
	for range 64 {
		writers.Go(func() {
			err := d.Write(t.Context(), func(tx *db.Tx) error { return add(t.Context(), tx, "same", 1) })
			mu.Lock()
			defer mu.Unlock()
			if db.IsDuplicate(err) {
				duplicates++
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if duplicates != 63 || count(t, d) != 1 {
		t.Errorf("got %d duplicates and %d rows, want 63 and 1", duplicates, count(t, d))
	}
}

func TestPanicComesBackToItsCaller(t *testing.T) {
	d := open(t)
	func() {
		defer func() {
			got := recover()
			if got != "ouch" {
				t.Errorf("recovered %v, want ouch", got)
			}
		}()
		d.Write(t.Context(), func(tx *db.Tx) error {
			err := add(t.Context(), tx, "panicked", 1)
			if err != nil {
				t.Error(err)
			}
			panic("ouch")
		})
	}()
	err := d.Write(t.Context(), func(tx *db.Tx) error { return add(t.Context(), tx, "next", 1) })
	if err != nil || count(t, d) != 1 {
		t.Errorf("got %v and %d rows, want only the next writer's", err, count(t, d))
	}
}

func TestCancelledContextWritesNothing(t *testing.T) {
	d := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := d.Write(ctx, func(tx *db.Tx) error { return add(ctx, tx, "p", 1) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want cancelled", err)
	}
	err = d.Read(ctx, func(tx *db.Tx) error { t.Error("read with a cancelled context"); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want cancelled", err)
	}
	if count(t, d) != 0 {
		t.Error("a cancelled write left a row")
	}
}

func TestClosedDatabaseRefuses(t *testing.T) {
	d := open(t)
	err := d.Close()
	if err != nil {
		t.Fatal(err)
	}
	err = d.Write(t.Context(), func(tx *db.Tx) error { return nil })
	if err == nil {
		t.Error("a closed database took a write")
	}
	err = d.Close()
	if err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestNotifyComesAfterCommitOnly(t *testing.T) {
	d := open(t)
	var heard []string
	stop := d.Listen("c", func(key string) { heard = append(heard, fmt.Sprint(key, " sees ", count(t, d))) })
	write := func(key string, fail error) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			tx.Notify("c", key)
			tx.Notify("other", key)
			return errors.Join(add(t.Context(), tx, key, 1), fail)
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
	}
	write("one", nil)
	write("two", errors.New("no"))
	stop()
	write("three", nil)
	if fmt.Sprint(heard) != "[one sees 1]" {
		t.Errorf("heard %v, want one alone, after its commit", heard)
	}
}

// writeForEver prints each number after it is acknowledged.
func writeForEver(source string) {
	d, err := db.Open(context.Background(), source)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var out sync.Mutex
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				n := w*1000000 + i
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					return add(context.Background(), tx, strconv.Itoa(n), 1)
				})
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(n)
				out.Unlock()
			}
		}()
	}
	select {}
}

func TestKilledWriterLosesNothing(t *testing.T) {
	source := dbtest.Source(t)
	acknowledged := map[string]bool{}
	for round := range 3 {
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
		for n := 0; lines.Scan(); n++ {
			if n == 200 {
				child.Process.Kill()
			}
			_, err := strconv.Atoi(lines.Text())
			if err != nil {
				break // the line that the kill cut
			}
			acknowledged[lines.Text()] = true
		}
		child.Wait()
		d := openSource(t, source)
		var kept []string
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.All(t.Context(), &kept, `SELECT project FROM quota_usages`)
		})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, k := range kept {
			found[k] = true
		}
		if len(acknowledged) < 200 {
			t.Fatalf("round %d: only %d writes were acknowledged", round, len(acknowledged))
		}
		for n := range acknowledged {
			if !found[n] {
				t.Errorf("round %d: acknowledged write %s is gone", round, n)
			}
		}
		// The next round starts from an empty table, so that numbers are new.
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `DELETE FROM quota_usages`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		clear(acknowledged)
		d.Close()
	}
}

func BenchmarkWrite(b *testing.B) {
	d := open(b)
	b.SetParallelism(16)
	var mu sync.Mutex
	next := 0
	start := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			next++
			n := next
			mu.Unlock()
			err := d.Write(context.Background(), func(tx *db.Tx) error {
				return add(context.Background(), tx, strconv.Itoa(n), 1)
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "writes/s")
}

// TestRoomForRows: rows go where the caller has made room, and never over those of
// the time before.
func TestRoomForRows(t *testing.T) {
	t.Parallel()
	d := open(t)
	type row struct{ A, B int64 }
	read := func(into *[]row, query string) {
		t.Helper()
		err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.All(t.Context(), into, query) })
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := make([]row, 0, 4)
	rows[:1][0] = row{7, 7}
	read(&rows, "SELECT 1 AS a UNION ALL SELECT 2")
	if !slices.Equal(rows, []row{{1, 0}, {2, 0}}) {
		t.Fatalf("got %v", rows)
	}
	before := rows
	read(&rows, "SELECT 3 AS a")
	if !slices.Equal(rows, []row{{3, 0}}) || !slices.Equal(before, []row{{1, 0}, {2, 0}}) {
		t.Errorf("got %v, and %v from before", rows, before)
	}
	if read(&rows, "SELECT 3 AS a WHERE 1 = 0"); len(rows) != 0 {
		t.Errorf("got %v of nothing", rows)
	}
}
