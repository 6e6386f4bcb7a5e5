package compute

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"

	"github.com/uptrace/bun"

	"nacre/internal/compute/numa"
	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// threadsTrait is what hosts have whose cores have several threads.
const threadsTrait = "HW_CPU_HYPERTHREADING"

// cellClaim is where the processors and the memory of a consumer lie on a host: a
// server's, or those that a migration holds on the host or with the flavor that is
// left. The consumer is the same as in placement.
//
// A claim is read and written behind the consumer's claim in placement, which holds
// the host's row until the transaction ends: two servers never get the same core.
type cellClaim struct {
	bun.BaseModel `bun:"table:numa_claims"`

	Consumer string `bun:",pk"`
	Host     string
	Flavor   string
	Topology db.JSON[nodeapi.Topology]
}

// guest is what a server with that flavor says of its processors and memory.
func (s *Server) guest(f Flavor) numa.Guest {
	return numa.Guest{
		VCPUs: int(f.VCPUs), MemoryMB: int(f.RAM), Flavor: f.Name, Specs: f.ExtraSpecs.V, Image: s.ImageProperties.V,
	}
}

// amounts is what the server takes of a host with that flavor, and how it is to lie
// there; nil for wherever.
func (s *Server) amounts(f Flavor) (scheduler.Amounts, *numa.Want, error) {
	vcpus, mb, gb := f.amounts(s.Image == "")
	a := scheduler.Amounts{scheduler.VCPU: vcpus, scheduler.MemoryMB: mb, scheduler.DiskGB: gb}
	want, err := s.guest(f).Topology()
	if err == nil && want != nil {
		a[scheduler.VCPU], a[scheduler.PCPU] = want.VCPUs(), want.PCPUs()
	}
	return a, want, err
}

// classes are amounts in placement's words.
func classes(a scheduler.Amounts) map[string]int64 {
	out := map[string]int64{}
	for r, amount := range a {
		if amount > 0 {
			out[scheduler.Classes[r]] = amount
		}
	}
	return out
}

// checkTopology refuses what flavor and image must not say, or not both.
func (s *Server) checkTopology() error {
	guest := s.guest(s.Flavor.V)
	_, err := guest.Topology()
	if err == nil {
		_, err = guest.Sockets()
	}
	return err
}

// sameTopology refuses properties of an image that would have the server lie
// elsewhere on its host.
func (s *Server) sameTopology(properties map[string]string) error {
	before, err := s.guest(s.Flavor.V).Topology()
	if err != nil {
		return err
	}
	s.ImageProperties = db.Of(properties)
	after, err := s.guest(s.Flavor.V).Topology()
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(before, after) {
		return errs.BadRequestf("An instance's NUMA topology cannot be changed as part of a rebuild. The image provided is invalid for this instance.")
	}
	return s.checkTopology()
}

// processors are how many of the host's guests share, and how many they may have
// alone.
func processors(info nodeapi.HostInfo) (shared, dedicated int64) {
	if len(info.Cells) == 0 {
		return int64(info.VCPUs), 0
	}
	for _, c := range info.Cells {
		shared, dedicated = shared+int64(len(c.Shared)), dedicated+int64(len(c.Dedicated))
	}
	return shared, dedicated
}

// cellsUsed is what others than the consumer have of each host, or of the one.
func (s *Service) cellsUsed(ctx context.Context, tx *db.Tx, consumer, host string) (map[string]numa.Usage, error) {
	query, args := "SELECT * FROM numa_claims WHERE consumer <> ?", []any{consumer}
	if host != "" {
		query, args = query+" AND host = ?", append(args, host)
	}
	var rows []cellClaim
	err := tx.All(ctx, &rows, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read NUMA claims: %w", err)
	}
	used := map[string]numa.Usage{}
	for _, row := range rows {
		u := used[row.Host]
		u.Add(row.Topology.V)
		used[row.Host] = u
	}
	return used, nil
}

// claimCells lays the server on a host where it has its amounts, or tells the
// request what is used there by now.
func (s *Service) claimCells(ctx context.Context, tx *db.Tx, server Server, host string, r *scheduler.Request) (fits bool, err error) {
	if r.NUMA == nil {
		return true, nil
	}
	others, err := s.cellsUsed(ctx, tx, server.ID, host)
	if err != nil {
		return false, err
	}
	used := others[host]
	s.mu.RLock()
	h, _ := s.snapshot.Named(host)
	s.mu.RUnlock()
	topology, why := numa.Fit(h.Cells, used, h.Ratios(), r.NUMA)
	if why != "" {
		r.Used[host] = used
		return false, nil
	}
	err = s.dropCells(ctx, tx, server.ID)
	if err != nil {
		return false, err
	}
	err = tx.Insert(ctx, &cellClaim{Consumer: server.ID, Host: host, Flavor: server.Flavor.V.ID, Topology: db.Of(topology)})
	if err != nil {
		return false, fmt.Errorf("insert NUMA claim of server %s: %w", server.ID, err)
	}
	return true, nil
}

// claimCellsHere lays the server anew on the host that it is on.
func (s *Service) claimCellsHere(ctx context.Context, tx *db.Tx, server Server) error {
	_, want, err := server.amounts(server.Flavor.V)
	if err != nil || want == nil {
		return err
	}
	r := scheduler.Request{NUMA: want, Used: map[string]numa.Usage{}}
	fits, err := s.claimCells(ctx, tx, server, server.Host, &r)
	if err == nil && !fits {
		return errs.Conflictf("Requested instance NUMA topology cannot fit the given host NUMA topology")
	}
	return err
}

// claimCellsBeside lays the server with its other flavor beside what it has, which
// is the migration's from then on. When that does not fit it has what it had.
func (s *Service) claimCellsBeside(ctx context.Context, tx *db.Tx, server Server, migration string) error {
	err := s.passCells(ctx, tx, server.ID, migration)
	if err != nil {
		return err
	}
	server.Flavor.V = *server.OtherFlavor.V
	err = s.claimCellsHere(ctx, tx, server)
	if errs.Is(err, errs.Conflict) {
		return errors.Join(err, s.passCells(ctx, tx, migration, server.ID))
	}
	return err
}

// dropCells frees what a consumer has of cells.
func (s *Service) dropCells(ctx context.Context, tx *db.Tx, consumer string) error {
	_, err := tx.Exec(ctx, "DELETE FROM numa_claims WHERE consumer = ?", consumer)
	if err != nil {
		return fmt.Errorf("drop NUMA claim of %s: %w", consumer, err)
	}
	return nil
}

// passCells gives what one consumer has of cells to another, which has that alone
// from then on.
func (s *Service) passCells(ctx context.Context, tx *db.Tx, from, to string) error {
	err := s.dropCells(ctx, tx, to)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE numa_claims SET consumer = ? WHERE consumer = ?", to, from)
	if err != nil {
		return fmt.Errorf("pass NUMA claim of %s: %w", from, err)
	}
	return nil
}

// release frees all that a consumer has of hosts.
func (s *Service) release(ctx context.Context, tx *db.Tx, consumer string) error {
	err := s.placement.Release(ctx, tx, consumer)
	if err != nil {
		return err
	}
	return s.dropCells(ctx, tx, consumer)
}

// pass gives all that one consumer has of hosts to another.
func (s *Service) pass(ctx context.Context, tx *db.Tx, from, to, kind string) error {
	err := s.placement.Move(ctx, tx, from, to, kind)
	if err != nil {
		return err
	}
	return s.passCells(ctx, tx, from, to)
}

// topologyOf is how the server lies on the host that it is on, nil when it floats,
// and how it sees its processors. While it is on its way, the migration may have
// what it has there.
func topologyOf(ctx context.Context, tx *db.Tx, server Server) (*nodeapi.Topology, *nodeapi.Sockets, error) {
	guest := server.guest(server.Flavor.V)
	sockets, err := guest.Sockets()
	if err != nil {
		return nil, nil, err
	}
	want, err := guest.Topology()
	if err != nil || want == nil {
		return nil, sockets, err
	}
	var claim cellClaim
	err = tx.Get(ctx, &claim, `
		SELECT * FROM numa_claims WHERE host = ? AND flavor = ? AND (consumer = ? OR consumer IN (SELECT id FROM migrations WHERE server = ?))`,
		server.Host, server.FlavorID, server.ID, server.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, sockets, nil // it is from before this was counted
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read NUMA claim of server %s: %w", server.ID, err)
	}
	return &claim.Topology.V, sockets, nil
}

// Topology is how a server lies on its host; nil when it floats.
func (s *Service) Topology(ctx context.Context, server Server) (*nodeapi.Topology, *nodeapi.Sockets, error) {
	var topology *nodeapi.Topology
	var sockets *nodeapi.Sockets
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		topology, sockets, err = topologyOf(ctx, tx, server)
		return err
	})
	return topology, sockets, err
}
