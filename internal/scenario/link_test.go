package scenario

import (
	"net"
	"testing"
)

// What is sent through a link that is cut arrives when it was mended.
func TestLinkHoldsWhatIsSent(t *testing.T) {
	l := NewLink()
	defer l.Close()
	ours, near := net.Pipe()
	far, theirs := net.Pipe()
	l.Go(func() { l.Join(near, far) })
	l.Set(true)
	sent := make(chan error, 1)
	go func() {
		_, err := ours.Write([]byte("hello"))
		sent <- err
	}()
	err := <-sent // by us, and no further
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan string)
	go func() {
		buffer := make([]byte, 9)
		n, _ := theirs.Read(buffer)
		arrived <- string(buffer[:n])
	}()
	select {
	case got := <-arrived:
		t.Fatalf("%q has arrived over a cut link", got)
	default:
	}
	if !l.Broken() {
		t.Error("a link that was cut says that it is whole")
	}
	l.Set(false)
	if got := <-arrived; got != "hello" {
		t.Errorf("%q arrived, want hello", got)
	}
	ours.Close()
	_, err = theirs.Read(make([]byte, 1))
	if err == nil {
		t.Error("the other end lives on")
	}
}

// The end of a link is the end of its connections, also while it is cut.
func TestLinkEnds(t *testing.T) {
	l := NewLink()
	ours, near := net.Pipe()
	far, theirs := net.Pipe()
	l.Go(func() { l.Join(near, far) })
	l.Set(true)
	ours.Close()
	l.Close()
	_, err := theirs.Read(make([]byte, 1))
	if err == nil {
		t.Error("the other end lives on")
	}
	l.Join(net.Pipe()) // comes too late, and ends at once
}
