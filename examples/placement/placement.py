"""Every placement call that openstacksdk has, for an administrator.

    . openrc && python3 placement.py
"""
import json

import openstack

placement = openstack.connect().placement
GROUP, CONSUMER = "5ca1ab1e-0000-4000-8000-000000000006", "5ca1ab1e-0000-4000-8000-000000000007"


def ask(method, path, status, body=None):
    reply = placement.request(path, method, json=body, microversion="1.39")
    assert reply.status_code == status, (path, reply.status_code, reply.text)
    return json.loads(reply.text or "null")


def sent(host):
    """What the SDK has no methods for, it sends all the same."""
    here = f"/resource_providers/{host}"
    ask("PUT", "/traits/CUSTOM_SDK_FAST", 201)
    ask("GET", "/traits/CUSTOM_SDK_FAST", 204)
    assert "CUSTOM_SDK_FAST" in ask("GET", "/traits?name=startswith:CUSTOM_SDK", 200)["traits"]
    has = ask("PUT", here + "/inventories", 200, {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}, "VGPU": {"total": 1}}})
    has = ask("PUT", here + "/inventories/VCPU", 200, {"resource_provider_generation": has["resource_provider_generation"], "total": 8})
    assert ask("GET", here + "/inventories/VCPU", 200)["total"] == 8 and len(ask("GET", here + "/inventories", 200)["inventories"]) == 2
    has = ask("PUT", here + "/traits", 200, {"resource_provider_generation": has["resource_provider_generation"], "traits": ["CUSTOM_SDK_FAST"]})
    has = ask("PUT", here + "/aggregates", 200, {"resource_provider_generation": has["resource_provider_generation"], "aggregates": [GROUP]})
    assert ask("GET", here + "/aggregates", 200)["aggregates"] == [GROUP] and ask("GET", here + "/traits", 200)["traits"]
    wanted = "resources=VCPU:1,VGPU:1&required=CUSTOM_SDK_FAST&member_of=" + GROUP
    assert len(ask("GET", "/allocation_candidates?" + wanted, 200)["allocation_requests"]) == 1
    whose = {"project_id": "sdk", "user_id": "sdk", "consumer_type": "INSTANCE"}
    ask("PUT", "/allocations/" + CONSUMER, 204,
        {"allocations": {host: {"resources": {"VCPU": 1, "VGPU": 1}}}, "consumer_generation": None, **whose})
    held = ask("GET", "/allocations/" + CONSUMER, 200)
    assert ask("GET", here + "/usages", 200)["usages"] == {"VCPU": 1, "VGPU": 1} and ask("GET", here + "/allocations", 200)["allocations"]
    assert ask("GET", "/usages?project_id=sdk", 200)["usages"]
    ask("POST", "/allocations", 204, {CONSUMER: {"allocations": {host: {"resources": {"VCPU": 2}}}, **whose, "consumer_generation": held["consumer_generation"]}})
    ask("DELETE", "/allocations/" + CONSUMER, 204)
    ask("DELETE", here + "/traits", 204)
    ask("DELETE", "/traits/CUSTOM_SDK_FAST", 204)
    ask("DELETE", here + "/inventories/VCPU", 204)
    ask("DELETE", here + "/inventories", 204)

custom = placement.create_resource_class(name="CUSTOM_SDK_CARD")
try:
    assert placement.get_resource_class(custom.name).name == custom.name
    assert custom.name in [c.name for c in placement.resource_classes()]
    # openstacksdk speaks 1.2 here, which renames a class.
    assert placement.update_resource_class(custom.name, name=custom.name).name == custom.name
    assert placement.update_resource_class(custom.name, name="CUSTOM_SDK_CARD_2").name == "CUSTOM_SDK_CARD_2"
finally:
    placement.delete_resource_class(custom.name)
    placement.delete_resource_class("CUSTOM_SDK_CARD_2")
assert placement.delete_resource_class(custom.name) is None  # a missing one is ignored

host = placement.create_resource_provider(name="sdk-host")
try:
    below = placement.create_resource_provider(name="sdk-card", parent_provider_id=host.id)
    try:
        assert placement.get_resource_provider(below.id).root_provider_id == host.id
        assert placement.find_resource_provider("sdk-card").id == below.id
        assert {p.name for p in placement.resource_providers(in_tree=host.id)} == {"sdk-host", "sdk-card"}
        changed = placement.update_resource_provider(below, name="sdk-card-2")
        assert changed.name == "sdk-card-2", changed
        sent(host.id)
    finally:
        placement.delete_resource_provider(below)
finally:
    placement.delete_resource_provider(host)
assert placement.find_resource_provider("sdk-host") is None
print("all placement calls are done")
