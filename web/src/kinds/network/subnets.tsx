import { all } from '../../api/client';
import type { Network, Subnet } from '../../api/network';
import { one } from '../../resource/query';
import { code, created, description, Ref } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, put, removal, type Field, type Scope, type Value } from '../../resource/resource';
import { ApartmentOutlined } from '../../ui/icons';
import { listed } from './list';

/** Networks of one's own, to put something on. */
export async function networkChoices(scope: Scope) {
  const networks = await all<Network>('network', '/networks', 'networks', new AbortController().signal);
  return networks
    .filter((network) => scope.operator || network.project_id === scope.project.id || network.shared)
    .map((network) => ({ value: network.id, label: label(network) }));
}

const list = (value: Value) =>
  String(value ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

const pools = (value: Value) =>
  list(value).map((line) => {
    const [start = '', end = start] = line.split('-').map((part) => part.trim());
    return { start, end };
  });

/** `10.1.0.0/16 10.0.0.254` a line. */
export const routesFrom = (value: Value) =>
  list(value).map((line) => {
    const [destination = '', nexthop = ''] = line.split(/[\s,]+/);
    return { destination, nexthop };
  });

export const routesShown = (routes: { destination: string; nexthop: string }[]) => routes.map((r) => `${r.destination} ${r.nexthop}`).join('\n');

const later: Field<Subnet>[] = [
  nameField(false),
  descriptionField(),
  { key: 'enable_dhcp', label: 'subnet.dhcp', kind: 'switch', initial: (row) => row.enable_dhcp },
  { key: 'dns_nameservers', label: 'subnet.dns', kind: 'lines', hint: 'subnet.dnsHint' },
  { key: 'allocation_pools', label: 'subnet.pools', kind: 'lines', hint: 'subnet.poolsHint', as: pools, initial: (row) => row.allocation_pools.map((p) => `${p.start}-${p.end}`).join('\n') },
  { key: 'host_routes', label: 'subnet.routes', kind: 'lines', hint: 'router.routesHint', as: routesFrom, initial: (row) => routesShown(row.host_routes) },
  { key: 'gateway_ip', label: 'subnet.gateway', kind: 'text', hint: 'subnet.gatewayHint', as: (value) => (value === '' ? null : value) },
];

export default define<Subnet>({
  kind: 'subnets',
  icon: <ApartmentOutlined />,
  list: listed('/subnets', 'subnets'),
  read: (id, signal) => one('network', `/subnets/${id}`, 'subnet', signal),
  id: (row) => row.id,
  name: label,
  terms: (row) => [row.cidr, row.gateway_ip],
  project: (row) => row.project_id,
  columns: [
    { word: 'subnet.cidr', sort: (row) => row.cidr, show: (row) => code(row.cidr) },
    { word: 'thing.networks.one', show: (row) => <Ref kind="networks" id={row.network_id} /> },
    { word: 'subnet.gateway', from: 'md', show: (row) => code(row.gateway_ip) },
    { word: 'subnet.dhcp', from: 'lg', show: (row, { t }) => t(row.enable_dhcp ? 'yes' : 'no') },
    created(),
  ],
  facts: [
    description(),
    { word: 'subnet.dns', show: (row) => code(row.dns_nameservers.join(', ')) },
    { word: 'subnet.pools', show: (row) => code(row.allocation_pools.map((p) => `${p.start} – ${p.end}`).join(', ')) },
    { word: 'subnet.routes', show: (row) => code(row.host_routes.map((r) => `${r.destination} → ${r.nexthop}`).join(', ')) },
  ],
  create: [
    {
      key: 'subnet-create',
      word: 'subnet.create',
      fields: [
        { key: 'network_id', label: 'thing.networks.one', kind: 'choice', required: true, options: networkChoices },
        { key: 'cidr', label: 'subnet.cidr', kind: 'text', required: true, hint: 'subnet.cidrHint', pattern: { is: /^[\da-fA-F.:]+\/\d+$/, else: 'subnet.badCidr' } },
        ...later.map((field) => (field.key === 'enable_dhcp' ? { ...field, initial: true } : field.key === 'gateway_ip' ? { key: 'gateway_ip', label: field.label, kind: field.kind, hint: 'subnet.gatewayNewHint' as const } : field)),
        {
          key: 'ipv6_mode',
          label: 'subnet.ipv6',
          kind: 'choice',
          options: ['slaac', 'dhcpv6-stateful', 'dhcpv6-stateless'].map((value) => ({ value, label: value })),
          when: (values) => String(values['cidr'] ?? '').includes(':'),
        },
      ],
      call: ({ ipv6_mode, ...subnet }) =>
        post('network', '/subnets', {
          subnet: {
            ...subnet,
            ip_version: String(subnet['cidr'] ?? '').includes(':') ? 6 : 4,
            ...(ipv6_mode !== undefined && { ipv6_ra_mode: ipv6_mode, ipv6_address_mode: ipv6_mode }),
          },
        }),
    },
  ],
  actions: [
    { key: 'subnet-edit', word: 'resource.edit', edits: true, fields: later, call: (subnet, row) => put('network', `/subnets/${row.id}`, { subnet }) },
    removal('subnet.deleteAsk', (row) => ['network', `/subnets/${row.id}`]),
  ],
});
