"""Every group of compute calls that openstacksdk has, for an administrator of a cloud
with three hosts that keeps deleted servers for a while , and shelved ones on their hosts (reclaim_instance_interval, shelved_offload_time).

    . openrc && python3 compute.py
"""
import json
import re
import time

import openstack

cloud = openstack.connect()
compute = cloud.compute
newer = openstack.connect(compute_default_microversion="2.90").compute  # for calls of which the SDK doesn't know since when they are
left = []  # how to remove what was made, the newest last


def made(thing, remove, *args):
    left.append((remove, (*args, thing)))
    return thing


def until(what, condition):
    """Waits until a condition holds, and returns what it found."""
    for _ in range(600):
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("waited for " + what)


def flavors():
    flavor = made(compute.create_flavor(name="sdk", ram=128, vcpus=1, disk=1, is_public=False), compute.delete_flavor)
    assert compute.update_flavor(flavor, description="an example").description == "an example"
    project = cloud.current_project_id
    compute.flavor_add_tenant_access(flavor, project)
    assert [a["tenant_id"] for a in compute.get_flavor_access(flavor)] == [project]
    compute.flavor_remove_tenant_access(flavor, project)
    compute.create_flavor_extra_specs(flavor, {"hw:cpu_policy": "shared", "hw:mem_page_size": "small"})
    assert compute.update_flavor_extra_specs_property(flavor, "hw:mem_page_size", "any") == "any"
    assert compute.get_flavor_extra_specs_property(flavor, "hw:mem_page_size") == "any"
    compute.delete_flavor_extra_specs_property(flavor, "hw:mem_page_size")
    assert compute.fetch_flavor_extra_specs(flavor).extra_specs == {"hw:cpu_policy": "shared"}
    assert compute.get_flavor(flavor.id, get_extra_specs=True).extra_specs
    assert compute.find_flavor("sdk").id == flavor.id and flavor.id in [f.id for f in compute.flavors(is_public=None)]
    assert list(compute.flavors(details=False))


def keys():
    for kind in "ssh", "x509":
        key = made(compute.create_keypair(name="sdk-" + kind, type=kind), compute.delete_keypair)
        assert key.private_key and compute.get_keypair(key).type == kind
        assert compute.find_keypair(key.name).fingerprint == key.fingerprint
    assert {"sdk-ssh", "sdk-x509"} <= {k.name for k in compute.keypairs()}


def hosts(image):
    aggregate = made(compute.create_aggregate(name="sdk", availability_zone="sdk-zone"), compute.delete_aggregate)
    compute.update_aggregate(aggregate, name="sdk-2")
    compute.set_aggregate_metadata(aggregate, {"ssd": "true"})
    compute.add_host_to_aggregate(aggregate, "node-3")
    compute.aggregate_precache_images(aggregate, [image.id])
    assert compute.get_aggregate(aggregate.id).hosts == ["node-3"] and "sdk-2" in [a.name for a in compute.aggregates()]
    assert "sdk-zone" in [z.name for z in compute.availability_zones(details=True)] and list(compute.availability_zones())
    compute.remove_host_from_aggregate(aggregate, "node-3")

    service = compute.find_service("nova-compute", host="node-3")
    compute.disable_service(service, "node-3", "nova-compute", "an example")
    compute.enable_service(service, "node-3", "nova-compute")
    compute.update_service_forced_down(service, "node-3", "nova-compute", True)
    compute.update_service_forced_down(service, "node-3", "nova-compute", False)
    assert len([s for s in compute.services() if s.binary == "nova-compute"]) >= 3
    assert [h.name for h in compute.hypervisors(details=True)] and list(compute.hypervisors())
    host = compute.find_hypervisor("node-1")
    assert compute.get_hypervisor(host.id).name == "node-1"


def limits():
    project = cloud.identity.find_project("demo").id
    assert compute.update_quota_set(compute.get_quota_set(project), cores=31).cores == 31
    assert compute.get_quota_set(project, usage=True).cores == 31 and compute.get_quota_set_defaults(project).cores
    compute.revert_quota_set(project)
    assert compute.get_limits().absolute.total_cores > 0


def state(server, *wanted):
    until(f"{wanted}", lambda: compute.get_server(server.id).status in wanted and not compute.get_server(server.id).task_state)


def parts(server, network):
    """All that belongs to a server."""
    compute.update_server(server, name="sdk-2")
    compute.set_server_metadata(server, color="blue", size="big")
    compute.delete_server_metadata(server, ["size"])
    assert compute.get_server_metadata(server).metadata == {"color": "blue"}
    server.set_tags(newer, ["one", "two"])
    server.add_tag(newer, "three")
    server.remove_tag(newer, "one")
    assert server.check_tag(newer, "two") and set(server.fetch_tags(newer).tags) == {"two", "three"}
    server.remove_all_tags(newer)
    assert compute.find_server("sdk-2").id == server.id and list(compute.servers(all_projects=True)) and list(compute.servers(details=False))
    assert [ip.address for ip in compute.server_ips(server)] and list(compute.server_ips(server, network_label="sdk"))

    group = made(cloud.network.create_security_group(name="sdk"), cloud.network.delete_security_group)
    compute.add_security_group_to_server(server, group)
    assert "sdk" in [g["name"] for g in compute.fetch_server_security_groups(server).security_groups]
    compute.remove_security_group_from_server(server, group)
    card = compute.create_server_interface(server, net_id=network.id)
    until("a card", lambda: card.port_id in [c.port_id for c in compute.server_interfaces(server)])
    assert compute.get_server_interface(card.port_id, server).net_id == network.id
    compute.delete_server_interface(card.port_id, server)
    until("no card", lambda: card.port_id not in [c.port_id for c in compute.server_interfaces(server)])

    volume = made(cloud.create_volume(size=1, name="sdk", wait=True), lambda v: cloud.delete_volume(v.id, wait=True))
    disk = compute.create_volume_attachment(server, volume_id=volume.id)
    until("a disk", lambda: cloud.get_volume(volume.id).status == "in-use")
    assert compute.get_volume_attachment(volume.id, server).device == disk.device
    assert [a.volume_id for a in compute.volume_attachments(server)] == [volume.id]
    compute.delete_volume_attachment(volume.id, server)
    until("no disk", lambda: cloud.get_volume(volume.id).status == "available")

    assert compute.get_server_console_output(server, length=5) and compute.get_server_diagnostics(server)
    assert compute.create_console(server, "novnc")["url"] and compute.create_server_remote_console(server, protocol="serial", type="serial").url
    assert compute.get_server_console_url(server, "novnc")["url"]
    assert compute.get_server_password(server) == ""
    compute.change_server_password(server, "a-new-secret")
    compute.lock_server(server, "an example")
    compute.unlock_server(server)
    assert list(compute.usages()) and compute.get_usage(cloud.current_project_id).total_vcpus_usage is not None


def life(server, image):
    for call, wanted in (("pause", "PAUSED"), ("unpause", "ACTIVE"), ("suspend", "SUSPENDED"), ("resume", "ACTIVE"),
                         ("stop", "SHUTOFF"), ("start", "ACTIVE"), ("rescue", "RESCUE"), ("unrescue", "ACTIVE"),
                         ("shelve", "SHELVED"), ("unshelve", "ACTIVE")):
        getattr(compute, call + "_server")(server)
        state(server, wanted)
    compute.reboot_server(server, "HARD")
    state(server, "ACTIVE")
    for name, copying in (("sdk-image", compute.create_server_image), ("sdk-backup", compute.backup_server)):
        copying(server, name, *(["daily", 1] if name == "sdk-backup" else []))
        state(server, "ACTIVE")
        copy = made(cloud.image.find_image(name, ignore_missing=False), cloud.image.delete_image)
        until("an image", lambda: cloud.image.get_image(copy.id).status == "active")
    compute.rebuild_server(server, image.id, name="sdk-3")
    state(server, "ACTIVE")
    for flavor, end in (("m1.small", compute.confirm_server_resize), ("m1.medium", compute.revert_server_resize)):
        compute.resize_server(server, compute.find_flavor(flavor))
        state(server, "VERIFY_RESIZE")
        end(server)
        state(server, "ACTIVE")
    compute.migrate_server(server)
    state(server, "VERIFY_RESIZE")
    compute.confirm_server_resize(server)
    state(server, "ACTIVE")
    for end in compute.abort_server_migration, compute.force_complete_server_migration:
        compute.live_migrate_server(server)
        migration = until("a migration", lambda: next((m for m in compute.migrations() if (m.server_id, m.status) == (server.id, "running")), None)).id
        assert compute.get_server_migration(migration, server).server_id == server.id
        end(migration, server)
        state(server, "ACTIVE")
    assert server.id in [m.server_id for m in compute.migrations()]
    compute.reset_server_state(server, "error")
    compute.reset_server_state(server, "active")


def sent(server):
    """What the SDK has no methods for, it sends all the same."""
    def ask(method, path, status, body=None, microversion="2.90"):
        reply = compute.request(path, method, json=body, microversion=microversion)
        assert reply.status_code == status, (path, reply.status_code, reply.text)
        return json.loads(reply.text or "null")

    def act(action, status=202, argument=None, microversion="2.90"):
        ask("POST", f"/servers/{server.id}/action", status, {action: argument}, microversion)

    here = f"/servers/{server.id}"
    ask("GET", here + "/topology", 200)
    actions = ask("GET", here + "/os-instance-actions", 200)["instanceActions"]
    ask("GET", here + "/os-instance-actions/" + actions[0]["request_id"], 200)
    console = ask("POST", here + "/remote-consoles", 200, {"remote_console": {"protocol": "vnc", "type": "novnc"}})["remote_console"]
    ask("GET", "/os-console-auth-tokens/" + re.search("token(?:=|%3D)([^&]+)", console["url"])[1], 200)
    ask("GET", f"/os-quota-sets/{cloud.current_project_id}/detail", 200)
    ask("GET", here + "/shares", 200, microversion="2.97")
    ask("DELETE", here + "/os-server-password", 204)
    ask("GET", "/os-quota-class-sets/default", 200)
    ask("PUT", "/os-quota-class-sets/default", 200, {"quota_class_set": {"key_pairs": 100}})
    ask("GET", "/os-instance_usage_audit_log", 200)
    ask("GET", "/os-instance_usage_audit_log/2030-01-01%2000%3A00%3A00", 200)
    ask("POST", "/os-server-external-events", 200,
        {"events": [{"name": "network-changed", "server_uuid": server.id}]})
    for path in ("networks", "tenant-networks", "floating-ips", "floating-ip-pools", "security-groups", "volumes", "volumes/detail",
                 "snapshots", "snapshots/detail", "hosts", "hypervisors/statistics", "hypervisors/node-1/search",
                 "hypervisors/node-1/servers", "volumes_boot"):
        ask("GET", "/os-" + path, 200, microversion="2.1")
    act("injectNetworkInfo")
    act("trigger_crash_dump")
    state(server, "ACTIVE")
    host = compute.get_server(server.id).compute_host
    service = compute.find_service("nova-compute", host=host)
    compute.update_service_forced_down(service, host, "nova-compute", True)
    until("the host to be down", lambda: compute.find_service("nova-compute", host=host).state == "down")
    act("evacuate", 200, {})
    state(server, "ACTIVE")
    compute.update_service_forced_down(service, host, "nova-compute", False)
    compute.shelve_server(server)
    state(server, "SHELVED")
    act("shelveOffload")
    state(server, "SHELVED_OFFLOADED")
    act("unshelve")
    state(server, "ACTIVE")
    ask("DELETE", here, 204)
    state(server, "SOFT_DELETED")
    act("restore")
    state(server, "ACTIVE")
    act("forceDelete")
    until("the end", lambda: compute.find_server(server.id) is None)


def remove_server(server):
    if compute.find_server(server.id):
        compute.delete_server(server, force=True)
    until("the end", lambda: compute.find_server(server.id) is None)


def all_groups():
    image = cloud.image.find_image("cirros", ignore_missing=False)
    flavors()
    keys()
    hosts(image)
    limits()
    group = made(compute.create_server_group(name="sdk", policy="anti-affinity"), compute.delete_server_group)
    assert compute.get_server_group(group.id).name == "sdk" and compute.find_server_group("sdk").id == group.id
    assert group.id in [g.id for g in compute.server_groups()]
    assert compute.find_extension("os-keypairs") and list(compute.extensions())
    assert compute.find_image("cirros") and compute.get_image(image.id) and list(compute.images())
    compute.set_image_metadata(image.id, example="yes")
    assert compute.get_image_metadata(image.id).metadata["example"] == "yes"
    compute.delete_image_metadata(image.id, ["example"])

    network = made(cloud.network.create_network(name="sdk"), cloud.network.delete_network)
    cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.76.0.0/24")
    server = compute.create_server(name="sdk", image_id=image.id, flavor_id=compute.find_flavor("m1.tiny").id, key_name="sdk-ssh",
                                   networks=[{"uuid": network.id}], scheduler_hints={"group": group.id})
    try:
        server = compute.wait_for_server(server, interval=0.1)
        parts(server, network)
        life(server, image)
        sent(server)
    except BaseException:
        remove_server(server)
        raise


try:
    all_groups()
finally:
    while left:
        remove, args = left.pop()
        remove(*args)
print("all compute calls are done")
