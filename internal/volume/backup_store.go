package volume

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"nacre/internal/errs"
	"nacre/internal/nbd"
)

// A backup is chunks of the disk, each compressed and an object of its own, and
// a manifest that names them with their checksums. Chunks that hold nothing are
// left out; a chunk that the parent has already is named in the manifest as the
// parent's. So a manifest is always the whole disk, however long the chain.
//
// The objects are the project's own, as in Cinder, so a manifest is no more to be
// trusted than what a user sends: it is checked when it is read, and each chunk
// against its checksum.

// vault is what backups need from the object store. Containers and objects are
// those of a project.
type vault interface {
	// PutContainer makes the container exist.
	PutContainer(ctx context.Context, project, container string) error
	// PutObject stores an object with a mark.
	PutObject(ctx context.Context, project, container, name, mark string, bytes io.Reader) error
	// Mark is the mark of an object; what does not exist is not found.
	Mark(ctx context.Context, project, container, name string) (string, error)
	// OpenObject reads an object.
	OpenObject(ctx context.Context, project, container, name string) (io.ReadCloser, error)
	// ObjectNames are the names of all objects that begin so.
	ObjectNames(ctx context.Context, project, container, prefix string) ([]string, error)
	// RemoveObject removes an object. A missing one is a success.
	RemoveObject(ctx context.Context, project, container, name string) error
}

// BackupService is the name of what keeps backups: they are where Cinder's
// driver for Swift has them.
const BackupService = "cinder.backup.drivers.swift.SwiftBackupDriver"

// BackupContainer is where backups are unless another container is asked for.
const BackupContainer = "volumebackups"

const (
	chunkBytes  = 4 << 20
	maxManifest = 64 << 20
	maxDisk     = 1 << 50
)

// manifest describes a backup.
type manifest struct {
	Version  int     `json:"version"`
	Size     int64   `json:"size"` // of the disk, in bytes
	Chunk    int64   `json:"chunk"`
	Parent   string  `json:"parent,omitempty"`
	Volume   about   `json:"volume"`
	Contents []chunk `json:"contents"` // by number
}

// about is what a backup keeps of the volume beside its bytes.
type about struct {
	Name          string            `json:"name"`
	Bootable      bool              `json:"bootable"`
	Metadata      map[string]string `json:"metadata"`
	ImageMetadata map[string]string `json:"image_metadata"`
}

// chunk is one part of the disk that holds something.
type chunk struct {
	Number int64  `json:"number"`
	Object string `json:"object"`
	SHA256 string `json:"sha256"` // of the bytes before they are compressed
}

var (
	prefixes = regexp.MustCompile(`^volume_[0-9A-Za-z-]{1,36}/[0-9]{14}/az_[A-Za-z0-9_.-]{1,64}_backup_[0-9A-Za-z-]{1,36}$`)
	chunkTag = regexp.MustCompile(`^-[0-9]{8,}$`)
	sums     = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// prefix is how the names of a backup's objects begin.
func (s *Service) prefix(b Backup) string {
	return fmt.Sprintf("volume_%s/%s/az_%s_backup_%s", b.Volume, b.CreatedAt.Time().UTC().Format("20060102150405"), s.zone, b.ID)
}

func manifestName(prefix string) string { return prefix + "_metadata" }

func chunkName(prefix string, number int64) string { return fmt.Sprintf("%s-%08d", prefix, number) }

// broken is the error for a backup whose objects are not what they should be.
func broken(b Backup, format string, args ...any) error {
	return errs.New(errs.Internal, "Backup %s is damaged: %s.", b.ID, fmt.Sprintf(format, args...))
}

// check refuses a manifest that does not describe a disk, or names objects that
// are no chunks of backups.
func (m manifest) check(b Backup) error {
	switch {
	case m.Version != 1:
		return broken(b, "its manifest has version %d", m.Version)
	case m.Size <= 0 || m.Size > maxDisk || m.Size > b.SizeGB<<30:
		return broken(b, "its manifest is of %d bytes, the backup of %d GiB", m.Size, b.SizeGB)
	case m.Chunk != chunkBytes:
		return broken(b, "its chunks have %d bytes", m.Chunk)
	}
	last := int64(-1)
	for _, c := range m.Contents {
		at := strings.LastIndexByte(c.Object, '-')
		if at < 0 || !prefixes.MatchString(c.Object[:at]) || !chunkTag.MatchString(c.Object[at:]) || !sums.MatchString(c.SHA256) {
			return broken(b, "its manifest names %.100q", c.Object)
		}
		if c.Number <= last || c.Number*m.Chunk >= m.Size {
			return broken(b, "its manifest has chunk %d behind chunk %d", c.Number, last)
		}
		last = c.Number
	}
	return nil
}

// length is how many bytes a chunk has.
func (m manifest) length(number int64) int64 { return min(m.Chunk, m.Size-number*m.Chunk) }

// manifestOf reads and checks the manifest of a backup.
func (s *Service) manifestOf(ctx context.Context, b Backup) (manifest, error) {
	var m manifest
	if !prefixes.MatchString(b.Prefix) {
		return m, broken(b, "%.100q is no place for it", b.Prefix)
	}
	object, err := s.vault.OpenObject(ctx, b.Account, b.Container, manifestName(b.Prefix))
	if errs.Is(err, errs.NotFound) {
		return m, broken(b, "its manifest is gone")
	}
	if err != nil {
		return m, fmt.Errorf("open the manifest of backup %s: %w", b.ID, err)
	}
	defer object.Close()
	text, err := io.ReadAll(io.LimitReader(object, maxManifest+1))
	if err != nil {
		return m, fmt.Errorf("read the manifest of backup %s: %w", b.ID, err)
	}
	if len(text) > maxManifest || json.Unmarshal(text, &m) != nil {
		return m, broken(b, "its manifest is unreadable")
	}
	return m, m.check(b)
}

// storer writes a disk into a backup.
type storer struct {
	s        *Service
	b        Backup
	disk     disk
	box      box             // for the chunks of an encrypted volume
	known    map[int64]chunk // of the parent
	progress func(stored int64) error
	stored   int64
}

// store writes what the disk holds and returns the manifest, which is not yet
// stored. What an earlier try has stored is not stored again.
func (w *storer) store(ctx context.Context) (manifest, error) {
	m := manifest{Version: 1, Size: w.disk.Size(), Chunk: chunkBytes, Parent: w.b.Parent}
	const stretch = 256 * chunkBytes // whose holes are looked for at once
	for at := int64(0); at < m.Size; at += stretch {
		extents, err := w.disk.Extents(at, min(stretch, m.Size-at))
		if err != nil {
			return m, err
		}
		for _, number := range holding(extents) {
			c, err := w.chunk(ctx, m, number)
			if err != nil {
				return m, fmt.Errorf("store chunk %d: %w", number, err)
			}
			if c.Object != "" {
				m.Contents = append(m.Contents, c)
			}
		}
	}
	return m, nil
}

// holding are the numbers of the chunks that hold something.
func holding(extents []nbd.Extent) []int64 {
	var list []int64
	for _, e := range extents {
		if e.Zero {
			continue
		}
		for number := e.Offset / chunkBytes; number*chunkBytes < e.Offset+e.Length; number++ {
			if len(list) == 0 || list[len(list)-1] < number {
				list = append(list, number)
			}
		}
	}
	return list
}

func (w *storer) chunk(ctx context.Context, m manifest, number int64) (chunk, error) {
	data := make([]byte, m.length(number))
	_, err := w.disk.ReadAt(data, number*m.Chunk)
	if err != nil {
		return chunk{}, err
	}
	if !slices.ContainsFunc(data, func(b byte) bool { return b != 0 }) {
		return chunk{}, nil
	}
	c := chunk{Number: number, Object: chunkName(w.b.Prefix, number), SHA256: w.box.sum(data)}
	if old, known := w.known[number]; known && old.SHA256 == c.SHA256 {
		return old, nil
	}
	w.stored++
	mark, err := w.s.vault.Mark(ctx, w.b.Account, w.b.Container, c.Object)
	if err == nil && mark == c.SHA256 {
		return c, w.progress(w.stored)
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return chunk{}, err
	}
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err == nil {
		_, err = zip.Write(data)
	}
	if err == nil {
		err = zip.Close()
	}
	if err == nil {
		sealed := bytes.NewReader(w.box.seal(c.Object, packed.Bytes()))
		err = w.s.vault.PutObject(ctx, w.b.Account, w.b.Container, c.Object, c.SHA256, sealed)
	}
	if err != nil {
		return chunk{}, err
	}
	return c, w.progress(w.stored)
}

// unpack reads a chunk of a backup and compares it with its checksum. No more
// is unpacked than the chunk may have.
func (s *Service) unpack(ctx context.Context, b Backup, x box, c chunk, length int64) ([]byte, error) {
	object, err := s.vault.OpenObject(ctx, b.Account, b.Container, c.Object)
	if errs.Is(err, errs.NotFound) {
		return nil, broken(b, "object %s is gone", c.Object)
	}
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", c.Object, err)
	}
	defer object.Close()
	packed, err := io.ReadAll(io.LimitReader(object, 2*chunkBytes))
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", c.Object, err)
	}
	packed, err = x.open(c.Object, packed)
	if err != nil {
		return nil, broken(b, "object %s is not encrypted as it should be", c.Object)
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, broken(b, "object %s is no chunk", c.Object)
	}
	data, err := io.ReadAll(io.LimitReader(zip, length+1))
	if err != nil || int64(len(data)) != length || x.sum(data) != c.SHA256 {
		return nil, broken(b, "the bytes of object %s do not match their checksum", c.Object)
	}
	return data, nil
}

// restore writes a backup to a disk that is at least as large. What the backup
// has nothing of is cleared.
func (s *Service) restore(ctx context.Context, b Backup, m manifest, to disk) error {
	x, err := s.boxOf(ctx, b)
	if err != nil {
		return err
	}
	if to.Size() < m.Size {
		return errs.BadRequestf("Invalid volume: its %d bytes are too few to restore backup %s of %d.", to.Size(), b.ID, m.Size)
	}
	at := int64(0)
	for _, c := range m.Contents {
		offset := c.Number * m.Chunk
		data, err := s.unpack(ctx, b, x, c, m.length(c.Number))
		if err != nil {
			return err
		}
		if offset > at {
			err = to.Zero(at, offset-at)
			if err != nil {
				return err
			}
		}
		_, err = to.WriteAt(data, offset)
		if err != nil {
			return err
		}
		at = offset + int64(len(data))
	}
	if at < m.Size {
		err := to.Zero(at, m.Size-at)
		if err != nil {
			return err
		}
	}
	return to.Flush()
}

// saveManifest stores the manifest, which makes the backup whole.
func (s *Service) saveManifest(ctx context.Context, b Backup, m manifest) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.vault.PutObject(ctx, b.Account, b.Container, manifestName(b.Prefix), "", bytes.NewReader(text))
}

// erase removes the objects of a backup, the manifest first: what remains after
// an interruption is no backup.
func (s *Service) erase(ctx context.Context, b Backup) error {
	if !prefixes.MatchString(b.Prefix) {
		return nil
	}
	err := s.vault.RemoveObject(ctx, b.Account, b.Container, manifestName(b.Prefix))
	if err != nil {
		return fmt.Errorf("remove the manifest of backup %s: %w", b.ID, err)
	}
	names, err := s.vault.ObjectNames(ctx, b.Account, b.Container, b.Prefix+"-")
	if err != nil {
		return fmt.Errorf("list the objects of backup %s: %w", b.ID, err)
	}
	for _, name := range names {
		err = s.vault.RemoveObject(ctx, b.Account, b.Container, name)
		if err != nil {
			return fmt.Errorf("remove object %s: %w", name, err)
		}
	}
	return nil
}
