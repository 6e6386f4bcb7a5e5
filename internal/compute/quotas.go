package compute

import (
	"context"
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

// Quotas returns the quotas of a project; "" has the defaults.
func (s *Service) Quotas(ctx context.Context, project string) (Quotas, error) {
	var q Quotas
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		q.Limits, err = quota.Limits(ctx, tx, project, QuotaNames...)
		if err != nil {
			return err
		}
		q.Used, err = quota.Usage(ctx, tx, project, QuotaNames...)
		// Usage of key pairs is a user's; of the rest, a server's or a group's.
		for _, name := range []string{quota.KeyPair, quota.ServerGroupMember, quota.MetadataItem, quota.InjectedFile, quota.InjectedFileBytes, quota.InjectedFilePath} {
			q.Used[name] = 0
		}
		return err
	})
	return q, err
}

// SetQuotas gives a project limits of its own. Unless forced, a limit must not
// be below what is used.
func (s *Service) SetQuotas(ctx context.Context, project string, limits map[string]int64, force bool) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		used, err := quota.Usage(ctx, tx, project, QuotaNames...)
		if err != nil {
			return err
		}
		for name, limit := range limits {
			switch {
			case !slices.Contains(QuotaNames, name):
				return errs.BadRequestf("Bad key(s) in quota set: %s", name)
			case limit < -1:
				return errs.BadRequestf("Quota limit %d for %s must be -1 or greater.", limit, name)
			case !force && limit >= 0 && limit < used[name]:
				return errs.BadRequestf("Quota limit %d for %s must be greater than or equal to already used and reserved %d.", limit, name, used[name])
			}
		}
		return quota.Set(ctx, tx, project, limits)
	})
}

// UnsetQuotas gives a project the default limits again.
func (s *Service) UnsetQuotas(ctx context.Context, project string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error { return quota.Unset(ctx, tx, project, QuotaNames...) })
}
