package identity

import "nacre/internal/auth"

// The pieces that Keystone's defaults are made of. They are spelled out in each
// rule, since names such as owner mean other things in other services.
const (
	isAdminRole   = "rule:admin_required"
	isSystem      = "(role:reader and system_scope:all)"
	adminOrSystem = "rule:admin_required or " + isSystem
	tokenSubject  = "user_id:%(target.token.user_id)s"

	readsListedDomain  = "(role:reader and domain_id:%(target.domain_id)s)"
	readsUserDomain    = "(role:reader and token.domain.id:%(target.user.domain_id)s)"
	readsGroupDomain   = "(role:reader and domain_id:%(target.group.domain_id)s)"
	readsProjectDomain = "(role:reader and domain_id:%(target.project.domain_id)s)"
	managesProject     = isAdminRole + " or (role:manager and domain_id:%(target.project.domain_id)s)"
	managesUser        = isAdminRole + " or (role:manager and token.domain.id:%(target.user.domain_id)s)"
	managesGroup       = isAdminRole + " or (role:manager and domain_id:%(target.group.domain_id)s)"
	managesMember      = isAdminRole + " or (role:manager and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)"
	showsProject       = adminOrSystem + " or " + readsProjectDomain + " or project_id:%(target.project.id)s"

	domainRole   = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"
	grantInside  = "(domain_id:%(target.user.domain_id)s or domain_id:%(target.group.domain_id)s) and (domain_id:%(target.project.domain_id)s or domain_id:%(target.domain.id)s)"
	readsGrants  = adminOrSystem + " or (role:reader and " + grantInside
	givesGrants  = isAdminRole + " or (role:admin and " + grantInside + " and " + domainRole + ") or (role:manager and " + grantInside + " and rule:domain_managed_target_role)"
	anyoneSigned = "@"

	seesLimit = adminOrSystem + " or (domain_id:%(target.limit.domain.id)s or domain_id:%(target.limit.project.domain_id)s) or " +
		"(project_id:%(target.limit.project_id)s and not None:%(target.limit.project_id)s)"
	ownUser       = "user_id:%(user_id)s"
	trustor       = "user_id:%(target.trust.trustor_user_id)s"
	trustee       = "user_id:%(target.trust.trustee_user_id)s"
	ownCredential = "user_id:%(target.credential.user_id)s"
)

// Policy is Keystone's rules, with its secure defaults.
var Policy = []auth.Rule{
	// Building blocks that operators' files may name.
	{Name: "token_subject", Check: tokenSubject},
	{Name: "admin_or_token_subject", Check: "rule:admin_required or rule:token_subject"},
	{Name: "service_admin_or_token_subject", Check: "rule:service_or_admin or rule:token_subject"},
	{Name: "domain_managed_target_role", Check: "'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s"},

	{Name: "identity:validate_token", Check: adminOrSystem + " or rule:service_role or " + tokenSubject},
	{Name: "identity:check_token", Check: adminOrSystem + " or " + tokenSubject},
	{Name: "identity:revoke_token", Check: isAdminRole + " or " + tokenSubject},
	{Name: "identity:get_auth_catalog", Check: anyoneSigned},
	{Name: "identity:get_auth_projects", Check: anyoneSigned},
	{Name: "identity:get_auth_domains", Check: anyoneSigned},
	{Name: "identity:get_auth_system", Check: anyoneSigned},

	{Name: "identity:list_users", Check: adminOrSystem + " or " + readsListedDomain},
	{Name: "identity:get_user", Check: adminOrSystem + " or " + readsUserDomain + " or user_id:%(target.user.id)s"},
	{Name: "identity:create_user", Check: managesUser},
	{Name: "identity:update_user", Check: managesUser},
	{Name: "identity:delete_user", Check: managesUser},
	{Name: "identity:list_user_projects", Check: adminOrSystem + " or (role:reader and domain_id:%(target.user.domain_id)s) or user_id:%(target.user.id)s"},
	{Name: "identity:list_groups_for_user", Check: adminOrSystem + " or (role:reader and domain_id:%(target.user.domain_id)s) or user_id:%(target.user.id)s"},

	{Name: "identity:list_groups", Check: adminOrSystem + " or " + readsListedDomain},
	{Name: "identity:get_group", Check: adminOrSystem + " or " + readsGroupDomain},
	{Name: "identity:create_group", Check: managesGroup},
	{Name: "identity:update_group", Check: managesGroup},
	{Name: "identity:delete_group", Check: managesGroup},
	{Name: "identity:list_users_in_group", Check: adminOrSystem + " or " + readsGroupDomain},
	{Name: "identity:check_user_in_group", Check: adminOrSystem + " or (role:reader and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)"},
	{Name: "identity:add_user_to_group", Check: managesMember},
	{Name: "identity:remove_user_from_group", Check: managesMember},

	{Name: "identity:list_projects", Check: adminOrSystem + " or " + readsListedDomain},
	{Name: "identity:get_project", Check: showsProject},
	{Name: "identity:create_project", Check: managesProject},
	{Name: "identity:update_project", Check: managesProject},
	{Name: "identity:delete_project", Check: managesProject},
	{Name: "identity:list_project_tags", Check: showsProject},
	{Name: "identity:get_project_tag", Check: showsProject},
	{Name: "identity:update_project_tags", Check: managesProject},
	{Name: "identity:create_project_tag", Check: managesProject},
	{Name: "identity:delete_project_tags", Check: managesProject},
	{Name: "identity:delete_project_tag", Check: managesProject},

	{Name: "identity:list_domains", Check: adminOrSystem + " or (role:reader and domain_id:%(target.domain.id)s)"},
	{Name: "identity:get_domain", Check: adminOrSystem + " or token.domain.id:%(target.domain.id)s or token.project.domain.id:%(target.domain.id)s"},
	{Name: "identity:create_domain", Check: isAdminRole},
	{Name: "identity:update_domain", Check: isAdminRole},
	{Name: "identity:delete_domain", Check: isAdminRole},

	{Name: "identity:list_roles", Check: adminOrSystem + " or (role:manager and not domain_id:None)"},
	{Name: "identity:get_role", Check: adminOrSystem + " or (role:manager and rule:domain_managed_target_role)"},
	{Name: "identity:create_role", Check: isAdminRole},
	{Name: "identity:update_role", Check: isAdminRole},
	{Name: "identity:delete_role", Check: isAdminRole},
	{Name: "identity:list_domain_roles", Check: adminOrSystem},
	{Name: "identity:get_domain_role", Check: adminOrSystem},
	{Name: "identity:create_domain_role", Check: isAdminRole},
	{Name: "identity:update_domain_role", Check: isAdminRole},
	{Name: "identity:delete_domain_role", Check: isAdminRole},
	{Name: "identity:list_implied_roles", Check: adminOrSystem},
	{Name: "identity:get_implied_role", Check: adminOrSystem},
	{Name: "identity:check_implied_role", Check: adminOrSystem},
	{Name: "identity:create_implied_role", Check: isAdminRole},
	{Name: "identity:delete_implied_role", Check: isAdminRole},
	{Name: "identity:list_role_inference_rules", Check: adminOrSystem},

	{Name: "identity:list_role_assignments", Check: adminOrSystem + " or " + readsListedDomain},
	{Name: "identity:list_grants", Check: readsGrants + ")"},
	{Name: "identity:check_grant", Check: readsGrants + " and " + domainRole + ")"},
	{Name: "identity:create_grant", Check: givesGrants},
	{Name: "identity:revoke_grant", Check: givesGrants},
	{Name: "identity:list_system_grants_for_user", Check: adminOrSystem},
	{Name: "identity:check_system_grant_for_user", Check: adminOrSystem},
	{Name: "identity:create_system_grant_for_user", Check: isAdminRole},
	{Name: "identity:revoke_system_grant_for_user", Check: isAdminRole},
	{Name: "identity:list_system_grants_for_group", Check: adminOrSystem},
	{Name: "identity:check_system_grant_for_group", Check: adminOrSystem},
	{Name: "identity:create_system_grant_for_group", Check: isAdminRole},
	{Name: "identity:revoke_system_grant_for_group", Check: isAdminRole},

	{Name: "identity:list_credentials", Check: adminOrSystem + " or " + ownCredential},
	{Name: "identity:get_credential", Check: adminOrSystem + " or " + ownCredential},
	{Name: "identity:create_credential", Check: isAdminRole + " or " + ownCredential},
	{Name: "identity:update_credential", Check: isAdminRole + " or " + ownCredential},
	{Name: "identity:delete_credential", Check: isAdminRole + " or " + ownCredential},
	{Name: "identity:create_application_credential", Check: ownUser},
	{Name: "identity:list_application_credentials", Check: adminOrSystem + " or " + ownUser},
	{Name: "identity:get_application_credential", Check: adminOrSystem + " or " + ownUser},
	{Name: "identity:delete_application_credential", Check: isAdminRole + " or " + ownUser},
	{Name: "identity:list_access_rules", Check: isSystem + " or user_id:%(target.user.id)s"},
	{Name: "identity:get_access_rule", Check: isSystem + " or user_id:%(target.user.id)s"},
	{Name: "identity:delete_access_rule", Check: "(role:admin and system_scope:all) or user_id:%(target.user.id)s"},
	{Name: "identity:create_trust", Check: trustor},
	{Name: "identity:list_trusts", Check: adminOrSystem},
	{Name: "identity:list_trusts_for_trustor", Check: adminOrSystem + " or " + trustor},
	{Name: "identity:list_trusts_for_trustee", Check: adminOrSystem + " or " + trustee},
	{Name: "identity:list_roles_for_trust", Check: adminOrSystem + " or " + trustor + " or " + trustee},
	{Name: "identity:get_role_for_trust", Check: adminOrSystem + " or " + trustor + " or " + trustee},
	{Name: "identity:delete_trust", Check: isAdminRole + " or " + trustor},
	{Name: "identity:get_trust", Check: adminOrSystem + " or " + trustor + " or " + trustee},
	{Name: "identity:list_policies", Check: adminOrSystem},
	{Name: "identity:get_policy", Check: adminOrSystem},
	{Name: "identity:create_policy", Check: isAdminRole},
	{Name: "identity:update_policy", Check: isAdminRole},
	{Name: "identity:delete_policy", Check: isAdminRole},
	{Name: "identity:list_endpoint_groups", Check: adminOrSystem},
	{Name: "identity:get_endpoint_group", Check: adminOrSystem},
	{Name: "identity:create_endpoint_group", Check: isAdminRole},
	{Name: "identity:update_endpoint_group", Check: isAdminRole},
	{Name: "identity:delete_endpoint_group", Check: isAdminRole},
	{Name: "identity:list_projects_associated_with_endpoint_group", Check: adminOrSystem},
	{Name: "identity:list_endpoints_associated_with_endpoint_group", Check: adminOrSystem},
	{Name: "identity:get_endpoint_group_in_project", Check: adminOrSystem},
	{Name: "identity:list_endpoint_groups_for_project", Check: adminOrSystem},
	{Name: "identity:add_endpoint_group_to_project", Check: isAdminRole},
	{Name: "identity:remove_endpoint_group_from_project", Check: isAdminRole},
	{Name: "identity:list_projects_for_endpoint", Check: adminOrSystem},
	{Name: "identity:list_endpoints_for_project", Check: adminOrSystem},
	{Name: "identity:add_endpoint_to_project", Check: isAdminRole},
	{Name: "identity:check_endpoint_in_project", Check: adminOrSystem},
	{Name: "identity:remove_endpoint_from_project", Check: isAdminRole},
	{Name: "identity:create_policy_association_for_endpoint", Check: isAdminRole},
	{Name: "identity:check_policy_association_for_endpoint", Check: adminOrSystem},
	{Name: "identity:delete_policy_association_for_endpoint", Check: isAdminRole},
	{Name: "identity:create_policy_association_for_service", Check: isAdminRole},
	{Name: "identity:check_policy_association_for_service", Check: adminOrSystem},
	{Name: "identity:delete_policy_association_for_service", Check: isAdminRole},
	{Name: "identity:create_policy_association_for_region_and_service", Check: isAdminRole},
	{Name: "identity:check_policy_association_for_region_and_service", Check: adminOrSystem},
	{Name: "identity:delete_policy_association_for_region_and_service", Check: isAdminRole},
	{Name: "identity:get_policy_for_endpoint", Check: adminOrSystem},
	{Name: "identity:list_endpoints_for_policy", Check: adminOrSystem},
	{Name: "identity:get_registered_limit", Check: anyoneSigned},
	{Name: "identity:list_registered_limits", Check: anyoneSigned},
	{Name: "identity:create_registered_limits", Check: isAdminRole},
	{Name: "identity:update_registered_limit", Check: isAdminRole},
	{Name: "identity:delete_registered_limit", Check: isAdminRole},
	{Name: "identity:get_limit_model", Check: anyoneSigned},
	{Name: "identity:get_limit", Check: seesLimit},
	{Name: "identity:list_limits", Check: anyoneSigned},
	{Name: "identity:create_limits", Check: isAdminRole},
	{Name: "identity:update_limit", Check: isAdminRole},
	{Name: "identity:delete_limit", Check: isAdminRole},
	{Name: "identity:create_domain_config", Check: isAdminRole},
	{Name: "identity:get_domain_config", Check: adminOrSystem},
	{Name: "identity:get_domain_config_default", Check: adminOrSystem},
	{Name: "identity:get_security_compliance_domain_config", Check: anyoneSigned},
	{Name: "identity:update_domain_config", Check: isAdminRole},
	{Name: "identity:delete_domain_config", Check: isAdminRole},
	{Name: "identity:list_consumers", Check: adminOrSystem},
	{Name: "identity:get_consumer", Check: adminOrSystem},
	{Name: "identity:create_consumer", Check: isAdminRole},
	{Name: "identity:update_consumer", Check: isAdminRole},
	{Name: "identity:delete_consumer", Check: isAdminRole},
	{Name: "identity:authorize_request_token", Check: isAdminRole},
	{Name: "identity:get_access_token", Check: isAdminRole},
	{Name: "identity:get_access_token_role", Check: isAdminRole},
	{Name: "identity:list_access_tokens", Check: isAdminRole},
	{Name: "identity:list_access_token_roles", Check: isAdminRole},
	{Name: "identity:delete_access_token", Check: isAdminRole},
	{Name: "identity:list_identity_providers", Check: adminOrSystem},
	{Name: "identity:get_identity_provider", Check: adminOrSystem},
	{Name: "identity:create_identity_provider", Check: isAdminRole},
	{Name: "identity:update_identity_provider", Check: isAdminRole},
	{Name: "identity:delete_identity_provider", Check: isAdminRole},
	{Name: "identity:list_protocols", Check: adminOrSystem},
	{Name: "identity:get_protocol", Check: adminOrSystem},
	{Name: "identity:create_protocol", Check: isAdminRole},
	{Name: "identity:update_protocol", Check: isAdminRole},
	{Name: "identity:delete_protocol", Check: isAdminRole},
	{Name: "identity:list_mappings", Check: adminOrSystem},
	{Name: "identity:get_mapping", Check: adminOrSystem},
	{Name: "identity:create_mapping", Check: isAdminRole},
	{Name: "identity:update_mapping", Check: isAdminRole},
	{Name: "identity:delete_mapping", Check: isAdminRole},
	{Name: "identity:list_service_providers", Check: adminOrSystem},
	{Name: "identity:get_service_provider", Check: adminOrSystem},
	{Name: "identity:create_service_provider", Check: isAdminRole},
	{Name: "identity:update_service_provider", Check: isAdminRole},
	{Name: "identity:delete_service_provider", Check: isAdminRole},
	{Name: "identity:list_revoke_events", Check: "rule:service_or_admin"},
	{Name: "identity:ec2_list_credentials", Check: adminOrSystem + " or " + ownUser},
	{Name: "identity:ec2_get_credential", Check: adminOrSystem + " or " + ownCredential},
	{Name: "identity:ec2_create_credential", Check: isAdminRole + " or (role:member and " + ownCredential + ")"},
	{Name: "identity:ec2_delete_credential", Check: isAdminRole + " or (role:member and " + ownCredential + ")"},
	{Name: "identity:ec2tokens_validate", Check: "rule:service_or_admin"},
	{Name: "identity:s3tokens_validate", Check: "rule:service_or_admin"},

	{Name: "identity:list_services", Check: adminOrSystem},
	{Name: "identity:get_service", Check: adminOrSystem},
	{Name: "identity:create_service", Check: isAdminRole},
	{Name: "identity:update_service", Check: isAdminRole},
	{Name: "identity:delete_service", Check: isAdminRole},
	{Name: "identity:list_endpoints", Check: adminOrSystem},
	{Name: "identity:get_endpoint", Check: adminOrSystem},
	{Name: "identity:create_endpoint", Check: isAdminRole},
	{Name: "identity:update_endpoint", Check: isAdminRole},
	{Name: "identity:delete_endpoint", Check: isAdminRole},
	{Name: "identity:list_regions", Check: anyoneSigned},
	{Name: "identity:get_region", Check: anyoneSigned},
	{Name: "identity:create_region", Check: isAdminRole},
	{Name: "identity:update_region", Check: isAdminRole},
	{Name: "identity:delete_region", Check: isAdminRole},
}
