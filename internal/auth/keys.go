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

// Provider is a kind of tokens, named as Keystone's setting of that name.
type Provider string

const (
	Fernet Provider = "fernet" // encrypted and authenticated by a secret key
	JWS    Provider = "jws"    // signed by the private half of a key pair; everybody can read it
)

// Keys are the keys that seal and open tokens, in memory. Where they are kept,
// and when the next one's time has come, is the identity service's affair.
// Of each kind the key with the highest number is the primary, which seals; all
// of them open. Number 0 is staged: it becomes the next primary, so that every
// server knows it before the first token is sealed with it. Tokens of both kinds
// are opened, whichever is made.
type Keys struct {
	Makes  Provider // the kind of new tokens; "" is Fernet
	active atomic.Pointer[active]
}

// active are the keys, the primary of each kind first.
type active struct {
	fernet []key
	jws    []keyPair
}

// Key is one key as it is kept: its number, and in base64 the 32 bytes of a Fernet
// key or the private half of a pair in the form of PKCS 8.
type Key struct {
	Kind   Provider
	Number int
	Secret string
}

// NewKey makes a key.
func NewKey(kind Provider, number int) Key {
	var secret []byte
	if kind == JWS {
		secret = newKeyPair()
	} else {
		secret = make([]byte, 32)
		_, err := rand.Read(secret)
		if err != nil {
			panic(err) // crypto/rand never fails on the systems we support
		}
	}
	return Key{kind, number, base64.URLEncoding.EncodeToString(secret)}
}

// Set makes these the keys from now on.
func (k *Keys) Set(keys []Key) error {
	keys = slices.SortedFunc(slices.Values(keys), func(a, b Key) int { return b.Number - a.Number })
	var a active
	for _, kept := range keys {
		secret, err := base64.URLEncoding.DecodeString(kept.Secret)
		if err != nil {
			return fmt.Errorf("key %d is not base64", kept.Number)
		}
		switch kept.Kind {
		case Fernet:
			var opened key
			opened, err = newKey(secret)
			a.fernet = append(a.fernet, opened)
		case JWS:
			var opened keyPair
			opened, err = openKeyPair(kept.Number, secret)
			a.jws = append(a.jws, opened)
		default:
			err = fmt.Errorf("is for an unknown kind of tokens: %s", kept.Kind)
		}
		if err != nil {
			return fmt.Errorf("key %d %w", kept.Number, err)
		}
	}
	if len(a.fernet) == 0 || k.Makes == JWS && len(a.jws) == 0 {
		return errors.New("there are no keys for tokens")
	}
	k.active.Store(&a)
	return nil
}

// ReadKeys reads a folder of Fernet keys in the form that Keystone uses: files
// named by number. Files that aren't and empty ones are somebody else's. A missing
// folder has none.
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
			found = append(found, Key{Fernet, number, strings.TrimSpace(string(text))})
		}
	}
	return found, nil
}

// Encode makes a token with the primary key. The times keep their seconds only.
func (k *Keys) Encode(t Token) (string, error) {
	a := k.active.Load()
	if k.Makes == JWS {
		return a.jws[0].sign(t)
	}
	payload, err := t.pack()
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	return k.seal(payload, t.IssuedAt), nil
}

// Decode opens a token. It doesn't look at the clock.
func (k *Keys) Decode(text string) (Token, error) {
	if strings.Contains(text, ".") { // which no Fernet token does
		return verify(k.active.Load().jws, text)
	}
	payload, issued, err := k.open(text)
	if err != nil {
		return Token{}, err
	}
	t, err := unpack(payload)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", errToken, err)
	}
	t.IssuedAt = issued
	return t, nil
}

func (k *Keys) seal(message []byte, at time.Time) string {
	return k.active.Load().fernet[0].seal(message, at)
}

func (k *Keys) open(text string) ([]byte, time.Time, error) {
	if len(text) > maxToken {
		return nil, time.Time{}, errToken
	}
	b, err := decodeToken(text)
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, key := range k.active.Load().fernet {
		message, at, err := key.open(b)
		if err == nil {
			return message, at, nil
		}
	}
	return nil, time.Time{}, errToken
}
