package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nacre/internal/compute/scheduler"
)

func TestHostRules(t *testing.T) {
	forgetTests(t)
	isolated := scheduler.Rules{IsolatedHosts: []string{"a", "b"}, IsolatedImages: []string{"i"}}
	shared := isolated
	shared.Shared = true
	const both = "isolated_hosts: a, b\nisolated_images: i\n"
	for _, test := range []struct {
		name, file string
		want       scheduler.Rules
	}{
		{"none", "", scheduler.Rules{}},
		{"unscoped extra specs", "unscoped_extra_specs: true\n", scheduler.Rules{Unscoped: true}},
		{"isolated hosts", both, isolated},
		{"for nothing else", both + "restrict_isolated_hosts_to_isolated_images: true\n", isolated},
		{"so many at most", "max_instances_per_host: 50\nmax_io_ops_per_host: 8\n", scheduler.Rules{MaxServers: 50, MaxBusy: 8}},
		{"for others too", both + "restrict_isolated_hosts_to_isolated_images: false\n", shared},
	} {
		path := filepath.Join(t.TempDir(), "nacre.yaml")
		err := os.WriteFile(path, []byte(test.file), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Load(Config{}, path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, c.HostRules.rules(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	t.Setenv("NACRE_RESTRICT_ISOLATED_HOSTS_TO_ISOLATED_IMAGES", "false")
	c, err := Load(Config{}, "")
	if err != nil || !c.HostRules.rules().Shared {
		t.Errorf("the environment says false: %+v, %v", c.HostRules.rules(), err)
	}
}
