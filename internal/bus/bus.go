// Package bus carries messages between the parts of the cloud, and out of it.
//
// A message is a type and a payload. It is a hint: the facts are in the
// database, so a lost message costs a moment. A request is answered by one
// process that knows the answer, or refused at once when none does; its errors
// keep their kind on the way.
//
// The drivers stand behind Bus and pass the suite in bustest. InProcess serves
// a cloud that is one process. Several processes talk through PostgreSQL's
// LISTEN and NOTIFY (postgres/) or through RabbitMQ (rabbit/): what the two have
// in common is Shared, a driver adds the Wire. Hints brings what one server's
// database transactions announce to the listeners of the others.
//
// What must not be lost leaves through the outbox (outbox.go): Emit writes an
// event in the transaction of the change it tells of, and the Relay publishes
// it afterwards, at least once and in order per resource, from one process at a
// time. Who publishes events is a Publisher; oslo/ makes OpenStack's
// notifications of them.
package bus

import (
	"context"
	"encoding/json"
)

// Message is what travels.
type Message struct {
	Topic    string          // who cares: "work", "notifications.nova"
	Type     string          // what happened: "instance.create.end"
	Resource string          // about what; messages of one resource keep their order
	Payload  json.RawMessage // facts, "null" for none
}

// AnswerFunc answers a question. A classified error reaches who asked with its
// kind; any other one stays in the log of the process that answers.
type AnswerFunc func(ctx context.Context, question json.RawMessage) (json.RawMessage, error)

// Bus passes messages on. Its methods may be called concurrently.
type Bus interface {
	// Publish hands the message to the subscribers of its topic, wherever they
	// are. When it returns nil, every subscriber of this process has had it and a
	// broker, where there is one, has confirmed it. It doesn't wait for a broker
	// that is away: that is errs.Unavailable.
	Publish(ctx context.Context, m Message) error

	// Subscribe calls the function with each message of the topic ("" for all)
	// until stop. It must be quick. Messages that one process published come in
	// order.
	Subscribe(topic string, hear func(ctx context.Context, m Message)) (stop func())

	// Request asks one of those who answer the topic, this process first, and
	// waits for the reply as long as the context allows. Nobody there is
	// errs.Unavailable at once, no reply in time is errs.Unavailable then.
	Request(ctx context.Context, topic string, question json.RawMessage) (json.RawMessage, error)

	// Answer answers requests of the topic until stop, several at a time. Of
	// those in one process the last to come answers.
	Answer(topic string, answer AnswerFunc) (stop func())

	// Close ends it. Whoever still waits for a reply is told so.
	Close() error
}
