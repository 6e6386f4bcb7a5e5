package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nacre/internal/atomicfile"
	"nacre/internal/backup"
	"nacre/internal/blob/files"
	"nacre/internal/cluster"
	"nacre/internal/db"
)

// databaseFile names the database of a cloud that was moved away from the one in
// its data folder.
const databaseFile = "database"

// databaseOf is the database of a data folder when no setting names one.
func databaseOf(dir string) (string, error) {
	source, err := os.ReadFile(filepath.Join(dir, databaseFile))
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(dir, "nacre.db"), nil
	}
	if err != nil {
		return "", fmt.Errorf("find the database: %w", err)
	}
	return strings.TrimSpace(string(source)), nil
}

// What a data folder has besides the database and the blobs. A backup has what
// is kept: keys, and what tells clients the way. What is left out belongs to a
// host (guests, volumes, networks), to a process, or is made again.
var (
	keptFiles = []string{"credential-keys", "fernet-keys", "tls", caFile, "clouds.yaml", "openrc", "secrets.json", "first-image"}
	leftOut   = []string{
		"hosts", "images", "run", "nbd", "ovn", "guest", "volumes", "manageable", "lock", "owner", "nacre.log", databaseFile,
		"image-cache", "volume-work", "blobs", "nacre.db", "nacre.db-wal", "nacre.db-shm",
	}
)

// kept lists the files that a backup of the cloud has, by their names in it.
func (c Config) kept() (map[string]string, error) {
	all := map[string]string{}
	for _, name := range keptFiles {
		start := filepath.Join(c.DataDir, name)
		if name == "credential-keys" {
			start = c.KeyFile
		}
		err := filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && path == start {
				return nil
			}
			if err != nil || !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
				return err
			}
			below, err := filepath.Rel(start, path)
			all[filepath.ToSlash(filepath.Join(name, below))] = path
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list what to keep: %w", err)
		}
	}
	return all, nil
}

// place is where a kept file belongs.
func (c Config) place(name string) string {
	if name == "credential-keys" {
		return c.KeyFile
	}
	return filepath.Join(c.DataDir, filepath.FromSlash(name))
}

// Backup writes a backup of the cloud into a new file, whether it runs or not,
// and tells out of the progress.
func Backup(ctx context.Context, c Config, file string, out io.Writer) error {
	c, err := c.complete()
	if err != nil {
		return err
	}
	database, err := db.Peek(ctx, c.DB)
	if err != nil {
		return fmt.Errorf("find the cloud of %s: %w", c.DataDir, err)
	}
	defer database.Close()
	blobs, err := files.New(c.Blobs)
	if err != nil {
		return err
	}
	kept, err := c.kept()
	if err != nil {
		return err
	}
	// It has keys and password hashes, and is whole as soon as it has its name.
	part, err := os.OpenFile(file+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	defer os.Remove(part.Name())
	_, err = os.Stat(file)
	if err == nil {
		err = fmt.Errorf("%s is there already: name another file, or remove it", file)
	} else {
		err = backup.Write(ctx, backup.Source{
			DB: database, Blobs: blobs, Files: kept, Nacre: Version, Now: c.Clock.Now().UTC(),
			Say: func(line string) { fmt.Fprintln(out, line) },
		}, part)
	}
	if err == nil {
		err = part.Sync()
	}
	err = errors.Join(err, part.Close())
	if err != nil {
		return err
	}
	info, err := os.Stat(part.Name())
	if err != nil {
		return err
	}
	err = os.Rename(part.Name(), file)
	if err != nil {
		return fmt.Errorf("name the backup: %w", err)
	}
	fmt.Fprintf(out, "%s has the cloud of %s: %d MB. It has the cloud's keys, too: keep it safe.\n", file, c.DataDir, (info.Size()+1<<20-1)>>20)
	return nil
}

// Restore makes a cloud of a backup, in a data folder and a database that have
// none.
func Restore(ctx context.Context, c Config, file string, out io.Writer) error {
	named := c.DB
	c, err := c.complete()
	if err != nil {
		return err
	}
	b, err := backup.Open(file)
	if err != nil {
		return err
	}
	defer b.Close()
	release, err := lockFolder(c.DataDir)
	if err != nil {
		return err
	}
	defer release()
	err = c.vacant()
	if err != nil {
		return err
	}
	say := teller(out)
	database, err := db.OpenAt(ctx, c.DB, b.Version())
	if err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	defer database.Close()
	// Bytes and keys first: with the rows the cloud is there, and whole.
	store, err := files.New(c.Blobs)
	if err != nil {
		return err
	}
	empty, err := database.Empty(ctx)
	if err != nil {
		return err
	}
	if !empty {
		return errInUse(c.DB)
	}
	say("restoring images and objects")
	err = b.RestoreBlobs(ctx, store)
	if err == nil {
		err = b.RestoreFiles(c.place)
	}
	if err == nil {
		err = database.Fill(ctx, func(put db.Visit) error { return b.Rows(counted(put, say)) })
	}
	if errors.Is(err, db.ErrNotEmpty) {
		return errInUse(c.DB)
	}
	if err != nil {
		return err
	}
	mark, known, err := cluster.Known(ctx, database, "blobs")
	if err == nil && known {
		err = atomicfile.Write(filepath.Join(c.Blobs, blobsMark), []byte(mark+"\n"), 0o644)
	}
	if err == nil && named != "" {
		err = c.remember(named)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s has the cloud of the backup. Start it as before.\n", c.DataDir)
	return nil
}

// vacant refuses a data folder with a cloud in it.
func (c Config) vacant() error {
	for _, name := range append([]string{"nacre.db", databaseFile}, keptFiles...) {
		_, err := os.Stat(c.place(name))
		if err == nil {
			return fmt.Errorf("there is a cloud in %s already (%s): choose another folder", c.DataDir, c.place(name))
		}
	}
	return nil
}

func errInUse(source string) error {
	return fmt.Errorf("%s has something in it already: nothing was written; choose an empty one", shown(source))
}

// shown is a database as people may see it.
func shown(source string) string {
	if db.IsPostgres(source) {
		return "the PostgreSQL database"
	}
	return source
}

// Move copies the database of a stopped cloud into an empty one, and has the
// cloud use that from then on.
func Move(ctx context.Context, c Config, target string, out io.Writer) error {
	c, err := c.complete()
	if err != nil {
		return err
	}
	if !db.IsPostgres(target) {
		target, err = filepath.Abs(target)
		if err != nil {
			return err
		}
	}
	if target == c.DB {
		return errors.New("the cloud is there already")
	}
	release, err := lockFolder(c.DataDir)
	if err != nil {
		return err
	}
	defer release()
	from, err := db.Peek(ctx, c.DB)
	if err != nil {
		return fmt.Errorf("find the cloud of %s: %w", c.DataDir, err)
	}
	defer from.Close()
	version, err := from.Version(ctx)
	if err != nil {
		return err
	}
	to, err := db.OpenAt(ctx, target, version)
	if err != nil {
		return err
	}
	defer to.Close()
	say := teller(out)
	err = to.Fill(ctx, func(put db.Visit) error { return from.Rows(ctx, counted(put, say)) })
	if errors.Is(err, db.ErrNotEmpty) {
		return errInUse(target)
	}
	if err != nil {
		return fmt.Errorf("move the cloud: %w", err)
	}
	err = c.remember(target)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The cloud of %s is in %s now and starts there by itself.\n"+
		"A setting db (NACRE_DB, --db) that names the old one has to go. %s stays as it was; remove it when all is well.\n",
		c.DataDir, shown(target), shown(c.DB))
	return nil
}

// remember names the database for the next start. The name may hold a password.
func (c Config) remember(source string) error {
	return atomicfile.Write(filepath.Join(c.DataDir, databaseFile), []byte(source+"\n"), 0o600)
}

// teller writes lines, at most one a second.
func teller(out io.Writer) func(line string) {
	var last time.Time
	return func(line string) {
		if time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintln(out, line)
	}
}

// counted tells how many rows went by.
func counted(put db.Visit, say func(line string)) db.Visit {
	n := 0
	return func(table string, columns []string, row []any) error {
		n++
		say(fmt.Sprintf("copied %d rows, now of %s", n, table))
		return put(table, columns, row)
	}
}
