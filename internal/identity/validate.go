package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Validate says what a token stands for now. For a token that was seen before,
// with nothing changed since, it asks nobody.
func (s *Service) Validate(ctx context.Context, text string) (*Issued, error) {
	revision, err := s.currentRevision(ctx)
	if err != nil {
		return nil, err
	}
	known := s.tokens.get(text)
	if known == nil || known.revision < revision {
		known, err = s.open(ctx, text)
		if err != nil {
			return nil, err
		}
		s.tokens.put(text, known)
	}
	if !s.clock.Now().Before(known.ExpiresAt) {
		return nil, unauthorized(errors.New("token has expired"))
	}
	return known, nil
}

func (s *Service) open(ctx context.Context, text string) (*Issued, error) {
	token, err := s.keys.Decode(text)
	if err != nil {
		return nil, unauthorized(err)
	}
	if !s.clock.Now().Before(token.ExpiresAt) {
		return nil, unauthorized(errors.New("token has expired"))
	}
	issued, err := s.describe(ctx, token)
	if err != nil {
		return nil, err
	}
	issued.Token = text
	return issued, nil
}

// describe works out what a token stands for. It refuses a token whose user or
// scope is gone or disabled, that was revoked, that lies below a floor, or that
// has no role in its scope.
func (s *Service) describe(ctx context.Context, token auth.Token) (*Issued, error) {
	if len(token.AuditIDs) == 0 {
		return nil, unauthorized(errors.New("token has no audit id"))
	}
	if token.AppCredential != "" {
		return nil, unauthorized(errors.New("application credentials are unknown here"))
	}
	i := &Issued{
		Caller:   auth.Caller{User: token.User, Methods: token.Methods, ExpiresAt: token.ExpiresAt},
		AuditIDs: token.AuditIDs,
		IssuedAt: token.IssuedAt,
	}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		// The revision comes first: what is read after it may be newer, never older.
		err := tx.Get(ctx, &i.revision, `SELECT revision FROM auth_revision`)
		if err != nil {
			return fmt.Errorf("read authorization revision: %w", err)
		}
		err = describeUser(ctx, tx, i)
		if err != nil {
			return err
		}
		err = checkAlive(ctx, tx, token, i)
		if err != nil {
			return err
		}
		roles, err := describeScope(ctx, tx, token, i)
		if err != nil {
			return err
		}
		return s.describeRoles(ctx, tx, i, roles)
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

func describeUser(ctx context.Context, tx *db.Tx, i *Issued) error {
	var u struct {
		Name              string
		Enabled           bool
		PasswordExpiresAt db.Time
		DomainID          string
		DomainName        string
	}
	err := tx.Get(ctx, &u, `
		SELECT u.name, u.enabled AND d.enabled AS enabled, u.password_expires_at, u.domain_id, d.name AS domain_name
		FROM users u JOIN domains d ON d.id = u.domain_id WHERE u.id = ?`, i.User)
	if errors.Is(err, sql.ErrNoRows) {
		return unauthorized(fmt.Errorf("user %s is gone", i.User))
	}
	if err != nil {
		return fmt.Errorf("read user %s: %w", i.User, err)
	}
	if !u.Enabled {
		return unauthorized(fmt.Errorf("user %s or its domain is disabled", i.User))
	}
	i.UserName, i.UserDomain, i.UserDomainName = u.Name, u.DomainID, u.DomainName
	i.PasswordExpiresAt = u.PasswordExpiresAt.Time()
	return nil
}

// checkAlive looks for a revocation and for floors above the token.
func checkAlive(ctx context.Context, tx *db.Tx, token auth.Token, i *Issued) error {
	made, err := auditRevision(token.AuditIDs[0])
	if err != nil {
		return unauthorized(err)
	}
	if made > i.revision {
		return unauthorized(errors.New("token is from somebody else, or from after the backup that this database was restored from"))
	}
	subjects := []string{userSubject(token.User), domainSubject(i.UserDomain)}
	switch {
	case token.Project != "":
		subjects = append(subjects, projectSubject(token.Project), grantSubject(token.User, TargetProject, token.Project))
	case token.Domain != "":
		subjects = append(subjects, domainSubject(token.Domain), grantSubject(token.User, TargetDomain, token.Domain))
	case token.System:
		subjects = append(subjects, grantSubject(token.User, TargetSystem, SystemID))
	}
	var state struct {
		Revoked bool
		Floor   int64
	}
	err = tx.Get(ctx, &state, `
		SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE audit_id = ?) AS revoked,
			(SELECT COALESCE(MAX(revision), 0) FROM token_floors WHERE subject IN (?)) AS floor`,
		token.AuditIDs[0], db.In(subjects))
	if err != nil {
		return fmt.Errorf("read revocations: %w", err)
	}
	if state.Revoked {
		return unauthorized(errors.New("token was revoked"))
	}
	if made < state.Floor {
		return unauthorized(errors.New("token is from before a change that ended it"))
	}
	return nil
}

// describeScope fills in the scope and finds the roles given in it.
func describeScope(ctx context.Context, tx *db.Tx, token auth.Token, i *Issued) ([]string, error) {
	switch {
	case token.Project != "":
		err := describeProject(ctx, tx, token.Project, i)
		if err != nil {
			return nil, err
		}
		return projectRoles(ctx, tx, token.User, token.Project)
	case token.Domain != "":
		d, err := readDomain(ctx, tx, token.Domain)
		if errs.Is(err, errs.NotFound) {
			return nil, unauthorized(err)
		}
		if err != nil {
			return nil, err
		}
		if !d.Enabled {
			return nil, unauthorized(fmt.Errorf("domain %s is disabled", d.ID))
		}
		i.Domain, i.DomainName = d.ID, d.Name
		return targetRoles(ctx, tx, token.User, TargetDomain, token.Domain)
	case token.System:
		i.System = true
		return targetRoles(ctx, tx, token.User, TargetSystem, SystemID)
	}
	return nil, nil
}

func describeProject(ctx context.Context, tx *db.Tx, id string, i *Issued) error {
	var p struct {
		Name       string
		Enabled    bool
		DomainID   string
		DomainName string
		Floor      int64
	}
	err := tx.Get(ctx, &p, `
		SELECT p.name, p.enabled AND d.enabled AS enabled, p.domain_id, d.name AS domain_name,
			(SELECT COALESCE(MAX(revision), 0) FROM token_floors WHERE subject = 'domain/' || p.domain_id) AS floor
		FROM projects p JOIN domains d ON d.id = p.domain_id WHERE p.id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return unauthorized(fmt.Errorf("project %s is gone", id))
	}
	if err != nil {
		return fmt.Errorf("read project %s: %w", id, err)
	}
	if !p.Enabled {
		return unauthorized(fmt.Errorf("project %s or its domain is disabled", id))
	}
	made, err := auditRevision(i.AuditIDs[0])
	if err != nil || made < p.Floor {
		return unauthorized(errors.New("token is from before its domain was disabled"))
	}
	i.Project, i.ProjectName, i.ProjectDomain, i.ProjectDomainName = id, p.Name, p.DomainID, p.DomainName
	return nil
}

func (s *Service) describeRoles(ctx context.Context, tx *db.Tx, i *Issued, given []string) error {
	if !i.Scoped() {
		return nil
	}
	graph, err := s.roleGraph(ctx, tx, i.revision)
	if err != nil {
		return err
	}
	i.RoleRefs = graph.expand(given)
	if len(i.RoleRefs) == 0 {
		return unauthorized(fmt.Errorf("user %s has no role in the scope", i.User))
	}
	for _, r := range i.RoleRefs {
		i.Roles = append(i.Roles, r.Name)
	}
	return nil
}
