package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"nacre/internal/clock"
	"nacre/internal/errs"
)

// Wire moves frames between processes; a driver is one. Its methods may be
// called concurrently. Without a connection they fail at once with
// errs.Unavailable.
type Wire interface {
	// Spread brings the frame to all processes. This one may get it, too.
	Spread(ctx context.Context, f Frame) error

	// Ask brings the frame to one process that has offered to answer the topic,
	// with f.ReplyTo set to where this process hears replies. That there is none
	// is told by ErrNobody or, later, by Shared.Nobody.
	Ask(ctx context.Context, topic string, f Frame) error

	// Reply brings the frame to the process that asked.
	Reply(ctx context.Context, to string, f Frame) error

	// Answering is told whenever the topics that this process answers change.
	Answering(topics []string)
}

// ErrNobody says that no process answers the topic.
var ErrNobody = errors.New("nobody answers")

// Frame is what a wire carries: a message, a question or a reply.
type Frame struct {
	From    string          `json:"from"`               // the process
	ID      string          `json:"id,omitempty"`       // of a question and its reply
	ReplyTo string          `json:"reply_to,omitempty"` // of a question
	Within  int64           `json:"within,omitempty"`   // milliseconds that the one who asks will wait
	Topic   string          `json:"topic,omitempty"`    // of a message or question
	Message *Message        `json:"message,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"` // of a question or reply
	Error   *wireError      `json:"error,omitempty"`   // of a reply
}

// wireError is an error on its way to another process. A kind of 0 is a fault
// that nobody classified.
type wireError struct {
	Kind    errs.Kind         `json:"kind,omitempty"`
	Message string            `json:"message"`
	Type    string            `json:"type,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

// How long a request waits whose context has no end, and how many questions of
// others a process answers at a time.
const (
	patience = time.Minute
	crowd    = 256
)

// Shared is the bus of one process among several on the same wire.
type Shared struct {
	*InProcess
	log    *slog.Logger
	wire   Wire
	self   string
	ctx    context.Context // of everything that answers
	cancel context.CancelFunc
	crowd  chan struct{}

	mu      sync.Mutex // guards what follows
	closed  bool
	waiting map[string]chan outcome // questions of ours, by id
	working sync.WaitGroup          // answers to others
}

type outcome struct {
	reply json.RawMessage
	err   error
}

// NewShared makes the bus of a process. The driver passes what arrives to
// Receive. A nil log is slog.Default.
func NewShared(wire Wire, log *slog.Logger) *Shared {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Shared{
		InProcess: NewInProcess(log), wire: wire, self: clock.UUID(), ctx: ctx, cancel: cancel,
		crowd: make(chan struct{}, crowd), waiting: map[string]chan outcome{},
	}
	s.log = s.InProcess.log
	return s
}

// Publish implements Bus.
func (s *Shared) Publish(ctx context.Context, m Message) error {
	err := s.InProcess.Publish(ctx, m)
	if err != nil {
		return err
	}
	err = s.wire.Spread(ctx, Frame{From: s.self, Message: &m})
	if err != nil {
		return fmt.Errorf("publish %s: %w", m.Type, err)
	}
	return nil
}

// Answer implements Bus.
func (s *Shared) Answer(topic string, answer AnswerFunc) (stop func()) {
	end := s.InProcess.Answer(topic, answer)
	s.wire.Answering(s.topics())
	return func() {
		end()
		s.wire.Answering(s.topics())
	}
}

// Request implements Bus.
func (s *Shared) Request(ctx context.Context, topic string, question json.RawMessage) (json.RawMessage, error) {
	if s.answers(topic) {
		return s.InProcess.Request(ctx, topic, question)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	deadline, _ := ctx.Deadline()
	f := Frame{From: s.self, ID: clock.UUID(), Within: max(time.Until(deadline).Milliseconds(), 1), Topic: topic, Payload: question}
	arrived := s.expect(f.ID)
	defer s.forget(f.ID)
	err := s.wire.Ask(ctx, topic, f)
	if err != nil {
		return nil, unanswered(ctx, topic, err)
	}
	select {
	case <-ctx.Done():
		return nil, unanswered(ctx, topic, ctx.Err())
	case o := <-arrived:
		if o.err != nil {
			return nil, unanswered(ctx, topic, o.err)
		}
		return o.reply, nil
	}
}

// unanswered says in the user's words why there is no reply.
func unanswered(ctx context.Context, topic string, err error) error {
	switch {
	case errors.Is(err, ErrNobody):
		return errs.Unavailablef("Nobody answers %s at the moment.", topic)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errs.Unavailablef("%s did not answer in time.", topic).Because(err)
	}
	return fmt.Errorf("request %s: %w", topic, err)
}

func (s *Shared) expect(id string) <-chan outcome {
	arrived := make(chan outcome, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		arrived <- outcome{err: errClosed()}
		return arrived
	}
	s.waiting[id] = arrived
	return arrived
}

func errClosed() error { return errs.Unavailablef("The message bus of this server has ended.") }

func (s *Shared) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

// settle ends the wait for a reply, if there still is one.
func (s *Shared) settle(id string, o outcome) {
	s.mu.Lock()
	arrived := s.waiting[id]
	delete(s.waiting, id)
	s.mu.Unlock()
	if arrived != nil {
		arrived <- o
	}
}

// Nobody tells that the question found nobody to answer it.
func (s *Shared) Nobody(id string) { s.settle(id, outcome{err: ErrNobody}) }

// Lost tells that the connection is gone, and with it the replies to whatever
// has been asked.
func (s *Shared) Lost(err error) {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = map[string]chan outcome{}
	s.mu.Unlock()
	for _, arrived := range waiting {
		arrived <- outcome{err: err}
	}
}

// Receive takes what arrived. Messages of one process must come here in order.
func (s *Shared) Receive(raw []byte) {
	var f Frame
	err := json.Unmarshal(raw, &f)
	if err != nil {
		s.log.Error("message bus: unreadable frame", "error", err)
		return
	}
	switch {
	case f.Message != nil:
		if f.From == s.self {
			return // its subscribers had it before it left
		}
		err = s.InProcess.Publish(s.ctx, *f.Message)
		if err != nil && s.ctx.Err() == nil {
			s.log.Error("message bus: deliver", "topic", f.Message.Topic, "error", err)
		}
	case f.Topic != "":
		s.answer(f)
	case f.Error != nil:
		s.settle(f.ID, outcome{err: f.Error.decode()})
	default:
		s.settle(f.ID, outcome{reply: f.Payload})
	}
}

// answer answers a question of another process, beside others.
func (s *Shared) answer(f Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.working.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, time.Duration(f.Within)*time.Millisecond)
		defer cancel()
		reply := Frame{From: s.self, ID: f.ID}
		var err error
		reply.Payload, err = s.consider(ctx, f)
		if err != nil {
			reply.Payload, reply.Error = nil, s.encode(ctx, f.Topic, err)
		}
		err = s.wire.Reply(ctx, f.ReplyTo, reply)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("message bus: reply", "topic", f.Topic, "error", err)
		}
	})
}

func (s *Shared) consider(ctx context.Context, f Frame) (json.RawMessage, error) {
	select {
	case s.crowd <- struct{}{}:
		defer func() { <-s.crowd }()
	case <-ctx.Done():
		return nil, errs.Unavailablef("The server has too many questions to answer.")
	}
	return s.InProcess.Request(ctx, f.Topic, f.Payload)
}

// encode keeps what is meant for users and logs the rest, unless nobody waits
// any more.
func (s *Shared) encode(ctx context.Context, topic string, err error) *wireError {
	e, classified := errs.As(err)
	if !classified && ctx.Err() != nil {
		e, classified = errs.Unavailablef("It was not answered in time."), true
	}
	if !classified {
		s.log.Error("message bus: answer", "topic", topic, "error", err)
		return &wireError{Message: "unexpected error where it was answered"}
	}
	if e.Cause != nil {
		s.log.Warn("message bus: answer", "topic", topic, "error", err)
	}
	return &wireError{Kind: e.Kind, Message: e.Message, Type: e.Type, Headers: e.Headers}
}

func (e *wireError) decode() error {
	if e.Kind == 0 {
		return errors.New(e.Message)
	}
	return &errs.Error{Kind: e.Kind, Message: e.Message, Type: e.Type, Headers: e.Headers}
}

// Close ends what is being answered, tells those who wait, and returns when
// nothing of this runs any more. A driver calls it before it hangs up.
func (s *Shared) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.Lost(errClosed())
	s.working.Wait()
	return nil
}
