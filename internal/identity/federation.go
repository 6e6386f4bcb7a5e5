package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// What federation is made of: providers that know users, how what they say of a
// user becomes a user and groups of ours (mappings), by which protocol they say
// it, and clouds that take our users (service providers). Signing in by them is in
// federated.go.

const (
	idpKind             = "identity provider"
	mappingKind         = "mapping"
	serviceProviderKind = "service provider"
)

// IdentityProvider is somebody else who knows users.
type IdentityProvider struct {
	bun.BaseModel `bun:"table:identity_providers"`

	ID               string `bun:",pk"`
	DomainID         string // in which its users are
	Description      *string
	Enabled          bool
	AuthorizationTTL *int64 `bun:"authorization_ttl"` // minutes

	RemoteIDs []string `bun:"-"` // as which it is known
}

// readRemoteIDs fills in as what providers are known.
func readRemoteIDs(ctx context.Context, tx *db.Tx, rows []IdentityProvider) error {
	for i := range rows {
		err := tx.All(ctx, &rows[i].RemoteIDs, `SELECT remote_id FROM idp_remote_ids WHERE idp_id = ? ORDER BY remote_id`, rows[i].ID)
		if err != nil {
			return fmt.Errorf("read remote ids of %s: %w", rows[i].ID, err)
		}
	}
	return nil
}

func writeRemoteIDs(ctx context.Context, tx *db.Tx, p IdentityProvider) error {
	_, err := tx.Exec(ctx, `DELETE FROM idp_remote_ids WHERE idp_id = ?`, p.ID)
	if err != nil {
		return err
	}
	for _, id := range p.RemoteIDs {
		n, err := tx.Exec(ctx, `INSERT INTO idp_remote_ids (remote_id, idp_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, p.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.Conflictf("Duplicate remote ID: %s", id)
		}
	}
	return nil
}

// IdentityProviders lists identity providers; nil is both enabled and disabled.
func (s *Service) IdentityProviders(ctx context.Context, id string, enabled *bool) ([]IdentityProvider, error) {
	var rows []IdentityProvider
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		q := equal(tx.NewSelect().Model(&rows).Order("id"), "id", id)
		if enabled != nil {
			q = q.Where("enabled = ?", *enabled)
		}
		err := q.Scan(ctx)
		if err != nil {
			return err
		}
		return readRemoteIDs(ctx, tx, rows)
	})
	if err != nil {
		return nil, fmt.Errorf("list identity providers: %w", err)
	}
	return rows, nil
}

// IdentityProvider finds an identity provider by id.
func (s *Service) IdentityProvider(ctx context.Context, id string) (IdentityProvider, error) {
	rows := make([]IdentityProvider, 1)
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		rows[0], err = find[IdentityProvider](ctx, tx, idpKind, id)
		if err != nil {
			return err
		}
		return readRemoteIDs(ctx, tx, rows)
	})
	return rows[0], err
}

// CreateIdentityProvider adds an identity provider, and a domain for its users
// if it names none.
func (s *Service) CreateIdentityProvider(ctx context.Context, p IdentityProvider) (IdentityProvider, error) {
	domain := Domain{ID: s.newID(), Description: "Auto generated federated domain for Identity Provider: " + p.ID, Enabled: true,
		Tags: db.Of([]string{}), CreatedAt: db.At(s.clock.Now())}
	domain.Name = domain.ID
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row := p
		if row.DomainID == "" {
			row.DomainID = domain.ID
			err := insertDomain(ctx, tx, &domain)
			if err != nil {
				return err
			}
			err = tell(ctx, tx, "domain", created, domain.ID)
			if err != nil {
				return err
			}
		}
		_, err := readDomain(ctx, tx, row.DomainID)
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &row)
		if err != nil && db.IsDuplicate(err) {
			return errs.Conflictf("Conflict occurred attempting to store %s - Duplicate ID, %s.", "identity_provider", p.ID)
		}
		if err != nil {
			return err
		}
		return writeRemoteIDs(ctx, tx, row)
	})
	if err != nil {
		return p, fmt.Errorf("create identity provider %q: %w", p.ID, err)
	}
	return s.IdentityProvider(ctx, p.ID)
}

// UpdateIdentityProvider changes an identity provider by the function. Disabling
// it ends the tokens of whoever has come by it.
func (s *Service) UpdateIdentityProvider(ctx context.Context, id string, change func(p *IdentityProvider) error) (IdentityProvider, error) {
	now := s.clock.Now()
	_, err := update(ctx, s, idpKind, id, func(tx *db.Tx, p *IdentityProvider) error {
		rows := []IdentityProvider{*p}
		err := readRemoteIDs(ctx, tx, rows)
		if err != nil {
			return err
		}
		*p = rows[0]
		wasEnabled := p.Enabled
		err = change(p)
		if err != nil {
			return err
		}
		if wasEnabled && !p.Enabled {
			err = s.endTokens(ctx, tx, now, idpSubject(id))
		} else {
			_, err = s.bump(ctx, tx)
		}
		if err != nil {
			return err
		}
		return writeRemoteIDs(ctx, tx, *p)
	}, "description", "enabled", "authorization_ttl")
	if err != nil {
		return IdentityProvider{}, err
	}
	return s.IdentityProvider(ctx, id)
}

// DeleteIdentityProvider removes an identity provider with its protocols.
func (s *Service) DeleteIdentityProvider(ctx context.Context, id string) error {
	now := s.clock.Now()
	return remove[IdentityProvider](ctx, s, idpKind, id, func(tx *db.Tx) error {
		err := orphan(ctx, tx, id, "")
		if err != nil {
			return err
		}
		return s.endTokens(ctx, tx, now, idpSubject(id))
	})
}

// orphan disables the users whom nobody knows any more when a provider, or a
// protocol of it, goes: whoever comes by another one of that name is somebody
// else.
func orphan(ctx context.Context, tx *db.Tx, idp, protocol string) error {
	var users []string
	err := tx.All(ctx, &users, `
		SELECT DISTINCT u.id FROM users u JOIN federated_users f ON f.user_id = u.id
		WHERE u.enabled = 1 AND u.password_hash = '' AND f.idp_id = ? AND (? = '' OR f.protocol_id = ?) AND NOT EXISTS (
			SELECT 1 FROM federated_users o WHERE o.user_id = u.id AND (o.idp_id <> ? OR (? <> '' AND o.protocol_id <> ?)))
		ORDER BY u.id`, idp, protocol, protocol, idp, protocol, protocol)
	if err != nil {
		return fmt.Errorf("read users of %s: %w", idp, err)
	}
	err = dropAppCredentials(ctx, tx, "", users...)
	if err != nil {
		return err
	}
	for _, user := range users {
		_, err = tx.Exec(ctx, `UPDATE users SET enabled = 0 WHERE id = ?`, user)
		if err != nil {
			return err
		}
		err = tellUpdated(ctx, tx, "user", user, true, false)
		if err != nil {
			return err
		}
	}
	return nil
}

// Mapping says how what a provider says of a user becomes a user and groups.
type Mapping struct {
	bun.BaseModel `bun:"table:mappings"`

	ID            string `bun:",pk"`
	Rules         db.JSON[json.RawMessage]
	SchemaVersion string
}

// Mappings lists mappings.
func (s *Service) Mappings(ctx context.Context) ([]Mapping, error) {
	return list[Mapping](ctx, s, "mappings", everything)
}

// Mapping finds a mapping by id.
func (s *Service) Mapping(ctx context.Context, id string) (Mapping, error) {
	return get[Mapping](ctx, s, mappingKind, id)
}

// CreateMapping adds a mapping.
func (s *Service) CreateMapping(ctx context.Context, m Mapping) (Mapping, error) {
	return insert(ctx, s, mappingKind, m.ID, m, complete)
}

// UpdateMapping changes a mapping by the function.
func (s *Service) UpdateMapping(ctx context.Context, id string, change func(m *Mapping) error) (Mapping, error) {
	return update(ctx, s, mappingKind, id, func(_ *db.Tx, m *Mapping) error { return change(m) }, "rules", "schema_version")
}

// DeleteMapping removes a mapping that no protocol uses.
func (s *Service) DeleteMapping(ctx context.Context, id string) error {
	return remove[Mapping](ctx, s, mappingKind, id, func(tx *db.Tx) error {
		var used int
		err := tx.Get(ctx, &used, `SELECT COUNT(*) FROM federation_protocols WHERE mapping_id = ?`, id)
		if err == nil && used > 0 {
			err = errs.Conflictf("Mapping %s is used by a protocol.", id)
		}
		return err
	})
}

// Protocol is how a provider says who a user is, and the mapping for that.
type Protocol struct {
	bun.BaseModel `bun:"table:federation_protocols"`

	IDPID             string `bun:"idp_id,pk"`
	ID                string `bun:",pk"`
	MappingID         string
	RemoteIDAttribute *string `bun:"remote_id_attribute"`
}

func readProtocol(ctx context.Context, tx *db.Tx, idp, id string) (Protocol, error) {
	var p Protocol
	err := tx.NewSelect().Model(&p).Where("idp_id = ? AND id = ?", idp, id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return p, errs.NotFoundf("Could not find federated protocol %s for Identity Provider: %s.", id, idp)
	}
	return p, err
}

// Protocols lists the protocols of an identity provider.
func (s *Service) Protocols(ctx context.Context, idp string) ([]Protocol, error) {
	_, err := s.IdentityProvider(ctx, idp)
	if err != nil {
		return nil, err
	}
	return list[Protocol](ctx, s, "protocols", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("idp_id = ?", idp).Order("id") })
}

// Protocol finds a protocol of an identity provider.
func (s *Service) Protocol(ctx context.Context, idp, id string) (Protocol, error) {
	var p Protocol
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		p, err = readProtocol(ctx, tx, idp, id)
		return err
	})
	return p, err
}

func checkMapping(ctx context.Context, tx *db.Tx, id string) error {
	_, err := find[Mapping](ctx, tx, mappingKind, id)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Invalid mapping id: %s", id)
	}
	return err
}

// CreateProtocol adds a protocol to an identity provider.
func (s *Service) CreateProtocol(ctx context.Context, p Protocol) (Protocol, error) {
	return insert(ctx, s, "protocol", p.ID, p, func(tx *db.Tx, p *Protocol) error {
		_, err := find[IdentityProvider](ctx, tx, idpKind, p.IDPID)
		if err != nil {
			return err
		}
		return checkMapping(ctx, tx, p.MappingID)
	})
}

// UpdateProtocol changes a protocol by the function.
func (s *Service) UpdateProtocol(ctx context.Context, idp, id string, change func(p *Protocol) error) (Protocol, error) {
	var p Protocol
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		p, err = readProtocol(ctx, tx, idp, id)
		if err != nil {
			return err
		}
		err = change(&p)
		if err != nil {
			return err
		}
		err = checkMapping(ctx, tx, p.MappingID)
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &p, "mapping_id", "remote_id_attribute")
		return err
	})
	if err != nil {
		return p, fmt.Errorf("update protocol %s of %s: %w", id, idp, err)
	}
	return p, nil
}

// DeleteProtocol removes a protocol from an identity provider.
func (s *Service) DeleteProtocol(ctx context.Context, idp, id string) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := readProtocol(ctx, tx, idp, id)
		if err != nil {
			return err
		}
		err = orphan(ctx, tx, idp, id)
		if err != nil {
			return err
		}
		_, err = tx.NewDelete().Model(&p).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		return s.endTokens(ctx, tx, now, protocolSubject(idp, id))
	})
	if err != nil {
		return fmt.Errorf("delete protocol %s of %s: %w", id, idp, err)
	}
	return nil
}

// ServiceProvider is another cloud that takes our users.
type ServiceProvider struct {
	bun.BaseModel `bun:"table:service_providers"`

	ID               string `bun:",pk"`
	AuthURL          string
	SPURL            string `bun:"sp_url"`
	Description      *string
	Enabled          bool
	RelayStatePrefix string
}

// ServiceProviders lists service providers; nil is both enabled and disabled.
func (s *Service) ServiceProviders(ctx context.Context, id string, enabled *bool) ([]ServiceProvider, error) {
	return list[ServiceProvider](ctx, s, "service providers", func(q *bun.SelectQuery) *bun.SelectQuery {
		q = equal(q.Order("id"), "id", id)
		if enabled != nil {
			q = q.Where("enabled = ?", *enabled)
		}
		return q
	})
}

// ServiceProvider finds a service provider by id.
func (s *Service) ServiceProvider(ctx context.Context, id string) (ServiceProvider, error) {
	return get[ServiceProvider](ctx, s, serviceProviderKind, id)
}

// CreateServiceProvider adds a service provider.
func (s *Service) CreateServiceProvider(ctx context.Context, p ServiceProvider) (ServiceProvider, error) {
	return insert(ctx, s, serviceProviderKind, p.ID, p, thenStale(ctx, s, unchanged[ServiceProvider]))
}

// UpdateServiceProvider changes a service provider by the function.
func (s *Service) UpdateServiceProvider(ctx context.Context, id string, change func(p *ServiceProvider) error) (ServiceProvider, error) {
	return update(ctx, s, serviceProviderKind, id, thenStale(ctx, s, change), "auth_url", "sp_url", "description", "enabled", "relay_state_prefix")
}

// DeleteServiceProvider removes a service provider.
func (s *Service) DeleteServiceProvider(ctx context.Context, id string) error {
	return remove[ServiceProvider](ctx, s, serviceProviderKind, id, s.stale(ctx))
}
