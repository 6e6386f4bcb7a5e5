package api

import (
	"io"
	"net/http"
	"time"
)

// streamPause is how long the sender of a stream may be silent.
const streamPause = time.Minute

// unhurried frees a stream from the listener's limits on the time of a request
// and its reply: it may take as long as its bytes keep coming.
func (c *Call) unhurried() {
	control := http.NewResponseController(c.writer)
	// Writers that are no connection, as in tests, have no deadlines to lift.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	if c.request.Body == nil || c.request.Body == http.NoBody {
		return
	}
	c.request = c.request.WithContext(c.request.Context()) // a copy
	c.request.Body = &moving{ReadCloser: c.request.Body, control: control}
}

// moving is the body of a stream. Each read has its own deadline; there is none
// when the body has ended, or it would cut off a reply that takes longer.
type moving struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader.
func (m *moving) Read(p []byte) (int, error) {
	_ = m.control.SetReadDeadline(time.Now().Add(streamPause))
	n, err := m.ReadCloser.Read(p)
	if err != nil {
		_ = m.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
