import { all } from '../../api/client';
import { pairsText } from '../../resource/body';
import { pairs } from '../../resource/pairs';
import { one } from '../../resource/query';
import { define, nameField, post, put, removal, type Field } from '../../resource/resource';
import { GoldOutlined } from '../../ui/icons';
import { literal } from '../choices';
import { computeHosts } from '../compute/choices';

interface Aggregate {
  id: string;
  name: string;
  availability_zone: string | null;
  hosts: string[];
  metadata: Record<string, string>;
}

const fields: Field<Aggregate>[] = [nameField(), { key: 'availability_zone', label: 'field.zone', kind: 'text', max: 255, hint: 'aggregate.zoneHint' }];
const act = (row: Aggregate, body: unknown) => post('compute', `/os-aggregates/${row.id}/action`, body);
const numbered = (row: Aggregate): Aggregate => ({ ...row, id: String(row.id) });

export default define<Aggregate>({
  kind: 'aggregates',
  icon: <GoldOutlined />,
  list: async (_, signal) => (await all<Aggregate>('compute', '/os-aggregates', 'aggregates', signal)).map(numbered),
  read: async (id, signal) => numbered(await one<Aggregate>('compute', `/os-aggregates/${id}`, 'aggregate', signal)),
  id: (row) => row.id,
  name: (row) => row.name,
  terms: (row) => [row.availability_zone, ...row.hosts],
  columns: [
    { word: 'field.zone', show: (row) => row.availability_zone },
    { word: 'thing.hosts.many', show: (row) => row.hosts.join(', ') },
    { word: 'field.metadata', from: 'lg', show: (row) => pairs(row.metadata) },
  ],
  create: [{ key: 'aggregate-create', word: 'aggregate.create', fields, call: (aggregate) => post('compute', '/os-aggregates', { aggregate }) }],
  actions: [
    { key: 'aggregate-edit', word: 'resource.edit', edits: true, fields, call: (aggregate, row) => put('compute', `/os-aggregates/${row.id}`, { aggregate }) },
    {
      key: 'aggregate-add',
      word: 'aggregate.add',
      fields: [{ key: 'host', label: 'field.host', kind: 'choice', required: true, options: async (_, row) => literal(...(await computeHosts(new AbortController().signal)).map(({ host }) => host).filter((host) => !row.hosts.includes(host))) }],
      call: (add_host, row) => act(row, { add_host }),
    },
    {
      key: 'aggregate-remove',
      word: 'aggregate.remove',
      able: (row) => row.hosts.length > 0,
      fields: [{ key: 'host', label: 'field.host', kind: 'choice', required: true, options: async (_, row) => literal(...row.hosts) }],
      call: (remove_host, row) => act(row, { remove_host }),
    },
    {
      key: 'aggregate-metadata',
      word: 'aggregate.metadata',
      fields: [
        {
          key: 'metadata',
          label: 'field.metadata',
          kind: 'pairs',
          hint: 'resource.pairsHint',
          initial: ({ metadata: { availability_zone: _, ...others } }) => pairsText(others),
        },
      ],
      call: ({ metadata }, row) => act(row, { set_metadata: { metadata: withRemoved(metadata as Record<string, string>, row) } }),
    },
    removal('aggregate.deleteAsk', (row) => ['compute', `/os-aggregates/${row.id}`], (row) => row.hosts.length === 0),
  ],
});

/** A key that is gone from the text is null for the API; the zone has a field of its own. */
const withRemoved = (metadata: Record<string, string>, row: Aggregate) => ({
  ...Object.fromEntries(Object.keys(row.metadata).filter((key) => !(key in metadata) && key !== 'availability_zone').map((key) => [key, null])),
  ...metadata,
});
