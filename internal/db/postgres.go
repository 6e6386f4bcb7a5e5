package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"nacre/internal/clock"
)

// Errors of PostgreSQL that mean something to us.
const (
	pgDuplicate   = "23505"
	pgForeignKey  = "23503"
	pgSerialize   = "40001"
	pgDeadlock    = "40P01"
	pgIdleInTx    = "25P03"
	pgShutdown    = "57P01"
	pgCrash       = "57P02"
	pgStarting    = "57P03"
	pgTooMany     = "53300"
	pgIdleSession = "57P05"
	pgPattern     = "2201B" // no regular expression
)

// Connections of one server. Requests that find none free wait their turn;
// several servers have to fit in PostgreSQL's usual 100.
const (
	pgReaders = 12
	pgWriters = 16
)

// stuck is how long a process that stands still may keep others waiting for
// what it holds: PostgreSQL then ends its transaction or its turn.
const stuck = 10 * time.Second

// postgres is the store that several servers share.
type postgres struct {
	home    *DB
	writers *bun.DB
	turns   *sql.DB // connections that hold turns; never many
	local   turns   // so that of one process one connection waits for each turn
}

func openPostgres(ctx context.Context, source string, version int64) (*DB, error) {
	config, err := pgConfig(source)
	if err != nil {
		return nil, err
	}
	shown := fmt.Sprintf("PostgreSQL database %s on %s", config.Database, config.Host)
	d := &DB{clock: clock.Real{}}
	p := &postgres{home: d, turns: stdlib.OpenDB(*config)}
	p.turns.SetMaxIdleConns(0)
	reader, writer := stdlib.OpenDB(*config), stdlib.OpenDB(*config)
	reader.SetMaxOpenConns(pgReaders)
	reader.SetMaxIdleConns(pgReaders)
	writer.SetMaxOpenConns(pgWriters)
	writer.SetMaxIdleConns(pgWriters)
	err = checkEncoding(ctx, writer)
	if err == nil {
		err = p.exclusive(ctx, "migrate", func(ctx context.Context) error {
			return migrate(ctx, writer, goose.DialectPostgres, inPostgres, version)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", shown, errors.Join(err, reader.Close(), writer.Close(), p.turns.Close()))
	}
	d.read = through(reader, newPGDialect())
	d.reads = d.read
	p.writers = through(writer, newPGDialect())
	d.store = p
	return d, nil
}

func pgConfig(source string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return nil, fmt.Errorf("read the PostgreSQL URL: %w", err) // pgx leaves the password out
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err // pgx makes it a ConnectError
		}
		return marked{conn}, nil
	}
	// The query builder writes arguments into the text, so that no statement is
	// ever seen twice and preparing it would be wasted.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	for name, value := range map[string]string{
		"application_name":                    "nacre",
		"default_transaction_isolation":       "read committed",
		"idle_in_transaction_session_timeout": fmt.Sprint(stuck.Milliseconds()),
		"standard_conforming_strings":         "on",
	} {
		_, given := config.RuntimeParams[name]
		if !given {
			config.RuntimeParams[name] = value
		}
	}
	// Whoever is answered finds the change after a power cut, whatever the
	// server's default.
	config.RuntimeParams["synchronous_commit"] = "on"
	return config, nil
}

func checkEncoding(ctx context.Context, conn *sql.DB) error {
	var encoding string
	err := conn.QueryRowContext(ctx, "SHOW server_encoding").Scan(&encoding)
	if err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("its encoding is %s; make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	return nil
}

// pgDialect writes truth values as the integers that columns hold.
type pgDialect struct{ *pgdialect.Dialect }

func newPGDialect() pgDialect { return pgDialect{pgdialect.New()} }

// AppendBool implements schema.Dialect.
func (pgDialect) AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, '1')
	}
	return append(b, '0')
}

func (p *postgres) close() error {
	return errors.Join(p.writers.Close(), p.turns.Close())
}

// mostTries bounds how often a transaction runs that others get in the way of.
const mostTries = 10

// write runs the transaction, again when another one got in its way: then it
// sees what that one did.
func (p *postgres) write(ctx context.Context, do func(tx *Tx) error) error {
	for try := 1; ; try++ {
		tx, err := p.once(ctx, do)
		if err == nil {
			for _, after := range tx.after {
				after()
			}
			return nil
		}
		if !worthAnother(err, try) {
			return err
		}
		pause := time.Duration(rand.Int64N(int64(time.Millisecond) << min(try, 7)))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// uncertain marks the error of a COMMIT: it may have happened all the same.
type uncertain struct{ error }

func (e uncertain) Unwrap() error { return e.error }

func (p *postgres) once(ctx context.Context, do func(tx *Tx) error) (*Tx, error) {
	inner, err := p.writers.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	done := false
	defer func() {
		if !done { // an error, or a panic on its way to whoever called
			inner.Rollback()
		}
	}()
	tx := &Tx{IDB: inner, home: p.home, hold: " FOR NO KEY UPDATE"}
	err = do(tx)
	if err != nil {
		return nil, err
	}
	done = true
	err = inner.Commit()
	if err != nil {
		return nil, uncertain{fmt.Errorf("commit: %w", err)}
	}
	return tx, nil
}

// worthAnother tells whether the transaction is worth another try.
func worthAnother(err error, try int) bool {
	var met again
	if errors.As(err, &met) {
		return try < mostTries
	}
	var unsure uncertain
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		// A connection that broke under the transaction has undone it, unless
		// it broke under the COMMIT.
		return !errors.As(err, &unsure) && lost(err) && try < mostTries
	}
	switch pg.Code {
	case pgSerialize, pgDeadlock:
		return try < mostTries
	case pgDuplicate, pgForeignKey:
		// Another transaction wrote what this one had not seen when it looked. It
		// looks again, and has a sentence for it; or it is simply wrong.
		return try < 3
	}
	return away(pg.Code) && !errors.As(err, &unsure) && try < mostTries
}

// away tells whether the code says that the server takes no connection, or has
// given one up.
func away(code string) bool {
	switch code {
	case pgShutdown, pgCrash, pgStarting, pgIdleInTx, pgIdleSession, pgTooMany:
		return true
	}
	return false
}

// IsAway tells whether the error says that the database cannot be reached: another
// try may succeed. Whether the transaction happened is not known then.
func IsAway(err error) bool {
	if err == nil {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return away(pg.Code)
	}
	return lost(err)
}

// lost tells whether a connection to the database broke, or could not be made.
// Other parts lose connections too, which says nothing about the database: its
// own are marked.
func lost(err error) bool {
	var broke broken
	var refused *pgconn.ConnectError
	return errors.As(err, &broke) || errors.As(err, &refused) || errors.Is(err, driver.ErrBadConn) || strings.Contains(err.Error(), "conn closed")
}

// broken marks the error of a connection to the database.
type broken struct{ error }

func (e broken) Unwrap() error { return e.error }

// marked is a connection to the database, whose errors say so.
type marked struct{ net.Conn }

// Read implements net.Conn.
func (c marked) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		err = broken{err}
	}
	return n, err
}

// Write implements net.Conn.
func (c marked) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		err = broken{err}
	}
	return n, err
}

func (p *postgres) lock(ctx context.Context, tx *Tx, key string) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", key)
	return err
}

// freeze implements store.
func (p *postgres) freeze(ctx context.Context, tx *Tx) error {
	_, err := tx.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	return err
}

// catalog implements store.
func (p *postgres) catalog() string {
	return "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace" +
		" AND relname <> 'goose_db_version' ORDER BY oid"
}

// snapshot implements store. Whoever reads may take his time over each row.
func (p *postgres) snapshot() string {
	return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0"
}

// filled implements store: numbers go on behind those that are there.
func (p *postgres) filled(ctx context.Context, tx *Tx) error {
	var counts []string
	err := tx.All(ctx, &counts, `
		SELECT format('SELECT setval(pg_get_serial_sequence(%L, %L), COALESCE(MAX(%I), 0) + 1, false) FROM %I',
			table_name, column_name, column_name, table_name)
		FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES'`)
	if err != nil {
		return fmt.Errorf("list counting columns: %w", err)
	}
	for _, count := range counts {
		_, err = tx.ExecContext(ctx, count)
		if err != nil {
			return fmt.Errorf("set counter: %w", err)
		}
	}
	return nil
}

// exclusive holds the turn by a connection of its own. It says every second that
// we are alive; when we are not, PostgreSQL ends the connection and with it the turn.
func (p *postgres) exclusive(ctx context.Context, name string, do func(ctx context.Context) error) error {
	give, err := p.local.take(ctx, name)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", name, err)
	}
	defer give()
	conn, err := p.turns.Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", name, err)
	}
	defer conn.Close() // closes the connection, as none is kept idle
	_, err = conn.ExecContext(ctx, "SET idle_session_timeout = "+fmt.Sprint(stuck.Milliseconds()))
	if err != nil {
		return fmt.Errorf("wait for %s: %w", name, err)
	}
	_, err = conn.ExecContext(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 1))", name)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", name, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		beat := time.NewTicker(time.Second)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
			}
			err := conn.PingContext(ctx)
			if err != nil {
				cancel(fmt.Errorf("lost the turn for %s: %w", name, err))
				return
			}
		}
	}()
	err = do(ctx)
	cancel(nil)
	<-watched
	return err
}
