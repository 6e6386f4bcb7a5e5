// Package backup keeps a cloud in one file: the database, the bytes of images
// and objects, and the keys. It is what a cloud needs to live on another
// machine or another database, and no more: the disks of guests and volumes stay
// on their hosts.
//
// The file is a zip archive. database/TABLE.jsonl has a row a line, the first
// line names the columns; blobs/KEY has the bytes of a blob; files/NAME is a file
// of the data folder; manifest.json, written last, says what must be there. Rows
// are neither SQLite's nor PostgreSQL's, so either restores what the other had.
//
// A backup is one moment of the database. Bytes are written before their row
// and removed after it, so the blobs are copied twice: what is there before that
// moment, which takes long, and then what has come since. Should a row of the
// moment miss its bytes all the same, another moment is taken.
package backup

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"nacre/internal/blob"
	"nacre/internal/db"
)

const (
	format       = 1
	manifestName = "manifest.json"
	mostMoments  = 5
)

// manifest says what a backup has.
type manifest struct {
	Format int              `json:"format"`
	Made   time.Time        `json:"made"`
	Nacre  string           `json:"nacre"`
	Schema int64            `json:"schema"`
	Moment int              `json:"moment"` // which folder of rows counts
	Rows   map[string]int64 `json:"rows"`
	Tables []string         `json:"tables"` // each behind those that it refers to
	Blobs  int              `json:"blobs"`
	Files  int              `json:"files"`
}

// Source is what a backup is made of.
type Source struct {
	DB    *db.DB
	Blobs blob.Store
	Files map[string]string // the name in the backup, and the file
	Nacre string            // version of the program
	Now   time.Time
	Say   func(line string) // hears of progress; may be nil
}

// Write makes a backup while the cloud goes on.
func Write(ctx context.Context, s Source, out io.Writer) error {
	w := &writer{ctx: ctx, Source: s, zip: zip.NewWriter(out), has: map[string]bool{}}
	w.manifest = manifest{Format: format, Made: s.Now, Nacre: s.Nacre}
	var err error
	w.manifest.Schema, err = s.DB.Version(ctx)
	if err != nil {
		return err
	}
	w.manifest.Tables, err = s.DB.Tables(ctx)
	if err != nil {
		return err
	}
	err = w.addBlobs()
	for complete := false; err == nil && !complete; {
		complete, err = w.addMoment()
	}
	if err == nil {
		err = w.addFiles()
	}
	if err != nil {
		return err
	}
	entry, err := w.zip.Create(manifestName)
	if err == nil {
		err = json.NewEncoder(entry).Encode(w.manifest)
	}
	return errors.Join(err, w.zip.Close())
}

type writer struct {
	Source
	ctx      context.Context
	zip      *zip.Writer
	manifest manifest
	has      map[string]bool // blobs
	said     time.Time
}

// say tells of progress once a second.
func (w *writer) say(text string, args ...any) {
	if w.Say == nil || time.Since(w.said) < time.Second {
		return
	}
	w.said = time.Now()
	w.Say(fmt.Sprintf(text, args...))
}

// addBlobs copies the blobs that are there and were not copied yet.
func (w *writer) addBlobs() error {
	var keys []string
	err := w.Blobs.List(w.ctx, "", func(key string) error {
		if !w.has[key] {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list image and object bytes: %w", err)
	}
	for i, key := range keys {
		err = w.addBlob(key)
		if err != nil {
			return fmt.Errorf("copy bytes %s: %w", key, err)
		}
		w.say("copied %d of %d images and objects", i+1, len(keys))
	}
	w.manifest.Blobs = len(w.has)
	return nil
}

func (w *writer) addBlob(key string) error {
	from, err := w.Blobs.Open(w.ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed since it was listed
	}
	if err != nil {
		return err
	}
	defer from.Close()
	w.has[key] = true
	into, err := w.zip.CreateHeader(&zip.FileHeader{Name: "blobs/" + key, Method: zip.Store, Modified: w.Now})
	if err != nil {
		return err
	}
	_, err = io.Copy(into, from)
	return err
}

// blobKey is what keys of blobs look like in rows.
var blobKey = regexp.MustCompile(`^(images|objects)/[0-9a-f-]{32,40}$`)

// unsettled are tables that name blobs which are being written, or are on their
// way out.
var unsettled = map[string]bool{"object_blobs": true}

// addMoment writes the rows of one moment, then the blobs that came meanwhile. It
// is complete when every blob is there that a row names.
func (w *writer) addMoment() (complete bool, err error) {
	w.manifest.Moment++
	w.manifest.Rows = map[string]int64{}
	var named []string
	var lines *json.Encoder
	current := ""
	all := int64(0)
	err = w.DB.Rows(w.ctx, func(table string, columns []string, row []any) error {
		if table != current {
			entry, err := w.zip.Create(tableEntry(w.manifest.Moment, table))
			if err != nil {
				return err
			}
			lines, current = json.NewEncoder(entry), table
			err = lines.Encode(columns)
			if err != nil {
				return err
			}
		}
		w.manifest.Rows[table]++
		all++
		w.say("copied %d rows, now of %s", all, table)
		for _, v := range row {
			text, isText := v.(string)
			if isText && !unsettled[table] && blobKey.MatchString(text) {
				named = append(named, text)
			}
		}
		return lines.Encode(row)
	})
	if err != nil {
		return false, err
	}
	err = w.addBlobs()
	if err != nil {
		return false, err
	}
	for _, key := range named {
		if w.has[key] {
			continue
		}
		if w.manifest.Moment == mostMoments {
			return false, fmt.Errorf("the bytes %s, which a row names, are missing", key)
		}
		return false, nil
	}
	return true, nil
}

func tableEntry(moment int, table string) string {
	return "database/" + strconv.Itoa(moment) + "/" + table + ".jsonl"
}

func (w *writer) addFiles() error {
	for name, file := range w.Files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		into, err := w.zip.Create("files/" + name)
		if err == nil {
			_, err = into.Write(content)
		}
		if err != nil {
			return err
		}
		w.manifest.Files++
	}
	return nil
}

// Backup is one that was made.
type Backup struct {
	manifest
	zip *zip.ReadCloser
}

// Open opens a backup and looks whether all of it is there.
func Open(file string) (*Backup, error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s is not a whole backup: %w", file, err)
	}
	b := &Backup{zip: z}
	err = b.read()
	if err != nil {
		z.Close()
		return nil, fmt.Errorf("%s is not a whole backup: %w", file, err)
	}
	return b, nil
}

func (b *Backup) read() error {
	f, err := b.zip.Open(manifestName)
	if err != nil {
		return err
	}
	defer f.Close()
	err = json.NewDecoder(f).Decode(&b.manifest)
	if err != nil {
		return err
	}
	if b.Format != format {
		return fmt.Errorf("it has format %d, and this program reads %d", b.Format, format)
	}
	blobs, files := 0, 0
	for _, entry := range b.zip.File {
		switch {
		case strings.HasPrefix(entry.Name, "blobs/"):
			blobs++
		case strings.HasPrefix(entry.Name, "files/"):
			files++
		}
	}
	if blobs != b.Blobs || files != b.Files {
		return fmt.Errorf("it has %d blobs and %d files instead of %d and %d", blobs, files, b.Blobs, b.Files)
	}
	return nil
}

// Close closes the file.
func (b *Backup) Close() error { return b.zip.Close() }

// Version is the version of the schema that the rows fit.
func (b *Backup) Version() int64 { return b.Schema }

// Rows hands over all rows.
func (b *Backup) Rows(put db.Visit) error {
	for _, table := range b.Tables {
		if b.manifest.Rows[table] == 0 {
			continue
		}
		err := b.rowsOf(table, put)
		if err != nil {
			return fmt.Errorf("read table %s of the backup: %w", table, err)
		}
	}
	return nil
}

func (b *Backup) rowsOf(table string, put db.Visit) error {
	f, err := b.zip.Open(tableEntry(b.Moment, table))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(f))
	lines.UseNumber()
	var columns []string
	err = lines.Decode(&columns)
	if err != nil {
		return err
	}
	n := int64(0)
	for ; lines.More(); n++ {
		var row []any
		err = lines.Decode(&row)
		if err != nil {
			return err
		}
		for i, v := range row {
			number, isNumber := v.(json.Number)
			if !isNumber {
				continue
			}
			whole, err := number.Int64()
			if err == nil {
				row[i] = whole
				continue
			}
			row[i], err = number.Float64()
			if err != nil {
				return err
			}
		}
		err = put(table, columns, row)
		if err != nil {
			return err
		}
	}
	if n != b.manifest.Rows[table] {
		return fmt.Errorf("it has %d rows instead of %d", n, b.manifest.Rows[table])
	}
	return nil
}

// RestoreBlobs puts all blobs into the store.
func (b *Backup) RestoreBlobs(ctx context.Context, store blob.Store) error {
	return b.each("blobs/", func(name string, content io.Reader) error {
		_, err := store.Put(ctx, name, content)
		return err
	})
}

// RestoreFiles writes all files, each where the function says, for their owner
// alone.
func (b *Backup) RestoreFiles(where func(name string) string) error {
	return b.each("files/", func(name string, content io.Reader) error {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%q is no name for a file", name)
		}
		all, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		file := where(name)
		err = os.MkdirAll(filepath.Dir(file), 0o700)
		if err != nil {
			return err
		}
		return os.WriteFile(file, all, 0o600)
	})
}

func (b *Backup) each(prefix string, do func(name string, content io.Reader) error) error {
	for _, entry := range b.zip.File {
		name, ours := strings.CutPrefix(entry.Name, prefix)
		if !ours {
			continue
		}
		content, err := entry.Open()
		if err != nil {
			return err
		}
		err = do(name, content)
		err = errors.Join(err, content.Close())
		if err != nil {
			return fmt.Errorf("restore %s: %w", entry.Name, err)
		}
	}
	return nil
}
