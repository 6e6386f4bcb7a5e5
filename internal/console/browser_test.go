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
	cloud := busy(testcloud.Start(t, testcloud.Nodes(2), testcloud.Reclaimed(3600)))
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
	npm(t, cloud, "e2e")
}

// TestForms sends the request of every form of the dashboard to the whole
// product. What is typed into them is in web/forms.
func TestForms(t *testing.T) {
	npm(t, busy(testcloud.Start(t, testcloud.Nodes(2), testcloud.ShelvedFor(-1), testcloud.Reclaimed(3600))), "forms")
}

// busy has guests on their way to another host stay there until somebody forces
// them or calls them back.
func busy(cloud *testcloud.Cloud) *testcloud.Cloud {
	for _, machines := range cloud.App.Simulated.Machines {
		machines.Busy(true)
	}
	return cloud
}

// npm runs a script of web/ against a cloud.
func npm(t *testing.T, cloud *testcloud.Cloud, script string) {
	t.Helper()
	_, err := os.Stat(filepath.Join(web, "node_modules", "playwright-core"))
	if err != nil {
		t.Fatal("the tools of web/ are not there: run make web")
	}
	own, err := filepath.Abs("../../.nacre/node/bin")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), "npm", "run", "--silent", script)
	run.Dir = web
	run.Env = append(os.Environ(),
		"PATH="+own+":"+os.Getenv("PATH"),         // a newer Node.js, where the system's is too old
		"BASE_URL="+cloud.URL, "NACRE="+cloud.URL, // Vitest has a BASE_URL of its own
		"USER=demo", "PASSWORD="+cloud.App.Secrets.Demo,
		"ADMIN_PASSWORD="+cloud.App.Secrets.Admin)
	said, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, said)
	}
	t.Logf("%s", said)
}
