package nodeapi

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxFrame is the longest frame, header excluded.
const MaxFrame = 8 << 20

// Frame types. Unknown ones are skipped, so that a newer peer may send them.
const (
	frameHello    = 1  // node: Hello
	frameWelcome  = 2  // server: Welcome
	frameDesired  = 3  // server: Desired
	frameObserved = 4  // node: Observed
	frameInfo     = 5  // node: HostInfo
	frameQuery    = 6  // query
	frameReply    = 7  // reply
	frameOpen     = 8  // openStream
	frameOpened   = 9  // openedStream
	frameData     = 10 // stream number (4 bytes), then bytes; none at the end
	frameWindow   = 11 // stream number (4 bytes), how much more may be sent (4 bytes)
	frameReset    = 12 // stream number (4 bytes): the stream is over in both directions
	framePing     = 13 // nothing
	framePong     = 14 // nothing
	frameServers  = 15 // server: Servers
)

// Hello is a node's first frame.
type Hello struct {
	Version int      `json:"version"`
	Host    string   `json:"host"`
	Info    HostInfo `json:"info"`
}

// Welcome is a server's first frame. An error ends the connection.
type Welcome struct {
	Version int    `json:"version"`
	Error   string `json:"error,omitempty"`
}

// Document is a desired or an observed document on its way.
type Document struct {
	Kind       string          `json:"kind"`
	ID         string          `json:"id"`
	Generation int64           `json:"generation"`     // of the desired document it is or answers
	Gone       bool            `json:"gone,omitempty"` // desired: should not exist; observed: does not exist
	Body       json.RawMessage `json:"body,omitempty"`
}

// Desired carries documents down. First begins a whole set and Complete ends
// it: what the frames between them did not name is wanted by nobody.
type Desired struct {
	First     bool       `json:"first,omitempty"`
	Complete  bool       `json:"complete,omitempty"`
	Documents []Document `json:"documents,omitempty"`
}

// Servers tells a node where the cloud's servers are, so that it finds another
// one when its own dies.
type Servers struct {
	URLs []string `json:"urls"`
}

// Observed carries documents up.
type Observed struct {
	Documents []Document `json:"documents"`
}

type query struct {
	ID      uint64          `json:"id"`
	Name    string          `json:"name"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

type reply struct {
	ID      uint64          `json:"id"`
	Error   *RemoteError    `json:"error,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

type openStream struct {
	Stream uint32 `json:"stream"`
	Kind   string `json:"kind"`
	ID     string `json:"id"`
}

type openedStream struct {
	Stream uint32       `json:"stream"`
	Error  *RemoteError `json:"error,omitempty"`
}

// RemoteError is an error that the other side answered with.
type RemoteError struct {
	Status  int    `json:"status"` // an HTTP status that says what kind of error it is
	Message string `json:"message"`
}

// Error implements error.
func (e *RemoteError) Error() string { return e.Message }

// errProtocol is in the chain of errors about a peer that breaks the rules.
var errProtocol = errors.New("node stream: protocol error")

// encode makes a whole frame.
func encode(kind byte, payload []byte) []byte {
	frame := make([]byte, 5+len(payload))
	binary.BigEndian.PutUint32(frame, uint32(len(payload)))
	frame[4] = kind
	copy(frame[5:], payload)
	return frame
}

func encodeJSON(kind byte, value any) ([]byte, error) {
	payload, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode frame: %w", err)
	}
	if len(payload) > MaxFrame {
		return nil, fmt.Errorf("encode frame: %d bytes are more than the limit of %d", len(payload), MaxFrame)
	}
	return encode(kind, payload), nil
}

// encodeNumbers makes a frame of a stream number and up to one more number.
func encodeNumbers(kind byte, numbers ...uint32) []byte {
	var payload []byte
	for _, n := range numbers {
		payload = binary.BigEndian.AppendUint32(payload, n)
	}
	return encode(kind, payload)
}

// readFrame reads one frame. The payload grows as bytes arrive, so that a
// length alone costs us nothing.
func readFrame(r io.Reader) (kind byte, payload []byte, err error) {
	var header [5]byte
	_, err = io.ReadFull(r, header[:])
	if err != nil {
		return 0, nil, err
	}
	length := int(binary.BigEndian.Uint32(header[:4]))
	if length > MaxFrame {
		return 0, nil, fmt.Errorf("%w: frame of %d bytes", errProtocol, length)
	}
	const step = 64 << 10
	for len(payload) < length {
		n := min(length-len(payload), max(step, len(payload)))
		start := len(payload)
		payload = append(payload, make([]byte, n)...)
		_, err = io.ReadFull(r, payload[start:])
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
	}
	return header[4], payload, nil
}

func decode(payload []byte, into any) error {
	err := json.Unmarshal(payload, into)
	if err != nil {
		return fmt.Errorf("%w: %v", errProtocol, err)
	}
	return nil
}

// Greet sends a node's Hello and returns the server's Welcome. The caller
// bounds it by closing the stream.
func Greet(rw io.ReadWriter, hello Hello) (Welcome, error) {
	hello.Version = Version
	frame, err := encodeJSON(frameHello, hello)
	if err != nil {
		return Welcome{}, err
	}
	_, err = rw.Write(frame)
	if err != nil {
		return Welcome{}, fmt.Errorf("send hello: %w", err)
	}
	kind, payload, err := readFrame(rw)
	if err != nil {
		return Welcome{}, fmt.Errorf("wait for welcome: %w", err)
	}
	if kind != frameWelcome {
		return Welcome{}, fmt.Errorf("%w: frame %d instead of a welcome", errProtocol, kind)
	}
	var welcome Welcome
	err = decode(payload, &welcome)
	if err != nil {
		return Welcome{}, err
	}
	if welcome.Error != "" {
		return welcome, fmt.Errorf("server refuses: %s", welcome.Error)
	}
	return welcome, nil
}

// ReadHello reads a node's first frame.
func ReadHello(r io.Reader) (Hello, error) {
	kind, payload, err := readFrame(r)
	if err != nil {
		return Hello{}, fmt.Errorf("wait for hello: %w", err)
	}
	if kind != frameHello {
		return Hello{}, fmt.Errorf("%w: frame %d instead of a hello", errProtocol, kind)
	}
	var hello Hello
	err = decode(payload, &hello)
	return hello, err
}

// WriteWelcome answers a Hello.
func WriteWelcome(w io.Writer, welcome Welcome) error {
	welcome.Version = Version
	frame, err := encodeJSON(frameWelcome, welcome)
	if err != nil {
		return err
	}
	_, err = w.Write(frame)
	if err != nil {
		return fmt.Errorf("send welcome: %w", err)
	}
	return nil
}
