package compute

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nacre/internal/db"
	"nacre/internal/quota"
)

// userQuota is a limit of one user within a project. It holds besides the
// project's, which is the user's as well where there is no other.
type userQuota struct {
	Project  string `bun:",pk"`
	UserID   string `bun:",pk"`
	Resource string `bun:",pk"`
	Hard     int64
}

// ownLimits are the limits that a user has within a project and others have not.
func ownLimits(ctx context.Context, tx *db.Tx, project, user string) (map[string]int64, error) {
	var rows []userQuota
	err := tx.All(ctx, &rows, "SELECT * FROM user_quotas WHERE project = ? AND user_id = ?", project, user)
	if err != nil {
		return nil, fmt.Errorf("read quotas of user %s: %w", user, err)
	}
	own := make(map[string]int64, len(rows))
	for _, r := range rows {
		own[r.Resource] = r.Hard
	}
	return own, nil
}

// limitsFor are the limits that hold for a user of the project: of its own and the
// user's, the lower ones.
func limitsFor(ctx context.Context, tx *db.Tx, project, user string, names ...string) (map[string]int64, error) {
	limits, err := quota.Limits(ctx, tx, project, names...)
	if err != nil {
		return nil, err
	}
	own, err := ownLimits(ctx, tx, project, user)
	for name, limit := range limits {
		hard, has := own[name]
		if has && (limit < 0 || hard >= 0 && hard < limit) {
			limits[name] = hard
		}
	}
	return limits, err
}

// usedBy counts what a user has in the project, as the project's usage does.
func usedBy(ctx context.Context, tx *db.Tx, project, user string) (map[string]int64, error) {
	var servers []Server
	err := tx.All(ctx, &servers, `SELECT flavor, other_flavor FROM servers
		WHERE project = ? AND deleted_at = 0 AND soft_deleted_at = 0 AND user_id = ?`, project, user)
	if err != nil {
		return nil, fmt.Errorf("count servers of user %s: %w", user, err)
	}
	used := map[string]int64{quota.Instances: int64(len(servers))}
	for _, server := range servers {
		vcpus, ram := server.holds()
		used[quota.Cores] += vcpus
		used[quota.RAM] += ram
	}
	var groups int64
	err = tx.Get(ctx, &groups, "SELECT COUNT(*) FROM server_groups WHERE project = ? AND user_id = ?", project, user)
	if err != nil {
		return nil, fmt.Errorf("count server groups of user %s: %w", user, err)
	}
	used[quota.ServerGroup] = groups
	return used, nil
}

// take is quota.Reserve for what a user has of the project's. It counts after that,
// as nobody else adds to the project's usage then.
func take(ctx context.Context, tx *db.Tx, project, user string, items ...quota.Item) error {
	err := quota.Reserve(ctx, tx, project, items...)
	if err != nil {
		return err
	}
	own, err := ownLimits(ctx, tx, project, user)
	if err != nil || len(own) == 0 {
		return err
	}
	used, err := usedBy(ctx, tx, project, user)
	if err != nil {
		return err
	}
	var exceeded *quota.Exceeded
	for _, it := range slices.SortedFunc(slices.Values(items), func(a, b quota.Item) int { return strings.Compare(b.Resource, a.Resource) }) {
		limit, has := own[it.Resource]
		if has && limit >= 0 && it.N > 0 && used[it.Resource]+it.N > limit {
			exceeded = &quota.Exceeded{Resource: it.Resource, Requested: it.N, Used: used[it.Resource], Limit: limit, Also: exceeded}
		}
	}
	if exceeded == nil {
		return nil
	}
	err = quota.Release(ctx, tx, project, items...)
	if err != nil {
		return err
	}
	return exceeded
}

// promisedTo sums the limits of the users of a project, except one.
func promisedTo(ctx context.Context, tx *db.Tx, project, except string) (map[string]int64, error) {
	var rows []userQuota
	err := tx.All(ctx, &rows, "SELECT * FROM user_quotas WHERE project = ? AND user_id <> ? AND hard > 0", project, except)
	if err != nil {
		return nil, fmt.Errorf("read quotas of the users of project %s: %w", project, err)
	}
	sums := map[string]int64{}
	for _, r := range rows {
		sums[r.Resource] += r.Hard
	}
	return sums, nil
}

// setUserQuotas gives a user limits of their own.
func setUserQuotas(ctx context.Context, tx *db.Tx, project, user string, limits map[string]int64) error {
	for name, hard := range limits {
		_, err := tx.Exec(ctx, `
			INSERT INTO user_quotas (project, user_id, resource, hard) VALUES (?, ?, ?, ?)
			ON CONFLICT (project, user_id, resource) DO UPDATE SET hard = excluded.hard`, project, user, name, hard)
		if err != nil {
			return fmt.Errorf("set quota of user %s: %w", user, err)
		}
	}
	return nil
}
