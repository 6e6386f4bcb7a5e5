import type { FloatingIP } from '../../api/network';
import { one } from '../../resource/query';
import { code, created, description, Ref } from '../../resource/ref';
import { define, descriptionField, post, put, removal, type Field } from '../../resource/resource';
import { stateBy } from '../../resource/state';
import { GlobalOutlined } from '../../ui/icons';
import { listed } from './list';
import { portChoices } from './ports';
import { externalChoices } from './routers';

const port: Field<FloatingIP> = { key: 'port_id', label: 'floating.leadsTo', kind: 'choice', options: (scope) => portChoices(scope) };

export default define<FloatingIP>({
  kind: 'floating-ips',
  icon: <GlobalOutlined />,
  list: listed('/floatingips', 'floatingips'),
  read: (id, signal) => one('network', `/floatingips/${id}`, 'floatingip', signal),
  id: (row) => row.id,
  name: (row) => row.floating_ip_address,
  terms: (row) => [row.fixed_ip_address],
  project: (row) => row.project_id,
  state: (row) => stateBy(row.status),
  columns: [
    {
      word: 'floating.leadsTo',
      show: (row, { t }) =>
        row.port_id === null ? (
          <span className="muted">{t('floating.free')}</span>
        ) : (
          <>
            {code(row.fixed_ip_address)} <Ref kind="ports" id={row.port_id} />
          </>
        ),
    },
    { word: 'thing.networks.one', from: 'md', show: (row) => <Ref kind="networks" id={row.floating_network_id} /> },
    created(),
  ],
  facts: [description(), { word: 'thing.routers.one', show: (row) => row.router_id && <Ref kind="routers" id={row.router_id} /> }],
  create: [
    {
      key: 'floating-create',
      word: 'floating.allocate',
      fields: [
        { key: 'floating_network_id', label: 'floating.pool', kind: 'choice', required: true, options: externalChoices },
        port,
        descriptionField(),
      ],
      call: (floatingip) => post('network', '/floatingips', { floatingip }),
    },
  ],
  actions: [
    {
      key: 'floating-associate',
      word: 'floating.associate',
      fields: [{ ...port, required: true }],
      call: (floatingip, row) => put('network', `/floatingips/${row.id}`, { floatingip }),
    },
    {
      key: 'floating-disassociate',
      word: 'floating.disassociate',
      bulk: true,
      ask: 'floating.disassociateAsk',
      able: (row) => row.port_id !== null,
      call: (_, row) => put('network', `/floatingips/${row.id}`, { floatingip: { port_id: null } }),
    },
    { ...removal<FloatingIP>('floating.releaseText', (row) => ['network', `/floatingips/${row.id}`]), word: 'floating.release' },
  ],
});
