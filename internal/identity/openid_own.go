package identity

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// The dashboard is a client like others, with the same flow, and differs in what
// it gets: a token as the user would get it by the password, since it acts for
// the user in all that the user may do. So nobody else may be this client. Its
// secret is made anew in each process and never leaves it: the dashboard asks for
// tokens in process. Its redirect URI is a path of the address that the user
// sees, so that a code cannot go anywhere else, whatever the cloud is called.

// OwnClient is the client id of this cloud's dashboard, and OwnRedirect where it
// wants its users back.
const (
	OwnClient   = "dashboard"
	OwnRedirect = "/dashboard/session/callback"
)

// ownCode is that somebody has signed in for the dashboard, which has not asked
// for the token yet.
type ownCode struct {
	bun.BaseModel `bun:"table:openid_own_codes"`

	Hash       string `bun:",pk"`
	UserID     string
	Proven     db.JSON[auth.Token]
	Scope      string
	Nonce      string
	Challenge  string
	SignedInAt db.Time
	ExpiresAt  db.Time
}

// OwnSecret is the secret of the dashboard in this process.
func (s *Service) OwnSecret() string { return s.ownSecret }

// clientOf finds a client by id, the dashboard among them.
func (s *Service) clientOf(ctx context.Context, id string) (OpenIDClient, error) {
	if id != OwnClient {
		return s.OpenIDClient(ctx, id)
	}
	return OpenIDClient{ID: OwnClient, Name: "Nacre", RedirectURIs: db.Of([]string{OwnRedirect}), SecretHash: hashAccess(s.ownSecret)}, nil
}

// authorizeOwn signs a user in for the dashboard and returns the code.
func (s *Service) authorizeOwn(ctx context.Context, r OpenIDRequest, login Login) (string, error) {
	token, err := s.prove(ctx, login, Scope{})
	err = s.record(ctx, auditRecord{Methods: login.methods(), User: token.User}, login, err)
	if err != nil {
		return "", err
	}
	code, now := NewPassword(), s.clock.Now()
	row := ownCode{Hash: hashAccess(code), UserID: token.User, Proven: db.Of(token), Scope: r.Scope, Nonce: r.Nonce, Challenge: r.Challenge,
		SignedInAt: db.At(now), ExpiresAt: db.At(now.Add(codeLifetime))}
	err = s.db.Write(ctx, func(tx *db.Tx) error { return tx.Insert(ctx, &row) })
	if err != nil {
		return "", fmt.Errorf("sign in user %s at the dashboard: %w", token.User, err)
	}
	return code, nil
}

// exchangeOwn gives the dashboard the token for a code: for the user's default
// project, if there is one. Whoever comes with a code uses it up.
func (s *Service) exchangeOwn(ctx context.Context, issuer, code, redirectURI, verifier string) (OpenIDTokens, error) {
	var row ownCode
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &row, `DELETE FROM openid_own_codes WHERE hash = ? RETURNING *`, hashAccess(code))
	})
	sum, now := sha256.Sum256([]byte(verifier)), s.clock.Now()
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return OpenIDTokens{}, invalidGrant(errors.New("there is no such code"))
	case err != nil:
		return OpenIDTokens{}, fmt.Errorf("exchange code: %w", err)
	case !now.Before(row.ExpiresAt.Time()):
		return OpenIDTokens{}, invalidGrant(errors.New("the code has expired"))
	case redirectURI != OwnRedirect || !sameText(base64.RawURLEncoding.EncodeToString(sum[:]), row.Challenge):
		return OpenIDTokens{}, invalidGrant(errors.New("the code is for another redirect URI or verifier"))
	}
	token := row.Proven.V
	err = s.scope(ctx, &token, Scope{})
	if err != nil {
		return OpenIDTokens{}, err
	}
	issued, err := s.mint(ctx, token)
	if errs.Is(err, errs.Unauthorized) {
		err = invalidGrant(err)
	}
	if err != nil {
		return OpenIDTokens{}, err
	}
	grant := openIDGrant{ClientID: OwnClient, UserID: row.UserID, Scope: row.Scope, Nonce: row.Nonce, SignedInAt: row.SignedInAt}
	out := OpenIDTokens{Scope: row.Scope, Access: issued.Token, Lifetime: issued.ExpiresAt.Sub(now)}
	var claims map[string]any
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		claims, err = s.claims(ctx, tx, grant)
		return err
	})
	if err != nil {
		return out, err
	}
	out.ID, err = s.signID(ctx, issuer, grant, out, claims)
	return out, err
}
