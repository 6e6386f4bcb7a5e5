package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"nacre/internal/db"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// maxObserved bounds what a node says of one document.
const maxObserved = 256 << 10

// record writes what a node has told over the connection of an epoch, wakes the
// plans that wait for it, and then calls the hooks. Reports about documents that
// were never wanted, and older ones than we have, change nothing; so a node can
// tell everything at any time.
func (s *Service) record(ctx context.Context, host string, epoch int64, observed []nodeapi.Document, info *nodeapi.HostInfo) error {
	for _, d := range observed {
		err := sane(d)
		if err != nil {
			return fmt.Errorf("%s %s: %w", d.Kind, d.ID, err)
		}
	}
	news, err := s.news(ctx, host, observed)
	if err != nil {
		return err
	}
	if len(news) == 0 && info == nil {
		return nil
	}
	now := db.At(s.clock.Now())
	err = s.db.Write(db.Patient(ctx), func(tx *db.Tx) error {
		for _, d := range news {
			err := recordOne(ctx, tx, host, epoch, d)
			if err != nil {
				return fmt.Errorf("record %s %s: %w", d.Kind, d.ID, err)
			}
			// The plan may be another server's.
			work.Wake(tx, d.ID)
		}
		if info == nil {
			return nil
		}
		err := saneInfo(*info)
		if err != nil {
			return err
		}
		tx.Notify(changedChannel, host)
		_, err = tx.Exec(ctx, "UPDATE hosts SET info = ?, updated_at = ? WHERE name = ? AND epoch = ?", db.Of(*info), now, host, epoch)
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range news {
		for _, hook := range s.onObserved[d.Kind] {
			hook(d.ID)
		}
	}
	if info == nil {
		return nil
	}
	s.mu.Lock()
	s.told[host] = state{up: true, updated: now}
	s.mu.Unlock()
	return s.tell(ctx, host)
}

// sane refuses what is not the observation of a document: loops read those of
// all hosts, and one must not be able to hold up the others.
func sane(d nodeapi.Document) error {
	if len(d.Body) > maxObserved {
		return fmt.Errorf("the observation has %d bytes, %d are allowed", len(d.Body), maxObserved)
	}
	if d.Gone || len(d.Body) == 0 {
		return nil
	}
	var into any
	switch d.Kind {
	case nodeapi.KindMachine:
		into = &nodeapi.MachineObserved{}
	case nodeapi.KindVolume:
		into = &nodeapi.VolumeObserved{}
	default:
		return nil // nothing of the kind was wanted, so nothing is written
	}
	err := json.Unmarshal(d.Body, into)
	if err != nil {
		return fmt.Errorf("the observation is unreadable: %w", err)
	}
	return nil
}

// Limits of what a host can have.
const (
	maxVCPUs    = 1 << 16
	maxMemoryMB = 1 << 30
	maxDiskGB   = 1 << 30
	maxTexts    = 1000
	maxText     = 64 << 10
)

// saneInfo refuses a host that has more than any host has: its numbers go into
// the inventories that schedulers count with.
func saneInfo(i nodeapi.HostInfo) error {
	within := func(n, most float64) bool { return n >= 0 && n <= most }
	texts := append([]string{i.Type, i.CPUInfo, i.Address, i.BootID}, i.Traits...)
	for _, a := range i.Agents {
		texts = append(texts, a.Name, a.Problem)
	}
	long := slices.ContainsFunc(texts, func(t string) bool { return len(t) > maxText })
	if !within(float64(i.VCPUs), maxVCPUs) || !within(float64(i.MemoryMB), maxMemoryMB) || !within(float64(i.DiskGB), maxDiskGB) ||
		!within(i.VolumesGB, maxDiskGB) || !within(i.FreeGB, maxDiskGB) || len(texts) > maxTexts || long {
		return errors.New("what the host says it has is beyond all bounds")
	}
	return nil
}

// news leaves out what we know already, so that a node that comes back and
// tells everything costs no writing. A few documents are worth no reading.
func (s *Service) news(ctx context.Context, host string, observed []nodeapi.Document) ([]nodeapi.Document, error) {
	const few = 3
	if len(observed) <= few {
		return observed, nil
	}
	var news []nodeapi.Document
	const page = 200
	for start := 0; start < len(observed); start += page {
		part := observed[start:min(start+page, len(observed))]
		ids := make([]string, len(part))
		for i, d := range part {
			ids[i] = d.ID
		}
		var rows []documentRow
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			return tx.All(ctx, &rows, `
				SELECT kind, id, generation, desired, answered, observed FROM documents
				WHERE host = ? AND id IN (?)`, host, db.In(ids))
		})
		if err != nil {
			return nil, fmt.Errorf("read documents: %w", err)
		}
		known := make(map[key]documentRow, len(rows))
		for _, row := range rows {
			known[key{row.Kind, row.ID}] = row
		}
		for _, d := range part {
			row, ok := known[key{d.Kind, d.ID}]
			if !ok || !d.Gone && d.Generation == row.Answered && string(d.Body) == row.Observed {
				continue
			}
			news = append(news, d)
		}
	}
	return news, nil
}

// recordOne writes one observation, unless the node has a newer connection: this
// one's words may be older than what was said there.
func recordOne(ctx context.Context, tx *db.Tx, host string, epoch int64, d nodeapi.Document) error {
	if d.Gone {
		_, err := tx.Exec(ctx, `
			DELETE FROM documents WHERE host = ? AND kind = ? AND id = ? AND generation = ? AND desired = ''`,
			host, d.Kind, d.ID, d.Generation)
		return err
	}
	_, err := tx.Exec(ctx, `
		UPDATE documents SET answered = ?, observed = ?
		WHERE host = ? AND kind = ? AND id = ? AND generation >= ? AND answered <= ?
			AND EXISTS (SELECT 1 FROM hosts WHERE name = ? AND epoch = ?)`,
		d.Generation, string(d.Body), host, d.Kind, d.ID, d.Generation, d.Generation, host, epoch)
	return err
}
