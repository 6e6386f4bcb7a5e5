package file

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"nacre/internal/atomicfile"
)

// unfinished begins the name of every file that is not in its place yet.
const unfinished = atomicfile.Unfinished

// diskSize reads the size that a guest sees from a qcow2's header.
func diskSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var header [32]byte
	_, err = io.ReadFull(f, header[:])
	if err != nil {
		return 0, fmt.Errorf("read header of %s: %w", path, err)
	}
	if string(header[:4]) != "QFI\xfb" {
		return 0, fmt.Errorf("read header of %s: this is no qcow2", path)
	}
	return int64(binary.BigEndian.Uint64(header[24:])), nil
}

// writeJSON replaces a file in one step, which survives a power cut.
func writeJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, text, 0o600)
}

// locks lets one call at a time change a volume.
type locks struct {
	mu   sync.Mutex // guards held
	held map[string]*lock
}

type lock struct {
	turn  chan struct{} // holds one token while the lock is taken
	users int           // who has it or waits for it
}

// lock waits for the volume and returns what gives it back.
func (l *locks) lock(ctx context.Context, id string) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	one := l.held[id]
	if one == nil {
		one = &lock{turn: make(chan struct{}, 1)}
		l.held[id] = one
	}
	one.users++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		one.users--
		if one.users == 0 {
			delete(l.held, id)
		}
	}
	if ctx.Err() != nil {
		leave()
		return nil, ctx.Err()
	}
	select {
	case one.turn <- struct{}{}:
		return func() { <-one.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
