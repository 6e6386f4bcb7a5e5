package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"nacre/internal/clock"
)

// limit is how much of a frame one notification carries: 8000 bytes less what
// stands before it.
const limit = 7900

// split cuts a frame into notifications. Each begins with the frame's id, its
// own number and how many there are. No character is cut in two, since the
// server takes valid text only.
func split(frame string) []string {
	var pieces []string
	for len(frame) > limit {
		cut := limit
		for cut > limit-utf8.UTFMax && !utf8.RuneStart(frame[cut]) {
			cut--
		}
		pieces = append(pieces, frame[:cut])
		frame = frame[cut:]
	}
	pieces = append(pieces, frame)
	id := clock.UUID()
	for i, piece := range pieces {
		pieces[i] = fmt.Sprintf("%s %d %d %s", id, i, len(pieces), piece)
	}
	return pieces
}

// assembler puts frames together again, one at a time per backend that sends:
// what one transaction notifies arrives together.
type assembler map[uint32]*assembly

type assembly struct {
	id     string
	pieces []string
	left   int
}

// add takes a notification and returns the frame when it is whole.
func (a assembler) add(sender uint32, payload string) (frame string, whole bool, err error) {
	fields := strings.SplitN(payload, " ", 4)
	if len(fields) != 4 {
		return "", false, fmt.Errorf("it has %d fields, want 4", len(fields))
	}
	number, err := strconv.Atoi(fields[1])
	if err != nil {
		return "", false, err
	}
	count, err := strconv.Atoi(fields[2])
	if err != nil {
		return "", false, err
	}
	if count == 1 {
		return fields[3], true, nil
	}
	if number < 0 || number >= count || count > 1<<16 {
		return "", false, fmt.Errorf("it is part %d of %d", number, count)
	}
	now := a[sender]
	if now == nil || now.id != fields[0] || len(now.pieces) != count {
		now = &assembly{id: fields[0], pieces: make([]string, count), left: count}
		a[sender] = now
	}
	now.pieces[number] = fields[3]
	now.left--
	if now.left > 0 {
		return "", false, nil
	}
	delete(a, sender)
	return strings.Join(now.pieces, ""), true, nil
}
