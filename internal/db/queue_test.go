package db

import (
	"strings"
	"testing"
)

// TestRequestsGoFirst: what nobody waits for goes behind them, in its order, and
// where a request waits for the end of the group, only a share of it.
func TestRequestsGoFirst(t *testing.T) {
	t.Parallel()
	d, err := openSQLite(t.Context(), t.TempDir()+"/db", newest)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	g := &group{home: d, queue: newQueue()}
	held := d.store.(*group)
	g.conn, g.forms = held.conn, held.forms // which waits for its first job meanwhile
	var ran strings.Builder
	push := func(ctx string, patient bool) {
		g.queue.push(&job{ctx: t.Context(), patient: patient, done: make(chan struct{}), do: func(*Tx) error {
			ran.WriteString(ctx)
			return nil
		}})
	}
	for range patientShare + 2 {
		push("p", true)
	}
	push("r", false)
	push("s", false)
	groups := func() (text string) {
		for j := g.queue.next(true); j != nil; j = g.queue.next(true) {
			g.commit(j)
			text += ran.String() + " "
			ran.Reset()
		}
		return text
	}
	if got, want := groups(), "rs"+strings.Repeat("p", patientShare)+" pp "; got != want {
		t.Errorf("ran %q, want %q", got, want)
	}
	for range patientShare + 2 {
		push("p", true)
	}
	if got, want := groups(), strings.Repeat("p", patientShare+2)+" "; got != want {
		t.Errorf("without requests it ran %q, want %q", got, want)
	}
	g.queue.close()
	if g.queue.push(&job{}) || g.queue.first() != nil {
		t.Error("a closed queue takes or gives a job")
	}
}
