import { all } from '../../api/client';
import type { FloatingIP } from '../../api/network';
import { code, Ref } from '../../resource/ref';
import { define, descriptionField, post, put, removal, type Field } from '../../resource/resource';
import { SwapOutlined } from '../../ui/icons';
import { literal } from '../choices';
import { listed } from './list';
import { portChoices } from './ports';

interface Forwarding {
  id: string;
  protocol: string;
  external_port: number;
  internal_port: number;
  internal_ip_address: string;
  internal_port_id: string;
  description?: string;
  of: FloatingIP;
}

const addresses = listed<FloatingIP>('/floatingips', 'floatingips');

const protocol: Field<Forwarding> = { key: 'protocol', label: 'group.protocol', kind: 'choice', required: true, options: literal('tcp', 'udp') };
const outer: Field<Forwarding> = { key: 'external_port', label: 'forwarding.outer', kind: 'number', required: true, min: 1, max: 65535 };
const inner: Field<Forwarding> = { key: 'internal_port', label: 'forwarding.inner', kind: 'number', required: true, min: 1, max: 65535 };

/** Single ports of floating IPs, each leading somewhere else. */
export default define<Forwarding>({
  kind: 'port-forwardings',
  icon: <SwapOutlined />,
  list: async (scope, signal) => {
    const free = (await addresses(scope, signal)).filter((address) => address.port_id === null);
    const found = await Promise.all(free.map(async (of) => (await all<Forwarding>('network', `/floatingips/${of.id}/port_forwardings`, 'port_forwardings', signal)).map((row) => ({ ...row, of }))));
    return found.flat();
  },
  id: (row) => row.id,
  name: (row) => `${row.of.floating_ip_address}:${row.external_port}`,
  terms: (row) => [row.internal_ip_address],
  columns: [
    { word: 'group.protocol', show: (row) => row.protocol },
    { word: 'floating.leadsTo', show: (row) => <>{code(`${row.internal_ip_address}:${row.internal_port}`)} <Ref kind="ports" id={row.internal_port_id} /></> },
  ],
  create: [
    {
      key: 'forwarding-create',
      word: 'forwarding.create',
      fields: [
        {
          key: 'address',
          label: 'thing.floating-ips.one',
          kind: 'choice',
          required: true,
          options: async (scope) => (await addresses(scope, new AbortController().signal)).filter((row) => row.port_id === null).map((row) => ({ value: row.id, label: row.floating_ip_address })),
        },
        { ...protocol, initial: 'tcp' },
        outer,
        { key: 'target', label: 'floating.leadsTo', kind: 'choice', required: true, options: async (scope) => (await portChoices(scope)).map(({ value, label }) => ({ value: `${value} ${label.split(' · ').at(-1)?.split(', ')[0] ?? ''}`, label })) },
        inner,
        descriptionField(),
      ],
      call: ({ address, target, ...rest }) => {
        const [internal_port_id, internal_ip_address] = String(target ?? '').split(' ');
        return post('network', `/floatingips/${String(address)}/port_forwardings`, { port_forwarding: { ...rest, internal_port_id, internal_ip_address } });
      },
    },
  ],
  actions: [
    {
      key: 'forwarding-edit',
      word: 'resource.edit',
      edits: true,
      fields: [protocol, outer, inner, descriptionField()],
      call: (port_forwarding, row) => put('network', `/floatingips/${row.of.id}/port_forwardings/${row.id}`, { port_forwarding }),
    },
    removal('forwarding.deleteAsk', (row) => ['network', `/floatingips/${row.of.id}/port_forwardings/${row.id}`]),
  ],
});
