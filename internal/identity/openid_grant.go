package identity

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// openIDGrant is that a user has signed in at a client. Deleting it ends all
// that came of it.
type openIDGrant struct {
	bun.BaseModel `bun:"table:openid_grants"`

	ID            string `bun:",pk"`
	ClientID      string
	UserID        string
	AccessTokenID *string // what the client may do in a project, if it asked for that
	Scope         string
	Nonce         string
	SignedInAt    db.Time
	ExpiresAt     db.Time
}

// Kinds of secrets that clients get.
const (
	codeSecret    = "code"
	accessSecret  = "access"
	refreshSecret = "refresh"
)

type openIDSecret struct {
	bun.BaseModel `bun:"table:openid_secrets"`

	Hash        string `bun:",pk"`
	Kind        string
	GrantID     string
	RedirectURI string `bun:"redirect_uri"`
	Challenge   string
	Used        bool
	ExpiresAt   db.Time
}

// OpenIDTokens are what a client gets.
type OpenIDTokens struct {
	Access, Refresh, ID string // Refresh is "" unless it was asked for
	Lifetime            time.Duration
	Scope               string
}

// consent checks who signs in and works out what the client then may do. An
// *Insufficient says that a further factor is needed.
type consent struct {
	grant  openIDGrant
	access *AccessToken
}

func (s *Service) consent(ctx context.Context, login Login, client, scope, nonce string) (consent, error) {
	token, err := s.prove(ctx, login, Scope{Unscoped: true})
	err = s.record(ctx, auditRecord{Methods: login.methods(), User: token.User}, login, err)
	if err != nil {
		return consent{}, err
	}
	now, lifetime := s.clock.Now(), s.lifetime
	if hasScope(scope, scopeOffline) {
		lifetime = refreshLifetime
	}
	k := consent{grant: openIDGrant{ID: s.newID(), ClientID: client, UserID: token.User, Scope: strings.Join(strings.Fields(scope), " "), Nonce: nonce,
		SignedInAt: db.At(now), ExpiresAt: db.At(now.Add(lifetime))}}
	if !hasScope(scope, scopeOpenStack) {
		return k, nil
	}
	err = s.scope(ctx, &token, Scope{})
	if err != nil {
		return k, err
	}
	if token.Project == "" {
		projects, err := s.ProjectsOf(ctx, Holder{User: token.User, IDP: token.IDP})
		if err != nil {
			return k, err
		}
		if len(projects) == 0 {
			return k, openIDError("access_denied", "The user has no project.")
		}
		token.Project = projects[0].ID
	}
	id := s.newID()
	k.access = &AccessToken{ID: id, ConsumerID: client, ProjectID: token.Project, UserID: token.User,
		Sealed: s.sealer.Seal(sealPlace(accessTokenKind, id), NewPassword()), ExpiresAt: k.grant.ExpiresAt}
	k.grant.AccessTokenID = &id
	return k, nil
}

// write writes down what a user has let a client do: with all roles that the
// user has now, of which those that it loses are lost to the client too.
func (k *consent) write(ctx context.Context, tx *db.Tx) error {
	if k.access != nil {
		graph, err := readRoleGraph(ctx, tx)
		if err != nil {
			return err
		}
		held, err := projectRoles(ctx, tx, Holder{User: k.access.UserID}, k.access.ProjectID)
		if err != nil {
			return err
		}
		k.access.RoleIDs = db.Of(graph.closure(held))
		err = tx.Insert(ctx, k.access)
		if err != nil {
			return err
		}
		err = tell(ctx, tx, accessTokenKind, created, k.access.ID)
		if err != nil {
			return err
		}
	}
	return tx.Insert(ctx, &k.grant)
}

// AuthorizeOpenID signs a user in for a client and returns the code that the
// client gets.
func (s *Service) AuthorizeOpenID(ctx context.Context, r OpenIDRequest, login Login) (string, error) {
	if r.ClientID == OwnClient {
		return s.authorizeOwn(ctx, r, login)
	}
	k, err := s.consent(ctx, login, r.ClientID, r.Scope, r.Nonce)
	if err != nil {
		return "", err
	}
	code := NewPassword()
	secret := openIDSecret{Hash: hashAccess(code), Kind: codeSecret, GrantID: k.grant.ID, RedirectURI: r.RedirectURI, Challenge: r.Challenge,
		ExpiresAt: db.At(s.clock.Now().Add(codeLifetime))}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		err := k.write(ctx, tx)
		if err != nil {
			return err
		}
		return tx.Insert(ctx, &secret)
	})
	if err != nil {
		return "", fmt.Errorf("sign in user %s at client %s: %w", k.grant.UserID, r.ClientID, err)
	}
	return code, nil
}

// ExchangeCode gives a client the tokens for a code. A code that comes a second
// time was stolen, before or now: what came of it ends.
func (s *Service) ExchangeCode(ctx context.Context, issuer string, client OpenIDClient, code, redirectURI, verifier string) (OpenIDTokens, error) {
	if client.ID == OwnClient {
		return s.exchangeOwn(ctx, issuer, code, redirectURI, verifier)
	}
	grant, err := s.spend(ctx, codeSecret, code, client.ID, func(secret openIDSecret) error {
		sum := sha256.Sum256([]byte(verifier))
		switch {
		case secret.RedirectURI != redirectURI:
			return invalidGrant(errors.New("the code was for another redirect URI"))
		case !sameText(base64.RawURLEncoding.EncodeToString(sum[:]), secret.Challenge):
			return invalidGrant(errors.New("the verifier is not the challenge's"))
		}
		return nil
	})
	if err != nil {
		return OpenIDTokens{}, err
	}
	return s.openIDTokens(ctx, issuer, grant)
}

// RefreshOpenID gives a client new tokens for a refresh token, which is used up.
// One that comes a second time was stolen, before or now: what came of it ends.
func (s *Service) RefreshOpenID(ctx context.Context, issuer string, client OpenIDClient, refresh string) (OpenIDTokens, error) {
	grant, err := s.spend(ctx, refreshSecret, refresh, client.ID, func(openIDSecret) error { return nil })
	if err != nil {
		return OpenIDTokens{}, err
	}
	grant.Nonce = "" // answers one request
	return s.openIDTokens(ctx, issuer, grant)
}

// readSecret finds a secret and its grant; what has expired is not found.
func readSecret(ctx context.Context, tx *db.Tx, text string, now time.Time) (openIDSecret, openIDGrant, error) {
	var secret openIDSecret
	var grant openIDGrant
	err := tx.NewSelect().Model(&secret).Where("hash = ? AND expires_at > ?", hashAccess(text), db.At(now)).Scan(ctx)
	if err == nil {
		err = tx.NewSelect().Model(&grant).Where("id = ? AND expires_at > ?", secret.GrantID, db.At(now)).Scan(ctx)
	}
	return secret, grant, err
}

// spend uses up a code or a refresh token of a client.
func (s *Service) spend(ctx context.Context, kind, text, client string, check func(secret openIDSecret) error) (openIDGrant, error) {
	var grant openIDGrant
	replayed, now := false, s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		replayed = false
		var secret openIDSecret
		var err error
		secret, grant, err = readSecret(ctx, tx, text, now)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return invalidGrant(errors.New("there is no such grant"))
		case err != nil:
			return err
		case secret.Kind != kind || grant.ClientID != client:
			return invalidGrant(errors.New("the grant is of another kind, or another client's"))
		}
		err = check(secret)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE openid_secrets SET used = 1 WHERE hash = ? AND used = 0`, secret.Hash)
		if err != nil || n > 0 {
			return err
		}
		replayed = true
		return s.endGrant(ctx, tx, grant)
	})
	if err == nil && replayed {
		err = invalidGrant(errors.New("the grant was used before, and has been ended"))
	}
	return grant, err
}

// endGrant ends all that came of a user's signing in at a client.
func (s *Service) endGrant(ctx context.Context, tx *db.Tx, grant openIDGrant) error {
	_, err := tx.Exec(ctx, `DELETE FROM openid_grants WHERE id = ?`, grant.ID)
	if err != nil || grant.AccessTokenID == nil {
		return err
	}
	n, err := tx.Exec(ctx, `DELETE FROM oauth_access_tokens WHERE id = ?`, *grant.AccessTokenID)
	if err != nil || n == 0 {
		return err
	}
	err = tell(ctx, tx, accessTokenKind, deleted, *grant.AccessTokenID)
	if err != nil {
		return err
	}
	return s.stale(ctx)(tx)
}

// endGrantsOf ends what clients have of users whose tokens end.
func (s *Service) endGrantsOf(ctx context.Context, tx *db.Tx, subjects ...string) error {
	for _, subject := range subjects {
		kind, id, _ := strings.Cut(subject, "/")
		where := map[string]string{"user": `user_id = ?`, "domain": `user_id IN (SELECT id FROM users WHERE domain_id = ?)`}[kind]
		if where == "" {
			continue
		}
		_, err := tx.Exec(ctx, `DELETE FROM openid_own_codes WHERE `+where, id)
		if err != nil {
			return fmt.Errorf("forget codes of %s: %w", subject, err)
		}
		var grants []openIDGrant
		err = tx.All(ctx, &grants, `SELECT * FROM openid_grants WHERE `+where, id)
		if err != nil {
			return fmt.Errorf("find what clients have of %s: %w", subject, err)
		}
		for _, grant := range grants {
			err = s.endGrant(ctx, tx, grant)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// forgetOpenID removes what has expired.
func forgetOpenID(ctx context.Context, tx *db.Tx, now time.Time) (int64, error) {
	gone := int64(0)
	for _, table := range []string{"openid_secrets", "openid_devices", "openid_grants", "openid_own_codes"} {
		n, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE expires_at < ?`, db.At(now))
		if err != nil {
			return gone, err
		}
		gone += n
	}
	return gone, nil
}

// openIDTokens makes the tokens of a grant.
func (s *Service) openIDTokens(ctx context.Context, issuer string, grant openIDGrant) (OpenIDTokens, error) {
	err := s.freshenUser(ctx, grant.UserID)
	if errs.Is(err, errs.Unauthorized) {
		err = invalidGrant(err)
	}
	if err != nil {
		return OpenIDTokens{}, err
	}
	now := s.clock.Now()
	out := OpenIDTokens{Scope: grant.Scope, Lifetime: min(s.lifetime, grant.ExpiresAt.Time().Sub(now))}
	var secrets []openIDSecret
	add := func(kind string, expires time.Time) string {
		text := NewPassword()
		secrets = append(secrets, openIDSecret{Hash: hashAccess(text), Kind: kind, GrantID: grant.ID, ExpiresAt: db.At(expires)})
		return text
	}
	if grant.AccessTokenID == nil {
		out.Access = add(accessSecret, now.Add(out.Lifetime))
	} else {
		project, err := get[AccessToken](ctx, s, accessTokenKind, *grant.AccessTokenID)
		if errs.Is(err, errs.NotFound) {
			err = invalidGrant(err)
		}
		if err != nil {
			return out, err
		}
		issued, err := s.mint(ctx, auth.Token{User: grant.UserID, Project: project.ProjectID, AccessToken: project.ID, Methods: []string{"oauth1"}})
		if errs.Is(err, errs.Unauthorized) {
			err = invalidGrant(err)
		}
		if err != nil {
			return out, err
		}
		out.Access, out.Lifetime = issued.Token, issued.ExpiresAt.Sub(now)
	}
	if hasScope(grant.Scope, scopeOffline) {
		out.Refresh = add(refreshSecret, grant.ExpiresAt.Time())
	}
	var claims map[string]any
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		claims, err = s.claims(ctx, tx, grant)
		if err != nil || len(secrets) == 0 {
			return err
		}
		return tx.Insert(ctx, &secrets)
	})
	if errs.Is(err, errs.Unauthorized) {
		err = invalidGrant(err)
	}
	if err != nil {
		return out, err
	}
	out.ID, err = s.signID(ctx, issuer, grant, out, claims)
	return out, err
}

// signID makes the ID token that goes with an access token.
func (s *Service) signID(ctx context.Context, issuer string, grant openIDGrant, out OpenIDTokens, claims map[string]any) (string, error) {
	now := s.clock.Now()
	sum := sha256.Sum256([]byte(out.Access))
	claims["iss"], claims["aud"], claims["azp"] = issuer, grant.ClientID, grant.ClientID
	claims["iat"], claims["exp"], claims["auth_time"] = now.Unix(), now.Add(out.Lifetime).Unix(), grant.SignedInAt.Time().Unix()
	claims["at_hash"] = base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	if grant.Nonce != "" {
		claims["nonce"] = grant.Nonce
	}
	return s.signJWT(ctx, claims)
}

// claims is what a client may know of a user, who may still sign in.
func (s *Service) claims(ctx context.Context, tx *db.Tx, grant openIDGrant) (map[string]any, error) {
	_, err := readPerson(ctx, tx, grant.UserID)
	if err != nil {
		return nil, err
	}
	user, err := readUser(ctx, tx, grant.UserID)
	if err != nil {
		return nil, err
	}
	claims := map[string]any{"sub": user.ID}
	if hasScope(grant.Scope, scopeProfile) {
		claims["name"], claims["preferred_username"] = user.Name, user.Name
	}
	if hasScope(grant.Scope, scopeEmail) && user.Email != nil {
		// Whoever made the user wrote it; nobody has sent a message there.
		claims["email"], claims["email_verified"] = *user.Email, false
	}
	if hasScope(grant.Scope, scopeGroups) {
		var groups []string
		err = tx.All(ctx, &groups, `
			SELECT g.name FROM user_groups g WHERE g.id IN (`+groupsOf+`) ORDER BY g.name`, Holder{User: user.ID}.args(tx)...)
		claims["groups"] = append([]string{}, groups...)
	}
	return claims, err
}
