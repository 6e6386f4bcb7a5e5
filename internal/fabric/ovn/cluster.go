package ovn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"nacre/internal/fabric"
	"nacre/internal/fabric/ovn/ovsdb"
)

// Names of the northbound tables that we write.
const (
	switches    = "Logical_Switch"
	switchPorts = "Logical_Switch_Port"
	dhcpOptions = "DHCP_Options"
	portGroups  = "Port_Group"
	acls        = "ACL"
	routers     = "Logical_Router"
	routerPorts = "Logical_Router_Port"
	routes      = "Logical_Router_Static_Route"
	nats        = "NAT"
	gateways    = "Gateway_Chassis"
	balancers   = "Load_Balancer"
	qos         = "QoS"
	addressSets = "Address_Set"
	dnsRecords  = "DNS"
	global      = "NB_Global"
)

// followed are the columns we write, and those that report back.
var followed = map[string][]string{
	switches:    {"name", "ports", "dns_records", "qos_rules", "other_config", "external_ids"},
	switchPorts: {"name", "type", "options", "parent_name", "tag", "addresses", "port_security", "up", "enabled", "dhcpv4_options", "dhcpv6_options", "external_ids"},
	dhcpOptions: {"cidr", "options", "external_ids"},
	portGroups:  {"name", "ports", "acls", "external_ids"},
	acls:        {"priority", "direction", "match", "action", "external_ids"},
	routers:     {"name", "ports", "static_routes", "enabled", "nat", "load_balancer", "options", "external_ids"},
	routerPorts: {"name", "gateway_chassis", "options", "networks", "mac", "ipv6_ra_configs", "external_ids"},
	routes:      {"ip_prefix", "nexthop", "policy", "output_port", "external_ids"},
	nats:        {"type", "external_ip", "logical_ip", "external_ids"},
	gateways:    {"name", "chassis_name", "priority", "external_ids"},
	balancers:   {"name", "protocol", "vips", "options", "external_ids"},
	qos:         {"priority", "direction", "match", "action", "bandwidth", "external_ids"},
	dnsRecords:  {"records", "external_ids"},
	addressSets: {"name", "addresses", "external_ids"},
	global:      {"nb_cfg", "sb_cfg", "hv_cfg"},
}

// Keys in external_ids. Rows without keyKind are parts of others, or not ours.
const (
	keyKind    = "nacre-kind"
	keyID      = "nacre-id"
	keyName    = "nacre-name"
	keyNetwork = "nacre-network"
	keyRouter  = "nacre-router"
	keyGroups  = "nacre-groups"
	keyDHCP    = "nacre-dhcp"
	keyOptions = "nacre-options" // the port has DHCP options of its own
	keyQoS     = "nacre-qos"
)

// ClusterOptions say where the northbound database is.
type ClusterOptions struct {
	Socket   string   // where it listens, as ovsdb.Config has it
	Gateways []string // chassis that carry traffic to external networks
	Log      *slog.Logger
}

// Cluster is the fabric.Cluster on OVN's northbound database. Calls that arrive
// while a transaction is under way share the next one.
type Cluster struct {
	nb       *ovsdb.Client
	gateways []string
	changed  chan string
	requests chan *request
	stop     context.CancelFunc
	worker   sync.WaitGroup
}

type request struct {
	apply func(*plan) error // on error it has left the plan alone
	done  chan error
}

var _ fabric.Cluster = (*Cluster)(nil)

// OpenCluster connects to the northbound database.
func OpenCluster(ctx context.Context, options ClusterOptions) (*Cluster, error) {
	live, stop := context.WithCancel(context.Background())
	c := &Cluster{
		gateways: options.Gateways,
		changed:  make(chan string, 1024),
		requests: make(chan *request),
		stop:     stop,
	}
	nb, err := ovsdb.Open(ctx, ovsdb.Config{
		Socket:   options.Socket,
		Database: "OVN_Northbound",
		Follow:   followed,
		Log:      options.Log,
		Changed:  c.rowChanged,
	})
	if err != nil {
		stop()
		return nil, err
	}
	c.nb = nb
	c.worker.Go(func() { c.work(live) })
	return c, nil
}

// Close ends the connection. The network goes on as it is.
func (c *Cluster) Close() {
	c.stop()
	c.worker.Wait()
	c.nb.Close()
}

// Ensure implements fabric.Cluster.
func (c *Cluster) Ensure(ctx context.Context, t fabric.Topology) error {
	return c.submit(ctx, func(p *plan) error {
		err := check(p, t)
		if err != nil {
			return err
		}
		p.ensureDrop()
		for _, n := range t.Networks {
			p.ensureNetwork(n)
		}
		for _, g := range t.AddressGroups {
			p.ensureAddressGroup(g)
		}
		for _, g := range t.Groups {
			p.ensureGroup(g)
		}
		for _, port := range t.Ports {
			p.ensurePort(port)
		}
		for _, r := range t.Routers {
			p.ensureRouter(r, c.gateways)
		}
		return nil
	})
}

// Remove implements fabric.Cluster.
func (c *Cluster) Remove(ctx context.Context, refs ...fabric.Ref) error {
	return c.submit(ctx, func(p *plan) error {
		for _, ref := range refs {
			switch ref.Kind {
			case fabric.KindNetwork, fabric.KindPort, fabric.KindGroup, fabric.KindRouter, fabric.KindAddressGroup:
			default:
				return fmt.Errorf("remove %s: unknown kind %q", ref.ID, ref.Kind)
			}
		}
		for _, ref := range refs {
			switch ref.Kind {
			case fabric.KindNetwork:
				p.removeNetwork(ref.ID)
			case fabric.KindPort:
				p.removePort(ref.ID)
			case fabric.KindGroup:
				p.removeGroup(ref.ID)
			case fabric.KindRouter:
				p.removeRouter(ref.ID)
			case fabric.KindAddressGroup:
				p.removeAddressGroup(ref.ID)
			}
		}
		return nil
	})
}

// List implements fabric.Cluster.
func (c *Cluster) List(ctx context.Context) ([]fabric.Ref, error) {
	err := c.barrier(ctx)
	if err != nil {
		return nil, err
	}
	found := map[fabric.Ref]bool{} // an address group has two rows
	c.nb.View(func(tables ovsdb.Tables) {
		for _, table := range []string{switches, switchPorts, portGroups, routers, addressSets} {
			for _, row := range tables[table] {
				ids := row.Map("external_ids")
				if ids[keyKind] != "" {
					found[fabric.Ref{Kind: fabric.Kind(ids[keyKind]), ID: ids[keyID]}] = true
				}
			}
		}
	})
	return slices.Collect(maps.Keys(found)), nil
}

// Up implements fabric.Cluster.
func (c *Cluster) Up(ctx context.Context, ports ...string) ([]string, error) {
	err := c.barrier(ctx)
	if err != nil {
		return nil, err
	}
	of := map[string]bool{}
	for _, id := range ports {
		of[id] = true
	}
	var up []string
	c.nb.View(func(tables ovsdb.Tables) {
		for _, row := range tables[switchPorts] {
			if !isUp(row) {
				continue
			}
			id := row.Map("external_ids")[keyID]
			if len(ports) == 0 || of[id] {
				up = append(up, id)
			}
		}
	})
	return up, nil
}

// Changed implements fabric.Cluster.
func (c *Cluster) Changed() <-chan string { return c.changed }

// Sync waits until every chassis forwards packets as the database says now.
func (c *Cluster) Sync(ctx context.Context) error {
	id, want := "", 0
	find := func(tables ovsdb.Tables) bool {
		for uuid, row := range tables[global] {
			id = uuid
			want, _ = strconv.Atoi(row.String("nb_cfg"))
		}
		return id != ""
	}
	err := c.nb.Await(ctx, find)
	if err != nil {
		return fmt.Errorf("wait for the northbound database to be set up: %w", err)
	}
	err = c.nb.Transact(ctx, ovsdb.Increment(global, id, "nb_cfg"))
	if err != nil {
		return fmt.Errorf("ask for a report of the chassis: %w", err)
	}
	want++
	err = c.nb.Await(ctx, func(tables ovsdb.Tables) bool {
		have, _ := strconv.Atoi(tables[global][id].String("hv_cfg"))
		return have >= want
	})
	if err != nil {
		return fmt.Errorf("wait for the chassis to follow: %w", err)
	}
	return nil
}

func isUp(row ovsdb.Row) bool {
	return row.Is("up", "true") && row.Map("external_ids")[keyKind] == string(fabric.KindPort)
}

// rowChanged hints at ports that went up or down.
func (c *Cluster) rowChanged(table, _ string, old, row ovsdb.Row) {
	if table != switchPorts || isUp(old) == isUp(row) {
		return
	}
	either := row
	if row == nil {
		either = old
	}
	fabric.Hint(c.changed, either.Map("external_ids")[keyID])
}

// barrier returns once our copy holds everything that was committed before.
func (c *Cluster) barrier(ctx context.Context) error {
	for {
		err := c.nb.Transact(ctx)
		if errors.Is(err, ovsdb.ErrDisconnected) {
			continue // Transact waits for the next connection
		}
		if err != nil {
			return fmt.Errorf("read the northbound database: %w", err)
		}
		return nil
	}
}

func (c *Cluster) submit(ctx context.Context, apply func(*plan) error) error {
	r := &request{apply: apply, done: make(chan error, 1)}
	select {
	case c.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// batchLimit bounds how many calls share a transaction.
const batchLimit = 256

func (c *Cluster) work(ctx context.Context) {
	for {
		var batch []*request
		select {
		case r := <-c.requests:
			batch = append(batch, r)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(batch) < batchLimit; {
			select {
			case r := <-c.requests:
				batch = append(batch, r)
			default:
				more = false
			}
		}
		c.perform(ctx, batch)
	}
}

// perform answers the requests of a batch. When the database refuses them
// together, each is tried alone, so that one bad request fails nobody else.
func (c *Cluster) perform(ctx context.Context, batch []*request) {
	batch, err := c.commit(ctx, batch)
	if err != nil && len(batch) > 1 {
		for _, r := range batch {
			c.perform(ctx, []*request{r})
		}
		return
	}
	for _, r := range batch {
		r.done <- err
	}
}

// commit writes a batch in one transaction. Requests that cannot be planned are
// answered and left out; it returns the others, which wait for an answer.
func (c *Cluster) commit(ctx context.Context, batch []*request) ([]*request, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	const attempts = 3
	for attempt := 1; ; attempt++ {
		// A second attempt is for a broken connection, or another writer who was
		// faster: the barrier brings our copy up to what is there now.
		err := c.barrier(ctx)
		if err != nil {
			return batch, err
		}
		var ops []ovsdb.Op
		batch, ops = c.plan(batch)
		if len(ops) == 0 {
			return batch, nil
		}
		err = c.nb.Transact(ctx, append(ops, ovsdb.Commit())...)
		if err == nil {
			return batch, nil
		}
		if attempt == attempts || ctx.Err() != nil {
			return batch, fmt.Errorf("write to the northbound database: %w", err)
		}
	}
}

func (c *Cluster) plan(batch []*request) (accepted []*request, ops []ovsdb.Op) {
	c.nb.View(func(tables ovsdb.Tables) {
		p := newPlan(tables)
		for _, r := range batch {
			err := r.apply(p)
			if err != nil {
				r.done <- err
				continue
			}
			accepted = append(accepted, r)
		}
		ops = p.ops()
	})
	return accepted, ops
}
