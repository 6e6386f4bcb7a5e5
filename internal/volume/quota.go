package volume

import (
	"context"
	"errors"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/loop"
	"nacre/internal/quota"
)

// What is counted for each volume type besides the whole.
const (
	volumesOf   = "volumes_"
	gigabytesOf = "gigabytes_"
	snapshotsOf = "snapshots_"
)

// volumeItems is what a volume takes from its project's quotas.
func volumeItems(kind string, size int64) []quota.Item {
	return append(sizeItems(kind, size), quota.Volumes(1), quota.Item{Resource: volumesOf + kind, N: 1})
}

// snapshotItems is what a snapshot takes.
func snapshotItems(kind string, size int64) []quota.Item {
	return append(sizeItems(kind, size), quota.Snapshots(1), quota.Item{Resource: snapshotsOf + kind, N: 1})
}

func sizeItems(kind string, size int64) []quota.Item {
	return []quota.Item{quota.Gigabytes(int(size)), {Resource: gigabytesOf + kind, N: size}}
}

// reserve takes items from the quotas, and words a refusal as Cinder does.
func reserve(ctx context.Context, tx *db.Tx, project string, items []quota.Item) error {
	err := quota.Reserve(ctx, tx, project, items...)
	var e *quota.Exceeded
	if !errors.As(err, &e) {
		return err
	}
	text := fmt.Sprintf("Requested volume or snapshot exceeds allowed %s quota. Requested %dG, quota is %dG and %dG has been consumed.",
		e.Resource, e.Requested, e.Limit, e.Used)
	switch {
	case e.Resource == quota.Group:
		text = fmt.Sprintf("Maximum number of groups allowed (%d) exceeded.", e.Limit)
	case e.Resource == quota.Volume || hasPrefix(e.Resource, volumesOf):
		text = fmt.Sprintf("Maximum number of volumes allowed (%d) exceeded for quota '%s'.", e.Limit, e.Resource)
	case e.Resource == quota.Snapshot || hasPrefix(e.Resource, snapshotsOf):
		text = fmt.Sprintf("Maximum number of snapshots allowed (%d) exceeded for quota '%s'.", e.Limit, e.Resource)
	}
	return errs.TooLargef("%s", text).With("Retry-After", "0").Because(e)
}

// checkSize refuses a volume that is larger than any may be.
func checkSize(ctx context.Context, tx *db.Tx, project string, size int64) error {
	limits, err := quota.Limits(ctx, tx, project, quota.PerVolumeGigabyte)
	if err != nil {
		return err
	}
	limit := limits[quota.PerVolumeGigabyte]
	if limit >= 0 && size > limit {
		return errs.TooLargef("Requested volume size %dG is larger than maximum allowed limit %dG.", size, limit).With("Retry-After", "0")
	}
	return nil
}

func hasPrefix(text, prefix string) bool {
	return len(text) > len(prefix) && text[:len(prefix)] == prefix
}

// QuotaResources are the names that quota sets show, with those of each type.
func QuotaResources(types []Type) []string {
	list := []string{
		quota.Volume, quota.Snapshot, quota.Gigabyte, quota.PerVolumeGigabyte,
		quota.Backup, quota.BackupGigabyte, quota.Group,
	}
	for _, t := range types {
		list = append(list, volumesOf+t.Name, gigabytesOf+t.Name, snapshotsOf+t.Name)
	}
	return list
}

// Quota is one line of a quota set.
type Quota struct {
	Resource string
	Limit    int64
	Used     int64
}

// Quotas returns the limits and use of a project, "" for the defaults.
func (s *Service) Quotas(ctx context.Context, project string) ([]Quota, error) {
	var list []Quota
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		types, err := allTypes(ctx, tx)
		if err != nil {
			return err
		}
		shown, kept := QuotaResources(types), quotaKeys(types)
		limits, err := quota.Limits(ctx, tx, project, kept...)
		if err != nil {
			return err
		}
		used, err := quota.Usage(ctx, tx, project, kept...)
		if err != nil {
			return err
		}
		list = nil
		for i := range shown {
			list = append(list, Quota{shown[i], limits[kept[i]], used[kept[i]]})
		}
		return nil
	})
	return list, unexpected("read quotas", err)
}

// quotaKeys are QuotaResources as they are counted: types by id, since names
// change.
func quotaKeys(types []Type) []string {
	byID := make([]Type, len(types))
	for i, t := range types {
		byID[i] = Type{Name: t.ID}
	}
	return QuotaResources(byID)
}

// SetQuotas sets limits of a project, "" for the defaults of all. A resource
// that does not exist is refused.
func (s *Service) SetQuotas(ctx context.Context, project string, limits map[string]int64) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		types, err := allTypes(ctx, tx)
		if err != nil {
			return err
		}
		shown, kept := QuotaResources(types), quotaKeys(types)
		named := map[string]string{}
		for i := range shown {
			named[shown[i]] = kept[i]
		}
		set := map[string]int64{}
		for name, limit := range limits {
			key, known := named[name]
			if !known {
				return errs.BadRequestf("Bad key(s) in quota set: %s", name)
			}
			if limit < quota.Unlimited {
				return errs.BadRequestf("Invalid input received: Quota %s must be -1 or greater.", name)
			}
			set[key] = limit
		}
		return quota.Set(ctx, tx, project, set)
	})
	return unexpected("set quotas", err)
}

// UnsetQuotas gives a project the default limits again.
func (s *Service) UnsetQuotas(ctx context.Context, project string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		types, err := allTypes(ctx, tx)
		if err != nil {
			return err
		}
		return quota.Unset(ctx, tx, project, quotaKeys(types)...)
	})
	return unexpected("unset quotas", err)
}

// Used sums what a project has: for the limits call.
func (s *Service) Used(ctx context.Context, project string) (map[string]Quota, error) {
	list, err := s.Quotas(ctx, project)
	if err != nil {
		return nil, err
	}
	byName := map[string]Quota{}
	for _, q := range list {
		byName[q.Resource] = q
	}
	return byName, nil
}

// recount sets the counters right, should they ever drift from the rows.
func (s *Service) recount(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		var rows []struct {
			Project string
			Type    string
			Number  int64
			Size    int64
			Snap    bool
		}
		err := tx.Freeze(ctx)
		if err != nil {
			return err
		}
		err = tx.All(ctx, &rows, `
			SELECT project, type, COUNT(*) AS number, SUM(size) AS size, FALSE AS snap FROM volumes GROUP BY project, type
			UNION ALL
			SELECT project, type, COUNT(*) AS number, SUM(size) AS size, TRUE AS snap FROM snapshots GROUP BY project, type`)
		if err != nil {
			return fmt.Errorf("count volumes: %w", err)
		}
		var groups []struct {
			Project string
			Number  int64
		}
		err = tx.All(ctx, &groups, "SELECT project, COUNT(*) AS number FROM volume_groups GROUP BY project")
		if err != nil {
			return fmt.Errorf("count groups: %w", err)
		}
		var backups []struct {
			Project string
			Number  int64
			Size    int64
		}
		err = tx.All(ctx, &backups, "SELECT project, COUNT(*) AS number, SUM(size) AS size FROM volume_backups GROUP BY project")
		if err != nil {
			return fmt.Errorf("count backups: %w", err)
		}
		counted := map[string]map[string]int64{
			quota.Volume: {}, quota.Gigabyte: {}, quota.Snapshot: {}, quota.Group: {}, quota.Backup: {}, quota.BackupGigabyte: {},
		}
		count := func(resource, project string, n int64) {
			if counted[resource] == nil {
				counted[resource] = map[string]int64{}
			}
			counted[resource][project] += n
		}
		for _, row := range rows {
			count(quota.Gigabyte, row.Project, row.Size)
			count(gigabytesOf+row.Type, row.Project, row.Size)
			whole, each := quota.Volume, volumesOf
			if row.Snap {
				whole, each = quota.Snapshot, snapshotsOf
			}
			count(whole, row.Project, row.Number)
			count(each+row.Type, row.Project, row.Number)
		}
		for _, row := range groups {
			count(quota.Group, row.Project, row.Number)
		}
		for _, row := range backups {
			count(quota.Backup, row.Project, row.Number)
			count(quota.BackupGigabyte, row.Project, row.Size)
		}
		for resource, projects := range counted {
			wrong, err := quota.Recount(ctx, tx, resource, projects)
			if err != nil {
				return err
			}
			if wrong > 0 {
				loop.Did(ctx, "recounted", resource, "projects", wrong)
			}
		}
		return nil
	})
}
