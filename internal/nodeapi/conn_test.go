package nodeapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect serves two connected ends until the test is over.
func connect(t *testing.T, node, server Handlers) (*Conn, *Conn) {
	t.Helper()
	a, b := net.Pipe()
	nodeEnd, serverEnd := NewConn(a, true, node), NewConn(b, false, server)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- nodeEnd.Serve(ctx) }()
	go func() { ended <- serverEnd.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
	})
	return nodeEnd, serverEnd
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestGreeting(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() {
		hello, err := ReadHello(b)
		if err != nil || hello.Host != "node-1" || hello.Version != Version {
			t.Errorf("server got hello %+v, %v", hello, err)
		}
		err = WriteWelcome(b, Welcome{Error: "not you"})
		if err != nil {
			t.Error(err)
		}
	}()
	_, err := Greet(a, Hello{Host: "node-1"})
	if err == nil || !strings.Contains(err.Error(), "not you") {
		t.Errorf("greeting ended with %v, want the refusal", err)
	}
}

func TestDocumentsArriveInOrder(t *testing.T) {
	got := make(chan Desired, 100)
	_, server := connect(t, Handlers{Desired: func(d Desired) { got <- d }}, Handlers{})
	for i := range 50 {
		err := server.SendDesired(within(t), Desired{Documents: []Document{{Kind: KindMachine, ID: "m", Generation: int64(i)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		d := <-got
		if d.Documents[0].Generation != int64(i) {
			t.Fatalf("document %d arrived as number %d", d.Documents[0].Generation, i)
		}
	}
}

func TestAsk(t *testing.T) {
	node, _ := connect(t, Handlers{}, Handlers{Query: func(_ context.Context, name string, payload json.RawMessage) (any, error) {
		if name == "bad" {
			return nil, &RemoteError{404, "no such thing"}
		}
		return name + string(payload), nil
	}})
	answer, err := node.Ask(within(t), "echo", 7)
	if err != nil || string(answer) != `"echo7"` {
		t.Errorf("got %s, %v; want \"echo7\"", answer, err)
	}
	_, err = node.Ask(within(t), "bad", nil)
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Status != 404 {
		t.Errorf("got %v, want the peer's 404", err)
	}
}

func TestAskEndsWithConnection(t *testing.T) {
	asked := make(chan struct{})
	node, server := connect(t, Handlers{}, Handlers{Query: func(ctx context.Context, _ string, _ json.RawMessage) (any, error) {
		close(asked)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	go func() {
		<-asked
		server.Close()
	}()
	_, err := node.Ask(within(t), "wait", nil)
	if err == nil {
		t.Error("the question was answered over a closed connection")
	}
}

// A stream that nobody reads must not hold up another one, nor questions.
func TestStreamsDoNotBlockEachOther(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 3*window/16)
	hold := make(chan struct{})
	node, _ := connect(t, Handlers{}, Handlers{
		Query: func(context.Context, string, json.RawMessage) (any, error) { return "ok", nil },
		Stream: func(_ context.Context, kind, id string) (func(*Stream) error, error) {
			switch kind {
			case "stuck":
				return func(s *Stream) error { <-hold; return nil }, nil
			case "echo":
				return func(s *Stream) error { _, err := io.Copy(s, s); return err }, nil
			case "broken":
				return func(s *Stream) error {
					_, err := s.Write([]byte("half"))
					return errors.Join(err, errors.New("disk died"))
				}, nil
			}
			return nil, &RemoteError{404, "no " + id}
		},
	})
	stuck, err := node.Open(within(t), "stuck", "")
	if err != nil {
		t.Fatal(err)
	}
	stuckDone := make(chan error, 1)
	go func() { _, err := stuck.Write(data); stuckDone <- err }()

	echo, err := node.Open(within(t), "echo", "")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		echo.Write(data)
		echo.CloseWrite()
	}()
	got, err := io.ReadAll(echo)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("echo gave %d bytes, %v; want %d", len(got), err, len(data))
	}
	_, err = node.Ask(within(t), "ping", nil)
	if err != nil {
		t.Error(err)
	}
	close(hold)
	err = <-stuckDone
	if err == nil {
		t.Error("writing to a stream that was closed unread succeeded")
	}

	broken, err := node.Open(within(t), "broken", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(broken)
	if err == nil {
		t.Error("a stream whose server failed ended like a whole one")
	}
	_, err = node.Open(within(t), "other", "x")
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Message != "no x" {
		t.Errorf("got %v, want the peer's refusal", err)
	}
}

func TestStreamLimit(t *testing.T) {
	node, _ := connect(t, Handlers{}, Handlers{Stream: func(ctx context.Context, _, _ string) (func(*Stream) error, error) {
		return func(*Stream) error { <-ctx.Done(); return nil }, nil
	}})
	var err error
	for i := range maxStreams + 1 {
		_, err = node.Open(within(t), "x", "")
		if err != nil && i < maxStreams {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Status != 503 {
		t.Errorf("stream beyond the limit: %v, want a 503", err)
	}
}

// A peer that sends questions and never reads the answers is cut off, or
// stops being read; memory stays bounded and the end comes with the close.
func TestPeerThatNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		server := NewConn(b, false, Handlers{})
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(t.Context()) }()
		wrote := make(chan error, 1)
		go func() {
			for {
				_, err := a.Write(encode(framePing, nil))
				if err != nil {
					wrote <- err
					return
				}
				server.mu.Lock()
				queued := server.queued
				server.mu.Unlock()
				if queued > 1<<20 {
					a.Close()
				}
			}
		}()
		<-wrote
		<-ended
	})
}

func TestHostileFrames(t *testing.T) {
	tooLong := binary.BigEndian.AppendUint32(nil, MaxFrame+1)
	for name, raw := range map[string][]byte{
		"too long":         append(tooLong, frameQuery),
		"not JSON":         encode(frameQuery, []byte("{")),
		"for nobody":       encode(frameObserved, []byte("{}")),
		"short stream":     encode(frameData, []byte{1}),
		"own stream":       encode(frameOpen, []byte(`{"stream":2}`)),
		"two of a number":  append(encode(frameOpen, []byte(`{"stream":1}`)), encode(frameOpen, []byte(`{"stream":1}`))...),
		"half a frame":     {0, 0, 0, 9, frameQuery, 1},
		"window too large": append(encode(frameOpen, []byte(`{"stream":1}`)), encodeNumbers(frameWindow, 1, 1<<30)...),
		"beyond window": append(encode(frameOpen, []byte(`{"stream":1}`)),
			encode(frameData, make([]byte, 4+window+1))[:]...),
	} {
		t.Run(name, func(t *testing.T) {
			if name == "beyond window" {
				binary.BigEndian.PutUint32(raw[len(raw)-4-window-1:], 1)
			}
			a, b := net.Pipe()
			server := NewConn(b, false, Handlers{Stream: func(ctx context.Context, _, _ string) (func(*Stream) error, error) {
				return func(*Stream) error { <-ctx.Done(); return nil }, nil
			}})
			ended := make(chan error, 1)
			go func() { ended <- server.Serve(context.Background()) }()
			go io.Copy(io.Discard, a)
			a.Write(raw)
			if name == "half a frame" {
				a.Close()
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("connection ended without saying why")
				}
			case <-time.After(10 * time.Second):
				t.Error("the connection survived")
			}
			a.Close()
			server.Close()
		})
	}
}

// ends is a stream of given bytes that swallows what is written.
type ends struct{ io.Reader }

func (ends) Write(p []byte) (int, error) { return len(p), nil }
func (ends) Close() error                { return nil }

func FuzzConn(f *testing.F) {
	f.Add(encode(frameQuery, []byte(`{"id":1,"name":"x"}`)))
	f.Add(append(encode(frameOpen, []byte(`{"stream":1,"kind":"echo"}`)), encode(frameData, []byte{0, 0, 0, 1, 7})...))
	f.Add(encodeNumbers(frameWindow, 1, 5))
	f.Add(encode(frameReply, []byte(`{"id":1,"error":{"status":404}}`)))
	f.Add(encode(frameDesired, []byte(`{"documents":[{"kind":"machine","body":{}}]}`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := NewConn(ends{bytes.NewReader(raw)}, false, Handlers{
			Desired:  func(Desired) {},
			Observed: func(Observed) {},
			Info:     func(HostInfo) {},
			Query:    func(context.Context, string, json.RawMessage) (any, error) { return 1, nil },
			Stream: func(context.Context, string, string) (func(*Stream) error, error) {
				return func(s *Stream) error { _, err := io.Copy(s, s); return err }, nil
			},
		})
		err := c.Serve(context.Background())
		if err == nil {
			t.Error("a finite stream ended without a reason")
		}
	})
}

func BenchmarkDocuments(b *testing.B) {
	a, e := net.Pipe()
	got := make(chan struct{}, 1)
	count := 0
	node := NewConn(a, true, Handlers{Desired: func(d Desired) {
		count++
		if count == b.N {
			got <- struct{}{}
		}
	}})
	server := NewConn(e, false, Handlers{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- node.Serve(ctx) }()
	go func() { ended <- server.Serve(ctx) }()
	body, _ := json.Marshal(Machine{ID: "11111111-1111-1111-1111-111111111111", Name: "bench", NICs: make([]NIC, 1)})
	b.ResetTimer()
	for i := range b.N {
		err := server.SendDesired(ctx, Desired{Documents: []Document{{Kind: KindMachine, ID: fmt.Sprint(i), Generation: 1, Body: body}}})
		if err != nil {
			b.Fatal(err)
		}
	}
	<-got
	b.StopTimer()
	cancel()
	<-ended
	<-ended
}
