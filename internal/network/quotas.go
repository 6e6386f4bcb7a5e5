package network

import (
	"context"
	"math"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// QuotaResources are the quotas of the network service, in the order shown.
var QuotaResources = []string{
	quota.Network, quota.Subnet, quota.SubnetPool, quota.Port, quota.Router, quota.FloatingIP,
	quota.SecurityGroup, quota.SecurityGroupRule, quota.RBACPolicy, quota.Trunk,
}

// Quota returns a project's limits and usage. The project "" has the defaults.
func (s *Service) Quota(ctx context.Context, project string) (limits, used map[string]int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		limits, err = quota.Limits(ctx, tx, project, QuotaResources...)
		if err != nil {
			return err
		}
		used, err = quota.Usage(ctx, tx, project, QuotaResources...)
		return err
	})
	return limits, used, err
}

// Quotas returns the limits of all projects that have limits of their own.
func (s *Service) Quotas(ctx context.Context) (projects []string, limits map[string]map[string]int64, err error) {
	limits = map[string]map[string]int64{}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		projects, err = quota.Overridden(ctx, tx, QuotaResources...)
		if err != nil {
			return err
		}
		for _, p := range projects {
			limits[p], err = quota.Limits(ctx, tx, p, QuotaResources...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return projects, limits, err
}

// SetQuota gives a project limits of its own. When it is checked, none may be below
// what the project uses.
func (s *Service) SetQuota(ctx context.Context, project string, limits map[string]int64, checked bool) error {
	for name, n := range limits {
		if n < quota.Unlimited || n > math.MaxInt32 {
			return errs.BadRequestf("Invalid input for %s. Reason: '%d' must be an integer from -1 to %d.", name, n, math.MaxInt32).Typed("HTTPBadRequest")
		}
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if checked {
			used, err := quota.Usage(ctx, tx, project, QuotaResources...)
			if err != nil {
				return err
			}
			for name, n := range limits {
				if n != quota.Unlimited && used[name] > n {
					return errs.BadRequestf("Quota limit for %s cannot be set to %d: the project uses %d.", name, n, used[name]).Typed("QuotaLimitLowerThanUsage")
				}
			}
		}
		return quota.Set(ctx, tx, project, limits)
	})
}

// ResetQuota gives a project the default limits.
func (s *Service) ResetQuota(ctx context.Context, project string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		had, err := quota.Overridden(ctx, tx, QuotaResources...)
		if err != nil {
			return err
		}
		for _, p := range had {
			if p == project {
				return quota.Unset(ctx, tx, project, QuotaResources...)
			}
		}
		return errs.NotFoundf("Quota for tenant %s could not be found.", project).Typed("TenantQuotaNotFound")
	})
}
