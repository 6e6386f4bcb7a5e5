package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// AppCredential signs in as its user, in one project, with roles that the user
// had there when it was made and still has.
type AppCredential struct {
	bun.BaseModel `bun:"table:application_credentials"`

	ID           string `bun:",pk"`
	UserID       string
	ProjectID    string
	Name         string
	SecretHash   string `json:"-"`
	Description  *string
	ExpiresAt    db.Time
	Unrestricted bool
	RoleIDs      db.JSON[[]string] `bun:"role_ids"`

	Roles       []Role            `bun:"-"`
	AccessRules []auth.AccessRule `bun:"-"`
}

// String keeps the hash out of whatever prints a credential.
func (a AppCredential) String() string { return "application credential " + a.ID }

const appCredentialKind = "application credential"

// detail fills in the roles and access rules of application credentials.
func detail(ctx context.Context, tx *db.Tx, rows []AppCredential) error {
	if len(rows) == 0 {
		return nil
	}
	graph, err := readRoleGraph(ctx, tx)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(rows))
	for _, a := range rows {
		ids = append(ids, a.ID)
	}
	var rules []struct {
		CredentialID              string
		ID, Service, Method, Path string
	}
	err = tx.All(ctx, &rules, `
		SELECT c.credential_id, r.id, r.service, r.method, r.path FROM application_credential_rules c
		JOIN access_rules r ON r.id = c.rule_id WHERE c.credential_id IN (?) ORDER BY r.service, r.path, r.method`, db.In(ids))
	if err != nil {
		return fmt.Errorf("read access rules of application credentials: %w", err)
	}
	for i := range rows {
		rows[i].Roles = graph.named(rows[i].RoleIDs.V)
		for _, r := range rules {
			if r.CredentialID == rows[i].ID {
				rule := auth.AccessRule{ID: r.ID, Service: r.Service, Method: r.Method, Path: r.Path}
				rows[i].AccessRules = append(rows[i].AccessRules, rule.Compiled())
			}
		}
	}
	return nil
}

func readAppCredential(ctx context.Context, tx *db.Tx, id string) (AppCredential, error) {
	a, err := find[AppCredential](ctx, tx, appCredentialKind, id)
	if err != nil {
		return a, err
	}
	rows := []AppCredential{a}
	err = detail(ctx, tx, rows)
	return rows[0], err
}

// AppCredentials lists the application credentials of a user.
func (s *Service) AppCredentials(ctx context.Context, user, name string) ([]AppCredential, error) {
	var rows []AppCredential
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		err := equal(tx.NewSelect().Model(&rows).Where("user_id = ?", user).Order("name"), "name", name).Scan(ctx)
		if err != nil {
			return err
		}
		return detail(ctx, tx, rows)
	})
	if err != nil {
		return nil, fmt.Errorf("list application credentials: %w", err)
	}
	return rows, nil
}

// AppCredential finds an application credential by id.
func (s *Service) AppCredential(ctx context.Context, id string) (AppCredential, error) {
	var a AppCredential
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		a, err = readAppCredential(ctx, tx, id)
		return err
	})
	return a, err
}

// NewAppCredential is what an application credential is made of.
type NewAppCredential struct {
	AppCredential
	Secret string     // "": a random one
	Roles  []RoleName // none: all that the maker has
	Rules  []auth.AccessRule
	Held   []string // ids of the roles in the maker's token
}

// CreateAppCredential adds an application credential and returns its secret,
// which is not kept.
func (s *Service) CreateAppCredential(ctx context.Context, in NewAppCredential) (AppCredential, string, error) {
	a := in.AppCredential
	a.ID = s.newID()
	var err error
	if in.Secret == "" {
		in.Secret = NewPassword() + NewPassword()
		a.SecretHash, err = s.passwords.hashGenerated(in.Secret)
	} else {
		a.SecretHash, err = s.passwords.hash(ctx, in.Secret)
	}
	if err != nil {
		return a, "", err
	}
	for i := range in.Rules {
		if in.Rules[i].ID == "" {
			in.Rules[i].ID = s.newID()
		}
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		a.RoleIDs.V, err = chosenRoles(ctx, tx, in)
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &a)
		if err != nil {
			return duplicate(err, "application_credential", a.Name)
		}
		for _, rule := range in.Rules {
			err = addRule(ctx, tx, a, rule)
			if err != nil {
				return err
			}
		}
		err = tell(ctx, tx, appCredentialKind, created, a.ID)
		if err != nil {
			return err
		}
		rows := []AppCredential{a}
		err = detail(ctx, tx, rows)
		a = rows[0]
		return err
	})
	if err != nil {
		return a, "", fmt.Errorf("create application credential %q: %w", a.Name, err)
	}
	return a, in.Secret, nil
}

// chosenRoles finds the roles that were asked for, with all that they imply.
// Nobody hands on a role that the own token doesn't have.
func chosenRoles(ctx context.Context, tx *db.Tx, in NewAppCredential) ([]string, error) {
	if len(in.Roles) == 0 {
		return in.Held, nil
	}
	graph, err := readRoleGraph(ctx, tx)
	if err != nil {
		return nil, err
	}
	ids, err := graph.find(in.Roles)
	if err != nil {
		return nil, err
	}
	ids = graph.closure(ids)
	for _, id := range ids {
		if !slices.Contains(in.Held, id) {
			return nil, errs.BadRequestf("Invalid application credential: Cannot create an application credential with unassigned role")
		}
	}
	return ids, nil
}

func addRule(ctx context.Context, tx *db.Tx, a AppCredential, rule auth.AccessRule) error {
	if rule.Path == "" {
		// Only its id was given: it is one that the user has.
		known, err := find[ruleRow](ctx, tx, accessRuleKind, rule.ID)
		if err == nil && known.UserID != a.UserID {
			err = errs.NotFoundf("Could not find %s: %s.", accessRuleKind, rule.ID)
		}
		if err != nil {
			return err
		}
	} else {
		row := ruleRow{ID: rule.ID, UserID: a.UserID, Service: rule.Service, Path: rule.Path, Method: rule.Method}
		_, err := tx.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		err = tx.Get(ctx, &rule.ID, `SELECT id FROM access_rules WHERE user_id = ? AND service = ? AND path = ? AND method = ?`,
			row.UserID, row.Service, row.Path, row.Method)
		if errors.Is(err, sql.ErrNoRows) {
			return errs.Conflictf("Conflict occurred attempting to store %s - Duplicate ID, %s.", accessRuleKind, rule.ID)
		}
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO application_credential_rules (credential_id, rule_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, a.ID, rule.ID)
	return err
}

// DeleteAppCredential removes an application credential; its tokens end.
func (s *Service) DeleteAppCredential(ctx context.Context, id string) error {
	return remove[AppCredential](ctx, s, appCredentialKind, id, s.stale(ctx))
}

// dropAppCredentials removes the application credentials of users, of one
// project or ("") of all.
func dropAppCredentials(ctx context.Context, tx *db.Tx, project string, users ...string) error {
	for _, user := range users {
		var ids []string
		err := tx.All(ctx, &ids, `SELECT id FROM application_credentials WHERE user_id = ? AND (? = '' OR project_id = ?)`, user, project, project)
		if err != nil {
			return err
		}
		for _, id := range ids {
			_, err = tx.Exec(ctx, `DELETE FROM application_credentials WHERE id = ?`, id)
			if err != nil {
				return err
			}
			err = tell(ctx, tx, appCredentialKind, deleted, id)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

const accessRuleKind = "access rule"

type ruleRow struct {
	bun.BaseModel `bun:"table:access_rules"`

	ID      string `bun:",pk"`
	UserID  string
	Service string
	Path    string
	Method  string
}

func (r ruleRow) rule() auth.AccessRule {
	return auth.AccessRule{ID: r.ID, Service: r.Service, Method: r.Method, Path: r.Path}
}

// AccessRules lists the access rules of a user; empty filters match all.
func (s *Service) AccessRules(ctx context.Context, user string, like auth.AccessRule) ([]auth.AccessRule, error) {
	rows, err := list[ruleRow](ctx, s, "access rules", func(q *bun.SelectQuery) *bun.SelectQuery {
		q = equal(q.Where("user_id = ?", user).Order("service", "path", "method"), "service", like.Service)
		return equal(equal(q, "path", like.Path), "method", like.Method)
	})
	out := make([]auth.AccessRule, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.rule())
	}
	return out, err
}

// AccessRule finds an access rule of a user.
func (s *Service) AccessRule(ctx context.Context, user, id string) (auth.AccessRule, error) {
	r, err := get[ruleRow](ctx, s, accessRuleKind, id)
	if err == nil && r.UserID != user {
		err = errs.NotFoundf("Could not find %s: %s.", accessRuleKind, id)
	}
	return r.rule(), err
}

// DeleteAccessRule removes an access rule that no application credential has.
func (s *Service) DeleteAccessRule(ctx context.Context, user, id string) error {
	_, err := s.AccessRule(ctx, user, id)
	if err != nil {
		return err
	}
	return remove[ruleRow](ctx, s, accessRuleKind, id, func(tx *db.Tx) error {
		var used int
		err := tx.Get(ctx, &used, `SELECT COUNT(*) FROM application_credential_rules WHERE rule_id = ?`, id)
		if err == nil && used > 0 {
			err = errs.Forbiddenf("May not delete access rule in use")
		}
		return err
	})
}

// AppCredentialLogin is an application credential with its secret.
type AppCredentialLogin struct {
	ID     string
	Name   string // with the user, when there is no id
	User   Ref
	Secret string
}

// key names the application credential as far as one can tell without looking.
func (l AppCredentialLogin) key() string {
	if l.ID != "" {
		return "credential " + l.ID
	}
	return "credential " + l.User.key() + "/" + l.Name
}

// proveAppCredential finds the application credential and checks the secret.
// Whatever is wrong, the answer is the same after the same work.
func (s *Service) proveAppCredential(ctx context.Context, login AppCredentialLogin) (AppCredential, error) {
	var a AppCredential
	try, err := s.attempt(ctx, login.key())
	if err != nil {
		return a, err
	}
	who, err := s.atHome(ctx, login.User)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return a, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if login.ID != "" {
			var err error
			a, err = find[AppCredential](ctx, tx, appCredentialKind, login.ID)
			return err
		}
		user, err := findUser(ctx, tx, who)
		if err != nil {
			return err
		}
		err = tx.NewSelect().Model(&a).Where("user_id = ? AND name = ?", user.ID, login.Name).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return errs.NotFoundf("Could not find %s: %s.", appCredentialKind, login.Name)
		}
		return err
	})
	if err != nil && !errs.Is(err, errs.NotFound) {
		return a, err
	}
	wrong := s.passwords.check(ctx, a.SecretHash, login.Secret)
	if wrong != nil && !errors.Is(wrong, errPassword) {
		return a, wrong
	}
	if err != nil || wrong != nil {
		return a, unauthorized(errors.Join(err, wrong))
	}
	try.right(s.clock.Now())
	return a, nil
}
