package auth

import (
	"bytes"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Receipt is what somebody gets who has proven who they are, but not by enough
// methods for a token: it counts for the methods in the next try. It is sealed
// like a token and can't be read as one.
type Receipt struct {
	User      string
	Methods   []string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// receiptPayload is a version that no token has.
const receiptPayload = 100

// EncodeReceipt seals a receipt with the primary key: [version, user, methods,
// expiry].
func (k *Keys) EncodeReceipt(r Receipt) (string, error) {
	var b bytes.Buffer
	w := writer{e: msgpack.NewEncoder(&b)}
	w.do(w.e.EncodeArrayLen(4))
	w.do(w.e.EncodeInt(receiptPayload))
	w.id(r.User)
	mask, err := methodMask(r.Methods)
	w.do(err)
	w.do(w.e.EncodeInt(mask))
	w.do(w.e.EncodeFloat64(float64(r.ExpiresAt.Unix())))
	if w.err != nil {
		return "", fmt.Errorf("encode receipt: %w", w.err)
	}
	return k.seal(b.Bytes(), r.IssuedAt), nil
}

// DecodeReceipt opens a receipt. It doesn't look at the clock.
func (k *Keys) DecodeReceipt(text string) (Receipt, error) {
	payload, issued, err := k.open(text)
	if err != nil {
		return Receipt{}, err
	}
	source := bytes.NewReader(payload)
	r := reader{d: msgpack.NewDecoder(source)}
	r.length(4, 4)
	r.check(r.integer() == receiptPayload, "another version than a receipt's")
	receipt := Receipt{User: r.id(), Methods: methodNames(r.integer()), IssuedAt: issued, ExpiresAt: r.time()}
	r.check(r.err != nil || source.Len() == 0, "bytes behind the end")
	if r.err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", errToken, r.err)
	}
	return receipt, nil
}
