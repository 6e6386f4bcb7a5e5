package compute

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/db"
)

// Notifications words events as Nova does: versioned notifications carry objects,
// unversioned ones, on which telemetry still lives, a flat form. What is done
// without a host is told in the name of this one.
func Notifications(host string) oslo.Service {
	return oslo.Service{Exchange: "nova", Render: func(e bus.Record) ([]oslo.Notification, error) { return wordEvent(host, e) }}
}

// data are the fields of a notification's object.
type data map[string]any

// novaObject wraps fields as Nova's versioned objects are.
func novaObject(name, version string, fields data) data {
	return data{
		"nova_object.name": name, "nova_object.namespace": "nova", "nova_object.version": version, "nova_object.data": fields,
	}
}

// legacyNames are what unversioned notifications call what is otherwise named
// alike. An empty name has none.
var legacyNames = map[string]string{
	"volume_attach.start": "", "volume_attach.end": "volume.attach", "volume_attach.error": "",
	"volume_detach.start": "", "volume_detach.end": "volume.detach",
	"volume_swap.start": "", "volume_swap.end": "", "volume_swap.error": "",
	"interface_attach.start": "", "interface_attach.end": "", "interface_attach.error": "",
	"interface_detach.start": "", "interface_detach.end": "",
	"lock": "", "unlock": "", "evacuate": "",
	"live_migration_pre.start": "live_migration.pre.start", "live_migration_pre.end": "live_migration.pre.end",
	"live_migration_post.start": "live_migration._post.start", "live_migration_post.end": "live_migration._post.end",
	"live_migration_post_dest.start": "live_migration.post.dest.start", "live_migration_post_dest.end": "live_migration.post.dest.end",
	"live_migration_rollback.start": "live_migration._rollback.start", "live_migration_rollback.end": "live_migration._rollback.end",
	"live_migration_rollback_dest.start": "live_migration.rollback.dest.start", "live_migration_rollback_dest.end": "live_migration.rollback.dest.end",
	"live_migration_abort.start": "live.migration.abort.start", "live_migration_abort.end": "live.migration.abort.end",
	"live_migration_force_complete.start": "live.migration.force.complete.start", "live_migration_force_complete.end": "live.migration.force.complete.end",
}

func wordEvent(host string, e bus.Record) ([]oslo.Notification, error) {
	object, action, _ := strings.Cut(e.Type, ".")
	versioned := oslo.Notification{Family: oslo.Versioned, Type: e.Type, Publisher: "nova-api:" + host, Error: strings.HasSuffix(action, ".error")}
	var err error
	switch object {
	case "instance":
		var facts told
		err = json.Unmarshal(e.Payload, &facts)
		if err != nil {
			break
		}
		program, where := "compute", facts.Server.Host
		if where == "" || action == "lock" || action == "unlock" || action == "evacuate" {
			program, where = "api", host
		}
		versioned.Publisher = "nova-" + program + ":" + where
		versioned.Payload = facts.versioned(action, e)
		legacy, renamed := legacyNames[action]
		if renamed && legacy == "" {
			break
		}
		if !renamed {
			legacy = action
		}
		return []oslo.Notification{versioned, {
			Family: oslo.Unversioned, Type: "compute.instance." + legacy, Publisher: program + "." + where, Error: versioned.Error,
			Payload: facts.unversioned(e),
		}}, nil
	case "flavor":
		var facts toldFlavor
		err = json.Unmarshal(e.Payload, &facts)
		versioned.Payload = flavorObject(facts.Flavor, facts.Projects)
	case "keypair":
		var pair KeyPair
		err = json.Unmarshal(e.Payload, &pair)
		versioned.Payload = keyPairObject(pair)
	default:
		err = wordOperatorEvent(host, object, &versioned, e)
	}
	if err != nil {
		return nil, err
	}
	return []oslo.Notification{versioned}, nil
}

// versioned is the object that says what happened to a server.
func (t told) versioned(action string, e bus.Record) data {
	fields := t.instanceFields()
	if e.By.User != "" && e.By.Project != "" {
		fields["request_id"] = nullable(e.By.RequestID)
	}
	fields["action_initiator_user"], fields["action_initiator_project"] = nullable(e.By.User), nullable(e.By.Project)
	if action == "update" {
		t.updateFields(fields, e.At)
		return novaObject("InstanceUpdatePayload", "1.8", fields)
	}
	fields["fault"] = nil
	if strings.HasSuffix(action, ".error") && t.Server.Fault.V != nil {
		fields["fault"] = novaObject("ExceptionPayload", "1.1", data{
			"exception": "NovaException", "exception_message": t.Server.Fault.V.Message,
			"function_name": action, "module_name": "compute", "traceback": "",
		})
	}
	switch {
	case strings.HasPrefix(action, "create."):
		pairs := []data{}
		for _, pair := range t.KeyPair {
			pairs = append(pairs, keyPairObject(pair))
		}
		fields["tags"], fields["keypairs"], fields["trusted_image_certificates"], fields["instance_name"] = t.Tags, pairs, nil, t.Server.InstanceName()
		return novaObject("InstanceCreatePayload", "1.11", fields)
	case strings.HasPrefix(action, "rescue."):
		fields["rescue_image_ref"] = nil
		if r := t.Server.Rescue.V; r != nil {
			fields["rescue_image_ref"] = r.Image
		}
		return novaObject("InstanceActionRescuePayload", "1.3", fields)
	case t.Swap != "":
		fields["old_volume_id"], fields["new_volume_id"] = t.Volume, t.Swap
		return novaObject("InstanceActionVolumeSwapPayload", "1.7", fields)
	case t.Volume != "":
		fields["volume_id"] = t.Volume
		return novaObject("InstanceActionVolumePayload", "1.5", fields)
	}
	return novaObject("InstanceActionPayload", "1.7", fields)
}

// instanceFields are what every notification about a server has.
func (t told) instanceFields() data {
	server := t.Server
	addresses := []data{}
	for _, p := range t.Ports {
		for _, a := range p.Addresses {
			addresses = append(addresses, novaObject("IpPayload", "1.0", data{
				"label": p.NetworkName, "mac": p.MAC, "meta": data{}, "port_uuid": p.ID, "version": ipVersion(a.IP), "address": a.IP,
				"device_name": "tap" + p.ID[:min(len(p.ID), 11)],
			}))
		}
	}
	return data{
		"uuid": server.ID, "user_id": server.UserID, "tenant_id": server.Project, "reservation_id": server.Reservation,
		"display_name": server.Name, "display_description": server.Description, "host_name": server.Hostname,
		"host": nullable(server.Host), "node": nullable(server.Host), "os_type": nullable(server.ImageProperties.V["os_type"]),
		"architecture": nullable(server.ImageProperties.V["architecture"]), "availability_zone": nullable(t.Zone),
		"flavor": flavorObject(server.Flavor.V, nil), "image_uuid": server.Image,
		"key_name": server.KeyName, "kernel_id": "", "ramdisk_id": "",
		"created_at": moment(server.CreatedAt), "launched_at": moment(server.LaunchedAt), "terminated_at": moment(server.TerminatedAt),
		"deleted_at": moment(server.DeletedAt), "updated_at": moment(server.UpdatedAt),
		"state": server.VMState, "power_state": powerWords[server.PowerState], "task_state": nullable(string(server.TaskState)), "progress": 0,
		"ip_addresses": addresses, "block_devices": nil, "metadata": words(server.Metadata.V), "locked": server.Locked,
		"auto_disk_config": server.DiskConfig(), "request_id": nil,
	}
}

// updateFields adds what only notifications about updates have.
func (t told) updateFields(fields data, at time.Time) {
	fields["state_update"] = novaObject("InstanceStateUpdatePayload", "1.0", t.stateUpdate())
	fields["audit_period"] = novaObject("AuditPeriodPayload", "1.0", auditPeriod(at, wireTime))
	fields["bandwidth"], fields["tags"], fields["old_display_name"] = []data{}, t.Tags, nil
	if t.Before.Name != t.Server.Name {
		fields["old_display_name"] = t.Before.Name
	}
}

func (t told) stateUpdate() data {
	return data{
		"old_state": t.Before.VMState, "state": t.Server.VMState,
		"old_task_state": nullable(string(t.Before.TaskState)), "new_task_state": nullable(string(t.Server.TaskState)),
	}
}

// auditPeriod is from when the month began until now, which is the period that
// usage is counted in.
func auditPeriod(now time.Time, form string) data {
	now = now.UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	return data{"audit_period_beginning": month.Format(form), "audit_period_ending": now.Format(form)}
}

// unversioned is the flat form that meters and bills are made from.
func (t told) unversioned(e bus.Record) data {
	server := t.Server
	flavor := server.Flavor.V
	fields := data{
		"tenant_id": server.Project, "user_id": server.UserID, "instance_id": server.ID, "display_name": server.Name,
		"reservation_id": server.Reservation, "hostname": server.Hostname,
		"instance_type": flavor.Name, "instance_type_id": flavor.ID, "instance_flavor_id": flavor.ID,
		"memory_mb": flavor.RAM, "disk_gb": flavor.Disk + flavor.Ephemeral, "vcpus": flavor.VCPUs,
		"root_gb": flavor.Disk, "ephemeral_gb": flavor.Ephemeral,
		"architecture": server.ImageProperties.V["architecture"], "os_type": server.ImageProperties.V["os_type"],
		"host": server.Host, "node": server.Host, "availability_zone": t.Zone, "cell_name": "",
		"created_at": legacyMoment(server.CreatedAt), "launched_at": legacyMoment(server.LaunchedAt),
		"terminated_at": legacyMoment(server.TerminatedAt), "deleted_at": legacyMoment(server.DeletedAt),
		"image_ref_url": server.Image, "image_meta": words(server.ImageProperties.V), "kernel_id": "", "ramdisk_id": "",
		"state": server.VMState, "state_description": server.TaskState, "progress": "",
		"access_ip_v4": nullable(server.AccessIP4), "access_ip_v6": nullable(server.AccessIP6), "metadata": words(server.Metadata.V),
	}
	addresses := []data{}
	for _, p := range t.Ports {
		for _, a := range p.Addresses {
			addresses = append(addresses, data{"address": a.IP, "version": ipVersion(a.IP), "type": "fixed", "label": p.NetworkName,
				"vif_mac": p.MAC, "floating_ips": []data{}, "meta": data{}})
		}
	}
	fields["fixed_ips"] = addresses
	if server.Fault.V != nil {
		fields["message"], fields["code"] = server.Fault.V.Message, server.Fault.V.Code
	}
	if t.Volume != "" {
		fields["volume_id"] = t.Volume
	}
	if t.Before != nil {
		maps.Copy(fields, t.stateUpdate())
		maps.Copy(fields, auditPeriod(e.At, legacyTime))
		fields["bandwidth"], fields["old_display_name"] = data{}, nil
		if t.Before.Name != server.Name {
			fields["old_display_name"] = t.Before.Name
		}
	}
	return fields
}

func flavorObject(f Flavor, projects []string) data {
	return novaObject("FlavorPayload", "1.4", data{
		"flavorid": f.ID, "name": f.Name, "memory_mb": f.RAM, "vcpus": f.VCPUs, "root_gb": f.Disk, "ephemeral_gb": f.Ephemeral,
		"swap": f.Swap, "rxtx_factor": f.RxTxFactor, "vcpu_weight": 0, "disabled": false, "is_public": f.Public,
		"extra_specs": words(f.ExtraSpecs.V), "projects": projects, "description": f.Description,
	})
}

func keyPairObject(pair KeyPair) data {
	return novaObject("KeypairPayload", "1.0", data{
		"user_id": pair.UserID, "name": pair.Name, "fingerprint": pair.Fingerprint, "public_key": pair.PublicKey, "type": pair.Type,
	})
}

// Forms of times in versioned and in unversioned notifications.
const (
	wireTime   = "2006-01-02T15:04:05Z"
	legacyTime = "2006-01-02T15:04:05.000000"
)

func moment(t db.Time) any {
	if t == 0 {
		return nil
	}
	return t.Time().UTC().Format(wireTime)
}

func legacyMoment(t db.Time) string {
	if t == 0 {
		return ""
	}
	return t.Time().UTC().Format(legacyTime)
}

// powerWords are how notifications spell power states.
var powerWords = map[Power]string{
	NoState: "pending", Running: "running", Paused: "paused", Shutdown: "shutdown", Crashed: "crashed",
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// words is the map, never null.
func words(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func ipVersion(ip string) int {
	if strings.Contains(ip, ":") {
		return 6
	}
	return 4
}
