package identity

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"nacre/internal/bus"
	"nacre/internal/clock"
	"nacre/internal/errs"
)

var attemptsBegan = time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)

// guess tries until it is slowed down, at most n times.
func (a *attempts) guess(source, account string, n int, now time.Time) (tries int) {
	for range n {
		_, wait := a.begin(source, account, now)
		if wait > 0 {
			break
		}
		tries++
	}
	return tries
}

func TestAttackGuessingPasswords(t *testing.T) {
	t.Parallel()
	now := attemptsBegan
	a := newAttempts()
	home, _ := a.begin("home", "ann", now)
	home.right(now)

	if n := a.guess("evil", "ann", 1000, now); n != 30 {
		t.Errorf("got %d guesses at one account from one source, want 30", n)
	}
	if n := a.guess("evil", "ann", 1000, now.Add(time.Minute)); n < 10 || n > 12 {
		t.Errorf("got %d guesses more within a minute, want about 12", n)
	}
	tries := 0
	for i := range 2000 {
		tries += a.guess("evil", "user "+strconv.Itoa(i), 1, now.Add(time.Minute))
	}
	if tries > 600 {
		t.Errorf("got %d guesses from one source, want 600 at most", tries)
	}
	a = newAttempts()
	home, _ = a.begin("home", "ann", now)
	home.right(now)
	tries = 0
	for i := range 2000 {
		tries += a.guess("10.0.0."+strconv.Itoa(i), "ann", 1, now)
	}
	if tries > 300 {
		t.Errorf("got %d guesses at one account, want 300 at most", tries)
	}
	// Whoever belongs there gets in all the same, and others elsewhere too.
	if a.guess("home", "ann", 1, now) != 1 || a.guess("home", "bob", 1, now) != 1 {
		t.Error("others are locked out")
	}
}

// A million attempts from many names and sources leave no more behind than one.
func TestAttackAttemptsGrowMemory(t *testing.T) {
	a := newAttempts()
	size := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := size()
	now := attemptsBegan
	for i := range 1_000_000 {
		name := strconv.Itoa(i)
		try, wait := a.begin("source "+name, "user "+name, now.Add(time.Duration(i)*time.Millisecond))
		if wait == 0 && i%2 == 0 {
			try.right(now)
		}
	}
	after := size()
	runtime.KeepAlive(a)
	if after > before+4<<20 {
		t.Errorf("memory grew from %d to %d bytes", before, after)
	}
}

// A request that is slowed down hears the same, whether there is such a user, and
// whether the password is right.
func TestAttackSlowedDownAlike(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), clock.NewManual(attemptsBegan), 5)
	boot, err := p.Bootstrap(t.Context(), Bootstrap{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := bus.WithInitiator(t.Context(), bus.Initiator{Address: "192.0.2.1"})
	try := func(user, password string) error {
		_, err := p.Issue(ctx, Login{Password: &PasswordLogin{User: Ref{Name: user, Domain: &Ref{Name: "Default"}}, Password: password}}, Scope{})
		return err
	}
	for _, user := range []string{"admin", "nobody"} {
		for i := range 30 {
			err := try(user, "wrong")
			if !errs.Is(err, errs.Unauthorized) {
				t.Fatalf("%s, attempt %d: got %v, want unauthorized", user, i, err)
			}
		}
		for _, password := range []string{"wrong", boot.AdminPassword} {
			err := try(user, password)
			e, ok := errs.As(err)
			if !ok || e.Kind != errs.TooMany || e.Message != "Too many attempts to sign in have failed. Try again in 5 seconds." {
				t.Errorf("%s: got %v, want that there were too many", user, err)
			}
		}
	}
}
