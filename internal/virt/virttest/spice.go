package virttest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"io"
	"testing"
)

// spice opens the main channel of a session in SPICE, up to the word by which it
// begins.
func (s *suite) spice(t *testing.T, id string) {
	t.Helper()
	conn, err := s.Host.SPICE(t.Context(), id)
	if err != nil {
		t.Fatalf("spice: %v", err)
	}
	defer conn.Close()
	HelloSPICE(t, conn)
}

// HelloSPICE speaks SPICE with a server, as its first and main channel: the link,
// the (empty) password, and the server's first message.
func HelloSPICE(t *testing.T, conn io.ReadWriter) {
	t.Helper()
	// No session yet; the main channel; it says itself how it authenticates.
	link := append([]byte("REDQ"), bytes.Repeat([]byte{0}, 16)...)
	link[4], link[8], link[12] = 2, 2, 18+4
	link = append(link, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 0, 0b11, 0, 0, 0)
	_, err := conn.Write(link)
	if err != nil {
		t.Fatalf("write to SPICE: %v", err)
	}
	var reply struct {
		Magic                      [4]byte
		Major, Minor, Size, Result uint32
		Key                        [162]byte
		Common, Channel, CapsStart uint32
	}
	read := func(what string, into any) {
		t.Helper()
		err := binary.Read(conn, binary.LittleEndian, into)
		if err != nil {
			t.Fatalf("read SPICE's %s: %v", what, err)
		}
	}
	read("link reply", &reply)
	if string(reply.Magic[:]) != "REDQ" || reply.Major != 2 || reply.Result != 0 {
		t.Fatalf("SPICE answers %q, version %d, result %d; want REDQ, 2 and 0", reply.Magic, reply.Major, reply.Result)
	}
	read("capabilities", make([]byte, int(reply.Size)-178))
	key, err := x509.ParsePKIXPublicKey(reply.Key[:])
	if err != nil {
		t.Fatalf("SPICE's key: %v", err)
	}
	ticket, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key.(*rsa.PublicKey), []byte{0}, nil)
	if err == nil {
		_, err = conn.Write(append([]byte{1, 0, 0, 0}, ticket...))
	}
	if err != nil {
		t.Fatalf("SPICE's ticket: %v", err)
	}
	var result uint32
	read("answer to the ticket", &result)
	if result != 0 {
		t.Fatalf("SPICE refuses the ticket: %d", result)
	}
	var first struct {
		Serial    uint64
		Type      uint16
		Size, Sub uint32
	}
	read("first message", &first)
	if first.Type != 103 || first.Size < 32 {
		t.Errorf("SPICE's first message is %+v, want that the session begins (103)", first)
	}
}
