// Package files keeps blobs as files of a folder.
//
// A blob is DIR/<2 hex digits>/<key>, with + for each / of the key; the digits are
// the key's hash, so that no folder gets too long. It is written under another
// name in DIR/new, flushed, and given its own name, and then the folder is
// flushed: whoever opens the key finds the former blob or the new one, whole,
// also after a power cut.
//
// A writer holds a lock on its unfinished file. That is how New knows what a
// killed process left behind from what another one is still writing, so several
// servers may share the folder.
package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"nacre/internal/atomicfile"
	"nacre/internal/blob"
	"nacre/internal/lock"
)

// Store is a folder of blobs. It implements blob.Store.
type Store struct {
	dir        string
	unfinished string // folder of the files that are being written

	// at is called at named points of a change; tests stop the world there.
	at func(point string)
}

var _ blob.Store = (*Store)(nil)

// BufferSize is how many bytes are written at a time.
const BufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([BufferSize]byte) }}

// maxKey keeps names within what file systems take.
const maxKey = 200

// New opens a store, makes its folder, and sweeps what was never finished.
func New(dir string) (*Store, error) {
	s := &Store{dir: dir, unfinished: filepath.Join(dir, "new"), at: func(string) {}}
	err := os.MkdirAll(s.unfinished, 0o700)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	entries, err := os.ReadDir(s.unfinished)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	for _, e := range entries {
		err = sweep(filepath.Join(s.unfinished, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("sweep blob store: %w", err)
		}
	}
	return s, nil
}

// sweep removes an unfinished file unless somebody is writing it.
func sweep(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = lock.Try(f)
	if errors.Is(err, lock.ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	path, err := s.path(key)
	if err != nil {
		return 0, err
	}
	size, err := s.put(ctx, path, r)
	if err != nil {
		return 0, fmt.Errorf("store blob %s: %w", key, err)
	}
	return size, nil
}

func (s *Store) put(ctx context.Context, path string, r io.Reader) (int64, error) {
	f, err := s.create()
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) // a no-op once it has its name
	defer f.Close()           // keeps the lock until then
	s.at("created")

	buffer := buffers.Get().(*[BufferSize]byte)
	defer buffers.Put(buffer)
	size, err := io.CopyBuffer(onlyWriter{f}, reader{ctx, r}, buffer[:])
	if err != nil {
		return 0, err
	}
	s.at("written")
	err = f.Sync()
	if err != nil {
		return 0, err
	}
	s.at("flushed")
	err = s.makeFolder(filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	// What was asked to be given up must not appear after all.
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if runtime.GOOS == "windows" {
		f.Close() // there an open file keeps its name; nobody else starts up on the folder meanwhile
	}
	err = os.Rename(f.Name(), path)
	if err != nil {
		return 0, err
	}
	s.at("renamed")
	err = atomicfile.Sync(filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	return size, nil
}

// create makes an unfinished file and locks it.
func (s *Store) create() (*os.File, error) {
	for {
		f, err := os.CreateTemp(s.unfinished, "*")
		if err != nil {
			return nil, err
		}
		err = lock.Try(f)
		if err == nil {
			_, err = os.Stat(f.Name())
		}
		if err == nil {
			return f, nil
		}
		// Somebody who is starting up swept it before we had the lock.
		f.Close()
		os.Remove(f.Name())
		if !errors.Is(err, lock.ErrHeld) && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// makeFolder makes the folder of a blob survive a power cut before anything is
// put there.
func (s *Store) makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return atomicfile.Sync(s.dir)
}

// Open implements blob.Store.
func (s *Store) Open(_ context.Context, key string) (blob.Reader, error) {
	path, err := s.path(key)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", key, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open blob %s: %w", key, err)
	}
	return &file{File: f, size: info.Size()}, nil
}

// Path is where the bytes of a blob are, for programs that read files. It is
// valid until the blob is removed, and never written to.
func (s *Store) Path(key string) (string, error) { return s.path(key) }

// Remove implements blob.Store.
func (s *Store) Remove(_ context.Context, key string) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = atomicfile.Sync(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("remove blob %s: %w", key, err)
	}
	return nil
}

// List implements blob.Store. It reads every folder, whatever the prefix.
func (s *Store) List(ctx context.Context, prefix string, each func(key string) error) error {
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for _, folder := range folders {
		if len(folder.Name()) != 2 {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		names, err := os.ReadDir(filepath.Join(s.dir, folder.Name()))
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		for _, name := range names {
			key := strings.ReplaceAll(name.Name(), "+", "/")
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			err = each(key)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// path is the file of a key. Keys are made by our services; one that is not as
// agreed is a fault of ours, and must not lead out of the folder.
func (s *Store) path(key string) (string, error) {
	if key == "" || len(key) > maxKey {
		return "", fmt.Errorf("blob key %.40q is empty or too long", key)
	}
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '/' {
			return "", fmt.Errorf("blob key %q has characters that keys have not", key)
		}
	}
	hash := sha256.Sum256([]byte(key))
	return filepath.Join(s.dir, hex.EncodeToString(hash[:1]), strings.ReplaceAll(key, "/", "+")), nil
}

// file is a blob that is being read.
type file struct {
	*os.File
	size int64
}

// Size implements blob.Reader.
func (f *file) Size() int64 { return f.size }

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, r.ctx.Err()
	}
	return r.r.Read(p)
}

// onlyWriter hides the file's own ReadFrom, which would pass the context by.
type onlyWriter struct{ io.Writer }
