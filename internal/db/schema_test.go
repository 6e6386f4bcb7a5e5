package db_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/db"
	"nacre/internal/db/dbtest"
)

// Both databases get the same tables from the same migrations.
func TestBothSchemasAreTheSame(t *testing.T) {
	t.Parallel()
	lite := schema(t, openSource(t, filepath.Join(t.TempDir(), "nacre.db")), liteSchema)
	pg := schema(t, openSource(t, dbtest.EmptyPostgres(t)), pgSchema)
	if diff := cmp.Diff(lite, pg); diff != "" {
		t.Errorf("-SQLite +PostgreSQL:\n%s", diff)
	}
	if len(lite) < 300 {
		t.Errorf("compared %d facts, which cannot be all", len(lite))
	}
}

// schema reads lines that describe the schema: columns, keys, indexes.
func schema(t *testing.T, d *db.DB, queries []string) []string {
	t.Helper()
	var all []string
	err := d.Read(context.Background(), func(tx *db.Tx) error {
		for _, query := range queries {
			var lines []string
			err := tx.All(context.Background(), &lines, query)
			if err != nil {
				return fmt.Errorf("%w in %s", err, query)
			}
			all = append(all, lines...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

var liteSchema = []string{
	`SELECT 'column ' || t.name || '.' || c.name || ' ' ||
		CASE c.type WHEN 'INTEGER' THEN 'BIGINT' WHEN 'BOOLEAN' THEN 'SMALLINT' ELSE c.type END ||
		CASE WHEN c."notnull" = 1 OR c.pk > 0 THEN ' NOT NULL' ELSE '' END ||
		CASE WHEN c.dflt_value IS NULL THEN '' ELSE ' DEFAULT ' || REPLACE(REPLACE(c.dflt_value, 'FALSE', '0'), 'TRUE', '1') END
		FROM sqlite_master t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> 'goose_db_version'`,
	`SELECT 'primary key of ' || name || ' ' || GROUP_CONCAT(col) FROM (
		SELECT t.name, c.name AS col FROM sqlite_master t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name <> 'goose_db_version' AND c.pk > 0 ORDER BY t.name, c.pk) GROUP BY name`,
	`SELECT CASE WHEN "unique" = 1 THEN 'unique ' ELSE 'index ' END || tbl || ' ' || GROUP_CONCAT(col) FROM (
		SELECT t.name AS tbl, i.name AS idx, i."unique", c.name AS col
		FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
		WHERE t.type = 'table' AND t.name <> 'goose_db_version' AND i.origin <> 'pk' ORDER BY i.name, c.seqno)
		GROUP BY tbl, idx, "unique"`,
	`SELECT 'reference ' || tbl || ' ' || GROUP_CONCAT("from") || ' to ' || other || ' ' || GROUP_CONCAT("to") || ' ' || on_delete FROM (
		SELECT t.name AS tbl, f.id, f."from", f."table" AS other, f."to", f.on_delete
		FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table' ORDER BY t.name, f.id, f.seq)
		GROUP BY tbl, id, other, on_delete`,
}

var pgSchema = []string{
	`SELECT 'column ' || table_name || '.' || column_name || ' ' || UPPER(data_type) ||
		CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END ||
		COALESCE(' DEFAULT ' || REGEXP_REPLACE(REGEXP_REPLACE(column_default, '''(-?\d+)''::integer$', '\1'), '::text$', ''), '')
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version'`,
	`SELECT CASE WHEN indisprimary THEN 'primary key of ' WHEN indisunique THEN 'unique ' ELSE 'index ' END || table_name || ' ' ||
		STRING_AGG(attname, ',' ORDER BY n) FROM (
		SELECT c.relname AS table_name, i.indexrelid, i.indisprimary, i.indisunique, a.attname, k.n
		FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace s ON s.oid = c.relnamespace,
			UNNEST(i.indkey) WITH ORDINALITY k(num, n) JOIN pg_attribute a ON a.attnum = k.num
		WHERE a.attrelid = i.indrelid AND s.nspname = 'public' AND c.relname <> 'goose_db_version') x
		GROUP BY table_name, indexrelid, indisprimary, indisunique`,
	`SELECT 'reference ' || c.relname || ' ' || STRING_AGG(a.attname, ',' ORDER BY k.n) || ' to ' || o.relname || ' ' ||
		STRING_AGG(b.attname, ',' ORDER BY k.n) || CASE f.confdeltype WHEN 'c' THEN ' CASCADE' ELSE ' NO ACTION' END
		FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class o ON o.oid = f.confrelid,
			UNNEST(f.conkey, f.confkey) WITH ORDINALITY k(here, there, n)
			JOIN pg_attribute a ON a.attnum = k.here JOIN pg_attribute b ON b.attnum = k.there
		WHERE f.contype = 'f' AND a.attrelid = f.conrelid AND b.attrelid = f.confrelid
		GROUP BY f.oid, c.relname, o.relname, f.confdeltype`,
}

// A database that a newer program has migrated further is used as it is, unless
// that program has said that it cannot be.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "nacre.db"), "PostgreSQL": dbtest.EmptyPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			later(t, source,
				`INSERT INTO goose_db_version (version_id, is_applied) VALUES (900, 1 = 1)`, `ALTER TABLE quota_usages ADD COLUMN later TEXT`)
			d := openSource(t, source)
			err := d.Write(ctx, func(tx *db.Tx) error { return add(ctx, tx, "p", 1) })
			if err != nil {
				t.Errorf("write: %v", err)
			}
			var rows []struct{ Project string }
			err = d.Read(ctx, func(tx *db.Tx) error { return tx.All(ctx, &rows, `SELECT * FROM quota_usages`) })
			if err != nil || len(rows) != 1 {
				t.Errorf("read a table with a new column: %v, %v", rows, err)
			}
			err = d.Close()
			if err != nil {
				t.Fatal(err)
			}

			later(t, source, `UPDATE schema_floor SET version = 899`)
			_, err = db.Open(ctx, source)
			const want = "a newer Nacre has brought the database to schema 900, which needs a program that knows schema 899"
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// later changes a database as the migrations of a later version do.
func later(t *testing.T, source string, statements ...string) {
	t.Helper()
	d, err := db.Open(context.Background(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.Write(context.Background(), func(tx *db.Tx) error {
		for _, s := range statements {
			_, err := tx.Exec(context.Background(), s)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Tables that are made anew on the way to a version keep their rows.
func TestMigrationKeepsRows(t *testing.T) {
	t.Parallel()
	tables := []string{"plan_steps", "quota_usages", "inventories", "allocations", "server_ports", "port_ips", "port_groups"}
	file := filepath.Join(t.TempDir(), "nacre.db")
	old, err := db.OpenAt(t.Context(), file, 65)
	if err != nil {
		t.Fatal(err)
	}
	var before []string
	err = old.Write(t.Context(), func(tx *db.Tx) error {
		for _, table := range tables {
			fill(t, tx, table)
		}
		before = rowsOf(t, tx, tables)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	old.Close()
	err = openSource(t, file).Read(t.Context(), func(tx *db.Tx) error {
		if diff := cmp.Diff(before, rowsOf(t, tx, tables)); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != len(tables) {
		t.Errorf("compared %d rows of %d tables", len(before), len(tables))
	}
}

// fill gives the table a row, unless it has one, and before that those it refers to, all
// of the id x. Of other columns each has a value of its own.
func fill(t *testing.T, tx *db.Tx, table string) {
	t.Helper()
	var parents []string
	err := tx.All(t.Context(), &parents, `
		SELECT DISTINCT f."table" FROM pragma_foreign_key_list(?) AS f JOIN pragma_table_info(?) AS c ON c.name = f."from"
		WHERE c."notnull" = 1 AND f."table" <> ?`, table, table, table)
	if err != nil {
		t.Fatal(err)
	}
	for _, parent := range parents {
		fill(t, tx, parent)
	}
	var columns []struct{ Name, Value string }
	err = tx.All(t.Context(), &columns, `
		SELECT name, CASE
				WHEN name = 'id' OR name IN (SELECT "from" FROM pragma_foreign_key_list(?)) THEN '''x'''
				WHEN type = 'TEXT' THEN '''' || name || ''''
				ELSE cid END AS value
		FROM pragma_table_info(?) WHERE pk > 0 OR "notnull" = 1 AND dflt_value IS NULL`, table, table)
	if err != nil {
		t.Fatal(err)
	}
	var names, values []string
	for _, c := range columns {
		names, values = append(names, c.Name), append(values, c.Value)
	}
	_, err = tx.Exec(t.Context(), fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT DO NOTHING",
		table, strings.Join(names, ", "), strings.Join(values, ", ")))
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
}

// rowsOf are all rows of tables, as JSON.
func rowsOf(t *testing.T, tx *db.Tx, tables []string) (all []string) {
	t.Helper()
	for _, table := range tables {
		var columns, rows []string
		err := tx.All(t.Context(), &columns, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
		if err == nil {
			err = tx.All(t.Context(), &rows, fmt.Sprintf("SELECT json_array('%s', %s) FROM %s", table, strings.Join(columns, ", "), table))
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rows...)
	}
	return all
}

// Whatever takes away says from when on it can be missed (rolling back an upgrade). What
// is for SQLite alone leaves what PostgreSQL has (TestBothSchemasAreTheSame).
func TestMigrationsThatTakeAwaySaySo(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	// Before there was the floor, nothing was ever rolled back.
	first := slices.IndexFunc(files, func(file string) bool { return strings.Contains(file, "schema_floor") })
	if first < 0 {
		t.Fatal("no migration makes schema_floor")
	}
	takesAway := regexp.MustCompile(`(?i)\b(DROP (TABLE|COLUMN)|RENAME)\b`)
	for _, file := range files[first:] {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		both, _, _ := strings.Cut(string(text), "-- SQLite alone:")
		if takesAway.MatchString(both) && !strings.Contains(string(text), "UPDATE schema_floor") {
			t.Errorf("%s takes something away and does not set schema_floor", file)
		}
	}
}
