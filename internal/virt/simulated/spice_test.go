package simulated_test

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"nacre/internal/nodeapi"
	"nacre/internal/virt/simulated"
)

// channel opens one of a session in SPICE. Its messages have short headers.
func channel(t *testing.T, h *simulated.Host, id string, kind byte) client {
	t.Helper()
	conn, err := h.SPICE(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := client{t, conn}
	// A session's number, channel, able to: one word of both sides, none of the channel's own.
	c.send("REDQ\x02\x00\x00\x00\x02\x00\x00\x00\x16\x00\x00\x00" + "\x00\x00\x00\x00" + string(kind) + "\x00" +
		"\x01\x00\x00\x00\x00\x00\x00\x00\x12\x00\x00\x00" + "\x0b\x00\x00\x00")
	c.want("REDQ\x02\x00\x00\x00\x02\x00\x00\x00")
	c.read(int(binary.LittleEndian.Uint32([]byte(c.read(4)))))
	c.send("\x01\x00\x00\x00" + strings.Repeat("x", 128))
	c.want("\x00\x00\x00\x00")
	return c
}

// message reads one, which is to be of the kind.
func (c client) message(kind uint16) []byte {
	c.t.Helper()
	head := []byte(c.read(6))
	got := binary.LittleEndian.Uint16(head)
	if got != kind {
		c.t.Fatalf("message %d came, want %d", got, kind)
	}
	return []byte(c.read(int(binary.LittleEndian.Uint32(head[2:]))))
}

// TestScreenInSPICE connects as a SPICE client does, and finds on its display what the
// screen in RFB shows as well.
func TestScreenInSPICE(t *testing.T) {
	h := open(t, simulated.Options{})
	m := running("web-1")
	m.Hardware = nodeapi.Hardware{Video: "qxl"}
	err := h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	main := channel(t, h, m.ID, 1)
	main.message(103)
	main.send("\x68\x00\x00\x00\x00\x00") // what channels are there?
	if channels := string(main.message(104)); channels != "\x01\x00\x00\x00\x02\x00" {
		t.Errorf("the session has channels %q, want one display", channels)
	}

	display := channel(t, h, m.ID, 2)
	display.send("\x65\x00\x0e\x00\x00\x00" + strings.Repeat("\x00", 14))
	surface := display.message(314)
	width, height := int(binary.LittleEndian.Uint32(surface[4:])), int(binary.LittleEndian.Uint32(surface[8:]))
	drawn := display.message(304)
	picture := drawn[len(drawn)-4*width*height:]
	colors := map[uint32]int{}
	for i := 0; i < len(picture); i += 4 {
		colors[binary.LittleEndian.Uint32(picture[i:])]++
	}
	if len(colors) != 4 {
		t.Errorf("picture has %d colours, want 4: title and text, each on its ground", len(colors))
	}
	display.message(102)

	m.Hardware = nodeapi.Hardware{}
	m.ID = "web-2"
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.SPICE(t.Context(), m.ID)
	if err == nil {
		t.Error("a machine without a screen for SPICE has one")
	}
	err = h.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, err = display.conn.Read(make([]byte, 1))
	if err != io.EOF {
		t.Errorf("the display of a host that was closed: got %v, want its end", err)
	}
}
