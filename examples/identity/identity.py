"""Every group of identity calls that openstacksdk has, for an administrator.

    . openrc && python3 identity.py
"""
import json

import openstack

cloud = openstack.connect()
identity = cloud.identity
left = []  # how to remove what was made, the newest last


def made(thing, remove, *args):
    left.append((remove, (*args, thing)))
    return thing


def life(make, find, change, every, remove, change_to, **attributes):
    """Makes a resource, finds it by id, changes it and sees it in its list."""
    thing = made(make(**attributes), remove)
    changed = change(find(thing.id), **change_to)
    for name, value in change_to.items():
        assert getattr(changed, name) == value, (thing, name)
    assert thing.id in [t.id for t in every()]
    return thing


def all_groups():
    domain = life(identity.create_domain, identity.get_domain, identity.update_domain, identity.domains, remove_domain,
                  {"description": "changed"}, name="sdk-domain")
    project = life(identity.create_project, identity.get_project, identity.update_project, identity.projects,
                   identity.delete_project, {"description": "changed"}, name="sdk-project", domain_id=domain.id)
    project.add_tag(identity, "one")
    project.set_tags(identity, ["two", "three"])
    assert project.check_tag(identity, "two") and [p.id for p in identity.projects(tags="two")] == [project.id]
    project.remove_tag(identity, "two")
    project.remove_all_tags(identity)
    user = life(identity.create_user, identity.get_user, identity.update_user, identity.users, identity.delete_user,
                {"email": "sdk@example.org"}, name="sdk-user", password="a-secret", domain_id=domain.id)
    group = life(identity.create_group, identity.get_group, identity.update_group, identity.groups, identity.delete_group,
                 {"description": "changed"}, name="sdk-group", domain_id=domain.id)
    identity.add_user_to_group(user, group)
    assert identity.check_user_in_group(user, group)
    identity.remove_user_from_group(user, group)

    role = life(identity.create_role, identity.get_role, identity.update_role, identity.roles, identity.delete_role,
                {"description": "changed"}, name="sdk-role")
    for kind, target in {"project": project, "domain": domain, "system": "all"}.items():
        for who, actor in {"user": user, "group": group}.items():
            ask = getattr(identity, f"validate_{who}_has_{kind}_role")
            place = [target] if kind != "system" else []
            if kind == "system":
                getattr(identity, f"assign_system_role_to_{who}")(actor, role, "all")
                assert ask(actor, role, "all")
                getattr(identity, f"unassign_system_role_from_{who}")(actor, role, "all")
                continue
            getattr(identity, f"assign_{kind}_role_to_{who}")(*place, actor, role)
            assert ask(*place, actor, role)
            if (kind, who) != ("project", "user"):
                getattr(identity, f"unassign_{kind}_role_from_{who}")(*place, actor, role)
    assert [a.role["id"] for a in identity.role_assignments(user_id=user.id, effective=True)] == [role.id]
    assert [p.id for p in identity.user_projects(user)] == [project.id]

    region = life(identity.create_region, identity.get_region, identity.update_region, identity.regions, identity.delete_region,
                  {"description": "changed"}, id="sdk-region")
    service = life(identity.create_service, identity.get_service, identity.update_service, identity.services,
                   identity.delete_service, {"description": "changed"}, name="sdk-service", type="sdk-type")
    life(identity.create_endpoint, identity.get_endpoint, identity.update_endpoint, identity.endpoints, identity.delete_endpoint,
         {"url": "http://192.0.2.1:8001"}, service_id=service.id, region_id=region.id, interface="public", url="http://192.0.2.1:8000")

    life(identity.create_credential, identity.get_credential, identity.update_credential, identity.credentials,
         identity.delete_credential, {"blob": "other"}, user_id=user.id, type="certificate", blob="some")
    life(identity.create_policy, identity.get_policy, identity.update_policy, identity.policies, identity.delete_policy,
         {"type": "text/plain"}, blob="{}", type="application/json")
    me = cloud.current_user_id
    credential = made(identity.create_application_credential(me, name="sdk", roles=[{"name": "member"}], unrestricted=False),
                      identity.delete_application_credential, me)
    assert credential.secret and identity.find_application_credential(me, "sdk").id == credential.id
    assert [c.id for c in identity.application_credentials(me)] == [credential.id]
    token = cloud.session.auth.get_access(cloud.session)
    trust = made(identity.create_trust(trustor_user_id=me, trustee_user_id=user.id, project_id=token.project_id,
                                       is_impersonation=True, roles=[{"name": "member"}]), identity.delete_trust)
    assert identity.get_trust(trust.id).is_impersonation and trust.id in [t.id for t in identity.trusts()]

    # These answer with a list, in which this SDK does not see the new one.
    identity.create_registered_limit(service_id=service.id, resource_name="things", default_limit=10)
    registered = made(next(identity.registered_limits(service_id=service.id)), identity.delete_registered_limit)
    identity.update_registered_limit(registered, service_id=service.id, resource_name="things", default_limit=12)
    assert identity.get_registered_limit(registered.id).default_limit == 12
    identity.create_limit(service_id=service.id, resource_name="things", project_id=project.id, resource_limit=5)
    limit = made(next(identity.limits(service_id=service.id)), lambda one: identity.delete("/limits/" + one.id))
    assert identity.update_limit(limit, resource_limit=6).resource_limit == 6 and identity.get_limit(limit.id).resource_limit == 6

    provider = life(identity.create_identity_provider, identity.get_identity_provider, identity.update_identity_provider,
                    identity.identity_providers, identity.delete_identity_provider, {"description": "changed"},
                    id="sdk-provider", domain_id=domain.id, remote_ids=["https://id.example.org"])
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-sub"}]}]
    mapping = life(identity.create_mapping, identity.get_mapping, identity.update_mapping, identity.mappings,
                   identity.delete_mapping, {"rules": rules}, id="sdk-mapping", rules=rules)
    protocol = made(identity.create_federation_protocol(provider.id, id="openid", mapping_id=mapping.id),
                    identity.delete_federation_protocol, provider.id)
    identity.update_federation_protocol(provider.id, protocol.id, mapping_id=mapping.id)
    assert identity.get_federation_protocol(provider.id, "openid").mapping_id == mapping.id
    assert [p.id for p in identity.federation_protocols(provider.id)] == ["openid"]

    # What the SDK has no methods for, it sends all the same.
    for path in (f"/domains/{domain.id}/config", "/domains/config/default", "/auth/catalog", "/auth/projects", "/auth/domains",
                 "/auth/system", "/role_inferences", "/OS-REVOKE/events", "/OS-EP-FILTER/endpoint_groups", "/limits/model"):
        if path.endswith("/config"):
            identity.put(path, json={"config": {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://192.0.2.1", "suffix": "dc=x"}}})
        reply = identity.get(path)
        assert reply.status_code == 200 and json.loads(reply.text), path
        if path.endswith("/config"):
            assert identity.delete(path).status_code == 204


def remove_domain(domain):
    identity.update_domain(domain, is_enabled=False)
    identity.delete_domain(domain)


try:
    all_groups()
finally:
    while left:
        remove, args = left.pop()
        remove(*args)
