// Package hoststest tells the tests of services when their hosts are at rest.
package hoststest

import (
	"context"

	"nacre/internal/db"
)

// Owed lists what hosts are still to answer or to do, for people to read. A guest
// that has gone from one host and is not seen at the other, which is ready for it,
// is under way.
func Owed(ctx context.Context, tx *db.Tx) ([]string, error) {
	var list []string
	err := tx.All(ctx, &list, `
		SELECT 'answer of ' || host || ' about ' || kind || ' ' || id || ': ' || observed FROM documents
		WHERE desired = '' OR answered <> generation OR observed LIKE '%"problem"%'
			OR observed LIKE '%"phase":"moving"%' OR observed LIKE '%"phase":"loaded"%'
			OR observed LIKE '%"phase":"ready"%' AND EXISTS (SELECT 1 FROM documents AS source
				WHERE source.kind = documents.kind AND source.id = documents.id AND source.observed LIKE '%"phase":"gone"%')`)
	return list, err
}

// Wanted is a document that its host is to have.
type Wanted struct{ Host, ID, Desired string }

// OfKind lists all documents of a kind that are wanted, host by host.
func OfKind(ctx context.Context, tx *db.Tx, kind string) ([]Wanted, error) {
	var list []Wanted
	err := tx.All(ctx, &list, "SELECT host, id, desired FROM documents WHERE kind = ? AND desired <> '' ORDER BY host, id", kind)
	return list, err
}
