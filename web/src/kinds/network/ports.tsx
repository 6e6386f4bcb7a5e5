import { all } from '../../api/client';
import type { Port, SecurityGroup } from '../../api/network';
import { one } from '../../resource/query';
import { code, created, description, Ref } from '../../resource/ref';
import { define, descriptionField, nameField, post, put, removal, type Field, type Scope, type Value } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { ApiOutlined } from '../../ui/icons';
import { qosChoices } from '../choices';
import { listed } from './list';
import { networkChoices } from './subnets';

export async function groupChoices(scope: Scope) {
  const groups = await all<SecurityGroup>('network', `/security-groups?project_id=${scope.project.id}`, 'security_groups', new AbortController().signal);
  return groups.map((group) => ({ value: group.id, label: group.name }));
}

/** What people call a port: its name, or its first address. */
export const portName = (port: Port) => port.name || (port.fixed_ips[0]?.ip_address ?? port.id.slice(0, 8));

/** Ports of our own, which an address can lead to. */
export async function portChoices(scope: Scope, owner = '') {
  const [ports, servers] = await Promise.all([
    all<Port>('network', `/ports?project_id=${scope.project.id}`, 'ports', new AbortController().signal),
    all<{ id: string; name: string }>('compute', '/servers', 'servers', new AbortController().signal),
  ]);
  return ports
    .filter((port) => port.fixed_ips.length > 0 && !port.device_owner.startsWith('network:') && port.device_owner.startsWith(owner))
    .map((port) => {
      const server = servers.find((each) => each.id === port.device_id);
      const addresses = port.fixed_ips.map((ip) => ip.ip_address).join(', ');
      return { value: port.id, label: [server?.name ?? port.name, addresses].filter((part) => part !== '').join(' · ') };
    });
}

const addressPairs = (value: Value) =>
  String(value ?? '')
    .split('\n')
    .map((line) => line.trim().split(/[\s,]+/))
    .filter(([ip]) => ip !== '')
    .map(([ip_address = '', mac_address]) => ({ ip_address, ...(mac_address && { mac_address }) }));

const later: Field<Port>[] = [
  nameField(false),
  descriptionField(),
  { key: 'port_security_enabled', label: 'network.portSecurity', kind: 'switch', hint: 'network.portSecurityHint', initial: (row) => row.port_security_enabled ?? true },
  { key: 'security_groups', label: 'field.groups', kind: 'choices', options: groupChoices, when: (values) => values['port_security_enabled'] !== false },
  {
    key: 'allowed_address_pairs',
    label: 'port.pairs',
    kind: 'lines',
    hint: 'port.pairsHint',
    as: addressPairs,
    initial: (row) => row.allowed_address_pairs.map((pair) => pair.ip_address).join('\n'),
    when: (values) => values['port_security_enabled'] !== false,
  },
  { key: 'qos_policy_id', label: 'thing.qos-policies.one', kind: 'choice', options: qosChoices },
  { key: 'admin_state_up', label: 'network.up', kind: 'switch', initial: (row) => row.admin_state_up },
];

/** A port without port security may have neither. */
const open = { security_groups: [], allowed_address_pairs: [] };

export default define<Port>({
  kind: 'ports',
  icon: <ApiOutlined />,
  list: listed('/ports', 'ports'),
  read: (id, signal) => one('network', `/ports/${id}`, 'port', signal),
  id: (row) => row.id,
  name: portName,
  terms: (row) => [row.mac_address, row.device_id, ...row.fixed_ips.map((ip) => ip.ip_address)],
  project: (row) => row.project_id,
  state: (row) => stateBy(row.status),
  moves: (row) => row.status === 'BUILD',
  columns: [
    { word: 'field.addresses', show: (row) => row.fixed_ips.map((ip) => <div key={ip.ip_address}>{code(ip.ip_address)}</div>) },
    { word: 'thing.networks.one', show: (row) => <Ref kind="networks" id={row.network_id} /> },
    { word: 'port.device', from: 'md', show: (row) => <Device port={row} /> },
    { word: 'port.mac', from: 'lg', show: (row) => code(row.mac_address) },
  ],
  facts: [
    description(),
    { word: 'network.portSecurity', show: (row, { t }) => t(row.port_security_enabled === false ? 'no' : 'yes') },
    { word: 'field.groups', show: (row) => row.security_groups.map((id) => <div key={id}><Ref kind="security-groups" id={id} /></div>) },
    { word: 'thing.qos-policies.one', show: (row) => row.qos_policy_id && <Ref kind="qos-policies" id={row.qos_policy_id} /> },
    { word: 'port.pairs', show: (row) => code(row.allowed_address_pairs.map((pair) => pair.ip_address).join(', ')) },
    created(),
  ],
  create: [
    {
      key: 'port-create',
      word: 'port.create',
      fields: [
        { key: 'network_id', label: 'thing.networks.one', kind: 'choice', required: true, options: networkChoices },
        { key: 'fixed_ip', label: 'port.address', kind: 'text', hint: 'port.addressHint' },
        ...later.map((field) => (field.kind === 'switch' ? { ...field, initial: true } : field.key === 'allowed_address_pairs' ? { ...field, initial: '' } : field)),
      ],
      call: ({ fixed_ip, ...port }) => post('network', '/ports', { port: { ...port, ...(fixed_ip !== undefined && { fixed_ips: [{ ip_address: fixed_ip }] }) } }),
    },
  ],
  actions: [
    { key: 'port-edit', word: 'resource.edit', edits: true, fields: later, call: (port, row) => put('network', `/ports/${row.id}`, { port: { ...port, ...(port['port_security_enabled'] === false && open) } }) },
    removal('port.deleteAsk', (row) => ['network', `/ports/${row.id}`], (row) => !row.device_owner.startsWith('network:')),
  ],
});

function Device({ port }: { port: Port }) {
  if (port.device_owner.startsWith('compute:')) {
    return <Ref kind="servers" id={port.device_id} />;
  }
  if (port.device_owner.startsWith('network:router')) {
    return <Ref kind="routers" id={port.device_id} />;
  }
  return <span className="muted">{port.device_owner || '–'}</span>;
}
