package identity

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/identity/mapping"
)

// Shadow users are users of ours whom identity providers know. They have the ids
// that Keystone derives, no password, and names that the provider chooses anew
// each time they come.

type federatedUser struct {
	bun.BaseModel `bun:"table:federated_users"`

	IDPID      string `bun:"idp_id,pk"`
	ProtocolID string `bun:",pk"`
	UniqueID   string `bun:",pk"`
	UserID     string
}

// shadowing is the work of making a user of ours stand for what a provider says.
type shadowing struct {
	*Service

	tx       *db.Tx
	by       Assertion
	who      mapping.Identity
	home     string // domain of the provider
	now      time.Time
	projects []string // ids for projects that are missing

	domain, user string // that it comes to

	// What happened that tokens in use must notice, and that must end them.
	changed, lost bool
}

// shadow is the user of ours that stands for an identity of a provider, made
// when it comes for the first time. Its groups become those that were said now.
func (s *Service) shadow(ctx context.Context, a Assertion, who mapping.Identity, home string) (string, error) {
	w := shadowing{Service: s, by: a, who: who, home: home, now: s.clock.Now()}
	for range who.Projects {
		w.projects = append(w.projects, s.newID())
	}
	var user string
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		w := w
		w.tx = tx
		err := w.write(ctx)
		user = w.user
		return err
	})
	return user, err
}

func (w *shadowing) write(ctx context.Context) error {
	// Two that come at once with the same new user wait for each other.
	err := w.tx.Lock(ctx, "federated "+w.by.IDP)
	if err != nil {
		return err
	}
	_, _, err = openProtocol(ctx, w.tx, w.by.IDP, w.by.Protocol)
	if err != nil {
		return err
	}
	w.domain, err = mappedDomain(ctx, w.tx, w.who.User.Domain, w.home)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{w.writeUser, w.writeGroups, w.writeProjects} {
		err = part(ctx)
		if err != nil {
			return err
		}
	}
	switch {
	case w.lost:
		return w.endTokens(ctx, w.tx, w.now, userSubject(w.user))
	case w.changed:
		_, err = w.bump(ctx, w.tx)
	}
	return err
}

// mappedDomain finds the domain that a mapping means, else that of the provider.
func mappedDomain(ctx context.Context, tx *db.Tx, ref *mapping.Ref, home string) (string, error) {
	if ref == nil {
		return home, nil
	}
	id, err := domainID(ctx, tx, Ref{ID: ref.ID, Name: ref.Name})
	if err == nil {
		_, err = readDomain(ctx, tx, id)
	}
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	return id, err
}

// publicID is the id that Keystone derives for a user or group that another system
// knows.
func publicID(domain, entity, local string) string {
	sum := sha256.Sum256([]byte(domain + entity + local))
	return hex.EncodeToString(sum[:])
}

// quote writes all but letters, digits and _.-~/ as %XX: the form in which
// Keystone keeps the ids of providers' users.
func quote(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("_.-~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

const maxName = 255

// writeUser finds or makes the user, and calls it what the provider does.
func (w *shadowing) writeUser(ctx context.Context) error {
	known, name := w.who.User.ID, w.who.User.Name
	if known == "" {
		known = name
	}
	if name == "" {
		name = known
	}
	row := federatedUser{IDPID: w.by.IDP, ProtocolID: w.by.Protocol, UniqueID: quote(known)}
	if len(row.UniqueID) > maxName || len(name) > maxName {
		return unauthorized(errors.New("the user's name is too long"))
	}
	err := w.tx.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		row.UserID = publicID(w.domain, userEntity, row.UniqueID)
		w.user = row.UserID
		return w.addUser(ctx, row, name)
	}
	if err != nil {
		return fmt.Errorf("find user of %s: %w", w.by.IDP, err)
	}
	w.user = row.UserID
	u, err := readUser(ctx, w.tx, row.UserID)
	if err != nil {
		return err
	}
	name, err = freeName(ctx, w.tx, "users", u.DomainID, name, u.ID)
	if err != nil {
		return err
	}
	email := w.who.User.Email
	renamed, moved := u.Name != name, email != "" && (u.Email == nil || *u.Email != email)
	u.Name, u.ActiveAt = name, db.At(w.now)
	if moved {
		u.Email = &email
	}
	_, err = w.tx.Update(ctx, &u, "name", "email", "active_at")
	if err != nil || (!renamed && !moved) {
		return err
	}
	w.changed = true
	return tell(ctx, w.tx, "user", updated, u.ID)
}

// addUser adds a user that a provider knows. Whom another provider knows by the
// same derived id is somebody else.
func (w *shadowing) addUser(ctx context.Context, row federatedUser, name string) error {
	taken, err := w.tx.NewSelect().Model((*User)(nil)).Where("id = ?", row.UserID).Exists(ctx)
	if err != nil {
		return err
	}
	if taken {
		return errs.Conflictf("Conflict occurred attempting to store federated_user - Duplicate Entry.")
	}
	u := User{ID: row.UserID, DomainID: w.domain, Enabled: true, Options: db.Of(map[string]any{}), Extra: db.Of(map[string]any{}),
		ActiveAt: db.At(w.now), CreatedAt: db.At(w.now)}
	if email := w.who.User.Email; email != "" {
		u.Email = &email
	}
	u.Name, err = freeName(ctx, w.tx, "users", w.domain, name, u.ID)
	if err != nil {
		return err
	}
	err = w.tx.Insert(ctx, &u)
	if err != nil {
		return err
	}
	err = w.tx.Insert(ctx, &row)
	if err != nil {
		return err
	}
	return tell(ctx, w.tx, "user", created, u.ID)
}

// nameBeside is a name with a part of the id of who has it.
func nameBeside(name, id string) string { return name + " (" + id[:8] + ")" }

// freeName is what a user or group is called. Names are unique in a domain, those
// that other systems give need not be: the later one gets a part of its id too.
func freeName(ctx context.Context, tx *db.Tx, table, domain, name, id string) (string, error) {
	for _, name := range []string{name, nameBeside(name, id)} {
		taken, err := tx.NewSelect().Table(table).Where("domain_id = ? AND name = ? AND id <> ?", domain, name, id).Exists(ctx)
		if err != nil || !taken {
			return name, err
		}
	}
	return id, nil
}

// writeGroups makes the groups that the provider gives the user those that it has
// named now. A name that no group has is passed over, an id is not: the mapping
// itself has written it.
func (w *shadowing) writeGroups(ctx context.Context) error {
	var had []string
	err := w.tx.All(ctx, &had, `SELECT group_id FROM federated_members WHERE user_id = ? AND idp_id = ?`, w.user, w.by.IDP)
	if err != nil {
		return fmt.Errorf("read groups of user %s: %w", w.user, err)
	}
	var has []string
	for _, g := range w.who.Groups {
		id, err := mappedGroup(ctx, w.tx, g)
		if err != nil {
			return err
		}
		if id == "" {
			continue
		}
		has = append(has, id)
		_, err = w.tx.Exec(ctx, `
			INSERT INTO federated_members (user_id, group_id, idp_id, verified_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (user_id, group_id, idp_id) DO UPDATE SET verified_at = excluded.verified_at`, w.user, id, w.by.IDP, db.At(w.now))
		if err != nil {
			return fmt.Errorf("put user %s into group %s: %w", w.user, id, err)
		}
		w.changed = w.changed || !slices.Contains(had, id)
	}
	for _, id := range had {
		if slices.Contains(has, id) {
			continue
		}
		w.lost = true
		_, err = w.tx.Exec(ctx, `DELETE FROM federated_members WHERE user_id = ? AND group_id = ? AND idp_id = ?`, w.user, id, w.by.IDP)
		if err != nil {
			return fmt.Errorf("take user %s out of group %s: %w", w.user, id, err)
		}
	}
	return nil
}

func mappedGroup(ctx context.Context, tx *db.Tx, g mapping.Group) (string, error) {
	if g.ID != "" {
		_, err := readGroup(ctx, tx, g.ID)
		if errs.Is(err, errs.NotFound) {
			err = unauthorized(err)
		}
		return g.ID, err
	}
	domain, err := mappedDomain(ctx, tx, g.Domain, "")
	if err != nil {
		return "", err
	}
	var id string
	err = tx.Get(ctx, &id, `SELECT id FROM user_groups WHERE domain_id = ? AND name = ?`, domain, g.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// writeProjects gives the user the roles that the mapping names, in projects that
// are made when they are missing. Nothing is taken away.
func (w *shadowing) writeProjects(ctx context.Context) error {
	for i, p := range w.who.Projects {
		domain, err := mappedDomain(ctx, w.tx, p.Domain, w.home)
		if err != nil {
			return err
		}
		id, err := projectID(ctx, w.tx, Ref{Name: p.Name, Domain: &Ref{ID: domain}})
		if errs.Is(err, errs.NotFound) {
			id = w.projects[i]
			err = insertProject(ctx, w.tx, &Project{ID: id, DomainID: domain, Name: p.Name, Enabled: true, Tags: db.Of([]string{}),
				Options: db.Of(map[string]any{}), Extra: db.Of(map[string]any{}), CreatedAt: db.At(w.now)}, w.limitModel.depth())
		}
		if err != nil {
			return err
		}
		for _, r := range p.Roles {
			role, err := mappedRole(ctx, w.tx, r.Name, w.domain)
			if err != nil {
				return err
			}
			added, err := addGrant(ctx, w.tx, Grant{ActorKind: ActorUser, ActorID: w.user, TargetKind: TargetProject, TargetID: id, RoleID: role})
			if err != nil {
				return err
			}
			w.changed = w.changed || added
		}
	}
	return nil
}

// mappedRole finds a role of the cloud or, with the same name, of the domain.
func mappedRole(ctx context.Context, tx *db.Tx, name, domain string) (string, error) {
	var id string
	err := tx.Get(ctx, &id, `SELECT id FROM roles WHERE name = ? AND (domain_id = '' OR domain_id = ?) ORDER BY domain_id LIMIT 1`, name, domain)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errs.NotFoundf("Could not find role: %s.", name)
	}
	return id, err
}
