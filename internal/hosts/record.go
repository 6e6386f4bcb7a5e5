package hosts

import (
	"context"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/nodeapi"
)

// record writes what a node has told, and then calls the hooks. Reports about
// documents that were never wanted, and older ones than we have, change
// nothing; so a node can tell everything at any time.
func (s *Service) record(ctx context.Context, host string, observed []nodeapi.Document, info *nodeapi.HostInfo) error {
	news, err := s.news(ctx, host, observed)
	if err != nil {
		return err
	}
	if len(news) == 0 && info == nil {
		return nil
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		for _, d := range news {
			err := recordOne(ctx, tx, host, d)
			if err != nil {
				return fmt.Errorf("record %s %s: %w", d.Kind, d.ID, err)
			}
		}
		if info == nil {
			return nil
		}
		_, err := tx.Exec(ctx, "UPDATE hosts SET info = ? WHERE name = ?", db.Of(*info), host)
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
	if info != nil {
		return s.tell(ctx, host)
	}
	return nil
}

// news leaves out what we know already, so that a node that comes back and
// tells everything costs no writing.
func (s *Service) news(ctx context.Context, host string, observed []nodeapi.Document) ([]nodeapi.Document, error) {
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

func recordOne(ctx context.Context, tx *db.Tx, host string, d nodeapi.Document) error {
	if d.Gone {
		_, err := tx.Exec(ctx, `
			DELETE FROM documents WHERE host = ? AND kind = ? AND id = ? AND generation = ? AND desired = ''`,
			host, d.Kind, d.ID, d.Generation)
		return err
	}
	_, err := tx.Exec(ctx, `
		UPDATE documents SET answered = ?, observed = ?
		WHERE host = ? AND kind = ? AND id = ? AND generation >= ? AND answered <= ?`,
		d.Generation, string(d.Body), host, d.Kind, d.ID, d.Generation, d.Generation)
	return err
}
