package volume

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// manageState is what the plans keep that take something over or let it go.
type manageState struct {
	ID       string
	Snapshot bool // it is one; else a volume
	Host     string
	Name     string // in the host's store
}

// managePlan takes over bytes that somebody else has put on a host. They are not
// ours until it has succeeded: to undo it lets go of them, and never removes them.
func (s *Service) managePlan() work.Plan[manageState] {
	return work.Plan[manageState]{
		Name: "volume.manage", Action: "manage", Deadline: copyDeadline,
		Steps: []work.Step[manageState]{
			{Name: "begin", Tx: func(context.Context, *db.Tx, *manageState) error { return nil }, Undo: s.forgetLetGo},
			{Name: "want it taken over", Tx: s.wantTaken, UndoTx: s.wantLetGo},
			{Name: "wait for the host", Do: func(ctx context.Context, state *manageState) error {
				return s.wait(ctx, state.Host, state.ID)
			}},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *manageState) error {
				return s.endManage(ctx, tx, state, Managing, Available, "manage_existing")
			}},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *manageState, _ error) error {
			return s.endManage(ctx, tx, state, Managing, ErrorManaging, "")
		},
	}
}

// wantTaken makes a document of the row, with the stray as what it starts from.
func (s *Service) wantTaken(ctx context.Context, tx *db.Tx, state *manageState) error {
	size := int64(0)
	if state.Snapshot {
		snapshot, err := getSnapshot(ctx, tx, state.ID)
		if err != nil {
			return err
		}
		size = snapshot.SizeGB
	} else {
		v, err := getVolume(ctx, tx, state.ID)
		if err != nil {
			return err
		}
		size = v.SizeGB
	}
	document := nodeapi.Volume{ID: state.ID, SizeGB: int(size), Stray: state.Name}
	_, err := s.hosts.Want(ctx, tx, state.Host, nodeapi.KindVolume, state.ID, document)
	return err
}

// wantLetGo orders the host to make a file of the volume that is nobody's.
func (s *Service) wantLetGo(ctx context.Context, tx *db.Tx, state *manageState) error {
	document := nodeapi.Volume{ID: state.ID, LetGo: state.Name}
	_, err := s.hosts.Want(ctx, tx, state.Host, nodeapi.KindVolume, state.ID, document)
	return err
}

// forgetLetGo forgets the document once the host has let go: before that, to
// forget it would be the order to remove the bytes.
func (s *Service) forgetLetGo(ctx context.Context, state *manageState) error {
	err := s.wait(ctx, state.Host, state.ID)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error { return s.forget(ctx, tx, state.ID) })
}

// unmanagePlan goes only forward.
func (s *Service) unmanagePlan() work.Plan[manageState] {
	return work.Plan[manageState]{
		Name: "volume.unmanage", Action: "unmanage", Deadline: copyDeadline,
		Steps: []work.Step[manageState]{
			{Name: "want it let go", NoReturn: true, Tx: s.wantLetGo},
			{Name: "wait for the host", Do: s.forgetLetGo},
			{Name: "finish", Tx: s.finishUnmanage},
		},
		Undone: func(ctx context.Context, tx *db.Tx, state *manageState, _ error) error {
			return s.endManage(ctx, tx, state, Unmanaging, ErrorUnmanaging, "")
		},
	}
}

// endManage moves the row on and, if there is an event, tells of its end.
func (s *Service) endManage(ctx context.Context, tx *db.Tx, state *manageState, from, to, event string) error {
	move, tell, suffix := setStatus, s.emit, ".end"
	prefix := "volume."
	if state.Snapshot {
		move, tell, prefix, suffix = setSnapshotStatus, s.emitSnapshot, "snapshot.", "_snapshot.end"
	}
	err := move(ctx, tx, state.ID, from, to)
	if err != nil || event == "" {
		return err
	}
	return tell(ctx, tx, prefix+event+suffix, state.ID)
}

func (s *Service) finishUnmanage(ctx context.Context, tx *db.Tx, state *manageState) error {
	if state.Snapshot {
		return s.removeSnapshotRow(ctx, tx, state.ID, "snapshot.delete.end")
	}
	return s.removeVolumeRow(ctx, tx, state.ID, "volume.unmanage.end")
}
