package golden

import (
	"os"
	"testing"
)

// judge hears what Compare says of a test.
type judge struct {
	testing.TB
	failed bool
}

func (j *judge) Helper()               {}
func (j *judge) Errorf(string, ...any) { j.failed = true }
func (j *judge) Fatal(...any)          { j.failed = true }

func TestCompare(t *testing.T) {
	t.Setenv("UPDATE_GOLDEN", "")
	for got, wrong := range map[string]bool{"one\n": false, "two\n": true, "": true} {
		j := &judge{TB: t}
		Compare(j, "line.txt", got)
		if j.failed != wrong {
			t.Errorf("%q against the file: failed is %t, want %t", got, j.failed, wrong)
		}
	}
}

func TestUpdateWritesTheFile(t *testing.T) {
	t.Chdir(t.TempDir())
	err := os.Mkdir("testdata", 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("UPDATE_GOLDEN", "1")
	Compare(t, "new.txt", "new")
	t.Setenv("UPDATE_GOLDEN", "")
	Compare(t, "new.txt", "new")
}
