package api

import "crypto/rand"

// password makes up an admin password, for guests that take it from the
// reply: 12 characters that are not mistaken for one another.
func password() string {
	const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var b [12]byte
	_, err := rand.Read(b[:])
	if err != nil {
		panic(err) // crypto/rand never fails on the systems we support
	}
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b[:])
}
