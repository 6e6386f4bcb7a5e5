package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Validate says what a token stands for now. For a token that was seen before,
// with nothing changed since, it asks nobody.
func (s *Service) Validate(ctx context.Context, text string) (*Issued, error) {
	known := s.tokens.get(text)
	if known != nil {
		_, err := s.freshen(ctx, known.foreigners)
		if err != nil {
			return nil, err
		}
	}
	revision, err := s.currentRevision(ctx)
	if err != nil {
		return nil, err
	}
	if known == nil || known.revision < revision || known.stale(s.clock.Now()) {
		known, err = s.open(ctx, text)
		if errs.Is(err, errs.Forbidden) {
			err = unauthorized(err)
		}
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
	if len(token.AuditIDs) == 0 || token.AuditIDs[0] == toCome {
		return nil, unauthorized(errors.New("token has no audit id"))
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
// has no role in its scope; and one by a delegation that is no longer good.
func (s *Service) describe(ctx context.Context, token auth.Token) (*Issued, error) {
	for {
		i, err := s.read(ctx, token)
		asked, away := s.freshen(ctx, i.foreigners)
		switch {
		case away != nil:
			return nil, away
		case asked: // what was read may be old
			continue
		case err != nil:
			return nil, err
		}
		return i, nil
	}
}

// read is describe by what our tables say. Whom directories know of those it rests
// on is noted whatever else is wrong.
func (s *Service) read(ctx context.Context, token auth.Token) (*Issued, error) {
	i := &Issued{
		Caller:   auth.Caller{Methods: token.Methods, ExpiresAt: token.ExpiresAt, Thumbprint: token.Thumbprint},
		AuditIDs: token.AuditIDs,
		IssuedAt: token.IssuedAt,
	}
	now := s.clock.Now()
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		// The revision comes first: what is read after it may be newer, never older.
		err := tx.Get(ctx, &i.revision, `SELECT revision FROM auth_revision`)
		if err != nil {
			return fmt.Errorf("read authorization revision: %w", err)
		}
		if token.AuditIDs[0] == toCome {
			i.AuditIDs = append([]string{newAuditID(i.revision)}, token.AuditIDs[1:]...)
		}
		user, err := i.readPerson(ctx, tx, token.User)
		if err != nil {
			return err
		}
		d, err := readDelegation(ctx, tx, token, i, now)
		if err != nil {
			return err
		}
		err = checkAlive(ctx, tx, token, i, slices.Concat(d.subjects, user.subjects(), providerSubjects(token))...)
		if err != nil {
			return err
		}
		if d.impersonate {
			user = d.grantor
		}
		i.User, i.UserName, i.UserDomain, i.UserDomainName = user.ID, user.Name, user.DomainID, user.DomainName
		i.PasswordExpiresAt = user.PasswordExpiresAt.Time()
		holder := Holder{User: token.User, IDP: token.IDP}
		if d.holder != "" {
			holder.User = d.holder
		}
		err = i.readFederation(ctx, tx, token, holder, user.Provider != "" || d.holder != "")
		if err != nil {
			return err
		}
		held, err := describeScope(ctx, tx, token, holder, i)
		if err != nil {
			return err
		}
		return s.describeRoles(ctx, tx, i, held, d)
	})
	return i, err
}

// person is a user who may sign in. Whom nobody but identity providers knows,
// only may while one of them is enabled.
type person struct {
	ID                string
	Name              string
	Enabled           bool
	PasswordExpiresAt db.Time
	DomainID          string
	DomainName        string
	Provider          string // one that is enabled, of those that alone know the user
	Federated         bool
	Mapped            bool // a directory knows the user
}

// subjects are whose end is that of the person's tokens.
func (p person) subjects() []string {
	subjects := []string{userSubject(p.ID), domainSubject(p.DomainID)}
	if p.Provider != "" {
		subjects = append(subjects, idpSubject(p.Provider))
	}
	return subjects
}

// readPerson finds somebody whom a token rests on, and notes whom directories know.
func (i *Issued) readPerson(ctx context.Context, tx *db.Tx, id string) (person, error) {
	p, err := readPerson(ctx, tx, id)
	if p.Mapped {
		i.foreigners = append(i.foreigners, foreigner{p.DomainID, p.ID})
	}
	return p, err
}

func readPerson(ctx context.Context, tx *db.Tx, id string) (person, error) {
	var p person
	err := tx.Get(ctx, &p, `
		SELECT u.id, u.name, (u.enabled = 1 AND d.enabled = 1) AS enabled, u.password_expires_at, u.domain_id, d.name AS domain_name,
			(u.password_hash = '' AND EXISTS (SELECT 1 FROM federated_users f WHERE f.user_id = u.id)) AS federated,
			CASE WHEN u.password_hash = '' THEN COALESCE((SELECT MIN(f.idp_id) FROM federated_users f
				JOIN identity_providers i ON i.id = f.idp_id WHERE f.user_id = u.id AND i.enabled = 1), '') ELSE '' END AS provider,
			EXISTS (SELECT 1 FROM id_mapping WHERE public_id = u.id) AS mapped
		FROM users u JOIN domains d ON d.id = u.domain_id WHERE u.id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return p, unauthorized(fmt.Errorf("user %s is gone", id))
	}
	if err != nil {
		return p, fmt.Errorf("read user %s: %w", id, err)
	}
	if !p.Enabled {
		return p, unauthorized(fmt.Errorf("user %s or its domain is disabled", id))
	}
	if p.Federated && p.Provider == "" {
		return p, unauthorized(fmt.Errorf("the identity provider of user %s is disabled", id))
	}
	return p, nil
}

// checkAlive looks for a revocation and for floors above the token.
func checkAlive(ctx context.Context, tx *db.Tx, token auth.Token, i *Issued, subjects ...string) error {
	made, err := auditRevision(i.AuditIDs[0])
	if err != nil {
		return unauthorized(err)
	}
	if made > i.revision {
		return unauthorized(errors.New("token is from somebody else, or from after the backup that this database was restored from"))
	}
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
		i.AuditIDs[0], db.In(subjects))
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

// describeScope fills in the scope and finds the roles that somebody was given
// in it.
func describeScope(ctx context.Context, tx *db.Tx, token auth.Token, holder Holder, i *Issued) ([]string, error) {
	switch {
	case token.Project != "":
		err := describeProject(ctx, tx, token.Project, i)
		if err != nil {
			return nil, err
		}
		return projectRoles(ctx, tx, holder, token.Project)
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
		return targetRoles(ctx, tx, holder, TargetDomain, token.Domain)
	case token.System:
		i.System = true
		return targetRoles(ctx, tx, holder, TargetSystem, SystemID)
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
		SELECT p.name, (p.enabled = 1 AND d.enabled = 1) AS enabled, p.domain_id, d.name AS domain_name,
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

func (s *Service) describeRoles(ctx context.Context, tx *db.Tx, i *Issued, held []string, d delegated) error {
	if !i.Scoped() {
		return nil
	}
	graph, err := s.roleGraph(ctx, tx, i.revision)
	if err != nil {
		return err
	}
	held = graph.closure(held)
	if d.limit != nil {
		held, err = d.limit(graph, held)
		if err != nil {
			return err
		}
	}
	i.RoleRefs = graph.refs(held)
	if len(i.RoleRefs) == 0 {
		return unauthorized(fmt.Errorf("user %s has no role in the scope", i.User))
	}
	for _, r := range i.RoleRefs {
		i.Roles = append(i.Roles, r.Name)
	}
	return nil
}
