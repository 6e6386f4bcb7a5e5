package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

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

// UpdateAggregate changes name and metadata; a nil value takes a key away.
func (s *Service) UpdateAggregate(ctx context.Context, id int64, name string, metadata map[string]*string) (Aggregate, error) {
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
		if all[zoneKey] != a.Metadata.V[zoneKey] {
			err := s.freeOfServers(ctx, tx, a.Hosts)
			if err != nil {
				return err
			}
		}
		a.Metadata.V = all
		return nil
	})
}

// freeOfServers refuses to move hosts with servers to another zone.
func (s *Service) freeOfServers(ctx context.Context, tx *db.Tx, hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	var n int
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM servers WHERE deleted_at = 0 AND host IN (?)", db.In(hosts))
	if err != nil {
		return fmt.Errorf("count servers: %w", err)
	}
	if n > 0 {
		return errs.BadRequestf("Cannot update aggregate. Reason: One or more hosts contain instances in this zone.")
	}
	return nil
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
		if zone != "" && state.zone != "" && state.zone != zone {
			return errs.Conflictf("Cannot add host to aggregate %d. Reason: One or more hosts already in availability zone(s) %s.", id, state.zone)
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
			err := s.freeOfServers(ctx, tx, []string{host})
			if err != nil {
				return errs.Conflictf("Cannot remove host from aggregate %d. Reason: Host contains instances in this zone.", id).Because(err)
			}
		}
		n, err := tx.Exec(ctx, "DELETE FROM aggregate_hosts WHERE aggregate = ? AND host = ?", id, host)
		if err == nil && n == 0 {
			return errs.NotFoundf("Aggregate %d has no host %s.", id, host)
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
