package network

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// OwnerSubport is the owner of ports that are VLANs of trunks.
const OwnerSubport = "trunk:subport"

// Subport is a port that is a VLAN of a trunk.
type Subport struct {
	bun.BaseModel `bun:"table:trunk_subports,alias:trunk_subports"`

	Port      string  `bun:"port_id,pk"`
	Trunk     string  `bun:"trunk_id"`
	Type      string  `bun:"segmentation_type"`
	VLAN      int     `bun:"segmentation_id"`
	CreatedAt db.Time `bun:"created_at"`
}

// TrunkDetails are what a trunk's port shows of it.
type TrunkDetails struct {
	ID       string         `json:"trunk_id"`
	Subports []SubportCards `json:"sub_ports"`
}

// SubportCards are what a trunk's port shows of a subport.
type SubportCards struct {
	Port string `json:"port_id"`
	Type string `json:"segmentation_type"`
	VLAN int    `json:"segmentation_id"`
	MAC  string `json:"mac_address"`
}

func subportsBy(ctx context.Context, tx *db.Tx, column string, ids ...string) ([]Subport, error) {
	var rows []Subport
	err := tx.All(ctx, &rows, `SELECT * FROM trunk_subports WHERE ? IN (?) ORDER BY created_at, segmentation_id`, bun.Ident(column), db.In(ids))
	if err != nil {
		return nil, fmt.Errorf("list subports: %w", err)
	}
	return rows, nil
}

func withSubports(ctx context.Context, tx *db.Tx, list []*Trunk) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	byID := map[string]*Trunk{}
	for i, t := range list {
		ids[i] = t.ID
		byID[t.ID] = t
		t.Subports = []Subport{}
	}
	rows, err := subportsBy(ctx, tx, "trunk_id", ids...)
	if err != nil {
		return err
	}
	for _, r := range rows {
		byID[r.Trunk].Subports = append(byID[r.Trunk].Subports, r)
	}
	return nil
}

// trunkDetails are what those of the ports show that are trunks.
func trunkDetails(ctx context.Context, tx *db.Tx, ports []string) (map[string]*TrunkDetails, error) {
	var trunks []Trunk
	err := tx.All(ctx, &trunks, `SELECT * FROM trunks WHERE port_id IN (?)`, db.In(ports))
	if err != nil {
		return nil, fmt.Errorf("read trunks of ports: %w", err)
	}
	byPort, byTrunk := map[string]*TrunkDetails{}, map[string]*TrunkDetails{}
	var ids []string
	for _, t := range trunks {
		d := &TrunkDetails{ID: t.ID, Subports: []SubportCards{}}
		byPort[t.Port], byTrunk[t.ID] = d, d
		ids = append(ids, t.ID)
	}
	if len(ids) == 0 {
		return byPort, nil
	}
	var rows []struct {
		Subport
		MAC string `bun:"mac_address"`
	}
	err = tx.All(ctx, &rows, `
		SELECT s.*, p.mac_address FROM trunk_subports AS s JOIN ports AS p ON p.id = s.port_id
		WHERE s.trunk_id IN (?) ORDER BY s.created_at, s.segmentation_id`, db.In(ids))
	if err != nil {
		return nil, fmt.Errorf("read subports of ports: %w", err)
	}
	for _, r := range rows {
		d := byTrunk[r.Trunk]
		d.Subports = append(d.Subports, SubportCards{r.Port, r.Type, r.VLAN, r.MAC})
	}
	return byPort, nil
}

// AddSubports makes ports VLANs of a trunk, all or none.
func (s *Service) AddSubports(ctx context.Context, scope Scope, id string, list []Subport) (Trunk, error) {
	return s.changeSubports(ctx, id, func(tx *db.Tx, t *Trunk) error { return addSubports(ctx, tx, scope, t, list) })
}

// RemoveSubports leaves ports of a trunk ordinary ports, all or none.
func (s *Service) RemoveSubports(ctx context.Context, id string, ports []string) (Trunk, error) {
	return s.changeSubports(ctx, id, func(tx *db.Tx, t *Trunk) error {
		var list []Subport
		for _, port := range ports {
			sub, found := t.subport(port)
			if !found {
				return errs.NotFoundf("SubPort on trunk %s with parent port %s could not be found.", t.ID, port).Typed("SubPortNotFound")
			}
			list = append(list, sub)
		}
		return freeSubports(ctx, tx, t, list)
	})
}

func (t *Trunk) subport(port string) (sub Subport, found bool) {
	for _, sub := range t.Subports {
		if sub.Port == port {
			return sub, true
		}
	}
	return Subport{}, false
}

func (s *Service) changeSubports(ctx context.Context, id string, change func(tx *db.Tx, t *Trunk) error) (Trunk, error) {
	var t Trunk
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		t, err = managed(ctx, tx, id)
		if err != nil {
			return err
		}
		err = t.enabled()
		if err != nil {
			return err
		}
		err = change(tx, &t)
		if err != nil {
			return err
		}
		return saveTrunk(ctx, tx, &t)
	})
	return t, err
}

func addSubports(ctx context.Context, tx *db.Tx, scope Scope, t *Trunk, list []Subport) error {
	if len(list) == 0 {
		return nil
	}
	parent, err := readPort(ctx, tx, t.Port)
	if err != nil {
		return err
	}
	carrier, err := readNetwork(ctx, tx, parent.Network)
	if err != nil {
		return err
	}
	for _, sub := range list {
		p, err := trunkable(ctx, tx, scope, sub.Port)
		if err != nil {
			return err
		}
		n, err := readNetwork(ctx, tx, p.Network)
		if err != nil {
			return err
		}
		if p.Device != "" || p.Host != "" {
			return attached(p)
		}
		err = sub.number(n)
		if err != nil {
			return err
		}
		if n.MTU > carrier.MTU {
			return errs.Conflictf("MTU %d of subport %s cannot be greater than MTU %d of trunk %s.", n.MTU, p.ID, carrier.MTU, t.ID).
				Typed("SubPortMtuGreaterThanTrunkPortMtu")
		}
		sub.Trunk, sub.CreatedAt = t.ID, db.At(tx.Now())
		for _, o := range t.Subports {
			if o.VLAN == sub.VLAN {
				return errs.Conflictf("segmentation_type %s and segmentation_id %d already in use on trunk %s.", sub.Type, sub.VLAN, t.ID).Typed("DuplicateSubPort")
			}
		}
		err = tx.Insert(ctx, &sub)
		if err != nil {
			return fmt.Errorf("insert subport: %w", err)
		}
		t.Subports = append(t.Subports, sub)
		p.Owner, p.Host, p.Status = OwnerSubport, parent.Host, "DOWN"
		recheckAfter(tx, p.ID)
		err = savePort(ctx, tx, &p)
		if err != nil {
			return err
		}
	}
	return nil
}

// number checks the VLAN of a subport, or takes it from its network.
func (sub *Subport) number(n Network) error {
	switch sub.Type {
	case SegmentInherit:
		if n.Type != VLAN {
			return invalid("Cannot inherit segmentation details of port %s: network %s has no VLAN", sub.Port, n.ID)
		}
		sub.Type, sub.VLAN = SegmentVLAN, n.Segment
	case SegmentVLAN:
	default:
		return invalid("Unknown segmentation type '%s' of port %s: it is one of vlan, inherit", sub.Type, sub.Port)
	}
	if sub.VLAN < 1 || sub.VLAN > 4094 {
		return invalid("Invalid segmentation id %d of port %s: it is not in the range from 1 to 4094", sub.VLAN, sub.Port)
	}
	return nil
}

// freeSubports takes subports off a trunk.
func freeSubports(ctx context.Context, tx *db.Tx, t *Trunk, list []Subport) error {
	gone := map[string]bool{}
	for _, sub := range list {
		gone[sub.Port] = true
		_, err := tx.Exec(ctx, `DELETE FROM trunk_subports WHERE port_id = ?`, sub.Port)
		if err != nil {
			return fmt.Errorf("take port %s off trunk %s: %w", sub.Port, t.ID, err)
		}
		p, err := readPort(ctx, tx, sub.Port)
		if err != nil {
			return err
		}
		p.Owner, p.Host, p.Status = "", "", "DOWN"
		err = savePort(ctx, tx, &p)
		if err != nil {
			return err
		}
	}
	left := []Subport{}
	for _, sub := range t.Subports {
		if !gone[sub.Port] {
			left = append(left, sub)
		}
	}
	t.Subports = left
	return nil
}

// vlansOf are the trunks' ports and VLANs of those ports that are subports.
func vlansOf(ctx context.Context, tx *db.Tx, ports []string) (map[string]subportWay, error) {
	var rows []subportWay
	err := tx.All(ctx, &rows, `
		SELECT s.port_id AS port, s.segmentation_id AS vlan, t.port_id AS trunk FROM trunk_subports AS s JOIN trunks AS t ON t.id = s.trunk_id
		WHERE s.port_id IN (?)`, db.In(ports))
	if err != nil {
		return nil, fmt.Errorf("read trunks of subports: %w", err)
	}
	byPort := map[string]subportWay{}
	for _, r := range rows {
		byPort[r.Port] = r
	}
	return byPort, nil
}

// subportWay is how a subport's frames come.
type subportWay struct {
	Port  string `bun:"port"`
	Trunk string `bun:"trunk"` // its port
	VLAN  int    `bun:"vlan"`
}
