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
	Shared       bool   `bun:"shared"` // with everybody; to a project, with it
	External     bool   `bun:"external"`
	IsDefault    bool   `bun:"is_default"`
	PortSecurity bool   `bun:"port_security"`
	MTU          int    `bun:"mtu"`
	Type         string `bun:"network_type"`
	Physical     string `bun:"physical_network"`
	Segment      int    `bun:"segmentation_id"`
	QoS          string `bun:"qos_policy_id"` // "" for none
	DNSDomain    string `bun:"dns_domain"`

	ZoneHints db.JSON[[]string] `bun:"zone_hints"`

	Subnets []string       `bun:"-"` // ids, by the calls that show networks
	Scopes  map[int]string `bun:"-"` // ids of address scopes, by IP version
}

var networkKind = kind{name: "network", object: "network", table: "networks", missing: networkNotFound, onNetwork: true}

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
	DNSDomain                  string
	ZoneHints                  []string
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
	DNSDomain         *string
}

func networkNotFound(id string) error {
	return errs.NotFoundf("Network %s could not be found.", id).Typed("NetworkNotFound")
}

// Network finds a network that the scope may see.
func (s *Service) Network(ctx context.Context, scope Scope, id string) (n Network, err error) {
	return look(ctx, s, networkKind, scope, id, complete)
}

// Networks lists networks.
func (s *Service) Networks(ctx context.Context, q Query) (list []Network, err error) {
	return browse(ctx, s, networkKind, q, complete)
}

// complete fills in what networks show besides their columns: their subnets, and
// whether they are shared with the scope.
func complete(ctx context.Context, tx *db.Tx, scope Scope, list []*Network) error {
	err := withSubnets(ctx, tx, list)
	if err != nil {
		return err
	}
	var ids []string
	for _, n := range list {
		if !n.Shared && n.Project != scope.Project {
			ids = append(ids, n.ID) // to its owner it is not shared by what others may
		}
	}
	shared, err := networkKind.sharedWith(ctx, tx, scope, ids...)
	for _, n := range list {
		n.Shared = n.Shared || shared[n.ID]
	}
	return err
}

// page runs a list's query.
func page[R any](ctx context.Context, tx *db.Tx, sel *bun.SelectQuery, table string, q Query, list *[]R, missing func(id string) error) error {
	if q.Page.Marker != "" {
		var n int
		err := tx.Get(ctx, &n, `SELECT COUNT(*) FROM ? WHERE id = ?`, bun.Ident(table), q.Page.Marker)
		if err != nil {
			return fmt.Errorf("list %s: %w", table, err)
		}
		if n == 0 {
			return missing(q.Page.Marker)
		}
	}
	sel = db.Where(sel, q.Where)
	sel = q.Tags.where(sel, table)
	err := q.Page.Cut(sel, table, "id").Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("list %s: %w", table, err)
	}
	*list, _ = db.Trim(q.Page, *list)
	return nil
}

// withSubnets fills in the ids of subnets, and the address scopes that these are in.
func withSubnets(ctx context.Context, tx *db.Tx, list []*Network) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	byID := map[string]*Network{}
	for i, n := range list {
		ids[i] = n.ID
		byID[n.ID] = n
		n.Subnets, n.Scopes = []string{}, map[int]string{}
	}
	var rows []struct {
		ID      string `bun:"id"`
		Network string `bun:"network_id"`
		Version int    `bun:"ip_version"`
		Scope   string `bun:"scope"`
	}
	err := tx.All(ctx, &rows, `
		SELECT s.id, s.network_id, s.ip_version, COALESCE(p.address_scope_id, '') AS scope
		FROM subnets AS s LEFT JOIN subnetpools AS p ON p.id = s.subnetpool_id
		WHERE s.network_id IN (?) ORDER BY s.created_at, s.id`, db.In(ids))
	if err != nil {
		return fmt.Errorf("list subnets of networks: %w", err)
	}
	for _, r := range rows {
		n := byID[r.Network]
		n.Subnets = append(n.Subnets, r.ID)
		if r.Scope != "" {
			n.Scopes[r.Version] = r.Scope
		}
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

// networkFor reads the network of something that the scope sees.
func networkFor(ctx context.Context, tx *db.Tx, scope Scope, id string) (Network, error) {
	n, err := readNetwork(ctx, tx, id)
	if err != nil {
		return Network{}, err
	}
	return n, complete(ctx, tx, scope, []*Network{&n})
}

// seenNetwork reads a network that the scope may use for subnets or ports.
func seenNetwork(ctx context.Context, tx *db.Tx, scope Scope, id string) (Network, error) {
	n, err := readNetwork(ctx, tx, id)
	if err != nil {
		return Network{}, err
	}
	if scope.All || n.Project == scope.Project || n.Shared {
		return n, nil
	}
	_, err = one[Network](ctx, tx, networkKind, scope, id)
	if err != nil {
		return Network{}, err
	}
	return n, complete(ctx, tx, scope, []*Network{&n})
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
		Type: in.Type, Physical: in.Physical, Segment: in.Segment, QoS: in.QoS, DNSDomain: in.DNSDomain,
		ZoneHints: db.Of(list(in.ZoneHints)), Subnets: []string{},
	}
	err := checkNames("", in.DNSDomain)
	if err != nil {
		return Network{}, err
	}
	err = oneDefault(ctx, tx, n)
	if err != nil {
		return Network{}, err
	}
	_, err = s.ensureDefaultGroup(ctx, tx, in.Project)
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
	if n.Shared || n.External {
		err = s.shareNetwork(ctx, tx, n, n.Shared, n.External)
		if err != nil {
			return Network{}, err
		}
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
		if n.External && in.External != nil && !*in.External {
			err = notGateway(ctx, tx, n)
			if err != nil {
				return err
			}
		}
		if in.Shared != nil || in.External != nil {
			err = s.shareNetwork(ctx, tx, n, or(in.Shared, n.Shared), or(in.External, n.External))
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
		set(&n.DNSDomain, in.DNSDomain)
		err = checkNames("", n.DNSDomain)
		if err != nil {
			return err
		}
		err = oneDefault(ctx, tx, n)
		if err != nil {
			return err
		}
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
			err = exchangePolicy(ctx, tx, scope, n.QoS, *in.QoS)
			n.QoS = *in.QoS
			if err != nil {
				return err
			}
			err = networkQoSDirty(ctx, tx, id)
			if err != nil {
				return err
			}
		}
		n.touch(tx)
		_, err = tx.Update(ctx, &n, "name", "description", "admin_up", "is_default", "port_security", "mtu", "segmentation_id",
			"qos_policy_id", "dns_domain", "revision", "updated_at")
		if db.IsDuplicate(err) {
			return segmentInUse(n)
		}
		if err != nil {
			return fmt.Errorf("update network %s: %w", id, err)
		}
		err = withSubnets(ctx, tx, []*Network{&n})
		if err != nil {
			return err
		}
		return tellAndDirty(ctx, tx, updated, n, fabric.KindNetwork, id, s.zone)
	})
	return n, err
}

// bumpNetwork raises a network's revision, since its subnets and who shares it
// are part of it.
func bumpNetwork(ctx context.Context, tx *db.Tx, id string) error {
	_, err := tx.Exec(ctx, `UPDATE networks SET revision = revision + 1, updated_at = ? WHERE id = ?`, db.At(tx.Now()), id)
	if err != nil {
		return fmt.Errorf("update network %s: %w", id, err)
	}
	return nil
}

// mtuChanged notes that routers have to tell others of the network's MTU.
func mtuChanged(ctx context.Context, tx *db.Tx, n Network) error {
	err := n.fitMTU()
	if err != nil {
		return err
	}
	subnets, err := subnetsOf(ctx, tx, n.ID)
	if err != nil {
		return err
	}
	for _, sub := range subnets {
		err = n.carries(sub.IPVersion)
		if err != nil {
			return err
		}
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

// oneDefault refuses a second default network.
func oneDefault(ctx context.Context, tx *db.Tx, n Network) error {
	if !n.IsDefault || !n.External {
		return nil
	}
	var others []string
	err := tx.All(ctx, &others, `SELECT id FROM networks WHERE is_default = 1 AND external = 1 AND id <> ?`, n.ID)
	if err != nil {
		return fmt.Errorf("look for the default network: %w", err)
	}
	if len(others) > 0 {
		return errs.Conflictf("A default external network already exists: %s.", others[0]).Typed("DefaultExternalNetworkExists")
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
// left, with its subnets, and with floating IPs that lead nowhere.
func (s *Service) DeleteNetwork(ctx context.Context, id string, revision int64) error {
	return s.db.Write(ctx, func(tx *db.Tx) error { return s.deleteNetwork(ctx, tx, id, revision) })
}

func (s *Service) deleteNetwork(ctx context.Context, tx *db.Tx, id string, revision int64) error {
	n, err := holdNetwork(ctx, tx, id)
	if err != nil {
		return err
	}
	err = n.revised(revision)
	if err != nil {
		return err
	}
	if n.External {
		err = removeIdleFloating(ctx, tx, id)
		if err != nil {
			return err
		}
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
	err = networkKind.forget(ctx, tx, id)
	if err != nil {
		return err
	}
	err = networkKind.remove(ctx, tx, id)
	if err != nil {
		return err
	}
	err = quota.Release(ctx, tx, n.Project, quota.Networks(1))
	if err != nil {
		return err
	}
	return tellAndDirty(ctx, tx, deleted, n, fabric.KindNetwork, id, s.zone)
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
