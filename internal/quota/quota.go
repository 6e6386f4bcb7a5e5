// Package quota counts what projects have and refuses what is too much.
//
// Usage is reserved in the transaction that makes the resource and released in
// the one that removes it, so that both stand or fall together. Should they
// drift apart all the same, a loop of the resource's owner sets them right by
// Recount.
//
// A limit is, in this order: the project's own, the one set for all projects
// (Set for project ""), the one in the table of defaults.go. -1 is no limit.
package quota

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Unlimited is the limit that nothing exceeds.
const Unlimited = -1

// Item is an amount of one resource.
type Item struct {
	Resource string
	N        int64
}

// Exceeded says that a reservation would pass a limit. Unless the service
// words it in its own way, users see the sentence of Error as 403.
type Exceeded struct {
	Resource  string
	Requested int64
	Used      int64
	Limit     int64
	Also      *Exceeded // another limit that it would pass
}

// Error is a sentence for users.
func (e *Exceeded) Error() string {
	var resources, requested, used, limits []string
	for ; e != nil; e = e.Also {
		resources = append(resources, e.Resource)
		requested = append(requested, strconv.FormatInt(e.Requested, 10))
		used = append(used, strconv.FormatInt(e.Used, 10))
		limits = append(limits, strconv.FormatInt(e.Limit, 10))
	}
	list := func(words []string) string { return strings.Join(words, ", ") }
	return fmt.Sprintf("Quota exceeded for %s: Requested %s, but already used %s of %s %s",
		list(resources), list(requested), list(used), list(limits), list(resources))
}

// As lets package errs find a classified error here.
func (e *Exceeded) As(target any) bool {
	classified, ok := target.(**errs.Error)
	if ok {
		*classified = errs.Forbiddenf("%s", e.Error())
	}
	return ok
}

// Reserve takes the amounts from the project's quotas, all or none. What is
// too much is *Exceeded.
func Reserve(ctx context.Context, tx *db.Tx, project string, items ...Item) error {
	items = merged(items)
	if len(items) == 0 {
		return nil
	}
	limits, err := Limits(ctx, tx, project, names(items)...)
	if err != nil {
		return err
	}
	var exceeded *Exceeded
	last := &exceeded
	for _, it := range items {
		used, err := add(ctx, tx, project, it)
		if err != nil {
			return err
		}
		limit := limits[it.Resource]
		if limit >= 0 && it.N > 0 && used > limit {
			*last = &Exceeded{Resource: it.Resource, Requested: it.N, Used: used - it.N, Limit: limit}
			last = &(*last).Also
		}
	}
	if exceeded == nil {
		return nil
	}
	for _, it := range items {
		_, err := add(ctx, tx, project, Item{it.Resource, -it.N})
		if err != nil {
			return err
		}
	}
	return exceeded
}

// Release gives the amounts back.
func Release(ctx context.Context, tx *db.Tx, project string, items ...Item) error {
	for _, it := range merged(items) {
		_, err := add(ctx, tx, project, Item{it.Resource, -it.N})
		if err != nil {
			return err
		}
	}
	return nil
}

// add is atomic on every database: the row is locked while it changes.
func add(ctx context.Context, tx *db.Tx, project string, it Item) (used int64, err error) {
	err = tx.Get(ctx, &used, `
		INSERT INTO quota_usages (project, resource, used) VALUES (?, ?, ?)
		ON CONFLICT (project, resource) DO UPDATE SET used = quota_usages.used + excluded.used
		RETURNING used`, project, it.Resource, it.N)
	if err != nil {
		return 0, fmt.Errorf("count %s of project %s: %w", it.Resource, project, err)
	}
	return used, nil
}

// merged sums items of the same resource and sorts them, so that two
// transactions lock rows in the same order.
func merged(items []Item) []Item {
	sums := map[string]int64{}
	for _, it := range items {
		sums[it.Resource] += it.N
	}
	list := make([]Item, 0, len(sums))
	for resource, n := range sums {
		if n != 0 {
			list = append(list, Item{resource, n})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Resource < list[j].Resource })
	return list
}

func names(items []Item) []string {
	list := make([]string, len(items))
	for i, it := range items {
		list[i] = it.Resource
	}
	return list
}

type limitRow struct {
	Project  string `bun:"project"`
	Resource string `bun:"resource"`
	Hard     int64  `bun:"hard"`
}

// Limits returns the limits of a project for the resources. The project "" has
// those of a project without its own.
func Limits(ctx context.Context, tx *db.Tx, project string, resources ...string) (map[string]int64, error) {
	limits := map[string]int64{}
	if len(resources) == 0 {
		return limits, nil
	}
	var rows []limitRow
	err := tx.All(ctx, &rows, `
		SELECT project, resource, hard FROM quota_limits
		WHERE project IN ('', ?) AND resource IN (?) ORDER BY project`, project, db.In(resources))
	if err != nil {
		return nil, fmt.Errorf("read quotas of project %s: %w", project, err)
	}
	for _, r := range resources {
		limits[r] = Default(r)
	}
	for _, r := range rows { // "" comes first
		limits[r.Resource] = r.Hard
	}
	return limits, nil
}

// Usage returns how much the project has of each resource.
func Usage(ctx context.Context, tx *db.Tx, project string, resources ...string) (map[string]int64, error) {
	usage := map[string]int64{}
	for _, r := range resources {
		usage[r] = 0
	}
	if len(resources) == 0 {
		return usage, nil
	}
	var rows []struct {
		Resource string `bun:"resource"`
		Used     int64  `bun:"used"`
	}
	err := tx.All(ctx, &rows, `SELECT resource, used FROM quota_usages WHERE project = ? AND resource IN (?)`,
		project, db.In(resources))
	if err != nil {
		return nil, fmt.Errorf("read usage of project %s: %w", project, err)
	}
	for _, r := range rows {
		usage[r.Resource] = r.Used
	}
	return usage, nil
}

// Set gives the project limits of its own. Project "" is every project without.
func Set(ctx context.Context, tx *db.Tx, project string, limits map[string]int64) error {
	for resource, hard := range limits {
		_, err := tx.Exec(ctx, `
			INSERT INTO quota_limits (project, resource, hard) VALUES (?, ?, ?)
			ON CONFLICT (project, resource) DO UPDATE SET hard = excluded.hard`, project, resource, hard)
		if err != nil {
			return fmt.Errorf("set quota of project %s: %w", project, err)
		}
	}
	return nil
}

// Unset takes the project's own limits for the resources away.
func Unset(ctx context.Context, tx *db.Tx, project string, resources ...string) error {
	if len(resources) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `DELETE FROM quota_limits WHERE project = ? AND resource IN (?)`, project, db.In(resources))
	if err != nil {
		return fmt.Errorf("unset quota of project %s: %w", project, err)
	}
	return nil
}

// Overridden lists the projects that have limits of their own for any of the
// resources.
func Overridden(ctx context.Context, tx *db.Tx, resources ...string) ([]string, error) {
	var projects []string
	if len(resources) == 0 {
		return projects, nil
	}
	err := tx.All(ctx, &projects, `
		SELECT DISTINCT project FROM quota_limits WHERE project <> '' AND resource IN (?) ORDER BY project`, db.In(resources))
	if err != nil {
		return nil, fmt.Errorf("list projects with quotas: %w", err)
	}
	return projects, nil
}

// Recount sets what each project has of a resource to what its owner counted
// in the same transaction, and returns how many were wrong.
func Recount(ctx context.Context, tx *db.Tx, resource string, counted map[string]int64) (wrong int, err error) {
	var rows []struct {
		Project string `bun:"project"`
		Used    int64  `bun:"used"`
	}
	err = tx.All(ctx, &rows, `SELECT project, used FROM quota_usages WHERE resource = ?`, resource)
	if err != nil {
		return 0, fmt.Errorf("recount %s: %w", resource, err)
	}
	recorded := map[string]int64{}
	for _, r := range rows {
		recorded[r.Project] = r.Used
	}
	drift := map[string]int64{}
	for project, n := range counted {
		drift[project] = n - recorded[project]
	}
	for project, n := range recorded {
		_, known := counted[project]
		if !known {
			drift[project] = -n
		}
	}
	for project, n := range drift {
		if n == 0 {
			continue
		}
		wrong++
		_, err := add(ctx, tx, project, Item{resource, n})
		if err != nil {
			return 0, err
		}
	}
	return wrong, nil
}

// Count adds the amounts without looking at the limits, for what a project gets
// unasked.
func Count(ctx context.Context, tx *db.Tx, project string, items ...Item) error {
	for _, it := range merged(items) {
		_, err := add(ctx, tx, project, it)
		if err != nil {
			return err
		}
	}
	return nil
}
