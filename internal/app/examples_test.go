package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// The examples run as a plain user against the cloud, with the clients that
// Debian and the Go module proxy ship: openstacksdk, the openstack command,
// gophercloud.
func TestExamples(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	demo := cloud.Demo()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(),
		"OS_AUTH_URL="+cloud.URL+"/v3", "OS_USERNAME=demo", "OS_PASSWORD="+cloud.App.Secrets.Demo,
		"OS_PROJECT_ID="+demo.Project(t), "OS_PROJECT_NAME=demo", "OS_REGION_NAME=RegionOne", "OS_IDENTITY_API_VERSION=3",
		"OS_USER_DOMAIN_NAME=default", "OS_PROJECT_DOMAIN_NAME=default")
	for _, c := range []struct {
		name    string
		command []string
		hint    string
	}{
		{"python", []string{"/usr/bin/python3", "examples/create_server.py"}, "install python3-openstacksdk"},
		{"go", []string{"go", "run", "./examples/create_server.go"}, "install Go"},
		{"command", []string{"bash", "examples/openstack.sh"}, "install python3-openstackclient"},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), c.command[0], c.command[1:]...)
			command.Dir, command.Env = root, append(environment, "SERVER_NAME="+c.name)
			output, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v (%s)\n%s", strings.Join(c.command, " "), err, c.hint, output)
			}
			if !strings.Contains(string(output), "ACTIVE") {
				t.Errorf("got %s, want it to end with ACTIVE", output)
			}
			id := made(t, demo, "GET", "/compute/v2.1/servers?name=^"+c.name+"$", "servers", nil)
			if got := demo.ServerStatus(t, id); got != "ACTIVE" {
				t.Errorf("server %s is %s, want ACTIVE", id, got)
			}
		})
	}
	demo.RemoveAll(t)
}
