package compute

import (
	"context"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// reimageState is what the plan keeps that begins a server anew whose root disk
// is a volume.
type reimageState struct {
	rebuildState
	Attachment string
	Volume     string
	Image      string // whose bytes the volume gets; "" leaves it as it is
	Revision   int64  // of the volume, before it gets them
	Running    bool   // afterwards
	Before     bool   // until now
	Rest       Rest   // until now
	Lost       bool   // the volume has neither the old bytes nor the new ones
	Caller     asker
}

// rootVolume is the attachment that a server boots from.
func rootVolume(ctx context.Context, tx *db.Tx, server string) (Attachment, error) {
	list, err := attachmentsOf(ctx, tx, server)
	if err != nil {
		return Attachment{}, err
	}
	for _, a := range list {
		if a.BootIndex != nil && *a.BootIndex == 0 {
			return a, nil
		}
	}
	return Attachment{}, errs.BadRequestf("Instance %s boots from no volume.", server)
}

// checkReimage says whether the volume that a server boots from may get the
// bytes of the image. Before 2.93 it keeps those that it has.
func (s *Service) checkReimage(ctx context.Context, caller auth.Caller, server Server, image Image, in Rebuild) error {
	var root Attachment
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		root, err = rootVolume(ctx, tx, server.ID)
		return err
	})
	if err != nil {
		return err
	}
	v, err := s.volumes.Volume(ctx, caller, root.Volume)
	if err != nil {
		return err
	}
	switch {
	case !in.OfVolume && image.ID != v.ImageProperties["image_id"]:
		return errs.BadRequestf("Unable to rebuild with a different image for a volume-backed server.")
	case image.MinDiskGB > v.SizeGB:
		return errs.BadRequestf("Volume is smaller than the minimum size specified in image metadata. Volume size is %d bytes, minimum size is %d bytes.",
			v.SizeGB<<30, image.MinDiskGB<<30)
	case image.SizeBytes > v.SizeGB<<30:
		return errs.BadRequestf("Volume is too small for requested image. Volume size is %d bytes, image is %d bytes.", v.SizeGB<<30, image.SizeBytes)
	}
	return checkImage(image, server.Flavor.V, false, false)
}

func (s *Service) startReimage(ctx context.Context, tx *db.Tx, act Act, server Server, of rebuildState, caller auth.Caller, anew bool) error {
	root, err := rootVolume(ctx, tx, server.ID)
	if err != nil {
		return err
	}
	state := reimageState{
		rebuildState: of, Attachment: root.ID, Volume: root.Volume,
		Running: server.VMState != Stopped, Before: server.Running, Rest: server.Rest, Caller: askerOf(caller),
	}
	if anew {
		state.Image = of.Change.To
	}
	_, err = work.Start(ctx, tx, s.reimagePlan(), server.ID, state, act.options(server)...)
	return err
}

// reimagePlan takes the volume from the guest while it gets other bytes. Given
// up, it waits for these: the guest gets a volume back that has the former bytes
// or the new ones, and stays off without one that has neither. The server is in
// ERROR in either case, and may be rebuilt again.
func (s *Service) reimagePlan() work.Plan[reimageState] {
	return work.Plan[reimageState]{
		Name: "server.rebuild_volume", Action: "rebuild", Deadline: createDeadline,
		Steps: []work.Step[reimageState]{
			{Name: "ask for vendor data", Do: func(ctx context.Context, state *reimageState) error {
				return s.rebuildAsk(ctx, &state.rebuildState)
			}, UndoTx: func(ctx context.Context, tx *db.Tx, state *reimageState) error {
				return s.rebuildKeep(ctx, tx, &state.rebuildState)
			}},
			{Name: "stop", Tx: s.reimageStop, UndoTx: func(ctx context.Context, tx *db.Tx, state *reimageState) error {
				if state.Lost {
					return nil
				}
				return s.rest(ctx, tx, state.Server, state.Before, state.Rest)
			}},
			{Name: "wait until it has stopped", Do: func(ctx context.Context, state *reimageState) error {
				return s.waitPower(ctx, state.Server, false)
			}},
			{Name: "disconnect the root disk", Tx: s.reimageDisconnect, UndoTx: s.reimageReturn},
			{Name: "make its bytes anew", Do: s.reimageBegin, Undo: s.reimageSettled},
			{Name: "wait for its bytes", Do: s.reimageWait},
			{Name: "connect the root disk", Tx: s.reimageConnect},
			{Name: "wait", Do: func(ctx context.Context, state *reimageState) error {
				return s.waitPower(ctx, state.Server, state.Running)
			}},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *reimageState) error {
				return s.rebuildFinish(ctx, tx, &state.rebuildState)
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *reimageState, cause error) error {
			return s.rebuildFailed(ctx, tx, &state.rebuildState, cause)
		},
	}
}

func (s *Service) reimageStop(ctx context.Context, tx *db.Tx, state *reimageState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.TaskState, server.Running, server.Rest = RebuildVolumes, false, Awake
		return nil
	}, "task_state", "running", "rest")
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "rebuild.start", server)
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) reimageDisconnect(ctx context.Context, tx *db.Tx, state *reimageState) error {
	state.begin()
	if state.Image == "" {
		return nil
	}
	a, err := attachmentByID(ctx, tx, state.Attachment)
	if err == nil {
		err = s.disconnectVolume(ctx, tx, a)
	}
	if err == nil {
		state.Revision, err = s.volumes.Revision(ctx, tx, state.Volume)
	}
	if err != nil {
		return err
	}
	return s.rest(ctx, tx, state.Server, false, Awake)
}

// reimageBegin tells the volume service to make the bytes anew, unless it did so
// before we were killed.
func (s *Service) reimageBegin(ctx context.Context, state *reimageState) error {
	if state.Image == "" {
		return nil
	}
	var status string
	var revision int64
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		revision, err = s.volumes.Revision(ctx, tx, state.Volume)
		if err == nil {
			status, err = s.volumes.Status(ctx, tx, state.Volume)
		}
		return err
	})
	if err != nil || status == "downloading" || revision != state.Revision {
		return err
	}
	return s.volumes.Reimage(ctx, state.Caller.caller(), state.Volume, state.Image)
}

// reimageSettled waits until nobody writes to the volume.
func (s *Service) reimageSettled(ctx context.Context, state *reimageState) error {
	status, err := s.volumeStatus(ctx, state)
	if err == nil && status == "downloading" {
		return work.NotYet("waiting for volume %s, which is %s", state.Volume, status)
	}
	return err
}

func (s *Service) reimageWait(ctx context.Context, state *reimageState) error {
	err := s.reimageSettled(ctx, state)
	if err != nil {
		return err
	}
	status, err := s.volumeStatus(ctx, state)
	if err == nil && status == "error" {
		return errs.New(errs.Internal, "Volume %s did not get the bytes of image %s.", state.Volume, state.Image)
	}
	return err
}

func (s *Service) volumeStatus(ctx context.Context, state *reimageState) (status string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		status, err = s.volumes.Status(ctx, tx, state.Volume)
		return err
	})
	return status, err
}

// reimageReturn gives the server its root disk back, unless its bytes are lost.
func (s *Service) reimageReturn(ctx context.Context, tx *db.Tx, state *reimageState) error {
	status, err := s.volumes.Status(ctx, tx, state.Volume)
	if err != nil {
		return err
	}
	state.Lost = status == "error"
	if state.Lost {
		return nil
	}
	return s.returnRoot(ctx, tx, state)
}

func (s *Service) reimageConnect(ctx context.Context, tx *db.Tx, state *reimageState) error {
	err := s.returnRoot(ctx, tx, state)
	if err != nil {
		return err
	}
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.TaskState, server.Running, server.Rest, server.Rescue = RebuildSpawning, state.Running, Awake, db.Of[*Rescue](nil)
		server.Rebuilds++ // of the disks beside the volume
		return nil
	}, "task_state", "running", "rest", "rescue", "rebuilds")
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) returnRoot(ctx context.Context, tx *db.Tx, state *reimageState) error {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	a, err := attachmentByID(ctx, tx, state.Attachment)
	if err == nil {
		err = s.connectVolume(ctx, tx, a, server.Host)
	}
	if err == nil {
		err = s.volumes.Complete(ctx, tx, a.ID)
	}
	return err
}
