package object

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

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
}

// Container is a named set of objects.
type Container struct {
	bun.BaseModel `bun:"table:object_containers"`
	Account       string `bun:",pk"`
	Name          string `bun:",pk"`
	Meta          db.JSON[Meta]
	Objects       int64
	Bytes         int64
	CreatedAt     db.Time
	UpdatedAt     db.Time
}

// Account returns an account. One that nobody has written to is empty.
func (s *Service) Account(ctx context.Context, name string) (Account, error) {
	a := Account{Name: name}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var row accountRow
		err := tx.Get(ctx, &row, "SELECT * FROM object_accounts WHERE name = ?"+tx.Hold(), name)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
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

// UpdateAccount changes the account's metadata.
func (s *Service) UpdateAccount(ctx context.Context, name string, changes Meta) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row := accountRow{Name: name, CreatedAt: db.At(tx.Now())}
		err := tx.Get(ctx, &row, "SELECT * FROM object_accounts WHERE name = ?"+tx.Hold(), name)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
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
		return fmt.Errorf("update account %s: %w", name, err)
	}
	return nil
}

// PutContainer makes the container exist and applies the metadata. It tells
// whether the container is new.
func (s *Service) PutContainer(ctx context.Context, account, name string, meta Meta) (created bool, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		now := db.At(tx.Now())
		c, err := findContainer(ctx, tx, account, name)
		created = errs.Is(err, errs.NotFound)
		if err != nil && !created {
			return err
		}
		if created {
			c = Container{Account: account, Name: name, CreatedAt: now}
		}
		c.Meta, c.UpdatedAt = db.Of(c.Meta.V.Merge(meta)), now
		err = c.Meta.V.Check()
		if err != nil {
			return err
		}
		if created {
			return tx.Insert(ctx, &c)
		}
		_, err = tx.Update(ctx, &c, "meta", "updated_at")
		return err
	})
	if err != nil {
		return false, fmt.Errorf("put container %s/%s: %w", account, name, err)
	}
	return created, nil
}

// UpdateContainer changes the container's metadata.
func (s *Service) UpdateContainer(ctx context.Context, account, name string, changes Meta) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		c, err := findContainer(ctx, tx, account, name)
		if err != nil {
			return err
		}
		c.Meta, c.UpdatedAt = db.Of(c.Meta.V.Merge(changes)), db.At(tx.Now())
		err = c.Meta.V.Check()
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, &c, "meta", "updated_at")
		return err
	})
	if err != nil {
		return fmt.Errorf("update container %s/%s: %w", account, name, err)
	}
	return nil
}

// Container returns a container.
func (s *Service) Container(ctx context.Context, account, name string) (Container, error) {
	var c Container
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		c, err = findContainer(ctx, tx, account, name)
		return err
	})
	return c, err
}

// DeleteContainer removes an empty container.
func (s *Service) DeleteContainer(ctx context.Context, account, name string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		c, err := findContainer(ctx, tx, account, name)
		if err != nil {
			return err
		}
		if c.Objects > 0 {
			return errs.Conflictf("There was a conflict when trying to complete your request.")
		}
		_, err = tx.Exec(ctx, "DELETE FROM object_containers WHERE account = ? AND name = ?", account, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete container %s/%s: %w", account, name, err)
	}
	return nil
}

func findContainer(ctx context.Context, tx *db.Tx, account, name string) (Container, error) {
	var c Container
	err := tx.Get(ctx, &c, "SELECT * FROM object_containers WHERE account = ? AND name = ?"+tx.Hold(), account, name)
	if errors.Is(err, sql.ErrNoRows) {
		return Container{}, errNotFound()
	}
	if err != nil {
		return Container{}, fmt.Errorf("read container %s/%s: %w", account, name, err)
	}
	return c, nil
}
