package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// volumeState is what the plans about one attachment keep.
type volumeState struct {
	Server     string
	Attachment string
}

// NewAttachment asks for a volume to be attached.
type NewAttachment struct {
	Volume              string
	Device              string // a wish; the name is made here
	Tag                 *string
	DeleteOnTermination bool
	Shared              bool // it may be one that several servers may have
}

// volumeStates are the states of servers whose volumes may change. One that was resized
// takes them along, wherever it goes next.
var volumeStates = []VMState{Active, PausedState, Stopped, Resized, SoftDeleted, Shelved, Offloaded}

// errShared answers clients that don't know of volumes that several servers may have.
var errShared = errs.BadRequestf("Multiattach volumes are only supported starting with compute API version 2.60.")

// AttachVolume reserves a volume for a server and begins to attach it.
func (s *Service) AttachVolume(ctx context.Context, act Act, caller auth.Caller, in NewAttachment) (Attachment, error) {
	v, err := s.volumes.Volume(ctx, caller, in.Volume)
	if err != nil {
		return Attachment{}, err
	}
	var row Attachment
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "attach_volume", volumeStates...)
		if err != nil {
			return err
		}
		bus := server.Buses.V.Disk
		err = server.plugs("attach_volume", bus)
		if err != nil {
			return err
		}
		have, err := attachmentsOf(ctx, tx, server.ID)
		if err != nil {
			return err
		}
		taken := map[string]bool{server.RootDevice: true}
		for _, a := range have {
			if a.Volume == v.ID {
				return errs.BadRequestf("Invalid volume: volume %s is already attached to instance %s", v.ID, server.ID)
			}
			taken[a.Device] = true
		}
		if v.Shared && !in.Shared {
			return errShared
		}
		for _, name := range server.blankDevices(have) {
			taken[name] = true
		}
		row = Attachment{
			ID: s.newID(), Server: server.ID, Volume: v.ID, Device: freeDevice(taken, bus), Bus: bus, Tag: in.Tag,
			DeleteOnTermination: in.DeleteOnTermination, State: attaching, CreatedAt: db.At(s.clock.Now()),
		}
		if row.Device == "" {
			return errTooMany(bus)
		}
		err = s.volumes.Reserve(ctx, tx, row.ID, row.Volume, server.ID)
		if err != nil {
			return err
		}
		err = tx.Insert(ctx, &row)
		if err != nil {
			return fmt.Errorf("insert attachment: %w", err)
		}
		_, err = work.Start(ctx, tx, s.attachVolumePlan(), server.ID, volumeState{server.ID, row.ID}, act.options(server)...)
		return err
	})
	return row, err
}

func (s *Service) attachVolumePlan() work.Plan[volumeState] {
	return work.Plan[volumeState]{
		Name: "server.attach_volume", Action: "attach_volume", Deadline: changeDeadline,
		Steps: []work.Step[volumeState]{
			{Name: "connect volume", Tx: s.attachConnect, Undo: s.undoAttach},
			{Name: "wait for the disk", Do: func(ctx context.Context, state *volumeState) error { return s.waitSettled(ctx, state.Server) }},
			{Name: "finish", Tx: s.attachFinish},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *volumeState, _ error) error {
			return s.dropAttachment(ctx, tx, state, "volume_attach.error")
		},
	}
}

func (s *Service) attachConnect(ctx context.Context, tx *db.Tx, state *volumeState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	a, err := attachmentByID(ctx, tx, state.Attachment)
	if err != nil {
		return err
	}
	err = s.tellOfVolume(ctx, tx, "volume_attach.start", server, a.Volume)
	if err != nil || server.Host == "" {
		return err // it is connected when the server gets a host
	}
	err = s.connectVolume(ctx, tx, a, server.Host)
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

// connectVolume has the volume exported to the host.
func (s *Service) connectVolume(ctx context.Context, tx *db.Tx, a Attachment, host string) error {
	var err error
	a.Epoch, a.Limits.V, err = s.volumes.Connect(ctx, tx, a.ID, host, a.Device)
	if err != nil {
		return err
	}
	_, err = tx.Update(ctx, &a, "epoch", "limits")
	return err
}

// undoAttach takes the disk out of the machine; dropAttachment then ends the export.
func (s *Service) undoAttach(ctx context.Context, state *volumeState) error {
	return s.unplugDisk(ctx, state, func() error { return s.waitAnswer(ctx, state.Server) })
}

// withoutDisk wants the machine without the disk and waits until the guest has lost it.
func (s *Service) withoutDisk(ctx context.Context, state *volumeState) error {
	return s.unplugDisk(ctx, state, func() error { return s.waitSettled(ctx, state.Server) })
}

func (s *Service) unplugDisk(ctx context.Context, state *volumeState, wait func() error) error {
	return s.without(ctx, state.Server, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE server_volumes SET state = ? WHERE attachment = ?", detaching, state.Attachment)
		return err
	}, wait)
}

func (s *Service) attachFinish(ctx context.Context, tx *db.Tx, state *volumeState) error {
	err := s.volumes.Complete(ctx, tx, state.Attachment)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE server_volumes SET state = ? WHERE attachment = ?", attached, state.Attachment)
	if err != nil {
		return err
	}
	return s.tellVolume(ctx, tx, state, "volume_attach.end")
}

// tellVolume tells what happens to an attachment, while it is there.
func (s *Service) tellVolume(ctx context.Context, tx *db.Tx, state *volumeState, action string) error {
	a, err := attachmentByID(ctx, tx, state.Attachment)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	server, err := anyServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	return s.tellOfVolume(ctx, tx, action, server, a.Volume)
}

// dropAttachment ends an attachment and tells of it as the action.
func (s *Service) dropAttachment(ctx context.Context, tx *db.Tx, state *volumeState, action string) error {
	err := s.tellVolume(ctx, tx, state, action)
	if err != nil {
		return err
	}
	err = s.volumes.Detach(ctx, tx, state.Attachment)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM server_volumes WHERE attachment = ?", state.Attachment)
	return err
}

// DetachVolume begins to take a volume from a server.
func (s *Service) DetachVolume(ctx context.Context, act Act, volume string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "detach_volume", volumeStates...)
		if err == nil {
			err = server.letsGo("detach_volume")
		}
		if err != nil {
			return err
		}
		a, err := attachmentOf(ctx, tx, server.ID, volume)
		if err != nil {
			return err
		}
		if a.BootIndex != nil && *a.BootIndex == 0 {
			return errs.BadRequestf("Cannot detach a root device volume")
		}
		err = server.plugs("detach_volume", a.Bus)
		if err != nil {
			return err
		}
		if a.State != attached {
			// Also while it is being attached: a plan that undoes the attachment
			// would take away what the plan that ends it is about.
			return errs.BadRequestf("Invalid volume: Invalid input received: Invalid volume: Volume status must be 'in-use'. Currently in '%s' status", a.State)
		}
		err = s.volumes.Detaching(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE server_volumes SET state = ? WHERE attachment = ?", detaching, a.ID)
		if err != nil {
			return err
		}
		_, err = work.Start(ctx, tx, s.detachVolumePlan(), server.ID, volumeState{server.ID, a.ID}, act.options(server)...)
		return err
	})
}

// detachVolumePlan waits for the guest to let the disk go. One that doesn't in time keeps
// it, or gets it back if it lets go at the very end.
func (s *Service) detachVolumePlan() work.Plan[volumeState] {
	return work.Plan[volumeState]{
		Name: "server.detach_volume", Action: "detach_volume", Deadline: letGoDeadline,
		Steps: []work.Step[volumeState]{
			{Name: "begin", Tx: func(ctx context.Context, tx *db.Tx, state *volumeState) error {
				return s.tellVolume(ctx, tx, state, "volume_detach.start")
			}},
			{Name: "remove the disk", Do: s.withoutDisk, NoReturn: true},
			{Name: "free the volume", Tx: func(ctx context.Context, tx *db.Tx, state *volumeState) error {
				return s.dropAttachment(ctx, tx, state, "volume_detach.end")
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *volumeState, _ error) error {
			err := s.volumes.Complete(ctx, tx, state.Attachment)
			if errs.Is(err, errs.NotFound) {
				return nil // it is gone, so there is nothing to give back
			}
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "UPDATE server_volumes SET state = ? WHERE attachment = ?", attached, state.Attachment)
			if err != nil {
				return err
			}
			return s.wantAgain(ctx, tx, state.Server)
		},
	}
}

func attachmentByID(ctx context.Context, tx *db.Tx, id string) (Attachment, error) {
	var a Attachment
	err := tx.Get(ctx, &a, "SELECT * FROM server_volumes WHERE attachment = ?", id)
	if errors.Is(err, sql.ErrNoRows) {
		return a, errs.NotFoundf("Attachment %s could not be found.", id)
	}
	if err != nil {
		return a, fmt.Errorf("read attachment %s: %w", id, err)
	}
	return a, nil
}

func attachmentOf(ctx context.Context, tx *db.Tx, server, volume string) (Attachment, error) {
	var a Attachment
	err := tx.Get(ctx, &a, "SELECT * FROM server_volumes WHERE server = ? AND volume = ?", server, volume)
	if errors.Is(err, sql.ErrNoRows) {
		return a, errs.NotFoundf("volume_id not found: %s", volume)
	}
	if err != nil {
		return a, fmt.Errorf("read attachment of volume %s: %w", volume, err)
	}
	return a, nil
}

// Attachments lists the volumes of a server.
func (s *Service) Attachments(ctx context.Context, project, id string) (Server, []Attachment, error) {
	var server Server
	var list []Attachment
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, project, id)
		if err != nil {
			return err
		}
		list, err = attachmentsOf(ctx, tx, id)
		return err
	})
	return server, list, err
}

// Attachment returns one volume of a server.
func (s *Service) Attachment(ctx context.Context, project, id, volume string) (Server, Attachment, error) {
	var server Server
	var a Attachment
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, project, id)
		if err != nil {
			return err
		}
		a, err = attachmentOf(ctx, tx, id, volume)
		return err
	})
	return server, a, err
}

// KeepVolume says whether a volume goes when its server does.
func (s *Service) KeepVolume(ctx context.Context, act Act, volume string, deleteOnTermination bool) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		a, err := attachmentOf(ctx, tx, server.ID, volume)
		if err != nil {
			return err
		}
		a.DeleteOnTermination = deleteOnTermination
		_, err = tx.Update(ctx, &a, "delete_on_termination")
		return err
	})
}
