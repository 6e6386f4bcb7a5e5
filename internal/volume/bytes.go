package volume

import (
	"context"
	"fmt"

	"nacre/internal/blockdev"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nbd"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// Bytes of volumes go through the servers: a plan opens the volume on its host
// by a stream that speaks NBD. A volume that is in use is read from a copy, made
// by its host at one moment and thrown away afterwards.

// readFrom is what a plan reads the bytes of.
type readFrom struct {
	Volume string
	Host   string
	ID     string // of the document: of the volume, of a snapshot, or of a copy of our own
	Copy   bool
}

// copySteps make the copy that is read, if there is one.
func copySteps[S any](s *Service, of func(state *S) readFrom) []work.Step[S] {
	return []work.Step[S]{
		{Name: "wait for the volume", Do: func(ctx context.Context, state *S) error {
			from := of(state)
			if from.Copy {
				return s.wait(ctx, from.Host, from.Volume)
			}
			return s.wait(ctx, from.Host, from.ID)
		}},
		{Name: "want a copy of what is in use",
			Tx: func(ctx context.Context, tx *db.Tx, state *S) error {
				from := of(state)
				if !from.Copy {
					return nil
				}
				v, err := getVolume(ctx, tx, from.Volume)
				if err != nil {
					return err
				}
				_, err = tx.Exec(ctx, "INSERT INTO volume_copies (id, volume, encryption_key) VALUES (?, ?, ?)", from.ID, v.ID, v.Key)
				if err != nil {
					return err
				}
				_, err = s.hosts.Want(ctx, tx, from.Host, nodeapi.KindVolume, from.ID,
					nodeapi.Volume{ID: from.ID, SizeGB: int(v.SizeGB), Source: v.ID, Encrypted: v.Key != ""})
				return err
			},
			UndoTx: func(ctx context.Context, tx *db.Tx, state *S) error { return s.dropCopy(ctx, tx, of(state)) },
		},
		{Name: "wait for the copy", Do: func(ctx context.Context, state *S) error {
			from := of(state)
			if !from.Copy {
				return nil
			}
			return s.wait(ctx, from.Host, from.ID)
		}},
	}
}

// dropCopy throws the copy away. The host does so whenever it can.
func (s *Service) dropCopy(ctx context.Context, tx *db.Tx, from readFrom) error {
	if !from.Copy {
		return nil
	}
	_, err := tx.Exec(ctx, "DELETE FROM volume_copies WHERE id = ?", from.ID)
	if err != nil {
		return fmt.Errorf("forget copy %s: %w", from.ID, err)
	}
	return s.forget(ctx, tx, from.ID)
}

// disk is a volume that a plan has opened.
type disk struct {
	*nbd.Client
	stop func() bool
}

// Close lets go of the volume.
func (d disk) Close() error {
	d.stop()
	return d.Client.Close()
}

// openDisk opens what is on a host under the id. When it cannot be opened right
// now, the step waits.
func (s *Service) openDisk(ctx context.Context, host, id string, write bool) (disk, error) {
	kind := nodeapi.StreamRead
	if write {
		kind = nodeapi.StreamWrite
	}
	conn, err := s.hosts.Tunnel(ctx, host, kind, id)
	if errs.Is(err, errs.Conflict) || errs.Is(err, errs.Unavailable) {
		return disk{}, work.NotYet("waiting for host %s to open the volume: %s", host, sentence(err))
	}
	if err != nil {
		return disk{}, fmt.Errorf("open volume %s on host %s: %w", id, host, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	client, err := nbd.Connect(conn, blockdev.Opened)
	if err != nil {
		stop()
		return disk{}, fmt.Errorf("open volume %s on host %s: %w", id, host, err)
	}
	return disk{client, stop}, nil
}

// serveExport connects a node to an export on another node: a machine has the
// volume attached that is over there. Who may is decided anew each time.
func (s *Service) serveExport(ctx context.Context, host, id string) (func(*nodeapi.Stream) error, error) {
	volume, epoch, ok := nodeapi.ParseExportID(id)
	if !ok {
		return nil, errs.BadRequestf("%q names no export.", id)
	}
	v, _, err := s.exportFor(ctx, host, volume, epoch)
	if err != nil {
		return nil, err
	}
	far, err := s.hosts.Tunnel(ctx, v.Host, nodeapi.StreamExport, id)
	if err != nil {
		return nil, err
	}
	return func(near *nodeapi.Stream) error {
		nodeapi.Splice(nodeapi.Resetting{Stream: near}, far)
		return nil
	}, nil
}
