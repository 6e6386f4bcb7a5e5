package object

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Container is a named set of objects.
type Container struct {
	bun.BaseModel `bun:"table:object_containers"`
	Account       string `bun:",pk"`
	Name          string `bun:",pk"`
	Meta          db.JSON[Meta]
	Settings      db.JSON[Settings]
	Objects       int64 // names that show something
	Bytes         int64 // of all versions
	CreatedAt     db.Time
	UpdatedAt     db.Time
}

// Settings are what a container has beside its metadata.
type Settings struct {
	Read  string `json:"read,omitempty"` // access lists in Swift's form
	Write string `json:"write,omitempty"`

	Versioning Versioning `json:"versioning,omitempty"`
	// Archive is the container that former versions move to, the older kind of
	// versioning; History keeps them there when the object is deleted, else the
	// last of them comes back.
	Archive string `json:"archive,omitempty"`
	History bool   `json:"history,omitempty"`

	// Of S3.
	Tags      map[string]string `json:"tags,omitempty"`
	CORS      []CORSRule        `json:"cors,omitempty"`
	Lifecycle []LifecycleRule   `json:"lifecycle,omitempty"`
}

// Versioning is whether a container keeps former versions beside the latest.
type Versioning string

// The states of versioning. The zero value is that it was never enabled.
const (
	Enabled   Versioning = "Enabled"
	Suspended Versioning = "Suspended"
)

// CORSRule lets pages of other origins use a container.
type CORSRule struct {
	ID      string   `json:"id,omitempty"`
	Origins []string `json:"origins"`
	Methods []string `json:"methods"`
	Headers []string `json:"headers,omitempty"`
	Expose  []string `json:"expose,omitempty"`
	MaxAge  int      `json:"max_age,omitempty"` // seconds
}

// LifecycleRule ends the life of objects.
type LifecycleRule struct {
	ID         string            `json:"id,omitempty"`
	Enabled    bool              `json:"enabled"`
	Prefix     string            `json:"prefix,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Days       int               `json:"days,omitempty"`       // after the object was written
	Date       db.Time           `json:"date,omitempty"`       // all of them, from then on
	Noncurrent int               `json:"noncurrent,omitempty"` // days after a version was replaced
	AbortDays  int               `json:"abort_days,omitempty"` // for uploads that nobody completes
	Markers    bool              `json:"markers,omitempty"`    // remove delete markers without versions
}

// ContainerChange is an update of a container.
type ContainerChange struct {
	Meta Meta                                 // merged into what is there
	Set  func(c Container, s *Settings) error // nil: settings stay

	OnlyNew error // what to say when the container exists, nil to change it
}

func (change ContainerChange) apply(c *Container, now time.Time) error {
	c.Meta, c.UpdatedAt = db.Of(c.Meta.V.Merge(change.Meta)), db.At(now)
	err := c.Meta.V.Check()
	if err != nil || change.Set == nil {
		return err
	}
	return change.Set(*c, &c.Settings.V)
}

// PutContainer makes the container exist and applies the change. It tells
// whether the container is new.
func (s *Service) PutContainer(ctx context.Context, account, name string, change ContainerChange) (created bool, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		c, err := findContainer(ctx, tx, account, name)
		created = errs.Is(err, errs.NotFound)
		if err != nil && !created {
			return err
		}
		if !created && change.OnlyNew != nil {
			return change.OnlyNew
		}
		if !created {
			return changeContainer(ctx, tx, c, change)
		}
		err = accountAlive(ctx, tx, account)
		if err != nil {
			return err
		}
		c = Container{Account: account, Name: name, CreatedAt: db.At(tx.Now())}
		err = change.apply(&c, tx.Now())
		if err != nil {
			return err
		}
		return tx.Insert(ctx, &c)
	})
	if err != nil {
		return false, fmt.Errorf("put container %s/%s: %w", account, name, err)
	}
	return created, nil
}

// UpdateContainer changes a container.
func (s *Service) UpdateContainer(ctx context.Context, account, name string, change ContainerChange) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		c, err := findContainer(ctx, tx, account, name)
		if err != nil {
			return err
		}
		return changeContainer(ctx, tx, c, change)
	})
	if err != nil {
		return fmt.Errorf("update container %s/%s: %w", account, name, err)
	}
	return nil
}

func changeContainer(ctx context.Context, tx *db.Tx, c Container, change ContainerChange) error {
	err := change.apply(&c, tx.Now())
	if err != nil {
		return err
	}
	_, err = tx.Update(ctx, &c, "meta", "settings", "updated_at")
	return err
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

// DeleteContainer removes an empty container. One with former versions is not
// empty; uploads that nobody completed end with it.
func (s *Service) DeleteContainer(ctx context.Context, account, name string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := findContainer(ctx, tx, account, name)
		if err != nil {
			return err
		}
		var full bool
		err = tx.Get(ctx, &full, "SELECT EXISTS (SELECT 1 FROM object_versions WHERE account = ? AND container = ?)", account, name)
		if err != nil {
			return err
		}
		if full {
			return errs.Conflictf("There was a conflict when trying to complete your request.")
		}
		return removeContainer(ctx, tx, account, name)
	})
	if err != nil {
		return fmt.Errorf("delete container %s/%s: %w", account, name, err)
	}
	return nil
}

func removeContainer(ctx context.Context, tx *db.Tx, account, name string) error {
	var uploads []string
	err := tx.All(ctx, &uploads, "SELECT id FROM object_uploads WHERE account = ? AND container = ?", account, name)
	if err != nil {
		return err
	}
	for _, id := range uploads {
		err = endUpload(ctx, tx, id, nil)
		if err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, "DELETE FROM object_containers WHERE account = ? AND name = ?", account, name)
	return err
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

// count keeps the totals of a container. None with that name is errs.NotFound.
func count(ctx context.Context, tx *db.Tx, account, container string, objects, bytes int64) error {
	n, err := tx.Exec(ctx, "UPDATE object_containers SET objects = objects + ?, bytes = bytes + ? WHERE account = ? AND name = ?",
		objects, bytes, account, container)
	if err != nil {
		return err
	}
	if n == 0 {
		return errNotFound() // the container went meanwhile
	}
	return nil
}
