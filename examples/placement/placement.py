"""Every placement call that openstacksdk has, for an administrator.

    . openrc && python3 placement.py
"""
import openstack

placement = openstack.connect().placement

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
    finally:
        placement.delete_resource_provider(below)
finally:
    placement.delete_resource_provider(host)
assert placement.find_resource_provider("sdk-host") is None
print("all placement calls are done")
