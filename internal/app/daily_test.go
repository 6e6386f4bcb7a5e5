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
	named := clouds(cloud)
	demo := []string{"OS_AUTH_URL=" + cloud.URL + "/v3", "OS_IDENTITY_API_VERSION=3", "OS_USERNAME=demo", "OS_PASSWORD=" + cloud.App.Secrets.Demo,
		"OS_PROJECT_NAME=demo", "OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default"}
	for _, c := range []example{
		{"member", named("nacre-demo"), []string{"/usr/bin/python3", "run.py", "member.txt"}},
		{"operator", named("nacre"), []string{"/usr/bin/python3", "run.py", "operator.txt"}},
		{"sdk", named("nacre-demo"), []string{"/usr/bin/python3", "sdk.py"}},
		{"gophercloud", named("nacre-demo"), []string{"go", "run", "./day.go"}},
		{"objects", demo, []string{"bash", "objects.sh", cloud.S3}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, "daily") })
	}
}

// Every group of identity calls that the three clients have.
func TestIdentityCalls(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	admin := clouds(cloud)("nacre")
	for _, c := range []example{
		{"openstack", admin, []string{"/usr/bin/python3", "../daily/run.py", "identity.txt"}},
		{"sdk", admin, []string{"/usr/bin/python3", "identity.py"}},
		{"gophercloud", admin, []string{"go", "run", "./identity.go"}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, "identity") })
	}
}

// example is a program in a folder of examples.
type example struct {
	name        string
	environment []string
	command     []string
}

func (e example) run(t *testing.T, folder string) {
	command := exec.CommandContext(t.Context(), e.command[0], e.command[1:]...)
	command.Dir = filepath.Join("..", "..", "examples", folder)
	command.Env = append(os.Environ(), e.environment...)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v (make packages installs what is missing)\n%s", err, output)
	}
}

// clouds lets clients choose by name from the clouds.yaml of a cloud.
func clouds(cloud *testcloud.Cloud) func(name string) []string {
	return func(name string) []string {
		return []string{"OS_CLOUD=" + name, "OS_CLIENT_CONFIG_FILE=" + filepath.Join(cloud.App.Config.DataDir, "clouds.yaml")}
	}
}
