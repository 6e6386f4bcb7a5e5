package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// OpenID Connect: other programs let their users sign in by this cloud. Such a
// client is an OAuth 1 consumer that also has redirect URIs, and what a user lets
// it do in a project is an access token of that consumer. So all that holds for
// what was delegated holds here too: no other scope, no further secrets, no role
// that the user has lost; and it is listed and taken back by the same calls. A client that asks for nothing but who the user is gets an access token
// that only tells that.
//
// The code flow demands PKCE with S256 of every client. Whoever signs in types
// the password for each client: there is no session that another site's page
// could lend.

// Scopes that clients may ask for.
const (
	scopeOpenID    = "openid"
	scopeProfile   = "profile"
	scopeEmail     = "email"
	scopeGroups    = "groups"
	scopeOffline   = "offline_access" // a refresh token
	scopeOpenStack = "openstack"      // an access token that is a token of this cloud
)

// OpenIDScopes are the scopes that clients may ask for.
var OpenIDScopes = []string{scopeOpenID, scopeProfile, scopeEmail, scopeGroups, scopeOffline, scopeOpenStack}

// OpenIDError is an error as RFC 6749 has it.
type OpenIDError struct {
	Code        string // a word of the RFC
	Description string
	cause       error
}

// Error implements error.
func (e *OpenIDError) Error() string { return e.Code + ": " + e.Description }

// Unwrap gives what the client isn't told.
func (e *OpenIDError) Unwrap() error { return e.cause }

func openIDError(code, format string, args ...any) error {
	return &OpenIDError{Code: code, Description: fmt.Sprintf(format, args...)}
}

// invalidGrant is the one answer about a code, refresh token or device code that
// is not good, for whatever reason.
func invalidGrant(cause error) error {
	return &OpenIDError{Code: "invalid_grant", Description: "The grant is unknown, was used, has expired, or is for another client.", cause: cause}
}

// OpenIDClient is a program whose users sign in by this cloud.
type OpenIDClient struct {
	ID           string
	Name         string
	RedirectURIs db.JSON[[]string] `bun:"redirect_uris"`
	SecretHash   string            `json:"-"`
}

// String keeps the hash out of whatever prints a client.
func (c OpenIDClient) String() string { return "OpenID client " + c.ID }

// Public tells whether the client can keep no secret.
func (c OpenIDClient) Public() bool { return c.SecretHash == "" }

type openIDClientRow struct {
	bun.BaseModel `bun:"table:openid_clients"`

	ID           string            `bun:",pk"`
	RedirectURIs db.JSON[[]string] `bun:"redirect_uris"`
	SecretHash   string
}

const selectOpenIDClients = `
	SELECT c.id, COALESCE(o.description, '') AS name, c.redirect_uris, c.secret_hash
	FROM openid_clients c JOIN oauth_consumers o ON o.id = c.id `

// OpenIDClients lists clients.
func (s *Service) OpenIDClients(ctx context.Context) ([]OpenIDClient, error) {
	var rows []OpenIDClient
	err := s.db.Read(ctx, func(tx *db.Tx) error { return tx.All(ctx, &rows, selectOpenIDClients+`ORDER BY c.id`) })
	if err != nil {
		return nil, fmt.Errorf("list OpenID clients: %w", err)
	}
	return rows, nil
}

// OpenIDClient finds a client by id.
func (s *Service) OpenIDClient(ctx context.Context, id string) (OpenIDClient, error) {
	var client OpenIDClient
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.Get(ctx, &client, selectOpenIDClients+`WHERE c.id = ?`, id)
		if errors.Is(err, sql.ErrNoRows) {
			return errs.NotFoundf("Could not find OpenID client: %s.", id)
		}
		return err
	})
	return client, err
}

// CreateOpenIDClient adds a client and returns its secret, "" for a public one.
func (s *Service) CreateOpenIDClient(ctx context.Context, name string, redirectURIs []string, public bool) (OpenIDClient, string, error) {
	for _, uri := range redirectURIs {
		err := checkRedirectURI(uri)
		if err != nil {
			return OpenIDClient{}, "", err
		}
	}
	row, secret := openIDClientRow{RedirectURIs: db.Of(redirectURIs)}, ""
	if !public {
		secret = NewPassword()
		row.SecretHash = hashAccess(secret)
	}
	consumer := Consumer{ID: s.newID(), Description: &name, Extra: db.Of(map[string]any{})}
	// Nobody is told what it would sign OAuth 1 requests with.
	consumer.Sealed = s.sealer.Seal(sealPlace(consumerKind, consumer.ID), NewPassword())
	row.ID = consumer.ID
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := tx.Insert(ctx, &consumer)
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &row)
		if err != nil {
			return err
		}
		return tell(ctx, tx, consumerKind, created, consumer.ID)
	})
	if err != nil {
		return OpenIDClient{}, "", fmt.Errorf("create OpenID client %q: %w", name, err)
	}
	return OpenIDClient{ID: row.ID, Name: name, RedirectURIs: row.RedirectURIs, SecretHash: row.SecretHash}, secret, nil
}

// DeleteOpenIDClient removes a client; what users let it do ends.
func (s *Service) DeleteOpenIDClient(ctx context.Context, id string) error {
	_, err := s.OpenIDClient(ctx, id)
	if err != nil {
		return err
	}
	return s.DeleteConsumer(ctx, id)
}

// checkRedirectURI refuses where codes could be read on the way, and what is
// no place on the web.
func checkRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	if err != nil {
		return errs.BadRequestf("%q is no URI.", uri).Because(err)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Host == "" || u.User != nil || strings.ContainsAny(uri, "#*"):
		return errs.BadRequestf("A redirect URI has a host, and neither a fragment nor a user nor a wildcard: %s", uri)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
		return errs.BadRequestf("A redirect URI begins with https, or with http on the user's own machine: %s", uri)
	}
	return nil
}

// AuthenticateOpenID checks that a client is who it says. Whatever is wrong, the
// answer is the same.
func (s *Service) AuthenticateOpenID(ctx context.Context, id, secret string) (OpenIDClient, error) {
	client, err := s.clientOf(ctx, id)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return client, err
	}
	right := client.SecretHash != "" && sameText(hashAccess(secret), client.SecretHash)
	if client.SecretHash == "" {
		right = secret == ""
	}
	if err != nil || !right {
		return OpenIDClient{}, openIDError("invalid_client", "Client authentication failed.")
	}
	return client, nil
}

// OpenIDRequest is a client's wish that a user signs in.
type OpenIDRequest struct {
	ClientID     string
	RedirectURI  string
	ResponseType string
	Scope        string
	Nonce        string
	Challenge    string // of PKCE
	Method       string // of the challenge
	Prompt       string
}

// RedirectOf finds the client of a request and checks that it is known at the
// redirect URI, letter by letter. Without that, nobody is sent there.
func (s *Service) RedirectOf(ctx context.Context, r OpenIDRequest) (OpenIDClient, error) {
	client, err := s.clientOf(ctx, r.ClientID)
	if err == nil && !slices.Contains(client.RedirectURIs.V, r.RedirectURI) {
		err = errs.BadRequestf("The redirect URI is not one of the client's.")
	}
	if errs.Is(err, errs.NotFound) {
		err = errs.BadRequestf("There is no such client.").Because(err)
	}
	return client, err
}

// Check says what is wrong with a request, which its client may hear.
func (r OpenIDRequest) Check() error {
	switch {
	case r.ResponseType != "code":
		return openIDError("unsupported_response_type", "The response type is code.")
	case r.Method != "S256" || !isChallenge(r.Challenge):
		return openIDError("invalid_request", "A code challenge (PKCE) with the method S256 is required.")
	case r.Prompt == "none":
		return openIDError("login_required", "Users sign in for each client.")
	case len(r.Nonce) > 1024:
		return openIDError("invalid_request", "The nonce is too long.")
	}
	return checkOpenIDScope(r.Scope, scopeOpenID)
}

func checkOpenIDScope(scope, needs string) error {
	words := strings.Fields(scope)
	for _, word := range words {
		if !slices.Contains(OpenIDScopes, word) {
			return openIDError("invalid_scope", "There is no such scope; those that are: %s.", strings.Join(OpenIDScopes, " "))
		}
	}
	if !slices.Contains(words, needs) {
		return openIDError("invalid_scope", "The scope %s is required.", needs)
	}
	return nil
}

// isChallenge tells whether it is a SHA-256 sum in base64url.
func isChallenge(text string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return len(text) == 43 && strings.Trim(text, letters) == ""
}

func hasScope(scope, word string) bool { return slices.Contains(strings.Fields(scope), word) }

// What OpenID Connect gives, lives as long.
const (
	codeLifetime    = time.Minute
	deviceLifetime  = 10 * time.Minute
	refreshLifetime = 30 * 24 * time.Hour // from the sign-in on, however often it is used
	// DeviceInterval is how long a device waits between two looks.
	DeviceInterval = 5 * time.Second
	// maxDevices is how many codes of one client wait for a user: a client that can
	// keep no secret is anybody.
	maxDevices = 1000
)
