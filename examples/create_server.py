#!/usr/bin/env python3
"""Create a server with openstacksdk and wait until it is ACTIVE.

The cloud is described by the usual environment variables:

    OS_AUTH_URL OS_USERNAME OS_PASSWORD OS_PROJECT_ID
    and optionally IMAGE, FLAVOR, NETWORK, SERVER_NAME
"""
import os

import openstack

conn = openstack.connect(
    auth_url=os.environ["OS_AUTH_URL"],
    username=os.environ["OS_USERNAME"],
    password=os.environ["OS_PASSWORD"],
    project_id=os.environ["OS_PROJECT_ID"],
    user_domain_name="default",
    project_domain_name="default",
)

flavor = conn.compute.find_flavor(os.environ.get("FLAVOR", "m1.medium"), ignore_missing=False)
image = conn.image.find_image(os.environ.get("IMAGE", "cirros"), ignore_missing=False)
network = conn.network.find_network(os.environ.get("NETWORK", "private"), ignore_missing=False)
group = conn.network.find_security_group("default", ignore_missing=False)

server = conn.compute.create_server(
    name=os.environ.get("SERVER_NAME", "my-server"),
    flavor_id=flavor.id,
    image_id=image.id,
    networks=[{"uuid": network.id}],
    security_groups=[{"name": group.name}],
)
print(server.id)

server = conn.compute.wait_for_server(server)
print(server.status)
