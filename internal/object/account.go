package object

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Account is one project's share of the store, with its totals.
type Account struct {
	Name       string
	Meta       Meta
	Containers int64
	Objects    int64
	Bytes      int64
	CreatedAt  db.Time
}

type accountRow struct {
	bun.BaseModel `bun:"table:object_accounts"`
	Name          string `bun:",pk"`
	Meta          db.JSON[Meta]
	CreatedAt     db.Time
	DeletedAt     db.Time
}

func readAccount(ctx context.Context, tx *db.Tx, name string) (accountRow, error) {
	row := accountRow{Name: name}
	err := tx.Get(ctx, &row, "SELECT * FROM object_accounts WHERE name = ?"+tx.Hold(), name)
	if errors.Is(err, sql.ErrNoRows) {
		return row, nil
	}
	if err == nil && row.DeletedAt != 0 {
		return row, errs.New(errs.Gone, "Recently deleted").Typed("text")
	}
	return row, err
}

// accountAlive refuses what would write to an account that is being removed.
func accountAlive(ctx context.Context, tx *db.Tx, name string) error {
	_, err := readAccount(ctx, tx, name)
	return err
}

// Account returns an account. One that nobody has written to is empty.
func (s *Service) Account(ctx context.Context, name string) (Account, error) {
	a := Account{Name: name}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		row, err := readAccount(ctx, tx, name)
		if err != nil {
			return err
		}
		a.Meta, a.CreatedAt = row.Meta.V, row.CreatedAt
		var totals struct{ Containers, Objects, Bytes int64 }
		err = tx.Get(ctx, &totals, `SELECT count(*) AS containers, coalesce(sum(objects), 0) AS objects,
			coalesce(sum(bytes), 0) AS bytes FROM object_containers WHERE account = ?`, name)
		a.Containers, a.Objects, a.Bytes = totals.Containers, totals.Objects, totals.Bytes
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("read account %s: %w", name, err)
	}
	return a, nil
}

// AccountMeta is the metadata of an account, without its totals.
func (s *Service) AccountMeta(ctx context.Context, name string) (Meta, error) {
	var row accountRow
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = readAccount(ctx, tx, name)
		return err
	})
	return row.Meta.V, err
}

// UpdateAccount changes the account's metadata. It tells whether it is new.
func (s *Service) UpdateAccount(ctx context.Context, name string, changes Meta) (created bool, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		row, err := readAccount(ctx, tx, name)
		if err != nil {
			return err
		}
		created = row.CreatedAt == 0
		if created {
			row.CreatedAt = db.At(tx.Now())
		}
		row.Meta = db.Of(row.Meta.V.Merge(changes))
		err = row.Meta.V.Check()
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&row).On("CONFLICT (name) DO UPDATE SET meta = EXCLUDED.meta").Exec(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("update account %s: %w", name, err)
	}
	return created, nil
}

// DeleteAccount gives up an account. The loop object.reap empties it; until
// then it is errs.Gone.
func (s *Service) DeleteAccount(ctx context.Context, name string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row, err := readAccount(ctx, tx, name)
		if err != nil {
			return err
		}
		row.DeletedAt = db.At(tx.Now())
		if row.CreatedAt == 0 {
			row.CreatedAt = row.DeletedAt
		}
		_, err = tx.NewInsert().Model(&row).On("CONFLICT (name) DO UPDATE SET deleted_at = EXCLUDED.deleted_at").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete account %s: %w", name, err)
	}
	return nil
}

const reapPage = 500 // versions that go in one transaction

// reap empties the accounts that were given up, and forgets them.
func (s *Service) reap(ctx context.Context) error {
	var names []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &names, "SELECT name FROM object_accounts WHERE deleted_at > 0")
	})
	if err != nil {
		return fmt.Errorf("list deleted accounts: %w", err)
	}
	for _, name := range names {
		for done := false; !done; {
			err = s.db.Write(ctx, func(tx *db.Tx) error {
				var err error
				done, err = reapSome(ctx, tx, name)
				return err
			})
			if err != nil {
				return fmt.Errorf("empty account %s: %w", name, err)
			}
		}
	}
	return nil
}

func reapSome(ctx context.Context, tx *db.Tx, account string) (done bool, err error) {
	var some []Object
	err = tx.All(ctx, &some, "SELECT * FROM object_versions WHERE account = ? LIMIT ?", account, reapPage)
	if err != nil {
		return false, err
	}
	for _, o := range some {
		err = drop(ctx, tx, o)
		if err != nil {
			return false, err
		}
	}
	if len(some) > 0 {
		return false, nil
	}
	var containers []string
	err = tx.All(ctx, &containers, "SELECT name FROM object_containers WHERE account = ?", account)
	if err != nil {
		return false, err
	}
	for _, name := range containers {
		err = removeContainer(ctx, tx, account, name)
		if err != nil {
			return false, err
		}
	}
	_, err = tx.Exec(ctx, "DELETE FROM object_accounts WHERE name = ?", account)
	return true, err
}

// checkQuota holds what would be stored against the quotas of the container and
// of its account, which stand in their metadata.
func checkQuota(ctx context.Context, tx *db.Tx, c Container, objects, bytes int64) error {
	limit, set := quotaOf(c.Meta.V, "quota-bytes")
	if set && bytes > 0 && c.Bytes+bytes > limit {
		return sentence(errs.TooLarge, "Upload exceeds quota.")
	}
	limit, set = quotaOf(c.Meta.V, "quota-count")
	if set && objects > 0 && c.Objects+objects > limit {
		return sentence(errs.TooLarge, "Upload exceeds quota.")
	}
	account, err := readAccount(ctx, tx, c.Account)
	if err != nil {
		return err
	}
	most, bounded := quotaOf(account.Meta.V, "quota-bytes")
	count, counted := quotaOf(account.Meta.V, "quota-count")
	if !bounded && !counted {
		return nil
	}
	var used struct{ Objects, Bytes int64 }
	err = tx.Get(ctx, &used, `SELECT coalesce(sum(objects), 0) AS objects, coalesce(sum(bytes), 0) AS bytes
		FROM object_containers WHERE account = ?`, c.Account)
	if err != nil {
		return err
	}
	if (bounded && bytes > 0 && used.Bytes+bytes > most) || (counted && objects > 0 && used.Objects+objects > count) {
		return sentence(errs.TooLarge, "Upload exceeds quota.")
	}
	return nil
}

func quotaOf(m Meta, name string) (int64, bool) {
	n, err := strconv.ParseInt(m[name], 10, 64)
	return n, err == nil
}
