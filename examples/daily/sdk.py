"""A day with openstacksdk: makes, changes, finds and removes one of each.

    . openrc && python3 sdk.py
"""
import openstack

cloud = openstack.connect()
left = []  # what is to be removed, the newest last


def made(thing, remove):
    left.append((thing, remove))
    return thing


def life():
    """The resources of a day, each used once."""
    network = made(cloud.network.create_network(name="sdk"), cloud.network.delete_network)
    subnet = cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.77.0.0/24", name="sdk")
    public = cloud.network.find_network("public", ignore_missing=False)
    router = made(cloud.network.create_router(name="sdk", external_gateway_info={"network_id": public.id}), cloud.network.delete_router)
    made(cloud.network.add_interface_to_router(router, subnet_id=subnet.id),
         lambda _: cloud.network.remove_interface_from_router(router, subnet_id=subnet.id))
    group = made(cloud.network.create_security_group(name="sdk"), cloud.network.delete_security_group)
    cloud.network.create_security_group_rule(security_group_id=group.id, direction="ingress", protocol="tcp",
                                             port_range_min=22, port_range_max=22)

    image = made(cloud.image.create_image(name="sdk", disk_format="raw", container_format="bare", data=b"\0" * 4096,
                                          validate_checksum=True), cloud.image.delete_image)
    cloud.image.update_image(image, os_distro="debian")
    assert cloud.image.get_image(image.id).os_distro == "debian"

    volume = made(cloud.create_volume(size=1, name="sdk", wait=True), lambda v: cloud.delete_volume(v.id, wait=True))
    snapshot = made(cloud.create_volume_snapshot(volume.id, name="sdk", wait=True),
                    lambda s: cloud.delete_volume_snapshot(s.id, wait=True))
    assert snapshot.status == "available"

    key = made(cloud.compute.create_keypair(name="sdk"), cloud.compute.delete_keypair)
    server = made(cloud.create_server("sdk", image="cirros", flavor="m1.tiny", key_name=key.name, network=network.id,
                                      security_groups=["sdk"], auto_ip=False, wait=True),
                  lambda s: cloud.delete_server(s.id, wait=True, delete_ips=True))
    cloud.attach_volume(server, volume, wait=True)
    cloud.detach_volume(server, cloud.get_volume(volume.id), wait=True)
    cloud.add_auto_ip(server, wait=True)
    for call in (cloud.compute.pause_server, cloud.compute.unpause_server, cloud.compute.stop_server, cloud.compute.start_server):
        call(server)
        wanted = {"pause_server": "PAUSED", "stop_server": "SHUTOFF"}.get(call.__name__, "ACTIVE")
        cloud.compute.wait_for_server(cloud.compute.get_server(server.id), status=wanted, interval=0.2)
    cloud.compute.set_server_metadata(server, color="blue")
    assert cloud.compute.get_server_metadata(server).metadata["color"] == "blue"

    cloud.create_container("sdk")
    made("sdk", cloud.delete_container)
    cloud.create_object("sdk", "greeting", data=b"hello")
    made("greeting", lambda name: cloud.delete_object("sdk", name))
    assert cloud.get_object("sdk", "greeting")[1] == "hello"

    credential = made(cloud.identity.create_application_credential(cloud.current_user_id, name="sdk"),
                      lambda c: cloud.identity.delete_application_credential(cloud.current_user_id, c))
    assert credential.secret


try:
    life()
    print(f"made {len(left)} things")
finally:
    for thing, remove in reversed(left):
        remove(thing)
print("removed them again")
