package identity

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// OpenIDToken is what a token of a client stands for.
type OpenIDToken struct {
	Scope, User, UserName string
	ExpiresAt             time.Time
	Claims                map[string]any

	grant  openIDGrant
	secret openIDSecret
	issued *Issued // of a token of this cloud
}

// errNotOurs says that a client has no such token.
var errNotOurs = errors.New("the client has no such token")

// OpenIDToken finds out what a token is that a client ("" for any) has got. A
// token of another client is none.
func (s *Service) OpenIDToken(ctx context.Context, client, text string) (OpenIDToken, error) {
	var t OpenIDToken
	now := s.clock.Now()
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		t.secret, t.grant, err = readSecret(ctx, tx, text, now)
		return err
	})
	t.ExpiresAt = t.secret.ExpiresAt.Time()
	if errors.Is(err, sql.ErrNoRows) {
		t.issued, err = s.Validate(ctx, text)
		if errs.Is(err, errs.Unauthorized) || err == nil && t.issued.AccessToken == "" {
			return t, errNotOurs
		}
		if err != nil {
			return t, err
		}
		t.ExpiresAt = t.issued.ExpiresAt
		err = s.db.Read(ctx, func(tx *db.Tx) error {
			return tx.NewSelect().Model(&t.grant).Where("access_token_id = ?", t.issued.AccessToken).Scan(ctx)
		})
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t, errNotOurs
	case err != nil:
		return t, err
	case t.secret.Used || t.secret.Kind == codeSecret || client != "" && t.grant.ClientID != client:
		return t, errNotOurs
	}
	t.User, t.Scope = t.grant.UserID, t.grant.Scope
	err = s.freshenUser(ctx, t.User)
	if errs.Is(err, errs.Unauthorized) {
		return t, errNotOurs
	}
	if err != nil {
		return t, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		person, err := readPerson(ctx, tx, t.grant.UserID)
		if err != nil {
			return err
		}
		t.UserName = person.Name
		t.Claims, err = s.claims(ctx, tx, t.grant)
		return err
	})
	if errs.Is(err, errs.Unauthorized) {
		return t, errNotOurs
	}
	return t, err
}

// IsNoToken tells whether there is no such token, or it is another client's.
func IsNoToken(err error) bool { return errors.Is(err, errNotOurs) }

// Refresh tells whether the token is one to get others by.
func (t OpenIDToken) Refresh() bool { return t.secret.Kind == refreshSecret }

// RevokeOpenID ends a token of a client: with a refresh token all that came of
// the sign-in.
func (s *Service) RevokeOpenID(ctx context.Context, client, text string) error {
	t, err := s.OpenIDToken(ctx, client, text)
	switch {
	case IsNoToken(err):
		return nil // which is what the client wants
	case err != nil:
		return err
	case t.issued != nil:
		return s.Revoke(ctx, t.issued)
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if t.Refresh() {
			return s.endGrant(ctx, tx, t.grant)
		}
		_, err := tx.Exec(ctx, `DELETE FROM openid_secrets WHERE hash = ?`, t.secret.Hash)
		return err
	})
}
