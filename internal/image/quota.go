package image

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// Usage is what a project has of one resource, and may have.
type Usage struct {
	Usage int64
	Limit int64 // -1 for none
}

// counted says how much a project has of each resource that can be limited. As
// in Glance, what is there is counted, sizes are in MiB, and a project that is
// below its limit may pass it by one image, whose size nobody knows beforehand.
var counted = map[string]string{
	quota.ImageCount:     "SELECT COUNT(*) FROM images WHERE owner = ?",
	quota.ImageUploading: "SELECT COUNT(*) FROM images WHERE owner = ? AND status IN ('saving', 'uploading', 'importing')",
	quota.ImageStaged:    "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) / 1048576 FROM images WHERE owner = ? AND staged <> ''",
	// The ids of stores hold no comma, so there are as many commas as further copies.
	quota.ImageSize: `SELECT CAST(COALESCE(SUM(size * (1 + LENGTH(stores) - LENGTH(REPLACE(stores, ',', '')))), 0) AS BIGINT) / 1048576
		FROM images WHERE owner = ? AND blob <> ''`,
}

// needs are the limits that an image must be within to get to a status, and what
// it adds.
var needs = map[string]map[string]int64{
	Queued:    {quota.ImageCount: 1},
	Saving:    {quota.ImageSize: 0, quota.ImageUploading: 1},
	Uploading: {quota.ImageStaged: 0, quota.ImageUploading: 1},
	Importing: {quota.ImageSize: 0},
}

// roomFor is an error unless the project may have an image in the status.
func (s *Service) roomFor(ctx context.Context, tx *db.Tx, project, status string) error {
	resources := slices.Sorted(maps.Keys(needs[status]))
	limits, err := s.limitsOf(ctx, tx, project, resources...)
	if err != nil {
		return err
	}
	for _, resource := range resources {
		limit, more := limits[resource], needs[status][resource]
		if limit == quota.Unlimited {
			continue
		}
		used, err := count(ctx, tx, project, resource)
		if err != nil {
			return err
		}
		if used+more > limit {
			return errs.TooLargef("Project %s is over a limit for [Resource %s is over limit of %d due to current usage %d and delta %d]",
				project, resource, limit, used, more)
		}
	}
	return nil
}

// limitsOf are the limits that operators have registered, else those of package
// quota.
func (s *Service) limitsOf(ctx context.Context, tx *db.Tx, project string, resources ...string) (map[string]int64, error) {
	limits, err := quota.Limits(ctx, tx, project, resources...)
	if err != nil || s.limits == nil {
		return limits, err
	}
	registered, err := s.limits(ctx, tx, project, resources...)
	maps.Copy(limits, registered)
	return limits, err
}

func count(ctx context.Context, tx *db.Tx, project, resource string) (used int64, err error) {
	err = tx.Get(ctx, &used, counted[resource], project)
	if err != nil {
		return 0, fmt.Errorf("count %s of project %s: %w", resource, project, err)
	}
	return used, nil
}

// UsageOf returns what a project has of everything that can be limited.
func (s *Service) UsageOf(ctx context.Context, project string) (map[string]Usage, error) {
	usage := map[string]Usage{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		resources := slices.Sorted(maps.Keys(counted))
		limits, err := s.limitsOf(ctx, tx, project, resources...)
		if err != nil {
			return err
		}
		for _, resource := range resources {
			used, err := count(ctx, tx, project, resource)
			if err != nil {
				return err
			}
			usage[resource] = Usage{used, limits[resource]}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read usage of images: %w", err)
	}
	return usage, nil
}
