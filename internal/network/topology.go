package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// autoTopology is what a project got in one call: a network behind a router
// that leads out of the cloud.
type autoTopology struct {
	bun.BaseModel `bun:"table:auto_topologies,alias:auto_topologies"`

	Project string `bun:"project_id,pk"`
	Network string `bun:"network_id"`
	Router  string `bun:"router_id"`
}

func readTopology(ctx context.Context, tx *db.Tx, project string) (t autoTopology, found bool, err error) {
	err = tx.Get(ctx, &t, `SELECT * FROM auto_topologies WHERE project_id = ?`+tx.Hold(), project)
	if errors.Is(err, sql.ErrNoRows) {
		return t, false, nil
	}
	if err != nil {
		return t, false, fmt.Errorf("read topology of project %s: %w", project, err)
	}
	return t, true, nil
}

func noTopology(reason string) error {
	return errs.Conflictf("Deployment error: %s.", reason).Typed("AutoAllocationFailure")
}

// outside finds the default external network, and the default subnet pools,
// that topologies are made with.
func outside(ctx context.Context, tx *db.Tx) (external string, pools []SubnetPool, err error) {
	var networks []string
	err = tx.All(ctx, &networks, `SELECT id FROM networks WHERE is_default = 1 AND external = 1`)
	if err != nil {
		return "", nil, fmt.Errorf("look for the default external network: %w", err)
	}
	if len(networks) == 0 {
		return "", nil, noTopology("No default router:external network")
	}
	for _, version := range []int{4, 6} {
		p, found, err := defaultPool(ctx, tx, version)
		if err != nil {
			return "", nil, err
		}
		if found {
			pools = append(pools, p)
		}
	}
	if len(pools) == 0 {
		return "", nil, noTopology("No default subnetpools defined")
	}
	return networks[0], pools, nil
}

// CanAllocate tells why a project could get no topology.
func (s *Service) CanAllocate(ctx context.Context, project string) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		_, found, err := readTopology(ctx, tx, project)
		if err != nil || found {
			return err
		}
		_, _, err = outside(ctx, tx)
		return err
	})
}

// AllocateTopology finds or makes the project's network that leads out of the
// cloud, and returns its id.
func (s *Service) AllocateTopology(ctx context.Context, project string) (network string, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		err := tx.Lock(ctx, "topology of "+project)
		if err != nil {
			return err
		}
		t, found, err := readTopology(ctx, tx, project)
		network = t.Network
		if err != nil || found {
			return err
		}
		external, pools, err := outside(ctx, tx)
		if err != nil {
			return err
		}
		own := Scope{Project: project}
		n, err := s.createNetwork(ctx, tx, own, NewNetwork{Project: project, Name: "auto_allocated_network"})
		if err != nil {
			return err
		}
		r := Router{
			Common: s.common(tx, project, "", nil), Name: "auto_allocated_router", AdminUp: true, Status: "ACTIVE", SNAT: true,
			Routes: db.Of([]Route{}), ZoneHints: db.Of([]string{}),
		}
		err = s.insertRouter(ctx, tx, Scope{All: true}, &r, &Gateway{Network: external})
		if err != nil {
			return err
		}
		for _, p := range pools {
			sub, err := s.createSubnet(ctx, tx, own, NewSubnet{
				Project: project, Network: n.ID, Name: fmt.Sprintf("auto_allocated_subnet_v%d", p.IPVersion), Pool: p.ID, IPVersion: p.IPVersion,
			})
			if err != nil {
				return err
			}
			port, err := s.interfaceBySubnet(ctx, tx, own, r, sub.ID)
			if err != nil {
				return err
			}
			err = tellInterface(ctx, tx, created, interfaceOf(r, port))
			if err != nil {
				return err
			}
		}
		network = n.ID
		return tx.Insert(ctx, &autoTopology{Project: project, Network: n.ID, Router: r.ID})
	})
	return network, err
}

// DeleteTopology takes a project's topology back, unless something is on it.
func (s *Service) DeleteTopology(ctx context.Context, project string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		t, found, err := readTopology(ctx, tx, project)
		if err != nil {
			return err
		}
		if !found {
			return errs.NotFoundf("Auto-allocated topology of project %s could not be found.", project).Typed("AutoAllocatedTopologyNotFound")
		}
		r, err := readRouter(ctx, tx, t.Router)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		if err == nil {
			err = s.dismantle(ctx, tx, r)
			if err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `DELETE FROM auto_topologies WHERE project_id = ?`, project)
		if err != nil {
			return fmt.Errorf("forget topology of project %s: %w", project, err)
		}
		err = s.deleteNetwork(ctx, tx, t.Network, AnyRevision)
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		return err
	})
}

// dismantle removes a router with its interfaces.
func (s *Service) dismantle(ctx context.Context, tx *db.Tx, r Router) error {
	ports, err := routerPorts(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if p.Owner != OwnerRouterInterface {
			continue
		}
		err = needed(ctx, tx, r, p)
		if err != nil {
			return err
		}
		err = removePort(ctx, tx, p)
		if err != nil {
			return err
		}
		err = tellInterface(ctx, tx, deleted, interfaceOf(r, p))
		if err != nil {
			return err
		}
	}
	return s.removeRouter(ctx, tx, r)
}
