package compute

import (
	"context"
	"fmt"
	"strings"

	"nacre/internal/bus"
	"nacre/internal/db"
)

// topic is where Nova's notifications go, of both kinds: versioned ones, which
// carry objects, and legacy ones, which telemetry still lives on.
const topic = "notifications.nova"

// data are the fields of a notification's object.
type data map[string]any

// novaObject wraps fields as Nova's versioned objects are.
func novaObject(name, version string, fields data) data {
	return data{
		"nova_object.name": name, "nova_object.namespace": "nova", "nova_object.version": version, "nova_object.data": fields,
	}
}

// legacyNames are what legacy notifications call what is otherwise named alike.
// An empty name has none.
var legacyNames = map[string]string{
	"volume_attach.start": "", "volume_attach.end": "volume.attach", "volume_attach.error": "",
	"volume_detach.start": "", "volume_detach.end": "volume.detach",
	"interface_attach.start": "", "interface_attach.end": "", "interface_attach.error": "",
	"interface_detach.start": "", "interface_detach.end": "",
	"lock": "", "unlock": "",
}

// tell tells what happens to a server, in the transaction in which it happens.
// More are fields that only this action has.
func (s *Service) tell(ctx context.Context, tx *db.Tx, action string, server Server, more data) error {
	ports, err := s.networks.PortsOf(ctx, tx, server.ID)
	if err != nil {
		return fmt.Errorf("tell of %s: %w", action, err)
	}
	fields := s.instanceFields(server, ports[server.ID])
	name, version := "InstanceActionPayload", "1.7"
	fields["fault"] = nil
	if strings.HasSuffix(action, ".error") && server.Fault.V != nil {
		fields["fault"] = novaObject("ExceptionPayload", "1.1", data{
			"exception": "NovaException", "exception_message": server.Fault.V.Message,
			"function_name": action, "module_name": "compute", "traceback": "",
		})
	}
	switch {
	case strings.HasPrefix(action, "create."):
		name, version = "InstanceCreatePayload", "1.11"
		err = createFields(ctx, tx, server, fields)
	case strings.HasPrefix(action, "volume_"):
		name, version = "InstanceActionVolumePayload", "1.5"
	case action == "update":
		name, version = "InstanceUpdatePayload", "1.8"
		delete(fields, "fault")
		fields["tags"], err = tagsOf(ctx, tx, server.ID)
	}
	if err != nil {
		return fmt.Errorf("tell of %s: %w", action, err)
	}
	for key, value := range more {
		fields[key] = value
	}
	err = bus.Emit(ctx, tx, bus.Event{Topic: topic, Type: "instance." + action, Resource: server.ID, Payload: novaObject(name, version, fields)})
	if err != nil {
		return err
	}
	legacy, renamed := legacyNames[action]
	switch {
	case renamed && legacy == "":
		return nil
	case !renamed:
		legacy = action
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: topic, Type: "compute.instance." + legacy, Resource: server.ID,
		Payload: s.legacyFields(server, ports[server.ID], more)})
}

// tellUpdate tells that a server was changed from what it was before.
func (s *Service) tellUpdate(ctx context.Context, tx *db.Tx, before, server Server) error {
	more := data{
		"state_update": novaObject("InstanceStateUpdatePayload", "1.0", data{
			"old_state": before.VMState, "state": server.VMState,
			"old_task_state": nullable(string(before.TaskState)), "new_task_state": nullable(string(server.TaskState)),
		}),
		"audit_period": novaObject("AuditPeriodPayload", "1.0", data{
			"audit_period_beginning": monthOf(tx).Format(wireTime), "audit_period_ending": tx.Now().UTC().Format(wireTime),
		}),
		"bandwidth": []data{}, "old_display_name": nil,
	}
	if before.Name != server.Name {
		more["old_display_name"] = before.Name
	}
	return s.tell(ctx, tx, "update", server, more)
}

// tellID is tell for steps that don't have the server at hand. A server that is
// gone has nothing to tell.
func (s *Service) tellID(ctx context.Context, tx *db.Tx, action, id string, more data) error {
	server, err := anyServer(ctx, tx, "", id)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, action, server, more)
}

// instanceFields are what every notification about a server has.
func (s *Service) instanceFields(server Server, ports []Port) data {
	addresses := []data{}
	for _, p := range ports {
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
		"architecture": nullable(server.ImageProperties.V["architecture"]), "availability_zone": nullable(s.zoneFor(server)),
		"flavor": novaObject("FlavorPayload", "1.4", flavorFields(server.Flavor.V, nil)), "image_uuid": server.Image,
		"key_name": server.KeyName, "kernel_id": "", "ramdisk_id": "",
		"created_at": moment(server.CreatedAt), "launched_at": moment(server.LaunchedAt), "terminated_at": moment(server.TerminatedAt),
		"deleted_at": moment(server.DeletedAt), "updated_at": moment(server.UpdatedAt),
		"state": server.VMState, "power_state": powerWords[server.PowerState], "task_state": nullable(string(server.TaskState)), "progress": 0,
		"ip_addresses": addresses, "block_devices": nil, "metadata": words(server.Metadata.V), "locked": server.Locked,
		"auto_disk_config": "MANUAL", "request_id": nil, "action_initiator_user": nil, "action_initiator_project": nil,
	}
}

// createFields adds what only notifications about creation have.
func createFields(ctx context.Context, tx *db.Tx, server Server, fields data) error {
	tags, err := tagsOf(ctx, tx, server.ID)
	if err != nil {
		return err
	}
	pairs := []data{}
	if server.KeyName != nil {
		var rows []KeyPair
		err = tx.All(ctx, &rows, "SELECT * FROM keypairs WHERE user_id = ? AND name = ?", server.UserID, *server.KeyName)
		if err != nil {
			return err
		}
		for _, pair := range rows {
			pairs = append(pairs, novaObject("KeypairPayload", "1.0", keyPairFields(pair)))
		}
	}
	fields["tags"], fields["keypairs"], fields["trusted_image_certificates"], fields["instance_name"] = tags, pairs, nil, server.InstanceName()
	return nil
}

// legacyFields are the flat form that meters and bills are made from.
func (s *Service) legacyFields(server Server, ports []Port, more data) data {
	flavor := server.Flavor.V
	fields := data{
		"tenant_id": server.Project, "user_id": server.UserID, "instance_id": server.ID, "display_name": server.Name,
		"reservation_id": server.Reservation, "hostname": server.Hostname,
		"instance_type": flavor.Name, "instance_type_id": flavor.ID, "instance_flavor_id": flavor.ID,
		"memory_mb": flavor.RAM, "disk_gb": flavor.Disk + flavor.Ephemeral, "vcpus": flavor.VCPUs,
		"root_gb": flavor.Disk, "ephemeral_gb": flavor.Ephemeral,
		"architecture": server.ImageProperties.V["architecture"], "os_type": server.ImageProperties.V["os_type"],
		"host": server.Host, "node": server.Host, "availability_zone": s.zoneFor(server), "cell_name": "",
		"created_at": legacyMoment(server.CreatedAt), "launched_at": legacyMoment(server.LaunchedAt),
		"terminated_at": legacyMoment(server.TerminatedAt), "deleted_at": legacyMoment(server.DeletedAt),
		"image_ref_url": server.Image, "image_meta": words(server.ImageProperties.V), "kernel_id": "", "ramdisk_id": "",
		"state": server.VMState, "state_description": server.TaskState, "progress": "",
		"access_ip_v4": nullable(server.AccessIP4), "access_ip_v6": nullable(server.AccessIP6), "metadata": words(server.Metadata.V),
	}
	addresses := []data{}
	for _, p := range ports {
		for _, a := range p.Addresses {
			addresses = append(addresses, data{"address": a.IP, "version": ipVersion(a.IP), "type": "fixed", "label": p.NetworkName,
				"vif_mac": p.MAC, "floating_ips": []data{}, "meta": data{}})
		}
	}
	fields["fixed_ips"] = addresses
	if server.Fault.V != nil {
		fields["message"], fields["code"] = server.Fault.V.Message, server.Fault.V.Code
	}
	for key, value := range more {
		inner, wrapped := value.(data)
		switch {
		case key == "bandwidth":
			fields[key] = data{}
		case wrapped: // old_state and such, audit_period_beginning and such
			for k, v := range inner["nova_object.data"].(data) {
				fields[k] = v
			}
		default:
			fields[key] = value
		}
	}
	return fields
}

func (s *Service) zoneFor(server Server) string {
	if server.Host == "" {
		return server.Zone
	}
	return s.ZoneOf(server.Host)
}
