import { queryOptions } from '@tanstack/react-query';
import { all, ask } from './client';

export interface Network {
  id: string;
  name: string;
  status: string;
  shared: boolean;
  admin_state_up: boolean;
  mtu?: number;
  subnets: string[];
  project_id: string;
  'router:external': boolean;
}

export interface Subnet {
  id: string;
  name: string;
  network_id: string;
  cidr: string;
  gateway_ip: string | null;
  enable_dhcp: boolean;
  ip_version: number;
}

export interface Port {
  id: string;
  name: string;
  status: string;
  mac_address: string;
  network_id: string;
  device_id: string;
  device_owner: string;
  fixed_ips: { subnet_id: string; ip_address: string }[];
}

export interface FloatingIP {
  id: string;
  floating_ip_address: string;
  fixed_ip_address: string | null;
  floating_network_id: string;
  port_id: string | null;
  status: string;
}

export interface SecurityGroup {
  id: string;
  name: string;
  description: string;
}

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

export const allocate = (network: string, port: string | null) =>
  ask<{ floatingip: FloatingIP }>('network', '/floatingips', {
    method: 'POST',
    body: { floatingip: { floating_network_id: network, port_id: port } },
  });

export const associate = (id: string, port: string | null) =>
  ask<{ floatingip: FloatingIP }>('network', `/floatingips/${id}`, {
    method: 'PUT',
    body: { floatingip: { port_id: port } },
  });

export const release = (id: string) => ask<void>('network', `/floatingips/${id}`, { method: 'DELETE' });

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
