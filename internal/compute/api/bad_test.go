package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestBadInput sends what is wrong: the answer says so, is never a 500, and
// nothing is half made.
func TestBadInput(t *testing.T) {
	c := start(t, options{})
	id := c.active("web", "")
	create := func(more string) string {
		return fmt.Sprintf(`{"server":{"name":"x","imageRef":%q,"flavorRef":"1"%s}}`, imageID, more)
	}
	long := strings.Repeat("x", 256)
	disks := func(list string) string { // of a server without an image
		return `{"server":{"name":"x","flavorRef":"1","block_device_mapping_v2":[` + list + `]}}`
	}
	also := func(list string) string { // beside the disk with the image
		return create(`,"block_device_mapping_v2":[{"boot_index":0,"uuid":"` + imageID + `","source_type":"image","destination_type":"local"},` + list + `]`)
	}
	many := make([]string, 129)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	hinted := func(hints string) string {
		return strings.TrimSuffix(create(""), "}") + `,"os:scheduler_hints":` + hints + "}"
	}
	volume := `"source_type":"volume","destination_type":"volume","uuid":"` + volumeID + `"`
	taken := c.must(200, "demo", "GET", "/servers/"+id, "").at(t, "server", "addresses", "private", 0, "addr").(string)
	before := c.world(t)
	tests := []struct {
		name, who, method, path, body string
		status                        int
		says                          string
	}{
		{"no token", "", "GET", "/servers", "", 401, "The request you have made requires authentication."},
		{"malformed JSON", "demo", "POST", "/servers", `{"server":`, 400, "Malformed request body"},
		{"no body", "demo", "POST", "/servers", "", 400, "Malformed request body"},
		{"body too large", "demo", "POST", "/servers", `{"server":{"name":"` + strings.Repeat("x", 200000) + `"}}`, 413, "Request is too large."},
		{"unknown field", "demo", "POST", "/servers", create(`,"colour":"red"`), 400, "Additional properties are not allowed ('colour' was unexpected)"},
		{"no name", "demo", "POST", "/servers", `{"server":{"flavorRef":"1","imageRef":"` + imageID + `"}}`, 400, "'name' is a required property"},
		{"name too long", "demo", "POST", "/servers", `{"server":{"name":"` + long + `","flavorRef":"1"}}`, 400, "is too long"},
		{"only a disk that is no volume", "demo", "POST", "/servers", `{"server":{"name":"x","flavorRef":"1","block_device_mapping_v2":[{"boot_index":0,"source_type":"image","uuid":"` + imageID + `"}]}}`, 400, "Mapping image to local is not supported."},
		{"too many patterns", "demo", "GET", "/servers?" + strings.Repeat("name=x&", 11), "", 400, "at most 10 are heard"},
		{"name that begins with a space", "demo", "POST", "/servers", `{"server":{"name":" x","flavorRef":"1"}}`, 400, "Can not start or end with whitespace."},
		{"empty name", "demo", "POST", "/servers", `{"server":{"name":"","flavorRef":"1"}}`, 400, "is too short"},
		{"name of a wrong type", "demo", "POST", "/servers", `{"server":{"name":7,"flavorRef":"1"}}`, 400, "7 is not of type 'string'"},
		{"flavor of a wrong type", "demo", "POST", "/servers", `{"server":{"name":"x","flavorRef":[]}}`, 400, "is not of type"},
		{"unknown flavor", "demo", "POST", "/servers", `{"server":{"name":"x","flavorRef":"77","imageRef":"` + imageID + `"}}`, 400, "Flavor 77 could not be found."},
		{"unknown image", "demo", "POST", "/servers", `{"server":{"name":"x","flavorRef":"1","imageRef":"99999999-9999-4999-8999-999999999999"}}`, 400, "Can not find requested image"},
		{"hostile image", "demo", "POST", "/servers", `{"server":{"name":"x","flavorRef":"1","imageRef":"` + badImageID + `"}}`, 400, "it has a backing file"},
		{"flavor too small", "demo", "POST", "/servers", `{"server":{"name":"x","flavorRef":"1","imageRef":"` + bigImageID + `"}}`, 400, "Flavor's disk is smaller than the minimum size"},
		{"no image", "demo", "POST", "/servers", `{"server":{"name":"x","flavorRef":"1"}}`, 400, "Missing imageRef attribute"},
		{"no networks since 2.37", "demo@2.37", "POST", "/servers", create(""), 400, "'networks' is a required property"},
		{"networks as a word before 2.37", "demo@2.36", "POST", "/servers", create(`,"networks":"auto"`), 400, "is not of type 'array'"},
		{"networks as a wrong word", "demo@2.37", "POST", "/servers", create(`,"networks":"some"`), 400, "'some'"},
		{"unknown network", "demo", "POST", "/servers", create(`,"networks":[{"uuid":"99999999-9999-4999-8999-999999999999"}]`), 400, "Network 99999999-9999-4999-8999-999999999999 could not be found."},
		{"network that is no id since 2.37", "demo@2.37", "POST", "/servers", create(`,"networks":[{"uuid":"x"}]`), 400, "does not match"},
		{"unknown port", "demo", "POST", "/servers", create(`,"networks":[{"port":"99999999-9999-4999-8999-999999999999"}]`), 400, "Port 99999999-9999-4999-8999-999999999999 could not be found."},
		{"one port twice", "demo", "POST", "/servers", create(`,"networks":[{"port":"` + freePort + `"},{"port":"` + freePort + `"}]`), 400, "Port " + freePort + " is asked for more than once."},
		{"one port for several", "demo", "POST", "/servers", create(`,"min_count":2,"networks":[{"port":"` + freePort + `"}]`), 400, "Failed to launch instances: "},
		{"one address for several", "demo", "POST", "/servers", create(`,"min_count":2,"networks":[{"uuid":"` + networkID + `","fixed_ip":"10.0.0.77"}]`), 400, "Failed to launch instances: max_count cannot be greater than 1 if an fixed_ip is specified."},
		{"network without a subnet", "demo", "POST", "/servers", create(`,"networks":[{"uuid":"` + bareNet + `"}]`), 400, "Network " + bareNet + " requires a subnet in order to boot instances on."},
		{"address that another server has", "demo", "POST", "/servers", create(`,"networks":[{"uuid":"` + networkID + `","fixed_ip":"` + taken + `"}]`), 400, "Fixed IP address " + taken + " is already in use on instance " + id + "."},
		{"unknown security group of no card", "demo@2.37", "POST", "/servers", create(`,"networks":"none","security_groups":[{"name":"nosg"}]`), 400, "Security group nosg not found"},
		{"more of a security group than its name", "demo", "POST", "/servers", create(`,"security_groups":[{"name":"default","zzz":1}]`), 400, "('zzz' was unexpected)"},
		{"key with a space before it", "demo", "POST", "/servers", create(`,"key_name":" a"`), 400, "Can not start or end with whitespace."},
		{"no hints at all", "demo", "POST", "/servers", hinted(`null`), 400, "is not of type 'object'"},
		{"hint query of a wrong type", "demo", "POST", "/servers", hinted(`{"query":["=","$ram",1]}`), 400, "is not of type"},
		{"hint target_cell of a wrong type", "demo", "POST", "/servers", hinted(`{"target_cell":1}`), 400, "is not of type 'string'"},
		{"hint different_cell of a wrong type", "demo", "POST", "/servers", hinted(`{"different_cell":{}}`), 400, "is not of type"},
		{"hint cidr of no size", "demo", "POST", "/servers", hinted(`{"cidr":"/abc"}`), 400, "Invalid scheduler hint cidr: /abc"},
		{"too many for three quotas", "demo", "POST", "/servers", `{"server":{"name":"x","imageRef":"` + imageID + `","flavorRef":"4","min_count":10}}`, 403, "Quota exceeded for cores, instances, ram: Requested 40, 10, 81920, but already used 1, 1, "},
		{"rebuild with user data that is no base64", "demo@2.57", "POST", "/servers/" + id + "/action", `{"rebuild":{"imageRef":"` + imageID + `","user_data":"a"}}`, 400, "User data needs to be valid base 64."},
		{"unshelve to a zone with a space before it", "demo@2.77", "POST", "/servers/" + id + "/action", `{"unshelve":{"availability_zone":" a"}}`, 400, "Can not start or end with whitespace."},
		{"migration to where the server is", "admin@2.56", "POST", "/servers/" + id + "/action", `{"migrate":{"host":"node-1"}}`, 400, "Cannot migrate to the host where the server exists."},
		{"host and zone:host", "admin@2.74", "POST", "/servers", create(`,"networks":"none","host":"node-1","availability_zone":"nova:node-1"`), 400, "are mutually exclusive"},
		{"host and another's node", "admin@2.74", "POST", "/servers", create(`,"networks":"none","host":"node-1","hypervisor_hostname":"node-2"`), 400, "could not be found."},
		{"node named by a user", "demo", "POST", "/servers", create(`,"availability_zone":"nova::node-1"`), 403, "os_compute_api:servers:create:forced_host"},
		{"zone of too many parts", "admin", "POST", "/servers", create(`,"availability_zone":"a:b:c:d"`), 400, "Unable to parse availability_zone"},
		{"bad fixed address", "demo", "POST", "/servers", create(`,"networks":[{"uuid":"` + networkID + `","fixed_ip":"10.0.0.999"}]`), 400, "'10.0.0.999' is not a 'ip'"},
		{"unknown security group", "demo", "POST", "/servers", create(`,"security_groups":[{"name":"none"}]`), 400, "Security group none not found"},
		{"unknown key", "demo", "POST", "/servers", create(`,"key_name":"none"`), 400, "Invalid key_name provided."},
		{"user data that is no base64", "demo", "POST", "/servers", create(`,"user_data":"***"`), 400, "user_data"},
		{"user data too large", "demo", "POST", "/servers", create(`,"user_data":"` + strings.Repeat("QUFB", 20000) + `"`), 400, "is too long"},
		{"metadata of a wrong type", "demo", "POST", "/servers", create(`,"metadata":{"a":1}`), 400, "1 is not of type 'string'"},
		{"metadata value too long", "demo", "POST", "/servers", create(`,"metadata":{"a":"` + long + `"}`), 400, "is too long"},
		{"unknown zone", "demo", "POST", "/servers", create(`,"availability_zone":"moon"`), 400, "The requested availability zone is not available"},
		{"host named by a user", "demo", "POST", "/servers", create(`,"availability_zone":"nova:node-1"`), 403, "os_compute_api:servers:create:forced_host"},
		{"more at least than at most", "demo", "POST", "/servers", create(`,"min_count":3,"max_count":2`), 400, "min_count must be <= max_count"},
		{"one host name for several servers", "demo@2.90", "POST", "/servers", create(`,"networks":"none","hostname":"web","max_count":2`), 400, "Unable to allocate a single hostname to multiple instances"},
		{"count of a wrong type", "demo", "POST", "/servers", create(`,"min_count":"many"`), 400, "does not match"},
		{"count of nought", "demo", "POST", "/servers", create(`,"min_count":0`), 400, "is less than the minimum of 1"},
		{"too many for the quota", "demo", "POST", "/servers", create(`,"min_count":10`), 403, "Quota exceeded for instances: Requested 10, but already used 1 of 10 instances"},
		{"more at least than are ever made", "demo", "POST", "/servers", create(`,"min_count":9000000000000000000`), 400, "at most 1000 servers"},
		{"more at least than there are numbers", "demo", "POST", "/servers", create(`,"min_count":99999999999999999999999`), 400, "at most 1000 servers"},
		{"place in the boot order beyond all", "demo", "POST", "/servers", also(`{` + volume + `,"boot_index":"99999999999999999999999"}`), 400, "Boot sequence"},
		{"disk larger than any", "demo", "POST", "/servers", also(`{"source_type":"blank","destination_type":"volume","volume_size":99999999999999999999999}`), 400, "Invalid input for field/attribute volume_size. Value: 99999999999999999999999."},
		{"volume larger than any", "demo", "POST", "/os-volumes", `{"volume":{"size":"2147483648"}}`, 400, "Invalid input for field/attribute size. Value: 2147483648."},
		{"unknown group", "demo", "POST", "/servers", `{"server":{"name":"x","imageRef":"` + imageID + `","flavorRef":"1"},"os:scheduler_hints":{"group":"99999999-9999-4999-8999-999999999999"}}`, 400, "Instance group 99999999-9999-4999-8999-999999999999 could not be found."},
		{"unknown volume", "demo", "POST", "/servers", create(`,"block_device_mapping_v2":[{"boot_index":0,"uuid":"99999999-9999-4999-8999-999999999999","source_type":"volume","destination_type":"volume"}]`), 400, "Block Device Mapping is Invalid"},
		{"unknown snapshot", "demo", "POST", "/servers", create(`,"block_device_mapping_v2":[{"boot_index":0,"uuid":"99999999-9999-4999-8999-999999999999","source_type":"snapshot"}]`), 400, "failed to get snapshot 99999999"},
		{"volume on the host's disk", "demo", "POST", "/servers", create(`,"block_device_mapping_v2":[{"boot_index":0,"uuid":"` + volumeID + `","source_type":"volume","destination_type":"local"}]`), 400, "Mapping volume to local is not supported"},
		{"snapshot on the host's disk", "demo", "POST", "/servers", create(`,"block_device_mapping_v2":[{"boot_index":0,"uuid":"` + volumeID2 + `","source_type":"snapshot","destination_type":"local"}]`), 400, "Mapping snapshot to local is not supported"},
		{"two root disks", "demo", "POST", "/servers", create(`,"block_device_mapping_v2":[{"boot_index":0,"uuid":"` + volumeID + `","source_type":"volume"},{"boot_index":0,"uuid":"` + volumeID2 + `","source_type":"volume"}]`), 400, "Boot sequence"},
		{"blank disk without a size", "demo", "POST", "/servers", also(`{"source_type":"blank","destination_type":"volume"}`), 400, "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size"},
		{"boot order with a gap", "demo", "POST", "/servers", also(`{` + volume + `,"boot_index":2}`), 400, "Boot sequence"},
		{"boot order with a pair", "demo", "POST", "/servers", also(`{` + volume + `,"boot_index":1},{"source_type":"blank","destination_type":"volume","volume_size":1,"boot_index":1}`), 400, "Boot sequence"},
		{"disks without the one of the image", "demo", "POST", "/servers", create(`,"block_device_mapping_v2":[{` + volume + `}]`), 400, "Boot sequence"},
		{"nothing but the absence of a disk", "demo", "POST", "/servers", create(`,"block_device_mapping_v2":[{"no_device":true,"device_name":"vdb"}]`), 400, "Boot sequence"},
		{"image on the host's disk alone", "demo", "POST", "/servers", disks(`{"boot_index":0,"uuid":"` + imageID + `","source_type":"image","destination_type":"local"}`), 400, "Mapping image to local is not supported."},
		{"second image on the host's disk", "demo", "POST", "/servers", also(`{"boot_index":1,"uuid":"` + imageID + `","source_type":"image","destination_type":"local"}`), 400, "Mapping image to local is not supported."},
		{"image in a volume of no size", "demo", "POST", "/servers", disks(`{"boot_index":0,"uuid":"` + imageID + `","source_type":"image","destination_type":"volume"}`), 400, "Images with destination_type 'volume' need to have a non-zero size specified"},
		{"image in a volume that is too small", "demo", "POST", "/servers", disks(`{"boot_index":0,"uuid":"` + bigImageID + `","source_type":"image","destination_type":"volume","volume_size":1}`), 400, "Volume is smaller than the minimum size"},
		{"blank disk with an id", "demo", "POST", "/servers", also(`{"source_type":"blank","destination_type":"volume","volume_size":1,"uuid":"` + volumeID + `"}`), 400, "Invalid device UUID."},
		{"disk of no source", "demo", "POST", "/servers", also(`{"uuid":"` + volumeID + `"}`), 400, "Some required fields are missing"},
		{"volume type of a disk that is none", "demo@2.67", "POST", "/servers", disks(`{"source_type":"blank","destination_type":"local","volume_type":"fast"}],"networks":[`), 400, "Specifying a volume_type with destination_type=local"},
		{"volume type of a volume that is there", "demo@2.67", "POST", "/servers", disks(`{` + volume + `,"volume_type":"fast"}],"networks":[`), 400, "Specifying volume type to existing volume"},
		{"unknown volume type", "demo@2.67", "POST", "/servers", disks(`{"boot_index":0,"uuid":"` + imageID + `","source_type":"image","destination_type":"volume","volume_size":1,"volume_type":"none"}],"networks":[`), 400, "Volume type none could not be found."},
		{"unknown bus", "demo", "POST", "/servers", also(`{` + volume + `,"disk_bus":"foo"}`), 400, "The provided disk bus foo is not valid."},
		{"volume in the place of the root disk", "demo", "POST", "/servers", also(`{` + volume + `,"device_name":"/dev/vda"}`), 400, "the same device name as the root device vda"},
		{"one volume for several servers", "demo", "POST", "/servers", disks(`{` + volume + `,"boot_index":0}],"min_count":2,"networks":[`), 400, "Cannot attach one or more volumes to multiple instances"},
		{"old disk to boot from in another place", "demo", "POST", "/servers", `{"server":{"name":"x","flavorRef":"1","block_device_mapping":[{"volume_id":"` + volumeID + `","device_name":"vdb"}]}}`, 400, "Boot sequence"},
		{"description before 2.19", "demo@2.18", "POST", "/servers", create(`,"description":"x"`), 400, "'description' was unexpected"},
		{"tags before 2.52", "demo@2.51", "POST", "/servers", create(`,"tags":["x"],"networks":"auto"`), 400, "'tags' was unexpected"},
		{"reader creates", "reader", "POST", "/servers", create(""), 403, "Policy doesn't allow os_compute_api:servers:create to be performed."},

		{"microversion too high", "demo@2.500", "GET", "/servers", "", 406, "Version 2.500 is not supported by the API. Minimum is 2.1 and maximum is 2.104."},
		{"microversion malformed", "demo@x", "GET", "/servers", "", 400, "API Version String x is of invalid format"},
		{"call that was removed", "demo", "GET", "/os-cells/detail", "", 410, "no longer available"},
		{"action that was removed", "demo@2.97", "POST", "/servers/" + id + "/action", `{"resetNetwork":null}`, 410, "no longer available"},
		{"removed call by nobody", "", "GET", "/os-agents", "", 401, ""},
		{"both forms of disks", "demo", "POST", "/servers", create(`,"block_device_mapping":[{"device_name":"vdb"}],"block_device_mapping_v2":[{"source_type":"blank"}]`), 400, "Using different block_device_mapping syntaxes"},
		{"old disk that names nothing", "demo", "POST", "/servers", create(`,"block_device_mapping":[{"device_name":"vdb"}]`), 400, "Unrecognized legacy format."},
		{"old disk of an unknown virtual name", "demo", "POST", "/servers", create(`,"block_device_mapping":[{"virtual_name":"ephemeralx"}]`), 400, "Unrecognized legacy format."},
		{"tag of a disk between 2.33 and 2.41", "demo@2.41", "POST", "/servers", create(`,"networks":"none","block_device_mapping_v2":[{"source_type":"blank","tag":"x"}]`), 400, "'tag' was unexpected"},
		{"tag of a card between 2.37 and 2.41", "demo@2.41", "POST", "/servers", create(`,"networks":[{"uuid":"` + networkID + `","tag":"x"}]`), 400, "'tag' was unexpected"},
		{"name with a domain before 2.94", "demo@2.93", "POST", "/servers", create(`,"networks":"none","hostname":"a.example"`), 400, "does not match"},
		{"null where it means nothing", "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"cores":null}}`, 400, "None is not of type"},
		{"lock with a text since 2.73", "demo@2.73", "POST", "/servers/" + id + "/action", `{"lock":"x"}`, 400, "'x' is not of type"},
		{"completion with a value", "admin@2.22", "POST", "/servers/" + id + "/migrations/1/action", `{"force_complete":{}}`, 400, "is not of type 'null'"},
		{"unknown path", "demo", "GET", "/nothing", "", 404, "The resource could not be found."},
		{"unknown method", "demo", "PATCH", "/servers", "", 405, "not allowed"},
		{"stranger's server", "other", "GET", "/servers/" + id, "", 404, "Instance " + id + " could not be found."},
		{"stranger deletes", "other", "DELETE", "/servers/" + id, "", 404, "could not be found."},
		{"stranger stops", "other", "POST", "/servers/" + id + "/action", `{"os-stop":null}`, 404, "could not be found."},
		{"reader stops", "reader", "POST", "/servers/" + id + "/action", `{"os-stop":null}`, 403, "os_compute_api:servers:stop"},
		{"unknown action", "demo", "POST", "/servers/" + id + "/action", `{"dance":null}`, 400, "There is no such action: dance"},
		{"two actions", "demo", "POST", "/servers/" + id + "/action", `{"os-stop":null,"os-start":null}`, 400, "exactly one key"},
		{"image with too much metadata", "demo", "POST", "/servers/" + id + "/action", `{"createImage":{"name":"x","metadata":{` + strings.Join(many, ",") + `}}}`, 403, "Image metadata limit exceeded"},
		{"start while it runs", "demo", "POST", "/servers/" + id + "/action", `{"os-start":null}`, 409, "Cannot 'start' instance " + id + " while it is in vm_state active"},
		{"reboot of an unknown kind", "demo", "POST", "/servers/" + id + "/action", `{"reboot":{"type":"GENTLE"}}`, 400, "'GENTLE' is not one of"},
		{"migrate by a member", "demo", "POST", "/servers/" + id + "/action", `{"migrate":null}`, 403, "os_compute_api:os-migrate-server:migrate"},
		{"migrations by a member", "demo", "GET", "/os-migrations", "", 403, "os_compute_api:os-migrations:index"},
		{"unknown filter of migrations since 2.59", "admin@2.59", "GET", "/os-migrations?colour=red", "", 400, "was unexpected"},
		{"filter of migrations before 2.80", "admin@2.79", "GET", "/os-migrations?user_id=x", "", 400, "was unexpected"},
		{"unknown marker of migrations", "admin@2.59", "GET", "/os-migrations?marker=x", "", 400, "Marker x could not be found"},
		{"reset by a user", "demo", "POST", "/servers/" + id + "/action", `{"os-resetState":{"state":"error"}}`, 403, "os_compute_api:os-admin-actions:reset_state"},
		{"list of all projects by a user", "demo", "GET", "/servers?all_tenants=1", "", 403, "os_compute_api:servers:index:get_all_tenants"},
		{"marker that is nothing", "demo", "GET", "/servers?marker=none", "", 400, "marker [none] not found"},
		{"limit below nought", "demo", "GET", "/servers?limit=-1", "", 400, "limit"},
		{"unknown status since 2.38", "demo@2.38", "GET", "/servers?status=HAPPY", "", 400, "Invalid status value"},
		{"time that is none", "demo", "GET", "/servers?changes-since=yesterday", "", 400, "changes-since"},
		{"rename to nothing", "demo", "PUT", "/servers/" + id, `{"server":{"name":""}}`, 400, "is too short"},
		{"access address that is none", "demo", "PUT", "/servers/" + id, `{"server":{"accessIPv4":"1.2.3"}}`, 400, "is not a 'ipv4'"},
		{"metadata key missing", "demo", "GET", "/servers/" + id + "/metadata/none", "", 404, "Metadata item was not found"},
		{"metadata key and path differ", "demo", "PUT", "/servers/" + id + "/metadata/a", `{"meta":{"b":"c"}}`, 400, "Request body and URI mismatch"},
		{"unknown volume attached", "demo", "POST", "/servers/" + id + "/os-volume_attachments", `{"volumeAttachment":{"volumeId":"99999999-9999-4999-8999-999999999999"}}`, 404, "could not be found"},
		{"volume that is no id", "demo", "POST", "/servers/" + id + "/os-volume_attachments", `{"volumeAttachment":{"volumeId":"x"}}`, 400, "does not match"},
		{"detach of what is not there", "demo", "DELETE", "/servers/" + id + "/os-volume_attachments/" + volumeID, "", 404, "volume_id not found"},
		{"network and port", "demo", "POST", "/servers/" + id + "/os-interface", `{"interfaceAttachment":{"net_id":"` + networkID + `","port_id":"` + freePort + `"}}`, 400, "Must not input both"},
		{"card on a network without a subnet", "demo", "POST", "/servers/" + id + "/os-interface", `{"interfaceAttachment":{"net_id":"` + bareNet + `"}}`, 400, "requires a subnet"},
		{"card with the address of another", "demo", "POST", "/servers/" + id + "/os-interface", `{"interfaceAttachment":{"net_id":"` + networkID + `","fixed_ips":[{"ip_address":"` + taken + `"}]}}`, 409, "is already in use on instance " + id},
		{"full network", "demo", "POST", "/servers/" + id + "/os-interface", `{"interfaceAttachment":{"net_id":"` + fullNet + `"}}`, 409, "No more IP addresses available"},
		{"unknown flavor shown", "demo", "GET", "/flavors/77", "", 404, "Flavor 77 could not be found."},
		{"flavor by a user", "demo", "POST", "/flavors", `{"flavor":{"name":"x","ram":1,"vcpus":1,"disk":1}}`, 403, "os_compute_api:os-flavor-manage:create"},
		{"flavor without memory", "admin", "POST", "/flavors", `{"flavor":{"name":"x","ram":0,"vcpus":1,"disk":1}}`, 400, "is less than the minimum of 1"},
		{"flavor of a taken name", "admin", "POST", "/flavors", `{"flavor":{"name":"m1.tiny","ram":1,"vcpus":1,"disk":1}}`, 409, "Flavor with name m1.tiny already exists."},
		{"flavor of a taken id", "admin", "POST", "/flavors", `{"flavor":{"name":"x","id":"1","ram":1,"vcpus":1,"disk":1}}`, 409, "Flavor with ID 1 already exists."},
		{"key that is none", "demo", "POST", "/os-keypairs", `{"keypair":{"name":"k","public_key":"ssh-rsa nothing"}}`, 400, "Keypair data is invalid"},
		{"key pair of a wrong name", "demo", "POST", "/os-keypairs", `{"keypair":{"name":"a/b"}}`, 400, "unsafe characters"},
		{"unknown key pair", "demo", "GET", "/os-keypairs/none", "", 404, "Keypair none not found for user demo-user"},
		{"others' key pairs", "demo@2.10", "GET", "/os-keypairs?user_id=other-user", "", 403, "os_compute_api:os-keypairs:index"},
		{"quota below what is used", "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"instances":0}}`, 400, "must be greater than or equal to already used"},
		{"quota below -1", "admin", "PUT", "/os-quota-sets/demo", `{"quota_set":{"instances":-2}}`, 400, "is less than the minimum of -1"},
		{"quota by a user", "demo", "PUT", "/os-quota-sets/demo", `{"quota_set":{"instances":100}}`, 403, "os_compute_api:os-quota-sets:update"},
		{"others' quotas", "demo", "GET", "/os-quota-sets/other", "", 403, "os_compute_api:os-quota-sets:show"},
		{"hypervisors by a user", "demo", "GET", "/os-hypervisors", "", 403, "os_compute_api:os-hypervisors:list"},
		{"unknown hypervisor", "admin@2.53", "GET", "/os-hypervisors/99999999-9999-4999-8999-999999999999", "", 404, "could not be found"},
		{"hypervisor that is no id", "admin@2.53", "GET", "/os-hypervisors/1", "", 400, "Invalid uuid 1"},
		{"hypervisor that is no number", "admin", "GET", "/os-hypervisors/x/uptime", "", 404, "Hypervisor with ID 'x' could not be found."},
		{"uptime by a user", "demo", "GET", "/os-hypervisors/1/uptime", "", 403, "os_compute_api:os-hypervisors:uptime"},
		{"uptime after its end", "admin@2.88", "GET", "/os-hypervisors/1/uptime", "", 404, "not be found"},
		{"search for no hypervisor", "admin", "GET", "/os-hypervisors/none/search", "", 404, "No hypervisor matching 'none' could be found."},
		{"search by a user", "demo", "GET", "/os-hypervisors/node/search", "", 403, "os_compute_api:os-hypervisors:search"},
		{"search after its end", "admin@2.53", "GET", "/os-hypervisors/node/search", "", 404, "not be found"},
		{"servers of no hypervisor", "admin", "GET", "/os-hypervisors/none/servers", "", 404, "No hypervisor matching 'none' could be found."},
		{"hosts by a user", "demo", "GET", "/os-hosts", "", 403, "os_compute_api:os-hosts:list"},
		{"hosts after their end", "admin@2.43", "GET", "/os-hosts", "", 404, "not be found"},
		{"unknown host", "admin", "GET", "/os-hosts/none", "", 404, "Compute host none could not be found."},
		{"host by a user", "demo", "GET", "/os-hosts/node-1", "", 403, "os_compute_api:os-hosts:show"},
		{"host that is not changed", "admin", "PUT", "/os-hosts/node-1", `{}`, 400, "does not have enough properties"},
		{"host of an unknown status", "admin", "PUT", "/os-hosts/node-1", `{"status":"sleepy"}`, 400, "'sleepy' is not one of"},
		{"host of an unknown mode", "admin", "PUT", "/os-hosts/node-1", `{"status":"enable","maintenance_mode":"x"}`, 400, "'x' is not one of"},
		{"unknown host enabled", "admin", "PUT", "/os-hosts/none", `{"status":"enable","maintenance_mode":"enable"}`, 404, "Compute host none could not be found."},
		{"host enabled by a user", "demo", "PUT", "/os-hosts/node-1", `{"status":"enable"}`, 403, "os_compute_api:os-hosts:update"},
		{"host enabled", "admin", "PUT", "/os-hosts/node-1", `{"status":"Enable"}`, 501, "not supported"},
		{"unknown host rebooted", "admin", "GET", "/os-hosts/none/reboot", "", 404, "Compute host none could not be found."},
		{"host rebooted", "admin", "GET", "/os-hosts/node-1/reboot", "", 501, "not supported"},
		{"host shut down by a user", "demo", "GET", "/os-hosts/node-1/shutdown", "", 403, "os_compute_api:os-hosts:shutdown"},
		{"host started by a user", "demo", "GET", "/os-hosts/node-1/startup", "", 403, "os_compute_api:os-hosts:start"},
		{"unknown group policy", "demo@2.64", "POST", "/os-server-groups", `{"server_group":{"name":"g","policy":"love"}}`, 400, "is not one of"},
		{"soft group policy before 2.15", "demo", "POST", "/os-server-groups", `{"server_group":{"name":"g","policies":["soft-affinity"]}}`, 400, "is not one of"},
		{"aggregate that is no number", "admin", "GET", "/os-aggregates/x", "", 400, "not an integer"},
		{"unknown host added", "admin", "POST", "/os-aggregates/77/action", `{"add_host":{"host":"none"}}`, 404, "could not be found"},
		{"console of an unknown kind", "demo@2.6", "POST", "/servers/" + id + "/remote-consoles", `{"remote_console":{"protocol":"spice","type":"spice-html5"}}`, 400, "Unavailable console type spice-html5."},
		{"console whose type is of another protocol", "demo@2.6", "POST", "/servers/" + id + "/remote-consoles", `{"remote_console":{"protocol":"serial","type":"novnc"}}`, 400, "Invalid console type novnc"},
		{"console of a protocol that comes later", "demo@2.7", "POST", "/servers/" + id + "/remote-consoles", `{"remote_console":{"protocol":"mks","type":"webmks"}}`, 400, "'mks' is not one of"},
		{"console that we don't have", "demo@2.8", "POST", "/servers/" + id + "/remote-consoles", `{"remote_console":{"protocol":"mks","type":"webmks"}}`, 400, "Unavailable console type webmks."},
		{"console of an unknown server", "demo@2.6", "POST", "/servers/99999999-9999-4999-8999-999999999999/remote-consoles", `{"remote_console":{"protocol":"serial","type":"serial"}}`, 404, "could not be found"},
		{"console by a reader", "reader@2.6", "POST", "/servers/" + id + "/remote-consoles", `{"remote_console":{"protocol":"serial","type":"serial"}}`, 403, "os-remote-consoles"},
		{"old serial console of a wrong type", "demo", "POST", "/servers/" + id + "/action", `{"os-getSerialConsole":{"type":"novnc"}}`, 400, "'novnc' is not one of"},
		{"old serial console without a type", "demo", "POST", "/servers/" + id + "/action", `{"os-getSerialConsole":{}}`, 400, "'type' is a required property"},
		{"old serial console since 2.6", "demo@2.6", "POST", "/servers/" + id + "/action", `{"os-getSerialConsole":{"type":"serial"}}`, 404, "could not be found"},
		{"old SPICE console", "demo", "POST", "/servers/" + id + "/action", `{"os-getSPICEConsole":{"type":"spice-html5"}}`, 400, "Unavailable console type spice-html5."},
		{"console token before 2.31", "admin", "GET", "/os-console-auth-tokens/T", "", 400, "The server could not comply with the request"},
		{"unknown console token", "admin@2.31", "GET", "/os-console-auth-tokens/none", "", 404, "Token not found"},
		{"console token by a user", "demo@2.31", "GET", "/os-console-auth-tokens/T", "", 403, "os-console-auth-tokens"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := c.as(test.who, test.method, test.path, test.body)
			if r.status != test.status || !strings.Contains(string(r.body), test.says) {
				t.Errorf("got %d %s\nwant %d with %q", r.status, r.body, test.status, test.says)
			}
		})
	}
	c.same(t, before)
}
