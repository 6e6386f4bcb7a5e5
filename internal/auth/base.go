package auth

// BaseRules are the building blocks that every service's rules may name. They
// are registered once, so that a project reader means the same everywhere and
// one line of an operator's file changes it for the whole cloud.
//
// A caller with the role admin passes each of the *_or_admin rules in whatever
// scope the role was given, as OpenStack's defaults have it. The project rules
// without "admin" in their name look at the caller's own project only.
var BaseRules = []Rule{
	{"public", "@"},
	{"any", "@"},
	{"nobody", "!"},

	{"context_is_admin", "role:admin"},
	{"admin_required", "role:admin"},
	{"admin_api", "is_admin:True"},
	{"admin_only", "rule:context_is_admin"},
	{"service_role", "role:service"},
	{"service_api", "role:service"},
	{"service_or_admin", "rule:admin_required or rule:service_role"},

	{"any_reader", "role:reader"},
	{"any_member", "role:member"},
	{"any_manager", "role:manager"},
	{"system_reader", "role:reader and system_scope:all"},
	{"admin_or_system_reader", "rule:admin_required or rule:system_reader"},

	{"project_reader", "role:reader and project_id:%(project_id)s"},
	{"project_member", "role:member and project_id:%(project_id)s"},
	{"project_manager", "role:manager and project_id:%(project_id)s"},
	{"project_admin", "role:admin and project_id:%(project_id)s"},
	{"project_any_role", "project_id:%(project_id)s"},

	{"project_reader_or_admin", "rule:admin_api or rule:project_reader"},
	{"project_member_or_admin", "rule:admin_api or rule:project_member"},
	{"project_manager_or_admin", "rule:admin_api or rule:project_manager"},
	{"project_member_or_service", "rule:project_member or rule:service_api"},
	{"admin_or_owner", "rule:admin_api or project_id:%(project_id)s"},
	{"user_owner", "user_id:%(user_id)s"},
	{"admin_or_user_owner", "rule:admin_api or rule:user_owner"},
}
