package api

import (
	"encoding/json"
	"strconv"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

type serverMigrationView struct {
	ID        int64      `json:"id"`
	UUID      string     `json:"uuid" since:"2.59"`
	Server    string     `json:"server_uuid"`
	Status    string     `json:"status"`
	Source    *string    `json:"source_compute"`
	SourceN   *string    `json:"source_node"`
	Dest      *string    `json:"dest_compute"`
	DestNode  *string    `json:"dest_node"`
	DestHost  *string    `json:"dest_host"`
	User      string     `json:"user_id" since:"2.80"`
	Project   string     `json:"project_id" since:"2.80"`
	CreatedAt api.Micros `json:"created_at"`
	UpdatedAt api.Micros `json:"updated_at"`

	MemoryTotal     int64 `json:"memory_total_bytes"`
	MemoryProcessed int64 `json:"memory_processed_bytes"`
	MemoryRemaining int64 `json:"memory_remaining_bytes"`
	DiskTotal       int64 `json:"disk_total_bytes"`
	DiskProcessed   int64 `json:"disk_processed_bytes"`
	DiskRemaining   int64 `json:"disk_remaining_bytes"`
}

type serverMigrationReply struct {
	Migration serverMigrationView `json:"migration"`
}

type serverMigrationsReply struct {
	Migrations []serverMigrationView `json:"migrations"`
}

// viewServerMigration shows a live migration under way, and its hosts to those who
// may see them.
func viewServerMigration(m compute.LiveMigrationInfo, hosts bool) serverMigrationView {
	v := serverMigrationView{
		ID: m.Seq, UUID: m.ID, Server: m.Server, Status: string(m.Status), User: m.UserID, Project: m.Project,
		CreatedAt: api.Micros(m.CreatedAt.Time()), UpdatedAt: api.Micros(m.UpdatedAt.Time()),
		MemoryTotal: m.Move.MemoryTotal, MemoryProcessed: m.Move.MemoryTotal - m.Move.MemoryLeft, MemoryRemaining: m.Move.MemoryLeft,
		DiskTotal: m.Move.DiskTotal, DiskProcessed: m.Move.DiskTotal - m.Move.DiskLeft, DiskRemaining: m.Move.DiskLeft,
	}
	if hosts {
		v.Source, v.SourceN = orNull(m.Source), orNull(m.Source)
		v.Dest, v.DestNode, v.DestHost = orNull(m.Dest), orNull(m.Dest), orNull(m.Dest)
	}
	return v
}

func (h handlers) listServerMigrations(c *api.Call) (serverMigrationsReply, error) {
	server, err := h.server(c)
	if err != nil {
		return serverMigrationsReply{}, err
	}
	list, err := h.compute.LiveMigrations(c.Context(), server.ID)
	reply := serverMigrationsReply{Migrations: []serverMigrationView{}}
	hosts := c.May("os_compute_api:servers:migrations:index:host", of(server))
	for _, m := range list {
		reply.Migrations = append(reply.Migrations, viewServerMigration(m, hosts))
	}
	return reply, err
}

// migration finds the call's server, authorizes the call, and reads the number of
// the migration.
func (h handlers) migration(c *api.Call) (compute.Server, int64, error) {
	server, err := h.server(c)
	if err != nil {
		return server, 0, err
	}
	text := c.PathValue("migration_id")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return server, 0, errs.NotFoundf("Migration %s for server %s could not be found.", text, server.ID)
	}
	return server, n, nil
}

func (h handlers) showServerMigration(c *api.Call) (serverMigrationReply, error) {
	server, n, err := h.migration(c)
	if err != nil {
		return serverMigrationReply{}, err
	}
	m, err := h.compute.ServerMigration(c.Context(), server.ID, n)
	if err != nil {
		return serverMigrationReply{}, err
	}
	if m.Kind != compute.LiveMigration {
		return serverMigrationReply{}, errs.NotFoundf("Migration %d for server %s is not live-migration.", n, server.ID)
	}
	list, err := h.compute.LiveMigrations(c.Context(), server.ID)
	if err != nil {
		return serverMigrationReply{}, err
	}
	for _, found := range list {
		if found.ID == m.ID {
			return serverMigrationReply{viewServerMigration(found, true)}, nil
		}
	}
	return serverMigrationReply{}, errs.NotFoundf("Live migration %d for server %s is not in progress.", n, server.ID)
}

type forceCompleteRequest struct {
	Force null `json:"force_complete" check:"required"`
}

func (h handlers) forceComplete(c *api.Call, _ forceCompleteRequest) error {
	server, n, err := h.migration(c)
	if err != nil {
		return err
	}
	return h.compute.ForceComplete(c.Context(), act(c, server), n)
}

func (h handlers) abortMigration(c *api.Call) error {
	server, n, err := h.migration(c)
	if err != nil {
		return err
	}
	return h.compute.AbortMigration(c.Context(), act(c, server), n, c.Version >= api.V(2, 65))
}

type migrateLiveRequest struct {
	Migrate struct {
		Host       api.Opt[string] `json:"host" check:"required,min=1,max=255,pattern=hostname"`
		Block      blockMigration  `json:"block_migration" check:"required"`
		OverCommit *api.Bool       `json:"disk_over_commit" until:"2.24" check:"required,notnull"`
		Force      *api.Bool       `json:"force" since:"2.30" until:"2.67" check:"notnull"`
	} `json:"os-migrateLive" check:"required"`
}

// blockMigration is whether local disks go along or, since 2.25, auto.
type blockMigration struct {
	auto bool
	yes  api.Bool
}

// JSONSchema implements api.Schemer.
func (blockMigration) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"boolean", "string"}, "enum": []any{
		true, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t",
		false, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f", "auto",
	}}
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *blockMigration) UnmarshalJSON(raw []byte) error {
	if string(raw) == `"auto"` {
		b.auto = true
		return nil
	}
	return json.Unmarshal(raw, &b.yes)
}

func (h handlers) migrateLive(c *api.Call, in migrateLiveRequest) error {
	server, err := h.server(c)
	if err != nil {
		return err
	}
	r := in.Migrate
	if r.Block.auto && c.Version < api.V(2, 25) {
		return errs.BadRequestf("Invalid input for field/attribute block_migration. Value: auto. 'auto' is not a boolean")
	}
	if !r.Host.Null {
		err = c.AuthorizeRule("os_compute_api:os-migrate-server:migrate_live:host", of(server))
		if err != nil {
			return err
		}
	}
	if r.Force != nil && bool(*r.Force) && r.Host.Null {
		return errs.BadRequestf("Can't force to a non-provided destination")
	}
	move := compute.LiveMove{Host: r.Host.V, Anyway: r.Force != nil && bool(*r.Force), Early: c.Version < api.V(2, 34)}
	if !r.Block.auto {
		block := bool(r.Block.yes)
		move.Block = &block
	}
	return h.compute.LiveMigrateServer(c.Context(), act(c, server), move)
}
