// Package nbd speaks the Network Block Device protocol, as far as volumes need
// it: the client reads and writes a disk that a node serves, the server lets a
// simulated host serve one too. The protocol is that of QEMU and nbd-server
// (fixed newstyle, structured replies, the context base:allocation), which is
// how a reader learns which parts of a disk hold nothing.
//
// Both ends take any stream of bytes. What the other end sends is checked: no
// length is believed that was not asked for.
package nbd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxPayload is the most bytes that one request carries.
const MaxPayload = 32 << 20

// Extent is a part of a disk.
type Extent struct {
	Offset int64
	Length int64
	Zero   bool // reads as zeros and takes no room
}

const (
	magicHello  = "NBDMAGIC"
	magicOption = "IHAVEOPT"
	magicReply  = 0x3e889045565a9 // of an option

	magicRequest    = 0x25609513
	magicSimple     = 0x67446698
	magicStructured = 0x668e33ef

	flagFixed    = 1
	flagNoZeroes = 2

	optAbort      = 2
	optGo         = 7
	optStructured = 8
	optSetContext = 10

	repAck     = 1
	repInfo    = 3
	repContext = 4
	repError   = 1 << 31
	errUnknown = repError | 6
	errUnsup   = repError | 1

	cmdRead   = 0
	cmdWrite  = 1
	cmdDisc   = 2
	cmdFlush  = 3
	cmdZeroes = 6
	cmdStatus = 7

	chunkDone   = 1
	chunkNone   = 0
	chunkData   = 1
	chunkHole   = 2
	chunkStatus = 5
	chunkError  = 1 << 15

	canFlags  = 1
	canFlush  = 4
	canZeroes = 1 << 6
	readOnly  = 2

	stateHole = 1
	stateZero = 2

	allocation = "base:allocation"
)

var errProtocol = errors.New("the NBD server breaks the protocol")

// Client uses one export of a server. Its methods are called one at a time.
type Client struct {
	conn       io.ReadWriteCloser
	in         *bufio.Reader
	size       int64
	flags      uint16
	structured bool
	mapped     bool   // the server tells of holes
	context    uint32 // the number that it does so under
	cookie     uint64
}

// Connect greets a server and chooses the export. The client owns the
// connection from then on, also when it fails.
func Connect(conn io.ReadWriteCloser, export string) (*Client, error) {
	c := &Client{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	err := c.greet(export)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to NBD export %q: %w", export, err)
	}
	return c, nil
}

// Size is how large the disk is.
func (c *Client) Size() int64 { return c.size }

// Close says good-bye and closes the connection.
func (c *Client) Close() error {
	err := c.send(cmdDisc, 0, 0, nil)
	return errors.Join(err, c.conn.Close())
}

func (c *Client) greet(export string) error {
	var hello [18]byte
	_, err := io.ReadFull(c.in, hello[:])
	if err != nil {
		return err
	}
	flags := binary.BigEndian.Uint16(hello[16:])
	if string(hello[:16]) != magicHello+magicOption || flags&flagFixed == 0 {
		return errProtocol
	}
	_, err = c.conn.Write(binary.BigEndian.AppendUint32(nil, uint32(flags&(flagFixed|flagNoZeroes))))
	if err != nil {
		return err
	}
	kind, _, err := c.option(optStructured, nil)
	if err != nil {
		return err
	}
	c.structured = kind == repAck
	if c.structured {
		err = c.chooseContext(export)
		if err != nil {
			return err
		}
	}
	return c.chooseExport(export)
}

func (c *Client) chooseContext(export string) error {
	data := binary.BigEndian.AppendUint32(nil, uint32(len(export)))
	data = append(data, export...)
	data = binary.BigEndian.AppendUint32(data, 1)
	data = binary.BigEndian.AppendUint32(data, uint32(len(allocation)))
	data = append(data, allocation...)
	kind, body, err := c.option(optSetContext, data)
	for err == nil && kind == repContext {
		if len(body) < 4 {
			return errProtocol
		}
		if string(body[4:]) == allocation {
			c.mapped, c.context = true, binary.BigEndian.Uint32(body)
		}
		kind, body, err = c.optionReply(optSetContext)
	}
	return err
}

func (c *Client) chooseExport(export string) error {
	data := binary.BigEndian.AppendUint32(nil, uint32(len(export)))
	data = append(data, export...)
	data = append(data, 0, 0)
	kind, body, err := c.option(optGo, data)
	known := false
	for err == nil && kind == repInfo {
		if len(body) >= 2 && binary.BigEndian.Uint16(body) == 0 {
			if len(body) != 12 {
				return errProtocol
			}
			c.size, c.flags, known = int64(binary.BigEndian.Uint64(body[2:])), binary.BigEndian.Uint16(body[10:]), true
		}
		kind, body, err = c.optionReply(optGo)
	}
	switch {
	case err != nil:
		return err
	case kind&repError != 0:
		return fmt.Errorf("the server refuses the export: %.200s", body)
	case kind != repAck || !known || c.size < 0:
		return errProtocol
	}
	return nil
}

func (c *Client) option(option uint32, data []byte) (kind uint32, body []byte, err error) {
	frame := append([]byte(magicOption), binary.BigEndian.AppendUint32(nil, option)...)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(data)))
	_, err = c.conn.Write(append(frame, data...))
	if err != nil {
		return 0, nil, err
	}
	return c.optionReply(option)
}

func (c *Client) optionReply(option uint32) (kind uint32, body []byte, err error) {
	var head [20]byte
	_, err = io.ReadFull(c.in, head[:])
	if err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[16:])
	if binary.BigEndian.Uint64(head[:]) != magicReply || binary.BigEndian.Uint32(head[8:]) != option || length > 64<<10 {
		return 0, nil, errProtocol
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return binary.BigEndian.Uint32(head[12:]), body, err
}

func (c *Client) send(command uint16, offset, length int64, data []byte) error {
	c.cookie++
	frame := binary.BigEndian.AppendUint32(nil, magicRequest)
	frame = binary.BigEndian.AppendUint16(frame, 0)
	frame = binary.BigEndian.AppendUint16(frame, command)
	frame = binary.BigEndian.AppendUint64(frame, c.cookie)
	frame = binary.BigEndian.AppendUint64(frame, uint64(offset))
	frame = binary.BigEndian.AppendUint32(frame, uint32(length))
	_, err := c.conn.Write(frame)
	if err != nil || len(data) == 0 {
		return err
	}
	_, err = c.conn.Write(data)
	return err
}

func (c *Client) fits(offset, length int64) error {
	if offset < 0 || length < 0 || offset+length > c.size {
		return fmt.Errorf("%d bytes at %d are outside of the disk, which has %d", length, offset, c.size)
	}
	return nil
}

// ReadAt implements io.ReaderAt within the disk.
func (c *Client) ReadAt(p []byte, offset int64) (int, error) {
	err := c.fits(offset, int64(len(p)))
	for n := 0; n < len(p) && err == nil; {
		part := p[n:min(len(p), n+MaxPayload)]
		err = c.send(cmdRead, offset+int64(n), int64(len(part)), nil)
		if err == nil {
			err = c.receive(part, offset+int64(n), nil)
		}
		n += len(part)
	}
	if err != nil {
		return 0, fmt.Errorf("read %d bytes at %d: %w", len(p), offset, err)
	}
	return len(p), nil
}

// WriteAt implements io.WriterAt within the disk.
func (c *Client) WriteAt(p []byte, offset int64) (int, error) {
	err := c.fits(offset, int64(len(p)))
	for n := 0; n < len(p) && err == nil; {
		part := p[n:min(len(p), n+MaxPayload)]
		err = c.send(cmdWrite, offset+int64(n), int64(len(part)), part)
		if err == nil {
			err = c.receive(nil, 0, nil)
		}
		n += len(part)
	}
	if err != nil {
		return 0, fmt.Errorf("write %d bytes at %d: %w", len(p), offset, err)
	}
	return len(p), nil
}

// Zero makes a part of the disk read as zeros.
func (c *Client) Zero(offset, length int64) error {
	err := c.fits(offset, length)
	if c.flags&canZeroes == 0 {
		none := make([]byte, min(length, 1<<20))
		for n := int64(0); n < length && err == nil; n += int64(len(none)) {
			_, err = c.WriteAt(none[:min(length-n, int64(len(none)))], offset+n)
		}
		return err
	}
	const most = 1 << 30
	for n := int64(0); n < length && err == nil; n += most {
		err = c.send(cmdZeroes, offset+n, min(length-n, most), nil)
		if err == nil {
			err = c.receive(nil, 0, nil)
		}
	}
	if err != nil {
		return fmt.Errorf("clear %d bytes at %d: %w", length, offset, err)
	}
	return nil
}

// Flush returns when what was written survives a power cut.
func (c *Client) Flush() error {
	if c.flags&canFlush == 0 {
		return nil
	}
	err := c.send(cmdFlush, 0, 0, nil)
	if err == nil {
		err = c.receive(nil, 0, nil)
	}
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// Extents tells which parts of a part of the disk hold nothing. Without the
// server's help all of it counts as data.
func (c *Client) Extents(offset, length int64) ([]Extent, error) {
	err := c.fits(offset, length)
	if err != nil {
		return nil, err
	}
	if !c.mapped {
		return []Extent{{Offset: offset, Length: length}}, nil
	}
	var list []Extent
	for at, end := offset, offset+length; at < end; {
		asked := min(end-at, 1<<30)
		var got []Extent
		err = c.send(cmdStatus, at, asked, nil)
		if err == nil {
			err = c.receive(nil, at, &got)
		}
		if err == nil && len(got) == 0 {
			err = errProtocol
		}
		if err != nil {
			return nil, fmt.Errorf("look for holes at %d: %w", at, err)
		}
		for _, e := range got {
			e.Length = min(e.Length, end-e.Offset)
			if e.Length <= 0 {
				break
			}
			last := len(list) - 1
			if last >= 0 && list[last].Zero == e.Zero {
				list[last].Length += e.Length
			} else {
				list = append(list, e)
			}
			at = e.Offset + e.Length
		}
	}
	return list, nil
}

// receive reads the reply to the last request: bytes at the offset, or extents
// from there on.
func (c *Client) receive(into []byte, offset int64, extents *[]Extent) error {
	var refused error
	for {
		var head [20]byte
		_, err := io.ReadFull(c.in, head[:4])
		if err != nil {
			return err
		}
		switch binary.BigEndian.Uint32(head[:]) {
		case magicSimple:
			return c.simple(head[:16], into)
		case magicStructured:
		default:
			return errProtocol
		}
		_, err = io.ReadFull(c.in, head[4:])
		if err != nil {
			return err
		}
		flags, kind, length := binary.BigEndian.Uint16(head[4:]), binary.BigEndian.Uint16(head[6:]), int64(binary.BigEndian.Uint32(head[16:]))
		if binary.BigEndian.Uint64(head[8:]) != c.cookie {
			return errProtocol
		}
		switch {
		case kind == chunkNone && length == 0:
		case kind == chunkData && length >= 8:
			err = c.dataChunk(into, offset, length-8)
		case kind == chunkHole && length == 12:
			err = c.holeChunk(into, offset)
		case kind == chunkStatus && extents != nil && length >= 4 && length <= 1<<20:
			err = c.statusChunk(offset, length, extents)
		case kind&chunkError != 0 && length >= 6 && length < 64<<10:
			refused, err = c.errorChunk(length)
		default:
			return errProtocol
		}
		if err != nil {
			return err
		}
		if flags&chunkDone != 0 {
			return refused
		}
	}
}

func (c *Client) simple(head, into []byte) error {
	_, err := io.ReadFull(c.in, head[4:])
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint64(head[8:]) != c.cookie {
		return errProtocol
	}
	code := binary.BigEndian.Uint32(head[4:])
	if code != 0 {
		return fmt.Errorf("the server answers with error %d", code)
	}
	_, err = io.ReadFull(c.in, into)
	return err
}

// part is the piece of the buffer that a chunk is for.
func (c *Client) part(into []byte, offset, at, length int64) ([]byte, error) {
	from := at - offset
	if from < 0 || length < 0 || from+length > int64(len(into)) {
		return nil, errProtocol
	}
	return into[from : from+length], nil
}

func (c *Client) dataChunk(into []byte, offset, length int64) error {
	var at [8]byte
	_, err := io.ReadFull(c.in, at[:])
	if err != nil {
		return err
	}
	part, err := c.part(into, offset, int64(binary.BigEndian.Uint64(at[:])), length)
	if err != nil {
		return err
	}
	_, err = io.ReadFull(c.in, part)
	return err
}

func (c *Client) holeChunk(into []byte, offset int64) error {
	var hole [12]byte
	_, err := io.ReadFull(c.in, hole[:])
	if err != nil {
		return err
	}
	part, err := c.part(into, offset, int64(binary.BigEndian.Uint64(hole[:])), int64(binary.BigEndian.Uint32(hole[8:])))
	clear(part)
	return err
}

func (c *Client) statusChunk(offset, length int64, extents *[]Extent) error {
	body := make([]byte, length)
	_, err := io.ReadFull(c.in, body)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(body) != c.context {
		return nil
	}
	for body = body[4:]; len(body) >= 8; body = body[8:] {
		size, state := int64(binary.BigEndian.Uint32(body)), binary.BigEndian.Uint32(body[4:])
		*extents = append(*extents, Extent{Offset: offset, Length: size, Zero: state&stateZero != 0})
		offset += size
	}
	return nil
}

func (c *Client) errorChunk(length int64) (refused, err error) {
	body := make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	if err != nil {
		return nil, err
	}
	said := body[6:]
	said = said[:min(len(said), int(binary.BigEndian.Uint16(body[4:])))]
	return fmt.Errorf("the server answers with error %d: %s", binary.BigEndian.Uint32(body), said), nil
}
