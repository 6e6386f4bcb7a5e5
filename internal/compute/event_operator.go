package compute

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/db"
)

// Events about what operators arrange: aggregates and services of hosts; and about
// server groups. They are facts as stored; wordOperatorEvent words them.

// tellAggregate tells of an aggregate, in the transaction that changes it.
// Nothing lies between the start and the end of what one transaction does;
// listeners may wait for either.
func tellAggregate(ctx context.Context, tx *db.Tx, action string, a Aggregate) error {
	for _, phase := range []string{".start", ".end"} {
		err := bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "aggregate." + action + phase, Resource: a.UUID, Payload: a})
		if err != nil {
			return err
		}
	}
	return nil
}

// tellGroup tells of a server group with its members.
func tellGroup(ctx context.Context, tx *db.Tx, action string, g ServerGroup) error {
	list := []ServerGroup{g}
	err := readMembers(ctx, tx, list)
	if err != nil {
		return err
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "server_group." + action, Resource: g.ID, Payload: list[0]})
}

// tellService tells of what operators decided about a host.
func tellService(ctx context.Context, tx *db.Tx, action string, row HostService) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "service." + action, Resource: row.ID, Payload: row})
}

// wordOperatorEvent words the payload of one of these events, and says who tells
// it.
func wordOperatorEvent(host, object string, n *oslo.Notification, e bus.Record) error {
	if e.Type == "aggregate.cache_images.progress" {
		var s cacheState
		err := json.Unmarshal(e.Payload, &s)
		if err != nil {
			return err
		}
		n.Payload = novaObject("AggregateCachePayload", "1.0", data{
			"id": s.Aggregate.ID, "uuid": s.Aggregate.UUID, "name": s.Aggregate.Name, "host": s.Aggregate.Hosts[s.Host],
			"images_cached": texts(s.Cached), "images_failed": texts(s.Failed), "index": s.Host + 1, "total": len(s.Aggregate.Hosts),
		})
		return nil
	}
	switch object {
	case "aggregate":
		var a Aggregate
		err := json.Unmarshal(e.Payload, &a)
		if err != nil {
			return err
		}
		n.Payload = novaObject("AggregatePayload", "1.1", data{
			"id": a.ID, "uuid": a.UUID, "name": a.Name, "hosts": texts(a.Hosts), "metadata": a.Metadata.V,
		})
	case "server_group":
		var g ServerGroup
		err := json.Unmarshal(e.Payload, &g)
		if err != nil {
			return err
		}
		rules := data{}
		if g.Rules.V.MaxServerPerHost > 0 {
			rules["max_server_per_host"] = fmt.Sprint(g.Rules.V.MaxServerPerHost)
		}
		n.Payload = novaObject("ServerGroupPayload", "1.1", data{
			"uuid": g.ID, "name": g.Name, "user_id": g.UserID, "project_id": g.Project, "policies": []string{g.Policy},
			"members": texts(g.Members), "hosts": nil, "policy": g.Policy, "rules": rules,
		})
	case "service":
		var s HostService
		err := json.Unmarshal(e.Payload, &s)
		if err != nil {
			return err
		}
		n.Publisher = "nova-compute:" + s.Host
		n.Payload = novaObject("ServiceStatusPayload", "1.1", data{
			"host": s.Host, "binary": "nova-compute", "topic": "compute", "uuid": s.ID, "disabled": s.Disabled,
			"disabled_reason": nullable(s.Reason), "forced_down": s.ForcedDown, "last_seen_up": s.UpdatedAt.Time().UTC().Format(time.RFC3339),
			"report_count": 0, "version": 66, "availability_zone": nil,
		})
	default:
		return fmt.Errorf("nothing is known of events about %s", object)
	}
	return nil
}

// texts is a list that is never null.
func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
