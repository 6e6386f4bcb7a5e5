package simulated

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// What SPICE's link messages and its main channel say.
const (
	spiceMagic        = "REDQ"
	spiceMain         = 1
	spiceBadMagic     = 1
	spiceNoChannel    = 7
	spiceCapSelection = 1 << 0 // the client says how it authenticates
	spiceInit         = 103
	spiceChannels     = 104 // the client asks by the same number
	spiceTicket       = 128
	maxSPICE          = 64 << 10
)

// spiceKey hides the client's ticket, which nobody looks at.
var spiceKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })

// serveSPICE shakes hands with a SPICE client and serves it the main channel of a
// session that has no others: there is no picture to be seen.
func serveSPICE(conn net.Conn) {
	var link struct {
		Magic                      [4]byte
		Major, Minor, Size         uint32
		Session                    uint32
		Type, ID                   uint8
		Common, Channel, CapsStart uint32
	}
	err := binary.Read(conn, binary.LittleEndian, &link)
	rest := int64(link.Size) - 18
	if err != nil || rest < 0 || rest > maxSPICE {
		return
	}
	caps := make([]byte, rest)
	_, err = io.ReadFull(conn, caps)
	if err != nil {
		return
	}
	key, err := spiceKey()
	if err != nil {
		return
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return
	}
	reply := struct {
		Magic                      [4]byte
		Major, Minor, Size, Result uint32
		Key                        [162]byte
		Common, Channel, CapsStart uint32
	}{Magic: [4]byte([]byte(spiceMagic)), Major: 2, Minor: 2, Size: 178, CapsStart: 178}
	copy(reply.Key[:], public)
	switch {
	case string(link.Magic[:]) != spiceMagic:
		reply.Result = spiceBadMagic
	case link.Type != spiceMain:
		reply.Result = spiceNoChannel
	}
	err = binary.Write(conn, binary.LittleEndian, reply)
	if err != nil || reply.Result != 0 {
		return
	}
	ticket := int64(spiceTicket)
	if link.Common > 0 && len(caps) >= 4 && binary.LittleEndian.Uint32(caps)&spiceCapSelection != 0 {
		ticket += 4 // the way comes first
	}
	_, err = io.CopyN(io.Discard, conn, ticket)
	if err == nil {
		_, err = conn.Write(make([]byte, 4)) // it is in
	}
	// Session 1, no hint, both modes of the mouse, of which the server's is on, no agent.
	serial := uint64(1)
	if err == nil {
		err = sendSPICE(conn, &serial, spiceInit, []uint32{1, 0, 3, 1, 0, 0, 0, 0})
	}
	for err == nil {
		var head struct {
			Serial    uint64
			Type      uint16
			Size, Sub uint32
		}
		err = binary.Read(conn, binary.LittleEndian, &head)
		if err != nil || head.Size > maxSPICE {
			return
		}
		_, err = io.CopyN(io.Discard, conn, int64(head.Size))
		if err == nil && head.Type == spiceChannels {
			err = sendSPICE(conn, &serial, spiceChannels, []uint32{0})
		}
	}
}

// sendSPICE sends a message under the long header, which those have who did not
// agree on the short one.
func sendSPICE(conn net.Conn, serial *uint64, kind uint16, body []uint32) error {
	head := struct {
		Serial    uint64
		Type      uint16
		Size, Sub uint32
	}{*serial, kind, uint32(4 * len(body)), 0}
	*serial++
	err := binary.Write(conn, binary.LittleEndian, head)
	if err != nil {
		return err
	}
	return binary.Write(conn, binary.LittleEndian, body)
}
