import { all } from '../../api/client';
import { pairs } from '../../resource/pairs';
import { one } from '../../resource/query';
import { define, nameField, post, put, removal, type Field } from '../../resource/resource';
import { DashboardOutlined } from '../../ui/icons';
import { choicesOf, literal } from '../choices';

interface Qos {
  id: string;
  name: string;
  consumer: string;
  specs: Record<string, string>;
}

const specs: Field<Qos> = { key: 'specs', label: 'specs.many', kind: 'pairs', required: true, hint: 'volumeQos.hint', initial: (row) => Object.entries(row.specs).map(([key, value]) => `${key}=${value}`).join('\n') };
const flat = (value: unknown) => value as Record<string, string>;

/** What limits volumes, by their types. */
export default define<Qos>({
  kind: 'volume-qos',
  icon: <DashboardOutlined />,
  list: (_, signal) => all('volume', '/qos-specs', 'qos_specs', signal),
  read: (id, signal) => one('volume', `/qos-specs/${id}`, 'qos_specs', signal),
  id: (row) => row.id,
  name: (row) => row.name,
  columns: [
    { word: 'volumeQos.consumer', show: (row) => row.consumer },
    { word: 'specs.many', show: (row) => pairs(row.specs) },
  ],
  create: [
    {
      key: 'volume-qos-create',
      word: 'volumeQos.create',
      fields: [nameField(), { key: 'consumer', label: 'volumeQos.consumer', kind: 'choice', required: true, initial: 'front-end', options: literal('front-end', 'back-end', 'both') }, specs],
      call: ({ specs: limits, ...rest }) => post('volume', '/qos-specs', { qos_specs: { ...rest, ...flat(limits) } }),
    },
  ],
  actions: [
    { key: 'volume-qos-edit', word: 'specs.set', fields: [specs], call: ({ specs: limits }, row) => put('volume', `/qos-specs/${row.id}`, { qos_specs: flat(limits) }) },
    {
      key: 'volume-qos-associate',
      word: 'volumeQos.associate',
      fields: [{ key: 'type', label: 'thing.volume-types.one', kind: 'choice', required: true, options: choicesOf('volume', '/types?is_public=None', 'volume_types') }],
      call: ({ type }, row) => ({ service: 'volume', method: 'GET', path: `/qos-specs/${row.id}/associate?vol_type_id=${String(type)}` }),
    },
    {
      key: 'volume-qos-dissociate',
      word: 'volumeQos.dissociate',
      fields: [{ key: 'type', label: 'thing.volume-types.one', kind: 'choice', required: true, options: async (_, row) => choicesOf('volume', `/qos-specs/${row.id}/associations`, 'qos_associations')() }],
      call: ({ type }, row) => ({ service: 'volume', method: 'GET', path: `/qos-specs/${row.id}/disassociate?vol_type_id=${String(type)}` }),
    },
    removal('volumeQos.deleteAsk', (row) => ['volume', `/qos-specs/${row.id}`]),
  ],
});
