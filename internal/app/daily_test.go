package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nacre/internal/testcloud"
)

// The calls of a day, by the openstack command and by openstacksdk as Debian
// ships them: a member's, an operator's. Each cleans up behind itself.
func TestDailyCalls(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	root, err := filepath.Abs("../../examples/daily")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, cloud string
		command     []string
	}{
		{"member", "nacre-demo", []string{"run.py", "member.txt"}},
		{"operator", "nacre", []string{"run.py", "operator.txt"}},
		{"sdk", "nacre-demo", []string{"sdk.py"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), "/usr/bin/python3", c.command...)
			command.Dir = root
			command.Env = append(os.Environ(), "OS_CLOUD="+c.cloud, "OS_CLIENT_CONFIG_FILE="+filepath.Join(cloud.App.Config.DataDir, "clouds.yaml"))
			output, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v (make packages installs what is missing)\n%s", err, output)
			}
		})
	}
}
