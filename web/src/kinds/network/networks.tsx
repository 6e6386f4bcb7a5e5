import { all } from '../../api/client';
import type { Network, Subnet } from '../../api/network';
import { one, useRows } from '../../resource/query';
import { code, created, description, Ref, tags } from '../../resource/ref';
import { define, descriptionField, label, nameField, post, put, removal, type Action, type Field } from '../../resource/resource';
import { Rows } from '../../resource/rows';
import { stateBy } from '../../resource/state';
import { ClusterOutlined } from '../../ui/icons';
import { qosChoices } from '../choices';
import ports from './ports';
import subnets from './subnets';

const own = (network: Network, scope: { operator: boolean; project: { id: string } }) => scope.operator || network.project_id === scope.project.id;

const fields: Field<Network>[] = [
  nameField(),
  descriptionField(),
  { key: 'mtu', label: 'network.mtu', kind: 'number', min: 68, max: 65535, hint: 'network.mtuHint' },
  { key: 'admin_state_up', label: 'network.up', kind: 'switch', initial: (row) => row.admin_state_up },
  { key: 'port_security_enabled', label: 'network.portSecurity', kind: 'switch', initial: (row) => row.port_security_enabled ?? true, hint: 'network.portSecurityHint' },
  { key: 'qos_policy_id', label: 'thing.qos-policies.one', kind: 'choice', options: qosChoices },
  { key: 'shared', label: 'network.share', kind: 'switch', when: (_, scope) => scope.operator },
  { key: 'router:external', label: 'network.externalSwitch', kind: 'switch', when: (_, scope) => scope.operator },
];

const provider: Field<Network>[] = [
  {
    key: 'provider:network_type',
    label: 'network.type',
    kind: 'choice',
    options: ['flat', 'vlan', 'geneve'].map((value) => ({ value, label: value })),
    when: (_, scope) => scope.operator,
  },
  { key: 'provider:physical_network', label: 'network.physical', kind: 'text', when: (v) => v['provider:network_type'] === 'flat' || v['provider:network_type'] === 'vlan' },
  { key: 'provider:segmentation_id', label: 'network.segment', kind: 'number', min: 1, when: (v) => v['provider:network_type'] === 'vlan' || v['provider:network_type'] === 'geneve' },
];

const create: Action<Network> = {
  key: 'network-create',
  word: 'network.create',
  fields: [...fields.map((field) => (field.kind === 'switch' ? { ...field, initial: field.key === 'admin_state_up' || field.key === 'port_security_enabled' } : field)), ...provider],
  call: (network) => post('network', '/networks', { network }),
};

export default define<Network>({
  kind: 'networks',
  icon: <ClusterOutlined />,
  list: async (scope, signal) => {
    const networks = await all<Network>('network', '/networks', 'networks', signal);
    return scope.all ? networks : networks.filter((n) => n.project_id === scope.project.id || n.shared || n['router:external']);
  },
  read: (id, signal) => one('network', `/networks/${id}`, 'network', signal),
  id: (row) => row.id,
  name: label,
  project: (row) => row.project_id,
  state: (row) => stateBy(row.status),
  moves: (row) => row.status === 'BUILD',
  columns: [
    { word: 'thing.subnets.many', show: (row) => <Subnets network={row.id} count={row.subnets.length} /> },
    {
      word: 'network.kind',
      show: (row, { t }) =>
        tags([
          ...(row['router:external'] ? [t('network.external')] : []),
          ...(row.shared ? [t('network.shared')] : []),
          ...(row.admin_state_up ? [] : [t('network.off')]),
          ...(row.port_security_enabled === false ? [t('network.open')] : []),
        ]),
    },
    created(),
  ],
  facts: [
    description(),
    { word: 'network.mtu', show: (row) => row.mtu },
    { word: 'thing.qos-policies.one', show: (row) => row.qos_policy_id && <Ref kind="qos-policies" id={row.qos_policy_id} /> },
    {
      word: 'network.provider',
      show: (row) =>
        row['provider:network_type'] === undefined
          ? null
          : code([row['provider:network_type'], row['provider:physical_network'], row['provider:segmentation_id']].filter((part) => part != null).join(' · ')),
    },
  ],
  create: [create],
  actions: [
    { key: 'network-edit', word: 'resource.edit', edits: true, fields, able: own, call: (network, row) => put('network', `/networks/${row.id}`, { network }) },
    removal('network.deleteAsk', (row) => ['network', `/networks/${row.id}`], own),
  ],
  Below: ({ row }) => (
    <>
      <Rows resource={subnets} where={(subnet) => (subnet as Subnet).network_id === row.id} preset={{ network_id: row.id }} />
      <Rows resource={ports} where={(port) => (port as { network_id: string }).network_id === row.id} preset={{ network_id: row.id }} />
    </>
  ),
});

function Subnets({ network, count }: { network: string; count: number }) {
  const rows = useRows<Subnet>('subnets', count > 0) ?? [];
  return rows
    .filter((subnet) => subnet.network_id === network)
    .map((subnet) => (
      <div key={subnet.id}>
        <span className="mono">{subnet.cidr}</span> <Ref kind="subnets" id={subnet.id} />
      </div>
    ));
}
