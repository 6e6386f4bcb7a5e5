package api

import (
	"encoding/json"
	"fmt"
	"strconv"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/compute"
	"nacre/internal/db"
)

// migrationRoutes are the migrations of all servers.
func (h handlers) migrationRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/servers/{server_id}/migrations", Since: api.V(2, 23), Rule: "os_compute_api:servers:migrations:index", Do: api.Get(h.listServerMigrations)},
		{Method: "GET", Path: "/servers/{server_id}/migrations/{migration_id}", Since: api.V(2, 23), Rule: "os_compute_api:servers:migrations:show", Do: api.Get(h.showServerMigration)},
		{Method: "POST", Path: "/servers/{server_id}/migrations/{migration_id}/action", Action: "force_complete", Since: api.V(2, 22), Rule: "os_compute_api:servers:migrations:force_complete", OK: 202, Do: api.BodyEmpty(h.forceComplete)},
		{Method: "DELETE", Path: "/servers/{server_id}/migrations/{migration_id}", Since: api.V(2, 24), Rule: "os_compute_api:servers:migrations:delete", OK: 202, Do: api.Empty(h.abortMigration)},
		{Method: "GET", Path: "/os-migrations", Rule: "os_compute_api:os-migrations:index", Do: api.Get(h.listMigrations)},
	}
}

type migrationView struct {
	ID            int64      `json:"id"`
	UUID          string     `json:"uuid" since:"2.59"`
	Source        *string    `json:"source_compute"`
	SourceNode    *string    `json:"source_node"`
	Dest          *string    `json:"dest_compute"`
	DestNode      *string    `json:"dest_node"`
	DestHost      *string    `json:"dest_host"`
	Status        string     `json:"status"`
	Server        string     `json:"instance_uuid"`
	OldFlavor     *int64     `json:"old_instance_type_id"`
	NewFlavor     *int64     `json:"new_instance_type_id"`
	MigrationType string     `json:"migration_type" since:"2.23"`
	User          string     `json:"user_id" since:"2.80"`
	Project       string     `json:"project_id" since:"2.80"`
	CreatedAt     api.Micros `json:"created_at"`
	UpdatedAt     api.Micros `json:"updated_at"`

	Links *[]api.Link `json:"links,omitempty" since:"2.23"`
}

type migrationsReply struct {
	Migrations []migrationView `json:"migrations"`
	Links      []api.Link      `json:"migrations_links,omitempty"`
}

// migrationList is how lists of migrations can be filtered.
var migrationList = api.List{ZeroIsNone: true, Filters: map[string]db.Filter{
	"hidden": {Column: "hidden", Match: db.Flag}, "instance_uuid": {Column: "server"}, "migration_type": {Column: "kind"},
	"source_compute": {Column: "source"}, "status": {Column: "status"}, "user_id": {Column: "user_id"},
}}

func (h handlers) listMigrations(c *api.Call) (migrationsReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return migrationsReply{}, err
	}
	q, err := migrationQuery(c)
	if err != nil {
		return migrationsReply{}, err
	}
	list, more, err := h.compute.Migrations(c.Context(), q)
	if err != nil {
		return migrationsReply{}, err
	}
	hosts := c.May("os_compute_api:os-migrations:index:host", auth.Target{Project: c.Caller.Project})
	reply := migrationsReply{Migrations: make([]migrationView, 0, len(list))}
	for _, m := range list {
		v := viewMigration(m, hosts)
		if m.Kind == compute.LiveMigration && !m.Over() {
			both := links(c, fmt.Sprintf("/servers/%s/migrations/%d", m.Server, m.Seq))
			v.Links = &both
		}
		reply.Migrations = append(reply.Migrations, v)
	}
	if c.Version >= api.V(2, 59) && more {
		reply.Links = next(c, true, list[len(list)-1].ID)
	}
	return reply, nil
}

func migrationQuery(c *api.Call) (compute.MigrationQuery, error) {
	params := c.Query()
	q := compute.MigrationQuery{Host: params.Get("host")}
	own := auth.Target{Project: c.Caller.Project}
	all := c.May("os_compute_api:os-migrations:index:all_projects", own)
	q.Project = c.Caller.Project
	if all {
		q.Project = ""
	}
	list := migrationList
	if c.Version >= api.V(2, 80) {
		project := params.Get("project_id")
		if project != "" && !all && project != c.Caller.Project {
			return q, c.AuthorizeRule("os_compute_api:os-migrations:index:all_projects", auth.Target{Project: project})
		}
		if project != "" {
			q.Project = project
		}
	} else {
		list.Filters = map[string]db.Filter{}
		for name, filter := range migrationList.Filters {
			if name != "user_id" && name != "project_id" {
				list.Filters[name] = filter
			}
		}
	}
	var err error
	q.Conds, err = c.Where(list)
	if err != nil || c.Version < api.V(2, 59) {
		return q, err
	}
	q.Page, err = c.Page(list)
	if err != nil {
		return q, err
	}
	err = changes(c, &q.ChangedSince, &q.ChangedBefore)
	return q, err
}

// flavorNumber is a flavor's id as old clients know it: a number, or null.
func flavorNumber(id string) *int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// viewMigration shows a migration, and its hosts to those who may see them.
func viewMigration(m compute.Migration, hosts bool) migrationView {
	v := migrationView{
		ID: m.Seq, UUID: m.ID, Status: string(m.Status), Server: m.Server, MigrationType: string(m.Kind),
		OldFlavor: flavorNumber(m.OldFlavor), NewFlavor: flavorNumber(m.NewFlavor), User: m.UserID, Project: m.Project,
		CreatedAt: api.Micros(m.CreatedAt.Time()), UpdatedAt: api.Micros(m.UpdatedAt.Time()),
	}
	if hosts {
		v.Source, v.SourceNode = orNull(m.Source), orNull(m.Source)
		v.Dest, v.DestNode, v.DestHost = orNull(m.Dest), orNull(m.Dest), orNull(m.Dest)
	}
	return v
}

// migrateRequest is null or, since 2.56, an object that may name a host.
type migrateRequest struct {
	Migrate migrateBody `json:"migrate"`
}

type migrateBody struct {
	host string
}

// JSONSchemaAt implements api.VersionSchemer.
func (migrateBody) JSONSchemaAt(v api.Version) map[string]any {
	if v < api.V(2, 56) {
		return map[string]any{} // what stood there was not looked at
	}
	return map[string]any{
		"type": []any{"object", "null"}, "additionalProperties": false,
		"properties": map[string]any{"host": map[string]any{"type": []any{"string", "null"}, "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-._]*$"}},
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *migrateBody) UnmarshalJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var in map[string]any
	err := json.Unmarshal(raw, &in)
	b.host, _ = in["host"].(string)
	return err
}

func (h handlers) migrate(c *api.Call, in migrateRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	if c.Version < api.V(2, 56) {
		in.Migrate.host = ""
	}
	if in.Migrate.host != "" {
		err = c.AuthorizeRule("os_compute_api:os-migrate-server:migrate:host", of(server))
		if err != nil {
			return err
		}
	}
	return h.compute.MigrateServer(c.Context(), act(c, server), in.Migrate.host)
}
