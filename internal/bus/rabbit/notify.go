package rabbit

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"nacre/internal/bus/oslo"
	"nacre/internal/errs"
)

type destination struct{ exchange, queue string }

// window is how many notifications may be without their confirmation.
const window = 256

func (s *session) prepareNotifying(channel *amqp.Channel) error {
	s.returned = channel.NotifyReturn(make(chan amqp.Return, window))
	return channel.Confirm(false)
}

// Notify publishes the notifications and returns how many, from the first on,
// the broker has on its disks. Those behind may be there as well: whoever sends
// them again sends some twice, but none before an earlier one of its resource.
func (b *Bus) Notify(ctx context.Context, list []oslo.Outgoing) (sent int, err error) {
	s, err := b.connected()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, confirming)
	defer cancel()
	s.notifying.mu.Lock()
	defer s.notifying.mu.Unlock()
	defer s.bound(ctx, "publish notifications")()
	var pending []*amqp.DeferredConfirmation
	flying := map[string]bool{} // resources of what is pending
	settle := func() error {
		for _, confirmation := range pending {
			confirmed, err := confirmation.WaitContext(ctx)
			if err != nil {
				// What was not confirmed may lie in a buffer for long.
				s.fail(fmt.Errorf("wait for confirmation: %w", err))
				return s.lost(err)
			}
			if !confirmed {
				return s.lost(errors.New("the broker refused a notification"))
			}
			// What could not be routed comes back before its confirmation.
			select {
			case r := <-s.returned:
				delete(s.ready, destination{r.Exchange, r.RoutingKey})
				return s.lost(fmt.Errorf("queue %s is gone: %s", r.RoutingKey, r.ReplyText))
			default:
			}
			sent++
		}
		pending = pending[:0]
		clear(flying)
		return nil
	}
	for _, n := range list {
		if flying[n.Resource] || len(pending) == window {
			err = settle()
			if err != nil {
				return sent, err
			}
		}
		err = s.prepare(destination{n.Exchange, n.Queue})
		if err != nil {
			return sent, err
		}
		confirmation, err := s.notifying.channel.PublishWithDeferredConfirmWithContext(ctx, n.Exchange, n.Queue, true, false, amqp.Publishing{
			ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, MessageId: n.ID,
			Headers: amqp.Table{}, Body: n.Body,
		})
		if err != nil {
			return sent, s.lost(err)
		}
		pending = append(pending, confirmation)
		flying[n.Resource] = true
	}
	return sent, settle()
}

// prepare makes the exchange and the queue once per connection. What is there
// already, perhaps made by a consumer in another form, is taken as it is.
func (s *session) prepare(d destination) error {
	if s.ready[d] {
		return nil
	}
	for _, declare := range []func(*amqp.Channel) error{
		func(c *amqp.Channel) error {
			return c.ExchangeDeclare(d.exchange, amqp.ExchangeTopic, true, false, false, false, nil)
		},
		func(c *amqp.Channel) error {
			_, err := c.QueueDeclare(d.queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
			return err
		},
		func(c *amqp.Channel) error { return c.QueueBind(d.queue, d.queue, d.exchange, false, nil) },
	} {
		err := s.once(declare)
		var refused *amqp.Error
		if errors.As(err, &refused) && refused.Code == amqp.PreconditionFailed {
			continue
		}
		if err != nil {
			return errs.Unavailablef("The message broker has no queue %s.", d.queue).Because(err)
		}
	}
	s.ready[d] = true
	return nil
}

// once does something on a channel of its own, since what the broker refuses
// costs the channel.
func (s *session) once(do func(*amqp.Channel) error) error {
	channel, err := s.conn.Channel()
	if err != nil {
		return err
	}
	err = do(channel)
	if err != nil {
		return err
	}
	return channel.Close()
}
