import { queryOptions } from '@tanstack/react-query';
import { all, ask, type Call } from './client';

interface Standard {
  id: string;
  name: string;
  description: string;
  project_id: string;
  created_at: string;
  tags: string[];
}

export interface Network extends Standard {
  status: string;
  shared: boolean;
  admin_state_up: boolean;
  mtu: number;
  qos_policy_id?: string | null;
  subnets: string[];
  port_security_enabled?: boolean;
  'router:external': boolean;
  'provider:network_type'?: string;
  'provider:physical_network'?: string | null;
  'provider:segmentation_id'?: number | null;
}

export interface Subnet extends Standard {
  network_id: string;
  cidr: string;
  gateway_ip: string | null;
  enable_dhcp: boolean;
  ip_version: 4 | 6;
  dns_nameservers: string[];
  allocation_pools: { start: string; end: string }[];
  host_routes: Route[];
  ipv6_ra_mode?: string | null;
  ipv6_address_mode?: string | null;
}

export interface Route {
  destination: string;
  nexthop: string;
}

export interface Port extends Standard {
  status: string;
  admin_state_up: boolean;
  mac_address: string;
  qos_policy_id?: string | null;
  network_id: string;
  device_id: string;
  device_owner: string;
  fixed_ips: { subnet_id: string; ip_address: string }[];
  security_groups: string[];
  port_security_enabled?: boolean;
  allowed_address_pairs: { ip_address: string; mac_address?: string }[];
}

export interface Router extends Standard {
  status: string;
  admin_state_up: boolean;
  routes: Route[];
  external_gateway_info: { network_id: string; enable_snat?: boolean; external_fixed_ips: { subnet_id: string; ip_address: string }[] } | null;
}

export interface FloatingIP extends Standard {
  floating_ip_address: string;
  fixed_ip_address: string | null;
  floating_network_id: string;
  port_id: string | null;
  router_id: string | null;
  status: string;
}

export interface Rule {
  id: string;
  project_id: string;
  description: string;
  security_group_id: string;
  direction: 'ingress' | 'egress';
  ethertype: 'IPv4' | 'IPv6';
  protocol: string | null;
  port_range_min: number | null;
  port_range_max: number | null;
  remote_ip_prefix: string | null;
  remote_group_id: string | null;
  remote_address_group_id?: string | null;
}

export interface AddressGroup extends Standard {
  addresses: string[];
}

export interface SecurityGroup extends Standard {
  stateful?: boolean;
  security_group_rules: Rule[];
}

export const addressGroupsQuery = queryOptions({
  queryKey: ['address-groups'],
  queryFn: ({ signal }) => all<AddressGroup>('network', '/address-groups', 'address_groups', signal),
});

export const networksQuery = queryOptions({
  queryKey: ['networks'],
  queryFn: ({ signal }) => all<Network>('network', '/networks', 'networks', signal),
});

export const subnetsQuery = queryOptions({
  queryKey: ['subnets'],
  queryFn: ({ signal }) => all<Subnet>('network', '/subnets', 'subnets', signal),
});

export const serverPortsQuery = (server: string) =>
  queryOptions({
    queryKey: ['ports', server],
    queryFn: ({ signal }) => all<Port>('network', `/ports?device_id=${server}`, 'ports', signal),
  });

export const floatingIPsQuery = queryOptions({
  queryKey: ['floatingips'],
  queryFn: ({ signal }) => all<FloatingIP>('network', '/floatingips', 'floatingips', signal),
});

export const securityGroupsQuery = (project: string | undefined) =>
  queryOptions({
    queryKey: ['security-groups', project],
    // Admins see everybody's groups, but can only use the project's own.
    queryFn: ({ signal }) =>
      all<SecurityGroup>('network', `/security-groups?project_id=${project ?? ''}`, 'security_groups', signal),
  });

export const allocate = (network: string, port: string | null): Call => ({
  service: 'network',
  method: 'POST',
  path: '/floatingips',
  body: { floatingip: { floating_network_id: network, port_id: port } },
});

export const associate = (id: string, port: string | null): Call => ({ service: 'network', method: 'PUT', path: `/floatingips/${id}`, body: { floatingip: { port_id: port } } });

export const release = (id: string): Call => ({ service: 'network', method: 'DELETE', path: `/floatingips/${id}` });

export interface Usage {
  limit: number;
  used: number;
  reserved?: number;
}

export const networkQuotaQuery = (project: string) =>
  queryOptions({
    queryKey: ['limits', 'network', project],
    queryFn: async ({ signal }) =>
      (await ask<{ quota: Record<string, Usage> }>('network', `/quotas/${project}/details`, { signal })).quota,
  });
