package object

import (
	"context"
	"fmt"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
)

const expirePage = 200 // objects that go in one transaction

// expire removes objects whose time is over. Readers have not seen them since.
func (s *Service) expire(ctx context.Context) error {
	for {
		var n int
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			var gone []Object
			err := tx.All(ctx, &gone, "SELECT * FROM object_versions WHERE delete_at > 0 AND delete_at <= ? ORDER BY delete_at LIMIT ?",
				tx.Now().Unix(), expirePage)
			if err != nil {
				return err
			}
			n = len(gone)
			for _, o := range gone {
				err = drop(ctx, tx, o)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("remove expired objects: %w", err)
		}
		if n < expirePage {
			return nil
		}
	}
}

// live applies the lifecycle rules of all containers.
func (s *Service) live(ctx context.Context) error {
	var containers []Container
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &containers, `SELECT * FROM object_containers WHERE settings LIKE '%"lifecycle"%'`)
	})
	if err != nil {
		return fmt.Errorf("list lifecycle rules: %w", err)
	}
	for _, c := range containers {
		for _, rule := range c.Settings.V.Lifecycle {
			if !rule.Enabled {
				continue
			}
			err = s.apply(ctx, c, rule)
			if err != nil {
				return fmt.Errorf("apply lifecycle rule %q of %s/%s: %w", rule.ID, c.Account, c.Name, err)
			}
		}
	}
	return nil
}

func (s *Service) apply(ctx context.Context, c Container, rule LifecycleRule) error {
	now := s.clock.Now()
	ago := func(days int) db.Time { return db.At(now.Add(-time.Duration(days) * 24 * time.Hour)) }
	each := func(where string, args []any, do func(o Object) error) error {
		return s.each(ctx, c, rule, where, args, do)
	}
	if rule.Days > 0 || (rule.Date != 0 && rule.Date.Time().Before(now)) {
		cutoff := db.At(now)
		if rule.Days > 0 {
			cutoff = ago(rule.Days)
		}
		err := each("latest = 1 AND marker = 0 AND created_at <= ?", []any{cutoff}, func(o Object) error {
			p := o.At()
			p.Version = ""
			_, err := s.Delete(ctx, p, Deletion{If: unchanged(o)})
			return err
		})
		if err != nil {
			return err
		}
	}
	remove := func(o Object) error {
		_, err := s.Delete(ctx, o.At(), Deletion{})
		return err
	}
	if rule.Noncurrent > 0 {
		// A version became history when the next was written.
		err := each(`latest = 0 AND EXISTS (SELECT 1 FROM object_versions AS n WHERE n.account = object.account
			AND n.container = object.container AND n.name = object.name AND n.version > object.version
			AND n.created_at <= ?)`, []any{ago(rule.Noncurrent)}, remove)
		if err != nil {
			return err
		}
	}
	if rule.Markers {
		err := each(`latest = 1 AND marker = 1 AND NOT EXISTS (SELECT 1 FROM object_versions AS n WHERE n.account = object.account
			AND n.container = object.container AND n.name = object.name AND n.version < object.version)`, nil, remove)
		if err != nil {
			return err
		}
	}
	if rule.AbortDays > 0 {
		return s.abortOld(ctx, c, rule.Prefix, ago(rule.AbortDays))
	}
	return nil
}

// unchanged lets a change go ahead while the object is the version we looked at.
func unchanged(o Object) Condition {
	return func(present *Object) error {
		if present != nil && present.Version != o.Version {
			return errs.Conflictf("The object was replaced.")
		}
		return nil
	}
}

// each calls do for the versions below a rule's prefix, with its tags.
func (s *Service) each(ctx context.Context, c Container, rule LifecycleRule, where string, args []any, do func(o Object) error) error {
	name, version := "", int64(0)
	for {
		var some []Object
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			q := tx.NewSelect().Model(&some).Where("account = ? AND container = ?", c.Account, c.Name).
				Where("name > ? OR (name = ? AND version > ?)", name, name, version).Where(where, args...)
			if rule.Prefix != "" {
				q = q.Where("name >= ?", rule.Prefix)
				if end := after(rule.Prefix); end != "" {
					q = q.Where("name < ?", end)
				}
			}
			return q.OrderExpr("name, version").Limit(expirePage).Scan(ctx)
		})
		if err != nil {
			return err
		}
		for _, o := range some {
			name, version = o.Name, o.Version
			if !tagged(o.Tags.V, rule.Tags) {
				continue
			}
			err = do(o)
			if err != nil && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Conflict) {
				return err
			}
		}
		if len(some) < expirePage {
			return nil
		}
	}
}

func tagged(have, want map[string]string) bool {
	for name, value := range want {
		if got, ok := have[name]; !ok || got != value {
			return false
		}
	}
	return true
}
