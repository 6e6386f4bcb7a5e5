package identity

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
)

// A user is in a group because somebody put it there, or because an identity
// provider named the group when the user signed in last. The latter counts for the
// tokens of sign-ins by that provider, and for all else (application
// credentials, trusts, lists) as long as the provider's authorization_ttl says.

// Holder is whose roles are asked for.
type Holder struct {
	User string
	IDP  string // that the user has signed in by, "" for all else
}

// lately is the condition that a group which a provider has named still counts for
// all.
const lately = `i.enabled = 1 AND m.verified_at + COALESCE(i.authorization_ttl, 0) * 60000000 > ?`

// groupsOf are the groups of a holder; the placeholders take args.
const groupsOf = `
	SELECT group_id FROM group_members WHERE user_id = ?
	UNION ALL SELECT m.group_id FROM federated_members m JOIN identity_providers i ON i.id = m.idp_id
	WHERE m.user_id = ? AND (m.idp_id = ? OR ` + lately + `)`

func (h Holder) args(tx *db.Tx) []any { return []any{h.User, h.User, h.IDP, db.At(tx.Now())} }

// heldBy is the condition that a grant is the holder's, by itself or by a group;
// the placeholders take holds.
const heldBy = `((actor_kind = 'user' AND actor_id = ?) OR (actor_kind = 'group' AND actor_id IN (` + groupsOf + `)))`

func (h Holder) holds(tx *db.Tx) []any { return append([]any{h.User}, h.args(tx)...) }

// membersNow are the pairs of groups and their users; the placeholder takes the
// time.
const membersNow = `
	SELECT group_id, user_id FROM group_members
	UNION SELECT m.group_id, m.user_id FROM federated_members m JOIN identity_providers i ON i.id = m.idp_id WHERE ` + lately

// membersEver lists who is in a group or was named by a provider to be, however
// long ago: tokens may rest on it.
func membersEver(ctx context.Context, tx *db.Tx, group string) ([]string, error) {
	var users []string
	err := tx.All(ctx, &users, `
		SELECT user_id FROM group_members WHERE group_id = ? UNION SELECT user_id FROM federated_members WHERE group_id = ?`, group, group)
	if err != nil {
		return nil, fmt.Errorf("read members of group %s: %w", group, err)
	}
	return users, nil
}

// membershipEnd is when the first of a user's groups ceases to count, zero for
// never.
func membershipEnd(ctx context.Context, tx *db.Tx, user string) (time.Time, error) {
	var end db.Time
	err := tx.Get(ctx, &end, `
		SELECT COALESCE(MIN(m.verified_at + COALESCE(i.authorization_ttl, 0) * 60000000), 0)
		FROM federated_members m JOIN identity_providers i ON i.id = m.idp_id WHERE m.user_id = ? AND `+lately, user, db.At(tx.Now()))
	if err != nil {
		return time.Time{}, fmt.Errorf("read groups of user %s: %w", user, err)
	}
	return end.Time(), nil
}
