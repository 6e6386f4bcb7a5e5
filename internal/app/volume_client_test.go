package app_test

import (
	"testing"

	"nacre/internal/testcloud"
)

// volumeCommands are what operators do about block storage, in turns: between
// them what was begun is waited for.
var volumeCommands = []string{`
volume type create --property vendor_name=Nacre --private --project demo t1 => vendor_name='Nacre'
volume type set --description d t1
volume type show t1 => access_project_ids +\| [0-9a-f]
volume type list --long => t1
volume qos create --consumer front-end --property total_iops_sec=100 q1 => total_iops_sec='100'
volume qos set --property read_iops_sec=50 q1
volume qos associate q1 t1
volume qos show q1 => associations +\| t1
volume qos unset --property read_iops_sec q1
volume qos disassociate --volume-type t1 q1
volume qos list => q1
volume qos delete q1
volume service list => cinder-volume +\| node-1@nacre
volume service set --disable --disable-reason broken node-1@nacre cinder-volume
volume service list --long => broken
volume service set --enable node-1@nacre cinder-volume
block storage resource filter list => volume
block storage cluster list
volume group type create gt1 => Is Public +\| True
volume group type set --property a=b gt1
volume group type list => gt1
volume group create --name g1 gt1 __DEFAULT__ => g1
volume create --size 1 v1 => creating
volume type create --property vendor_name=nobody t2
volume create --size 1 --type t2 v2 => creating
quota set --volumes 12 demo
quota show demo => volumes +\| 12
`, `
volume group set --description x g1
volume group list => available
volume list --long => v1 +\| available
volume message list => VOLUME_VOLUME_001_003
volume transfer request create --name tr1 v1 => auth_key
volume transfer request list => tr1
volume transfer request show tr1 => volume_id
volume transfer request delete tr1
volume set --property a=b --size 2 v1
`, `
volume snapshot create --volume v1 s1 => creating
`, `
volume snapshot set --property c=d s1
volume snapshot list => s1 +\|[^\n]+available
volume snapshot delete s1
volume group delete --force g1
volume delete v2
`, `
volume set --type t1 v1
`, `
volume migrate --host node-2@nacre#volumes v1
`, `
volume show v1 => type +\| t1
volume delete v1
`, `
volume type delete t1 t2
volume group type delete gt1
volume list
`}

// TestVolumeCommands does with the openstack command what operators do.
func TestVolumeCommands(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(2))
	for _, turn := range volumeCommands {
		doCommands(t, cloud, turn, "OS_VOLUME_API_VERSION=3.65")
		cloud.Settle(t)
	}
}
