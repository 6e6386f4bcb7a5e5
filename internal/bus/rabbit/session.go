package rabbit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"nacre/internal/bus"
	"nacre/internal/clock"
	"nacre/internal/errs"
)

const (
	// How much a process may miss while it doesn't listen, and for how long
	// anybody cares.
	backlog = 10_000
	stale   = time.Minute
)

// session is one connection, from its beginning to its end. What it has on the
// broker has its id in the name, since the broker may not have noticed the end
// of the one before.
type session struct {
	b      *Bus
	id     string
	raw    net.Conn
	conn   *amqp.Connection
	failed chan error // why it must end

	// One channel per role. A channel is for one goroutine at a time: role.mu.
	messages, asking, replying, answering, notifying role
	consuming                                        *amqp.Channel // used only here, at the beginning

	answered map[string]bool      // topics consumed; guarded by answering.mu
	ready    map[destination]bool // declared; guarded by notifying.mu
	returned chan amqp.Return     // of notifying
	hearing  sync.WaitGroup       // goroutines that hear
	blocked  atomic.Bool          // the broker takes nothing that we publish
}

type role struct {
	mu      sync.Mutex // guards the channel
	channel *amqp.Channel
}

// dial connects and declares what every process has.
func dial(ctx context.Context, b *Bus) (*session, error) {
	s := &session{b: b, id: clock.UUID(), failed: make(chan error, 1), answered: map[string]bool{}, ready: map[destination]bool{}}
	config := amqp.Config{
		Heartbeat: heartbeat, Properties: amqp.NewConnectionProperties(),
		Dial: func(network, address string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: dialing}
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			s.raw = brisk{conn}
			return s.raw, conn.SetDeadline(time.Now().Add(dialing)) // lifted after the greeting
		},
	}
	config.Properties.SetClientConnectionName("nacre " + b.name)
	conn, err := amqp.DialConfig(b.url, config)
	if err != nil {
		if s.raw != nil {
			s.raw.Close()
		}
		return nil, fmt.Errorf("connect: %w", hide(err))
	}
	s.conn = conn
	s.heed()
	ctx, cancel := context.WithTimeout(ctx, confirming)
	defer cancel()
	defer s.bound(ctx, "prepare the connection")()
	err = s.declare()
	if err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// heed hears that the broker takes nothing, being short of disk or memory, and
// that it does again. A broker says so only to who publishes: each connection
// finds out by something that stays behind.
func (s *session) heed() {
	alarms := s.conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	s.hearing.Go(func() {
		for alarm := range alarms {
			s.blocked.Store(alarm.Active)
			if alarm.Active {
				s.b.log.Warn("message broker: takes nothing", "reason", alarm.Reason)
			} else {
				s.b.log.Info("message broker: takes messages again")
			}
		}
	})
}

// brisk is a connection on which no write hangs: a broker that doesn't read
// loses us.
type brisk struct{ net.Conn }

// Write implements net.Conn.
func (c brisk) Write(b []byte) (int, error) {
	err := c.SetWriteDeadline(time.Now().Add(3 * heartbeat))
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// declare opens the channels and makes the queues of this process.
func (s *session) declare() error {
	for _, open := range []struct {
		channel **amqp.Channel
		prepare func(*amqp.Channel) error
	}{
		{&s.messages.channel, s.prepareMessages},
		{&s.asking.channel, s.prepareAsking},
		{&s.replying.channel, nil},
		{&s.answering.channel, nil},
		{&s.notifying.channel, s.prepareNotifying},
		{&s.consuming, s.prepareConsuming},
	} {
		channel, err := s.conn.Channel()
		if err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		*open.channel = channel
		s.watch(channel)
		if open.prepare == nil {
			continue
		}
		err = open.prepare(channel)
		if err != nil {
			return fmt.Errorf("prepare channel: %w", err)
		}
	}
	return nil
}

// watch ends the session when the broker closes the channel.
func (s *session) watch(channel *amqp.Channel) {
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	s.hearing.Go(func() {
		why, told := <-closed
		if told && why != nil {
			s.fail(why)
			return
		}
		s.fail(amqp.ErrClosed)
	})
}

func (s *session) prepareMessages(channel *amqp.Channel) error {
	err := channel.ExchangeDeclare(s.everybody(), amqp.ExchangeFanout, true, false, false, false, nil)
	if err != nil {
		return err
	}
	return channel.Confirm(false)
}

// prepareAsking hears of questions that found nobody.
func (s *session) prepareAsking(channel *amqp.Channel) error {
	returned := channel.NotifyReturn(make(chan amqp.Return, 16))
	s.hearing.Go(func() {
		for r := range returned {
			s.b.Nobody(r.CorrelationId)
		}
	})
	return nil
}

func (s *session) prepareConsuming(channel *amqp.Channel) error {
	err := s.consume(channel, s.heard(), amqp.Table{"x-max-length": int64(backlog), "x-message-ttl": stale.Milliseconds()})
	if err == nil {
		err = channel.QueueBind(s.heard(), "", s.everybody(), false, nil)
	}
	if err == nil {
		err = s.consume(channel, s.replies(), nil)
	}
	return err
}

// everybody is the exchange that all processes of the cloud listen to.
func (s *session) everybody() string { return s.b.prefix + "messages" }

// questions is the queue of the questions about a topic.
func (s *session) questions(topic string) string { return s.b.prefix + "answer." + topic }

func (s *session) heard() string   { return s.b.prefix + "heard." + s.id }
func (s *session) replies() string { return s.b.prefix + "replies." + s.id }

// consume makes a queue of this process's own and hears what comes.
func (s *session) consume(channel *amqp.Channel, queue string, args amqp.Table) error {
	_, err := channel.QueueDeclare(queue, false, true, true, false, args)
	if err != nil {
		return err
	}
	deliveries, err := channel.Consume(queue, "", true, true, false, false, nil)
	if err != nil {
		return err
	}
	s.hear(deliveries)
	return nil
}

func (s *session) hear(deliveries <-chan amqp.Delivery) {
	s.hearing.Go(func() {
		for d := range deliveries {
			s.b.Receive(d.Body)
		}
	})
}

// answer consumes the questions of exactly these topics.
func (s *session) answer(topics []string) error {
	s.answering.mu.Lock()
	defer s.answering.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), confirming)
	defer cancel()
	defer s.bound(ctx, "answer questions")()
	channel, wanted := s.answering.channel, map[string]bool{}
	for _, topic := range topics {
		wanted[topic] = true
		if s.answered[topic] {
			continue
		}
		// The queue goes away with the last who answers, so that a question that
		// nobody would answer can't be routed.
		_, err := channel.QueueDeclare(s.questions(topic), false, true, false, false, nil)
		if err != nil {
			return err
		}
		deliveries, err := channel.Consume(s.questions(topic), topic, true, false, false, false, nil)
		if err != nil {
			return err
		}
		s.hear(deliveries)
		s.answered[topic] = true
	}
	for topic := range s.answered {
		if wanted[topic] {
			continue
		}
		err := channel.Cancel(topic, false)
		if err != nil {
			return err
		}
		delete(s.answered, topic)
	}
	return nil
}

// spread publishes to all processes and waits until the broker has it.
func (s *session) spread(ctx context.Context, f bus.Frame) error {
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, confirming)
	defer cancel()
	s.messages.mu.Lock()
	confirmation, err := s.messages.channel.PublishWithDeferredConfirmWithContext(ctx, s.everybody(), "", false, false, amqp.Publishing{
		ContentType: "application/json", Body: body,
	})
	s.messages.mu.Unlock()
	if err != nil {
		return s.lost(err)
	}
	confirmed, err := confirmation.WaitContext(ctx)
	if err != nil {
		return s.lost(err)
	}
	if !confirmed {
		return s.lost(errors.New("the broker refused the message"))
	}
	return nil
}

// lost says that something can't be sent at the moment.
func (s *session) lost(err error) error {
	return errs.Unavailablef("The message broker did not take it.").Because(err)
}

func (s *session) ask(ctx context.Context, topic string, f bus.Frame) error {
	f.ReplyTo = s.replies()
	return s.send(ctx, &s.asking, s.questions(topic), true, f.Within, f)
}

func (s *session) reply(ctx context.Context, to string, f bus.Frame) error {
	return s.send(ctx, &s.replying, to, false, stale.Milliseconds(), f)
}

// send brings a frame to one queue, where it is worth something for so many
// milliseconds.
func (s *session) send(ctx context.Context, r *role, queue string, mandatory bool, within int64, f bus.Frame) error {
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.channel.PublishWithContext(ctx, "", queue, mandatory, false, amqp.Publishing{
		ContentType: "application/json", CorrelationId: f.ID, Expiration: strconv.FormatInt(within, 10), Body: body,
	})
	if err != nil {
		return s.lost(err)
	}
	return nil
}

// bound ends the session when the broker keeps us waiting beyond the context,
// since the library's calls know none. The caller calls done at its end.
func (s *session) bound(ctx context.Context, what string) (done func()) {
	stop := context.AfterFunc(ctx, func() { s.fail(fmt.Errorf("%s: %w", what, ctx.Err())) })
	return func() { stop() }
}

// fail makes the session end, and with it whatever waits for the broker.
func (s *session) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
	_ = s.raw.Close() // it is given up, whatever it has to say
}

// wait returns when the session has to end.
func (s *session) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-s.failed:
		return err
	}
}

// end hangs up, politely if the broker listens, and waits for what hears.
func (s *session) end() {
	// An error here is one more of a connection that is given up anyway.
	_ = s.conn.CloseDeadline(time.Now().Add(time.Second))
	_ = s.raw.Close()
	s.hearing.Wait()
}
