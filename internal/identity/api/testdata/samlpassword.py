"""Signs in at a SAML provider with a password, as openstackclient does."""
import sys

from keystoneauth1 import loading, session

auth_url, idp_url = sys.argv[1:]
auth = loading.get_plugin_loader("v3samlpassword").load_from_options(
    auth_url=auth_url, identity_provider="east", protocol="saml2", identity_provider_url=idp_url,
    username="ann", password="secret", project_name="demo", project_domain_name="Default")
access = auth.get_access(session.Session())
print(access.username, access.project_name, ",".join(sorted(access.role_names)))
