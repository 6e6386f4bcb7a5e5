package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nacre/internal/testcloud"
)

// The calls of a day: a member's and an operator's by the openstack command,
// and by openstacksdk, gophercloud, swift and s3cmd. Each cleans up behind itself.
func TestDailyCalls(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	root, err := filepath.Abs("../../examples/daily")
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) []string {
		return []string{"OS_CLOUD=" + name, "OS_CLIENT_CONFIG_FILE=" + filepath.Join(cloud.App.Config.DataDir, "clouds.yaml")}
	}
	demo := []string{"OS_AUTH_URL=" + cloud.URL + "/v3", "OS_IDENTITY_API_VERSION=3", "OS_USERNAME=demo", "OS_PASSWORD=" + cloud.App.Secrets.Demo,
		"OS_PROJECT_NAME=demo", "OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default"}
	for _, c := range []struct {
		name        string
		environment []string
		command     []string
	}{
		{"member", named("nacre-demo"), []string{"/usr/bin/python3", "run.py", "member.txt"}},
		{"operator", named("nacre"), []string{"/usr/bin/python3", "run.py", "operator.txt"}},
		{"sdk", named("nacre-demo"), []string{"/usr/bin/python3", "sdk.py"}},
		{"gophercloud", named("nacre-demo"), []string{"go", "run", "./day.go"}},
		{"objects", demo, []string{"bash", "objects.sh", cloud.S3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), c.command[0], c.command[1:]...)
			command.Dir = root
			command.Env = append(os.Environ(), c.environment...)
			output, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v (make packages installs what is missing)\n%s", err, output)
			}
		})
	}
}
