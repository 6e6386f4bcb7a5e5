package image

import "nacre/internal/auth"

// Policy are the rules of the image service with their defaults.
var Policy = []auth.Rule{
	{Name: "add_image", Check: "rule:project_member_or_admin"},
	{Name: "get_image", Check: "rule:project_reader_or_admin or 'community':%(visibility)s or 'public':%(visibility)s"},
	{Name: "get_images", Check: "rule:project_reader_or_admin"},
	{Name: "modify_image", Check: "rule:project_member_or_admin"},
	{Name: "delete_image", Check: "rule:project_member_or_admin"},
	{Name: "upload_image", Check: "rule:project_member_or_admin"},
	{Name: "download_image", Check: "rule:project_member_or_admin or (role:member and ('community':%(visibility)s or 'public':%(visibility)s))"},
	{Name: "publicize_image", Check: "rule:context_is_admin"},
	{Name: "communitize_image", Check: "rule:project_member_or_admin"},
	{Name: "deactivate", Check: "rule:project_member_or_admin"},
	{Name: "reactivate", Check: "rule:project_member_or_admin"},
}
