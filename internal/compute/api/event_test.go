package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nacre/internal/bus/bustest"
	"nacre/internal/compute"
	"nacre/internal/errs"
	virtsim "nacre/internal/virt/simulated"
)

// told is one notification: of a versioned one, the name of its object and what
// that holds.
type told struct {
	kind, resource, name string
	data                 map[string]any
}

// listen collects the notifications that leave from now on: heard returns those
// since the last time.
func (c *cloud) listen(t *testing.T) (heard func() []told) {
	t.Helper()
	leaving := bustest.Listen(t, c.db, compute.Topic, compute.Notifications("api-1"))
	return func() (list []told) {
		t.Helper()
		for _, m := range leaving() {
			one := told{kind: m.Type, resource: m.Resource, data: m.Payload}
			if m.Versioned {
				one.name, _ = m.Payload["nova_object.name"].(string)
				one.data, _ = m.Payload["nova_object.data"].(map[string]any)
				if one.name == "" || one.data == nil || m.Payload["nova_object.namespace"] != "nova" || m.Payload["nova_object.version"] == nil {
					t.Errorf("%s is no object: %v", m.Type, m.Payload)
				}
			}
			list = append(list, one)
		}
		return list
	}
}

// until collects notifications until the last is of the kind.
func until(c *cloud, heard func() []told, last string) []told {
	c.t.Helper()
	var all []told
	c.until("told of "+last, func() bool {
		all = append(all, heard()...)
		return slices.ContainsFunc(all, func(m told) bool { return m.kind == last })
	})
	return all
}

// split separates the versioned notifications from the legacy ones.
func split(list []told) (versioned, legacy []string, byKind map[string]told) {
	byKind = map[string]told{}
	for _, m := range list {
		byKind[m.kind] = m
		if m.name == "" {
			legacy = append(legacy, m.kind)
			continue
		}
		versioned = append(versioned, m.kind)
	}
	return versioned, legacy, byKind
}

// wantTold checks which notifications there are, in their order, and that all
// are about the resource.
func wantTold(t *testing.T, got []told, resource string, versioned, legacy []string) map[string]told {
	t.Helper()
	v, l, byKind := split(got)
	if !slices.Equal(v, versioned) {
		t.Errorf("versioned\n got %q\nwant %q", v, versioned)
	}
	if !slices.Equal(l, legacy) {
		t.Errorf("legacy\n got %q\nwant %q", l, legacy)
	}
	for _, m := range got {
		if m.resource != resource {
			t.Errorf("%s is about %s, want %s", m.kind, m.resource, resource)
		}
	}
	return byKind
}

// wantFields checks some fields; nested ones are compared as text.
func (m told) wantFields(t *testing.T, want map[string]any) {
	t.Helper()
	for key, value := range want {
		got, has := m.data[key]
		if !has || fmt.Sprint(got) != fmt.Sprint(value) {
			t.Errorf("%s: %s is %v, want %v", m.kind, key, got, value)
		}
	}
}

func TestServersTellOfTheirLives(t *testing.T) {
	c := start(t, options{hosts: 1})
	heard := c.listen(t)
	id := c.active("web", `,"metadata":{"tier":"front"},"tags":["blue"]`)
	by := wantTold(t, until(c, heard, "compute.instance.create.end"), id,
		[]string{"instance.create.start", "instance.create.end"}, []string{"compute.instance.create.start", "compute.instance.create.end"})
	by["instance.create.start"].wantFields(t, map[string]any{"state": "building", "host": "node-1", "ip_addresses": []any{}, "launched_at": nil})
	end := by["instance.create.end"]
	// The plan did it, for the one who asked.
	request, _ := end.data["request_id"].(string)
	if !strings.HasPrefix(request, "req-") || request != by["instance.create.start"].data["request_id"] {
		t.Errorf("its request is %q, want the one that the server was asked for with", request)
	}
	end.wantFields(t, map[string]any{"action_initiator_project": "demo", "action_initiator_user": end.data["user_id"]})
	if end.name != "InstanceCreatePayload" {
		t.Errorf("it carries an %s, want an InstanceCreatePayload", end.name)
	}
	end.wantFields(t, map[string]any{
		"uuid": id, "tenant_id": "demo", "display_name": "web", "state": "active", "task_state": nil, "power_state": "running", "host": "node-1",
		"node": "node-1", "image_uuid": imageID, "metadata": map[string]any{"tier": "front"}, "tags": []any{"blue"}, "fault": nil, "locked": false,
	})
	flavor, _ := end.data["flavor"].(map[string]any)["nova_object.data"].(map[string]any)
	if flavor["flavorid"] != "1" || flavor["memory_mb"] != 512.0 {
		t.Errorf("its flavor is %v, want the one of id 1 with 512 MB", flavor)
	}
	shown := fmt.Sprint(c.must(200, "demo", "GET", "/servers/"+id, "").at(t, "server", "addresses"))
	addresses, _ := end.data["ip_addresses"].([]any)
	if len(addresses) != 1 {
		t.Fatalf("it has the addresses %v, want one", addresses)
	}
	address, _ := addresses[0].(map[string]any)["nova_object.data"].(map[string]any)
	if ip, _ := address["address"].(string); ip == "" || !strings.Contains(shown, ip) {
		t.Errorf("its address is %v, want one of %s", address["address"], shown)
	}
	by["compute.instance.create.end"].wantFields(t, map[string]any{
		"instance_id": id, "tenant_id": "demo", "state": "active", "memory_mb": 512, "vcpus": 1, "disk_gb": 1, "instance_type": "m1.tiny",
		"host": "node-1", "metadata": map[string]any{"tier": "front"}, "deleted_at": "",
	})

	for _, step := range []struct{ action, status, event string }{
		{`{"os-stop":null}`, "SHUTOFF", "power_off"}, {`{"os-start":null}`, "ACTIVE", "power_on"},
		{`{"reboot":{"type":"SOFT"}}`, "ACTIVE", "reboot"}, {`{"reboot":{"type":"HARD"}}`, "ACTIVE", "reboot"},
	} {
		c.must(202, "demo", "POST", "/servers/"+id+"/action", step.action)
		by = wantTold(t, until(c, heard, "compute.instance."+step.event+".end"), id,
			[]string{"instance." + step.event + ".start", "instance." + step.event + ".end"},
			[]string{"compute.instance." + step.event + ".start", "compute.instance." + step.event + ".end"})
		c.status(id, step.status)
		power := map[string]string{"SHUTOFF": "shutdown", "ACTIVE": "running"}[step.status]
		by["instance."+step.event+".end"].wantFields(t, map[string]any{"power_state": power, "task_state": nil})
	}

	c.must(200, "demo", "PUT", "/servers/"+id, `{"server":{"name":"shop"}}`)
	by = wantTold(t, heard(), id, []string{"instance.update"}, []string{"compute.instance.update"})
	by["instance.update"].wantFields(t, map[string]any{"display_name": "shop", "old_display_name": "web"})
	by["compute.instance.update"].wantFields(t, map[string]any{"display_name": "shop", "old_state": "active", "state": "active", "bandwidth": map[string]any{}})
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"lock":null}`)
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"unlock":null}`)
	by = wantTold(t, heard(), id, []string{"instance.lock", "instance.unlock"}, nil)
	by["instance.lock"].wantFields(t, map[string]any{"locked": true})

	// What is refused tells nothing.
	c.must(409, "demo", "POST", "/servers/"+id+"/action", `{"os-start":null}`)
	c.must(404, "demo", "DELETE", "/servers/"+id+"/metadata/nothing", "")
	wantTold(t, heard(), id, nil, nil)

	err := c.machines["node-1"].PowerOff(id)
	if err != nil {
		t.Fatal(err)
	}
	by = wantTold(t, until(c, heard, "compute.instance.update"), id, []string{"instance.update"}, []string{"compute.instance.update"})
	by["compute.instance.update"].wantFields(t, map[string]any{"old_state": "active", "state": "stopped"})

	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	by = wantTold(t, until(c, heard, "compute.instance.delete.end"), id,
		[]string{"instance.delete.start", "instance.delete.end"}, []string{"compute.instance.delete.start", "compute.instance.delete.end"})
	by["instance.delete.start"].wantFields(t, map[string]any{"task_state": "deleting", "deleted_at": nil})
	by["instance.delete.end"].wantFields(t, map[string]any{"state": "deleted", "ip_addresses": []any{}, "power_state": "pending"})
	if by["instance.delete.end"].data["deleted_at"] == nil {
		t.Error("a deleted server is told without its deleted_at")
	}
}

func TestFailedServersAreTold(t *testing.T) {
	c := start(t, options{hosts: 1})
	heard := c.listen(t)
	c.machines["node-1"].FailNext(virtsim.OpEnsure, errs.BadRequestf("the disk is too small"))
	id := c.server("web", "")
	by := wantTold(t, until(c, heard, "compute.instance.create.error"), id,
		[]string{"instance.create.start", "instance.create.error"}, []string{"compute.instance.create.start", "compute.instance.create.error"})
	m := by["instance.create.error"]
	m.wantFields(t, map[string]any{"state": "error", "task_state": nil})
	if fault := fmt.Sprint(m.data["fault"]); !strings.Contains(fault, "the disk is too small") {
		t.Errorf("its fault is %s, want the host's reason", fault)
	}
}

func TestVolumesAndInterfacesAreTold(t *testing.T) {
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	heard := c.listen(t)
	path := "/servers/" + id
	c.must(200, "demo", "POST", path+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+volumeID+`"}}`)
	got := until(c, heard, "compute.instance.volume.attach")
	c.must(202, "demo", "DELETE", path+"/os-volume_attachments/"+volumeID, "")
	got = append(got, until(c, heard, "compute.instance.volume.detach")...)
	by := wantTold(t, got, id,
		[]string{"instance.volume_attach.start", "instance.volume_attach.end", "instance.volume_detach.start", "instance.volume_detach.end"},
		[]string{"compute.instance.volume.attach", "compute.instance.volume.detach"})
	for _, kind := range []string{"instance.volume_attach.end", "instance.volume_detach.end", "compute.instance.volume.detach"} {
		by[kind].wantFields(t, map[string]any{"volume_id": volumeID})
	}
	r := c.must(200, "demo", "POST", path+"/os-interface", `{"interfaceAttachment":{"net_id":"`+networkID+`"}}`)
	got = until(c, heard, "instance.interface_attach.end")
	c.must(202, "demo", "DELETE", path+"/os-interface/"+r.at(t, "interfaceAttachment", "port_id").(string), "")
	got = append(got, until(c, heard, "instance.interface_detach.end")...)
	by = wantTold(t, got, id,
		[]string{"instance.interface_attach.start", "instance.interface_attach.end", "instance.interface_detach.start", "instance.interface_detach.end"}, nil)
	for kind, want := range map[string]int{"instance.interface_attach.end": 2, "instance.interface_detach.end": 1} {
		addresses, _ := by[kind].data["ip_addresses"].([]any)
		if len(addresses) != want {
			t.Errorf("%s has %d addresses, want %d", kind, len(addresses), want)
		}
	}
}

func TestFlavorsAndKeysAreTold(t *testing.T) {
	c := start(t, options{hosts: 1})
	heard := c.listen(t)
	c.must(200, "admin@2.55", "POST", "/flavors", `{"flavor":{"name":"small","id":"s","ram":64,"vcpus":1,"disk":1,"os-flavor-access:is_public":false}}`)
	c.must(409, "admin@2.55", "POST", "/flavors", `{"flavor":{"name":"small","id":"t","ram":64,"vcpus":1,"disk":1}}`)
	c.must(200, "admin", "POST", "/flavors/s/os-extra_specs", `{"extra_specs":{"a":"b"}}`)
	c.must(200, "admin", "POST", "/flavors/s/action", `{"addTenantAccess":{"tenant":"demo"}}`)
	got := heard()
	c.must(202, "admin", "DELETE", "/flavors/s", "")
	by := wantTold(t, append(got, heard()...), "s", []string{"flavor.create", "flavor.update", "flavor.update", "flavor.delete"}, nil)
	by["flavor.update"].wantFields(t, map[string]any{
		"name": "small", "memory_mb": 64, "is_public": false, "extra_specs": map[string]any{"a": "b"}, "projects": []any{"demo"},
	})

	made := c.must(200, "demo", "POST", "/os-keypairs", `{"keypair":{"name":"k"}}`)
	public := made.at(t, "keypair", "public_key").(string)
	user := made.at(t, "keypair", "user_id").(string)
	c.must(202, "demo", "DELETE", "/os-keypairs/k", "")
	c.must(404, "demo", "DELETE", "/os-keypairs/k", "")
	c.must(200, "demo", "POST", "/os-keypairs", `{"keypair":{"name":"k","public_key":"`+public+`"}}`)
	by = wantTold(t, heard(), user+"/k", []string{"keypair.create.start", "keypair.create.end", "keypair.delete.start", "keypair.delete.end",
		"keypair.import.start", "keypair.import.end"}, nil)
	for kind, m := range by {
		m.wantFields(t, map[string]any{"name": "k", "user_id": user, "public_key": public})
		if strings.Contains(fmt.Sprint(m.data), "PRIVATE") {
			t.Errorf("%s tells the private key", kind)
		}
	}
}

func TestOperatorsAreTold(t *testing.T) {
	c := start(t, options{hosts: 1})
	heard := c.listen(t)
	made := c.must(200, "admin@2.90", "POST", "/os-aggregates", `{"aggregate":{"name":"fast","availability_zone":"az1"}}`)
	id, uuid := fmt.Sprint(made.at(t, "aggregate", "id")), made.at(t, "aggregate", "uuid").(string)
	path := "/os-aggregates/" + id
	c.must(200, "admin", "PUT", path, `{"aggregate":{"name":"faster"}}`)
	c.must(200, "admin", "POST", path+"/action", `{"set_metadata":{"metadata":{"ssd":"true"}}}`)
	c.must(200, "admin", "POST", path+"/action", `{"add_host":{"host":"node-1"}}`)
	c.must(409, "admin", "POST", path+"/action", `{"add_host":{"host":"node-1"}}`)
	c.must(200, "admin", "POST", path+"/action", `{"remove_host":{"host":"node-1"}}`)
	c.must(200, "admin", "DELETE", path, "")
	var want []string
	for _, action := range []string{"create", "update_prop", "update_metadata", "add_host", "remove_host", "delete"} {
		want = append(want, "aggregate."+action+".start", "aggregate."+action+".end")
	}
	by := wantTold(t, heard(), uuid, want, nil)
	by["aggregate.add_host.end"].wantFields(t, map[string]any{
		"id": id, "uuid": uuid, "name": "faster", "hosts": []any{"node-1"}, "metadata": map[string]any{"availability_zone": "az1", "ssd": "true"},
	})

	group := c.must(200, "demo@2.64", "POST", "/os-server-groups", `{"server_group":{"name":"apart","policy":"anti-affinity","rules":{"max_server_per_host":2}}}`).
		at(t, "server_group", "id").(string)
	c.must(204, "demo", "DELETE", "/os-server-groups/"+group, "")
	by = wantTold(t, heard(), group, []string{"server_group.create", "server_group.delete"}, nil)
	by["server_group.create"].wantFields(t, map[string]any{
		"uuid": group, "name": "apart", "policy": "anti-affinity", "project_id": "demo", "members": []any{}, "rules": map[string]any{"max_server_per_host": "2"},
	})

	service := c.must(200, "admin@2.90", "GET", "/os-services?binary=nova-compute", "").at(t, "services", 0, "id").(string)
	c.must(200, "admin@2.90", "PUT", "/os-services/"+service, `{"status":"disabled","disabled_reason":"a new disk"}`)
	by = wantTold(t, heard(), service, []string{"service.update"}, nil)
	by["service.update"].wantFields(t, map[string]any{"host": "node-1", "disabled": true, "disabled_reason": "a new disk", "binary": "nova-compute"})
}
