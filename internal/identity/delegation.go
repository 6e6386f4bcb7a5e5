package identity

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// delegated is what somebody lets the bearer of a token do. The zero value is
// nothing: the token is its user's own.
type delegated struct {
	subjects    []string // whose tokens end, ends this one too
	holder      string   // whose roles it is about, "" for the token's user
	grantor     person   // who lets the bearer act
	impersonate bool     // the bearer acts as the grantor

	// limit chooses from the roles that the holder has; nil leaves all.
	limit func(graph *roleGraph, held []string) ([]string, error)
}

// readDelegation finds what a token was delegated by, and refuses one whose
// delegation is gone, has expired, or is for somebody or something else.
func readDelegation(ctx context.Context, tx *db.Tx, token auth.Token, i *Issued, now time.Time) (delegated, error) {
	switch {
	case token.Trust != "":
		return readTrusted(ctx, tx, token, i, now)
	case token.AppCredential != "":
		return readAppCredentialOf(ctx, tx, token, i, now)
	case token.AccessToken != "":
		return readAuthorized(ctx, tx, token, i, now)
	}
	return delegated{}, nil
}

// delegationEnd is when what a token is delegated by expires, zero for never.
func (s *Service) delegationEnd(ctx context.Context, token auth.Token) (time.Time, error) {
	var end db.Time
	if token.Trust == "" && token.AccessToken == "" && token.AppCredential == "" {
		return end.Time(), nil
	}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		switch {
		case token.Trust != "":
			err = tx.Get(ctx, &end, `SELECT expires_at FROM trusts WHERE id = ?`, token.Trust)
		case token.AccessToken != "":
			err = tx.Get(ctx, &end, `SELECT expires_at FROM oauth_access_tokens WHERE id = ?`, token.AccessToken)
		case token.AppCredential != "":
			err = tx.Get(ctx, &end, `SELECT expires_at FROM application_credentials WHERE id = ?`, token.AppCredential)
		}
		if errors.Is(err, sql.ErrNoRows) {
			err = unauthorized(err)
		}
		return err
	})
	return end.Time(), err
}

func readTrusted(ctx context.Context, tx *db.Tx, token auth.Token, i *Issued, now time.Time) (delegated, error) {
	t, holder, err := i.trusted(ctx, tx, token.Trust, token.User, token.Project, now)
	if err != nil {
		return delegated{}, err
	}
	d := delegated{holder: holder, impersonate: t.Impersonation}
	d.grantor, err = i.readPerson(ctx, tx, t.TrustorUserID)
	if err != nil {
		return d, err
	}
	d.subjects = append(d.grantor.subjects(), userSubject(holder), grantSubject(holder, TargetProject, token.Project))
	d.limit = func(graph *roleGraph, held []string) ([]string, error) {
		given := graph.closure(t.RoleIDs.V)
		if slices.ContainsFunc(given, func(id string) bool { return !slices.Contains(held, id) }) {
			return nil, errs.Forbiddenf("Trustee has no delegated roles.")
		}
		return given, nil
	}
	i.TrustedBy = &t
	i.Trust, i.Trustor, i.Trustee = t.ID, t.TrustorUserID, t.TrusteeUserID
	return d, nil
}

func readAppCredentialOf(ctx context.Context, tx *db.Tx, token auth.Token, i *Issued, now time.Time) (delegated, error) {
	a, err := readAppCredential(ctx, tx, token.AppCredential)
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	switch {
	case err != nil:
		return delegated{}, err
	case a.UserID != token.User || a.ProjectID != token.Project:
		return delegated{}, unauthorized(errors.New("the application credential is for another user or project"))
	case a.ExpiresAt != 0 && !now.Before(a.ExpiresAt.Time()):
		return delegated{}, unauthorized(errors.New("the application credential has expired"))
	}
	i.CredentialOf = &a
	i.AppCredential, i.Unrestricted, i.AccessRules = a.ID, a.Unrestricted, a.AccessRules
	return delegated{limit: func(_ *roleGraph, held []string) ([]string, error) {
		return slices.DeleteFunc(slices.Clone(a.RoleIDs.V), func(id string) bool { return !slices.Contains(held, id) }), nil
	}}, nil
}
