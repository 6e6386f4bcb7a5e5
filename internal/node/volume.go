package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"nacre/internal/blockdev"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// turnVolume makes one volume be as desired.
func (n *Node) turnVolume(ctx context.Context, d *doc) error {
	n.mu.Lock()
	generation, gone, volume := d.desired.Generation, d.desired.Gone, d.volume
	done := d.ensured == generation
	n.mu.Unlock()
	if done {
		return nil
	}
	if gone {
		return n.removeVolume(ctx, d, generation)
	}
	if volume.LetGo != "" {
		return n.letGo(ctx, d, volume.LetGo, generation)
	}
	err := n.stillThere(ctx, d)
	if err != nil {
		n.observe(d, generation, err, nil)
		return err
	}
	err = n.o.Block.Ensure(ctx, blockdev.Volume{
		ID:     volume.ID,
		SizeGB: volume.SizeGB,
		Source: blockdev.Source{Image: volume.Image, Volume: volume.Source, Stray: volume.Stray},

		Revision: volume.Revision, Encrypted: volume.Encrypted,
	})
	if err != nil {
		err = fmt.Errorf("ensure volume: %w", err)
		n.observe(d, generation, err, nil)
		return err
	}
	addresses, err := n.export(ctx, volume)
	n.observe(d, generation, err, func() {
		d.volumeSeen.Present = true
		d.volumeSeen.SizeGB = volume.SizeGB
		if err == nil {
			d.volumeSeen.Export, d.volumeSeen.Others = nil, nil
			for i := range addresses {
				if addresses[i].Epoch == volume.Export.Epoch {
					d.volumeSeen.Export = &addresses[i]
				} else {
					d.volumeSeen.Others = append(d.volumeSeen.Others, addresses[i])
				}
			}
		}
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	d.ensured = generation
	n.wakeWaiting() // machines rely on what this life of the node has exported
	n.mu.Unlock()
	return nil
}

// stillThere refuses to make a volume anew that was there before: an empty
// disk in place of a lost one would hide the loss.
func (n *Node) stillThere(ctx context.Context, d *doc) error {
	n.mu.Lock()
	present := d.volumeSeen.Present
	n.mu.Unlock()
	if !present {
		return nil
	}
	states, err := n.o.Block.List(ctx)
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	if !slices.ContainsFunc(states, func(s blockdev.State) bool { return s.ID == d.key.id }) {
		return errs.New(errs.Gone, "The bytes of volume %s are gone from host %s.", d.key.id, n.o.Name)
	}
	return nil
}

// export offers the volume at the epochs wanted, or to nobody.
func (n *Node) export(ctx context.Context, volume nodeapi.Volume) ([]nodeapi.Address, error) {
	if volume.Export != nil {
		shares := []blockdev.Share{{Epoch: volume.Export.Epoch, ReadOnly: volume.Export.ReadOnly}}
		for _, other := range volume.Export.Others {
			shares = append(shares, blockdev.Share{Epoch: other.Epoch, ReadOnly: other.ReadOnly})
		}
		slices.SortFunc(shares, func(a, b blockdev.Share) int { return cmp.Compare(a.Epoch, b.Epoch) })
		addresses, err := n.o.Block.Export(ctx, blockdev.Export{Volume: volume.ID, Shares: shares})
		if err != nil {
			return nil, fmt.Errorf("export volume: %w", err)
		}
		list := make([]nodeapi.Address, len(addresses))
		for i, a := range addresses {
			list[i] = nodeapi.Address{Epoch: a.Epoch, Socket: a.Socket, Name: a.Name, ReadOnly: shares[i].ReadOnly}
		}
		return list, nil
	}
	err := n.unused(volume.ID)
	if err != nil {
		return nil, err
	}
	err = n.o.Block.Unexport(ctx, volume.ID)
	if err != nil {
		return nil, fmt.Errorf("end export of volume: %w", err)
	}
	return nil, nil
}

// unused waits until no machine of this host has the volume, so that a disk
// does not vanish under a guest. Who has to take it away by force exports it at
// a higher epoch.
func (n *Node) unused(volume string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.docs {
		if d.key.kind == nodeapi.KindMachine && slices.Contains(d.machineSeen.Disks, volume) {
			return waitFor("waiting for machine %s to let go of the volume", d.key.id)
		}
	}
	return nil
}

// letGo makes a file of the volume that is nobody's.
func (n *Node) letGo(ctx context.Context, d *doc, name string, generation int64) error {
	err := n.unused(d.key.id)
	if err == nil {
		err = n.o.Block.Release(ctx, d.key.id, name)
	}
	if err != nil {
		err = fmt.Errorf("let go of volume: %w", err)
		n.observe(d, generation, err, nil)
		return err
	}
	n.observe(d, generation, nil, func() { d.volumeSeen = nodeapi.VolumeObserved{} })
	n.mu.Lock()
	d.ensured = generation
	n.mu.Unlock()
	return nil
}

// absent writes down, before the volume is removed, that it isn't there: one that is
// wanted again while it goes is made anew, since nothing is lost.
func (n *Node) absent(d *doc) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d.volumeSeen.Present = false
	return n.save(d)
}

// removeVolume removes the volume. The bytes of one that the servers do not
// know stay: they may be all that is left of it.
func (n *Node) removeVolume(ctx context.Context, d *doc, generation int64) error {
	err := n.unused(d.key.id)
	if err == nil && generation == unknown {
		err = n.o.Block.Unexport(ctx, d.key.id)
	} else if err == nil {
		err = n.absent(d)
	}
	if err == nil && generation != unknown {
		err = n.o.Block.Remove(ctx, d.key.id)
	}
	if err != nil {
		err = fmt.Errorf("remove volume: %w", err)
		n.observe(d, generation, err, nil)
		return err
	}
	n.drop(d, generation)
	return nil
}
