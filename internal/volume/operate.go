package volume

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// HostChange is what an operator says of a host that keeps volumes. Nil changes
// nothing.
type HostChange struct {
	Disabled *bool
	Reason   *string
	Frozen   *bool
}

// OperateHost notes what an operator says of a host.
func (s *Service) OperateHost(ctx context.Context, host string, change HostChange) (Backend, error) {
	backends, err := s.Backends(ctx)
	if err != nil {
		return Backend{}, err
	}
	for _, b := range backends {
		if b.Host.Name != host {
			continue
		}
		if change.Disabled != nil {
			b.Disabled = *change.Disabled
		}
		if change.Reason != nil {
			b.Reason = *change.Reason
		}
		if change.Frozen != nil {
			b.Frozen = *change.Frozen
		}
		err = s.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `
				INSERT INTO volume_hosts (name, disabled, reason, frozen) VALUES (?, ?, ?, ?)
				ON CONFLICT (name) DO UPDATE SET disabled = excluded.disabled, reason = excluded.reason, frozen = excluded.frozen`,
				host, b.Disabled, b.Reason, b.Frozen)
			return err
		})
		return b, unexpected("operate host "+host, err)
	}
	return Backend{}, errs.NotFoundf("Service cinder-volume could not be found on host %s.", host)
}

// DefaultTypeOf is the type that volumes of a project have when nobody asks for
// another.
type DefaultTypeOf struct{ Project, Type string }

// DefaultTypes lists the projects that have a default type of their own: all, or
// the one named.
func (s *Service) DefaultTypes(ctx context.Context, project string) (list []DefaultTypeOf, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &list, "SELECT project, type FROM default_volume_types WHERE project = ? OR ? = '' ORDER BY project", project, project)
	})
	return list, unexpected("list default types", err)
}

// SetDefaultType gives a project a default type, by name or id.
func (s *Service) SetDefaultType(ctx context.Context, project, kind string) (d DefaultTypeOf, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		t, err := typeByName(ctx, tx, Viewer{Admin: true}, kind)
		if err != nil {
			return err
		}
		d = DefaultTypeOf{project, t.ID}
		_, err = tx.Exec(ctx, `
			INSERT INTO default_volume_types (project, type) VALUES (?, ?)
			ON CONFLICT (project) DO UPDATE SET type = excluded.type`, project, t.ID)
		return err
	})
	return d, unexpected("set default type of project "+project, err)
}

// UnsetDefaultType gives a project the cloud's default type again.
func (s *Service) UnsetDefaultType(ctx context.Context, project string) error {
	return unexpected("unset default type of project "+project, s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "DELETE FROM default_volume_types WHERE project = ?", project)
		if err == nil && n == 0 {
			return errs.NotFoundf("Default type for project %s not found.", project)
		}
		return err
	}))
}

// BackendsFor is Backends, of those that can keep volumes of the type: by name or
// id, "" for any.
func (s *Service) BackendsFor(ctx context.Context, kind string) ([]Backend, error) {
	backends, err := s.Backends(ctx)
	if err != nil || kind == "" {
		return backends, err
	}
	var t Type
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		t, err = typeByName(ctx, tx, Viewer{Admin: true}, kind)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(backends, func(b Backend) bool { return !s.capable(b, []map[string]string{t.ExtraSpecs.V}) }), nil
}

// levels are what is logged at least, in OpenStack's words.
var levels = map[string]slog.Level{
	"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARNING": slog.LevelWarn, "ERROR": slog.LevelError, "CRITICAL": slog.LevelError + 4,
}

// LogLevel is what this server logs at least.
func (s *Service) LogLevel() (server, level string) {
	for word, l := range levels {
		if l == s.level.Level() {
			level = word
		}
	}
	return s.server, level
}

// SetLogLevel changes what this server logs, if it is meant.
func (s *Service) SetLogLevel(level string, meant bool) error {
	l, known := levels[strings.ToUpper(level)]
	if !known {
		return errs.BadRequestf("Invalid input received: %s is not a valid log level.", level)
	}
	if meant {
		s.level.Set(l)
	}
	return nil
}

// Server is one of the servers, which schedule and back up by turns.
type Server struct {
	ID     string
	SeenAt db.Time
}

// silence is how long a server may say nothing and count as up.
const silence = 30 * time.Second

// Up tells whether the server was there a moment ago.
func (s *Service) Up(server Server) bool { return s.clock.Now().Sub(server.SeenAt.Time()) < silence }

// Peers lists the servers of the cloud.
func (s *Service) Peers(ctx context.Context) (list []Server, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &list, "SELECT id, seen_at FROM cloud_servers ORDER BY id")
	})
	return list, unexpected("list servers", err)
}
