package hosts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// Document is one document with both its sides.
type Document struct {
	Host       string
	Kind       string
	ID         string
	Generation int64
	Forgotten  bool            // wanted by nobody, and not yet confirmed as gone
	Desired    json.RawMessage // nil when Forgotten
	Answered   int64           // the generation that Observed is about; 0: none yet
	Observed   json.RawMessage
}

type documentRow struct {
	bun.BaseModel `bun:"table:documents"`

	Host       string `bun:",pk"`
	Kind       string `bun:",pk"`
	ID         string `bun:",pk"`
	Generation int64
	Desired    string
	Answered   int64
	Observed   string
	UpdatedAt  db.Time
}

// Want makes the document what the host should have under this kind and id,
// and returns its generation. Wanting the same again changes nothing.
func (s *Service) Want(ctx context.Context, tx *db.Tx, host, kind, id string, desired any) (int64, error) {
	body, err := json.Marshal(desired)
	if err != nil {
		return 0, fmt.Errorf("want %s %s: %w", kind, id, err)
	}
	if len(body) > nodeapi.MaxFrame/2 {
		return 0, fmt.Errorf("want %s %s: the document has %d bytes", kind, id, len(body))
	}
	generation, err := s.want(ctx, tx, host, kind, id, string(body))
	if err != nil {
		return 0, fmt.Errorf("want %s %s on host %s: %w", kind, id, host, err)
	}
	return generation, nil
}

// Forget makes the host remove what it has under this kind and id. The
// document is there, as forgotten, until the node confirms. Forgetting what
// was never wanted changes nothing.
func (s *Service) Forget(ctx context.Context, tx *db.Tx, host, kind, id string) error {
	row, err := getDocument(ctx, tx, host, kind, id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && row.Desired != "" {
		_, err = s.want(ctx, tx, host, kind, id, "")
	}
	if err != nil {
		return fmt.Errorf("forget %s %s on host %s: %w", kind, id, host, err)
	}
	return nil
}

func (s *Service) want(ctx context.Context, tx *db.Tx, host, kind, id, desired string) (int64, error) {
	row, err := getDocument(ctx, tx, host, kind, id)
	if err == nil && row.Desired == desired {
		return row.Generation, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	var generation int64
	err = tx.Get(ctx, &generation, "UPDATE hosts SET sequence = sequence + 1 WHERE name = ? RETURNING sequence", host)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("host %s is not known", host)
	}
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO documents (host, kind, id, generation, desired, updated_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (host, kind, id) DO UPDATE SET
			generation = excluded.generation, desired = excluded.desired, updated_at = excluded.updated_at`,
		host, kind, id, generation, desired, db.At(s.clock.Now()))
	if err != nil {
		return 0, err
	}
	tx.Notify(channel, host)
	return generation, nil
}

func getDocument(ctx context.Context, tx *db.Tx, host, kind, id string) (documentRow, error) {
	var row documentRow
	err := tx.Get(ctx, &row, "SELECT * FROM documents WHERE host = ? AND kind = ? AND id = ?", host, kind, id)
	return row, err
}

// Observed reads what the host made of a document into a value and tells
// whether that answers the newest generation. A document that does not exist
// is answered and leaves the value as it is: nothing is wanted, nothing is
// there. So whoever forgot one waits until it is answered.
func (s *Service) Observed(ctx context.Context, tx *db.Tx, host, kind, id string, into any) (answered bool, err error) {
	var row struct {
		Answered bool
		Observed string
	}
	err = tx.Get(ctx, &row, `
		SELECT desired <> '' AND answered = generation AS answered, observed FROM documents
		WHERE host = ? AND kind = ? AND id = ?`, host, kind, id)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s %s of host %s: %w", kind, id, host, err)
	}
	if row.Observed != "" && into != nil {
		err = json.Unmarshal([]byte(row.Observed), into)
		if err != nil {
			return false, fmt.Errorf("read what host %s observed of %s %s: %w", host, kind, id, err)
		}
	}
	return row.Answered, nil
}

// Answer is Observed for who has no transaction.
func (s *Service) Answer(ctx context.Context, host, kind, id string, into any) (answered bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		answered, err = s.Observed(ctx, tx, host, kind, id, into)
		return err
	})
	return answered, err
}

// Waiting is why a plan cannot go on that wanted something of a host: what Observed told
// of the document, the problem that the host has with it and whether that is final, which
// is a classified error. It is nil when all is as desired.
func Waiting(host string, up, answered bool, problem string, refused bool) error {
	switch {
	case answered && problem != "" && refused:
		return errs.New(errs.Internal, "The host cannot do it: %s", problem)
	case answered && problem != "":
		return work.NotYet("host %s reports a problem and tries again: %s", host, problem)
	case !answered && !up:
		return work.NotYet("waiting for host %s, which is down", host)
	case !answered:
		return work.NotYet("waiting for host %s to do it", host)
	}
	return nil
}

// Documents returns all documents with this id, on whichever host.
func (s *Service) Documents(ctx context.Context, tx *db.Tx, id string) ([]Document, error) {
	var rows []documentRow
	err := tx.All(ctx, &rows, "SELECT * FROM documents WHERE id = ? ORDER BY host, kind", id)
	if err != nil {
		return nil, fmt.Errorf("read documents of %s: %w", id, err)
	}
	return viewDocuments(rows), nil
}

// Seen returns a host's documents of a kind without what they want, which is most
// of their bytes. It is meant for loops that compare everything, host by host.
func (s *Service) Seen(ctx context.Context, tx *db.Tx, host, kind string) ([]Document, error) {
	var rows []documentRow
	err := tx.All(ctx, &rows, `
		SELECT host, kind, id, generation, SUBSTR(desired, 1, 1) AS desired, answered, observed
		FROM documents WHERE host = ? AND kind = ? ORDER BY id`, host, kind)
	if err != nil {
		return nil, fmt.Errorf("read documents of kind %s of host %s: %w", kind, host, err)
	}
	list := viewDocuments(rows)
	for i := range list {
		list[i].Desired = nil
	}
	return list, nil
}

func viewDocuments(rows []documentRow) []Document {
	list := make([]Document, len(rows))
	for i, row := range rows {
		list[i] = Document{
			Host:       row.Host,
			Kind:       row.Kind,
			ID:         row.ID,
			Generation: row.Generation,
			Forgotten:  row.Desired == "",
			Desired:    raw(row.Desired),
			Answered:   row.Answered,
			Observed:   raw(row.Observed),
		}
	}
	return list
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// NamesImage tells whether anything that the host should have starts from the
// image.
func (s *Service) NamesImage(ctx context.Context, host, image string) (bool, error) {
	var rows []documentRow
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &rows, `SELECT kind, desired FROM documents WHERE host = ? AND desired LIKE ? ESCAPE '\'`, host, db.Like(image))
	})
	if err != nil {
		return false, fmt.Errorf("look for image %s among documents of host %s: %w", image, host, err)
	}
	for _, row := range rows {
		var d struct { // a nodeapi.Volume, or a nodeapi.Machine
			Image  string          `json:"image"`
			Root   *nodeapi.Root   `json:"root"`
			Rescue *nodeapi.Rescue `json:"rescue"`
		}
		err = json.Unmarshal([]byte(row.Desired), &d)
		if err != nil {
			return false, fmt.Errorf("read a document of host %s: %w", host, err)
		}
		if image != "" && (d.Image == image || d.Root != nil && d.Root.Image == image || d.Rescue != nil && d.Rescue.Image == image) {
			return true, nil
		}
	}
	return false, nil
}
