package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Trust lets the trustee act with some of the trustor's roles in a project, as
// the trustor (impersonation) or under the own name.
type Trust struct {
	bun.BaseModel `bun:"table:trusts"`

	ID                string `bun:",pk"`
	TrustorUserID     string
	TrusteeUserID     string
	ProjectID         *string
	Impersonation     bool
	ExpiresAt         db.Time
	RemainingUses     *int64
	RoleIDs           db.JSON[[]string] `bun:"role_ids"`
	RedelegatedID     *string           `bun:"redelegated_trust_id"`
	RedelegationCount int64
	Extra             Extra

	Roles []Role `bun:"-"`
}

const trustKind = "trust"

// maxRedelegation is how often a trust can be handed on, Keystone's default.
const maxRedelegation = 3

func noTrust(id string) error { return errs.NotFoundf("Could not find trust: %s.", id) }

// spent tells whether a trust gives no more tokens.
func (t Trust) spent() bool { return t.RemainingUses != nil && *t.RemainingUses <= 0 }

// readChain finds a trust and those it was handed on from, up to the first. All
// of them must not have expired.
func readChain(ctx context.Context, tx *db.Tx, id string, now time.Time) ([]Trust, error) {
	var chain []Trust
	for next := &id; next != nil; {
		t, err := find[Trust](ctx, tx, trustKind, *next)
		if err != nil {
			return nil, err
		}
		if t.ExpiresAt != 0 && !now.Before(t.ExpiresAt.Time()) {
			return nil, noTrust(id)
		}
		chain = append(chain, t)
		next = t.RedelegatedID
	}
	return chain, nil
}

// Trust finds a trust by id, with its roles.
func (s *Service) Trust(ctx context.Context, id string) (Trust, error) {
	var t Trust
	now := s.clock.Now()
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		chain, err := readChain(ctx, tx, id, now)
		if err == nil && chain[0].spent() {
			err = noTrust(id)
		}
		if err != nil {
			return err
		}
		t = chain[0]
		graph, err := readRoleGraph(ctx, tx)
		if err != nil {
			return err
		}
		t.Roles = graph.named(t.RoleIDs.V)
		return nil
	})
	return t, err
}

// Trusts lists trusts; empty filters match all.
func (s *Service) Trusts(ctx context.Context, trustor, trustee string) ([]Trust, error) {
	return list[Trust](ctx, s, "trusts", func(q *bun.SelectQuery) *bun.SelectQuery {
		return equal(equal(q.Order("id"), "trustor_user_id", trustor), "trustee_user_id", trustee)
	})
}

// NewTrust is what a trust is made of.
type NewTrust struct {
	Trust
	Roles             []RoleName
	AllowRedelegation bool
	Count             *int64 // how often it can be handed on; nil: as often as possible
	From              string // id of the trust that the maker's token came from, "" for none
}

// CreateTrust adds a trust. The trustor must have all its roles; a trust that is
// handed on must not be more than what it comes from.
func (s *Service) CreateTrust(ctx context.Context, in NewTrust) (Trust, error) {
	t := in.Trust
	t.ID = s.newID()
	now := s.clock.Now()
	err := redelegation(&t, in)
	if err != nil {
		return t, err
	}
	return insert(ctx, s, trustKind, t.ID, t, func(tx *db.Tx, row *Trust) error {
		_, err := readUser(ctx, tx, row.TrusteeUserID)
		if err != nil {
			return err
		}
		graph, err := readRoleGraph(ctx, tx)
		if err != nil {
			return err
		}
		row.RoleIDs.V, err = graph.find(in.Roles)
		if err != nil {
			return err
		}
		holder := row.TrustorUserID
		if in.From != "" {
			holder, err = inherit(ctx, tx, row, in, now)
			if err != nil {
				return err
			}
		}
		row.Roles = graph.named(row.RoleIDs.V)
		if row.ProjectID == nil {
			return nil
		}
		_, err = readProject(ctx, tx, *row.ProjectID)
		if err != nil {
			return err
		}
		held, err := projectRoles(ctx, tx, Holder{User: holder}, *row.ProjectID)
		if err != nil {
			return err
		}
		held = graph.closure(held)
		for _, id := range row.RoleIDs.V {
			if !slices.Contains(held, id) {
				return errs.NotFoundf("Could not find role: %s.", id)
			}
		}
		return nil
	})
}

// redelegation works out how often a new trust can be handed on.
func redelegation(t *Trust, in NewTrust) error {
	t.RedelegationCount = maxRedelegation
	if in.Count != nil {
		t.RedelegationCount = *in.Count
	}
	switch {
	case !in.AllowRedelegation || t.RedelegationCount == 0:
		t.RedelegationCount = 0
	case t.RedelegationCount > maxRedelegation:
		return errs.Forbiddenf("Requested redelegation depth of %d is greater than allowed %d", t.RedelegationCount, maxRedelegation)
	case t.RemainingUses != nil:
		return errs.BadRequestf("remaining_uses must not be set if redelegation is allowed")
	}
	return nil
}

// inherit checks a trust against the one it is handed on from, and finds whose
// roles it is about in the end.
func inherit(ctx context.Context, tx *db.Tx, t *Trust, in NewTrust, now time.Time) (holder string, err error) {
	chain, err := readChain(ctx, tx, in.From, now)
	if err != nil {
		return "", err
	}
	from := chain[0]
	t.RedelegatedID = &from.ID
	left := from.RedelegationCount - 1
	if in.AllowRedelegation && in.Count != nil && *in.Count != 0 && *in.Count != left {
		return "", errs.Forbiddenf("Modifying \"redelegation_count\" upon redelegation is forbidden. Omitting this parameter is advised.")
	}
	if t.RedelegationCount > 0 {
		t.RedelegationCount = left
	}
	for _, above := range chain {
		switch {
		case above.RedelegationCount < 1 || above.RedelegationCount > maxRedelegation:
			return "", errs.Forbiddenf("Remaining redelegation depth of %d out of allowed range of [0..%d]", above.RedelegationCount, maxRedelegation)
		case t.RemainingUses != nil:
			return "", errs.Forbiddenf("Field \"remaining_uses\" is set to %d while it must not be set in order to redelegate a trust", *t.RemainingUses)
		case above.ExpiresAt != 0 && t.ExpiresAt > above.ExpiresAt:
			return "", errs.Forbiddenf("Requested expiration time is more than redelegated trust can provide")
		case t.Impersonation && !above.Impersonation:
			return "", errs.Forbiddenf("Impersonation is not allowed because redelegated trust does not specify impersonation. Redelegated trust id: %s", above.ID)
		case slices.ContainsFunc(t.RoleIDs.V, func(id string) bool { return !slices.Contains(above.RoleIDs.V, id) }):
			return "", errs.Forbiddenf("Some of requested roles are not in redelegated trust")
		case above.ProjectID != nil && (t.ProjectID == nil || *t.ProjectID != *above.ProjectID):
			return "", errs.Forbiddenf("The project is not the one of the redelegated trust")
		}
		if t.ExpiresAt == 0 {
			t.ExpiresAt = above.ExpiresAt
		}
	}
	return chain[len(chain)-1].TrustorUserID, nil
}

// DeleteTrust removes a trust and those that were handed on from it; their
// tokens end.
func (s *Service) DeleteTrust(ctx context.Context, id string) error {
	return remove[Trust](ctx, s, trustKind, id, func(tx *db.Tx) error {
		var below []string
		err := tx.All(ctx, &below, `
			WITH RECURSIVE below (id) AS (
				SELECT id FROM trusts WHERE redelegated_trust_id = ?
				UNION SELECT t.id FROM trusts t JOIN below ON t.redelegated_trust_id = below.id)
			SELECT id FROM below ORDER BY id`, id)
		if err != nil {
			return fmt.Errorf("read trusts handed on from %s: %w", id, err)
		}
		for _, child := range below {
			err = tell(ctx, tx, trustKind, deleted, child)
			if err != nil {
				return err
			}
		}
		return s.stale(ctx)(tx)
	})
}

// useTrust counts a token that is made by a trust. The last one of those that
// are left is taken by one caller alone.
func (s *Service) useTrust(ctx context.Context, id string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		t, err := find[Trust](ctx, tx, trustKind, id)
		if err != nil || t.RemainingUses == nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE trusts SET remaining_uses = remaining_uses - 1 WHERE id = ? AND remaining_uses > 0`, id)
		if err == nil && n == 0 {
			err = noTrust(id)
		}
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return unauthorized(err)
	}
	return err
}

// trusted checks that a trust is good for a token, and returns whose roles it is
// about.
func (i *Issued) trusted(ctx context.Context, tx *db.Tx, id, bearer, project string, now time.Time) (Trust, string, error) {
	chain, err := readChain(ctx, tx, id, now)
	if errs.Is(err, errs.NotFound) {
		err = unauthorized(err)
	}
	if err != nil {
		return Trust{}, "", err
	}
	t := chain[0]
	switch {
	case t.TrusteeUserID != bearer:
		return t, "", errs.Forbiddenf("User is not a trustee.").Because(errors.New("the token's user is not the trustee"))
	case project == "" || t.ProjectID == nil || *t.ProjectID != project:
		return t, "", unauthorized(errors.New("the trust is for another project"))
	}
	for _, above := range chain {
		for _, user := range []string{above.TrustorUserID, above.TrusteeUserID} {
			_, err = i.readPerson(ctx, tx, user)
			if err != nil {
				return t, "", err
			}
		}
	}
	return t, chain[len(chain)-1].TrustorUserID, nil
}
