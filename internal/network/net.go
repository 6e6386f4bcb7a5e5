package network

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fabric"
	"nacre/internal/quota"
)

// Types of networks.
const (
	Geneve = "geneve"
	Flat   = "flat"
	VLAN   = "vlan"
)

// Network is a layer-2 segment.
type Network struct {
	bun.BaseModel `bun:"table:networks,alias:networks"`
	Common

	Name         string `bun:"name"`
	AdminUp      bool   `bun:"admin_up"`
	Status       string `bun:"status"`
	Shared       bool   `bun:"shared"`
	External     bool   `bun:"external"`
	IsDefault    bool   `bun:"is_default"`
	PortSecurity bool   `bun:"port_security"`
	MTU          int    `bun:"mtu"`
	Type         string `bun:"network_type"`
	Physical     string `bun:"physical_network"`
	Segment      int    `bun:"segmentation_id"`
	QoS          string `bun:"qos_policy_id"` // "" for none

	Subnets []string `bun:"-"` // ids, by the calls that show networks
}

// NewNetwork is a network to be made. Nil and empty fields get defaults.
type NewNetwork struct {
	Project, Name, Description string
	Tags                       []string
	AdminUp                    *bool
	Shared, External           bool
	IsDefault                  bool
	PortSecurity               *bool
	MTU                        int
	Type, Physical             string
	Segment                    int
	QoS                        string // "" for the project's default
}

// NetworkChange says what to change. Nil stays as it is.
type NetworkChange struct {
	Name, Description *string
	AdminUp           *bool
	Shared, External  *bool
	IsDefault         *bool
	PortSecurity      *bool
	MTU               *int
	QoS               *string // "" for none
	Type, Physical    *string
	Segment           *int
}

func networkNotFound(id string) error {
	return errs.NotFoundf("Network %s could not be found.", id).Typed("NetworkNotFound")
}

// visibleNetworks keeps what the scope may see.
func visibleNetworks(q *bun.SelectQuery, s Scope) *bun.SelectQuery {
	if s.All {
		return q
	}
	return q.Where("(networks.project_id = ? OR networks.shared = 1 OR networks.external = 1)", s.Project)
}

// Network finds a network that the scope may see.
func (s *Service) Network(ctx context.Context, scope Scope, id string) (Network, error) {
	var n Network
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		err := visibleNetworks(tx.NewSelect().Model(&n), scope).Where("networks.id = ?", id).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return networkNotFound(id)
		}
		if err != nil {
			return fmt.Errorf("read network %s: %w", id, err)
		}
		return withSubnets(ctx, tx, scope, []*Network{&n})
	})
	return n, err
}

// Networks lists networks.
func (s *Service) Networks(ctx context.Context, q Query) (list []Network, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		sel := visibleNetworks(tx.NewSelect().Model(&list), q.Scope)
		more, err = page(ctx, tx, sel, "networks", q, &list, networkNotFound)
		if err != nil {
			return err
		}
		refs := make([]*Network, len(list))
		for i := range list {
			refs[i] = &list[i]
		}
		return withSubnets(ctx, tx, q.Scope, refs)
	})
	return list, more, err
}

// page runs a list's query.
func page[R any](ctx context.Context, tx *db.Tx, sel *bun.SelectQuery, table string, q Query, list *[]R, missing func(id string) error) (more bool, err error) {
	if q.Page.Marker != "" {
		var n int
		err := tx.Get(ctx, &n, `SELECT COUNT(*) FROM ? WHERE id = ?`, bun.Ident(table), q.Page.Marker)
		if err != nil {
			return false, fmt.Errorf("list %s: %w", table, err)
		}
		if n == 0 {
			return false, missing(q.Page.Marker)
		}
	}
	sel = db.Where(sel, q.Where)
	sel = q.Tags.where(sel, table)
	err = q.Page.Cut(sel, table, "id").Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("list %s: %w", table, err)
	}
	*list, more = db.Trim(q.Page, *list)
	return more, nil
}

// withSubnets fills in the ids of subnets that the scope may see.
func withSubnets(ctx context.Context, tx *db.Tx, scope Scope, list []*Network) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	byID := map[string]*Network{}
	for i, n := range list {
		ids[i] = n.ID
		byID[n.ID] = n
		n.Subnets = []string{}
	}
	var rows []struct {
		ID      string `bun:"id"`
		Network string `bun:"network_id"`
	}
	err := tx.All(ctx, &rows, `SELECT id, network_id FROM subnets WHERE network_id IN (?) ORDER BY created_at, id`, db.In(ids))
	if err != nil {
		return fmt.Errorf("list subnets of networks: %w", err)
	}
	for _, r := range rows {
		byID[r.Network].Subnets = append(byID[r.Network].Subnets, r.ID)
	}
	return nil
}

func readNetwork(ctx context.Context, tx *db.Tx, id string) (Network, error) {
	return selectNetwork(ctx, tx, "SELECT * FROM networks WHERE id = ?", id)
}

// holdNetwork reads a network that is going to be changed, or whose subnets are.
// Ports come and go meanwhile.
func holdNetwork(ctx context.Context, tx *db.Tx, id string) (Network, error) {
	return selectNetwork(ctx, tx, "SELECT * FROM networks WHERE id = ?"+tx.Hold(), id)
}

func selectNetwork(ctx context.Context, tx *db.Tx, query, id string) (Network, error) {
	var n Network
	err := tx.Get(ctx, &n, query, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Network{}, networkNotFound(id)
	}
	if err != nil {
		return Network{}, fmt.Errorf("read network %s: %w", id, err)
	}
	return n, nil
}

// seenNetwork reads a network that the scope may use for subnets or ports.
func seenNetwork(ctx context.Context, tx *db.Tx, scope Scope, id string) (Network, error) {
	n, err := readNetwork(ctx, tx, id)
	if err != nil {
		return Network{}, err
	}
	if !scope.All && n.Project != scope.Project && !n.Shared && !n.External {
		return Network{}, networkNotFound(id)
	}
	return n, nil
}

// CreateNetworks makes networks, all or none.
func (s *Service) CreateNetworks(ctx context.Context, scope Scope, list ...NewNetwork) ([]Network, error) {
	var made []Network
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		made = nil
		for _, in := range list {
			n, err := s.createNetwork(ctx, tx, scope, in)
			if err != nil {
				return err
			}
			made = append(made, n)
		}
		return nil
	})
	return made, err
}

func (s *Service) createNetwork(ctx context.Context, tx *db.Tx, scope Scope, in NewNetwork) (Network, error) {
	n := Network{
		Common: s.common(tx, in.Project, in.Description, in.Tags),
		Name:   in.Name, AdminUp: or(in.AdminUp, true), Status: "ACTIVE", Shared: in.Shared, External: in.External,
		IsDefault: in.IsDefault, PortSecurity: or(in.PortSecurity, true), MTU: in.MTU,
		Type: in.Type, Physical: in.Physical, Segment: in.Segment, QoS: in.QoS, Subnets: []string{},
	}
	_, err := s.ensureDefaultGroup(ctx, tx, in.Project)
	if err != nil {
		return Network{}, err
	}
	if n.QoS == "" {
		n.QoS, err = defaultPolicy(ctx, tx, in.Project)
	} else {
		err = usablePolicy(ctx, tx, scope, n.QoS)
	}
	if err != nil {
		return Network{}, err
	}
	err = reserve(ctx, tx, in.Project, quota.Networks(1))
	if err != nil {
		return Network{}, err
	}
	err = s.placeSegment(ctx, tx, &n)
	if err != nil {
		return Network{}, err
	}
	err = tx.Insert(ctx, &n)
	if db.IsDuplicate(err) {
		return Network{}, segmentInUse(n)
	}
	if err != nil {
		return Network{}, fmt.Errorf("insert network: %w", err)
	}
	return n, tellAndDirty(ctx, tx, created, n, fabric.KindNetwork, n.ID, s.zone)
}

// invalid is Neutron's general answer to input that makes no sense.
func invalid(format string, args ...any) error {
	return errs.BadRequestf("Invalid input for operation: %s.", fmt.Sprintf(format, args...)).Typed("InvalidInput")
}

// UpdateNetwork changes a network, provided it has the revision.
func (s *Service) UpdateNetwork(ctx context.Context, scope Scope, id string, revision int64, in NetworkChange) (Network, error) {
	var n Network
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		n, err = holdNetwork(ctx, tx, id)
		if err != nil {
			return err
		}
		err = n.revised(revision)
		if err != nil {
			return err
		}
		if n.Shared && in.Shared != nil && !*in.Shared {
			err = unshare(ctx, tx, n)
			if err != nil {
				return err
			}
		}
		if n.External && in.External != nil && !*in.External {
			err = notGateway(ctx, tx, n)
			if err != nil {
				return err
			}
		}
		set(&n.Name, in.Name)
		set(&n.Description, in.Description)
		if in.AdminUp != nil && *in.AdminUp != n.AdminUp {
			err = portsDirty(ctx, tx, id) // their state depends on the network's
			if err != nil {
				return err
			}
		}
		set(&n.AdminUp, in.AdminUp)
		set(&n.Shared, in.Shared)
		set(&n.External, in.External)
		set(&n.IsDefault, in.IsDefault)
		set(&n.PortSecurity, in.PortSecurity)
		err = n.moveSegment(in)
		if err != nil {
			return err
		}
		if in.MTU != nil && *in.MTU != n.MTU {
			n.MTU = *in.MTU
			err = mtuChanged(ctx, tx, n)
			if err != nil {
				return err
			}
		}
		if in.QoS != nil && *in.QoS != n.QoS {
			n.QoS = *in.QoS
			err = usablePolicy(ctx, tx, scope, n.QoS)
			if err != nil {
				return err
			}
			err = networkQoSDirty(ctx, tx, id)
			if err != nil {
				return err
			}
		}
		n.touch(tx)
		_, err = tx.Update(ctx, &n, "name", "description", "admin_up", "shared", "external", "is_default",
			"port_security", "mtu", "segmentation_id", "qos_policy_id", "revision", "updated_at")
		if db.IsDuplicate(err) {
			return segmentInUse(n)
		}
		if err != nil {
			return fmt.Errorf("update network %s: %w", id, err)
		}
		err = withSubnets(ctx, tx, Scope{All: true}, []*Network{&n})
		if err != nil {
			return err
		}
		return tellAndDirty(ctx, tx, updated, n, fabric.KindNetwork, id, s.zone)
	})
	return n, err
}

// mtuChanged notes that routers have to tell others of the network's MTU.
func mtuChanged(ctx context.Context, tx *db.Tx, n Network) error {
	err := n.fitMTU()
	if err != nil {
		return err
	}
	return routersDirty(ctx, tx, n.ID)
}

// routersDirty notes that all routers on a network changed.
func routersDirty(ctx context.Context, tx *db.Tx, network string) error {
	var ids []string
	err := tx.All(ctx, &ids, `SELECT DISTINCT device_id FROM ports WHERE network_id = ? AND device_owner IN (?, ?)`,
		network, OwnerRouterInterface, OwnerGateway)
	if err != nil {
		return fmt.Errorf("list routers on network %s: %w", network, err)
	}
	return dirty(ctx, tx, fabric.KindRouter, ids...)
}

// portsDirty notes that all ports of a network changed.
func portsDirty(ctx context.Context, tx *db.Tx, network string) error {
	var ids []string
	err := tx.All(ctx, &ids, `SELECT id FROM ports WHERE network_id = ? AND device_owner NOT IN (?, ?, ?)`,
		network, OwnerRouterInterface, OwnerGateway, OwnerFloating)
	if err != nil {
		return fmt.Errorf("list ports of network %s: %w", network, err)
	}
	return dirty(ctx, tx, fabric.KindPort, ids...)
}

// unshare refuses to hide a network that other projects use.
func unshare(ctx context.Context, tx *db.Tx, n Network) error {
	var others int
	err := tx.Get(ctx, &others, `
		SELECT COUNT(*) FROM ports WHERE network_id = ? AND project_id <> ? AND device_owner NOT LIKE 'network:%'`, n.ID, n.Project)
	if err != nil {
		return fmt.Errorf("count others on network %s: %w", n.ID, err)
	}
	if others > 0 {
		return errs.Conflictf("Unable to reconfigure sharing settings for network %s. Multiple tenants are using it.", n.Name).
			Typed("InvalidSharedSetting")
	}
	return nil
}

func notGateway(ctx context.Context, tx *db.Tx, n Network) error {
	var used int
	err := tx.Get(ctx, &used, `SELECT COUNT(*) FROM routers WHERE gateway_network = ?`, n.ID)
	if err != nil {
		return fmt.Errorf("count gateways on network %s: %w", n.ID, err)
	}
	if used > 0 {
		return errs.Conflictf("External network %s cannot be updated to be made non-external, since it has existing gateway ports.", n.ID).
			Typed("ExternalNetworkInUse")
	}
	return nil
}

// DeleteNetwork removes a network on which only ports of its own service are
// left, with its subnets.
func (s *Service) DeleteNetwork(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := holdNetwork(ctx, tx, id)
		if err != nil {
			return err
		}
		err = n.revised(revision)
		if err != nil {
			return err
		}
		var others []string
		err = tx.All(ctx, &others, `SELECT id FROM ports WHERE network_id = ? AND device_owner <> ? LIMIT 10`, id, OwnerDistributed)
		if err != nil {
			return fmt.Errorf("list ports of network %s: %w", id, err)
		}
		if len(others) > 0 {
			return errs.Conflictf("Unable to complete operation on network %s. There are one or more ports still in use on the network, id for these ports is: %s",
				id, join(others)).Typed("NetworkInUse")
		}
		var subnets []Subnet
		err = tx.Held(tx.NewSelect().Model(&subnets).Where("network_id = ?", id)).Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("list subnets of network %s: %w", id, err)
		}
		err = s.removeMetadataPort(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, sub := range subnets {
			err = removeSubnet(ctx, tx, sub)
			if err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `DELETE FROM networks WHERE id = ?`, id)
		if err != nil {
			return fmt.Errorf("delete network %s: %w", id, err)
		}
		err = quota.Release(ctx, tx, n.Project, quota.Networks(1))
		if err != nil {
			return err
		}
		return tellAndDirty(ctx, tx, deleted, n, fabric.KindNetwork, id, s.zone)
	})
}

// or is the value, or the default when there is none.
func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// set changes the field when there is a value.
func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
