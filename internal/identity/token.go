package identity

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Ref names something by id or by name, users and projects together with
// their domain.
type Ref struct {
	ID     string
	Name   string
	Domain *Ref
}

// Scope is what a token is asked for. The zero value is the user's default
// project or else no scope.
type Scope struct {
	Unscoped bool // no scope, even when the user has a default project
	Project  *Ref
	Domain   *Ref
	System   bool
	Trust    string // id
}

func (s Scope) empty() bool { return s == Scope{} }

// Issued is a valid token with all it stands for now. It is shared: nobody
// changes it.
type Issued struct {
	auth.Caller
	AuditIDs          []string
	IssuedAt          time.Time
	PasswordExpiresAt time.Time // zero for never
	RoleRefs          []RoleRef

	// What the token is for somebody else by.
	TrustedBy    *Trust
	CredentialOf *AppCredential
	Consumer     string // of OAuth

	Groups []string // that the identity provider named

	revision int64     // at which this was read
	until    time.Time // from then on it must be read again; zero for never

	foreigners []foreigner // whom directories know of those it rests on
}

// stale tells whether time alone has changed what the token stands for.
func (i *Issued) stale(now time.Time) bool { return !i.until.IsZero() && !now.Before(i.until) }

// Scoped tells whether the token has any scope.
func (i *Issued) Scoped() bool { return i.Project != "" || i.Domain != "" || i.System }

// Issue authenticates and makes a token.
func (s *Service) Issue(ctx context.Context, login Login, scope Scope) (issued *Issued, err error) {
	in := auditRecord{Methods: login.methods()}
	defer func() { err = s.record(ctx, in, login, err) }()
	token, err := s.prove(ctx, login, scope)
	in.User = token.User
	if err != nil {
		return nil, err
	}
	if token.Project == "" { // else the scope is given
		err = s.scope(ctx, &token, scope)
		if err != nil {
			return nil, err
		}
	}
	issued, err = s.mint(ctx, token)
	if err != nil || token.Trust == "" {
		return issued, err
	}
	// The use is counted before the token is given away: whoever has it, has
	// taken one.
	return issued, s.useTrust(ctx, token.Trust)
}

// mint makes a token for whoever has been authenticated. It lives no longer than
// what it was made from: another token, a trust, an application credential.
func (s *Service) mint(ctx context.Context, token auth.Token) (*Issued, error) {
	token.IssuedAt = s.clock.Now().Truncate(time.Second)
	if token.ExpiresAt.IsZero() {
		token.ExpiresAt = token.IssuedAt.Add(s.lifetime)
	}
	end, err := s.delegationEnd(ctx, token)
	if err != nil {
		return nil, err
	}
	if !end.IsZero() && end.Before(token.ExpiresAt) {
		token.ExpiresAt = end.Truncate(time.Second)
	}
	token.AuditIDs = append([]string{toCome}, token.AuditIDs...)
	issued, err := s.recall(ctx, token)
	if err != nil {
		return nil, err
	}
	token.AuditIDs = issued.AuditIDs
	issued.Token, err = s.keys.Encode(token)
	if err != nil {
		return nil, err
	}
	s.tokens.put(issued.Token, issued)
	return issued, nil
}

// recall describes a token that is being made. What one for the same user and
// scope stood for it stands for too, while nothing has changed since.
func (s *Service) recall(ctx context.Context, token auth.Token) (*Issued, error) {
	revision, err := s.currentRevision(ctx) // and with it the keys
	if err != nil {
		return nil, err
	}
	// Delegations run out and are used up, directories forget, without a revision.
	if token.Trust != "" || token.AppCredential != "" || token.AccessToken != "" || token.IDP != "" || token.Thumbprint != "" {
		return s.describe(ctx, token)
	}
	key := strings.Join([]string{token.User, token.Project, token.Domain, strconv.FormatBool(token.System)}, "\x00")
	known := s.made.get(key)
	if known == nil || known.revision < revision {
		known, err = s.describe(ctx, token)
		if err != nil {
			return nil, err
		}
		if len(known.foreigners) == 0 && known.until.IsZero() {
			s.made.put(key, known)
		}
	}
	issued := *known
	issued.Methods, issued.IssuedAt, issued.ExpiresAt = token.Methods, token.IssuedAt, token.ExpiresAt
	issued.AuditIDs = append([]string{newAuditID(issued.revision)}, token.AuditIDs[1:]...)
	return &issued, nil
}

// authenticate finds the user and checks the password. Whatever is wrong, the
// answer is the same.
func (s *Service) authenticate(ctx context.Context, login PasswordLogin) (User, error) {
	try, err := s.attempt(ctx, login.User.key())
	if err != nil {
		return User{}, err
	}
	user, err := s.account(ctx, login.User)
	if err != nil && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Unauthorized) {
		return User{}, err
	}
	var wrong error
	if user.realm != nil {
		wrong = user.bind(ctx, login.Password)
	} else {
		wrong = s.passwords.check(ctx, user.PasswordHash, login.Password)
	}
	if wrong != nil && !errors.Is(wrong, errPassword) {
		return User{}, wrong
	}
	noted := s.noteAttempt(ctx, user, wrong == nil)
	if noted != nil {
		return User{}, noted
	}
	if err != nil || wrong != nil {
		return User{}, unauthorized(errors.Join(err, wrong))
	}
	try.right(s.clock.Now())
	if user.realm != nil {
		return s.welcome(ctx, user.realm, user.entry)
	}
	return user.User, nil
}

// nobody stands for a user who isn't there or may not sign in: no password is its
// own, and refusing it takes the same work as refusing somebody.
var nobody = User{ID: "-"}

// account finds the user who signs in. One that may not is Unauthorized, and
// nobody.
func (s *Service) account(ctx context.Context, ref Ref) (account, error) {
	r, entry, err := s.meet(ctx, ref)
	if r != nil || err != nil {
		if err != nil {
			return account{realm: r}, err
		}
		return s.realmAccount(ctx, r, entry)
	}
	var user User
	enabled := false
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		user, err = findUser(ctx, tx, ref)
		if err != nil {
			return err
		}
		domain, err := readDomain(ctx, tx, user.DomainID)
		enabled = user.Enabled && domain.Enabled
		return err
	})
	now := s.clock.Now()
	switch {
	case err != nil:
	case s.compliance.locked(user, now):
		err = unauthorized(fmt.Errorf("user %s: %w", user.ID, errLocked))
	case !enabled || s.compliance.inactive(user, now):
		err = unauthorized(fmt.Errorf("user %s or its domain is disabled", user.ID))
	}
	if err != nil {
		return account{User: nobody}, err
	}
	return account{User: user}, nil
}

func findUser(ctx context.Context, tx *db.Tx, ref Ref) (User, error) {
	if ref.ID != "" {
		return readUser(ctx, tx, ref.ID)
	}
	if ref.Domain == nil {
		return User{}, errs.BadRequestf("Expecting to find domain in user. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.")
	}
	domain, err := domainID(ctx, tx, *ref.Domain)
	if err != nil {
		return User{}, err
	}
	var u User
	err = tx.NewSelect().Model(&u).Where("domain_id = ? AND name = ?", domain, ref.Name).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, errs.NotFoundf("Could not find user: %s.", ref.Name)
	}
	if err != nil {
		return User{}, fmt.Errorf("find user %q: %w", ref.Name, err)
	}
	return u, nil
}

// scope writes the scope into the token. A default project that the user
// cannot have is passed over.
func (s *Service) scope(ctx context.Context, token *auth.Token, scope Scope) error {
	switch {
	case scope.Unscoped:
		return nil
	case scope.Project != nil && scope.Project.ID != "" && scope == Scope{Project: scope.Project}:
		token.Project = scope.Project.ID
		return nil
	}
	return s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		switch {
		case scope.Trust != "":
			token.Trust = scope.Trust
			token.Project, err = trustProject(ctx, tx, scope.Trust, s.clock.Now())
		case scope.System:
			token.System = true
		case scope.Domain != nil:
			token.Domain, err = domainID(ctx, tx, *scope.Domain)
		case scope.Project != nil:
			token.Project, err = projectID(ctx, tx, *scope.Project)
		case token.IDP != "": // Keystone scopes such tokens only when asked to
		default:
			token.Project, err = usableDefault(ctx, tx, token.User)
		}
		if errs.Is(err, errs.NotFound) {
			return unauthorized(err)
		}
		if token.System || token.Trust != "" { // such tokens say nothing of a provider: its groups don't count for them
			token.IDP, token.Protocol = "", ""
		}
		return err
	})
}

// trustProject finds the project that a trust is for.
func trustProject(ctx context.Context, tx *db.Tx, id string, now time.Time) (string, error) {
	chain, err := readChain(ctx, tx, id, now)
	switch {
	case err != nil:
		return "", err
	case chain[0].spent() || chain[0].ProjectID == nil:
		return "", noTrust(id)
	}
	return *chain[0].ProjectID, nil
}

func projectID(ctx context.Context, tx *db.Tx, ref Ref) (string, error) {
	if ref.ID != "" {
		return ref.ID, nil
	}
	if ref.Domain == nil {
		return "", errs.BadRequestf("Expecting to find domain in project. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.")
	}
	domain, err := domainID(ctx, tx, *ref.Domain)
	if err != nil {
		return "", err
	}
	var id string
	err = tx.Get(ctx, &id, `SELECT id FROM projects WHERE domain_id = ? AND name = ?`, domain, ref.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errs.NotFoundf("Could not find project: %s.", ref.Name)
	}
	if err != nil {
		return "", fmt.Errorf("find project %q: %w", ref.Name, err)
	}
	return id, nil
}

func usableDefault(ctx context.Context, tx *db.Tx, user string) (string, error) {
	var project string
	err := tx.Get(ctx, &project, `
		SELECT p.id FROM users u JOIN projects p ON p.id = u.default_project_id JOIN domains d ON d.id = p.domain_id
		WHERE u.id = ? AND p.enabled = 1 AND d.enabled = 1`, user)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read default project of user %s: %w", user, err)
	}
	roles, err := projectRoles(ctx, tx, Holder{User: user}, project)
	if err != nil || len(roles) == 0 {
		return "", err
	}
	return project, nil
}

// Revoke ends one token; those made from it live on.
func (s *Service) Revoke(ctx context.Context, token *Issued) error {
	now := s.clock.Now()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM revoked_tokens WHERE expires_at < ?`, db.At(now))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO revoked_tokens (audit_id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`,
			token.AuditIDs[0], db.At(token.ExpiresAt))
		if err != nil {
			return err
		}
		_, err = s.bump(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// An audit id is 16 bytes: 6 of the revision at which the token was made, and
// 10 random ones.
const revisionBytes = 6

// toCome stands for the audit id of a token that is being made: it gets one with
// the revision of the facts that it is made from.
const toCome = ""

func newAuditID(revision int64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(revision)<<16)
	_, err := rand.Read(b[revisionBytes:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func auditRevision(id string) (int64, error) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(b) != 16 {
		return 0, errors.New("malformed audit id")
	}
	return int64(binary.BigEndian.Uint64(b[:8]) >> 16), nil
}
