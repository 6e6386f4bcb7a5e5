package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// ServerGroup is a rule about which servers may share a host.
type ServerGroup struct {
	bun.BaseModel `bun:"table:server_groups,alias:server_groups"`

	ID        string `bun:",pk"`
	Project   string
	UserID    string
	Name      string
	Policy    string
	Rules     db.JSON[GroupRules]
	CreatedAt db.Time

	Members []string `bun:"-"` // ids of servers
}

// GroupRules refine a policy.
type GroupRules struct {
	MaxServerPerHost int `json:"max_server_per_host,omitempty"`
}

func serverGroup(ctx context.Context, tx *db.Tx, project, id string) (ServerGroup, error) {
	var g ServerGroup
	err := tx.Get(ctx, &g, "SELECT * FROM server_groups WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && project != "" && g.Project != project) {
		return ServerGroup{}, errs.NotFoundf("Instance group %s could not be found.", id)
	}
	if err != nil {
		return ServerGroup{}, fmt.Errorf("read server group %s: %w", id, err)
	}
	return g, nil
}

// joinGroup checks that n more servers may join the group.
func (s *Service) joinGroup(ctx context.Context, tx *db.Tx, in NewServer, n int) error {
	g, err := serverGroup(ctx, tx, in.Caller.Project, in.ServerGroup)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Instance group %s could not be found.", in.ServerGroup)
	}
	if err != nil {
		return err
	}
	limits, err := limitsFor(ctx, tx, in.Caller.Project, in.Caller.User, quota.ServerGroupMember)
	if err != nil {
		return err
	}
	var have int
	err = tx.Get(ctx, &have, "SELECT COUNT(*) FROM servers WHERE server_group = ? AND server_group <> '' AND deleted_at = 0", g.ID)
	if err != nil {
		return fmt.Errorf("count members of server group %s: %w", g.ID, err)
	}
	limit := limits[quota.ServerGroupMember]
	if limit >= 0 && int64(have+n) > limit {
		return errs.Forbiddenf("Quota exceeded, too many servers in group")
	}
	return nil
}

// CreateServerGroup adds a server group.
func (s *Service) CreateServerGroup(ctx context.Context, g ServerGroup) (ServerGroup, error) {
	g.ID, g.CreatedAt = s.newID(), db.At(s.clock.Now())
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := take(ctx, tx, g.Project, g.UserID, quota.ServerGroups(1))
		var over *quota.Exceeded
		if errors.As(err, &over) {
			return errs.Forbiddenf("Quota exceeded, too many server groups.")
		}
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &g)
		if err != nil {
			return fmt.Errorf("insert server group: %w", err)
		}
		return tellGroup(ctx, tx, "create", g)
	})
	return g, err
}

// ServerGroup returns a server group of the project ("" for any) with its
// members.
func (s *Service) ServerGroup(ctx context.Context, project, id string) (ServerGroup, error) {
	var g ServerGroup
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		g, err = serverGroup(ctx, tx, project, id)
		if err != nil {
			return err
		}
		list := []ServerGroup{g}
		err = readMembers(ctx, tx, list)
		g = list[0]
		return err
	})
	return g, err
}

// ServerGroups lists the server groups of a project ("" for all).
func (s *Service) ServerGroups(ctx context.Context, project string, limit, offset int64) ([]ServerGroup, error) {
	var list []ServerGroup
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := tx.NewSelect().Model(&list).OrderExpr("created_at, id").Limit(limit).Offset(offset)
		if project != "" {
			q = q.Where("project = ?", project)
		}
		err := q.Scan(ctx)
		if err != nil {
			return fmt.Errorf("list server groups: %w", err)
		}
		return readMembers(ctx, tx, list)
	})
	return list, err
}

func readMembers(ctx context.Context, tx *db.Tx, list []ServerGroup) error {
	if len(list) == 0 {
		return nil
	}
	at := map[string]*ServerGroup{}
	ids := make([]string, len(list))
	for i := range list {
		ids[i], at[list[i].ID] = list[i].ID, &list[i]
	}
	var rows []struct{ ID, ServerGroup string }
	err := tx.All(ctx, &rows, `
		SELECT s.id, s.server_group FROM ? AS asked CROSS JOIN servers AS s
		WHERE s.server_group = asked.value AND s.server_group <> '' AND s.deleted_at = 0 ORDER BY s.created_at`, db.Each(ids))
	if err != nil {
		return fmt.Errorf("read members of server groups: %w", err)
	}
	for _, row := range rows {
		at[row.ServerGroup].Members = append(at[row.ServerGroup].Members, row.ID)
	}
	return nil
}

// DeleteServerGroup removes a server group. Its members stay where they are.
func (s *Service) DeleteServerGroup(ctx context.Context, project, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		g, err := serverGroup(ctx, tx, project, id)
		if err != nil {
			return err
		}
		err = tellGroup(ctx, tx, "delete", g)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM server_groups WHERE id = ?", g.ID)
		if err != nil {
			return fmt.Errorf("delete server group %s: %w", g.ID, err)
		}
		return quota.Release(ctx, tx, g.Project, quota.ServerGroups(1))
	})
}
