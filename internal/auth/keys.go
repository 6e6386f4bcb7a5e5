package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Keys are the Fernet keys that seal and open tokens, in memory. Where they are
// kept, and when the next one's time has come, is the identity service's affair.
// The key with the highest number is the primary, which seals; all of them open.
// Number 0 is staged: it becomes the next primary, so that every server knows it
// before the first token is sealed with it.
type Keys struct {
	active atomic.Pointer[[]key]
}

// Key is one key as it is kept: its number, and 32 bytes in base64.
type Key struct {
	Number int
	Secret string
}

// NewKey makes a key.
func NewKey(number int) Key {
	var secret [32]byte
	_, err := rand.Read(secret[:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return Key{number, base64.URLEncoding.EncodeToString(secret[:])}
}

// Set makes these the keys from now on.
func (k *Keys) Set(keys []Key) error {
	if len(keys) == 0 {
		return errors.New("there are no keys for tokens")
	}
	active := make([]key, len(keys))
	for i, kept := range keys {
		secret, err := base64.URLEncoding.DecodeString(kept.Secret)
		if err != nil {
			return fmt.Errorf("key %d is not base64", kept.Number)
		}
		active[i], err = newKey(kept.Number, secret)
		if err != nil {
			return fmt.Errorf("key %d %w", kept.Number, err)
		}
	}
	slices.SortFunc(active, func(a, b key) int { return b.number - a.number })
	k.active.Store(&active)
	return nil
}

// ReadKeys reads a folder of keys in the form that Keystone uses: files named by
// number. Files that aren't and empty ones are somebody else's. A missing folder
// has none.
func ReadKeys(dir string) ([]Key, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []Key
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil || number < 0 || strconv.Itoa(number) != entry.Name() || !entry.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		if len(text) > 0 {
			found = append(found, Key{number, strings.TrimSpace(string(text))})
		}
	}
	return found, nil
}

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
