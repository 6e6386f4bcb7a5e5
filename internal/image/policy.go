package image

import "nacre/internal/auth"

// Policy are the rules of the image service with their defaults.
var Policy = []auth.Rule{
	{Name: "add_image", Check: "rule:project_member_or_admin"},
	{Name: "get_image", Check: "rule:project_reader_or_admin or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s"},
	{Name: "get_images", Check: "rule:project_reader_or_admin"},
	{Name: "modify_image", Check: "rule:project_member_or_admin"},
	{Name: "delete_image", Check: "rule:project_member_or_admin"},
	{Name: "upload_image", Check: "rule:project_member_or_admin"},
	{Name: "download_image", Check: "rule:project_member_or_admin or (role:member and ('community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s))"},
	{Name: "publicize_image", Check: "rule:context_is_admin"},
	{Name: "communitize_image", Check: "rule:project_member_or_admin"},
	{Name: "deactivate", Check: "rule:project_member_or_admin"},
	{Name: "reactivate", Check: "rule:project_member_or_admin"},

	{Name: "add_member", Check: "rule:project_member_or_admin"},
	{Name: "delete_member", Check: "rule:project_member_or_admin"},
	{Name: "get_member", Check: "rule:project_reader_or_admin or (role:reader and project_id:%(member_id)s)"},
	{Name: "get_members", Check: "rule:project_reader_or_admin or (role:reader and project_id:%(member_id)s)"},
	{Name: "modify_member", Check: "rule:context_is_admin or (role:member and project_id:%(member_id)s)"},

	{Name: "copy_image", Check: "rule:context_is_admin"},
	{Name: "delete_image_location", Check: "rule:context_is_admin"},
	{Name: "add_image_location", Check: "rule:service_or_admin or rule:project_member"},
	{Name: "fetch_image_location", Check: "rule:service_or_admin"},
	{Name: "tasks_api_access", Check: "rule:context_is_admin"},
	{Name: "stores_info_detail", Check: "rule:service_or_admin"},

	{Name: "cache_image", Check: "rule:context_is_admin"},
	{Name: "cache_list", Check: "rule:context_is_admin"},
	{Name: "cache_delete", Check: "rule:context_is_admin"},
	{Name: "cache_clean", Check: "rule:context_is_admin"},
	{Name: "cache_prune", Check: "rule:context_is_admin"},

	{Name: "metadef_default", Check: "@"},
	{Name: "metadef_admin", Check: "rule:context_is_admin"},
	{Name: "get_metadef_namespace", Check: seesNamespace},
	{Name: "get_metadef_object", Check: seesNamespace},
	{Name: "get_metadef_objects", Check: seesNamespace},
	{Name: "list_metadef_resource_types", Check: seesNamespace},
	{Name: "get_metadef_resource_type", Check: seesNamespace},
	{Name: "get_metadef_property", Check: seesNamespace},
	{Name: "get_metadef_properties", Check: seesNamespace},
	{Name: "get_metadef_tag", Check: seesNamespace},
	{Name: "get_metadef_tags", Check: seesNamespace},
	{Name: "get_metadef_namespaces", Check: "rule:project_reader_or_admin"},
	{Name: "modify_metadef_namespace", Check: "rule:metadef_admin"},
	{Name: "add_metadef_namespace", Check: "rule:metadef_admin"},
	{Name: "delete_metadef_namespace", Check: "rule:metadef_admin"},
	{Name: "modify_metadef_object", Check: "rule:metadef_admin"},
	{Name: "add_metadef_object", Check: "rule:metadef_admin"},
	{Name: "delete_metadef_object", Check: "rule:metadef_admin"},
	{Name: "add_metadef_resource_type_association", Check: "rule:metadef_admin"},
	{Name: "remove_metadef_resource_type_association", Check: "rule:metadef_admin"},
	{Name: "modify_metadef_property", Check: "rule:metadef_admin"},
	{Name: "add_metadef_property", Check: "rule:metadef_admin"},
	{Name: "remove_metadef_property", Check: "rule:metadef_admin"},
	{Name: "modify_metadef_tag", Check: "rule:metadef_admin"},
	{Name: "add_metadef_tag", Check: "rule:metadef_admin"},
	{Name: "add_metadef_tags", Check: "rule:metadef_admin"},
	{Name: "delete_metadef_tag", Check: "rule:metadef_admin"},
	{Name: "delete_metadef_tags", Check: "rule:metadef_admin"},
}

// seesNamespace passes for whoever may read a metadata namespace.
const seesNamespace = "rule:project_reader_or_admin or (role:reader and 'public':%(visibility)s)"
