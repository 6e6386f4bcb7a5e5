package app_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// networkCommands are an operator's commands about every resource of the network
// service, one a line; each must succeed, and what stands behind => be in what
// it prints.
const networkCommands = `
address scope create --ip-version 4 --share as1 => ip_version +\| 4
address scope set --name as2 as1
address scope show as2 => shared +\| True
address scope list --share => as2
subnet pool create --pool-prefix 10.77.0.0/16 --default-prefix-length 26 --min-prefix-length 24 --max-prefix-length 28 --address-scope as2 --share --tag a p1 => default_prefixlen +\| 26
subnet pool set --name p2 --pool-prefix 10.76.0.0/16 --default-quota 100000 p1
subnet pool list --share --address-scope as2 => 10\.76\.0\.0/15
subnet pool show p2 => default_quota +\| 100000
network create n1 --dns-domain example.org. => dns_domain +\| example\.org\.
subnet create --subnet-pool p2 --network n1 s1 => 10\.76\.0\.0/26
subnet create --subnet-pool p2 --prefix-length 27 --network n1 s2 => 10\.76\.0\.64/27
subnet list --subnet-pool p2 => s2
address group create --address 10.0.0.0/8 --description x ag1 => 10\.0\.0\.0/8
address group set --address 192.0.2.0/24 --name ag2 ag1
address group unset --address 10.0.0.0/8 ag2
address group list => \['192\.0\.2\.0/24'\]
security group create sg1 --stateless => stateful +\| False
security group rule create --ingress --protocol tcp --dst-port 22 --remote-address-group ag2 sg1 => remote_address_group_id +\| [0-9a-f]
security group rule list sg1 => 22:22
security group set --stateful sg1
security group list --tags none
network rbac create --type network --action access_as_shared --target-project demo n1 => access_as_shared
network rbac create --type security_group --action access_as_shared --target-all-projects sg1 => target_project_id +\| \*
network rbac list --type network --action access_as_shared => network
port create --network n1 --dns-name web --extra-dhcp-option name=mtu,value=1400 --allowed-address ip-address=10.77.0.40 pt1 => hostname='web'
port set --allowed-address ip-address=10.77.0.41 --extra-dhcp-option name=bootfile-name,value=x pt1
port show pt1 => bootfile-name
port list --network n1 --long => pt1
port list --fixed-ip subnet=s1 => pt1
network agent list => ovn-controller
ip availability list --ip-version 4 => n1
ip availability show n1 => used_ips
network list --share --external --long
network list --no-share --tags x
subnet set --tag z s1
subnet unset --tag z s1
router create r1 => ACTIVE
router add subnet r1 s1
router set --route destination=10.99.0.0/24,gateway=10.76.0.5 r1
router add route --route destination=10.98.0.0/24,gateway=10.76.0.5 r1 => 10\.98\.0\.0/24
router remove route --route destination=10.98.0.0/24,gateway=10.76.0.5 r1
router unset --route destination=10.99.0.0/24,gateway=10.76.0.5 r1
router remove subnet r1 s1
router delete r1
quota set --networks 101 --check-limit demo
quota show demo => networks +\| 101
network auto allocated topology create --or-show => [0-9a-f]{8}-
network auto allocated topology delete
subnet pool set --no-default shared-default-subnetpool-v4
subnet pool create --pool-prefix 10.80.0.0/16 --default-prefix-length 26 --default --share pd => is_default +\| True
network auto allocated topology create --check-resources
network auto allocated topology create => [0-9a-f]{8}-
network auto allocated topology delete
extension list --network => rbac-policies
port delete pt1
security group delete sg1
address group delete ag2
network delete n1
subnet pool delete p2 pd
address scope delete as2
network rbac list
`

var refusal = regexp.MustCompile(`(?m)(Exception|Error|error:|^No .* found|Failed|not an openstack command).*$`)

// TestNetworkCommands does with the openstack command what operators do.
func TestNetworkCommands(t *testing.T) {
	t.Parallel()
	doCommands(t, testcloud.Start(t, testcloud.Nodes(1)), networkCommands)
}

// doCommands gives the openstack command an admin's commands, one a line: each must
// succeed, and what stands behind => be in what it prints. Further settings are in
// the form of the environment.
func doCommands(t *testing.T, cloud *testcloud.Cloud, lines string, settings ...string) {
	t.Helper()
	var commands []string
	want := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		command, pattern, _ := strings.Cut(line, " => ")
		commands = append(commands, command)
		want[command] = pattern
	}
	// One process for all, since most of a command's time is its start. What a
	// command prints ends with the last line of the help that is asked for then.
	const mark, end = "help complete", "This command is provided by the cliff plugin."
	shell := exec.CommandContext(t.Context(), "/usr/bin/openstack")
	shell.Env = append(os.Environ(), "OS_AUTH_URL="+cloud.URL+"/v3", "OS_IDENTITY_API_VERSION=3", "OS_USERNAME=admin",
		"OS_PASSWORD="+cloud.App.Secrets.Admin, "OS_PROJECT_NAME=admin", "OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default")
	shell.Env = append(shell.Env, settings...)
	shell.Stdin = strings.NewReader(strings.Join(commands, "\n"+mark+"\n") + "\n" + mark + "\n")
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("openstack: %v (make packages installs what is missing)\n%s", err, output)
	}
	parts := strings.Split(string(output), end)
	if len(parts) != len(commands)+1 {
		t.Fatalf("%d commands gave %d answers:\n%s", len(commands), len(parts)-1, output)
	}
	for i, command := range commands {
		refused := refusal.FindString(parts[i])
		if refused != "" || !regexp.MustCompile(want[command]).MatchString(parts[i]) {
			t.Errorf("openstack %s: want %q, got\n%s", command, want[command], strings.TrimSpace(strings.Split(parts[i], "usage: complete")[0]))
		}
	}
}
