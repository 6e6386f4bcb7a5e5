package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Aggregate is a set of hosts that an operator put together. Its metadata may
// make it an availability zone.
type Aggregate struct {
	bun.BaseModel `bun:"table:aggregates"`

	ID        int64  `bun:",pk,autoincrement"`
	UUID      string `bun:"uuid"`
	Name      string
	Metadata  db.JSON[map[string]string]
	CreatedAt db.Time
	UpdatedAt db.Time

	Hosts []string `bun:"-"`
}

// zoneKey is the metadata that makes an aggregate an availability zone.
const zoneKey = "availability_zone"

// hostZone is what aggregates say about a host.
type hostZone struct {
	zone       string
	aggregates []string // UUIDs
	metadata   map[string][]string
}

// readZones reads which aggregates, and by them which availability zone, each
// host is in.
func readZones(ctx context.Context, tx *db.Tx) (map[string]hostZone, error) {
	all, err := readAggregates(ctx, tx)
	if err != nil {
		return nil, err
	}
	zones := map[string]hostZone{}
	for _, a := range all {
		for _, host := range a.Hosts {
			z := zones[host]
			z.aggregates = append(z.aggregates, a.UUID)
			z.metadata = scheduler.MergeMetadata(z.metadata, a.Metadata.V)
			if a.Metadata.V[zoneKey] != "" {
				z.zone = a.Metadata.V[zoneKey]
			}
			zones[host] = z
		}
	}
	return zones, nil
}

func readAggregates(ctx context.Context, tx *db.Tx) ([]Aggregate, error) {
	list := []Aggregate{}
	err := tx.All(ctx, &list, "SELECT * FROM aggregates ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read aggregates: %w", err)
	}
	var rows []struct {
		Aggregate int64
		Host      string
	}
	err = tx.All(ctx, &rows, "SELECT aggregate, host FROM aggregate_hosts ORDER BY host")
	if err != nil {
		return nil, fmt.Errorf("read hosts of aggregates: %w", err)
	}
	for _, row := range rows {
		for i := range list {
			if list[i].ID == row.Aggregate {
				list[i].Hosts = append(list[i].Hosts, row.Host)
			}
		}
	}
	return list, nil
}

// Aggregates lists the aggregates.
func (s *Service) Aggregates(ctx context.Context) ([]Aggregate, error) {
	var list []Aggregate
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		list, err = readAggregates(ctx, tx)
		return err
	})
	return list, err
}

// Aggregate returns one aggregate.
func (s *Service) Aggregate(ctx context.Context, id int64) (Aggregate, error) {
	list, err := s.Aggregates(ctx)
	if err != nil {
		return Aggregate{}, err
	}
	for _, a := range list {
		if a.ID == id {
			return a, nil
		}
	}
	return Aggregate{}, noAggregate(id)
}

func noAggregate(id int64) error { return errs.NotFoundf("Aggregate %d could not be found.", id) }

// CreateAggregate adds an aggregate without hosts.
func (s *Service) CreateAggregate(ctx context.Context, name, zone string) (Aggregate, error) {
	a := Aggregate{UUID: s.newID(), Name: name, Metadata: db.Of(map[string]string{}), CreatedAt: db.At(s.clock.Now())}
	if zone != "" {
		a.Metadata.V[zoneKey] = zone
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		a.ID = 0
		err := tx.Insert(ctx, &a)
		if db.IsDuplicate(err) {
			return errs.Conflictf("Aggregate %s already exists.", name)
		}
		if err != nil {
			return err
		}
		return tellAggregate(ctx, tx, "create", a)
	})
	return a, err
}

// UpdateAggregate changes the name, unless it is "", and the zone, if metadata has it.
func (s *Service) UpdateAggregate(ctx context.Context, id int64, name string, metadata map[string]*string) (Aggregate, error) {
	return s.updateAggregate(ctx, id, "aggregate", name, metadata)
}

// SetAggregateMetadata changes metadata; a nil value takes a key away.
func (s *Service) SetAggregateMetadata(ctx context.Context, id int64, metadata map[string]*string) (Aggregate, error) {
	return s.updateAggregate(ctx, id, "metadata of aggregate", "", metadata)
}

// updateAggregate does either. What is how errors name that.
func (s *Service) updateAggregate(ctx context.Context, id int64, what, name string, metadata map[string]*string) (Aggregate, error) {
	action := "update_prop"
	if name == "" {
		action = "update_metadata"
	}
	return s.changeAggregate(ctx, id, action, func(tx *db.Tx, a *Aggregate) error {
		if name != "" {
			a.Name = name
		}
		all := maps.Clone(a.Metadata.V)
		for key, value := range metadata {
			delete(all, key)
			if value != nil {
				all[key] = *value
			}
		}
		reason, err := keptFromZone(ctx, tx, *a, metadata)
		if err != nil {
			return err
		}
		if reason != "" {
			return errs.BadRequestf("Cannot update %s %d. Reason: %s.", what, id, reason)
		}
		a.Metadata.V = all
		return nil
	})
}

// keptFromZone says why metadata may not change the zone of an aggregate, "" when it
// may or does not.
func keptFromZone(ctx context.Context, tx *db.Tx, a Aggregate, metadata map[string]*string) (string, error) {
	zone, given := metadata[zoneKey]
	if !given {
		return "", nil
	}
	if zone == nil || *zone == "" {
		return fmt.Sprintf("Aggregate %s does not support empty named availability zone", a.Name), nil
	}
	reason, err := inOtherZone(ctx, tx, a.ID, a.Hosts, *zone)
	if err != nil || reason != "" || *zone == a.Metadata.V[zoneKey] {
		return reason, err
	}
	n, err := serversOn(ctx, tx, a.Hosts)
	if err != nil || n == 0 {
		return "", err
	}
	return "One or more hosts contain instances in this zone", nil
}

// inOtherZone says that hosts, to be in the zone by one aggregate, are in another by
// others, "" when they are not: no host is in two, nor gets into another meanwhile.
func inOtherZone(ctx context.Context, tx *db.Tx, id int64, hosts []string, zone string) (string, error) {
	err := tx.Lock(ctx, "zones of hosts")
	if err != nil {
		return "", fmt.Errorf("hold zones: %w", err)
	}
	all, err := readAggregates(ctx, tx)
	if err != nil {
		return "", err
	}
	var zones []string
	for _, other := range all {
		its := other.Metadata.V[zoneKey]
		shares := slices.ContainsFunc(other.Hosts, func(host string) bool { return slices.Contains(hosts, host) })
		if other.ID != id && its != "" && its != zone && shares {
			zones = append(zones, "'"+its+"'")
		}
	}
	if zones == nil {
		return "", nil
	}
	return "One or more hosts already in availability zone(s) [" + strings.Join(zones, ", ") + "]", nil
}

// serversOn counts the servers on hosts.
func serversOn(ctx context.Context, tx *db.Tx, hosts []string) (n int, err error) {
	if len(hosts) == 0 {
		return 0, nil
	}
	err = tx.Get(ctx, &n, "SELECT COUNT(*) FROM servers WHERE deleted_at = 0 AND host IN (?)", db.In(hosts))
	if err != nil {
		return 0, fmt.Errorf("count servers: %w", err)
	}
	return n, nil
}

// AddHost puts a host into an aggregate.
func (s *Service) AddHost(ctx context.Context, id int64, host string) (Aggregate, error) {
	return s.changeAggregate(ctx, id, "add_host", func(tx *db.Tx, a *Aggregate) error {
		s.mu.RLock()
		state, known := s.state[host]
		s.mu.RUnlock()
		if !known || state.service.ID == "" {
			return errs.NotFoundf("Compute host %s could not be found.", host)
		}
		zone := a.Metadata.V[zoneKey]
		if zone != "" {
			reason, err := inOtherZone(ctx, tx, id, []string{host}, zone)
			if err != nil {
				return err
			}
			if reason != "" {
				return errs.Conflictf("Cannot add host to aggregate %d. Reason: %s.", id, reason)
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO aggregate_hosts (aggregate, host) VALUES (?, ?)", id, host)
		if db.IsDuplicate(err) {
			return errs.Conflictf("Aggregate %d already has host %s.", id, host)
		}
		a.Hosts = append(a.Hosts, host)
		return err
	})
}

// RemoveHost takes a host out of an aggregate.
func (s *Service) RemoveHost(ctx context.Context, id int64, host string) (Aggregate, error) {
	return s.changeAggregate(ctx, id, "remove_host", func(tx *db.Tx, a *Aggregate) error {
		if a.Metadata.V[zoneKey] != "" {
			n, err := serversOn(ctx, tx, []string{host})
			if err != nil {
				return err
			}
			if n > 0 {
				return errs.Conflictf("Cannot remove host from aggregate %d. Reason: Host contains instances in this zone.", id)
			}
		}
		n, err := tx.Exec(ctx, "DELETE FROM aggregate_hosts WHERE aggregate = ? AND host = ?", id, host)
		if err == nil && n == 0 {
			return errs.NotFoundf("Cannot remove host %s in aggregate %d", host, id)
		}
		a.Hosts = slices.DeleteFunc(a.Hosts, func(h string) bool { return h == host })
		return err
	})
}

// holdAggregate reads an aggregate that nobody else changes meanwhile.
func holdAggregate(ctx context.Context, tx *db.Tx, id int64) (Aggregate, error) {
	var a Aggregate
	err := tx.Get(ctx, &a, "SELECT * FROM aggregates WHERE id = ?"+tx.Hold(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return a, noAggregate(id)
	}
	if err != nil {
		return a, fmt.Errorf("read aggregate %d: %w", id, err)
	}
	err = tx.All(ctx, &a.Hosts, "SELECT host FROM aggregate_hosts WHERE aggregate = ? ORDER BY host", id)
	if err != nil {
		return a, fmt.Errorf("read hosts of aggregate %d: %w", id, err)
	}
	return a, nil
}

// changeAggregate changes an aggregate, and then what follows for hosts. The
// action is what notifications call it.
func (s *Service) changeAggregate(ctx context.Context, id int64, action string, do func(*db.Tx, *Aggregate) error) (Aggregate, error) {
	var a Aggregate
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		tx.NotifyElsewhere(hostsChannel, "") // followAggregates does it here
		var err error
		a, err = holdAggregate(ctx, tx, id)
		if err != nil {
			return err
		}
		err = do(tx, &a)
		if err != nil {
			return err
		}
		a.UpdatedAt = db.At(s.clock.Now())
		_, err = tx.Update(ctx, &a, "name", "metadata", "updated_at")
		if db.IsDuplicate(err) {
			return errs.Conflictf("Aggregate %s already exists.", a.Name)
		}
		if err != nil {
			return err
		}
		return tellAggregate(ctx, tx, action, a)
	})
	if err != nil {
		return a, err
	}
	return a, s.followAggregates(ctx)
}

// DeleteAggregate removes an aggregate without hosts.
func (s *Service) DeleteAggregate(ctx context.Context, id int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		var n int
		err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM aggregate_hosts WHERE aggregate = ?", id)
		if err != nil {
			return fmt.Errorf("count hosts of aggregate %d: %w", id, err)
		}
		if n > 0 {
			return errs.BadRequestf("Cannot remove aggregate %d: Host aggregate is not empty.", id)
		}
		var gone []Aggregate
		err = tx.All(ctx, &gone, "DELETE FROM aggregates WHERE id = ? RETURNING *", id)
		if err != nil {
			return fmt.Errorf("delete aggregate %d: %w", id, err)
		}
		if len(gone) == 0 {
			return noAggregate(id)
		}
		return tellAggregate(ctx, tx, "delete", gone[0])
	})
}

// followAggregates gives the hosts their zones, and placement its aggregates.
func (s *Service) followAggregates(ctx context.Context) error {
	var zones map[string]hostZone
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		zones, err = readZones(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	moved := map[string][]string{} // provider id → aggregates
	for name, state := range s.state {
		if state.offer.ID != "" && !slices.Equal(state.aggregates, zones[name].aggregates) {
			moved[state.offer.ID] = zones[name].aggregates
		}
	}
	s.setZones(zones)
	s.mu.Unlock()
	for id, aggregates := range moved {
		err = s.placement.SetHostAggregates(ctx, id, aggregates)
		if err != nil {
			return fmt.Errorf("tell placement about aggregates: %w", err)
		}
	}
	return nil
}
