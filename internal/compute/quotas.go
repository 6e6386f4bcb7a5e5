package compute

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// QuotaNames are the quotas of compute.
var QuotaNames = []string{
	quota.Instances, quota.Cores, quota.RAM, quota.KeyPair, quota.ServerGroup, quota.ServerGroupMember,
	quota.MetadataItem, quota.InjectedFile, quota.InjectedFileBytes, quota.InjectedFilePath,
	quota.OldFixedIP, quota.OldFloatingIP, quota.OldSecurityGroup, quota.OldSecurityGroupRule,
}

// Quotas are limits and usage by name.
type Quotas struct {
	Limits map[string]int64
	Used   map[string]int64
}

// noUsage are quotas whose usage is not shown: that of key pairs is a user's, of the
// rest a server's or a group's.
var noUsage = []string{quota.KeyPair, quota.ServerGroupMember, quota.MetadataItem, quota.InjectedFile, quota.InjectedFileBytes, quota.InjectedFilePath}

// Quotas returns the quotas of a project, or of a user within it; project "" has
// the defaults.
func (s *Service) Quotas(ctx context.Context, project, user string) (Quotas, error) {
	var q Quotas
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		q.Limits, err = quota.Limits(ctx, tx, project, QuotaNames...)
		if err != nil {
			return err
		}
		if user != "" {
			own, err := ownLimits(ctx, tx, project, user)
			if err != nil {
				return err
			}
			maps.Copy(q.Limits, own)
		}
		q.Used, err = usage(ctx, tx, project, user)
		for _, name := range noUsage {
			delete(q.Used, name)
		}
		return err
	})
	return q, err
}

// usage is what a project has of everything, or a user of it.
func usage(ctx context.Context, tx *db.Tx, project, user string) (map[string]int64, error) {
	if user != "" {
		return usedBy(ctx, tx, project, user)
	}
	return quota.Usage(ctx, tx, project, QuotaNames...)
}

// SetQuotas gives a project limits of its own, or a user within it. Unless forced, a
// limit must not be below what is used, and together the users have no more than
// the project.
func (s *Service) SetQuotas(ctx context.Context, project, user string, limits map[string]int64, force bool) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		low, err := usage(ctx, tx, project, user)
		if err != nil {
			return err
		}
		high := map[string]int64{} // none for the project
		if user != "" {
			high, err = quota.Limits(ctx, tx, project, QuotaNames...)
			if err != nil {
				return err
			}
		}
		promised, err := promisedTo(ctx, tx, project, user)
		if err != nil {
			return err
		}
		for name, limit := range limits {
			most, bounded := high[name]
			bounded = bounded && most >= 0
			least := low[name]
			if user == "" {
				least = max(least, promised[name])
			} else {
				most = max(0, most-promised[name])
			}
			switch {
			case !slices.Contains(QuotaNames, name):
				return errs.BadRequestf("Bad key(s) in quota set: %s", name)
			case limit < -1:
				return errs.BadRequestf("Quota limit %d for %s must be -1 or greater.", limit, name)
			case !force && limit >= 0 && limit < least:
				return errs.BadRequestf("Quota limit %d for %s must be greater than or equal to already used and reserved %d.", limit, name, least)
			case !force && bounded && (limit < 0 || limit > most):
				return errs.BadRequestf("Quota limit %d for %s must be less than or equal to %d.", limit, name, most)
			}
		}
		if user != "" {
			return setUserQuotas(ctx, tx, project, user, limits)
		}
		return quota.Set(ctx, tx, project, limits)
	})
}

// UnsetQuotas gives a project the default limits again and its users the project's,
// or one of them.
func (s *Service) UnsetQuotas(ctx context.Context, project, user string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM user_quotas WHERE project = ? AND (user_id = ? OR ? = '')", project, user, user)
		if err != nil {
			return fmt.Errorf("unset quotas of users of project %s: %w", project, err)
		}
		if user != "" {
			return nil
		}
		return quota.Unset(ctx, tx, project, QuotaNames...)
	})
}
