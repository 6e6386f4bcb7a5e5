package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxToken bounds what we look at. Ours have about 200 characters, those that are
// signed 500.
const maxToken = 2048

// errToken is all that is ever said about a token that cannot be read.
var errToken = errors.New("not a token of ours")

// A sealed message is version 0x80, 8 bytes of seconds, 16 of initialization
// vector, AES-128-CBC ciphertext, and an HMAC-SHA256 over all before it.
const (
	fernetVersion = 0x80
	headerSize    = 1 + 8 + aes.BlockSize
)

// key is one Fernet key: half of it signs, half of it encrypts.
type key struct {
	sign  [16]byte
	block cipher.Block
}

func newKey(secret []byte) (key, error) {
	var k key
	if len(secret) != 32 {
		return key{}, fmt.Errorf("has %d bytes, want 32", len(secret))
	}
	copy(k.sign[:], secret[:16])
	block, err := aes.NewCipher(secret[16:])
	if err != nil {
		return key{}, err
	}
	k.block = block
	return k, nil
}

// seal encrypts and signs a message with a time that anybody can read.
func (k key) seal(message []byte, at time.Time) string {
	pad := aes.BlockSize - len(message)%aes.BlockSize
	size := headerSize + len(message) + pad
	b := make([]byte, size, size+sha256.Size)
	b[0] = fernetVersion
	binary.BigEndian.PutUint64(b[1:9], uint64(at.Unix()))
	iv := b[9:headerSize]
	_, err := rand.Read(iv)
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	body := b[headerSize:]
	copy(body, message)
	for i := len(message); i < len(body); i++ {
		body[i] = byte(pad)
	}
	cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(body, body)
	return base64.RawURLEncoding.EncodeToString(k.mac(b, b))
}

// mac appends the signature of b to dst.
func (k key) mac(dst, b []byte) []byte {
	m := hmac.New(sha256.New, k.sign[:])
	m.Write(b)
	return m.Sum(dst)
}

// decodeToken undoes the base64, whether or not its padding was left on.
func decodeToken(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, errToken
	}
	size := len(b) - headerSize - sha256.Size
	if size < aes.BlockSize || size%aes.BlockSize != 0 || b[0] != fernetVersion {
		return nil, errToken
	}
	return b, nil
}

// open checks the signature and decrypts. It leaves b as it is.
func (k key) open(b []byte) (message []byte, at time.Time, err error) {
	signed, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(mac, k.mac(nil, signed)) {
		return nil, time.Time{}, errToken
	}
	message = make([]byte, len(signed)-headerSize)
	cipher.NewCBCDecrypter(k.block, b[9:headerSize]).CryptBlocks(message, signed[headerSize:])
	pad := int(message[len(message)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, time.Time{}, errToken
	}
	for _, c := range message[len(message)-pad:] {
		if int(c) != pad {
			return nil, time.Time{}, errToken
		}
	}
	seconds := binary.BigEndian.Uint64(b[1:9])
	return message[:len(message)-pad], time.Unix(int64(seconds), 0).UTC(), nil
}
