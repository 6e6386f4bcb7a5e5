package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nacre/internal/blockdev"
	"nacre/internal/clock"
	"nacre/internal/qmp"
)

const (
	controlTimeout = 20 * time.Second       // for a daemon to do what it is told
	copyLook       = 100 * time.Millisecond // how often we ask how far a copy is
)

// control talks to the daemon of a volume, whose lock is held. A daemon answers
// one client at a time.
func (h *Host) control(ctx context.Context, id string, do func(ctx context.Context, client *qmp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	client, err := qmp.Dial(ctx, h.controlPath(id), nil)
	if err != nil {
		return fmt.Errorf("talk to the volume's daemon: %w", err)
	}
	defer client.Close()
	return do(ctx, client)
}

type arguments map[string]any

// served are the names of what a daemon serves.
func served(ctx context.Context, client *qmp.Client) ([]string, error) {
	var list []struct {
		ID       string `json:"id"`
		Shutting bool   `json:"shutting-down"`
	}
	err := client.Execute(ctx, "query-block-exports", nil, &list)
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.ID
	}
	return names, err
}

// disconnect ends exports and returns when their users are cut off.
func disconnect(ctx context.Context, client *qmp.Client, gone []string) error {
	for _, id := range gone {
		err := client.Execute(ctx, "block-export-del", arguments{"id": id, "mode": "hard"}, nil)
		if err != nil && !qmp.Says(err, "is not found") && !qmp.Says(err, "shutting down") {
			return err
		}
	}
	for {
		have, err := served(ctx, client)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(have, func(id string) bool { return slices.Contains(gone, id) }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// reshare makes a daemon serve other shares without disturbing those that stay.
// The note says meanwhile what is surely served, so that whoever comes after
// our death does not believe in more.
func (h *Host) reshare(ctx context.Context, id string, d daemon, shares []blockdev.Share) error {
	want := map[string]offer{}
	for _, e := range (service{shares: shares}).offers(id) {
		want[e.ID] = e
	}
	d.Shares = slices.DeleteFunc(slices.Clone(d.Shares), func(s blockdev.Share) bool { return !slices.Contains(shares, s) })
	err := writeJSON(h.daemonPath(id), d)
	if err != nil {
		return err
	}
	err = h.control(ctx, id, func(ctx context.Context, client *qmp.Client) error {
		have, err := served(ctx, client)
		if err != nil {
			return err
		}
		var gone []string
		for _, name := range have {
			_, stays := want[name]
			if !stays {
				gone = append(gone, name)
			}
			delete(want, name)
		}
		err = disconnect(ctx, client, gone)
		for _, e := range want {
			if err == nil {
				err = client.Execute(ctx, "block-export-add", e, nil)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("change what is served: %w", err)
	}
	d.Shares = shares
	return writeJSON(h.daemonPath(id), d)
}

// growLive makes a volume larger while it is used. QEMU lets nobody have a disk
// whose size changes, so its users are disconnected for a moment: they dial again
// by themselves. The note says meanwhile that nothing is served; if we stop in
// between, the next Export starts the daemon anew.
func (h *Host) growLive(ctx context.Context, id string, d daemon, want int64) error {
	shares := d.Shares
	d.Shares = nil
	err := writeJSON(h.daemonPath(id), d)
	if err != nil {
		return err
	}
	err = h.control(ctx, id, func(ctx context.Context, client *qmp.Client) error {
		have, err := served(ctx, client)
		if err == nil {
			err = disconnect(ctx, client, have)
		}
		if err == nil {
			err = client.Execute(ctx, "block_resize", arguments{"node-name": "disk", "size": want}, nil)
		}
		// They are served again whether it has grown or not.
		for _, e := range (service{shares: shares}).offers(id) {
			err = errors.Join(err, client.Execute(ctx, "block-export-add", e, nil))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("grow while it is used: %w", err)
	}
	d.Shares = shares
	return writeJSON(h.daemonPath(id), d)
}

// copyLive has a daemon copy its volume, as it is at this moment, into a disk of
// ours.
func (h *Host) copyLive(ctx context.Context, source, target string) error {
	if h.options.Server != nil {
		err := os.Chown(target, h.options.Server.UID, h.options.Server.GID)
		if err != nil {
			return err
		}
	}
	job := "copy" + clock.Hex()[:16]
	node := arguments{"driver": "qcow2", "node-name": job, "backing": nil, "file": arguments{"driver": "file", "filename": target}}
	locked, err := isEncrypted(target)
	if err != nil {
		return err
	}
	if locked {
		node["encrypt"] = unlocked // by the key of the source, which the daemon has
	}
	err = h.underLock(ctx, source, func(ctx context.Context, client *qmp.Client) error {
		err := client.Execute(ctx, "blockdev-add", node, nil)
		if err != nil {
			return err
		}
		return client.Execute(ctx, "blockdev-backup", arguments{
			"job-id": job, "device": "disk", "target": job, "sync": "full", "auto-dismiss": false,
		}, nil)
	})
	for done := false; err == nil && !done; {
		select {
		case <-ctx.Done():
			err = ctx.Err()
			continue
		case <-time.After(copyLook):
		}
		err = h.underLock(ctx, source, func(ctx context.Context, client *qmp.Client) error {
			done, err = ended(ctx, client, job)
			return err
		})
	}
	if err == nil {
		return nil
	}
	// Whoever gave up lets the daemon go on without the copy.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlTimeout)
	defer cancel()
	clearErr := h.underLock(last, source, func(ctx context.Context, client *qmp.Client) error { return endCopies(ctx, client, job) })
	if clearErr != nil {
		h.options.Log.Warn("an unfinished copy may still be written", "volume_id", source, "error", clearErr)
	}
	return fmt.Errorf("copy volume %s while it is used: %w", source, err)
}

func (h *Host) underLock(ctx context.Context, id string, do func(ctx context.Context, client *qmp.Client) error) error {
	unlock, err := h.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	return h.control(ctx, id, do)
}

type job struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Error  string `json:"error"`
}

// ended tells whether a copy is whole, and lets go of it.
func ended(ctx context.Context, client *qmp.Client, id string) (bool, error) {
	var list []job
	err := client.Execute(ctx, "query-jobs", nil, &list)
	if err != nil {
		return false, err
	}
	at := slices.IndexFunc(list, func(j job) bool { return j.ID == id })
	if at < 0 {
		return false, errors.New("the daemon has lost the copy")
	}
	if list[at].Status != "concluded" {
		return false, nil
	}
	err = endCopies(ctx, client, id)
	if list[at].Error != "" {
		err = errors.New(list[at].Error)
	}
	return true, err
}

// endCopies ends copies whose names begin so, and closes their disks.
func endCopies(ctx context.Context, client *qmp.Client, prefix string) error {
	for {
		var list []job
		err := client.Execute(ctx, "query-jobs", nil, &list)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(j job) bool { return !strings.HasPrefix(j.ID, prefix) })
		if len(list) == 0 {
			break
		}
		for _, j := range list {
			command := "job-cancel"
			if j.Status == "concluded" {
				command = "job-dismiss"
			}
			err = client.Execute(ctx, command, arguments{"id": j.ID}, nil)
			if err != nil && !qmp.IsClass(err, "GenericError") { // it may have ended by itself
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	var nodes []struct {
		Name string `json:"node-name"`
	}
	err := client.Execute(ctx, "query-named-block-nodes", arguments{"flat": true}, &nodes)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if strings.HasPrefix(n.Name, prefix) {
			err = client.Execute(ctx, "blockdev-del", arguments{"node-name": n.Name}, nil)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepDaemons ends what daemons do for a process that was killed: copies that
// nobody waits for, and serving whoever had a volume open.
func (h *Host) sweepDaemons() error {
	notes, err := filepath.Glob(filepath.Join(h.run, "*.json"))
	if err != nil {
		return err
	}
	for _, note := range notes {
		id := strings.TrimSuffix(filepath.Base(note), ".json")
		d, alive := h.daemon(id)
		if !alive {
			continue
		}
		if d.Opened {
			err = h.stopDaemon(id)
			if err != nil {
				return err
			}
			continue
		}
		err = h.control(context.Background(), id, func(ctx context.Context, client *qmp.Client) error { return endCopies(ctx, client, "copy") })
		if err != nil {
			h.options.Log.Warn("an unfinished copy may still be written", "volume_id", id, "error", err)
		}
	}
	return nil
}
