package nbd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Disk is what Serve serves.
type Disk interface {
	Size() int64
	io.ReaderAt
	io.WriterAt
	// Zero makes a part read as zeros.
	Zero(offset, length int64) error
	// Extents tells which parts of a part hold nothing.
	Extents(offset, length int64) []Extent
	// Writable tells whether writing is allowed.
	Writable() bool
}

// server is one connection to a disk.
type server struct {
	conn   io.ReadWriter
	in     *bufio.Reader
	disk   Disk
	export string
}

var errClient = errors.New("the NBD client breaks the protocol")

// Serve serves a disk under a name until the client leaves.
func Serve(conn io.ReadWriter, export string, disk Disk) error {
	s := &server{conn: conn, in: bufio.NewReader(conn), disk: disk, export: export}
	going, err := s.greet()
	for err == nil && going {
		going, err = s.request()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s *server) greet() (chosen bool, err error) {
	hello := binary.BigEndian.AppendUint16([]byte(magicHello+magicOption), flagFixed|flagNoZeroes)
	_, err = s.conn.Write(hello)
	if err != nil {
		return false, err
	}
	var flags [4]byte
	_, err = io.ReadFull(s.in, flags[:])
	for err == nil && !chosen {
		var head [16]byte
		_, err = io.ReadFull(s.in, head[:])
		if err != nil {
			return false, err
		}
		option, length := binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
		if string(head[:8]) != magicOption || length > 64<<10 {
			return false, errClient
		}
		data := make([]byte, length)
		_, err = io.ReadFull(s.in, data)
		if err != nil {
			return false, err
		}
		switch option {
		case optAbort:
			return false, s.reply(option, repAck, nil)
		case optStructured:
			err = s.reply(option, repAck, nil)
		case optSetContext:
			err = s.reply(option, repContext, append([]byte{0, 0, 0, 1}, allocation...))
			if err == nil {
				err = s.reply(option, repAck, nil)
			}
		case optGo:
			chosen, err = s.choose(data)
		default:
			err = s.reply(option, errUnsup, nil)
		}
	}
	return chosen, err
}

func (s *server) reply(option, kind uint32, data []byte) error {
	frame := binary.BigEndian.AppendUint64(nil, magicReply)
	frame = binary.BigEndian.AppendUint32(frame, option)
	frame = binary.BigEndian.AppendUint32(frame, kind)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(data)))
	_, err := s.conn.Write(append(frame, data...))
	return err
}

func (s *server) choose(data []byte) (bool, error) {
	if len(data) < 6 {
		return false, errClient
	}
	length := int(binary.BigEndian.Uint32(data))
	if length > len(data)-6 {
		return false, errClient
	}
	if string(data[4:4+length]) != s.export {
		return false, s.reply(optGo, errUnknown, []byte("there is no such export"))
	}
	flags := uint16(canFlags | canFlush | canZeroes)
	if !s.disk.Writable() {
		flags |= readOnly
	}
	info := binary.BigEndian.AppendUint64([]byte{0, 0}, uint64(s.disk.Size()))
	err := s.reply(optGo, repInfo, binary.BigEndian.AppendUint16(info, flags))
	if err == nil {
		err = s.reply(optGo, repAck, nil)
	}
	return err == nil, err
}

func (s *server) request() (going bool, err error) {
	var head [28]byte
	_, err = io.ReadFull(s.in, head[:])
	if err != nil {
		return false, err
	}
	command, cookie := binary.BigEndian.Uint16(head[6:]), head[8:16]
	offset, length := int64(binary.BigEndian.Uint64(head[16:])), int64(binary.BigEndian.Uint32(head[24:]))
	if binary.BigEndian.Uint32(head[:]) != magicRequest || command <= cmdWrite && length > MaxPayload {
		return false, errClient
	}
	if command == cmdDisc {
		return false, nil
	}
	var data []byte
	if command == cmdWrite {
		data = make([]byte, length)
		_, err = io.ReadFull(s.in, data)
		if err != nil {
			return false, err
		}
	}
	outside := offset < 0 || offset+length > s.disk.Size() || offset+length < offset
	writes := command == cmdWrite || command == cmdZeroes
	if outside && command != cmdFlush || writes && !s.disk.Writable() {
		return true, s.refuse(cookie, fmt.Sprintf("%d bytes at %d are not for you", length, offset))
	}
	switch command {
	case cmdRead:
		data = make([]byte, 8+length)
		binary.BigEndian.PutUint64(data, uint64(offset))
		_, err = s.disk.ReadAt(data[8:], offset)
		if err == nil {
			return true, s.chunk(cookie, chunkData, data)
		}
	case cmdWrite:
		_, err = s.disk.WriteAt(data, offset)
	case cmdZeroes:
		err = s.disk.Zero(offset, length)
	case cmdFlush:
	case cmdStatus:
		return true, s.chunk(cookie, chunkStatus, status(s.disk.Extents(offset, length)))
	default:
		return true, s.refuse(cookie, fmt.Sprintf("command %d is not known", command))
	}
	if err != nil {
		return true, s.refuse(cookie, err.Error())
	}
	return true, s.chunk(cookie, chunkNone, nil)
}

func status(extents []Extent) []byte {
	data := []byte{0, 0, 0, 1}
	for _, e := range extents {
		state := uint32(0)
		if e.Zero {
			state = stateHole | stateZero
		}
		data = binary.BigEndian.AppendUint32(data, uint32(e.Length))
		data = binary.BigEndian.AppendUint32(data, state)
	}
	return data
}

func (s *server) chunk(cookie []byte, kind uint16, data []byte) error {
	frame := binary.BigEndian.AppendUint32(nil, magicStructured)
	frame = binary.BigEndian.AppendUint16(frame, chunkDone)
	frame = binary.BigEndian.AppendUint16(frame, kind)
	frame = append(frame, cookie...)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(data)))
	_, err := s.conn.Write(frame)
	if err == nil && len(data) > 0 {
		_, err = s.conn.Write(data)
	}
	return err
}

func (s *server) refuse(cookie []byte, why string) error {
	const invalid = 22
	data := binary.BigEndian.AppendUint32(nil, invalid)
	data = binary.BigEndian.AppendUint16(data, uint16(len(why)))
	return s.chunk(cookie, chunkError|1, append(data, why...))
}
