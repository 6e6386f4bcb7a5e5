package network

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"nacre/internal/bus"
	"nacre/internal/bus/oslo"
	"nacre/internal/db"
	"nacre/internal/fabric"
	"nacre/internal/quota"
)

// Topic is where events of this service go.
const Topic = "notifications.neutron"

// Notifications words them as Neutron does, in the name of the host.
func Notifications(host string) oslo.Service {
	return oslo.Service{Exchange: "neutron", Render: func(e bus.Record) ([]oslo.Notification, error) { return wordEvent("network."+host, e) }}
}

// wordEvent makes the two notifications of a change. Nothing lies between the
// start and the end of what one transaction does; listeners may wait for either.
// The start of a deletion names the thing by its id alone.
func wordEvent(publisher string, e bus.Record) ([]oslo.Notification, error) {
	list, err := oslo.Plain(publisher)(e)
	change, ends := strings.CutSuffix(e.Type, ".end")
	if err != nil || !ends {
		return list, err
	}
	start := list[0]
	start.Type = change + ".start"
	resource, deletes := strings.CutSuffix(change, "."+deleted)
	if deletes {
		start.Payload = facts{resource + "_id": e.Resource}
	}
	return []oslo.Notification{start, list[0]}, nil
}

// Changes that are told of.
const (
	created = "create"
	updated = "update"
	deleted = "delete"
)

// facts are a resource as its API shows it to an administrator.
type facts map[string]any

// wireTime is the form of times in notifications.
const wireTime = "2006-01-02T15:04:05Z"

// tell tells of a change, in the transaction of the change. The row is complete
// and as it is after the change; a deleted one is as it was before. Networks
// and routers are in the zones.
func tell(ctx context.Context, tx *db.Tx, change string, row any, zones ...string) error {
	if !bus.Emits(tx) {
		return nil
	}
	port, isPort := row.(Port)
	if isPort {
		err := describePorts(ctx, tx, []*Port{&port})
		if err != nil {
			return err
		}
		row = port
	}
	resource, id, f := view(row)
	if f == nil {
		return nil
	}
	if f["availability_zone_hints"] != nil {
		f["availability_zones"] = zones
	}
	payload := facts{resource: f}
	if change == deleted {
		payload[resource+"_id"] = id
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: resource + "." + change + ".end", Resource: id, Payload: payload})
}

// tellInterface tells that a router got or lost an interface.
func tellInterface(ctx context.Context, tx *db.Tx, change string, i Interface) error {
	subnet := ""
	if len(i.Subnets) > 0 {
		subnet = i.Subnets[0]
	}
	return bus.Emit(ctx, tx, bus.Event{Topic: Topic, Type: "router.interface." + change, Resource: i.Router, Payload: facts{
		"router_interface": facts{
			"id": i.Router, "tenant_id": i.Project, "project_id": i.Project, "port_id": i.Port, "network_id": i.Network,
			"subnet_id": subnet, "subnet_ids": list(i.Subnets), "tags": list(i.Tags),
		},
	}})
}

// view is what is told of a row: nil for the ports that the service keeps for
// itself, which are part of something else.
func view(row any) (resource, id string, f facts) {
	switch r := row.(type) {
	case Network:
		f = r.facts()
		f["name"], f["admin_state_up"], f["mtu"], f["status"] = r.Name, r.AdminUp, r.MTU, r.Status
		f["subnets"], f["shared"], f["router:external"], f["is_default"] = list(r.Subnets), r.Shared, r.External, r.IsDefault
		f["port_security_enabled"], f["provider:network_type"] = r.PortSecurity, r.Type
		f["provider:physical_network"], f["provider:segmentation_id"] = null(r.Physical), null(r.Segment)
		f["qos_policy_id"] = null(r.QoS)
		f["availability_zone_hints"], f["dns_domain"] = list(r.ZoneHints.V), r.DNSDomain
		f["ipv4_address_scope"], f["ipv6_address_scope"] = null(r.Scopes[4]), null(r.Scopes[6])
		return "network", r.ID, f
	case Subnet:
		f = r.facts()
		f["name"], f["network_id"], f["ip_version"], f["cidr"], f["subnetpool_id"] = r.Name, r.Network, r.IPVersion, r.CIDR, null(r.Pool)
		f["enable_dhcp"], f["gateway_ip"], f["allocation_pools"] = r.DHCP, null(r.Gateway), list(r.Pools.V)
		f["ipv6_ra_mode"], f["ipv6_address_mode"], f["host_routes"] = null(r.RAMode), null(r.AddressMode), list(r.Routes.V)
		f["dns_nameservers"], f["service_types"] = list(r.DNS.V), list(r.ServiceTypes.V)
		return "subnet", r.ID, f
	case Port:
		if r.Project == "" || r.Owner == OwnerDistributed {
			return "", "", nil
		}
		f = r.facts()
		f["name"], f["network_id"], f["mac_address"], f["admin_state_up"], f["status"] = r.Name, r.Network, r.MAC, r.AdminUp, r.Status
		f["device_id"], f["device_owner"], f["fixed_ips"], f["security_groups"] = r.Device, r.Owner, list(r.FixedIPs.V), list(r.Groups.V)
		f["allowed_address_pairs"], f["port_security_enabled"] = list(r.Pairs.V), r.PortSecurity
		f["extra_dhcp_opts"], f["dns_name"], f["dns_domain"], f["dns_assignment"] = list(r.DHCPOptions.V), r.DNSName, r.DNSDomain, r.Assignments()
		f["binding:vnic_type"], f["binding:host_id"], f["binding:profile"] = r.VNICType, r.Host, r.Profile.V
		f["qos_policy_id"], f["qos_network_policy_id"] = null(r.QoS), null(r.NetworkQoS)
		if r.Trunk != nil {
			f["trunk_details"] = r.Trunk
		}
		f["binding:vif_type"], f["binding:vif_details"] = "unbound", facts{}
		if r.Host != "" {
			f["binding:vif_type"] = "ovs"
			f["binding:vif_details"] = facts{"port_filter": true, "connectivity": "l2", "bridge_name": "br-int", "datapath_type": "system"}
		}
		return "port", r.ID, f
	case Router:
		f = r.facts()
		f["availability_zone_hints"] = list(r.ZoneHints.V)
		f["name"], f["admin_state_up"], f["status"], f["routes"], f["external_gateway_info"] = r.Name, r.AdminUp, r.Status, list(r.Routes.V), nil
		if r.GatewayNetwork != "" {
			f["external_gateway_info"] = facts{"network_id": r.GatewayNetwork, "external_fixed_ips": list(r.GatewayIPs), "enable_snat": r.SNAT,
				"qos_policy_id": null(r.GatewayQoS)}
		}
		return "router", r.ID, f
	case FloatingIP:
		f = r.facts()
		f["dns_name"], f["dns_domain"] = r.DNSName, r.DNSDomain
		f["floating_ip_address"], f["floating_network_id"], f["router_id"] = r.Address, r.Network, null(r.Router)
		f["port_id"], f["fixed_ip_address"], f["status"], f["port_details"] = null(r.FixedPort), null(r.FixedIP), r.Status, r.Details
		forwardings := []facts{}
		for _, w := range r.Forwardings {
			forwardings = append(forwardings, w.facts())
		}
		f["port_forwardings"] = forwardings
		f["qos_policy_id"], f["qos_network_policy_id"] = null(r.QoS), null(r.NetworkQoS)
		return "floatingip", r.ID, f
	case Trunk:
		f = r.facts()
		subports := []facts{}
		for _, sub := range r.Subports {
			subports = append(subports, facts{"port_id": sub.Port, "segmentation_type": sub.Type, "segmentation_id": sub.VLAN})
		}
		f["name"], f["admin_state_up"], f["status"], f["port_id"], f["sub_ports"] = r.Name, r.AdminUp, r.Status, r.Port, subports
		return "trunk", r.ID, f
	case QoSPolicy:
		f = r.facts()
		rules := []facts{}
		for _, rule := range r.Rules {
			rules = append(rules, rule.facts())
		}
		f["name"], f["shared"], f["is_default"], f["rules"] = r.Name, r.Shared, r.IsDefault, rules
		return "policy", r.ID, f
	case Group:
		f = r.facts()
		rules := []facts{}
		for _, rule := range r.Rules {
			_, _, told := view(rule)
			rules = append(rules, told)
		}
		f["name"], f["security_group_rules"], f["stateful"], f["shared"] = r.Name, rules, r.Stateful, r.Shared
		return "security_group", r.ID, f
	case Rule:
		f = r.facts()
		f["security_group_id"], f["direction"], f["ethertype"], f["protocol"] = r.Group, r.Direction, r.Ethertype, null(r.Protocol)
		f["remote_ip_prefix"], f["normalized_cidr"], f["remote_group_id"] = null(r.RemotePrefix), null(r.NormalPrefix()), null(r.RemoteGroup)
		f["remote_address_group_id"], f["belongs_to_default_sg"] = null(r.RemoteAddresses), r.OfDefault
		f["port_range_min"], f["port_range_max"] = nil, nil
		if r.PortMin >= 0 {
			f["port_range_min"] = r.PortMin
		}
		if r.PortMax >= 0 {
			f["port_range_max"] = r.PortMax
		}
		return "security_group_rule", r.ID, f
	case SubnetPool:
		f = r.facts()
		f["name"], f["ip_version"], f["prefixes"], f["is_default"], f["shared"] = r.Name, r.IPVersion, list(r.Prefixes.V), r.IsDefault, r.Shared
		f["default_prefixlen"], f["min_prefixlen"], f["max_prefixlen"] = strconv.Itoa(r.DefaultPrefixlen), strconv.Itoa(r.MinPrefixlen), strconv.Itoa(r.MaxPrefixlen)
		f["default_quota"], f["address_scope_id"] = nil, null(r.AddressScope)
		if r.DefaultQuota != quota.Unlimited {
			f["default_quota"] = r.DefaultQuota
		}
		return "subnetpool", r.ID, f
	case AddressScope:
		return "address_scope", r.ID, facts{
			"id": r.ID, "tenant_id": r.Project, "project_id": r.Project, "name": r.Name, "ip_version": r.IPVersion, "shared": r.Shared,
		}
	case AddressGroup:
		f = r.facts()
		delete(f, "tags")
		f["name"], f["addresses"], f["shared"] = r.Name, list(r.Addresses.V), r.Shared
		return "address_group", r.ID, f
	case RBACPolicy:
		return "rbac_policy", r.ID, facts{
			"id": r.ID, "tenant_id": r.Project, "project_id": r.Project, "object_type": r.ObjectType, "object_id": r.Object,
			"action": r.Action, "target_tenant": r.Target,
		}
	}
	panic(fmt.Sprintf("network: nothing is told of a %T", row)) // a mistake in this package
}

// facts are what a policy shows of a rule.
func (r QoSRule) facts() facts {
	f := facts{"id": r.ID, "qos_policy_id": r.Policy, "type": r.Kind}
	switch r.Kind {
	case DSCPMarking:
		f["dscp_mark"] = r.DSCP
	case MinimumBandwidth:
		f["min_kbps"], f["direction"] = r.MinKbps, r.Direction
	default:
		f["max_kbps"], f["max_burst_kbps"], f["direction"] = r.MaxKbps, r.MaxBurst, r.Direction
	}
	return f
}

// facts are what a floating IP shows of a port forwarding.
func (f Forwarding) facts() facts {
	out := facts{
		"id": f.ID, "protocol": f.Protocol, "internal_ip_address": f.FixedIP, "internal_port_id": f.FixedPort,
		"internal_port": nil, "external_port": nil,
	}
	if f.External.size() == 0 {
		out["external_port"] = f.External.Min
	}
	if f.Internal.size() == 0 {
		out["internal_port"] = f.Internal.Min
	}
	return out
}

// facts are what all resources have.
func (c Common) facts() facts {
	return facts{
		"id": c.ID, "tenant_id": c.Project, "project_id": c.Project, "description": c.Description, "revision_number": c.Revision,
		"created_at": c.CreatedAt.Time().Format(wireTime), "updated_at": c.UpdatedAt.Time().Format(wireTime), "tags": list(c.Tags.V),
	}
}

// null is the value, or null when there is none.
func null[T comparable](value T) any {
	var none T
	if value == none {
		return nil
	}
	return value
}

// tellAndDirty is the end of most use cases: it tells of the change and notes
// that the fabric must hear of it.
func tellAndDirty(ctx context.Context, tx *db.Tx, change string, row any, kind fabric.Kind, id string, zones ...string) error {
	err := tell(ctx, tx, change, row, zones...)
	if err != nil {
		return err
	}
	return dirty(ctx, tx, kind, id)
}

// tellPorts tells that the ports changed.
func tellPorts(ctx context.Context, tx *db.Tx, ids []string) error {
	if len(ids) == 0 || !bus.Emits(tx) {
		return nil
	}
	ports, err := rowsOf[Port](ctx, tx, "id", ids)
	if err != nil {
		return fmt.Errorf("read ports that changed: %w", err)
	}
	for _, p := range ports {
		err = tell(ctx, tx, updated, p)
		if err != nil {
			return err
		}
	}
	return nil
}
