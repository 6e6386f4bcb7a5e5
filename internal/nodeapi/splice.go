package nodeapi

import "io"

// Splice copies in both directions until one of them ends, and closes both.
func Splice(a, b io.ReadWriteCloser) {
	back := make(chan struct{})
	go func() {
		defer close(back)
		io.Copy(a, b) // ends with either side, whatever the reason
		a.Close()
		b.Close()
	}()
	io.Copy(b, a)
	b.Close()
	a.Close()
	<-back
}

// Resetting is a stream whose closing lets go of a reader on this side, too.
type Resetting struct{ *Stream }

// Close implements io.Closer.
func (s Resetting) Close() error {
	s.Reset()
	return nil
}
