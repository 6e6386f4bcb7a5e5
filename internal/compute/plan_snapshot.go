package compute

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// NewImage is an image to be made of a server.
type NewImage struct {
	ID         string
	Name       string
	MinDiskGB  int64
	MinRAMMB   int64
	Properties map[string]string
}

// Snapshot asks for an image of a server's root disk.
type Snapshot struct {
	Name     string
	Metadata map[string]string
	Backup   *Backup // what makes it a backup; nil: it is none
}

// Backup is an image in a rotation.
type Backup struct {
	Kind string // such as daily; also ""
	Keep int    // how many of the newest of the kind stay
}

type snapshotState struct {
	Server  string
	Image   string
	Rotate  *Backup
	Volumes []plannedSnapshot // of a server whose root disk is a volume
	Caller  asker
}

// SnapshotServer begins to make an image of a server's root disk, also of one that is
// locked. The image is there when it returns, without its bytes.
func (s *Service) SnapshotServer(ctx context.Context, act Act, caller auth.Caller, in Snapshot) (image string, err error) {
	action, task := "createImage", Snapshotting
	if in.Backup != nil {
		action, task = "createBackup", BackingUp
	}
	err = s.checkMetadata(ctx, caller, in.Metadata)
	if errs.Is(err, errs.Forbidden) {
		return "", errs.Forbiddenf("Image metadata limit exceeded")
	}
	if err != nil {
		return "", err
	}
	server, err := s.Server(ctx, act.Project, act.Server)
	if err != nil {
		return "", err
	}
	err = ready(server, action, settled...)
	if err != nil {
		return "", err
	}
	if server.Image == "" && in.Backup != nil {
		return "", errs.BadRequestf("Backup is not supported for volume-backed instances.")
	}
	properties := snapshotProperties(server, caller.User)
	if in.Backup != nil {
		properties["image_type"], properties["backup_type"] = "backup", in.Backup.Kind
	}
	maps.Copy(properties, in.Metadata) // what the user says holds
	flavor := server.Flavor.V
	state := snapshotState{Server: server.ID, Image: s.newID(), Rotate: in.Backup, Caller: askerOf(caller)}
	made := NewImage{ID: state.Image, Name: in.Name, MinDiskGB: flavor.Disk, Properties: properties}
	if server.Image == "" {
		state.Volumes, err = s.imageOfVolumes(ctx, caller, server, &made)
		if err != nil {
			return "", err
		}
	}
	// The image comes first: the caller looks at it at once. If we stop before the
	// plan is there, an image without bytes is left, which its owner can delete.
	err = s.images.CreateImage(ctx, caller, made)
	if err != nil {
		return "", err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = ready(server, action, settled...)
		if err != nil {
			return err
		}
		server.TaskState = task
		err = s.save(ctx, tx, &server, "task_state")
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.snapshotPlan(), server.ID, state, append(act.options(server), work.As(action))...)
		return err
	})
	if err != nil {
		s.dropImage(context.WithoutCancel(ctx), state.Image)
		return "", err
	}
	return state.Image, nil
}

// snapshotProperties are the properties of an image of a server's disk that a
// user makes.
func snapshotProperties(server Server, user string) map[string]string {
	properties := maps.Clone(words(server.ImageProperties.V))
	maps.Copy(properties, map[string]string{
		"image_type": "snapshot", "instance_uuid": server.ID, "user_id": user, "base_image_ref": server.Image,
	})
	return properties
}

// dropImage removes an image that got no bytes. One that is gone is a success.
func (s *Service) dropImage(ctx context.Context, id string) error {
	err := s.images.DeleteImage(ctx, id)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

func (s *Service) snapshotPlan() work.Plan[snapshotState] {
	return work.Plan[snapshotState]{
		Name: "server.create_image", Action: "createImage", Deadline: createDeadline,
		Steps: []work.Step[snapshotState]{
			{Name: "begin", Tx: func(ctx context.Context, tx *db.Tx, state *snapshotState) error {
				return s.tellID(ctx, tx, "snapshot.start", state.Server)
			}, Undo: s.undoSnapshot},
			{Name: "take snapshots of the volumes", Do: s.takeSnapshots, Undo: s.undoSnapshots},
			{Name: "upload the disk", Do: s.snapshotUpload},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *snapshotState) error {
				err := s.idle(ctx, tx, state.Server)
				if err != nil {
					return err
				}
				return s.tellID(ctx, tx, "snapshot.end", state.Server)
			}, NoReturn: true},
			{Name: "remove old backups", Do: s.rotate},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *snapshotState, _ error) error {
			return s.idle(ctx, tx, state.Server)
		},
	}
}

// snapshotUpload reads the disk from the host into the image. When it stops half
// way, the image becomes free for another try.
func (s *Service) snapshotUpload(ctx context.Context, state *snapshotState) error {
	status, err := s.images.ImageStatus(ctx, state.Image)
	switch {
	case err != nil:
		return err
	case status == "active":
		return nil
	case status != "queued":
		return work.NotYet("waiting for image %s, which is %s", state.Image, status)
	}
	if len(state.Volumes) > 0 {
		return s.images.UploadImage(ctx, state.Image, strings.NewReader(""))
	}
	server, err := s.Server(ctx, "", state.Server)
	if err != nil {
		return err
	}
	if !s.hostUp(server.Host) {
		return work.NotYet("waiting for host %s, which is down", server.Host)
	}
	disk, err := s.hosts.Tunnel(ctx, server.Host, nodeapi.StreamRoot, server.ID)
	if err != nil {
		return fmt.Errorf("read disk of server %s: %w", server.ID, err)
	}
	defer disk.Close()
	return s.images.UploadImage(ctx, state.Image, disk)
}

func (s *Service) undoSnapshot(ctx context.Context, state *snapshotState) error {
	return s.dropImage(ctx, state.Image)
}

// rotate removes the oldest backups of the kind.
func (s *Service) rotate(ctx context.Context, state *snapshotState) error {
	if state.Rotate == nil {
		return nil
	}
	list, err := s.images.Backups(ctx, state.Caller.Project, state.Server, state.Rotate.Kind)
	if err != nil {
		return err
	}
	for _, id := range list[:max(0, len(list)-state.Rotate.Keep)] {
		err = s.dropImage(ctx, id)
		if err != nil {
			return err
		}
	}
	return nil
}
