package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"nacre/internal/atomicfile"
)

// Sealer encrypts what must be shown again and so cannot be hashed: the secrets
// of credentials. Its keys stand in a file outside the database, one a line in
// base64: whoever has a copy of the database alone reads no secret. The first
// key seals and all of them open, so that a key is changed by writing a new line
// above the others; what older keys have sealed is sealed anew by whoever owns
// it. Servers of one cloud have the same file.
type Sealer struct {
	keys []sealKey // the first seals
}

type sealKey struct {
	id   string
	aead cipher.AEAD
}

// OpenSealer reads the file of keys, and makes it with one key when it is
// missing.
func OpenSealer(path string) (*Sealer, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var secret [32]byte
		_, err = rand.Read(secret[:])
		if err != nil {
			return nil, fmt.Errorf("make key of credentials: %w", err)
		}
		content = []byte(base64.StdEncoding.EncodeToString(secret[:]) + "\n")
		err = atomicfile.Write(path, content, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("read keys of credentials: %w", err)
	}
	s := &Sealer{}
	for number, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := newSealKey(line)
		if err != nil {
			return nil, fmt.Errorf("read keys of credentials %s: line %d %w", path, number+1, err)
		}
		s.keys = append(s.keys, key)
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("read keys of credentials %s: it holds no keys", path)
	}
	return s, nil
}

func newSealKey(line string) (sealKey, error) {
	secret, err := base64.StdEncoding.DecodeString(line)
	if err != nil || len(secret) != 32 {
		return sealKey{}, errors.New("is not 32 bytes in base64")
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return sealKey{}, err
	}
	aead, err := cipher.NewGCM(block)
	sum := sha256.Sum256(secret)
	return sealKey{id: hex.EncodeToString(sum[:6]), aead: aead}, err
}

// Current is the id of the key that seals.
func (s *Sealer) Current() string { return s.keys[0].id }

// Seal encrypts a secret. It opens again only in the same place, so that nobody
// who can write the database moves a secret to somebody else's row.
func (s *Sealer) Seal(place, secret string) string {
	key := s.keys[0]
	nonce := make([]byte, key.aead.NonceSize())
	_, err := rand.Read(nonce)
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	return key.id + "." + base64.RawStdEncoding.EncodeToString(key.aead.Seal(nonce, nonce, []byte(secret), []byte(place)))
}

// Renew seals with the present key what an older one has sealed, so that the older
// one can be taken out of the key file. What the present one has sealed stays.
func (s *Sealer) Renew(place, sealed string) (string, error) {
	if strings.HasPrefix(sealed, s.Current()+".") {
		return sealed, nil
	}
	plain, err := s.Open(place, sealed)
	if err != nil {
		return "", err
	}
	return s.Seal(place, plain), nil
}

// Open decrypts what Seal made for the place.
func (s *Sealer) Open(place, sealed string) (string, error) {
	id, text, _ := strings.Cut(sealed, ".")
	for _, key := range s.keys {
		if key.id != id {
			continue
		}
		raw, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil || len(raw) < key.aead.NonceSize() {
			return "", fmt.Errorf("open secret of %s: it is damaged", place)
		}
		secret, err := key.aead.Open(nil, raw[:key.aead.NonceSize()], raw[key.aead.NonceSize():], []byte(place))
		if err != nil {
			return "", fmt.Errorf("open secret of %s: %w", place, err)
		}
		return string(secret), nil
	}
	return "", fmt.Errorf("open secret of %s: the file of keys lacks key %s that sealed it", place, id)
}
