package simulated

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
)

// A simulated screen is a text terminal. Each character has a cell of 12 by
// 16 pixels, in which a glyph is drawn at twice its size.
const (
	columns, rows         = 64, 28
	cellWidth, cellHeight = 12, 16
	width, height         = columns * cellWidth, rows * cellHeight
)

// Colours as 0xRRGGBB.
const (
	background = 0x101418
	foreground = 0xd0d4d8
	titleColor = 0x2a6fdb
	titleText  = 0xffffff
)

// What a client may send, and the limits on it.
const (
	setPixelFormat        = 0
	setEncodings          = 2
	updateRequest         = 3
	keyEvent              = 4
	pointerEvent          = 5
	clientCutText         = 6
	maxTyped              = 200
	maxCutText     uint32 = 1 << 20
)

// screen speaks RFB 3.8 with one client.
type screen struct {
	conn   net.Conn
	title  string
	text   string
	typed  string
	format pixelFormat
	shown  bool // the client has the present picture
	asked  bool // the client waits for the next one
}

// pixelFormat is how the client wants a pixel.
type pixelFormat struct {
	Bits, Depth, BigEndian, TrueColor uint8
	RedMax, GreenMax, BlueMax         uint16
	RedShift, GreenShift, BlueShift   uint8
	_                                 [3]byte
}

var nativeFormat = pixelFormat{
	Bits: 32, Depth: 24, TrueColor: 1,
	RedMax: 255, GreenMax: 255, BlueMax: 255,
	RedShift: 16, GreenShift: 8, BlueShift: 0,
}

// serve starts the one goroutine that an open screen has, with one end of the
// connection that it returns. The caller holds mu.
func (h *Host) serve(screen func(net.Conn)) io.ReadWriteCloser {
	client, server := net.Pipe()
	h.ends[server] = struct{}{}
	h.screens.Go(func() {
		screen(server) // ends with the connection, whatever the reason
		server.Close()
		h.mu.Lock()
		delete(h.ends, server)
		h.mu.Unlock()
	})
	return client
}

// serve shakes hands and answers messages until the connection ends.
func (s *screen) serve() error {
	err := s.handshake()
	if err != nil {
		return err
	}
	for {
		err = s.message()
		if err != nil {
			return err
		}
	}
}

func (s *screen) handshake() error {
	_, err := io.WriteString(s.conn, "RFB 003.008\n")
	if err != nil {
		return err
	}
	version := make([]byte, 12)
	_, err = io.ReadFull(s.conn, version)
	if err != nil {
		return err
	}
	old := string(version) < "RFB 003.007\n"
	if old { // such a client is told the security type and chooses nothing
		err = s.write(uint32(1))
	} else {
		err = s.chooseSecurity(string(version) >= "RFB 003.008\n")
	}
	if err != nil {
		return err
	}
	_, err = io.ReadFull(s.conn, make([]byte, 1)) // shared or not: all the same here
	if err != nil {
		return err
	}
	return s.write(uint16(width), uint16(height), nativeFormat, uint32(len(s.title)), []byte(s.title))
}

func (s *screen) chooseSecurity(result bool) error {
	err := s.write([]byte{1, 1}) // one type: none
	if err != nil {
		return err
	}
	_, err = io.ReadFull(s.conn, make([]byte, 1))
	if err != nil || !result {
		return err
	}
	return s.write(uint32(0))
}

// write sends values in network byte order, in one piece.
func (s *screen) write(values ...any) error {
	var out bytes.Buffer
	for _, v := range values {
		err := binary.Write(&out, binary.BigEndian, v)
		if err != nil {
			return err
		}
	}
	_, err := s.conn.Write(out.Bytes())
	return err
}

func (s *screen) read(into any) error { return binary.Read(s.conn, binary.BigEndian, into) }

func (s *screen) skip(n uint32) error {
	_, err := io.CopyN(io.Discard, s.conn, int64(n))
	return err
}

// message reads one message of the client and acts on it.
func (s *screen) message() error {
	var kind uint8
	err := s.read(&kind)
	if err != nil {
		return err
	}
	switch kind {
	case setPixelFormat:
		return s.setFormat()
	case setEncodings:
		var m struct {
			_     uint8
			Count uint16
		}
		err = s.read(&m)
		if err != nil {
			return err
		}
		return s.skip(4 * uint32(m.Count)) // raw is always allowed
	case updateRequest:
		var m struct {
			Incremental uint8
			_           [4]uint16
		}
		err = s.read(&m)
		if err != nil {
			return err
		}
		s.asked = true
		s.shown = s.shown && m.Incremental != 0
		return s.update()
	case keyEvent:
		var m struct {
			Down uint8
			_    uint16
			Key  uint32
		}
		err = s.read(&m)
		if err != nil {
			return err
		}
		if m.Down != 0 {
			s.press(m.Key)
		}
		return s.update()
	case pointerEvent:
		return s.skip(5)
	case clientCutText:
		var m struct {
			_      [3]byte
			Length uint32
		}
		err = s.read(&m)
		if err != nil || m.Length > maxCutText {
			return io.ErrUnexpectedEOF
		}
		return s.skip(m.Length)
	}
	return io.ErrUnexpectedEOF // after an unknown message nothing makes sense
}

func (s *screen) setFormat() error {
	var m struct {
		_      [3]byte
		Format pixelFormat
	}
	err := s.read(&m)
	if err != nil {
		return err
	}
	f := m.Format
	if f.TrueColor == 0 || f.Bits != 8 && f.Bits != 16 && f.Bits != 32 {
		return io.ErrUnexpectedEOF // colour maps are not spoken here
	}
	s.format, s.shown = f, false
	return nil
}

// press takes a key: characters appear behind the prompt.
func (s *screen) press(key uint32) {
	const backspace, enter = 0xff08, 0xff0d
	switch {
	case key >= ' ' && key <= '~' && len(s.typed) < maxTyped:
		s.typed += string(rune(key))
	case key == backspace && s.typed != "":
		s.typed = s.typed[:len(s.typed)-1]
	case key == enter:
		prompt := s.text[strings.LastIndexByte(s.text, '\n')+1:]
		s.text += s.typed + "\n" + prompt
		if len(s.text) > 1<<16 {
			s.text = s.text[len(s.text)-1<<15:]
		}
		s.typed = ""
	default:
		return
	}
	s.shown = false
}

// update sends the picture if the client waits for one that it doesn't have.
func (s *screen) update() error {
	if !s.asked || s.shown {
		return nil
	}
	s.asked, s.shown = false, true
	return s.write(
		uint8(0), uint8(0), uint16(1), // an update of one rectangle
		uint16(0), uint16(0), uint16(width), uint16(height), int32(0), // raw
		s.format.encode(s.paint()),
	)
}

// paint draws the title and the end of the text.
func (s *screen) paint() []uint32 {
	picture := make([]uint32, width*height)
	for i := range picture {
		picture[i] = background
	}
	for i := range width * cellHeight {
		picture[i] = titleColor
	}
	drawLine(picture, 0, " "+s.title+" (simulated)", titleText)
	lines := wrap(s.text + s.typed + "_")
	if len(lines) > rows-1 {
		lines = lines[len(lines)-(rows-1):]
	}
	for i, line := range lines {
		drawLine(picture, i+1, line, foreground)
	}
	return picture
}

// wrap cuts the text into lines that fit.
func wrap(text string) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		for len(line) > columns {
			lines = append(lines, line[:columns])
			line = line[columns:]
		}
		lines = append(lines, line)
	}
	return lines
}

func drawLine(picture []uint32, row int, line string, color uint32) {
	for column, c := range []byte(line) {
		if column >= columns {
			return
		}
		if c == ' ' {
			continue
		}
		if c < '!' || c > '~' {
			c = '?'
		}
		for y, bits := range glyphs[c-'!'] {
			for x := range 5 {
				if bits>>(4-x)&1 == 0 {
					continue
				}
				at := (row*cellHeight+1+2*y)*width + column*cellWidth + 1 + 2*x
				picture[at], picture[at+1] = color, color
				picture[at+width], picture[at+width+1] = color, color
			}
		}
	}
}

// encode writes pixels as the client wants them.
func (f pixelFormat) encode(picture []uint32) []byte {
	var order binary.AppendByteOrder = binary.LittleEndian
	if f.BigEndian != 0 {
		order = binary.BigEndian
	}
	scale := func(c uint32, max uint16, shift uint8) uint32 {
		return (c & 0xff * uint32(max) / 255) << (shift & 31)
	}
	out := make([]byte, 0, len(picture)*int(f.Bits)/8)
	for _, p := range picture {
		v := scale(p>>16, f.RedMax, f.RedShift) | scale(p>>8, f.GreenMax, f.GreenShift) | scale(p, f.BlueMax, f.BlueShift)
		switch f.Bits {
		case 8:
			out = append(out, byte(v))
		case 16:
			out = order.AppendUint16(out, uint16(v))
		default:
			out = order.AppendUint32(out, v)
		}
	}
	return out
}
