package compute

import (
	"context"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// A guest gets another volume in place of one in two turns. First the host copies the
// bytes, and from then on writes what the guest writes to both: whatever ends that
// leaves the former as it is. Then the server's row says that the new one is it, from
// which there is no way back: a host that dies before the guest has it, or after, is
// left with the new one, which has all that the guest was told is written.

// VolumeSwap is a volume that takes the place of an attachment's.
type VolumeSwap struct {
	Attachment string           `json:"attachment"` // what it will be
	Volume     string           `json:"volume"`
	SizeGB     int64            `json:"size_gb"`
	Epoch      int64            `json:"epoch"`
	Limits     map[string]int64 `json:"limits,omitempty"`
	Go         bool             `json:"go,omitempty"`
}

func (v *VolumeSwap) document() *nodeapi.Swap {
	if v == nil {
		return nil
	}
	return &nodeapi.Swap{Volume: v.Volume, Epoch: v.Epoch, SizeGB: int(v.SizeGB), Limits: v.Limits, Go: v.Go}
}

type swapState struct {
	Server   string
	Old, New string // attachments
	From, To string // volumes
}

// SwapVolume begins to give a server another volume in place of one.
func (s *Service) SwapVolume(ctx context.Context, act Act, from, to string) error {
	attachment := s.newID()
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		size, err := s.volumes.Size(ctx, tx, from)
		if err != nil {
			return err
		}
		room, err := s.volumes.Size(ctx, tx, to)
		if errs.Is(err, errs.NotFound) {
			return errs.BadRequestf("Volume %s could not be found.", to)
		}
		if err != nil {
			return err
		}
		err = act.allow(server, "swap_volume", Active, PausedState, Resized)
		if err != nil {
			return err
		}
		a, err := attachmentOf(ctx, tx, server.ID, from)
		if errs.Is(err, errs.NotFound) {
			return errs.BadRequestf("Invalid volume: Old volume is attached to a different instance.")
		}
		if err != nil {
			return err
		}
		if room < size {
			return errs.BadRequestf("Invalid volume: New volume must be the same size or larger.")
		}
		err = s.swappable(ctx, tx, server, a, to)
		if err == nil {
			err = s.volumes.Detaching(ctx, tx, a.ID)
		}
		if err == nil {
			err = s.volumes.Reserve(ctx, tx, attachment, to, server.ID)
		}
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE server_volumes SET state = ? WHERE attachment = ?", swapping, a.ID)
		}
		if err != nil {
			return err
		}
		state := swapState{Server: server.ID, Old: a.ID, New: attachment, From: from, To: to}
		_, err = work.Start(ctx, tx, s.swapVolumePlan(), server.ID, state, act.options(server)...)
		return err
	})
}

// swappable refuses to swap what cannot be.
func (s *Service) swappable(ctx context.Context, tx *db.Tx, server Server, a Attachment, to string) error {
	status, err := s.volumes.Status(ctx, tx, to)
	if err != nil {
		return err
	}
	readOnly, err := s.volumes.ReadOnly(ctx, tx, to)
	if err != nil {
		return err
	}
	writers, err := s.volumes.Writers(ctx, tx, a.Volume)
	if err != nil {
		return err
	}
	s.mu.RLock()
	node := s.state[server.Host].host.Info.Node
	s.mu.RUnlock()
	switch {
	case status != "available":
		return errs.BadRequestf("Invalid volume: New volume must be detached in order to swap.")
	case readOnly:
		return errs.BadRequestf("Invalid volume: Volume %s is read-only and cannot be written to in order to swap.", to)
	case writers > 1:
		return errs.BadRequestf("Swapping multi-attach volumes with more than one read/write attachment is not supported.")
	case a.State != attached:
		return errs.BadRequestf("Invalid volume: Invalid input received: Invalid volume: Volume status must be 'in-use'. Currently in '%s' status", a.State)
	case node < nodeapi.Swaps:
		return errs.Conflictf("Host %s cannot swap volumes before its agent is upgraded.", server.Host)
	}
	return nil
}

func (s *Service) swapVolumePlan() work.Plan[swapState] {
	return work.Plan[swapState]{
		Name: "server.swap_volume", Action: "swap_volume", Deadline: moveDeadline,
		Steps: []work.Step[swapState]{
			{Name: "connect the new volume", Tx: s.swapConnect, Undo: s.undoSwap},
			{Name: "wait until it has the same bytes", Do: s.swapCopied},
			{Name: "give it to the guest", Tx: s.swapGo, NoReturn: true},
			{Name: "wait until the guest has it", Do: s.swapWait},
			{Name: "free the old volume", Tx: s.swapFinish},
		},
		Undone: s.swapUndone,
	}
}

// tellSwap tells what happens to a swap.
func (s *Service) tellSwap(ctx context.Context, tx *db.Tx, state *swapState, action string) error {
	server, err := anyServer(ctx, tx, "", state.Server)
	if err != nil {
		return err
	}
	return s.tellFacts(ctx, tx, action, told{Server: server, Volume: state.From, Swap: state.To})
}

// swapParts are the server of a swap and the attachment that another one replaces.
func swapParts(ctx context.Context, tx *db.Tx, state *swapState) (Server, Attachment, error) {
	server, err := getServer(ctx, tx, "", state.Server)
	if err != nil {
		return Server{}, Attachment{}, err
	}
	a, err := attachmentByID(ctx, tx, state.Old)
	return server, a, err
}

// swapConnect has the new volume exported to the server's host, which copies to it.
func (s *Service) swapConnect(ctx context.Context, tx *db.Tx, state *swapState) error {
	server, a, err := swapParts(ctx, tx, state)
	if err == nil {
		err = s.tellSwap(ctx, tx, state, "volume_swap.start")
	}
	if err != nil {
		return err
	}
	swap := VolumeSwap{Attachment: state.New, Volume: state.To}
	swap.SizeGB, err = s.volumes.Size(ctx, tx, state.To)
	if err == nil {
		swap.Epoch, swap.Limits, err = s.volumes.Connect(ctx, tx, state.New, server.Host, a.Device)
	}
	if err == nil {
		err = setSwap(ctx, tx, state.Old, &swap)
	}
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

func setSwap(ctx context.Context, tx *db.Tx, attachment string, swap *VolumeSwap) error {
	_, err := tx.Exec(ctx, "UPDATE server_volumes SET swap = ? WHERE attachment = ?", db.Of(swap), attachment)
	return err
}

// undoSwap has the host copy no more, and waits until it does not.
func (s *Service) undoSwap(ctx context.Context, state *swapState) error {
	return s.without(ctx, state.Server, func(tx *db.Tx) error { return setSwap(ctx, tx, state.Old, nil) }, func() error {
		return s.waitSettled(ctx, state.Server)
	})
}

func (s *Service) swapCopied(ctx context.Context, state *swapState) error {
	server, seen, err := s.seen(ctx, state.Server)
	if err != nil {
		return err
	}
	for _, swap := range seen.Swaps {
		switch {
		case swap.Volume != state.To:
		case swap.Same:
			return nil
		case swap.Problem != "":
			return errs.New(errs.Internal, "Host %s cannot copy volume %s to volume %s: %s", server.Host, state.From, state.To, swap.Problem)
		}
	}
	return work.NotYet("waiting for host %s to copy volume %s to volume %s", server.Host, state.From, state.To)
}

func (s *Service) swapGo(ctx context.Context, tx *db.Tx, state *swapState) error {
	server, a, err := swapParts(ctx, tx, state)
	if err != nil {
		return err
	}
	a.Swap.V.Go = true
	err = setSwap(ctx, tx, a.ID, a.Swap.V)
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

// swapWait waits for the guest to have the new volume. A server that is to go, be it
// with its host, does not wait for a host that is down.
func (s *Service) swapWait(ctx context.Context, state *swapState) error {
	server, _, err := s.seen(ctx, state.Server)
	leaves := server.TaskState == DeletingTask || server.TaskState == Rebuilding
	if err != nil && leaves && !s.hostUp(server.Host) {
		return nil
	}
	return err
}

// swapFinish makes the new volume the server's, and the old one available.
func (s *Service) swapFinish(ctx context.Context, tx *db.Tx, state *swapState) error {
	server, a, err := swapParts(ctx, tx, state)
	if err != nil {
		return err
	}
	err = s.volumes.Complete(ctx, tx, state.New)
	if err == nil {
		err = s.volumes.Detach(ctx, tx, state.Old)
	}
	if err != nil {
		return err
	}
	swap := a.Swap.V
	_, err = tx.Exec(ctx, `
		UPDATE server_volumes SET attachment = ?, volume = ?, state = ?, epoch = ?, grown = ?, limits = ?, swap = 'null'
		WHERE attachment = ?`, state.New, state.To, attached, swap.Epoch, swap.SizeGB, db.Of(swap.Limits), state.Old)
	if err == nil {
		err = s.want(ctx, tx, server)
	}
	if err != nil {
		return err
	}
	return s.tellSwap(ctx, tx, state, "volume_swap.end")
}

// swapUndone leaves the attachment as it was.
func (s *Service) swapUndone(ctx context.Context, tx *db.Tx, state *swapState, _ error) error {
	err := s.volumes.Detach(ctx, tx, state.New)
	if err == nil {
		err = s.volumes.Complete(ctx, tx, state.Old)
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err // what is not found went with the server
	}
	_, err = tx.Exec(ctx, "UPDATE server_volumes SET state = ?, swap = 'null' WHERE attachment = ?", attached, state.Old)
	if err != nil {
		return err
	}
	return s.tellSwap(ctx, tx, state, "volume_swap.error")
}
