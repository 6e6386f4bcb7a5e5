package placement

import "nacre/internal/auth"

// Policy are the rules of placement with their defaults: it is an API for
// operators and services.
var Policy = []auth.Rule{
	{Name: "placement:resource_providers:list", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:create", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:show", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:update", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:delete", Check: "rule:service_or_admin"},
	{Name: "placement:resource_classes:list", Check: "rule:service_or_admin"},
	{Name: "placement:resource_classes:create", Check: "rule:service_or_admin"},
	{Name: "placement:resource_classes:show", Check: "rule:service_or_admin"},
	{Name: "placement:resource_classes:update", Check: "rule:service_or_admin"},
	{Name: "placement:resource_classes:delete", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:inventories:list", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:inventories:create", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:inventories:show", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:inventories:update", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:inventories:delete", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:aggregates:list", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:aggregates:update", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:usages", Check: "rule:service_or_admin"},
	{Name: "placement:usages", Check: "rule:admin_or_service_or_reader"},
	{Name: "admin_or_service_or_reader", Check: "rule:service_or_admin or rule:project_reader"},
	{Name: "placement:traits:list", Check: "rule:service_or_admin"},
	{Name: "placement:traits:show", Check: "rule:service_or_admin"},
	{Name: "placement:traits:update", Check: "rule:service_or_admin"},
	{Name: "placement:traits:delete", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:traits:list", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:traits:update", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:traits:delete", Check: "rule:service_or_admin"},
	{Name: "placement:allocations:manage", Check: "rule:service_or_admin"},
	{Name: "placement:reshaper:reshape", Check: "rule:service_api"},
	{Name: "placement:allocations:list", Check: "rule:service_or_admin"},
	{Name: "placement:allocations:update", Check: "rule:service_or_admin"},
	{Name: "placement:allocations:delete", Check: "rule:service_or_admin"},
	{Name: "placement:resource_providers:allocations:list", Check: "rule:service_or_admin"},
	{Name: "placement:allocation_candidates:list", Check: "rule:service_or_admin"},
}
