import { all } from '../../api/client';
import { one } from '../../resource/query';
import { define, nameField, post, put, removal, type Field } from '../../resource/resource';
import { GoldOutlined } from '../../ui/icons';

interface Aggregate {
  id: string;
  name: string;
  availability_zone: string | null;
  hosts: string[];
  metadata: Record<string, string>;
}

const hostNames = async () =>
  (await all<{ host: string }>('compute', '/os-services?binary=nova-compute', 'services', new AbortController().signal)).map(({ host }) => ({ value: host, label: host }));

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
    { word: 'field.metadata', from: 'lg', show: (row) => Object.entries(row.metadata).map(([key, value]) => <div key={key} className="mono">{`${key}=${value}`}</div>) },
  ],
  create: [{ key: 'aggregate-create', word: 'aggregate.create', fields, call: (aggregate) => post('compute', '/os-aggregates', { aggregate }) }],
  actions: [
    { key: 'aggregate-edit', word: 'resource.edit', edits: true, fields, call: (aggregate, row) => put('compute', `/os-aggregates/${row.id}`, { aggregate }) },
    {
      key: 'aggregate-add',
      word: 'aggregate.add',
      fields: [{ key: 'host', label: 'field.host', kind: 'choice', required: true, options: async (_, row) => (await hostNames()).filter(({ value }) => !row.hosts.includes(value)) }],
      call: (add_host, row) => act(row, { add_host }),
    },
    {
      key: 'aggregate-remove',
      word: 'aggregate.remove',
      able: (row) => row.hosts.length > 0,
      fields: [{ key: 'host', label: 'field.host', kind: 'choice', required: true, options: async (_, row) => row.hosts.map((host) => ({ value: host, label: host })) }],
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
          initial: (row) => Object.entries(row.metadata).filter(([key]) => key !== 'availability_zone').map(([key, value]) => `${key}=${value}`).join('\n'),
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
