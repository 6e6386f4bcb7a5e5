package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNotEmpty says that a database has something in it.
var ErrNotEmpty = errors.New("the database is not empty")

// Version is the number of the newest migration that the database has had.
func (d *DB) Version(ctx context.Context) (version int64, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		return tx.Get(ctx, &version, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version")
	})
	if err != nil {
		return 0, fmt.Errorf("read the version of the schema: %w", err)
	}
	return version, nil
}

// Tables lists the tables that migrations made, each behind those that it
// refers to.
func (d *DB) Tables(ctx context.Context) (names []string, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		return tx.All(ctx, &names, d.store.catalog())
	})
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return names, nil
}

// Empty tells whether the database is as migrations leave it.
func (d *DB) Empty(ctx context.Context) (bool, error) {
	version, err := d.Version(ctx)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "nacre-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	fresh, err := openSQLite(ctx, filepath.Join(dir, "fresh.db"), version)
	if err != nil {
		return false, err
	}
	defer fresh.Close()
	at, err := d.sizes(ctx)
	if err != nil {
		return false, err
	}
	start, err := fresh.sizes(ctx)
	return maps.Equal(at, start), err
}

// sizes counts the rows of each table.
func (d *DB) sizes(ctx context.Context) (map[string]int64, error) {
	tables, err := d.Tables(ctx)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, table := range tables {
		var n int64
		err = d.Read(ctx, func(tx *Tx) error { return tx.Get(ctx, &n, "SELECT COUNT(*) FROM "+table) })
		if err != nil {
			return nil, fmt.Errorf("count rows of %s: %w", table, err)
		}
		sizes[table] = n
	}
	return sizes, nil
}

// Visit takes one row: an integer, a float, a text or nil for each column.
type Visit func(table string, columns []string, row []any) error

// Rows visits all rows of all tables as they are at one moment, while others go
// on writing.
func (d *DB) Rows(ctx context.Context, visit Visit) error {
	tables, err := d.Tables(ctx)
	if err != nil {
		return err
	}
	conn, err := d.read.DB.Conn(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, d.store.snapshot())
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	for _, table := range tables {
		err = rowsOf(ctx, conn, table, visit)
		if err != nil {
			return fmt.Errorf("read table %s: %w", table, err)
		}
	}
	return nil
}

func rowsOf(ctx context.Context, conn *sql.Conn, table string, visit Visit) error {
	rows, err := conn.QueryContext(ctx, "SELECT * FROM "+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	row := make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		err = rows.Scan(into...)
		if err != nil {
			return err
		}
		for i, v := range row {
			switch v := v.(type) {
			case []byte:
				row[i] = string(v)
			case bool:
				row[i] = int64(0)
				if v {
					row[i] = int64(1)
				}
			}
		}
		err = visit(table, columns, row)
		if err != nil {
			return err
		}
	}
	return rows.Err()
}

// Fill puts rows into an empty database, all of them or none. The function hands
// them over, those of a table together and in the order of Tables; it may be
// called twice.
func (d *DB) Fill(ctx context.Context, rows func(put Visit) error) error {
	tables, err := d.Tables(ctx)
	if err != nil {
		return err
	}
	empty, err := d.Empty(ctx)
	if err != nil {
		return err
	}
	if !empty {
		return ErrNotEmpty
	}
	return d.Write(ctx, func(tx *Tx) error {
		for _, table := range slices.Backward(tables) { // what migrations put there
			_, err := tx.Exec(ctx, "DELETE FROM "+table)
			if err != nil {
				return fmt.Errorf("clear table %s: %w", table, err)
			}
		}
		f := filler{ctx: ctx, tx: tx, known: tables}
		err := rows(f.put)
		if err == nil {
			err = f.flush()
		}
		if err != nil {
			return err
		}
		return d.store.filled(ctx, tx)
	})
}

// filler gathers rows of one table and inserts them together.
type filler struct {
	ctx     context.Context
	tx      *Tx
	known   []string
	table   string
	columns []string
	values  []any
	size    int
}

func (f *filler) put(table string, columns []string, row []any) error {
	const most = 256 << 10 // bytes in a statement
	if table != f.table || f.size > most {
		err := f.flush()
		if err != nil {
			return err
		}
	}
	f.table, f.columns = table, columns
	f.values = append(f.values, row...)
	for _, v := range row {
		text, _ := v.(string)
		f.size += len(text) + 8
	}
	return nil
}

func (f *filler) flush() error {
	if len(f.values) == 0 {
		return nil
	}
	if !slices.Contains(f.known, f.table) {
		return fmt.Errorf("there is no table %q", f.table)
	}
	quoted := make([]string, len(f.columns))
	for i, c := range f.columns {
		quoted[i] = `"` + strings.ReplaceAll(c, `"`, ``) + `"`
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(f.columns)), ", ") + ")"
	all := strings.TrimSuffix(strings.Repeat(one+", ", len(f.values)/len(f.columns)), ", ")
	_, err := f.tx.Exec(f.ctx, "INSERT INTO "+f.table+" ("+strings.Join(quoted, ", ")+") VALUES "+all, f.values...)
	if err != nil {
		return fmt.Errorf("fill table %s: %w", f.table, err)
	}
	f.values, f.size = f.values[:0], 0
	return nil
}
