package threehosts

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"nacre/internal/db/dbtest"
)

// What NACRE_LAB names is run as a client of three real hosts, in their network and
// in the folder with openrc and clouds.yaml. The cloud lasts until it ends: make
// lab is how suites of others meet it.
func TestClient(t *testing.T) {
	words := strings.Fields(os.Getenv("NACRE_LAB"))
	if len(words) == 0 {
		t.Skip("nobody wants to be a client: make lab RUN=... does")
	}
	l := newLab(t, 3, setting{db: dbtest.PostgresSource(t)})
	l.addImage()
	l.waitUp(l.servers[0])
	client := exec.CommandContext(t.Context(), words[0], words[1:]...)
	client.Dir, client.Stdout, client.Stderr = l.servers[0].dir, os.Stdout, os.Stderr
	err := client.Run()
	if err != nil {
		t.Errorf("%s: %v: %s", words[0], err, l.said())
	}
}
