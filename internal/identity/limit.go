package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// LimitModel is how limits of projects and of those above them go together.
type LimitModel string

// The models that Keystone has.
const (
	FlatLimits           LimitModel = "flat"
	StrictTwoLevelLimits LimitModel = "strict_two_level"
)

func (m LimitModel) checked() (LimitModel, error) {
	switch m {
	case "":
		return FlatLimits, nil
	case FlatLimits, StrictTwoLevelLimits:
		return m, nil
	}
	return m, fmt.Errorf("there is no limit model %q: use %s or %s", m, FlatLimits, StrictTwoLevelLimits)
}

// depth is how deep projects may stand, domains counted.
func (m LimitModel) depth() int {
	if m == StrictTwoLevelLimits {
		return 2
	}
	return 5 // Keystone's default
}

// Description tells what the model means.
func (m LimitModel) Description() string {
	if m == StrictTwoLevelLimits {
		return "This model requires project hierarchy never exceeds a depth of two"
	}
	return "Limit enforcement and validation does not take project hierarchy into consideration."
}

// LimitModel is the model of this cloud.
func (s *Service) LimitModel() LimitModel { return s.limitModel }

// unlimited is the limit that is none.
const unlimited = -1

// RegisteredLimit is how much of a resource each project may have of a service,
// unless it has a limit of its own.
type RegisteredLimit struct {
	bun.BaseModel `bun:"table:registered_limits"`

	ID           string `bun:",pk"`
	ServiceID    string
	RegionID     string
	ResourceName string
	DefaultLimit int64
	Description  *string
}

// Limit is how much of a resource a project or domain may have.
type Limit struct {
	bun.BaseModel `bun:"table:limits"`

	ID            string `bun:",pk"`
	RegisteredID  string
	ProjectID     string
	DomainID      string
	ResourceLimit int64
	Description   *string

	// Of the registered limit.
	ServiceID    string `bun:",scanonly"`
	RegionID     string `bun:",scanonly"`
	ResourceName string `bun:",scanonly"`
}

const (
	registeredLimitKind = "registered limit"
	limitKind           = "limit"
)

// LimitFilter narrows lists; empty fields match all.
type LimitFilter struct{ ServiceID, RegionID, ResourceName, ProjectID, DomainID string }

func (f LimitFilter) where(q *bun.SelectQuery) *bun.SelectQuery {
	return equal(equal(equal(q, "service_id", f.ServiceID), "region_id", f.RegionID), "resource_name", f.ResourceName)
}

// RegisteredLimits lists registered limits.
func (s *Service) RegisteredLimits(ctx context.Context, f LimitFilter) ([]RegisteredLimit, error) {
	return list[RegisteredLimit](ctx, s, "registered limits", func(q *bun.SelectQuery) *bun.SelectQuery {
		return f.where(q.Order("service_id", "resource_name", "region_id"))
	})
}

// RegisteredLimit finds a registered limit by id.
func (s *Service) RegisteredLimit(ctx context.Context, id string) (RegisteredLimit, error) {
	return get[RegisteredLimit](ctx, s, registeredLimitKind, id)
}

// known turns a reference to what does not exist into a bad request.
func known(err error, attribute, target string) error {
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Expecting to find %s in %s. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.", attribute, target).Because(err)
	}
	return err
}

func checkRegistered(ctx context.Context, tx *db.Tx, r RegisteredLimit) error {
	_, err := find[CatalogService](ctx, tx, "service", r.ServiceID)
	if err != nil {
		return known(err, "service_id", "registered_limit")
	}
	if r.RegionID != "" {
		_, err = find[Region](ctx, tx, "region", r.RegionID)
	}
	return known(err, "region_id", "registered_limit")
}

// CreateRegisteredLimits adds registered limits, all or none.
func (s *Service) CreateRegisteredLimits(ctx context.Context, rows []RegisteredLimit) ([]RegisteredLimit, error) {
	for i := range rows {
		rows[i].ID = s.newID()
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		for _, r := range rows {
			err := checkRegistered(ctx, tx, r)
			if err != nil {
				return err
			}
			err = tx.Insert(ctx, &r)
			if err != nil {
				return duplicate(err, "registered_limit", r.ResourceName)
			}
			err = tell(ctx, tx, registeredLimitKind, created, r.ID)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("create registered limits: %w", err)
	}
	return rows, nil
}

// limited refuses to change or delete a registered limit that limits rest on.
func limited(ctx context.Context, tx *db.Tx, id string) error {
	var n int
	err := tx.Get(ctx, &n, `SELECT COUNT(*) FROM limits WHERE registered_id = ?`, id)
	if err == nil && n > 0 {
		err = errs.Forbiddenf("Unable to update or delete registered limit %s because there are project limits associated with it.", id)
	}
	return err
}

// UpdateRegisteredLimit changes a registered limit by the function. What it is
// about stays as long as limits rest on it.
func (s *Service) UpdateRegisteredLimit(ctx context.Context, id string, change func(r *RegisteredLimit) error) (RegisteredLimit, error) {
	r, err := update(ctx, s, registeredLimitKind, id, func(tx *db.Tx, r *RegisteredLimit) error {
		before := *r
		err := change(r)
		if err != nil {
			return err
		}
		if before.ServiceID != r.ServiceID || before.RegionID != r.RegionID || before.ResourceName != r.ResourceName {
			err = limited(ctx, tx, id)
			if err != nil {
				return err
			}
		}
		return checkRegistered(ctx, tx, *r)
	}, "service_id", "region_id", "resource_name", "default_limit", "description")
	return r, duplicate(err, "registered_limit", r.ResourceName)
}

// DeleteRegisteredLimit removes a registered limit that no limit rests on.
func (s *Service) DeleteRegisteredLimit(ctx context.Context, id string) error {
	return remove[RegisteredLimit](ctx, s, registeredLimitKind, id, func(tx *db.Tx) error { return limited(ctx, tx, id) })
}

func selectLimits(q *bun.SelectQuery) *bun.SelectQuery {
	return q.ColumnExpr("?TableAlias.*, r.service_id, r.region_id, r.resource_name").Join("JOIN registered_limits AS r ON r.id = ?TableAlias.registered_id")
}

// Limits lists limits.
func (s *Service) Limits(ctx context.Context, f LimitFilter) ([]Limit, error) {
	return list[Limit](ctx, s, "limits", func(q *bun.SelectQuery) *bun.SelectQuery {
		q = f.where(selectLimits(q))
		if f.ProjectID != "" {
			q = q.Where("?TableAlias.project_id = ?", f.ProjectID)
		}
		if f.DomainID != "" {
			q = q.Where("?TableAlias.domain_id = ?", f.DomainID)
		}
		return q.OrderExpr("r.service_id, r.resource_name, r.region_id, ?TableAlias.id")
	})
}

// Limit finds a limit by id.
func (s *Service) Limit(ctx context.Context, id string) (Limit, error) {
	rows, err := list[Limit](ctx, s, "limits", func(q *bun.SelectQuery) *bun.SelectQuery {
		return selectLimits(q).Where("?TableAlias.id = ?", id)
	})
	if err == nil && len(rows) == 0 {
		return Limit{}, errs.NotFoundf("Could not find limit for %s.", id)
	}
	if err != nil {
		return Limit{}, err
	}
	return rows[0], nil
}

// CreateLimits adds limits, all or none.
func (s *Service) CreateLimits(ctx context.Context, rows []Limit) ([]Limit, error) {
	for i := range rows {
		rows[i].ID = s.newID()
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		for i := range rows {
			err := s.addLimit(ctx, tx, &rows[i])
			if err != nil {
				return err
			}
		}
		// Once all of them are there, since they may rest on each other.
		for _, l := range rows {
			err := s.checkLimit(ctx, tx, l)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("create limits: %w", err)
	}
	return rows, nil
}

func (s *Service) addLimit(ctx context.Context, tx *db.Tx, l *Limit) error {
	_, err := find[CatalogService](ctx, tx, "service", l.ServiceID)
	if err != nil {
		return known(err, "service_id", "limit")
	}
	if l.ProjectID != "" {
		_, err = readProject(ctx, tx, l.ProjectID)
		if errs.Is(err, errs.NotFound) && l.DomainID == "" {
			// The id of a domain will do as well.
			_, err = readDomain(ctx, tx, l.ProjectID)
			l.ProjectID, l.DomainID = "", l.ProjectID
		}
		if err != nil {
			return known(err, "project_id", "limit")
		}
	} else {
		_, err = readDomain(ctx, tx, l.DomainID)
		if err != nil {
			return known(err, "domain_id", "limit")
		}
	}
	l.RegisteredID, err = registered(ctx, tx, *l)
	if err != nil {
		return err
	}
	err = tx.Insert(ctx, l)
	if err != nil {
		return duplicate(err, "limit", l.ResourceName)
	}
	return tell(ctx, tx, limitKind, created, l.ID)
}

func registered(ctx context.Context, tx *db.Tx, l Limit) (string, error) {
	var r RegisteredLimit
	err := tx.NewSelect().Model(&r).Where("service_id = ? AND region_id = ? AND resource_name = ?", l.ServiceID, l.RegionID, l.ResourceName).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errs.Forbiddenf("Unable to create a limit that has no corresponding registered limit.")
	}
	return r.ID, err
}

// UpdateLimit changes how much, and the description.
func (s *Service) UpdateLimit(ctx context.Context, id string, change func(l *Limit) error) (Limit, error) {
	_, err := update(ctx, s, limitKind, id, func(tx *db.Tx, l *Limit) error {
		err := change(l)
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, l, "resource_limit")
		if err != nil {
			return err
		}
		return s.checkLimit(ctx, tx, *l)
	}, "resource_limit", "description")
	if err != nil {
		return Limit{}, err
	}
	return s.Limit(ctx, id)
}

// DeleteLimit removes a limit.
func (s *Service) DeleteLimit(ctx context.Context, id string) error {
	return remove[Limit](ctx, s, limitKind, id, nothing)
}

// checkLimit holds the strict model: a project stands at the top of its domain,
// and its limit is no more than that of the domain.
func (s *Service) checkLimit(ctx context.Context, tx *db.Tx, l Limit) error {
	if s.limitModel != StrictTwoLevelLimits {
		return nil
	}
	domain, project := l.DomainID, l.ProjectID
	if project != "" {
		p, err := readProject(ctx, tx, project)
		if err != nil {
			return err
		}
		if p.ParentID != p.DomainID {
			return errs.Forbiddenf("Invalid resource limit: the project %s is not at the top of its domain.", project)
		}
		domain = p.DomainID
	}
	var whole int64
	err := tx.Get(ctx, &whole, `
		SELECT COALESCE((SELECT resource_limit FROM limits WHERE registered_id = r.id AND domain_id = ?), r.default_limit)
		FROM registered_limits r WHERE r.id = ?`, domain, l.RegisteredID)
	if err != nil {
		return fmt.Errorf("read limit of domain %s: %w", domain, err)
	}
	if whole == unlimited {
		return nil
	}
	var above int
	err = tx.Get(ctx, &above, `
		SELECT COUNT(*) FROM limits l JOIN projects p ON p.id = l.project_id
		WHERE l.registered_id = ? AND p.domain_id = ? AND (l.resource_limit > ? OR l.resource_limit = ?)`, l.RegisteredID, domain, whole, unlimited)
	if err != nil {
		return fmt.Errorf("read limits in domain %s: %w", domain, err)
	}
	switch {
	case above == 0:
		return nil
	case project != "":
		return errs.Forbiddenf("Invalid resource limit: Limit is bigger than parent.")
	}
	return errs.Forbiddenf("Invalid resource limit: Limit is smaller than child.")
}
