// Package identity knows domains, projects, users, groups, roles and who has
// which of them where; it issues tokens and says what a token stands for.
//
// A token is a Fernet message or a signed one, both in Keystone's format: nothing
// about it is stored.
// What it stands for is worked out from the database when it is first seen and
// kept in memory for the requests that follow. Each change that a token in use
// must notice (a user disabled, a password changed, a role given or taken, a
// token revoked) raises the authorization revision in the database in the same
// transaction; what is in memory counts only for the revision it was read at.
// Our own writes raise the revision we follow before they return, and those of
// other servers are looked for every 100 ms. When the database cannot be asked,
// no token is valid.
//
// A token carries the revision at which it was made, in its audit id. A change
// that must end earlier tokens, rather than give them fewer roles, puts a floor
// under its subject: tokens from below the floor are invalid, whatever the
// clocks say. Disabling a user, changing a password and taking a role away do
// that; so enabling the user again does not revive them. Giving a role does not:
// a token in use gains it, as with Keystone.
//
// Unknown users and wrong passwords get the same answer after the same work.
package identity

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// DefaultDomain is the id of the domain that always exists.
const DefaultDomain = "default"

// Options are what the service needs. Zero values of the settings work.
type Options struct {
	DB     *db.DB
	Sealer *auth.Sealer // of credentials and of the keys of tokens
	Clock  clock.Clock
	NewID  func() string // nil: clock.Hex
	Log    *slog.Logger

	// KeyFolder has the keys of tokens, in Keystone's form, that a cloud without
	// any begins with; "" or a missing folder: new ones.
	KeyFolder     string
	TokenLifetime time.Duration // 0: one hour
	// TokenProvider is the kind of new tokens; "" is Fernet.
	TokenProvider auth.Provider
	// KeyPeriod is how long a key seals tokens before the next takes its place;
	// 0 is a day.
	KeyPeriod    time.Duration
	PasswordCost int // bcrypt cost of passwords that people choose; 0: 10
	// LimitModel is how limits of projects and of those above them go together;
	// "" is flat.
	LimitModel LimitModel
	// Compliance are rules about passwords and accounts.
	Compliance Compliance
	// OAuth2 says how clients of OAuth 2.0 prove who they are.
	OAuth2 OAuth2
	// OptOut are types of events that nobody is told of.
	OptOut []string
}

// Service is the identity service.
type Service struct {
	db       *db.DB
	keys     auth.Keys
	sealer   *auth.Sealer
	clock    clock.Clock
	newID    func() string
	log      *slog.Logger
	lifetime time.Duration
	// keyPeriod is how long a key seals.
	keyPeriod  time.Duration
	limitModel LimitModel
	compliance Compliance
	ownSecret  string // of the dashboard
	oauth2     OAuth2

	passwords *passwords
	attempts  *attempts
	recorder  recorder
	revision  revision
	tokens    *cache // by the token itself
	signed    *cache // by access key: whoever knows a key must not have its token
	made      *cache // by user and scope
	roles     atomic.Pointer[roleGraph]
	catalog   atomic.Pointer[catalogAt]
	realms    realms

	firstSAMLKeys sync.Mutex // held while the first keys of SAML are made
}

// New makes the service.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{
		db:       o.DB,
		sealer:   o.Sealer,
		clock:    o.Clock,
		newID:    o.NewID,
		log:      o.Log,
		lifetime: o.TokenLifetime,
		tokens:   newCache(),
		signed:   newCache(),
		made:     newCache(),
		attempts: newAttempts(),
		recorder: recorder{optOut: o.OptOut},

		ownSecret: NewPassword(),
	}
	var err error
	if s.newID == nil {
		s.newID = clock.Hex
	}
	s.limitModel, err = o.LimitModel.checked()
	if err != nil {
		return nil, err
	}
	s.oauth2, err = o.OAuth2.checked()
	if err != nil {
		return nil, err
	}
	s.compliance, err = o.Compliance.compiled()
	if err != nil {
		return nil, err
	}
	if s.lifetime == 0 {
		s.lifetime = time.Hour
	}
	s.keyPeriod = max(o.KeyPeriod, leastKeyAge)
	if o.KeyPeriod == 0 {
		s.keyPeriod = defaultKeyPeriod
	}
	s.keys.Makes = o.TokenProvider
	if !slices.Contains([]auth.Provider{"", auth.Fernet, auth.JWS}, o.TokenProvider) {
		return nil, fmt.Errorf("setting token_provider: %q is none of %s, %s", o.TokenProvider, auth.Fernet, auth.JWS)
	}
	s.passwords, err = newPasswords(o.PasswordCost)
	if err != nil {
		return nil, err
	}
	s.followRevision()
	err = s.openKeys(ctx, o.KeyFolder)
	if err != nil {
		return nil, err
	}
	return s, s.rotateSigners(ctx, s.openIDSigners())
}

// unauthorized is the one answer to whoever fails to authenticate. The reason
// is for the log.
func unauthorized(reason error) error {
	return errs.Unauthorizedf("The request you have made requires authentication.").Because(reason)
}

// Caller says who bears the token. It implements api.Tokens.
func (s *Service) Caller(ctx context.Context, token string) (auth.Caller, error) {
	issued, err := s.Validate(ctx, token)
	if err != nil {
		return auth.Caller{}, err
	}
	return issued.Caller, nil
}
