package console_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nacre/internal/testcloud"
)

const web = "../../web"

// TestInBrowser walks through the dashboard in a real Chromium, against the
// whole product on simulated hosts. The walk is web/e2e.
func TestInBrowser(t *testing.T) {
	_, err := os.Stat(filepath.Join(web, "node_modules", "playwright-core"))
	if err != nil {
		t.Fatal("the tools of web/ are not there: run make web")
	}
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	page, err := http.Get(cloud.URL + "/dashboard")
	if err != nil {
		t.Fatal(err)
	}
	err = page.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	if page.StatusCode != http.StatusOK {
		t.Fatal("the dashboard is not built: run make web")
	}
	own, err := filepath.Abs("../../.nacre/node/bin")
	if err != nil {
		t.Fatal(err)
	}
	walk := exec.CommandContext(t.Context(), "npm", "run", "--silent", "e2e")
	walk.Dir = web
	walk.Env = append(os.Environ(),
		"PATH="+own+":"+os.Getenv("PATH"), // a newer Node.js, where the system's is too old
		"BASE_URL="+cloud.URL, "USER=demo", "PASSWORD="+cloud.App.Secrets.Demo,
		"ADMIN_PASSWORD="+cloud.App.Secrets.Admin)
	said, err := walk.CombinedOutput()
	if err != nil {
		t.Fatalf("walk: %v\n%s", err, said)
	}
	t.Logf("%s", said)
}
