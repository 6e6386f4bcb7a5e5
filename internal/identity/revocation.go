package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"nacre/internal/db"
)

// Revocation is why tokens from before a time are no longer good: those of a
// user, on a project or domain, of a user on a project or domain, or one alone.
type Revocation struct {
	UserID, ProjectID, DomainID string
	AuditID                     string
	At                          time.Time
	ExpiresAt                   time.Time // of the one token
}

// Revocations lists what has ended tokens since a time, as long as such tokens
// would live. We do not need the list ourselves: tokens are checked against the
// revision that they carry.
func (s *Service) Revocations(ctx context.Context, since time.Time) ([]Revocation, error) {
	var out []Revocation
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var floors []struct {
			Subject   string
			UpdatedAt db.Time
		}
		err := tx.All(ctx, &floors, `SELECT subject, updated_at FROM token_floors WHERE updated_at >= ? ORDER BY updated_at, subject`, db.At(since))
		if err != nil {
			return err
		}
		for _, f := range floors {
			out = append(out, revocationOf(f.Subject, f.UpdatedAt.Time()))
		}
		var tokens []struct {
			AuditID   string
			ExpiresAt db.Time
		}
		err = tx.All(ctx, &tokens, `SELECT audit_id, expires_at FROM revoked_tokens ORDER BY expires_at, audit_id`)
		for _, t := range tokens {
			out = append(out, Revocation{AuditID: t.AuditID, ExpiresAt: t.ExpiresAt.Time()})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list revocations: %w", err)
	}
	return out, nil
}

// revocationOf reads the subject of a floor.
func revocationOf(subject string, at time.Time) Revocation {
	r := Revocation{At: at}
	parts := strings.Split(subject, "/")
	switch {
	case parts[0] == "user":
		r.UserID = parts[1]
	case parts[0] == "project":
		r.ProjectID = parts[1]
	case parts[0] == "domain":
		r.DomainID = parts[1]
	case parts[0] == "grant" && len(parts) == 4:
		r.UserID = parts[1]
		switch parts[2] {
		case TargetProject:
			r.ProjectID = parts[3]
		case TargetDomain:
			r.DomainID = parts[3]
		}
	}
	return r
}
