package compute

import (
	"context"
	"fmt"
	"io"
	"sync"

	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// The file systems of a guest whose volumes get snapshots stand still for as long as
// this server holds a stream to its host open. When this server dies, or loses the
// host, they go on by themselves, and a plan that goes on elsewhere does not pretend
// otherwise. A root disk that is no volume is copied by its host, which freezes the
// guest itself.

// frozen are the guests that this server holds frozen, by the image that is made.
type frozen struct {
	mu   sync.Mutex
	held map[string]io.ReadWriteCloser
}

// freeze has the guest of a server frozen for the snapshots of an image. Without an
// agent that does it, it fails if the server's image says that it must, and else goes
// on without. Snapshots that were taken while nobody knows whether it was are no use
// where it must, and go first.
func (s *Service) freeze(ctx context.Context, server Server, state *snapshotState) error {
	image := state.Image
	must := server.mustFreeze()
	if server.VMState != Active || !must && !boolean.Is(server.ImageProperties.V["hw_qemu_guest_agent"]) {
		return nil
	}
	s.frozen.mu.Lock()
	_, held := s.frozen.held[image]
	s.frozen.mu.Unlock()
	if held {
		return nil
	}
	begun, err := s.begunSnapshots(ctx, state)
	switch {
	case err != nil:
		return err
	case begun && !must:
		return nil
	case begun:
		err = s.undoSnapshots(ctx, state)
		if err == nil {
			begun, err = s.begunSnapshots(ctx, state)
		}
		if err == nil && begun {
			err = work.NotYet("waiting for snapshots to go that were taken while the guest was not known to be frozen")
		}
		if err != nil {
			return err
		}
	}
	stream, err := s.hosts.Tunnel(ctx, server.Host, nodeapi.StreamFreeze, server.ID)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case must && errs.Is(err, errs.Conflict):
		return errs.Conflictf("Quiescing is not supported in instance %s", server.ID).Because(err)
	case must:
		return fmt.Errorf("freeze the guest of server %s: %w", server.ID, err)
	default:
		s.log.Info("snapshots are taken without the guest's agent", "server_id", server.ID, "error", err)
		return nil
	}
	s.frozen.mu.Lock()
	defer s.frozen.mu.Unlock()
	s.frozen.held[image] = stream
	return nil
}

// mustFreeze tells whether a snapshot of the server, as it is, needs its agent.
func (server Server) mustFreeze() bool {
	return server.VMState == Active && boolean.Is(server.ImageProperties.V["os_require_quiesce"])
}

// thaw lets the guest go on, and tells whether it was frozen until now.
func (s *Service) thaw(ctx context.Context, image string) bool {
	s.frozen.mu.Lock()
	stream := s.frozen.held[image]
	delete(s.frozen.held, image)
	s.frozen.mu.Unlock()
	if stream == nil {
		return false
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	_, err := stream.Write([]byte{1})
	if err == nil {
		_, err = io.ReadFull(stream, make([]byte, 1))
	}
	return err == nil
}

// begunSnapshots tells whether any snapshot of the image is there.
func (s *Service) begunSnapshots(ctx context.Context, state *snapshotState) (bool, error) {
	for _, planned := range state.Volumes {
		_, err := s.volumes.Snapshot(ctx, state.Caller.caller(), planned.ID)
		if err == nil || !errs.Is(err, errs.NotFound) {
			return err == nil, err
		}
	}
	return false, nil
}
