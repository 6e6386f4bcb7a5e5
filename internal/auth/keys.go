package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nacre/internal/atomicfile"
)

// Keys is a repository of Fernet keys in the form that Keystone uses: a folder
// of files named by number. The highest is the primary, which seals; all of
// them open. 0 is staged: it becomes the next primary, so that servers which
// share the folder's content know it before the first token is sealed with it.
//
// Each file is written beside its place, flushed and renamed. A process that
// stops in the middle of a rotation leaves a repository that opens every token
// it opened before.
type Keys struct {
	dir string
	max int

	mu     sync.Mutex // one rotation or reload at a time
	active atomic.Pointer[[]key]
}

// DefaultMaxActiveKeys suffices for tokens that live no longer than the time
// between two rotations.
const DefaultMaxActiveKeys = 3

// OpenKeys reads the repository in the folder and makes the folder and its
// first keys when they are missing. At most maxActive keys are kept at a
// rotation; 0 means DefaultMaxActiveKeys.
func OpenKeys(dir string, maxActive int) (*Keys, error) {
	if maxActive == 0 {
		maxActive = DefaultMaxActiveKeys
	}
	if maxActive < 2 {
		return nil, fmt.Errorf("open key repository %s: %d active keys are too few, a primary and a staged one are needed", dir, maxActive)
	}
	k := &Keys{dir: dir, max: maxActive}
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, fmt.Errorf("open key repository: %w", err)
	}
	err = k.repair()
	if err != nil {
		return nil, fmt.Errorf("open key repository %s: %w", dir, err)
	}
	err = k.Reload()
	if err != nil {
		return nil, err
	}
	return k, nil
}

// repair finishes what an earlier process began: first keys, or a rotation.
func (k *Keys) repair() error {
	found, err := k.read()
	if err != nil {
		return err
	}
	staged := len(found) > 0 && found[len(found)-1].number == 0
	if !staged {
		err = k.stage()
		if err != nil {
			return err
		}
	}
	if len(found) == 0 || (staged && len(found) == 1) {
		return k.rotate()
	}
	return nil
}

// Reload reads the folder again, after somebody else has rotated.
func (k *Keys) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.read()
	if err != nil {
		return fmt.Errorf("read key repository %s: %w", k.dir, err)
	}
	if len(found) == 0 {
		return fmt.Errorf("read key repository %s: it holds no keys", k.dir)
	}
	k.active.Store(&found)
	return nil
}

// Rotate makes the staged key the primary, stages a new one, and drops the
// oldest beyond the limit. Tokens sealed with a dropped key are invalid.
func (k *Keys) Rotate() error {
	k.mu.Lock()
	err := k.rotate()
	k.mu.Unlock()
	if err != nil {
		return fmt.Errorf("rotate key repository %s: %w", k.dir, err)
	}
	return k.Reload()
}

func (k *Keys) rotate() error {
	found, err := k.read()
	if err != nil {
		return err
	}
	if len(found) == 0 || found[len(found)-1].number != 0 {
		return errors.New("no key is staged")
	}
	primary := found[0].number + 1
	// Promote before staging anew. If we stop in between, the primary is in
	// place and the next start stages; the other order would lose the staged key.
	err = os.Rename(k.path(0), k.path(primary))
	if err != nil {
		return err
	}
	err = k.stage()
	if err != nil {
		return err
	}
	// found counts the promoted key under its old number 0; with the new staged
	// one there are len(found)+1 files, the oldest of which stand before the last.
	for excess := len(found) + 1 - k.max; excess > 0; excess-- {
		oldest := found[len(found)-2]
		found = slices.Delete(found, len(found)-2, len(found)-1)
		err = os.Remove(k.path(oldest.number))
		if err != nil {
			return err
		}
	}
	return atomicfile.Sync(k.dir)
}

// stage writes a new key 0.
func (k *Keys) stage() error {
	var secret [32]byte
	_, err := rand.Read(secret[:])
	if err != nil {
		return err
	}
	return atomicfile.Write(k.path(0), []byte(base64.URLEncoding.EncodeToString(secret[:])), 0o600)
}

// read loads all keys, the primary first. Files that aren't named by a number
// and empty ones are somebody else's.
func (k *Keys) read() ([]key, error) {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return nil, err
	}
	var found []key
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil || number < 0 || strconv.Itoa(number) != entry.Name() || !entry.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(k.path(number))
		if err != nil {
			return nil, err
		}
		if len(text) == 0 {
			continue
		}
		secret, err := base64.URLEncoding.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			return nil, fmt.Errorf("key %d is not base64", number)
		}
		parsed, err := newKey(number, secret)
		if err != nil {
			return nil, fmt.Errorf("key %d %w", number, err)
		}
		found = append(found, parsed)
	}
	slices.SortFunc(found, func(a, b key) int { return b.number - a.number })
	return found, nil
}

func (k *Keys) path(number int) string { return filepath.Join(k.dir, strconv.Itoa(number)) }

func (k *Keys) seal(message []byte, at time.Time) string {
	return (*k.active.Load())[0].seal(message, at)
}

func (k *Keys) open(text string) ([]byte, time.Time, error) {
	b, err := decodeToken(text)
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, key := range *k.active.Load() {
		message, at, err := key.open(b)
		if err == nil {
			return message, at, nil
		}
	}
	return nil, time.Time{}, errToken
}
