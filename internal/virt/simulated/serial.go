package simulated

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"nacre/internal/errs"
	"nacre/internal/virt/serial"
)

// maxSaid is how much of what was said on a serial line since a boot is kept,
// maxLine how long a line may become that somebody types.
const (
	maxSaid = 8 << 10
	maxLine = 256
)

// Serial implements virt.Host. The guest says again each line that it is told,
// and asks for the next one. There is no goroutine: it answers whoever types.
func (h *Host) Serial(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	err := h.enter(ctx, OpSerial, 0)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.machines[id]
	if !known {
		return nil, errs.NotFoundf("Instance %s could not be found.", id)
	}
	if !m.Running || h.closed {
		return nil, errs.Conflictf("Instance %s is not running.", id)
	}
	line := h.lines[id]
	if line == nil {
		line = &serial.Line{Type: func(p []byte, _ <-chan struct{}) (int, error) { return h.typed(id, p) }}
		line.Idle = func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.lines[id] == line && line.HangUpIdle() {
				delete(h.lines, id)
			}
		}
		h.lines[id] = line
	}
	end, _ := line.Join() // a line that is over is not in the map
	return end, nil
}

// typed is what the guest does with keys.
func (h *Host) typed(id string, keys []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.machines[id]
	line := h.lines[id]
	if !known || !m.Running || line == nil {
		return 0, io.ErrClosedPipe
	}
	var echo, whole strings.Builder
	for _, key := range keys {
		switch {
		case key == '\r' || key == '\n':
			answer := ""
			if m.typing != "" {
				answer = fmt.Sprintf("You said %q. Nothing runs here.\n", m.typing)
			}
			answer = "\n" + answer + m.prompt()
			whole.WriteString(m.typing + answer)
			echo.WriteString(asTerminal(answer))
			m.typing = ""
		case (key == 0x7f || key == '\b') && m.typing != "":
			m.typing = m.typing[:len(m.typing)-1]
			echo.WriteString("\b \b")
		case key >= ' ' && key <= '~' && len(m.typing) < maxLine:
			m.typing += string(rune(key))
			echo.WriteByte(key)
		}
	}
	line.Say([]byte(echo.String()))
	if whole.Len() == 0 {
		return len(keys), nil // a line is kept when it is whole
	}
	last := &m.Boots[len(m.Boots)-1]
	last.Said += whole.String()
	if excess := len(last.Said) - maxSaid; excess > 0 {
		excess += strings.IndexByte(last.Said[excess:], '\n')
		last.Said = last.Said[excess:]
	}
	return len(keys), h.save()
}

// asTerminal writes a text as a terminal has it, where a line feed leads
// straight down.
func asTerminal(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// hangUp ends the machine's serial line. The caller holds mu.
func (h *Host) hangUp(id string) {
	line := h.lines[id]
	delete(h.lines, id)
	if line != nil {
		line.HangUp()
	}
}

// tellLine shows a reboot to whoever is at the machine's line, and ends the
// line with the machine's power. The caller holds mu.
func (h *Host) tellLine(id string, before, now *machine) {
	line := h.lines[id]
	switch {
	case line == nil:
	case !now.Running:
		h.hangUp(id)
	case before != nil && len(now.Boots) > 0 && now.Boots[len(now.Boots)-1].Boot > before.Boots[len(before.Boots)-1].Boot:
		var log bytes.Buffer
		fmt.Fprintln(&log)
		now.bootLog(&log, now.Boots[len(now.Boots)-1])
		line.Say([]byte(asTerminal(log.String())))
	}
}
