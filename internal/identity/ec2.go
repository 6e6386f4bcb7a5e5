package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/auth"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// EC2Credential is an access key, its secret, and what it gives: what the user
// may do in the project, and no more than the delegation by which it was made.
type EC2Credential struct {
	Access  string
	Secret  string
	User    string
	Project string
	Delegation
}

// String keeps the secret out of whatever prints it.
func (e EC2Credential) String() string { return "access key " + e.Access }

func noAccessKey() error { return errs.NotFoundf("EC2 access key not found.") }

// EC2Credential looks up an access key. One that nobody has is errs.NotFound.
func (s *Service) EC2Credential(ctx context.Context, access string) (EC2Credential, error) {
	e, _, err := s.accessKey(ctx, access)
	return e, err
}

// accessKey is EC2Credential, with the id of the credential.
func (s *Service) accessKey(ctx context.Context, access string) (EC2Credential, string, error) {
	var c Credential
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.NewSelect().Model(&c).Where("access_hash = ?", hashAccess(access)).Scan(ctx)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return EC2Credential{}, "", noAccessKey()
	}
	if err != nil {
		return EC2Credential{}, "", fmt.Errorf("read access key: %w", err)
	}
	err = s.unseal(&c)
	if err != nil {
		return EC2Credential{}, "", err
	}
	e, err := ec2Of(c)
	return e, c.ID, err
}

func ec2Of(c Credential) (EC2Credential, error) {
	blob, _, err := readBlob(c.Blob)
	if err != nil {
		return EC2Credential{}, err
	}
	return EC2Credential{Access: blob.Access, Secret: blob.Secret, User: c.UserID, Project: c.ProjectID, Delegation: blob.Delegation}, nil
}

// EC2Credentials lists the access keys of a user.
func (s *Service) EC2Credentials(ctx context.Context, user string) ([]EC2Credential, error) {
	rows, err := list[Credential](ctx, s, "credential", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("user_id = ? AND lower(type) = ?", user, ec2Type).Order("id")
	})
	if err != nil {
		return nil, err
	}
	out := make([]EC2Credential, 0, len(rows))
	for _, c := range rows {
		err = s.unseal(&c)
		if err != nil {
			return nil, err
		}
		e, err := ec2Of(c)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// CreateEC2Credential makes an access key for a user in a project.
func (s *Service) CreateEC2Credential(ctx context.Context, user, project string, by Delegation) (EC2Credential, error) {
	_, err := s.User(ctx, user)
	if err != nil {
		return EC2Credential{}, err
	}
	_, err = s.Project(ctx, project)
	if err != nil {
		return EC2Credential{}, err
	}
	e := EC2Credential{Access: clock.Hex(), Secret: NewPassword(), User: user, Project: project, Delegation: by}
	blob := fmt.Sprintf(`{"access":%q,"secret":%q}`, e.Access, e.Secret)
	_, err = s.CreateCredential(ctx, Credential{UserID: user, ProjectID: project, Type: ec2Type, Blob: blob}, by)
	return e, err
}

// DeleteEC2Credential removes an access key.
func (s *Service) DeleteEC2Credential(ctx context.Context, access string) error {
	_, id, err := s.accessKey(ctx, access)
	if err != nil {
		return err
	}
	return s.DeleteCredential(ctx, id)
}

// EC2Caller says who is behind an access key whose signature was right, and what
// they may do now. Whoever is disabled, gone or without a role is
// errs.Unauthorized.
func (s *Service) EC2Caller(ctx context.Context, e EC2Credential) (auth.Caller, error) {
	issued, err := s.EC2Token(ctx, e)
	if err != nil {
		return auth.Caller{}, err
	}
	return issued.Caller, nil
}

// EC2Token gives a token for an access key. As long as nothing changes it gives
// the same one, until that has half its life behind it: requests that are signed
// come by the thousand.
func (s *Service) EC2Token(ctx context.Context, e EC2Credential) (*Issued, error) {
	revision, err := s.currentRevision(ctx)
	if err != nil {
		return nil, err
	}
	key := strings.Join([]string{e.Access, e.User, e.Project, e.Trust, e.AppCredential, e.AccessToken}, "\x00")
	known := s.signed.get(key)
	if known != nil && known.revision >= revision && s.clock.Now().Before(known.ExpiresAt.Add(-s.lifetime/2)) {
		return known, nil
	}
	if e.Project == "" {
		return nil, unauthorized(errors.New("the access key has no project"))
	}
	token := auth.Token{User: e.User, Methods: []string{auth.EC2Method}, Project: e.Project, Trust: e.Trust, AppCredential: e.AppCredential,
		AccessToken: e.AccessToken}
	if e.Trust != "" {
		token.User, err = s.bearer(ctx, e)
		if err != nil {
			return nil, err
		}
	}
	issued, err := s.mint(ctx, token)
	if err != nil {
		return nil, err
	}
	s.signed.put(key, issued)
	return issued, nil
}

// bearer finds who bears the tokens of an access key that was made by a trust:
// the trustee, also when the key belongs to the trustor that it impersonates. It
// is of use to nobody else.
func (s *Service) bearer(ctx context.Context, e EC2Credential) (string, error) {
	t, err := s.Trust(ctx, e.Trust)
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	owner := t.TrusteeUserID
	if t.Impersonation {
		owner = t.TrustorUserID
	}
	if err == nil && owner != e.User {
		err = unauthorized(errors.New("the access key is not of a party to its trust"))
	}
	return t.TrusteeUserID, err
}

// signatureAge is how far the time of a signed request may be from ours.
const signatureAge = 15 * time.Minute

// EC2Authenticate gives a token for a request that somebody has signed with an
// access key, as a service has received it.
func (s *Service) EC2Authenticate(ctx context.Context, r SignedRequest) (issued *Issued, err error) {
	var e EC2Credential
	defer func() { err = s.recordEC2(ctx, e, err) }()
	e, err = s.EC2Credential(ctx, r.Access)
	if err != nil {
		return nil, err
	}
	at, err := r.verify(e.Secret)
	if err != nil {
		return nil, unauthorized(err)
	}
	if !at.IsZero() && s.clock.Now().Sub(at).Abs() > signatureAge {
		return nil, errs.Unauthorizedf("Credential is expired")
	}
	return s.EC2Token(ctx, e)
}

// S3Authenticate gives a token for a request to an object store: text is what
// was signed.
func (s *Service) S3Authenticate(ctx context.Context, access string, text []byte, signature string) (issued *Issued, err error) {
	var e EC2Credential
	defer func() { err = s.recordEC2(ctx, e, err) }()
	e, err = s.EC2Credential(ctx, access)
	if err != nil {
		return nil, err
	}
	right, err := s3Signature(string(text), e.Secret)
	if err == nil && !sameText(right, signature) {
		err = errSignature
	}
	if err != nil {
		return nil, unauthorized(err)
	}
	return s.EC2Token(ctx, e)
}

func (s *Service) recordEC2(ctx context.Context, e EC2Credential, err error) error {
	return s.record(ctx, auditRecord{Methods: []string{auth.EC2Method}, User: e.User}, Login{}, err)
}

// dropCredentials deletes the credentials of a user or in a project.
func dropCredentials(ctx context.Context, tx *db.Tx, column, id string) error {
	_, err := tx.NewDelete().Model((*Credential)(nil)).Where("? = ?", bun.Ident(column), id).Exec(ctx)
	return err
}
