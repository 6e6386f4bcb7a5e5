package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
)

// ec2Type is the type of credentials that hold an access key and its secret.
const ec2Type = "ec2"

// Credential is a secret that a user keeps here. The blob is encrypted in the
// database and in clear for those who may see it.
type Credential struct {
	bun.BaseModel `bun:"table:credentials"`

	ID        string `bun:",pk"`
	UserID    string
	ProjectID string
	Type      string
	Blob      string `bun:"-" json:"-"`
	Sealed    string `json:"-"`
	KeyID     string
	// AccessHash finds the credential with an access key.
	AccessHash string
	Extra      Extra
}

// String keeps the blob out of whatever prints a credential.
func (c Credential) String() string { return "credential " + c.ID }

// Delegation is how a caller came to act for somebody: by a trust, by an
// application credential or by an OAuth access token. What a caller leaves
// behind must not outlive it.
type Delegation struct {
	Trust         string
	AppCredential string
	AccessToken   string
}

// ec2Blob is what the blob of an EC2 credential holds, besides what only the
// client understands.
type ec2Blob struct {
	Access string
	Secret string
	Delegation
}

func credentialPlace(id string) string { return "credential " + id }

// hashAccess hashes an access key. It is the id of a new credential with the key.
func hashAccess(access string) string {
	sum := sha256.Sum256([]byte(access))
	return hex.EncodeToString(sum[:])
}

// IsEC2 tells whether credentials of the type hold an access key and its secret.
func IsEC2(kind string) bool { return strings.EqualFold(kind, ec2Type) }

func badBlob() error {
	return errs.BadRequestf("Invalid blob in credential: an object with access and secret is expected.")
}

// readBlob reads the blob of an EC2 credential.
func readBlob(text string) (ec2Blob, map[string]any, error) {
	var all map[string]any
	err := json.Unmarshal([]byte(text), &all)
	if err != nil {
		return ec2Blob{}, nil, badBlob()
	}
	// Each key counts as it is spelled. A decoder into a struct would take one for
	// another that differs by the case of its letters.
	var known ec2Blob
	for name, into := range map[string]*string{
		"access": &known.Access, "secret": &known.Secret,
		"trust_id": &known.Trust, "app_cred_id": &known.AppCredential, "access_token_id": &known.AccessToken,
	} {
		word, is := all[name].(string)
		if !is && all[name] != nil {
			return known, nil, badBlob()
		}
		*into = word
	}
	if known.Access == "" {
		return known, nil, badBlob()
	}
	return known, all, nil
}

// MadeBy is the delegation that an EC2 key was made by. Other credentials are
// made by users themselves.
func (c Credential) MadeBy() Delegation {
	if !IsEC2(c.Type) {
		return Delegation{}
	}
	known, _, err := readBlob(c.Blob)
	if err != nil {
		return Delegation{} // it is of no use as a key
	}
	return known.Delegation
}

func (s *Service) seal(c *Credential) {
	c.Sealed, c.KeyID = s.sealer.Seal(credentialPlace(c.ID), c.Blob), s.sealer.Current()
}

func (s *Service) unseal(c *Credential) error {
	var err error
	c.Blob, err = s.sealer.Open(credentialPlace(c.ID), c.Sealed)
	return err
}

// Credentials lists credentials; empty filters match all.
func (s *Service) Credentials(ctx context.Context, user, kind string) ([]Credential, error) {
	rows, err := list[Credential](ctx, s, "credential", func(q *bun.SelectQuery) *bun.SelectQuery {
		return equal(equal(q.Order("id"), "user_id", user), "type", kind)
	})
	for i := range rows {
		if err == nil {
			err = s.unseal(&rows[i])
		}
	}
	return rows, err
}

// Credential finds a credential by id.
func (s *Service) Credential(ctx context.Context, id string) (Credential, error) {
	c, err := get[Credential](ctx, s, "credential", id)
	if err != nil {
		return c, err
	}
	return c, s.unseal(&c)
}

// CreateCredential adds a credential. An EC2 key remembers by which delegation
// it was made, and gives no more than that.
func (s *Service) CreateCredential(ctx context.Context, c Credential, by Delegation) (Credential, error) {
	c.ID = s.newID()
	if IsEC2(c.Type) {
		known, all, err := readBlob(c.Blob)
		if err != nil {
			return c, err
		}
		c.ID = hashAccess(known.Access)
		c.AccessHash = c.ID
		if by != (Delegation{}) {
			c.Blob, err = delegatedBlob(all, by)
			if err != nil {
				return c, err
			}
		}
	}
	s.seal(&c)
	return insert(ctx, s, "credential", c.ID, c, complete)
}

func delegatedBlob(all map[string]any, by Delegation) (string, error) {
	for name, id := range map[string]string{"trust_id": by.Trust, "app_cred_id": by.AppCredential, "access_token_id": by.AccessToken} {
		if id != "" {
			all[name] = id
		}
	}
	text, err := json.Marshal(all)
	return string(text), err
}

// UpdateCredential changes a credential by the function. The delegation that an
// EC2 key was made by stays.
func (s *Service) UpdateCredential(ctx context.Context, id string, change func(c *Credential) error) (Credential, error) {
	return update(ctx, s, "credential", id, func(_ *db.Tx, c *Credential) error {
		err := s.unseal(c)
		if err != nil {
			return err
		}
		before := *c
		err = change(c)
		if err != nil {
			return err
		}
		err = sameDelegation(before, c)
		if err != nil {
			return err
		}
		s.seal(c)
		return nil
	}, "user_id", "project_id", "type", "sealed", "key_id", "access_hash", "extra")
}

// sameDelegation refuses to change how an EC2 key was made, and notes the new
// access key if that was changed.
func sameDelegation(before Credential, after *Credential) error {
	if !IsEC2(before.Type) && !IsEC2(after.Type) {
		return nil
	}
	if !IsEC2(before.Type) || !IsEC2(after.Type) {
		return errs.BadRequestf("The type of a credential cannot be changed to or from ec2.")
	}
	was, _, err := readBlob(before.Blob)
	if err != nil {
		return err
	}
	is, _, err := readBlob(after.Blob)
	if err != nil {
		return err
	}
	if was.Delegation != is.Delegation {
		return errs.BadRequestf("trust_id, app_cred_id and access_token_id can not be updated for credential")
	}
	if before.ProjectID != after.ProjectID && was.Delegation != (Delegation{}) {
		return errs.BadRequestf("project_id can not be updated for credential")
	}
	after.AccessHash = hashAccess(is.Access)
	return nil
}

// DeleteCredential removes a credential.
func (s *Service) DeleteCredential(ctx context.Context, id string) error {
	return remove[Credential](ctx, s, "credential", id, nothing)
}

// resealBatch is how many credentials are sealed anew in one transaction.
const resealBatch = 100

// resealed are secrets that stand in one column of a table, beside what names their
// place.
var resealed = []struct{ table, column, id, where, place string }{
	{"oauth_consumers", "sealed", "id", "", sealPlace(consumerKind, "")},
	{"oauth_request_tokens", "sealed", "id", "", sealPlace(requestTokenKind, "")},
	{"oauth_access_tokens", "sealed", "id", "", sealPlace(accessTokenKind, "")},
	{"domain_config", "value", "domain_id || ' ' || option_group || '.' || option_name", "option_group = 'ldap' AND option_name = 'password' AND ", "domain "},
}

// resealAll seals with the present key what an older one has sealed.
func (s *Service) resealAll(ctx context.Context) error {
	err := s.reseal(ctx)
	sealed := 0
	for _, r := range resealed {
		if err != nil {
			break
		}
		var n int
		n, err = s.resealColumn(ctx, r.table, r.column, r.id, r.where, r.place)
		sealed += n
	}
	if sealed > 0 {
		loop.Did(ctx, "secrets", sealed)
	}
	return err
}

func (s *Service) resealColumn(ctx context.Context, table, column, id, where, place string) (int, error) {
	var rows []struct{ ID, Sealed, Again string }
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, `SELECT `+id+` AS id, `+column+` AS sealed FROM `+table+` WHERE `+where+column+` NOT LIKE ? LIMIT ?`,
			s.sealer.Current()+".%", resealBatch)
	})
	for i := range rows {
		if err == nil {
			rows[i].Again, err = s.sealer.Renew(place+rows[i].ID, rows[i].Sealed)
		}
	}
	if err == nil && len(rows) > 0 {
		err = s.db.Write(ctx, func(tx *db.Tx) error {
			for _, r := range rows {
				// Whoever has changed it since has sealed it with the present key.
				_, err := tx.Exec(ctx, `UPDATE `+table+` SET `+column+` = ? WHERE `+id+` = ? AND `+column+` = ?`, r.Again, r.ID, r.Sealed)
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return 0, fmt.Errorf("seal secrets of %s anew: %w", table, err)
	}
	return len(rows), nil
}

// reseal seals credentials with the present key that an older one has sealed,
// so that the older key can be dropped from the file.
func (s *Service) reseal(ctx context.Context) error {
	rows, err := list[Credential](ctx, s, "credential", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("key_id <> ?", s.sealer.Current()).Limit(resealBatch)
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	for i := range rows {
		err = s.unseal(&rows[i])
		if err != nil {
			return err
		}
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		for _, c := range rows {
			was := c.Sealed
			s.seal(&c)
			// Whoever has changed it since has sealed it with the present key.
			_, err := tx.Exec(ctx, `UPDATE credentials SET sealed = ?, key_id = ? WHERE id = ? AND sealed = ?`, c.Sealed, c.KeyID, c.ID, was)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("seal credentials anew: %w", err)
	}
	loop.Did(ctx, "credentials", len(rows))
	return nil
}
