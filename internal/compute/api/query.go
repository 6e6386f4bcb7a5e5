package api

import (
	"maps"

	"nacre/internal/api"
)

// What calls know in their query, and since when they refuse the rest. All other
// GETs know nothing and refuse it since 2.102.
type query struct {
	since  api.Version
	params api.Params
}

var queries = map[string]query{
	"GET /flavors":        {api.V(2, 75), flavorParams},
	"GET /flavors/detail": {api.V(2, 75), flavorParams},

	"GET /servers":         {api.V(2, 75), serverParams},
	"GET /servers/detail":  {api.V(2, 75), serverParams},
	"GET /os-volumes_boot": {api.V(2, 75), serverParams},

	"GET /os-hypervisors":                 {api.V(2, 53), hypervisorParams},
	"GET /os-hypervisors/detail":          {api.V(2, 53), hypervisorParams},
	"GET /os-hypervisors/{hypervisor_id}": {api.V(2, 53), api.Params{}.And(api.V(2, 53), "with_servers:bool")},

	"GET /servers/{server_id}/os-instance-actions": {api.V(2, 58), pagesOfChanges(api.V(2, 58))},
	"GET /os-migrations": {api.V(2, 59), pagesOfChanges(api.V(2, 59)).
		And(0, "hidden host instance_uuid migration_type source_compute status").And(api.V(2, 80), "user_id project_id")},

	"GET /os-keypairs":                   {api.V(2, 75), api.Known("limit marker user_id")},
	"GET /os-keypairs/{keypair_name}":    {api.V(2, 75), api.Known("user_id")},
	"DELETE /os-keypairs/{keypair_name}": {api.V(2, 75), api.Known("user_id")},

	"GET /limits":                           {api.V(2, 75), api.Known("tenant_id")},
	"GET /os-quota-sets/{tenant_id}":        {api.V(2, 75), api.Known("user_id")},
	"GET /os-quota-sets/{tenant_id}/detail": {api.V(2, 75), api.Known("user_id")},
	"PUT /os-quota-sets/{tenant_id}":        {api.V(2, 75), api.Known("user_id")},
	"DELETE /os-quota-sets/{tenant_id}":     {api.V(2, 75), api.Known("user_id")},

	"GET /os-server-groups":                                      {api.V(2, 75), api.Known("all_projects limit offset")},
	"GET /os-services":                                           {api.V(2, 75), api.Known("binary host")},
	"GET /os-simple-tenant-usage":                                {api.V(2, 75), api.Known("detailed start end limit marker")},
	"GET /os-simple-tenant-usage/{tenant_id}":                    {api.V(2, 75), api.Known("start end limit marker")},
	"GET /servers/{server_id}/os-volume_attachments":             {api.V(2, 75), api.Known("limit offset")},
	"DELETE /os-assisted-volume-snapshots/{snapshot_id}":         {api.V(2, 75), api.Known("delete_info")},
	"GET /os-console-auth-tokens/{console_token}":                {api.V(2, 99), nil},
	"GET /servers/{server_id}/shares":                            {api.V(2, 97), nil},
	"GET /servers/{server_id}/shares/{share_id}":                 {api.V(2, 97), nil},
	"GET /servers/{server_id}/tags":                              {api.Loose, nil},
	"GET /servers/{server_id}/tags/{tag}":                        {api.Loose, nil},
	"GET /os-quota-sets/{tenant_id}/defaults":                    {api.Loose, nil},
	"GET /servers/{server_id}/os-volume_attachments/{volume_id}": {api.Loose, nil},
}

var (
	flavorParams     = api.Known("is_public limit marker minDisk minRam sort_dir sort_key").And(api.V(2, 102), "name")
	hypervisorParams = api.Params{}.And(api.V(2, 53), "hypervisor_hostname_pattern:filled limit:count marker:once with_servers:bool")
	serverParams     = api.Known(`access_ip_v4 access_ip_v6 all_tenants auto_disk_config availability_zone block_device_mapping
		changes-since:time config_drive created_at deleted description display_description display_name flavor host hostname image image_ref info_cache
		ip ip6 kernel_id key_name launch_index launched_at limit:count locked locked_by marker:once metadata name node not-tags not-tags-any pci_devices
		power_state progress project_id ramdisk_id reservation_id root_device_name security_groups services soft_deleted sort_dir sort_key status
		system_metadata tags tags-any task_state tenant_id terminated_at user_id uuid vm_state _*`).And(api.V(2, 66), "changes-before:time")
)

// pagesOfChanges are the parameters of a list that has pages since a microversion, of what
// changed between two times.
func pagesOfChanges(since api.Version) api.Params {
	return api.Params{}.And(since, "limit:count marker:once changes-since:time").And(api.V(2, 66), "changes-before:time")
}

// withQueries puts the queries into their rows. It panics on one that no row has,
// since that is a mistake in the program.
func withQueries(routes []api.Route) []api.Route {
	rest := maps.Clone(queries)
	for i := range routes {
		r := &routes[i]
		call := r.Method + " " + r.Path
		r.Query, r.Strict = queries[call].params, queries[call].since
		delete(rest, call)
	}
	for call := range rest {
		panic("compute: no row is " + call)
	}
	return routes
}
