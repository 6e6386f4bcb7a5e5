package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// Migration is a server's way from one host to another, or to another size. Its
// id names the consumer that holds the room on the host that is left, until it
// is certain that the server does not come back.
type Migration struct {
	bun.BaseModel `bun:"table:migrations,alias:migrations"`

	ID        string `bun:",pk"`
	Seq       int64
	Server    string
	Kind      MigrationKind
	Status    MigrationStatus
	Source    string
	Dest      string // "" until a host is chosen
	OldFlavor string
	NewFlavor string
	Project   string // of who asked, as UserID
	UserID    string
	Hidden    bool
	Urge      string // what somebody wants of it meanwhile
	CreatedAt db.Time
	UpdatedAt db.Time
}

// MigrationKind is why a server moves.
type MigrationKind string

// The kinds of migrations.
const (
	ColdMigration MigrationKind = "migration"
	ResizeMove    MigrationKind = "resize"
	LiveMigration MigrationKind = "live-migration"
	Evacuation    MigrationKind = "evacuation"
)

// MigrationStatus is how far a migration is.
type MigrationStatus string

// The stages of migrations. A cold one is finished when the server is on the other
// host, and over when that was confirmed or reverted; a live one is accepted,
// prepared, runs and is completed.
const (
	Accepted      MigrationStatus = "accepted"
	Preparing     MigrationStatus = "preparing"
	RunningMove   MigrationStatus = "running"
	PreMigrating  MigrationStatus = "pre-migrating"
	Migrating     MigrationStatus = "migrating"
	PostMigrating MigrationStatus = "post-migrating"
	Finished      MigrationStatus = "finished"
	Confirming    MigrationStatus = "confirming"
	Confirmed     MigrationStatus = "confirmed"
	Reverting     MigrationStatus = "reverting"
	Reverted      MigrationStatus = "reverted"
	Completed     MigrationStatus = "completed"
	Cancelled     MigrationStatus = "cancelled"
	Failed        MigrationStatus = "failed"
	ErrorMove     MigrationStatus = "error"
	Done          MigrationStatus = "done" // evacuations
)

// over are the stages after which nothing happens any more.
var over = []MigrationStatus{Confirmed, Reverted, Completed, Cancelled, Failed, ErrorMove, Done}

// Over tells whether nothing happens any more.
func (m Migration) Over() bool { return slices.Contains(over, m.Status) }

// addMigration begins a migration of the server, from the host that it is on.
func (s *Service) addMigration(ctx context.Context, tx *db.Tx, m Migration) (Migration, error) {
	err := tx.Lock(ctx, "migration numbers")
	if err != nil {
		return m, err
	}
	err = tx.Get(ctx, &m.Seq, "SELECT COALESCE(MAX(seq), 0) + 1 FROM migrations")
	if err != nil {
		return m, err
	}
	m.CreatedAt = db.At(s.clock.Now())
	m.UpdatedAt = m.CreatedAt
	err = tx.Insert(ctx, &m)
	if err != nil {
		return m, fmt.Errorf("insert migration of server %s: %w", m.Server, err)
	}
	return m, nil
}

// getMigration reads a migration.
func getMigration(ctx context.Context, tx *db.Tx, id string) (Migration, error) {
	var m Migration
	err := tx.Get(ctx, &m, "SELECT * FROM migrations WHERE id = ?", id)
	if errors.Is(err, sql.ErrNoRows) {
		return m, errs.NotFoundf("Migration %s could not be found.", id)
	}
	if err != nil {
		return m, fmt.Errorf("read migration %s: %w", id, err)
	}
	return m, nil
}

// setMigration says how far a migration is and, unless that is "", where it leads.
func (s *Service) setMigration(ctx context.Context, tx *db.Tx, id string, status MigrationStatus, dest string) error {
	_, err := tx.Exec(ctx, `
		UPDATE migrations SET status = ?, dest = CASE WHEN ? = '' THEN dest ELSE ? END, updated_at = ? WHERE id = ?`,
		status, dest, dest, db.At(s.clock.Now()), id)
	if err != nil {
		return fmt.Errorf("write migration %s: %w", id, err)
	}
	return nil
}

// openMigrations are the migrations of a server that are not over, oldest first.
func openMigrations(ctx context.Context, tx *db.Tx, server string) ([]Migration, error) {
	var list []Migration
	err := tx.All(ctx, &list, "SELECT * FROM migrations WHERE server = ? AND status NOT IN (?) ORDER BY seq", server, db.In(over))
	if err != nil {
		return nil, fmt.Errorf("read migrations of server %s: %w", server, err)
	}
	return list, nil
}

// endMigrations ends what is left of migrations of a server that is deleted, with
// the room that they hold: whoever deletes a resized server confirms that.
func (s *Service) endMigrations(ctx context.Context, tx *db.Tx, server string) error {
	open, err := openMigrations(ctx, tx, server)
	for _, m := range open {
		if err == nil {
			err = s.release(ctx, tx, m.ID)
		}
		if err == nil {
			err = s.setMigration(ctx, tx, m.ID, Confirmed, "")
		}
	}
	return err
}

// MigrationQuery selects migrations.
type MigrationQuery struct {
	Project       string // of who asked; "" for all
	Conds         []db.Cond
	Host          string // at either end
	Kinds         []MigrationKind
	ChangedSince  db.Time
	ChangedBefore db.Time
	Page          db.Page
}

// Migrations lists migrations, newest first.
func (s *Service) Migrations(ctx context.Context, q MigrationQuery) (list []Migration, more bool, err error) {
	q.Page.Sort = newestFirst
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if q.Page.Marker != "" {
			_, err := getMigration(ctx, tx, q.Page.Marker)
			if errs.Is(err, errs.NotFound) {
				return errs.BadRequestf("Marker %s could not be found.", q.Page.Marker)
			}
			if err != nil {
				return err
			}
		}
		return q.Page.Cut(q.where(tx.NewSelect().Model(&list)), "migrations", "id").Scan(ctx)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list migrations: %w", err)
	}
	list, more = db.Trim(q.Page, list)
	return list, more, nil
}

func (q MigrationQuery) where(sel *bun.SelectQuery) *bun.SelectQuery {
	if q.Project != "" {
		sel = sel.Where("project = ?", q.Project)
	}
	if q.Host != "" {
		sel = sel.Where("(source = ? OR dest = ?)", q.Host, q.Host)
	}
	if len(q.Kinds) > 0 {
		sel = sel.Where("kind IN (?)", db.In(q.Kinds))
	}
	if q.ChangedSince > 0 {
		sel = sel.Where("updated_at >= ?", q.ChangedSince)
	}
	if q.ChangedBefore > 0 {
		sel = sel.Where("updated_at <= ?", q.ChangedBefore)
	}
	return db.Where(sel, q.Conds)
}
