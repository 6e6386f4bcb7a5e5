package volume

import "nacre/internal/auth"

const (
	reader = "rule:project_reader_or_admin"
	member = "rule:project_member_or_admin"
	admin  = "rule:admin_api"
)

// Policy are the rules of block storage with their defaults.
var Policy = []auth.Rule{
	{Name: "volume:create", Check: member},
	{Name: "volume:get", Check: reader},
	{Name: "volume:get_all", Check: reader},
	{Name: "volume:update", Check: member},
	{Name: "volume:delete", Check: member},
	{Name: "volume:force_delete", Check: admin},
	{Name: "volume:extend", Check: member},
	{Name: "volume:retype", Check: member},
	{Name: "volume:update_readonly_flag", Check: member},
	{Name: "volume:get_volume_metadata", Check: reader},
	{Name: "volume:create_volume_metadata", Check: member},
	{Name: "volume:update_volume_metadata", Check: member},
	{Name: "volume:delete_volume_metadata", Check: member},
	{Name: "volume_extension:volume_image_metadata:show", Check: reader},
	{Name: "volume_extension:volume_image_metadata:set", Check: member},
	{Name: "volume_extension:volume_image_metadata:remove", Check: member},
	{Name: "volume_extension:volume_tenant_attribute", Check: reader},
	{Name: "volume_extension:volume_host_attribute", Check: admin},
	{Name: "volume_extension:volume_mig_status_attribute", Check: admin},

	{Name: "volume:attachment_create", Check: member},
	{Name: "volume:attachment_update", Check: member},
	{Name: "volume:attachment_delete", Check: member},
	{Name: "volume:attachment_complete", Check: member},
	{Name: "volume_extension:volume_actions:attach", Check: member},
	{Name: "volume_extension:volume_actions:detach", Check: member},
	{Name: "volume_extension:volume_actions:reserve", Check: member},
	{Name: "volume_extension:volume_actions:unreserve", Check: member},
	{Name: "volume_extension:volume_actions:begin_detaching", Check: member},
	{Name: "volume_extension:volume_actions:roll_detaching", Check: member},
	{Name: "volume_extension:volume_admin_actions:reset_status", Check: admin},
	{Name: "volume_extension:volume_admin_actions:force_delete", Check: admin},
	{Name: "volume_extension:volume_admin_actions:force_detach", Check: admin},

	{Name: "volume:create_snapshot", Check: member},
	{Name: "volume:get_snapshot", Check: reader},
	{Name: "volume:get_all_snapshots", Check: reader},
	{Name: "volume:update_snapshot", Check: member},
	{Name: "volume:delete_snapshot", Check: member},
	{Name: "volume:get_snapshot_metadata", Check: reader},
	{Name: "volume:update_snapshot_metadata", Check: member},
	{Name: "volume:delete_snapshot_metadata", Check: member},
	{Name: "volume_extension:extended_snapshot_attributes", Check: reader},
	{Name: "volume_extension:snapshot_admin_actions:reset_status", Check: admin},
	{Name: "volume_extension:snapshot_admin_actions:force_delete", Check: admin},

	{Name: "volume_extension:type_create", Check: admin},
	{Name: "volume_extension:type_update", Check: admin},
	{Name: "volume_extension:type_delete", Check: admin},
	{Name: "volume_extension:type_get", Check: reader},
	{Name: "volume_extension:type_get_all", Check: reader},
	{Name: "volume_extension:access_types_extra_specs", Check: reader},
	{Name: "volume_extension:access_types_qos_specs_id", Check: admin},
	{Name: "volume_extension:types_extra_specs:index", Check: reader},
	{Name: "volume_extension:types_extra_specs:show", Check: reader},
	{Name: "volume_extension:types_extra_specs:read_sensitive", Check: admin},
	{Name: "volume_extension:types_extra_specs:create", Check: admin},
	{Name: "volume_extension:types_extra_specs:update", Check: admin},
	{Name: "volume_extension:types_extra_specs:delete", Check: admin},
	{Name: "volume_extension:volume_type_access", Check: member},
	{Name: "volume_extension:volume_type_access:get_all_for_type", Check: admin},
	{Name: "volume_extension:volume_type_access:addProjectAccess", Check: admin},
	{Name: "volume_extension:volume_type_access:removeProjectAccess", Check: admin},

	{Name: "limits_extension:used_limits", Check: reader},
	{Name: "volume_extension:quotas:show", Check: reader},
	{Name: "volume_extension:quotas:update", Check: admin},
	{Name: "volume_extension:quotas:delete", Check: admin},
	{Name: "volume_extension:quota_classes:get", Check: admin},
	{Name: "volume_extension:quota_classes:update", Check: admin},
	{Name: "volume_extension:services:index", Check: admin},
	{Name: "volume_extension:hosts", Check: admin},
	{Name: "scheduler_extension:scheduler_stats:get_pools", Check: admin},
}
