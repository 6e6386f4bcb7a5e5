package simulated

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// What SPICE's link messages say.
const (
	spiceMagic     = "REDQ"
	spiceMain      = 1
	spiceDisplay   = 2
	spiceBadMagic  = 1
	spiceNoChannel = 7
	spiceTicket    = 128
	maxSPICE       = 64 << 10

	// What both sides are able to.
	spiceAuthSelection = 1 << 0 // the client says how it authenticates
	spiceAuthTicket    = 1 << 1
	spiceMiniHeader    = 1 << 3 // messages have no serial numbers
)

// Messages; those of a channel are counted from 101 on.
const (
	spiceInit        = 103 // of the main channel: the session begins
	spiceChannels    = 104 // the client asks by the same number
	spiceShow        = 101 // from the client of a display: it wants to see it
	spiceShown       = 102 // there is something to be seen
	spiceDrawCopy    = 304
	spiceSurface     = 314
	spicePrimary     = 1
	spiceXRGB        = 32 // a surface without transparency
	spiceBitmap32    = 8
	spiceTopDown     = 1 << 2
	spicePut         = 1 << 3 // pixels replace what is there
	spiceInterpolate = 0
)

// spiceKey hides the client's ticket, which nobody looks at.
var spiceKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })

// spice is one channel of a session with a SPICE client. The session has two: the
// main one, and a display with a picture that stays as it was when the client came,
// since there is no channel for keys.
type spice struct {
	conn    net.Conn
	picture []uint32
	mini    bool   // messages have short headers
	serial  uint64 // of the message before
}

// serve shakes hands and serves the channel that the client asks for, until the
// connection ends.
func (s *spice) serve() error {
	kind, err := s.link()
	if err != nil {
		return err
	}
	if kind == spiceMain {
		// Session 1, one display, both modes of the mouse, of which the server's is on, no agent.
		err = s.send(spiceInit, []uint32{1, 1, 3, 1, 0, 0, 0, 0})
	}
	for err == nil {
		var asked uint16
		asked, err = s.receive()
		switch {
		case err != nil:
		case kind == spiceMain && asked == spiceChannels:
			err = s.send(spiceChannels, uint32(1), [2]uint8{spiceDisplay, 0})
		case kind == spiceDisplay && asked == spiceShow:
			err = s.draw()
		}
	}
	return err
}

// link is the handshake: it returns the channel's kind.
func (s *spice) link() (kind uint8, err error) {
	var link struct {
		Magic                      [4]byte
		Major, Minor, Size         uint32
		Session                    uint32
		Type, ID                   uint8
		Common, Channel, CapsStart uint32
	}
	err = binary.Read(s.conn, binary.LittleEndian, &link)
	rest := int64(link.Size) - 18
	if err != nil {
		return 0, err
	}
	if rest < 0 || rest > maxSPICE {
		return 0, io.ErrUnexpectedEOF
	}
	caps := make([]byte, max(rest, 4)) // those of both sides come first
	_, err = io.ReadFull(s.conn, caps[:rest])
	if err != nil {
		return 0, err
	}
	key, err := spiceKey()
	if err != nil {
		return 0, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return 0, err
	}
	reply := struct {
		Magic                      [4]byte
		Major, Minor, Size, Result uint32
		Key                        [162]byte
		Common, Channel, CapsStart uint32
		Able                       uint32
	}{Magic: [4]byte([]byte(spiceMagic)), Major: 2, Minor: 2, Size: 182, Common: 1, CapsStart: 178,
		Able: spiceAuthSelection | spiceAuthTicket | spiceMiniHeader}
	copy(reply.Key[:], public)
	switch {
	case string(link.Magic[:]) != spiceMagic:
		reply.Result = spiceBadMagic
	case link.Type != spiceMain && link.Type != spiceDisplay:
		reply.Result = spiceNoChannel
	}
	err = binary.Write(s.conn, binary.LittleEndian, reply)
	if err != nil {
		return 0, err
	}
	if reply.Result != 0 {
		return 0, io.ErrUnexpectedEOF
	}
	able := uint32(0)
	if link.Common > 0 {
		able = binary.LittleEndian.Uint32(caps)
	}
	s.mini = able&spiceMiniHeader != 0
	ticket := int64(spiceTicket)
	if able&spiceAuthSelection != 0 {
		ticket += 4 // the way comes first
	}
	_, err = io.CopyN(io.Discard, s.conn, ticket)
	if err != nil {
		return 0, err
	}
	_, err = s.conn.Write(make([]byte, 4)) // it is in
	return link.Type, err
}

// receive reads a message and forgets all of it but its kind.
func (s *spice) receive() (kind uint16, err error) {
	var head struct {
		Serial    uint64
		Type      uint16
		Size, Sub uint32
	}
	if s.mini {
		var short struct {
			Type uint16
			Size uint32
		}
		err = binary.Read(s.conn, binary.LittleEndian, &short)
		head.Type, head.Size = short.Type, short.Size
	} else {
		err = binary.Read(s.conn, binary.LittleEndian, &head)
	}
	if err != nil {
		return 0, err
	}
	if head.Size > maxSPICE {
		return 0, io.ErrUnexpectedEOF
	}
	_, err = io.CopyN(io.Discard, s.conn, int64(head.Size))
	return head.Type, err
}

// send sends a message that consists of values, in one piece.
func (s *spice) send(kind uint16, values ...any) error {
	var body, out bytes.Buffer
	write := func(to *bytes.Buffer, values ...any) {
		for _, v := range values {
			_ = binary.Write(to, binary.LittleEndian, v) // a buffer takes everything
		}
	}
	write(&body, values...)
	s.serial++
	if s.mini {
		write(&out, kind, uint32(body.Len()))
	} else {
		write(&out, s.serial, kind, uint32(body.Len()), uint32(0))
	}
	out.Write(body.Bytes())
	_, err := s.conn.Write(out.Bytes())
	return err
}

// draw makes the display's surface and puts the picture on it.
func (s *spice) draw() error {
	err := s.send(spiceSurface, []uint32{0, width, height, spiceXRGB, spicePrimary})
	if err != nil {
		return err
	}
	whole := [4]uint32{0, 0, height, width} // top, left, bottom, right
	type mask struct {
		Flags          uint8
		X, Y, NoBitmap uint32
	}
	head := struct {
		Surface uint32
		Box     [4]uint32
		NoClip  uint8
		Image   uint32 // where in the message it begins
		From    [4]uint32
		How     uint16
		Scale   uint8
		Mask    mask
	}{Box: whole, From: whole, How: spicePut, Scale: spiceInterpolate}
	head.Image = uint32(binary.Size(head))
	err = s.send(spiceDrawCopy, head, struct {
		ID            uint64
		Type, Flags   uint8
		Width, Height uint32
		Format, Order uint8
		X, Y, Stride  uint32
		NoPalette     uint32
	}{Width: width, Height: height, Format: spiceBitmap32, Order: spiceTopDown, X: width, Y: height, Stride: 4 * width}, s.picture)
	if err != nil {
		return err
	}
	return s.send(spiceShown)
}
