package soak

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"nacre/internal/await"
	"nacre/internal/bus/rabbit/rabbittest"
)

// One server at a time brings events to the broker. Whichever dies, another one
// goes on, and nothing is lost.
func TestEventsLeaveThoughTheirServerDies(t *testing.T) {
	t.Parallel()
	broker := rabbittest.URL(t)
	r := newRigOn(t, broker, 2, 1)
	first, second := r.servers[0], r.servers[1]
	r.up(first, 1)
	outbox, err := sql.Open("pgx", r.db)
	if err != nil {
		t.Fatal(err)
	}
	defer outbox.Close()
	const some = 10
	made := 0
	change := func(through *member, when string) {
		t.Helper()
		demo := r.user(through, "demo")
		for range some {
			made++
			status, body, err := demo.Do("POST", "/network/v2.0/networks", map[string]any{"network": map[string]any{"name": fmt.Sprint("net-", made)}})
			if err != nil || status != 201 {
				t.Fatalf("make a network %s: %d %s %v", when, status, body, err)
			}
		}
		await.Until(t, "events to leave "+when, time.Minute, func() bool {
			var left int
			err := outbox.QueryRow("SELECT COUNT(*) FROM outbox").Scan(&left)
			if err != nil {
				t.Fatal(err)
			}
			return left == 0
		})
	}
	change(first, "with two servers")
	first.Kill()
	change(second, "after the first was killed")
	first.Start()
	first.Ready(first.url)
	second.Kill()
	change(first, "after the second was killed")

	conn, err := amqp.Dial(broker)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue, err := channel.QueueDeclarePassive("notifications.info", true, false, false, false, nil)
	if err != nil || queue.Messages < made {
		t.Errorf("the queue has %d notifications, %v, want one of each of the %d networks at least", queue.Messages, err, made)
	}
}
