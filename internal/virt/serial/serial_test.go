package serial

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func join(t *testing.T, l *Line) io.ReadWriteCloser {
	t.Helper()
	c, ok := l.Join()
	if !ok {
		t.Fatal("the line is over")
	}
	return c
}

func want(t *testing.T, r io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(r, got)
	if err != nil || string(got) != text {
		t.Fatalf("got %q and %v, want %q", got, err, text)
	}
}

// TestEverybodySeesAndTypes: two people at one line.
func TestEverybodySeesAndTypes(t *testing.T) {
	var typed bytes.Buffer
	idle := 0
	l := &Line{
		Type: func(p []byte, _ <-chan struct{}) (int, error) { return typed.Write(p) },
		Idle: func() { idle++ },
	}
	first, second := join(t, l), join(t, l)
	l.Say([]byte("login: "))
	for _, c := range []io.ReadWriteCloser{first, second} {
		want(t, c, "login: ")
		_, err := io.WriteString(c, "x")
		if err != nil {
			t.Fatal(err)
		}
	}
	if typed.String() != "xx" {
		t.Errorf("the guest was typed %q, want what both wrote", typed.String())
	}
	first.Close()
	if idle != 0 || l.HangUpIdle() {
		t.Error("the line is idle while somebody is at it")
	}
	second.Close()
	second.Close()
	if idle != 1 {
		t.Errorf("the line became idle %d times, want once", idle)
	}
	again := join(t, l)
	if l.HangUpIdle() {
		t.Error("whoever joined an idle line was hung up")
	}
	again.Close()
	if !l.HangUpIdle() {
		t.Error("a line that nobody is at goes on")
	}
	_, err := second.Write([]byte("late"))
	if err == nil {
		t.Error("whoever has left can type")
	}
}

// TestFloodIsBounded: a guest that writes without end costs a client that never
// reads no more than its limit, holds up nobody, and the end is what is kept.
func TestFloodIsBounded(t *testing.T) {
	l := &Line{}
	slow, quick := join(t, l), join(t, l)
	line := []byte(strings.Repeat("x", 4095) + "\n")
	for range 16 << 10 { // 64 MiB
		l.Say(line)
		want(t, quick, string(line))
	}
	l.Say([]byte("the end"))
	held := slow.(*client)
	if len(held.waiting) > limit || cap(held.waiting) > 4*limit {
		t.Errorf("%d bytes wait in room for %d, want at most %d", len(held.waiting), cap(held.waiting), limit)
	}
	l.HangUp()
	got, err := io.ReadAll(slow)
	if err != nil || !bytes.HasPrefix(got, []byte("\r\n[67043335 bytes were left out")) || !bytes.HasSuffix(got, []byte("the end")) {
		t.Errorf("read %d bytes from %.80q to %q, %v", len(got), got, got[max(0, len(got)-20):], err)
	}
	// A piece that is longer than all that may wait.
	l = &Line{}
	c := join(t, l)
	l.Say([]byte("a"))
	l.Say(append(bytes.Repeat([]byte("b"), limit), 'c'))
	l.HangUp()
	got, err = io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(got, []byte("\r\n[2 bytes")) || !bytes.HasSuffix(got, []byte("bc")) {
		t.Errorf("read %.80q, %v", got, err)
	}
}

// TestLeavingWhileTheGuestDoesNotRead: what was typed at a deaf guest ends with
// whoever typed it.
func TestLeavingWhileTheGuestDoesNotRead(t *testing.T) {
	waits := make(chan struct{})
	l := &Line{Type: func(_ []byte, gone <-chan struct{}) (int, error) {
		close(waits)
		<-gone
		return 0, io.ErrClosedPipe
	}}
	c, other := join(t, l), join(t, l)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte("x"))
		ended <- err
	}()
	<-waits
	c.Close()
	err := <-ended
	if err == nil {
		t.Error("the guest read nothing and the write is a success")
	}
	l.Say([]byte("still here"))
	want(t, other, "still here")
}

func TestHangUp(t *testing.T) {
	l := &Line{}
	c := join(t, l)
	l.Say([]byte("bye"))
	l.HangUp()
	want(t, c, "bye")
	_, err := c.Read(make([]byte, 1))
	if err != io.EOF {
		t.Errorf("after the end: %v, want EOF", err)
	}
	_, ok := l.Join()
	if ok {
		t.Error("somebody joined a line that is over")
	}
}
