package api

import (
	"regexp"
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// serverList is how lists of servers can be cut and filtered. What is the same
// for every server, or may be missing, sorts as the time of creation.
var serverList = api.List{
	Sorts: map[string]string{
		"created_at": "created_at", "updated_at": "updated_at", "uuid": "id", "display_name": "name", "name": "name",
		"vm_state": "vm_state", "task_state": "task_state", "power_state": "power_state", "launched_at": "launched_at",
		"terminated_at": "terminated_at", "host": "host", "node": "host", "user_id": "user_id", "project_id": "project", "image_ref": "image",
		"launch_index": "launch_index", "locked": "locked", "locked_by": "locked_by", "root_device_name": "root_device", "hostname": "hostname",
		"instance_type_id": "flavor_id", "access_ip_v4": "access_ip4", "access_ip_v6": "access_ip6", "config_drive": "config_drive",
		"availability_zone": "zone", "key_name": "created_at", "display_description": "created_at", "progress": "created_at",
		"auto_disk_config": "auto_disk", "kernel_id": "created_at", "ramdisk_id": "created_at",
	},
	Default:    []db.Sort{{Column: "created_at", Desc: true}, {Column: "id", Desc: true}},
	ZeroIsNone: true,
	Filters: map[string]db.Filter{
		"image": {Column: "image"}, "image_ref": {Column: "image"}, "flavor": {Column: "flavor_id"}, "user_id": {Column: "user_id"},
		"host": {Column: "host"}, "vm_state": {Column: "vm_state"}, "task_state": {Column: "task_state"},
		"locked": {Column: "locked", Match: db.Flag}, "config_drive": {Column: "config_drive", Match: db.Flag}, "auto_disk_config": {Column: "auto_disk", Match: db.Flag},
		"created_at": {Column: "created_at", Match: db.Dated}, "launched_at": {Column: "launched_at", Match: db.Dated},
		"terminated_at": {Column: "terminated_at", Match: db.Dated},
		"key_name":      matches("key_name"), "reservation_id": matches("reservation"), "hostname": matches("hostname"), "node": matches("host"),
		"description": matches("description"), "display_description": matches("description"), "display_name": matches("name"),
		"locked_by": matches("locked_by"), "root_device_name": matches("root_device"), "power_state": matches("power_state"),
		"launch_index": matches("launch_index"), "access_ip_v4": matches("access_ip4"), "access_ip_v6": matches("access_ip6"),
	},
}

func matches(column string) db.Filter { return db.Filter{Column: column, Match: db.Matches} }

// sameForAll are filters for what is the same of every server.
var sameForAll = map[string]string{"kernel_id": "", "ramdisk_id": "", "progress": "0"}

// userFilters are the filters that count for everybody, and since when. Others
// are for admins; what somebody else sends of them is ignored.
var userFilters = map[string]api.Version{
	"image": 0, "flavor": 0, "reservation_id": 0, "ip6": api.V(2, 5), "locked": api.V(2, 73),
	"availability_zone": api.V(2, 83), "config_drive": api.V(2, 83), "key_name": api.V(2, 83), "power_state": api.V(2, 83),
	"task_state": api.V(2, 83), "vm_state": api.V(2, 83), "user_id": api.V(2, 83), "created_at": api.V(2, 83),
	"launched_at": api.V(2, 83), "terminated_at": api.V(2, 83), "progress": api.V(2, 83), "hostname": api.V(2, 90),
}

// patterns are the parameters that have to be regular expressions, whoever sends them
// and whether or not they count.
var patterns = strings.Fields(`access_ip_v4 access_ip_v6 auto_disk_config availability_zone config_drive created_at description display_description
		display_name flavor hostname ip ip6 kernel_id key_name launch_index launched_at locked_by name node power_state progress ramdisk_id
		reservation_id root_device_name terminated_at`)

// mostPatterns is how many a list takes of one parameter.
const mostPatterns = 10

func checkPatterns(c *api.Call) error {
	for name, values := range c.Query() {
		if !slices.Contains(patterns, name) {
			continue
		}
		if len(values) > mostPatterns {
			return errs.BadRequestf("Invalid input for query parameters %s. There are %d values, and at most %d are heard.", name, len(values), mostPatterns)
		}
		for _, value := range values {
			err := db.CheckPattern(value)
			if err != nil || value == "" {
				return errs.BadRequestf("Invalid input for query parameters %s. Value: %s. '%s' is not a 'regex'", name, value, value)
			}
		}
	}
	return nil
}

// find hands the servers over that a list asks for, part by part, and tells
// whether there are more.
func (h handlers) find(c *api.Call, action string, part func([]compute.Server)) (more bool, err error) {
	err = c.AuthorizeOwn()
	if err != nil {
		return false, err
	}
	err = checkPatterns(c)
	if err != nil {
		return false, err
	}
	params := c.Query()
	q := compute.Query{Project: c.Caller.Project, Name: params.Get("name"), IP: params.Get("ip"), Brief: action == "index", Request: c.Version >= api.V(2, 98)}
	if q.Project == "" {
		q.Project = "-"
	}
	all := false
	if params.Has("all_tenants") {
		var ok bool
		all, ok = boolean.Parse(params.Get("all_tenants"))
		if !ok && params.Get("all_tenants") != "" {
			return false, errs.BadRequestf("Invalid input for query parameters all_tenants. Value: %s. It is not a truth value.", params.Get("all_tenants"))
		}
		all = all || !ok
	}
	admin := c.May("os_compute_api:servers:allow_all_filters", auth.Target{})
	if all {
		err = c.AuthorizeRule("os_compute_api:servers:"+action+":get_all_tenants", auth.Target{Project: c.Caller.Project})
		if err != nil {
			return false, err
		}
		q.Project = params.Get("project_id")
		if q.Project == "" {
			q.Project = params.Get("tenant_id")
		}
	}
	q.Page, err = c.Page(serverList)
	if err != nil {
		return false, err
	}
	q.Page.Reverse = false // Nova has no such pages
	if slices.ContainsFunc(q.Page.Sort, func(by db.Sort) bool { return by.Column == "host" }) && !c.Caller.Admin() {
		return false, errs.Forbiddenf("Only administrators can sort servers by host")
	}
	err = filters(c, &q, admin)
	if err != nil {
		return false, err
	}
	return h.compute.Servers(c.Context(), q, part)
}

func filters(c *api.Call, q *compute.Query, admin bool) error {
	params := c.Query()
	counts := func(name string) bool {
		since, known := userFilters[name]
		return params.Has(name) && (admin || known && c.Version >= since)
	}
	list := serverList
	list.Filters = map[string]db.Filter{}
	for name, filter := range serverList.Filters {
		if counts(name) {
			list.Filters[name] = filter
		}
	}
	var err error
	q.Conds, err = c.Where(list)
	if err != nil {
		return err
	}
	for name, is := range sameForAll {
		if counts(name) {
			pattern, err := regexp.Compile(params.Get(name))
			q.Page.None = q.Page.None || err != nil || !pattern.MatchString(is)
		}
	}
	if counts("availability_zone") {
		q.Zone = params.Get("availability_zone")
	}
	if counts("ip6") {
		q.IP = params.Get("ip6")
	}
	if counts("uuid") {
		q.IDs = params["uuid"]
	}
	if admin {
		q.Deleted, _ = boolean.Parse(params.Get("deleted"))
		q.SoftDeleted, _ = boolean.Parse(params.Get("soft_deleted"))
	}
	for _, status := range params["status"] {
		status = strings.ToUpper(status)
		if !compute.KnownStatus(status) {
			if c.Version >= api.V(2, 38) {
				return errs.BadRequestf("Invalid status value: %s", status)
			}
		}
		q.Statuses = append(q.Statuses, status)
		if status == "DELETED" {
			if !admin {
				return errs.Forbiddenf("Only administrators may list deleted instances")
			}
			q.Deleted = true
		}
	}
	err = changes(c, &q.ChangedSince, &q.ChangedBefore)
	if err != nil {
		return err
	}
	if c.Version >= api.V(2, 26) {
		for _, t := range []struct {
			name string
			into *[]string
		}{{"tags", &q.Tags}, {"tags-any", &q.TagsAny}, {"not-tags", &q.NotTags}, {"not-tags-any", &q.NotTagsAny}} {
			if params.Get(t.name) != "" {
				*t.into = strings.Split(params.Get(t.name), ",")
			}
		}
	}
	return nil
}

// changes reads between which times something must have changed.
func changes(c *api.Call, since, before *db.Time) error {
	for _, t := range []struct {
		name string
		into *db.Time
	}{{"changes-since", since}, {"changes-before", before}} {
		text := c.Query().Get(t.name)
		if text == "" || (t.name == "changes-before" && c.Version < api.V(2, 66)) {
			continue
		}
		at, err := db.ParseTime(text)
		if err != nil {
			return errs.BadRequestf("Invalid input for query parameters %s. Value: %s. '%s' is not a 'date-time'", t.name, text, text)
		}
		*t.into = db.At(at)
	}
	if *since > 0 && *before > 0 && *before < *since {
		return errs.BadRequestf("The value of changes-since must be less than or equal to changes-before.")
	}
	return nil
}
