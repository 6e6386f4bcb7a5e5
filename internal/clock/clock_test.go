package clock_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"nacre/internal/clock"
)

// Ids are version 4 UUIDs, all different; those that are made together begin alike.
func TestUUID(t *testing.T) {
	const count = 10_000
	rest, beginnings := map[string]bool{}, map[string]bool{}
	began := time.Now()
	for range count {
		id := clock.UUID()
		parsed, err := uuid.Parse(id)
		if err != nil || parsed.Version() != 4 || parsed.Variant() != uuid.RFC4122 || parsed.String() != id {
			t.Fatalf("%q is no UUID of version 4: %v", id, err)
		}
		rest[id[2:]], beginnings[id[:2]] = true, true
	}
	if len(rest) != count {
		t.Errorf("without their first byte %d of %d ids differ", len(rest), count)
	}
	most := int(time.Since(began)/(256*time.Millisecond)) + 2
	if len(beginnings) > most {
		t.Errorf("ids made within %s begin in %d ways, want at most %d", time.Since(began), len(beginnings), most)
	}
}
