package app

import (
	"context"
	"fmt"
	"os"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/bus/postgres"
	"nacre/internal/bus/rabbit"
	"nacre/internal/clock"
	"nacre/internal/cluster"
	"nacre/internal/compute"
	"nacre/internal/db"
	"nacre/internal/identity"
	"nacre/internal/image"
	"nacre/internal/network"
	"nacre/internal/volume"
)

// connect makes the bus between servers, what carries hints over it, and the
// relay that events leave through.
func (cloud *Cloud) connect(ctx context.Context) error {
	c, log := cloud.Config, cloud.Config.Log
	alone := bus.NewInProcess(log)
	cloud.Bus = alone
	var events bus.Publisher = alone
	switch {
	case c.Bus != "":
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find the name of this server: %w", err)
		}
		id, err := cluster.Fact(ctx, cloud.DB, "cloud", func() (string, error) { return clock.UUID(), nil })
		if err != nil {
			return err
		}
		broker, err := rabbit.Open(rabbit.Options{URL: c.Bus, Cloud: id, Name: name, Log: log})
		if err != nil {
			return err
		}
		cloud.Bus = broker
		if c.Notifications == "none" {
			break
		}
		events = &oslo.Publisher{Services: notifiers(name, c.optOut()), Format: oslo.Format(c.Notifications), Send: broker.Notify, Log: log}
	case db.IsPostgres(c.DB):
		database, err := postgres.Open(postgres.Options{URL: c.DB, Log: log})
		if err != nil {
			return err
		}
		cloud.Bus = database
	}
	cloud.closers = append(cloud.closers, cloud.Bus.Close)
	if cloud.Bus != bus.Bus(alone) {
		cloud.background = append(cloud.background, bus.NewHints(cloud.DB, cloud.Bus, log).Run)
	}
	if events == bus.Publisher(alone) {
		bus.EmitFor(cloud.DB, alone.Heard)
	}
	relay := bus.NewRelay(cloud.DB, events, c.Clock, log)
	cloud.Loops.Add(relay.Loop())
	cloud.background = append(cloud.background, func(ctx context.Context) { relay.Listen(ctx, cloud.Loops.Nudge) })
	return nil
}

// notifiers are the services that tell what happens, by the topic of their
// events. Host is the name of this server.
func notifiers(host string, optOut []string) map[string]oslo.Service {
	return map[string]oslo.Service{
		identity.Topic: identity.Notifications(host, optOut),
		image.Topic:    image.Notifications(host),
		compute.Topic:  compute.Notifications(host),
		network.Topic:  network.Notifications(host),
		volume.Topic:   volume.Notifications(host),
	}
}
