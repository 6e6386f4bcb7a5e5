package compute

import (
	"context"
	"fmt"
	"maps"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// ServerUpdate is what an owner may change about a server. Nil keeps.
type ServerUpdate struct {
	Name        *string
	Description **string
	AccessIP4   *string
	AccessIP6   *string
	Hostname    *string
	AutoDisk    *bool
	PinnedZone  *string // "" for none
}

// UpdateServer changes what an owner may change.
func (s *Service) UpdateServer(ctx context.Context, act Act, in ServerUpdate) (Server, error) {
	return s.edit(ctx, act, "update", func(server *Server) error {
		in.apply(server)
		if in.PinnedZone == nil {
			return nil
		}
		return s.pin(server, *in.PinnedZone)
	}, "name", "description", "access_ip4", "access_ip6", "hostname", "auto_disk", "zone")
}

// pin keeps a server in the zone that it is in, whenever it moves, or lets it go
// anywhere.
func (s *Service) pin(server *Server, zone string) error {
	at := s.ZoneOf(server.Host)
	switch {
	case zone == "" || zone == server.Zone:
	case server.Zone != "":
		return errs.Conflictf("Server %s is pinned to availability zone '%s' and cannot be pinned to '%s' directly: set pinned_availability_zone to null first.",
			server.ID, server.Zone, zone)
	case zone != at:
		return errs.Conflictf("Server %s can only be pinned to its current availability zone '%s', and '%s' was requested.", server.ID, at, zone)
	}
	server.Zone = zone
	return nil
}

// apply writes the change into the row.
func (in ServerUpdate) apply(server *Server) {
	for _, change := range []struct{ from, to *string }{
		{in.Name, &server.Name}, {in.AccessIP4, &server.AccessIP4}, {in.AccessIP6, &server.AccessIP6}, {in.Hostname, &server.Hostname},
	} {
		if change.from != nil {
			*change.to = *change.from
		}
	}
	if in.Description != nil {
		server.Description = *in.Description
	}
	if in.AutoDisk != nil {
		server.AutoDisk = *in.AutoDisk
	}
}

// edit changes a server that exists, in one transaction, and tells of it as the
// action.
func (s *Service) edit(ctx context.Context, act Act, action string, do func(*Server) error, columns ...string) (Server, error) {
	var server Server
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		before := server
		err = do(&server)
		if err != nil {
			return err
		}
		err = s.save(ctx, tx, &server, columns...)
		if err != nil {
			return err
		}
		if action != "update" { // what has a name of its own is an action that users may look up
			err = work.Record(ctx, tx, action, server.ID, tx.Now(), nil, act.options(server)...)
			if err != nil {
				return err
			}
			return s.tell(ctx, tx, action, server)
		}
		return s.tellUpdate(ctx, tx, before, server)
	})
	return server, err
}

// SetMetadata adds metadata or, with replace, makes it be exactly this.
func (s *Service) SetMetadata(ctx context.Context, act Act, metadata map[string]string, replace bool) (Server, error) {
	var server Server
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.unlocked(server)
		if err == nil {
			err = mustBe(server, "update metadata", settled...)
		}
		if err != nil {
			return err
		}
		all := map[string]string{}
		if !replace {
			all = maps.Clone(server.Metadata.V)
		}
		maps.Copy(all, metadata)
		err = metadataFits(ctx, tx, server.Project, act.User, all)
		if err != nil {
			return err
		}
		server.Metadata.V = all
		err = s.save(ctx, tx, &server, "metadata")
		if err != nil {
			return err
		}
		return s.tellUpdate(ctx, tx, server, server)
	})
	return server, err
}

// DeleteMetadata removes one item.
func (s *Service) DeleteMetadata(ctx context.Context, act Act, key string) error {
	_, err := s.edit(ctx, act, "update", func(server *Server) error {
		_, has := server.Metadata.V[key]
		if !has {
			return errs.NotFoundf("Metadata item was not found")
		}
		err := act.unlocked(*server)
		if err == nil {
			err = mustBe(*server, "delete metadata", settled...)
		}
		if err != nil {
			return err
		}
		delete(server.Metadata.V, key)
		return nil
	}, "metadata")
	return err
}

// LockServer keeps everybody but admins from changing a server.
func (s *Service) LockServer(ctx context.Context, act Act, reason *string) error {
	_, err := s.edit(ctx, act, "lock", func(server *Server) error {
		server.Locked, server.LockedReason, server.LockedBy = true, reason, "admin"
		if !act.Admin || act.By == act.Project {
			server.LockedBy = "owner"
		}
		return nil
	}, "locked", "locked_reason", "locked_by")
	return err
}

// UnlockServer takes that back. What an admin locked only an admin unlocks.
func (s *Service) UnlockServer(ctx context.Context, act Act) error {
	_, err := s.edit(ctx, act, "unlock", func(server *Server) error {
		if server.LockedBy == "admin" && !act.Admin {
			return errs.Forbiddenf("Policy doesn't allow os_compute_api:os-lock-server:unlock:unlock_override to be performed.")
		}
		server.Locked, server.LockedReason, server.LockedBy = false, nil, ""
		return nil
	}, "locked", "locked_reason", "locked_by")
	return err
}

// ResetState says that a server is in a state, whatever it is.
func (s *Service) ResetState(ctx context.Context, act Act, state VMState) error {
	_, err := s.edit(ctx, act, "update", func(server *Server) error {
		if server.VMState == SoftDeleted {
			return errs.Conflictf("Cannot 'reset_state' instance %s while it is in vm_state %s: restore it.", server.ID, server.VMState)
		}
		if server.Host == "" && state == Active {
			return errs.Conflictf("Cannot 'reset_state' instance %s: it has no host to be active on", server.ID)
		}
		server.VMState, server.TaskState = state, ""
		return nil
	}, "vm_state", "task_state")
	return err
}

// tagged is a server whose tags are about to change.
func tagged(ctx context.Context, tx *db.Tx, act Act, action string) (Server, error) {
	server, err := getServer(ctx, tx, act.Project, act.Server)
	if err != nil {
		return server, err
	}
	return server, mustBe(server, action, settled...)
}

// SetTags replaces the tags of a server.
func (s *Service) SetTags(ctx context.Context, act Act, tags []string) error {
	action := "update tags"
	if tags == nil {
		action = "delete tags"
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := tagged(ctx, tx, act, action)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM server_tags WHERE server = ?", server.ID)
		if err != nil {
			return fmt.Errorf("clear tags of server %s: %w", server.ID, err)
		}
		err = insertTags(ctx, tx, server.ID, tags)
		if err != nil {
			return err
		}
		return s.tellUpdate(ctx, tx, server, server)
	})
}

// maxTags is how many tags a server may have.
const maxTags = 50

// AddTag adds one tag and tells whether it is new.
func (s *Service) AddTag(ctx context.Context, act Act, tag string) (added bool, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := tagged(ctx, tx, act, "update tag")
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "INSERT INTO server_tags (server, tag) VALUES (?, ?) ON CONFLICT (server, tag) DO NOTHING", server.ID, tag)
		if err != nil {
			return fmt.Errorf("insert tag: %w", err)
		}
		added = n > 0
		var count int
		err = tx.Get(ctx, &count, "SELECT COUNT(*) FROM server_tags WHERE server = ?", server.ID)
		if err == nil && count > maxTags {
			return errs.BadRequestf("The number of tags exceeded the per-server limit %d", maxTags)
		}
		if err != nil || !added {
			return err
		}
		return s.tellUpdate(ctx, tx, server, server)
	})
	return added, err
}

// DeleteTag removes one tag.
func (s *Service) DeleteTag(ctx context.Context, act Act, tag string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := tagged(ctx, tx, act, "delete tag")
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "DELETE FROM server_tags WHERE server = ? AND tag = ?", act.Server, tag)
		if err == nil && n == 0 {
			return errs.NotFoundf("Server %s has no tag '%s'", act.Server, tag)
		}
		if err != nil {
			return err
		}
		return s.tellUpdate(ctx, tx, server, server)
	})
}

// Tags lists the tags of a server.
func (s *Service) Tags(ctx context.Context, server string) ([]string, error) {
	list := []string{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &list, "SELECT tag FROM server_tags WHERE server = ? ORDER BY tag", server)
	})
	return list, err
}
