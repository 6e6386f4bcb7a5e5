package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// OAuth 1: a consumer is a program. It asks for a request token, a user
// authorizes that with some of the own roles and tells the program a verifier,
// and the program exchanges both for an access token, with which it signs in as
// the user. Keystone's lifetimes.
const (
	requestTokenLifetime = 8 * time.Hour
	accessTokenLifetime  = 24 * time.Hour
)

const (
	consumerKind     = "consumer"
	requestTokenKind = "request token"
	accessTokenKind  = "access token"
)

// Consumer is a program that users may let act for them.
type Consumer struct {
	bun.BaseModel `bun:"table:oauth_consumers"`

	ID          string `bun:",pk"`
	Description *string
	Sealed      string `json:"-"`
	Extra       Extra
}

// String keeps the secret out of whatever prints a consumer.
func (c Consumer) String() string { return "consumer " + c.ID }

// Consumers lists consumers.
func (s *Service) Consumers(ctx context.Context) ([]Consumer, error) {
	return list[Consumer](ctx, s, "consumers", everything)
}

// Consumer finds a consumer by id.
func (s *Service) Consumer(ctx context.Context, id string) (Consumer, error) {
	return get[Consumer](ctx, s, consumerKind, id)
}

func sealPlace(kind, id string) string { return "oauth " + kind + " " + id }

// CreateConsumer adds a consumer and returns the secret that it signs with.
func (s *Service) CreateConsumer(ctx context.Context, c Consumer) (Consumer, string, error) {
	secret := NewPassword()
	c.ID = s.newID()
	c.Sealed = s.sealer.Seal(sealPlace(consumerKind, c.ID), secret)
	c, err := insert(ctx, s, consumerKind, c.ID, c, complete)
	return c, secret, err
}

// UpdateConsumer changes a consumer by the function.
func (s *Service) UpdateConsumer(ctx context.Context, id string, change func(c *Consumer) error) (Consumer, error) {
	return update(ctx, s, consumerKind, id, func(_ *db.Tx, c *Consumer) error { return change(c) }, "description", "extra")
}

// DeleteConsumer removes a consumer with its tokens, which end.
func (s *Service) DeleteConsumer(ctx context.Context, id string) error {
	return remove[Consumer](ctx, s, consumerKind, id, s.stale(ctx))
}

// RequestToken is what a consumer asks a user to authorize.
type RequestToken struct {
	bun.BaseModel `bun:"table:oauth_request_tokens"`

	ID         string `bun:",pk"`
	ConsumerID string
	ProjectID  string
	Sealed     string `json:"-"`
	Verifier   string `json:"-"`
	UserID     *string
	RoleIDs    db.JSON[[]string] `bun:"role_ids"`
	ExpiresAt  db.Time
}

// AccessToken lets a consumer act as a user in a project, with some roles.
type AccessToken struct {
	bun.BaseModel `bun:"table:oauth_access_tokens"`

	ID         string `bun:",pk"`
	ConsumerID string
	ProjectID  string
	UserID     string
	Sealed     string            `json:"-"`
	RoleIDs    db.JSON[[]string] `bun:"role_ids"`
	ExpiresAt  db.Time
}

// NewOAuthToken is a token with its secret, as it is told once.
type NewOAuthToken struct {
	ID, Secret string
	ExpiresAt  time.Time
}

// consumerOf checks a request that a consumer has signed, with the secret of a
// token or ("") without.
func (s *Service) consumerOf(ctx context.Context, r OAuthRequest, tokenSecret string) (Consumer, error) {
	c, err := s.Consumer(ctx, r.Params["oauth_consumer_key"])
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	if err != nil {
		return c, err
	}
	secret, err := s.sealer.Open(sealPlace(consumerKind, c.ID), c.Sealed)
	if err != nil {
		return c, err
	}
	err = r.verify(secret, tokenSecret, s.clock.Now())
	if err != nil {
		return c, errs.Unauthorizedf("Invalid signature").Because(err)
	}
	return c, s.useNonce(ctx, r)
}

// useNonce refuses a request that was seen before. A nonce is kept as long as
// its time would be accepted.
func (s *Service) useNonce(ctx context.Context, r OAuthRequest) error {
	now := s.clock.Now()
	nonce := hashAccess(r.Params["oauth_consumer_key"] + " " + r.Params["oauth_token"] + " " + r.Params["oauth_timestamp"] + " " + r.Params["oauth_nonce"])
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM oauth_nonces WHERE expires_at < ?`, db.At(now))
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO oauth_nonces (nonce, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, nonce, db.At(now.Add(2*oauthAge)))
		if err == nil && n == 0 {
			err = unauthorized(errors.New("the request was seen before"))
		}
		return err
	})
}

// RequestOAuth makes a request token for a consumer that wants to act in a
// project.
func (s *Service) RequestOAuth(ctx context.Context, r OAuthRequest, project string) (NewOAuthToken, error) {
	c, err := s.consumerOf(ctx, r, "")
	if err != nil {
		return NewOAuthToken{}, err
	}
	out := NewOAuthToken{ID: s.newID(), Secret: NewPassword(), ExpiresAt: s.clock.Now().Add(requestTokenLifetime)}
	now := s.clock.Now()
	_, err = insert(ctx, s, requestTokenKind, out.ID, RequestToken{ID: out.ID, ConsumerID: c.ID, ProjectID: project,
		Sealed: s.sealer.Seal(sealPlace(requestTokenKind, out.ID), out.Secret), RoleIDs: db.Of([]string{}), ExpiresAt: db.At(out.ExpiresAt)},
		func(tx *db.Tx, _ *RequestToken) error {
			_, err := tx.Exec(ctx, `DELETE FROM oauth_request_tokens WHERE expires_at < ?`, db.At(now))
			if err != nil {
				return err
			}
			_, err = readProject(ctx, tx, project)
			return err
		})
	return out, err
}

// readRequestToken finds a request token that has not expired.
func readRequestToken(ctx context.Context, tx *db.Tx, id string, now time.Time) (RequestToken, error) {
	t, err := find[RequestToken](ctx, tx, requestTokenKind, id)
	if err == nil && !now.Before(t.ExpiresAt.Time()) {
		err = errs.Unauthorizedf("Request token is expired")
	}
	return t, err
}

// newVerifier makes what the user tells the program: short enough to type.
func newVerifier() string {
	const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	b := make([]byte, 12)
	_, err := rand.Read(b)
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}

// AuthorizeOAuth lets a consumer have roles that the user has in the project it
// asked for. The user hears the verifier to tell the program.
func (s *Service) AuthorizeOAuth(ctx context.Context, id, user string, roles []RoleName) (string, error) {
	verifier, now := newVerifier(), s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		t, err := readRequestToken(ctx, tx, id, now)
		if err != nil {
			return err
		}
		graph, err := readRoleGraph(ctx, tx)
		if err != nil {
			return err
		}
		ids, err := graph.find(roles)
		if err != nil {
			return err
		}
		held, err := projectRoles(ctx, tx, Holder{User: user}, t.ProjectID)
		if err != nil {
			return err
		}
		held = graph.closure(held)
		if slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(held, id) }) {
			return errs.Unauthorizedf("authorizing user does not have role required")
		}
		t.UserID, t.RoleIDs, t.Verifier = &user, db.Of(ids), verifier
		_, err = tx.Update(ctx, &t, "user_id", "role_ids", "verifier")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("authorize request token %s: %w", id, err)
	}
	return verifier, nil
}

// ExchangeOAuth gives an access token for a request token that a user has
// authorized. The request token is used up.
func (s *Service) ExchangeOAuth(ctx context.Context, r OAuthRequest) (NewOAuthToken, error) {
	id, now := r.Params["oauth_token"], s.clock.Now()
	var request RequestToken
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		request, err = readRequestToken(ctx, tx, id, now)
		return err
	})
	if err != nil {
		return NewOAuthToken{}, err
	}
	secret, err := s.sealer.Open(sealPlace(requestTokenKind, id), request.Sealed)
	if err != nil {
		return NewOAuthToken{}, err
	}
	c, err := s.consumerOf(ctx, r, secret)
	switch {
	case err != nil:
		return NewOAuthToken{}, err
	case c.ID != request.ConsumerID:
		return NewOAuthToken{}, unauthorized(errors.New("the request token is another consumer's"))
	case request.UserID == nil:
		return NewOAuthToken{}, errs.Unauthorizedf("Request Token does not have an authorizing user id.")
	case !sameText(request.Verifier, r.Params["oauth_verifier"]):
		return NewOAuthToken{}, errs.Unauthorizedf("Provided verifier does not match stored verifier")
	}
	out := NewOAuthToken{ID: s.newID(), Secret: NewPassword(), ExpiresAt: now.Add(accessTokenLifetime)}
	_, err = insert(ctx, s, accessTokenKind, out.ID, AccessToken{ID: out.ID, ConsumerID: c.ID, ProjectID: request.ProjectID, UserID: *request.UserID,
		Sealed: s.sealer.Seal(sealPlace(accessTokenKind, out.ID), out.Secret), RoleIDs: request.RoleIDs, ExpiresAt: db.At(out.ExpiresAt)},
		func(tx *db.Tx, _ *AccessToken) error {
			n, err := tx.Exec(ctx, `DELETE FROM oauth_request_tokens WHERE id = ?`, id)
			if err == nil && n == 0 {
				err = unauthorized(errors.New("the request token was used by somebody else"))
			}
			return err
		})
	return out, err
}

// AccessTokens lists what a user lets consumers do.
func (s *Service) AccessTokens(ctx context.Context, user string) ([]AccessToken, error) {
	return list[AccessToken](ctx, s, "access tokens", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("user_id = ?", user).Order("id") })
}

// AccessToken finds an access token of a user.
func (s *Service) AccessToken(ctx context.Context, user, id string) (AccessToken, error) {
	t, err := get[AccessToken](ctx, s, accessTokenKind, id)
	if err == nil && t.UserID != user {
		err = errs.NotFoundf("Could not find %s: %s.", accessTokenKind, id)
	}
	return t, err
}

// AccessTokenRoles lists the roles that an access token gives.
func (s *Service) AccessTokenRoles(ctx context.Context, user, id string) ([]Role, error) {
	t, err := s.AccessToken(ctx, user, id)
	if err != nil {
		return nil, err
	}
	var roles []Role
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		graph, err := readRoleGraph(ctx, tx)
		if err == nil {
			roles = graph.named(t.RoleIDs.V)
		}
		return err
	})
	return roles, err
}

// DeleteAccessToken takes back what a user lets a consumer do; tokens that it
// has got by it end.
func (s *Service) DeleteAccessToken(ctx context.Context, user, id string) error {
	_, err := s.AccessToken(ctx, user, id)
	if err != nil {
		return err
	}
	return remove[AccessToken](ctx, s, accessTokenKind, id, s.stale(ctx))
}

// proveOAuth checks a request for a token that a consumer has signed with an
// access token.
func (s *Service) proveOAuth(ctx context.Context, p *proof, r OAuthRequest) error {
	t, err := get[AccessToken](ctx, s, accessTokenKind, r.Params["oauth_token"])
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	if err != nil {
		return err
	}
	secret, err := s.sealer.Open(sealPlace(accessTokenKind, t.ID), t.Sealed)
	if err != nil {
		return err
	}
	c, err := s.consumerOf(ctx, r, secret)
	if err == nil && c.ID != t.ConsumerID {
		err = unauthorized(errors.New("the access token is another consumer's"))
	}
	if err == nil {
		err = p.by("oauth1", t.UserID)
	}
	p.AccessToken, p.Project = t.ID, t.ProjectID
	return err
}

func readAuthorized(ctx context.Context, tx *db.Tx, token auth.Token, i *Issued, now time.Time) (delegated, error) {
	t, err := find[AccessToken](ctx, tx, accessTokenKind, token.AccessToken)
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	switch {
	case err != nil:
		return delegated{}, err
	case t.UserID != token.User || t.ProjectID != token.Project:
		return delegated{}, unauthorized(errors.New("the access token is for another user or project"))
	case !now.Before(t.ExpiresAt.Time()):
		return delegated{}, errs.Unauthorizedf("Access token is expired")
	}
	i.AccessToken, i.Consumer = t.ID, t.ConsumerID
	return delegated{limit: func(graph *roleGraph, held []string) ([]string, error) {
		return slices.DeleteFunc(graph.closure(t.RoleIDs.V), func(id string) bool { return !slices.Contains(held, id) }), nil
	}}, nil
}
